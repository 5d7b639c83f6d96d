"""A pack at work, bytes and all, that a drill can copy and then spoil.

Rules
- The pack is emulated from the cells to the wire; driver and diagnostics are those that the
  device runs. What the device itself adds to a reading (request, clock, memory, authentication)
  is added here as a sound device would.
- When diagnostics say open, the coils are let go in the same cycle.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from cellwarden.control import diagnose
from cellwarden.control.diagnose import Diagnostics, DiagnosticsState
from cellwarden.domain import (
    CLOSED,
    OPEN,
    Board,
    Command,
    Contactors,
    Diagnosis,
    Pack,
    Reading,
    Request,
)
from cellwarden.edge.drivers.board import BoardDriver
from cellwarden.edge.drivers.emulated import EmulatedPack, emulate
from cellwarden.health import charge as charges
from cellwarden.health.charge import ChargeState
from cellwarden.physics.config import TwinConfig
from cellwarden.physics.hardware import Hardware, Outside

__all__ = ["BOARD", "CONDITIONS", "Condition", "Scene", "begin"]

Alter = Callable[[Reading], Reading]

BOARD: Final = Board(has_second_monitor=True, has_gas_sensor=True)
_CELLS: Final = 24
_CAPACITY_AH: Final = 50.0
_LAST_SECOND: Final = 1e7
_PRECHARGING: Final = (
    (5, Contactors(plus_closed=False, minus_closed=True)),
    (12, Contactors(plus_closed=False, minus_closed=True, precharge_closed=True)),
    (3, Contactors(plus_closed=True, minus_closed=True, precharge_closed=True)),
)
_SETTLED: Final = 30  # cycles


class Condition(NamedTuple):
    """Where a fault is met; the rate is current over capacity, positive charges."""

    name: str
    chemistry: str
    celsius: float
    soc_fraction: float
    rate: float
    standby: bool = False
    rested_second: float = 0.0


CONDITIONS: Final = (
    Condition("NMC, 25 °C, 50 %, discharge C/2", "NMC", 25.0, 0.5, -0.5),
    Condition("NMC, 25 °C, 70 %, charge C/2", "NMC", 25.0, 0.7, 0.5),
    Condition("LFP, -5 °C, 40 %, discharge C/5", "LFP", -5.0, 0.4, -0.2),
    Condition("LFP, 33 °C, 80 %, charge C/3", "LFP", 33.0, 0.8, 1.0 / 3.0),
    Condition("NCA, 45 °C, 30 %, discharge 1C", "NCA", 45.0, 0.3, -1.0),
    Condition("NMC, 10 °C, 60 %, at rest", "NMC", 10.0, 0.6, 0.0, rested_second=301.0),
    Condition("NMC, 25 °C, 50 %, standby", "NMC", 25.0, 0.5, 0.0, standby=True),
)


@dataclass(slots=True)
class Scene:
    """A pack in a condition, warmed up; `fork` gives one to spoil."""

    condition: Condition
    bytes_pack: EmulatedPack
    driver: BoardDriver
    pack: Pack
    diagnostics: Diagnostics
    state: DiagnosticsState
    charge: ChargeState
    driven: Contactors = OPEN
    alter: list[Alter] = field(default_factory=list)
    precharge_failed: bool = False
    expected_volt: float = 0.0

    @property
    def second(self) -> float:
        """The pack's clock. [s]"""
        return self.bytes_pack.second

    @property
    def period_second(self) -> float:
        """One cycle. [s]"""
        return self.bytes_pack.hardware.twin.period_second

    def fork(self) -> "Scene":
        """The same pack in the same state, to itself."""
        shared = {id(item): item for item in (self.diagnostics, self.pack, self.condition)}
        return copy.deepcopy(self, shared)

    def cycle(self) -> tuple[Reading, Diagnosis]:
        """One control cycle: command, read, estimate, diagnose."""
        self.driver.write(Command(self.driven, _CAPACITY_AH * 2.0, _CAPACITY_AH * 5.0))
        reading = _as_device(self.driver.read())
        for alter in self.alter:
            reading = alter(reading)
        self.charge, charge = charges.step(self.charge, reading.frame, self.pack)
        self.expected_volt = float(charge.innovation_std_volt.max())
        self.state, diagnosis = diagnose.step(
            self.diagnostics,
            self.state,
            reading,
            self.driven,
            charge,
            precharge_failed=self.precharge_failed,
        )
        if diagnosis.must_open(reading.clock_second):
            self.driven = OPEN
        return reading, diagnosis


def begin(condition: Condition) -> Scene:
    """A pack that has been at work in a condition until everything has settled."""
    twin = TwinConfig(
        "drill",
        chemistry=condition.chemistry,
        series_count=_CELLS,
        nominal_capacity_ah=_CAPACITY_AH,
        period_second=BOARD.period_second,
        duration_second=_LAST_SECOND,
        profile="storage",
        soc_fraction=condition.soc_fraction,
        ambient_temperature_celsius=condition.celsius,
        ambient_swing_celsius=0.0,
    )
    pack = twin.pack()
    emulated = EmulatedPack(Hardware(twin, BOARD))
    diagnostics = diagnose.diagnostics_of(pack, BOARD)
    driver = emulate(emulated)
    scene = Scene(
        condition,
        emulated,
        driver,
        pack,
        diagnostics,
        diagnose.begin(diagnostics, len(driver.sensor_cells)),
        charges.init(pack, condition.soc_fraction),
    )
    if not condition.standby:
        for count, contactors in _PRECHARGING:
            _go(scene, count, contactors)
        emulated.outside = Outside(condition.rate * _CAPACITY_AH)
        scene.driven = CLOSED
    rested = round(condition.rested_second / BOARD.period_second)
    _go(scene, _SETTLED + rested, scene.driven)
    return scene


def _go(scene: Scene, count: int, driven: Contactors) -> None:
    for _ in range(count):
        scene.driven = driven
        scene.cycle()


def _as_device(reading: Reading) -> Reading:
    """What the device adds; its own hardware is sound."""
    inputs = replace(
        reading.inputs,
        clock_error_second=0.0,
        memory_intact=True,
        authenticated=True,
        request=Request.CONNECT,
    )
    return replace(reading, inputs=inputs)
