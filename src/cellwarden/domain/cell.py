"""A cell and the three tiers of limits that it must stay within."""

from dataclasses import dataclass

from cellwarden.domain.chemistry import Chemistry
from cellwarden.errors import UsageError

__all__ = ["Cell", "CellLimits", "LimitTiers", "tiers"]


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


def tiers(chemistry: Chemistry, nominal_capacity_ah: float) -> LimitTiers:
    """Three nested tiers for a cell of which only chemistry and capacity are known.

    - Voltage: the chemistry's window is where the cell is meant to be. `operating` leaves 10 mV
      outside it, the error of a cell monitor and of a charger; `recommended` 30 mV above and
      100 mV below; `maximum` 50 mV above, as far as makers tolerate a charger of 4.20 ± 0.05 V,
      and 300 mV below, where copper does not dissolve yet.
    - Temperature: the data sheet's window is the `maximum`, because charging colder plates
      lithium and running hotter spoils the electrolyte; `recommended` stays 2 °C and `operating`
      5 °C inside it, the error of a sensor on the outside of a cell and time to react.
    - Current: typical of energy cells, charge 1C, 1.5C, 2C and discharge 3C, 4C, 5C. Power cells
      stand more; their data sheet comes first.
    """
    margins = (
        (0.010, 0.010, 5.0, 1.0, 3.0),
        (0.030, 0.100, 2.0, 1.5, 4.0),
        (0.050, 0.300, 0.0, 2.0, 5.0),
    )

    def tier(
        above: float, below: float, inside: float, charge: float, discharge: float
    ) -> CellLimits:
        return CellLimits(
            low_voltage_volt=chemistry.low_voltage_volt - below,
            high_voltage_volt=chemistry.high_voltage_volt + above,
            low_charge_temperature_celsius=chemistry.low_charge_temperature_celsius + inside,
            high_charge_temperature_celsius=chemistry.high_charge_temperature_celsius - inside,
            low_discharge_temperature_celsius=chemistry.low_discharge_temperature_celsius + inside,
            high_discharge_temperature_celsius=chemistry.high_discharge_temperature_celsius
            - inside,
            high_charge_current_ampere=charge * nominal_capacity_ah,
            high_discharge_current_ampere=discharge * nominal_capacity_ah,
        )

    return LimitTiers(*(tier(*row) for row in margins))
