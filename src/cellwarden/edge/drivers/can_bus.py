"""A pack on a CAN bus, by our own DBC (`cellwarden.dbc`), read through cantools and python-can.

A CAN bus knows no senders and no encryption: whoever is on it can say anything. It is for the
wires inside one cabinet; the checksum finds faults, not attackers.

Rules
- What was not heard for its stale time is NaN: three periods, and half a second at least.
- A frame whose checksum, counter, index or range is wrong is refused and counted; it refreshes
  nothing, so that a value becomes NaN and not wrong.
"""

import time
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Final, Self

import can
import cantools.database
import numpy as np
from cantools.database.can import Database
from cantools.database.errors import DecodeError as CanDecodeError

from cellwarden.domain import Command, Contactors, Frame
from cellwarden.edge.drivers import can_table as table
from cellwarden.edge.drivers.field import Field, encode
from cellwarden.edge.drivers.line import Bus, BusFrame
from cellwarden.edge.drivers.listening import Freshness, listen
from cellwarden.edge.drivers.polled import Layout, blank_frame, check_layout
from cellwarden.errors import (
    DataError,
    DecodeError,
    Error,
    RangeError,
    UnavailableError,
    UsageError,
)

__all__ = [
    "CanProbe",
    "PythonCanBus",
    "decode_command",
    "decode_frame",
    "encode_command",
    "encode_items",
    "encode_message",
    "encode_pack",
]

_BALANCE_CELLS: Final = 48
_BY_NUMBER: Final = {message.number: message for message in table.MESSAGES}
_STALE_PERIODS: Final = 3.0
_LEAST_STALE_SECOND: Final = 0.5
_LONGEST_SILENCE_SECOND: Final = 5.0
_MOST_FRAMES: Final = 4096


@cache
def _database() -> Database:
    text = resources.files("cellwarden.edge.drivers").joinpath("cellwarden.dbc").read_text("utf-8")
    loaded = cantools.database.load_string(text, "dbc", strict=True)
    if not isinstance(loaded, Database):
        raise UsageError("cellwarden.dbc is no CAN database", hint="Install Cellwarden again.")
    return loaded


def decode_frame(frame: BusFrame) -> dict[str, float]:
    """What one of our frames says, by name.

    Raises:
        DataError: it is not ours, damaged, or says what cannot be.
    """
    message = _BY_NUMBER.get(frame.number)
    if message is None:
        raise DecodeError(f"frame {frame.number:#05x} is not ours", hint="It is left alone.")
    data = table.unseal(frame.number, frame.data)
    try:
        signals = _database().decode_message(
            frame.number, data, decode_choices=False, scaling=False
        )
    except (CanDecodeError, ValueError) as error:
        raise DecodeError(
            f"{message.name}: {error}", hint="Use the same DBC on both sides."
        ) from error
    if not isinstance(signals, dict):
        raise DecodeError(f"{message.name} holds no signals", hint="Use the DBC that ships here.")
    fields = list(message.fields)
    if message.item is not None:
        group = int(str(signals["group_index"]))
        fields += [
            table.indexed(message.item, place, group) for place in range(table.CELLS_A_FRAME)
        ]
    return {field.name: field.value(int(str(signals[field.name]))) for field in fields}


def encode_pack(
    frame: Frame,
    count: int,
    *,
    contactors: Contactors | None = None,
    state: dict[str, float] | None = None,
    estimates: dict[str, float] | None = None,
    limits: tuple[float, float] = (np.nan, np.nan),
) -> Iterator[BusFrame]:
    """What a pack sends in a cycle; `count` numbers the cycles. What does not fit is left out."""
    counted = {"message_count": float(count % 256)}
    switches = contactors or Contactors(plus_closed=False, minus_closed=False)
    ambient, humid = frame.ambient_temperature_celsius, frame.humidity_fraction
    shown: tuple[tuple[table.Message, dict[str, float]], ...] = (
        (
            table.STATE,
            {
                "cell_count": float(len(frame.cell_voltage_volt)),
                "sensor_count": float(len(frame.cell_temperature_celsius)),
                "contactor_bits": float(_bits(switches)),
                **(state or {}),
            },
        ),
        (
            table.LIMITS,
            {"high_charge_current_ampere": limits[0], "high_discharge_current_ampere": limits[1]},
        ),
        (table.VOLTAGE, {"voltage_volt": frame.voltage_volt}),
        (table.CURRENT, {"current_ampere": frame.current_ampere}),
        (table.ESTIMATE, estimates or {}),
        (
            table.ENVIRONMENT,
            {
                "ambient_temperature_celsius": np.nan if ambient is None else ambient,
                "humidity_fraction": np.nan if humid is None else humid,
            },
        ),
    )
    for message, values in shown:
        yield encode_message(message, {**values, **counted})
    yield from encode_items(table.CELLS, frame.cell_voltage_volt)
    yield from encode_items(table.SENSORS, frame.cell_temperature_celsius)


