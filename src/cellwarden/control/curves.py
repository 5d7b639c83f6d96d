"""Derating curves: which part of the current a voltage, a temperature or a charge leaves.

Rules
- A curve is straight between its points and flat beyond them; what is no number leaves nothing.
- Charge curves never rise with voltage or charge, discharge curves never fall with them. A curve
  of temperature rises to a plateau and falls from it, so the coldest and the hottest reading
  decide for all cells.
- No curve of charge reaches zero: the voltage says when a cell is full or empty, and a charge
  that is wrong must not lock a pack out of the very charge that would set it right.

The points follow the tiers of the cell (`domain.cell.tiers`); the form, full current inside and
nothing at the edge with one step between, is common to open battery controllers.
"""

from bisect import bisect_right
from dataclasses import dataclass

from cellwarden.domain import Cell
from cellwarden.errors import UsageError

__all__ = ["Curve", "Curves", "curves_of"]


@dataclass(frozen=True, slots=True)
class Curve:
    """Points in order; `fraction` is the part of the current that is left at each.

    Raises:
        UsageError: points out of order, or a fraction that is none.
    """

    at: tuple[float, ...]
    fraction: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.at, self.at[1:], strict=False))
        if not (
            rising
            and len(self.at) == len(self.fraction) >= 1
            and all(0.0 <= part <= 1.0 for part in self.fraction)
        ):
            raise UsageError(
                "a curve has rising points with a part from 0 to 1 at each",
                hint="Sort the points and check that there are as many fractions.",
            )

    def read(self, value: float) -> float:
        """The part of the current that a value leaves; nothing where there is no value. [1]"""
        at, fraction = self.at, self.fraction
        if value >= at[-1]:
            return fraction[-1]
        if value < at[0]:
            return fraction[0]
        right = bisect_right(at, value)
        if right == 0 or value != value:  # noqa: PLR0124  only NaN is not itself
            return 0.0
        left = right - 1
        share = (value - at[left]) / (at[right] - at[left])
        return fraction[left] + share * (fraction[right] - fraction[left])


@dataclass(frozen=True, slots=True)
class Curves:
    """All curves of a pack; `health` is read with a cell's capacity over the one on its label."""

    charge_volt: Curve
    discharge_volt: Curve
    charge_celsius: Curve
    discharge_celsius: Curve
    charge_soc: Curve
    discharge_soc: Curve
    health: Curve
    cooling_celsius: Curve


def curves_of(cell: Cell) -> Curves:
    """Curves for a cell from its tiers.

    - Voltage: charging is full up to the chemistry's window and over at the operating tier, which
      lies 10 mV outside; discharging fades over 5 % of the window, because the curve falls fast
      there. Between the maximum and the operating tier below, a deeply discharged cell is charged
      at a tenth, and below the maximum tier not at all.
    - Temperature: over at the maximum tier, a quarter at the recommended one; charging is full
      from 10 °C inside the operating tier on, where plating has become slow.
    - Health: the current over the capacity that is left stays as it was when new, and a cell below
      half of its label is down to a quarter.
    """
    inner, middle, outer = cell.limits.operating, cell.limits.recommended, cell.limits.maximum
    low, high = cell.chemistry.low_voltage_volt, cell.chemistry.high_voltage_volt
    width = 0.05 * (high - low)
    return Curves(
        charge_volt=Curve((high, inner.high_voltage_volt), (1.0, 0.0)),
        discharge_volt=Curve((inner.low_voltage_volt, inner.low_voltage_volt + width), (0.0, 1.0)),
        charge_celsius=Curve(
            (
                outer.low_charge_temperature_celsius,
                middle.low_charge_temperature_celsius,
                inner.low_charge_temperature_celsius,
                inner.low_charge_temperature_celsius + 10.0,
                inner.high_charge_temperature_celsius,
                middle.high_charge_temperature_celsius,
                outer.high_charge_temperature_celsius,
            ),
            (0.0, 0.1, 0.25, 1.0, 1.0, 0.25, 0.0),
        ),
        discharge_celsius=Curve(
            (
                outer.low_discharge_temperature_celsius,
                middle.low_discharge_temperature_celsius,
                inner.low_discharge_temperature_celsius + 15.0,
                inner.high_discharge_temperature_celsius - 5.0,
                middle.high_discharge_temperature_celsius,
                outer.high_discharge_temperature_celsius,
            ),
            (0.0, 0.2, 1.0, 1.0, 0.25, 0.0),
        ),
        charge_soc=Curve((0.97, 1.0), (1.0, 0.05)),
        discharge_soc=Curve((0.0, 0.05), (0.05, 1.0)),
        health=Curve((0.5, 0.7, 1.0), (0.25, 0.7, 1.0)),
        cooling_celsius=Curve(
            (
                inner.high_charge_temperature_celsius - 10.0,
                inner.high_charge_temperature_celsius + 5.0,
            ),
            (0.2, 1.0),
        ),
    )
