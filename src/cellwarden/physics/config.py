"""What a twin is and what will happen to it."""

from dataclasses import dataclass
from typing import Literal

from cellwarden.domain import Cell, Pack, chemistry_named, tiers
from cellwarden.errors import UsageError
from cellwarden.physics.fault import Fault

__all__ = ["Profile", "TwinConfig"]

Profile = Literal["cycle", "drive", "storage"]


@dataclass(frozen=True, slots=True)
class TwinConfig:
    """What the twin is and what will happen to it; noise is given as one standard deviation."""

    name: str
    chemistry: str = "NMC"
    series_count: int = 1
    nominal_capacity_ah: float = 3.0
    period_second: float = 1.0
    start_unix_time_second: float = 1_750_000_000.0
    duration_second: float = 86_400.0
    seed: int = 0
    profile: Profile = "cycle"
    soc_fraction: float = 0.9
    soh_fraction: float = 1.0
    charge_rate: float = 0.5
    discharge_rate: float = 1.0
    rest_second: float = 1800.0
    ambient_temperature_celsius: float = 25.0
    ambient_swing_celsius: float = 4.0
    ageing_factor: float = 1.0
    capacity_spread_fraction: float = 0.01
    resistance_spread_fraction: float = 0.03
    soc_spread_fraction: float = 0.005
    voltage_noise_volt: float = 0.001
    current_noise_fraction: float = 0.001
    temperature_noise_celsius: float = 0.1
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        if self.period_second <= 0.0 or self.duration_second < 0.0:
            raise UsageError("time must go forward", hint="Give a period above zero.")
        if not (0.0 <= self.soc_fraction <= 1.0 and 0.0 < self.soh_fraction <= 1.0):
            raise UsageError("a cell cannot start so", hint="Give soc 0..1 and soh above 0.")
        if any(fault.item >= self.series_count for fault in self.faults):
            raise UsageError("a fault names a cell that is not there", hint="Cells count from 0.")
        self.pack()

    def pack(self) -> Pack:
        """The pack as its label and the chemistry describe it."""
        chemistry = chemistry_named(self.chemistry)
        limits = tiers(chemistry, self.nominal_capacity_ah)
        return Pack(self.name, Cell(chemistry, self.nominal_capacity_ah, limits), self.series_count)

    @property
    def frame_count(self) -> int:
        """Frames from start to end. [1]"""
        return int(self.duration_second / self.period_second + 1e-9)