def encode_command(command: Command, count: int) -> Iterator[BusFrame]:
    """What control sends in a cycle. Limits are rounded down, never up.

    Raises:
        RangeError: a number does not fit.
    """
    counted = {"message_count": float(count % 256)}
    order = {
        "contactor_bits": float(_bits(command.contactors)),
        "cooling_fraction": command.cooling_fraction,
        "high_charge_current_ampere": _down(command.high_charge_current_ampere),
        "high_discharge_current_ampere": _down(command.high_discharge_current_ampere),
    }
    yield _frame(table.ORDER, table.ORDER.fields, {**order, **counted})
    charger = {
        "charge_voltage_volt": _down(command.charge_voltage_volt),
        "charge_current_ampere": _down(command.charge_current_ampere),
    }
    yield _frame(table.CHARGER, table.CHARGER.fields, {**charger, **counted})
    for group in range(-(-len(command.balance) // _BALANCE_CELLS)):
        cells = command.balance[group * _BALANCE_CELLS : (group + 1) * _BALANCE_CELLS]
        bits = sum(1 << place for place, drained in enumerate(cells) if drained)
        values = {
            "group_index": float(group),
            "low_cell_bits": float(bits & 0xFFFFFFFF),
            "high_cell_bits": float(bits >> 32),
        }
        yield _frame(table.BALANCE, table.BALANCE.fields, values)


def decode_command(frames: "list[BusFrame]", cell_count: int) -> Command:
    """The command that the frames of a cycle carry, as a pack hears it.

    Raises:
        DataError: a frame is missing or damaged.
    """
    said: dict[str, float] = {}
    balance = [False] * cell_count
    for frame in frames:
        values = decode_frame(frame)
        if frame.number == table.BALANCE.number:
            first = int(values["group_index"]) * _BALANCE_CELLS
            bits = int(values["low_cell_bits"]) | int(values["high_cell_bits"]) << 32
            for place in range(min(_BALANCE_CELLS, cell_count - first)):
                balance[first + place] = bool(bits >> place & 1)
        said |= values
    try:
        bits = int(said["contactor_bits"])
        return Command(
            Contactors(bool(bits & 1), bool(bits & 2), bool(bits & 4)),
            said["high_charge_current_ampere"],
            said["high_discharge_current_ampere"],
            tuple(balance),
            said["cooling_fraction"],
            said["charge_voltage_volt"],
            said["charge_current_ampere"],
        )
    except KeyError as error:
        raise DecodeError(f"a command without {error}", hint="Send order and charger.") from error


class CanProbe:
    """Listens for a period, then shows what is fresh."""

    def __init__(self, bus: Bus, layout: Layout, *, period_second: float = 1.0) -> None:
        self._bus = bus
        self.layout = layout
        self._period_second = period_second
        self._values = Freshness()
        self._counts: dict[int, float] = {}
        self._heard_second = bus.now()
        self._sent_count = 0
        self.refused_count = 0
        self.trouble: Error | None = None

    def sample(self) -> Frame:
        """All that was heard until the period is over.

        Raises:
            DataError: the device shows another pack.
            UnavailableError: nothing of ours was heard for seconds.
        """
        listen(self._bus, self._period_second, self._take)
        now = self._bus.now()
        if now - self._heard_second > max(_LONGEST_SILENCE_SECOND, 2 * self._period_second):
            raise UnavailableError(
                "no pack is heard on the bus", hint="Check wiring, termination and bit rate."
            )
        counts = self.fresh("cell_count", table.STATE), self.fresh("sensor_count", table.STATE)
        if not np.isnan(counts).any():
            check_layout(int(counts[0]), int(counts[1]), self.layout)
        return self.show(now)

    def drain(self) -> float:
        """Take what has come, without waiting; gives how long the pack has been silent. [s]"""
        for _ in range(_MOST_FRAMES):  # a bus that babbles must not hold a control cycle
            heard = self._bus.hear(0.0)
            if heard is None:
                break
            self._take(heard)
        return self._bus.now() - self._heard_second

    def obey(self, command: Command) -> None:
        """Send a command to the pack."""
        for frame in encode_command(command, self._sent_count):
            self._bus.send(frame)
        self._sent_count += 1

    def now(self) -> float:
        """The time on the bus. [s]"""
        return self._bus.now()

    def close(self) -> None:
        """Leave the bus."""
        self._bus.close()

    def _take(self, frame: BusFrame) -> None:
        message = _BY_NUMBER.get(frame.number)
        if message is None or message.sender == "Control":
            return
        now = self._bus.now()
        try:
            values = decode_frame(frame)
        except DataError as error:
            self.refused_count += 1
            self.trouble = error
            return
        count = values.pop("message_count", None)
        if count is not None and self._counts.get(frame.number) == count:
            return  # the sender repeats itself
        if count is not None:
            self._counts[frame.number] = count
        self._heard_second = now
        if message.item is None and "group_index" in values:
            end = f"_{int(values['group_index'])}"
            values = {name + end: value for name, value in values.items()}
        self._values.put(values, now)

    def show(self, now: float) -> Frame:
        """The frame of what is fresh at a time."""
        blank = blank_frame(now, self.layout)
        cells, sensors = blank.cell_voltage_volt, blank.cell_temperature_celsius
        for kind, column in ((table.CELLS, cells), (table.SENSORS, sensors)):
            for place in range(len(column)):
                column[place] = self.fresh(f"{_item(kind).name}_{place}", kind)
        ambient = self.fresh("ambient_temperature_celsius", table.ENVIRONMENT)
        humid = self.fresh("humidity_fraction", table.ENVIRONMENT)
        return Frame(
            now,
            self.fresh("voltage_volt", table.VOLTAGE),
            self.fresh("current_ampere", table.CURRENT),
            cells,
            sensors,
            None if np.isnan(ambient) else ambient,
            None if np.isnan(humid) else humid,
        )

    def fresh(self, name: str, message: table.Message) -> float:
        """A number of a message, or NaN when it is stale."""
        stale = max(_STALE_PERIODS * message.period_second, _LEAST_STALE_SECOND)
        return self._values.get(name, self._bus.now(), stale)

    def age(self, name: str) -> float:
        """How long ago a number was heard; infinite where it never was. [s]"""
        return self._values.age(name, self._bus.now())


class PythonCanBus:
    """Any interface of python-can: `socketcan`, `pcan`, `slcan`, `virtual` and others."""

    def __init__(self, interface: str, channel: str, *, bitrate: int = 500_000) -> None:
        try:
            self._bus = can.Bus(interface=interface, channel=channel, bitrate=bitrate)
        except (can.CanError, OSError, ValueError, ImportError) as error:
            raise UnavailableError(
                f"{interface} {channel}: {error}",
                hint="Check the interface, and that it is up (`ip link set can0 up`).",
            ) from error

    def hear(self, wait_second: float) -> BusFrame | None:
        """The next data frame with an 11-bit identifier."""
        end = time.monotonic() + wait_second
        while True:
            left = max(end - time.monotonic(), 0.0)
            try:
                message = self._bus.recv(left)
            except (can.CanError, OSError) as error:
                raise _down_bus(error) from error
            if message is None:
                return None
            plain = message.is_extended_id or message.is_error_frame or message.is_remote_frame
            if not plain:
                return BusFrame(message.arbitration_id, bytes(message.data))

    def send(self, frame: BusFrame) -> None:
        """Put a frame on the bus."""
        message = can.Message(
            arbitration_id=frame.number, data=frame.data, is_extended_id=False, check=True
        )
        try:
            self._bus.send(message, timeout=0.1)
        except (can.CanError, OSError) as error:
            raise _down_bus(error) from error

    def now(self) -> float:
        """The wall clock. [s]"""
        return time.time()

    def close(self) -> None:
        """Leave the bus."""
        self._bus.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _frame(message: table.Message, fields: tuple[Field, ...], values: dict[str, float]) -> BusFrame:
    data = encode(fields, values, table.FRAME_BYTES)
    return BusFrame(message.number, table.seal(message.number, data))


def encode_message(message: table.Message, values: dict[str, float]) -> BusFrame:
    """A message with what can be said of the values; the others are left out."""
    return _frame(message, message.fields, _fit(message.fields, values))


def encode_items(message: table.Message, column: np.ndarray) -> Iterator[BusFrame]:
    """The frames of a message that stands for each cell or sensor."""
    for group in range(-(-len(column) // table.CELLS_A_FRAME)):
        first = group * table.CELLS_A_FRAME
        part = column[first : first + table.CELLS_A_FRAME]
        places = [
            table.indexed(_item(message), place, group) for place in range(table.CELLS_A_FRAME)
        ]
        values = {field.name: float(value) for field, value in zip(places, part, strict=False)}
        fields = (*message.fields, *places)
        yield _frame(message, fields, _fit(fields, {"group_index": float(group), **values}))


def _fit(fields: tuple[Field, ...], values: dict[str, float]) -> dict[str, float]:
    """The values that can be said; the others are left out."""
    return {field.name: field.fit(values.get(field.name, np.nan)) for field in fields}


def _item(message: table.Message) -> Field:
    if message.item is None:
        raise RangeError(f"{message.name} has no items", hint="Use its fields.")
    return message.item


def _bits(contactors: Contactors) -> int:
    switches = (contactors.plus_closed, contactors.minus_closed, contactors.precharge_closed)
    return sum(1 << place for place, closed in enumerate(switches) if closed)


def _down(value: float) -> float:
    """Down to a tenth, and to the highest that can be said: a limit must not grow on its way."""
    return float(min(np.floor(value * 10.0 + 1e-6) / 10.0, 6553.5))


def _down_bus(error: Exception) -> UnavailableError:
    return UnavailableError(f"the bus is down: {error}", hint="Check wiring and interface.")
