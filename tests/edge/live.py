"""A small pack for loops: real readings, commands kept, a clock that a test moves."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cellwarden.domain import (
    CLOSED,
    Charge,
    Command,
    Frame,
    Inputs,
    Monitors,
    Ordered,
    Pack,
    Reading,
    Request,
    chemistry_named,
)
from cellwarden.domain.cell import Cell, tiers
from cellwarden.edge.control_loop import Decision
from cellwarden.edge.drivers.seam import Live
from cellwarden.errors import UnavailableError

T = 1_800_000_000.0
CELLS = 3


def pack(name: str = "pack-1") -> Pack:
    """Three cells of 50 Ah."""
    chemistry = chemistry_named("NMC")
    return Pack(name, Cell(chemistry, 50.0, tiers(chemistry, 50.0)), CELLS)


def frame(at: float = T, volt: float = 3.7, ampere: float = 0.0, cells: int = CELLS) -> Frame:
    """All cells alike."""
    return Frame(at, cells * volt, ampere, np.full(cells, volt), np.full(2, 25.0))


def reading(of: Frame | None = None, request: Request | None = Request.CONNECT) -> Reading:
    """What a cycle sees."""
    of = of or frame()
    monitors = Monitors(np.zeros(1, int), np.full(1, 3.0), np.zeros(1), np.zeros(CELLS, bool))
    return Reading(of.unix_time_second - T, of, monitors, Inputs(request=request))


def charge(soc: float) -> Charge:
    """Cells that are all so full."""
    full = np.full(CELLS, soc)
    return Charge(T, full, 0.01 * full, 0.0 * full, full)


@dataclass
class Hands:
    """A steady clock that sleeping moves; `cost` is what each reading takes."""

    now: float = 0.0
    cost: list[float] = field(default_factory=list)

    def steady(self) -> float:
        return self.now

    def sleep(self, second: float) -> None:
        self.now += second


@dataclass
class TablePack:
    """Gives readings and keeps commands; silent where it is told to be."""

    hands: Hands
    silent: range = range(0)
    volt: float = 3.7
    ampere: float = 0.0
    commands: list[tuple[float, Command]] = field(default_factory=list)
    count: int = 0

    def read(self) -> Reading:
        self.count += 1
        if self.hands.cost:
            self.hands.now += self.hands.cost.pop(0)
        if self.count in self.silent:
            raise UnavailableError("the pack is silent")
        return replace(
            reading(frame(T + self.hands.now, self.volt, self.ampere)), clock_second=self.hands.now
        )

    def write(self, command: Command) -> None:
        self.commands.append((self.hands.now, command))

    @property
    def last(self) -> Command:
        return self.commands[-1][1]


def closing(_reading: Reading, _soc: Charge | None, ordered: Ordered, **more: Any) -> Decision:
    """A control that always serves, and keeps to what is ordered."""
    curb = ordered.curb
    charge = min(50.0, curb.high_charge_current_ampere)
    discharge = min(100.0, curb.high_discharge_current_ampere)
    return Decision(Command(CLOSED, charge, discharge), **more)


@dataclass
class Recorded:
    """A pack whose commands are looked at on their way."""

    pack: Live
    last: Command | None = None

    def read(self) -> Reading:
        return self.pack.read()

    def write(self, command: Command) -> None:
        self.last = command
        self.pack.write(command)
