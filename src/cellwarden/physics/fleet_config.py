"""What a fleet is: groups of like packs, each with a duty and a climate."""

from dataclasses import dataclass, field
from typing import Final

from cellwarden.domain import chemistry_named
from cellwarden.errors import UsageError
from cellwarden.physics.aging import Law, law_of
from cellwarden.physics.circuit import Circuit, circuit_of
from cellwarden.physics.climate import Climate
from cellwarden.physics.duty import DAY_SECOND, LONGEST_SECOND, Duty
from cellwarden.physics.thermal import Thermal, thermal_of

__all__ = ["FleetConfig", "Group"]

_NEW_YEAR_UNIX: Final = 1_735_689_600  # 2025-01-01, a year's first hour in every climate
_PACKED: Final = 0.25  # of a free cell's way to the air is left to one among others in a box


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Packs that do the same in the same place."""

    name: str
    pack_count: int
    duty: Duty
    climate: Climate

    def __post_init__(self) -> None:
        if self.pack_count < 1:
            raise UsageError(f"{self.name}: no packs", hint="A group has one pack or more.")


@dataclass(frozen=True, slots=True, eq=False)
class FleetConfig:
    """The fleet; spreads and noise are given as one standard deviation.

    A pack is told as one of its cells: capacities, currents and voltages are a cell's. Steps are at
    most `period_second` long: 1 to 10 s follow the load, an hour is the coarse step, which takes
    each piece of a duty at once.
    """

    groups: tuple[Group, ...]
    chemistry: str = "NMC"
    nominal_capacity_ah: float = 3.0
    period_second: int = LONGEST_SECOND
    start_unix_time_second: int = _NEW_YEAR_UNIX
    seed: int = 0
    soh_fraction: float = 1.0
    charge_rate: float = 1.0
    discharge_rate: float = 2.0
    law: Law | None = None
    circuit: Circuit | None = None
    thermal: Thermal | None = None
    air_factor: float = _PACKED
    capacity_spread_fraction: float = 0.01
    resistance_spread_fraction: float = 0.03
    habit_spread_fraction: float = 0.15
    daily_spread_fraction: float = 0.2
    place_spread_celsius: float = 1.5
    voltage_noise_volt: float = 0.001
    current_noise_fraction: float = 0.001
    temperature_noise_celsius: float = 0.1
    phase_shifted: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        chemistry_named(self.chemistry)
        if not self.groups:
            raise UsageError("a fleet without packs", hint="Give one group or more.")
        if not 1 <= self.period_second <= LONGEST_SECOND:
            raise UsageError("a step is 1 to 3600 s long", hint="3600 is the coarse step.")
        if self.start_unix_time_second % DAY_SECOND:
            raise UsageError("a fleet starts at midnight UTC", hint="Give a multiple of 86400.")
        if not (0.0 < self.soh_fraction <= 1.0 and self.air_factor > 0.0):
            raise UsageError("a fleet cannot be so", hint="Give soh and air_factor above 0.")

    @property
    def pack_count(self) -> int:
        """Packs in all groups. [1]"""
        return sum(group.pack_count for group in self.groups)

    @property
    def year_second(self) -> int:
        """Where in the climates' year the fleet starts. [s]"""
        return (self.start_unix_time_second - _NEW_YEAR_UNIX) % (365 * DAY_SECOND)

    def own_law(self) -> Law:
        """The law given, or the chemistry's."""
        return self.law or law_of(self.chemistry)

    def own_circuit(self) -> Circuit:
        """The circuit given, or the chemistry's."""
        return self.circuit or circuit_of(chemistry_named(self.chemistry), self.nominal_capacity_ah)

    def own_thermal(self) -> Thermal:
        """The lump given, or the typical one."""
        return self.thermal or thermal_of(self.nominal_capacity_ah)
