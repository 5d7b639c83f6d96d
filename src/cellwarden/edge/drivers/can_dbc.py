"""Any battery on CAN whose makers give a DBC file: signals are named, units come from the file.

Rules
- What positive current means cannot be read from a DBC, so it must be said.
- A number outside its signal's range, or with its flag raised, is a gap. A frame that the file
  does not describe is left alone; one that cannot be decoded is counted.
- Without a checksum in the file's messages a damaged frame can only be found by its ranges.
- Such a battery is only read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cantools.database
import numpy as np
from cantools.database.can import Database, Message, Signal
from cantools.database.errors import Error as CanError

from cellwarden.domain import QUANTITIES, Command, Frame
from cellwarden.edge.drivers.current_sign import PositiveCurrent, sign_of
from cellwarden.edge.drivers.line import Bus, BusFrame
from cellwarden.edge.drivers.listening import Freshness, listen
from cellwarden.edge.drivers.polled import Layout, blank_frame, refuse_command
from cellwarden.errors import DecodeError, Error, RangeError, UnavailableError, UsageError

__all__ = ["DbcProbe", "SignalMap"]

_UNITS: Final = {
    "voltage_volt": {"V": 1.0, "mV": 0.001},
    "current_ampere": {"A": 1.0, "mA": 0.001},
    "cell_voltage_volt": {"V": 1.0, "mV": 0.001},
    "cell_temperature_celsius": {"degC": 1.0, "°C": 1.0, "C": 1.0},
}
_STALE_SECOND: Final = 2.0
_LONGEST_SILENCE_SECOND: Final = 5.0


@dataclass(frozen=True, slots=True)
class SignalMap:
    """Names of signals; `{}` stands for the number of a cell or sensor, counted from `first`.

    `invalid` is the name of the flag of a cell or sensor, with `{}` for its signal: where it is 1,
    the signal is not to be believed.
    """

    voltage: str
    current: str
    cells: str
    sensors: str = ""
    invalid: str = ""
    first: int = 0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A signal that is read: what it is here, and its factor to our unit."""

    name: str
    factor: float
    low: float
    high: float
    flag: str


class DbcProbe:
    """Listens for a period, then shows what is fresh."""

    def __init__(
        self,
        bus: Bus,
        layout: Layout,
        dbc: Path,
        signals: SignalMap,
        positive_current: PositiveCurrent,
        *,
        period_second: float = 1.0,
        stale_second: float = _STALE_SECOND,
    ) -> None:
        """Find the signals in the file.

        Raises:
            UsageError: the file is none, lacks a signal, or gives it a unit that is not known here.
        """
        self._bus = bus
        self.layout = layout
        self._sign = sign_of(positive_current)
        self._period_second = period_second
        self._stale_second = stale_second
        self._messages, self._wanted = _find(_load(dbc), signals, layout)
        self._fresh = Freshness()
        self._heard_second = bus.now()
        self.refused_count = 0
        self.trouble: Error | None = None

    def sample(self) -> Frame:
        """All that was heard until the period is over.

        Raises:
            UnavailableError: nothing of this battery was heard for seconds.
        """
        listen(self._bus, self._period_second, self._take)
        now = self._bus.now()
        if now - self._heard_second > max(_LONGEST_SILENCE_SECOND, 2 * self._period_second):
            raise UnavailableError(
                "the battery is not heard on the bus",
                hint="Check wiring, termination, bit rate and the DBC file.",
            )
        blank = blank_frame(now, self.layout)
        cells, sensors = blank.cell_voltage_volt, blank.cell_temperature_celsius
        for kind, column in (("cell_voltage_volt", cells), ("cell_temperature_celsius", sensors)):
            for place in range(len(column)):
                column[place] = self._value(f"{kind}_{place}", now)
        ampere = self._sign * self._value("current_ampere", now)
        return Frame(now, self._value("voltage_volt", now), ampere, cells, sensors)

    def obey(self, command: Command) -> None:
        """A battery with messages of its own is only read."""
        del command
        refuse_command("a battery read by its DBC")

    def now(self) -> float:
        """The time on the bus. [s]"""
        return self._bus.now()

    def close(self) -> None:
        """Leave the bus."""
        self._bus.close()

    def _value(self, name: str, now: float) -> float:
        return self._fresh.get(name, now, self._stale_second)

    def _take(self, frame: BusFrame) -> None:
        message = self._messages.get(frame.number)
        if message is None:
            return
        try:
            values = self._decode(message, frame.data)
        except (DecodeError, RangeError) as error:
            self.refused_count += 1
            self.trouble = error
            return
        self._heard_second = self._bus.now()
        self._fresh.put(values, self._heard_second)

    def _decode(self, message: Message, data: bytes) -> dict[str, float]:
        if len(data) != message.length:
            raise DecodeError(
                f"{message.name} of {len(data)} bytes, not {message.length}", hint="Check the DBC."
            )
        try:
            said = message.decode(data, decode_choices=False)
        except (CanError, ValueError, KeyError) as error:
            raise DecodeError(f"{message.name}: {error}", hint="Check the DBC.") from error
        if not isinstance(said, dict):
            raise DecodeError(f"{message.name} holds no signals", hint="Check the DBC.")
        values = {}
        for signal, told in said.items():
            wanted = self._wanted.get(signal)
            if wanted is None:
                continue
            value = float(str(told)) * wanted.factor
            if not wanted.low <= value <= wanted.high:
                raise RangeError(
                    f"{signal} of {value:g} cannot be", hint="Check the DBC, and the bus."
                )
            raised = wanted.flag and float(str(said.get(wanted.flag, 0)))
            values[wanted.name] = np.nan if raised else value
        return values


