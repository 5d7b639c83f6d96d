"""The driver of a pack's own electronics: one reading a control cycle, one command back, as bytes.

Rules
- Nothing is carried over: what did not come in this cycle, or was refused, is NaN or None, and the
  ages tell since when.
- Refused frames are counted, chip by chip and for the board.
- A board whose own second reference is off by more than 2 % gives no voltages and no currents.
- A frame of the board is as old as the first order that it does not know of, so frames that are
  held up on the way, with counters and checksums all right, do not look fresh.
- A board that hears no command for `WATCHDOG_SECOND` opens its contactors by itself.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np

from cellwarden.domain import Board, Command, Frame, Frames, Inputs, Monitors, Reading
from cellwarden.edge.drivers import adc, signals
from cellwarden.edge.drivers.chain import Bus, Chain, Measured
from cellwarden.edge.drivers.signals import ANALOGUE, ORDER, SWITCH_NAMES, SWITCHES
from cellwarden.edge.drivers.thermistor import NTC_10K, Divider
from cellwarden.errors import DecodeError, UnavailableError
from cellwarden.physics.hardware import chips, sensor_cells

__all__ = ["WATCHDOG_SECOND", "BoardDriver", "BoardFrames", "Line", "Ports", "Wiring"]

WATCHDOG_SECOND: Final = 0.5
_WIRE_TEST_CYCLES: Final = 10
_LATE_CYCLES: Final = 1.5
_COUNTS: Final = 256
_LAYOUTS: Final = (ANALOGUE, SWITCHES)
_REFERENCE_FRACTION: Final = 0.02
_REFERRED: Final = (
    "voltage_volt",
    "link_voltage_volt",
    "current_ampere",
    "second_current_ampere",
)


class Line(Protocol):
    """Carries frames to the board and from it."""

    def receive(self) -> list[bytes]:
        """The frames that came since the last call, oldest first.

        Raises:
            UnavailableError: the line does not serve; it is counted as one refused frame.
        """
        ...

    def send(self, frame: bytes) -> None:
        """Give the board a frame.

        Raises:
            UnavailableError: the line does not serve.
        """
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """The ways to a pack, and its clocks.

    `tick` waits for the next control cycle and gives the controller's own steady clock, `wall` the
    time of day. `second_chain` is the redundant monitor's, where there is one.
    """

    chain: Bus
    board: Line
    tick: Callable[[], float]
    wall: Callable[[], float]
    second_chain: Bus | None = None


@dataclass(frozen=True, slots=True)
class Wiring:
    """How many cells there are and what hangs on the inputs."""

    series_count: int
    board: Board = field(default_factory=Board)
    port_count: int = 2
    divider: Divider = field(default_factory=lambda: Divider(NTC_10K))


class BoardDriver:
    """Reads a pack once a cycle and passes commands on."""

    def __init__(self, wiring: Wiring, ports: Ports) -> None:
        cells = chips(wiring.board, wiring.series_count)
        sensors = tuple(min(wiring.board.sensors_per_monitor_count, count) for count in cells)
        self._wiring, self._ports = wiring, ports
        self._reference = wiring.board.reference_volt, _REFERENCE_FRACTION
        self._chain = Chain(ports.chain, cells, sensors, wiring.port_count)
        self._second = None
        if ports.second_chain is not None:
            self._second = Chain(ports.second_chain, cells, (0,) * len(cells), wiring.port_count)
        self._seen = np.full(len(cells), -math.inf)
        self._board_seen = -math.inf
        self._counters: dict[int, int] = {}
        self._cycle = 0
        self._sent = 0
        self._unheard: deque[tuple[int, float]] = deque(maxlen=_COUNTS - 1)
        self._began, self._now = math.nan, -math.inf
        self._spoke = True

    @property
    def sensor_cells(self) -> np.ndarray:
        """The cell that each temperature sensor sits on."""
        return sensor_cells(self._wiring.board, self._wiring.series_count)

    def read(self) -> Reading:
        """Wait for the next cycle and look at everything once."""
        now = self._ports.tick()
        if math.isnan(self._began):
            self._began = now
        self._now = now
        if self._cycle % _WIRE_TEST_CYCLES == 0:
            self._chain.test_wires()
        self._cycle += 1
        measured = self._chain.measure()
        second = None if self._second is None else self._second.measure().cell_voltage_volt
        heard, errors = self._listen(now)
        self._seen[measured.whole] = now
        return Reading(
            now,
            self._frame(measured, heard),
            Monitors(
                measured.frame_error_count,
                measured.reference_volt,
                now - np.maximum(self._seen, self._began),
                measured.open_wire,
                second,
                measured.broken_link,
            ),
            self._inputs(heard, errors, now),
        )

    def test_converters(self) -> np.ndarray:
        """Whether each monitor chip's converter passes its self-test."""
        return self._chain.test_converters()

    def write(self, command: Command) -> None:
        """Give a command to the board, and the bleeders to the monitor chips.

        Raises:
            UnavailableError: the line to the board does not serve.
        """
        coils = command.contactors
        codes = ORDER.codes(
            coils=coils.plus_closed | coils.minus_closed << 1 | coils.precharge_closed << 2,
            cooling_fraction=command.cooling_fraction,
            high_charge_current_ampere=_finite(command.high_charge_current_ampere),
            high_discharge_current_ampere=_finite(command.high_discharge_current_ampere),
            charge_voltage_volt=command.charge_voltage_volt,
            charge_current_ampere=command.charge_current_ampere,
        )
        self._sent = (self._sent + 1) % _COUNTS
        self._unheard.append((self._sent, self._now))
        self._ports.board.send(ORDER.encode(codes, self._sent))
        count = self._wiring.series_count
        self._chain.balance(np.array(command.balance or (False,) * count, dtype=bool))

    def _listen(self, now: float) -> tuple[dict[str, float | bool | None], int]:
        """What the board said in this cycle, and how many of its frames were refused."""
        heard: dict[str, float | bool | None] = {}
        errors, messages, spoke = 0, [], False
        try:
            messages = self._ports.board.receive()
        except UnavailableError:
            errors += 1
        for message in messages:
            try:
                received = signals.receive(message, _LAYOUTS)
            except DecodeError:
                errors += 1
                continue
            if self._counters.get(received.number) == received.counter:
                errors += 1
                continue
            self._counters[received.number] = received.counter
            if received.number == ANALOGUE.number:
                spoke = True
                heard |= ANALOGUE.values(received.codes)
                if adc.reference_holds(np.array(heard["reference_volt"]), *self._reference):
                    self._settle(received.codes["heard_count"], now)
                else:
                    heard |= dict.fromkeys(_REFERRED, math.nan)
            else:
                heard |= _switches(received.codes)
        if spoke and not self._spoke and now - self._board_seen > _LATE_CYCLES * self._period():
            heard, errors = {}, errors + 1  # held up: the first word after a silence has to be new
        self._spoke = spoke
        return heard, errors

    def _period(self) -> float:
        return self._wiring.board.period_second

    def _settle(self, heard_count: int, now: float) -> None:
        """A frame knows of the orders up to one; it is as old as the next."""
        if any(count == heard_count for count, _ in self._unheard):
            while self._unheard.popleft()[0] != heard_count:
                pass
        self._board_seen = self._unheard[0][1] if self._unheard else now

    def _frame(self, measured: Measured, heard: dict[str, float | bool | None]) -> Frame:
        ambient = self._celsius(heard, "ambient_ratio")
        return Frame(
            self._ports.wall(),
            _number(heard, "voltage_volt"),
            _number(heard, "current_ampere"),
            measured.cell_voltage_volt,
            self._wiring.divider.celsius(measured.sensor_ratio),
            ambient,
        )

    def _inputs(self, heard: dict[str, float | bool | None], errors: int, now: float) -> Inputs:
        board = self._wiring.board
        age = now - max(self._board_seen, self._began)
        plus, minus, precharge, interlock, fuse = (_state(heard, name) for name in SWITCH_NAMES)
        read = Inputs(
            link_voltage_volt=_number(heard, "link_voltage_volt"),
            second_current_ampere=_number(heard, "second_current_ampere"),
            insulation_ohm=_number(heard, "insulation_ohm"),
            gas_fraction=_number(heard, "gas_fraction"),
            coolant_temperature_celsius=self._celsius(heard, "coolant_ratio"),
            plus_feedback_closed=plus,
            minus_feedback_closed=minus,
            precharge_feedback_closed=precharge,
            interlock_closed=interlock,
            fuse_intact=fuse,
            voltage_age_second=age,
            current_age_second=age,
            bus_error_count=errors,
        )
        if not board.has_second_current:
            read = replace(read, second_current_ampere=math.nan)
        return read

    def _celsius(self, heard: dict[str, float | bool | None], name: str) -> float:
        return float(self._wiring.divider.celsius(np.array(_number(heard, name))))


class BoardFrames:
    """The same pack with the face that the sending agent reads: frames, a batch at a time."""

    def __init__(self, driver: BoardDriver) -> None:
        self._driver = driver

    def read(self, count: int) -> Frames | None:
        """The next `count` cycles; a pack never ends."""
        return Frames.stack([self._driver.read().frame for _ in range(max(count, 1))])

    def position(self) -> bytes:
        """A pack cannot be read a second time, so there is nothing to go back to."""
        return b""

    def write(self, command: Command) -> None:
        """Pass a command on."""
        self._driver.write(command)


def _switches(codes: dict[str, int]) -> dict[str, float | bool | None]:
    return {
        name: bool(codes["state"] >> bit & 1) if codes["fitted"] >> bit & 1 else None
        for bit, name in enumerate(SWITCH_NAMES)
    }


def _number(heard: dict[str, float | bool | None], name: str) -> float:
    value = heard.get(name)
    return math.nan if value is None else float(value)


def _state(heard: dict[str, float | bool | None], name: str) -> bool | None:
    value = heard.get(name)
    return None if value is None else bool(value)


def _finite(ampere: float) -> float:
    """No limit is sent as the highest number there is."""
    return min(ampere, 4e6)
