"""A cell and the three tiers of limits that it must stay within."""

from dataclasses import dataclass

from cellwarden.domain.chemistry import Chemistry
from cellwarden.errors import UsageError

__all__ = ["Cell", "CellLimits", "LimitTiers"]


@dataclass(frozen=True, slots=True)
class CellLimits:
    """One tier: the window in which a cell may be."""

    low_voltage_volt: float
    high_voltage_volt: float
    low_charge_temperature_celsius: float
    high_charge_temperature_celsius: float
    low_discharge_temperature_celsius: float
    high_discharge_temperature_celsius: float
    high_charge_current_ampere: float
    high_discharge_current_ampere: float

    def within(self, outer: "CellLimits") -> bool:
        """Whether this window lies inside another."""
        lows = (
            self.low_voltage_volt >= outer.low_voltage_volt
            and self.low_charge_temperature_celsius >= outer.low_charge_temperature_celsius
            and self.low_discharge_temperature_celsius >= outer.low_discharge_temperature_celsius
        )
        highs = (
            self.high_voltage_volt <= outer.high_voltage_volt
            and self.high_charge_temperature_celsius <= outer.high_charge_temperature_celsius
            and self.high_discharge_temperature_celsius <= outer.high_discharge_temperature_celsius
            and self.high_charge_current_ampere <= outer.high_charge_current_ampere
            and self.high_discharge_current_ampere <= outer.high_discharge_current_ampere
        )
        return lows and highs


@dataclass(frozen=True, slots=True)
class LimitTiers:
    """Operating inside recommended inside maximum.

    Beyond `operating` the cell is outside its intended use, beyond `recommended` the pack derates,
    beyond `maximum` the contactors open.
    """

    operating: CellLimits
    recommended: CellLimits
    maximum: CellLimits

    def __post_init__(self) -> None:
        if not (self.operating.within(self.recommended) and self.recommended.within(self.maximum)):
            raise UsageError(
                "limit tiers must nest: operating inside recommended inside maximum",
                hint="Check each tier's lowest and highest values.",
            )


@dataclass(frozen=True, slots=True)
class Cell:
    """What is printed on the cell: chemistry, capacity, limits."""

    chemistry: Chemistry
    nominal_capacity_ah: float
    limits: LimitTiers

    def __post_init__(self) -> None:
        if not self.nominal_capacity_ah > 0:
            raise UsageError(
                f"nominal capacity must be above zero, not {self.nominal_capacity_ah}",
                hint="Take it from the cell's data sheet, in Ah.",
            )
