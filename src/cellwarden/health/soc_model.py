"""What the voltage of one kind of cell is: a circuit in tables, made by `identify`.

Rules
- Voltage = OCV(s, T) + R0 i + Rf a asinh(u_f / a) + Rm u_m + Rs u_s + M h, where u_f, u_m, u_s are
  the current seen through a fast, a middle and a slow lag, and h (-1..1) is the hysteresis, which
  follows the sign of the current as charge moves. The asinh is the charge transfer: resistance
  falls with current, most in the cold.
- Every table stands over state of charge (even grid, 0..1) and temperature (knots, ascending);
  between the points it is straight, outside the nearest knot counts.
- The model is arrays and numbers; `registry.circuit_file` saves it as such.

Source: G. L. Plett, "Battery Management Systems, Volume I", Artech House (2015), chapter 2, for
the lags and the hysteresis; the asinh is the Butler-Volmer law with equal transfer coefficients.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Float64

__all__ = ["CellModel", "Record", "at_knots", "look_up", "observability"]

POINT_COUNT: Final = 41
OCV, OHMIC, FAST, MIDDLE, SLOW, HYSTERESIS = range(6)
TABLE_COUNT: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One test of one cell whose state of charge is known; positive current charges."""

    unix_time_second: Float[np.ndarray, " time"]
    voltage_volt: Float[np.ndarray, " time"]
    current_ampere: Float[np.ndarray, " time"]
    temperature_celsius: Float[np.ndarray, " time"]
    soc_fraction: Float[np.ndarray, " time"]
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.unix_time_second)


@dataclass(frozen=True, slots=True, eq=False)
class CellModel:
    """The circuit of one kind of cell, how far it is off, and how a cell in use is found."""

    capacity_ah: float
    table: Float64[np.ndarray, "celsius point 6"]  # volts, four resistances [ohm], volts
    knot_celsius: Float64[np.ndarray, " celsius"]
    lag_second: Float64[np.ndarray, "3"]  # fast, middle, slow
    transfer_ampere: float  # the `a` of the asinh
    hysteresis_rate: float  # full turns of the hysteresis in one capacity
    drift_volt: Float64[np.ndarray, " celsius"]  # error of the model that stays for minutes
    reading_volt: Float64[np.ndarray, " celsius"]  # error from one reading to the next
    drift_second: float
    correlation_second: float  # how long the error from reading to reading lasts
    load_ampere: float  # current that a cell met in use has had
    load_std_ampere: float
    widening: Float64[np.ndarray, "2 celsius"]  # stated deviation over an extended, unscented one


def look_up(
    model: CellModel,
    soc_fraction: Float[np.ndarray, " cell"],
    temperature_celsius: Float[np.ndarray, " cell"],
) -> Float64[np.ndarray, "6 cell"]:
    """The six tables at a charge and a temperature. [V, ohm, ohm, ohm, ohm, V]"""
    knots, points = model.knot_celsius, model.table.shape[1]
    warm = np.clip(temperature_celsius, knots[0], knots[-1])
    row = np.clip(np.searchsorted(knots, warm, side="right") - 1, 0, max(len(knots) - 2, 0))
    above = np.minimum(row + 1, len(knots) - 1)
    span = np.where(above > row, knots[above] - knots[row], 1.0)
    high = ((warm - knots[row]) / span)[:, None]
    scaled = np.clip(soc_fraction, 0.0, 1.0) * (points - 1)
    left = np.minimum(scaled.astype(np.int64), points - 2)
    right = (scaled - left)[:, None]
    t = model.table
    cold = t[row, left] + right * (t[row, left + 1] - t[row, left])
    hot = t[above, left] + right * (t[above, left + 1] - t[above, left])
    found: np.ndarray = (cold + high * (hot - cold)).T
    return found


def at_knots(
    model: CellModel, column: np.ndarray, temperature_celsius: Float[np.ndarray, "*shape"]
) -> Float64[np.ndarray, "*shape"]:
    """A number that stands at the temperature knots, in between. [its own]"""
    found: np.ndarray = np.interp(temperature_celsius, model.knot_celsius, column)
    return found


def observability(
    model: CellModel,
    soc_fraction: Float[np.ndarray, " cell"],
    temperature_celsius: Float[np.ndarray, " cell"],
) -> Float64[np.ndarray, " cell"]:
    """How well one look at the voltage tells the charge: slope over the model's error. [1]

    The reciprocal is the standard deviation of the charge that the voltage alone gives; below
    about 20 (5 % of charge) the counted current carries the estimate.
    """
    reach = 0.02
    low = look_up(model, np.maximum(soc_fraction - reach, 0.0), temperature_celsius)[OCV]
    high = look_up(model, np.minimum(soc_fraction + reach, 1.0), temperature_celsius)[OCV]
    width = np.minimum(soc_fraction + reach, 1.0) - np.maximum(soc_fraction - reach, 0.0)
    error = at_knots(model, model.drift_volt, temperature_celsius)
    told: np.ndarray = (high - low) / width / error
    return told
