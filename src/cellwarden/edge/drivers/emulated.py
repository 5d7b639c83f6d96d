"""A pack that is not there: twin and hardware behind real bytes, for drills and demonstrations.

`EmulatedPack` answers on the same wires as a board would: a chain of monitor chips at two ports, a
second one where the pack has it, and frames from the board. Between the pack and the driver there
are two places to spoil something: `codes`, the raw values before any checksum is made of them, and
`wire`, the bytes after that. `cellwarden.edge.drivers.disturb` has what is usual to put there.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from cellwarden.domain import OPEN, Command, Contactors
from cellwarden.edge.drivers import adc, signals
from cellwarden.edge.drivers.board import WATCHDOG_SECOND, BoardDriver, Ports, Wiring
from cellwarden.edge.drivers.chips import Chips
from cellwarden.edge.drivers.signals import ANALOGUE, ORDER, SWITCH_NAMES, SWITCHES
from cellwarden.edge.drivers.thermistor import NTC_10K, Divider
from cellwarden.errors import DecodeError
from cellwarden.physics import hardware as hardwares
from cellwarden.physics.hardware import Hardware, Outside, Signals, chips
from cellwarden.physics.twin import Truth, truth

__all__ = ["Codes", "EmulatedPack", "Transfer", "emulate"]

Codes = dict[str, np.ndarray]
"""Raw values by name: of the chips `cell`, `sensor`, `reference`, `second_cell` (a row a chip), of
the board the fields of its frames (one number each), all int64."""

_REST: Final = Command(OPEN, 0.0, 0.0)
_COILS: Final = 7


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes on their way: which wire, what was asked (empty for a frame of the board), when.

    `wire` is `chain`, `second_chain`, `board` (to the driver) or `order` (from it).
    """

    wire: str
    request: bytes
    second: float


Spoil = Callable[[Codes, float], None]
Alter = Callable[[Transfer, bytes], bytes | None]