def _load(path: Path) -> Database:
    try:
        loaded = cantools.database.load_file(str(path), database_format="dbc", strict=False)
    except (OSError, CanError, ValueError) as error:
        raise UsageError(f"{path}: {error}", hint="Give the maker's DBC file.") from error
    if not isinstance(loaded, Database):
        raise UsageError(f"{path} is no CAN database", hint="Give the maker's DBC file.")
    return loaded


def _find(
    database: Database, signals: SignalMap, layout: Layout
) -> tuple[dict[int, Message], dict[str, _Wanted]]:
    named = {signals.voltage: ("voltage_volt", ""), signals.current: ("current_ampere", "")}
    numbered = (
        ("cell_voltage_volt", signals.cells, layout.cell_count),
        ("cell_temperature_celsius", signals.sensors, layout.sensor_count),
    )
    for kind, pattern, count in numbered:
        for place in range(count):
            named[_name(pattern, signals.first + place)] = (kind, f"_{place}")
    messages: dict[int, Message] = {}
    wanted: dict[str, _Wanted] = {}
    for message in database.messages:
        for signal in message.signals:
            if signal.name in named:
                kind, end = named[signal.name]
                messages[message.frame_id] = message
                flag = signals.invalid.format(signal.name) if signals.invalid and end else ""
                if flag and flag not in {other.name for other in message.signals}:
                    raise UsageError(
                        f"the DBC has no flag {flag!r} in {message.name}",
                        hint="Check `invalid` in [can.signals], or leave it out.",
                    )
                wanted[signal.name] = _want(signal, kind, end, flag)
    for message in messages.values():
        _check(message)
    missing = sorted(set(named) - set(wanted))
    if missing:
        raise UsageError(
            f"the DBC has no signal {missing[0]!r}"
            + (f" and {len(missing) - 1} others" if len(missing) > 1 else ""),
            hint="Check the names in [can.signals], and the numbers of cells and sensors.",
        )
    return messages, wanted


def _check(message: Message) -> None:
    """The messages that are read must be sound; the rest of a maker's file may be as it is.

    Raises:
        UsageError: signals of this message overlap or do not fit.
    """
    try:
        message.refresh(strict=True)
    except CanError as error:
        raise UsageError(f"{message.name}: {error}", hint="Mend the DBC file.") from error


def _want(signal: Signal, kind: str, end: str, flag: str) -> _Wanted:
    factor = _UNITS[kind].get(signal.unit or "")
    if factor is None:
        raise UsageError(
            f"signal {signal.name} is in {signal.unit or 'no unit'!r}",
            hint=f"Known here: {', '.join(_UNITS[kind])}. Mend the unit in the DBC file.",
        )
    quantity = QUANTITIES[kind]
    low = quantity.low if signal.minimum is None else factor * float(signal.minimum)
    high = quantity.high if signal.maximum is None else factor * float(signal.maximum)
    if low == high:  # [0|0] says that there is no range
        low, high = quantity.low, quantity.high
    ends = max(low, quantity.low), min(high, quantity.high)
    return _Wanted(f"{kind}{end}", factor, *ends, flag)


def _name(pattern: str, number: int) -> str:
    try:
        name = pattern.format(number)
    except (IndexError, KeyError, ValueError) as error:
        raise UsageError(
            f"{pattern!r} names no signals", hint="Write {} or {:03d} where the number stands."
        ) from error
    if name == pattern:
        raise UsageError(
            f"{pattern!r} names one signal for all", hint="Write {} where the number stands."
        )
    return name
