"""What the upper half of a charge tells, without any discharge.

Rules
- Each number comes from the rows of one charge and from nothing after it.
- Charge and current are divided by nominal capacity, so cells of different size compare.
- A charge may begin anywhere below the window's lowest voltage; where it begins above, ends
  before the taper, or holds a gap, what depends on the missing part is NaN. Only where the run
  before left the cell empty is nothing missing: an aged cell's resistance lifts it above the
  window's lowest voltage as soon as current flows.

Source: charge within a voltage window and the constant-voltage taper as signs of lost capacity
and risen resistance: D. Stroe and E. Schaltz, IEEE Trans. Ind. Appl. 56, 678 (2020),
doi 10.1109/TIA.2019.2955396; A. Eddahech, O. Briat, J.-M. Vinassa, J. Power Sources 258, 218
(2014), doi 10.1016/j.jpowsour.2014.02.020.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.features.capacity import EMPTY_VOLT, REFERENCE_RATE_PER_HOUR, SENSOR_VOLT
from cellwarden.features.cycles import REST_PER_HOUR, Runs, Samples

__all__ = ["Charges", "charges"]

LOW_VOLT: Final = 3.9
MIDDLE_VOLT: Final = 4.0
UPPER_VOLT: Final = 4.1
TAPER_HIGH_PER_HOUR: Final = 0.4
TAPER_LOW_PER_HOUR: Final = 0.1


@dataclass(frozen=True, slots=True)
class Charges:
    """One row a charge.

    `run` is its place among the runs; `window_fraction` the charge from 3.9 V to the end of the
    taper (a current of 0.1 of nominal an hour), `upper_fraction` the same from 4.0 V,
    `plateau_fraction` from 3.9 V to 4.1 V, `taper_fraction` the part while the current falls from
    0.4 to 0.1, `taper_hour` the time constant of that fall; `rate_per_hour` the median current
    between 3.9 V and 4.1 V, `temperature_celsius` the mean over the window, `top_voltage_volt`
    the highest voltage, `low_voltage_volt` the voltage as the charge begins.
    """

    run: Int64[np.ndarray, " charge"]
    window_fraction: Float64[np.ndarray, " charge"]
    upper_fraction: Float64[np.ndarray, " charge"]
    plateau_fraction: Float64[np.ndarray, " charge"]
    taper_fraction: Float64[np.ndarray, " charge"]
    taper_hour: Float64[np.ndarray, " charge"]
    rate_per_hour: Float64[np.ndarray, " charge"]
    temperature_celsius: Float64[np.ndarray, " charge"]
    top_voltage_volt: Float64[np.ndarray, " charge"]
    low_voltage_volt: Float64[np.ndarray, " charge"]

    def __len__(self) -> int:
        return len(self.run)


def charges(taken: Samples, runs: Runs) -> Charges:
    """Numbers of each charge of a record, oldest first. [1, h, 1/h, °C, V]"""
    run = np.flatnonzero(runs.charges)
    rows = [
        _one(taken, int(runs.start[k]), int(runs.stop[k]), empty=_left_empty(taken, runs, int(k)))
        for k in run
    ]
    table = np.array(rows, dtype=np.float64).reshape(len(run), 9)
    return Charges(run, *table.T)


def _left_empty(taken: Samples, runs: Runs, run: int) -> bool:
    """Whether the discharge before a charge met the empty voltage at a moderate current. [1]"""
    if run == 0 or runs.charges[run - 1]:
        return False
    before = slice(int(runs.start[run - 1]), int(runs.stop[run - 1]))
    fast = REFERENCE_RATE_PER_HOUR[1] * taken.nominal_capacity_ah
    low = taken.voltage_volt[before] <= EMPTY_VOLT + SENSOR_VOLT
    return bool(np.any(low & (taken.current_ampere[before] >= -fast)))


def _one(taken: Samples, start: int, stop: int, *, empty: bool) -> tuple[float, ...]:
    """The nine numbers of one charge, in the order of `Charges`. [1, h, 1/h, °C, V]"""
    end = min(stop + 1, len(taken))  # the row that closes the last step
    voltage = taken.voltage_volt[start:stop]
    rate = taken.current_ampere[start:end] / taken.nominal_capacity_ah
    fraction = taken.counted_ah[start:end] / taken.nominal_capacity_ah
    hour = taken.time_second[start:end] / 3600
    top, low = float(voltage.max()), float(voltage[0])
    highest = np.maximum.accumulate(voltage)
    at = [_rise(highest, level, empty=empty) for level in (LOW_VOLT, MIDDLE_VOLT, UPPER_VOLT)]
    fall = [_fall(rate, level) for level in (TAPER_HIGH_PER_HOUR, TAPER_LOW_PER_HOUR)]
    gaps = np.flatnonzero(taken.gap[start:end])

    def between(values: Float64[np.ndarray, " time"], first: float, then: float) -> float:
        """Difference of a column between two places among the rows; NaN across a gap."""
        if not first < then or np.any((gaps > first) & (gaps <= np.ceil(then))):
            return float("nan")
        return _value(values, then) - _value(values, first)

    middle = (voltage > LOW_VOLT) & (voltage < UPPER_VOLT) & (rate[: len(voltage)] > 0)
    inside = taken.temperature_celsius[start:stop][voltage > LOW_VOLT]
    inside = inside[np.isfinite(inside)]
    nan = float("nan")
    return (
        between(fraction, at[0], fall[1]),
        between(fraction, at[1], fall[1]),
        between(fraction, at[0], at[2]),
        between(fraction, fall[0], fall[1]),
        between(hour, fall[0], fall[1]) / np.log(TAPER_HIGH_PER_HOUR / TAPER_LOW_PER_HOUR),
        float(np.median(rate[: len(voltage)][middle])) if middle.any() else nan,
        float(inside.mean()) if len(inside) else nan,
        top,
        low,
    )


def _rise(highest: Float64[np.ndarray, " time"], level: float, *, empty: bool) -> float:
    """The place, between two rows, at which a rising column first reaches a level. [1]"""
    at = int(np.searchsorted(highest, level))
    if at == 0 and empty:
        return 0.0
    if at == 0 or at == len(highest):
        return float("nan")
    return at - 1 + float((level - highest[at - 1]) / (highest[at] - highest[at - 1]))


def _fall(rate: Float64[np.ndarray, " time"], level: float) -> float:
    """The place, between two rows, after which a column stays below a level. [1]

    A current that is switched off on its way has passed the level in no taper.
    """
    above = np.flatnonzero(rate >= level)
    if len(above) == 0 or above[-1] + 1 == len(rate):
        return float("nan")
    at = int(above[-1])
    if rate[at + 1] <= REST_PER_HOUR:
        return float("nan")
    return at + float((rate[at] - level) / (rate[at] - rate[at + 1]))


def _value(values: Float64[np.ndarray, " time"], at: float) -> float:
    """A column at a place between two rows. [unit of the column]"""
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return float(values[low] + (at - low) * (values[high] - values[low]))