@dataclass(slots=True)
class EmulatedPack:
    """The pack and its electronics; time passes in it with `tick` and not otherwise."""

    hardware: Hardware
    outside: Outside = field(default_factory=Outside)
    codes: list[Spoil] = field(default_factory=list)
    wire: list[Alter] = field(default_factory=list)
    divider: Divider = field(default_factory=lambda: Divider(NTC_10K))
    second: float = 0.0
    clock_error_second: float = 0.0
    cut_links: set[int] = field(default_factory=set)
    signals: Signals | None = None
    _state: hardwares.HardwareState = field(init=False)
    _command: Command = field(init=False, default=_REST)
    _heard_second: float = field(init=False, default=-math.inf)
    _order_counter: int = field(init=False, default=0)
    _counter: int = field(init=False, default=0)
    _waiting: list[bytes] = field(init=False, default_factory=list)
    _chips: Chips = field(init=False)
    _second_chips: Chips = field(init=False)

    def __post_init__(self) -> None:
        self._state = hardwares.start(self.hardware)
        board, count = self.hardware.board, self.hardware.twin.series_count
        cells = chips(board, count)
        sensors = tuple(min(board.sensors_per_monitor_count, one) for one in cells)
        self._chips = Chips(cells, sensors)
        self._second_chips = Chips(cells, (0,) * len(cells))

    def tick(self) -> float:
        """Let one period pass; gives the pack's own clock. [s]"""
        if self.second - self._heard_second > WATCHDOG_SECOND:
            self._command = _REST
        self._state, given = hardwares.step(self.hardware, self._state, self._felt(), self.outside)
        self.signals, self.second = given, given.second
        codes = self._convert(given)
        for spoil in self.codes:
            spoil(codes, self.second)
        self._chips.show(codes["cell"], codes["sensor"], codes["reference"], given.open_wire)
        self._second_chips.show(
            codes["second_cell"],
            codes["sensor"][:, :0],
            codes["reference"],
            given.open_wire & False,
        )
        self._report(codes)
        return self.second

    def wall(self) -> float:
        """What the wall clock shows; it may be off. [s]"""
        return self.hardware.twin.start_unix_time_second + self.second + self.clock_error_second

    def truth(self) -> Truth:
        """What no sensor shows."""
        return truth(self.hardware.twin, self._state.twin)

    @property
    def contactors_really_closed(self) -> bool:
        """Whether current can flow, whatever the feedback says."""
        return self._state.path.main_closed

    @property
    def state(self) -> hardwares.HardwareState:
        """The hardware as it is."""
        return self._state

    def receive(self) -> list[bytes]:
        """The frames that wait for the driver."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def send(self, frame: bytes) -> None:
        """An order from the driver; one that is not whole is not carried out."""
        arrived = self._pass(Transfer("order", b"", self.second), frame)
        if arrived is None:
            return
        try:
            order = signals.receive(arrived, (ORDER,))
        except DecodeError:
            return
        if order.counter == self._order_counter:
            return
        self._order_counter, self._heard_second = order.counter, self.second
        values = ORDER.values(order.codes)
        coils = order.codes["coils"] & _COILS
        self._command = Command(
            Contactors(bool(coils & 1), bool(coils & 2), bool(coils & 4)),
            values["high_charge_current_ampere"],
            values["high_discharge_current_ampere"],
            (),
            values["cooling_fraction"],
            values["charge_voltage_volt"],
            values["charge_current_ampere"],
        )

    def exchange(self, request: bytes, reply_byte_count: int, port: int = 0) -> bytes:
        """Bytes to the chain of monitor chips, and its answer."""
        return self._exchange(self._chips, "chain", request, reply_byte_count, port)

    def exchange_second(self, request: bytes, reply_byte_count: int, port: int = 0) -> bytes:
        """The same for the redundant monitor."""
        return self._exchange(self._second_chips, "second_chain", request, reply_byte_count, port)

    def _exchange(self, chain: Chips, wire: str, request: bytes, count: int, port: int) -> bytes:
        reply = chain.answer(request, port, self.cut_links)[:count]
        altered = self._pass(Transfer(wire, request, self.second), reply)
        return b"" if altered is None else altered

    def _pass(self, transfer: Transfer, content: bytes) -> bytes | None:
        for alter in self.wire:
            altered = alter(transfer, content)
            if altered is None:
                return None
            content = altered
        return content

    def _felt(self) -> Command:
        """The last order, with the bleeders as the chips have them."""
        held = self._command
        return Command(
            held.contactors,
            held.high_charge_current_ampere,
            held.high_discharge_current_ampere,
            tuple(self._chips.bleeding.tolist()),
            held.cooling_fraction,
            held.charge_voltage_volt,
            held.charge_current_ampere,
        )

    def _convert(self, given: Signals) -> Codes:
        """What the converters make of the signals."""
        gain = given.reference_gain
        grid = self._chips.cells(given.cell_voltage_volt)
        second = self._chips.cells(given.second_cell_voltage_volt)
        ratio = self.divider.ratio(given.sensor_temperature_celsius)
        codes = {
            "cell": adc.CELL.code(grid, gain[:, None]),
            "second_cell": adc.CELL.code(second),
            "sensor": self._chips.sensors(adc.RATIO.code(ratio)),
            "reference": adc.REFERENCE.code(
                np.full(len(gain), self.hardware.board.reference_volt), gain
            ),
        }
        outer = np.array([given.coolant_temperature_celsius, given.ambient_temperature_celsius])
        coolant, ambient = self.divider.ratio(outer).tolist()
        board = self.hardware.board
        off = 1.0 + self.outside.damage.board_reference_error_fraction
        hall = given.second_current_ampere if board.has_second_current else math.nan
        named = ANALOGUE.codes(
            voltage_volt=given.voltage_volt / off,
            link_voltage_volt=given.link_voltage_volt / off,
            current_ampere=given.current_ampere / off,
            second_current_ampere=hall / off,
            reference_volt=self.hardware.board.reference_volt / off,
            coolant_ratio=coolant,
            ambient_ratio=ambient,
            insulation_ohm=given.insulation_ohm if board.has_insulation_monitor else math.nan,
            gas_fraction=given.gas_fraction if board.has_gas_sensor else math.nan,
            heard_count=self._order_counter,
        )
        named["state"] = sum(
            bool(getattr(given, name)) << bit for bit, name in enumerate(SWITCH_NAMES)
        )
        fitted = (True, True, True, board.has_interlock, True)
        named["fitted"] = sum(there << bit for bit, there in enumerate(fitted))
        return codes | {name: np.array(code, dtype=np.int64) for name, code in named.items()}

    def _report(self, codes: Codes) -> None:
        """The board's frames of this period."""
        self._counter += 1
        for layout in (ANALOGUE, SWITCHES):
            told = {one.name: int(np.clip(codes[one.name], *one.range)) for one in layout.fields}
            frame = layout.encode(told, self._counter)
            arrived = self._pass(Transfer("board", b"", self.second), frame)
            if arrived is not None:
                self._waiting.append(arrived)


@dataclass(frozen=True, slots=True)
class _SecondBus:
    pack: EmulatedPack

    def exchange(self, request: bytes, reply_byte_count: int, port: int = 0) -> bytes:
        return self.pack.exchange_second(request, reply_byte_count, port)


def emulate(pack: EmulatedPack, *, port_count: int = 2) -> BoardDriver:
    """The driver that is wired to an emulated pack."""
    second = _SecondBus(pack) if pack.hardware.board.has_second_monitor else None
    wiring = Wiring(pack.hardware.twin.series_count, pack.hardware.board, port_count, pack.divider)
    return BoardDriver(wiring, Ports(pack, pack, pack.tick, pack.wall, second))
