"""What a part of a charge or discharge tells: any voltage window, and the end of a CC-CV charge.

Rules
- A window counts only when the voltage came in through one edge and left through the other within
  the record (one that begins on an edge has not come in), with no step longer than `gap_second`
  between. A window half seen is NaN.
- A level counts as reached when the voltage first reaches it; between rows that set a new extreme
  it moves evenly, so a coarse sensor's plateaus are bridged. `uncertain_ah` is the charge between
  the rows around both edges: sampling and the sensor's step leave that much open.
- The end of a charge is two stretches: constant current from `window_volt` below the top voltage
  until the top is first reached, and the taper after it while the current lies in a range.
- Means and deviations are over rows; skewness and excess kurtosis are those of the population; the
  entropy is -Σ p ln p with p the reading over the sum of readings, so it grows with the count of
  rows (as the published tables' does); the slope is that of the line of least squares over time.
- Rows before a window's end alone decide on it.

Source of the sixteen statistics: F. Wang et al., Nature Communications 15, 4332 (2024),
doi 10.1038/s41467-024-48779-z. The slopes in its tables are steeper than any line over the whole
stretch can be, so they follow another rule; ours is as said above.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64

from cellwarden.errors import UsageError
from cellwarden.features.curves import Direction

__all__ = ["ChargeEnd", "Windows", "charge_end", "voltage_windows"]

_SECOND_PER_HOUR: Final = 3600.0
_FLAT: Final = 1e-12  # of its size, a spread is rounding
_LEAST_ROWS: Final = 3


@dataclass(frozen=True, slots=True)
class Windows:
    """One row a window between neighbouring edges, in the order of the edges given."""

    low_volt: Float64[np.ndarray, " window"]
    high_volt: Float64[np.ndarray, " window"]
    charge_ah: Float64[np.ndarray, " window"]
    uncertain_ah: Float64[np.ndarray, " window"]
    time_second: Float64[np.ndarray, " window"]
    slope_volt_per_second: Float64[np.ndarray, " window"]
    mean_current_ampere: Float64[np.ndarray, " window"]

    def __len__(self) -> int:
        return len(self.low_volt)


@dataclass(frozen=True, slots=True)
class ChargeEnd:
    """The sixteen statistics of the end of a CC-CV charge; NaN where a stretch is not whole."""

    cc_voltage_mean_volt: float
    cc_voltage_std_volt: float
    cc_voltage_kurtosis_ratio: float
    cc_voltage_skewness_ratio: float
    cc_voltage_slope_volt_per_second: float
    cc_voltage_entropy_nat: float
    cc_charge_ah: float
    cc_time_second: float
    cv_current_mean_ampere: float
    cv_current_std_ampere: float
    cv_current_kurtosis_ratio: float
    cv_current_skewness_ratio: float
    cv_current_slope_ampere_per_second: float
    cv_current_entropy_nat: float
    cv_charge_ah: float
    cv_time_second: float


def voltage_windows(
    time_second: Float64[np.ndarray, " time"],
    voltage_volt: Float64[np.ndarray, " time"],
    current_ampere: Float64[np.ndarray, " time"],
    edge_volt: Float64[np.ndarray, " edge"],
    *,
    direction: Direction,
    gap_second: float,
) -> Windows:
    """Charge, time, slope and current in each voltage window of one branch. [Ah, s, V/s, A]

    Raises:
        UsageError: the edges do not rise, or there are fewer than two.
    """
    if len(edge_volt) < 2 or not np.all(np.diff(edge_volt) > 0):  # noqa: PLR2004  a window has two
        raise UsageError("the edges must rise", hint="Give at least two, from low to high.")
    sign = 1.0 if direction == "charge" else -1.0
    known = _known(time_second, voltage_volt, current_ampere)
    time, volt = time_second[known], sign * voltage_volt[known]
    drive = np.maximum(sign * current_ampere[known], 0.0)
    charge = _passed(time, drive)
    order = edge_volt if sign > 0 else -edge_volt[::-1]
    found = np.full((5, len(edge_volt) - 1), np.nan)
    if len(time):
        found = _between_levels(time, volt, charge, order, gap_second)
    if sign < 0:
        found = found[:, ::-1]
    passed, open_ah, second = found[0], found[1], found[2]
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = sign * np.diff(edge_volt) / second
        mean = sign * passed * _SECOND_PER_HOUR / second
    return Windows(edge_volt[:-1], edge_volt[1:], passed, open_ah, second, slope, mean)


def charge_end(
    time_second: Float64[np.ndarray, " time"],
    voltage_volt: Float64[np.ndarray, " time"],
    current_ampere: Float64[np.ndarray, " time"],
    *,
    top_volt: float,
    window_volt: float,
    taper_ampere: tuple[float, float],
    gap_second: float,
) -> ChargeEnd:
    """Statistics of the constant-current stretch below the top voltage and of the taper at it.

    [V, 1, V/s, nat, Ah, s, A, A/s]

    Args:
        time_second: of one charge; rows without a reading are left out.
        voltage_volt: terminal voltage.
        current_ampere: positive charges.
        top_volt: the voltage at which constant current ends.
        window_volt: how far below it the first stretch begins.
        taper_ampere: highest and lowest current of the second stretch.
        gap_second: a longer step between rows breaks a stretch.
    """
    known = _known(time_second, voltage_volt, current_ampere)
    time, volt, current = time_second[known], voltage_volt[known], current_ampere[known]
    highest = np.maximum.accumulate(volt) if len(volt) else volt
    start = int(np.searchsorted(highest, top_volt - window_volt))
    top = int(np.searchsorted(highest, top_volt))
    high, low = max(taper_ampere), min(taper_ampere)
    constant, taper = np.zeros((2, len(time)), dtype=np.bool_)
    if start > 0 and top < len(time):  # it came in from below and reached the top
        constant[start : top + 1] = current[start : top + 1] > 0
    if top < len(time):
        later = current[top:]
        begun = np.flatnonzero(later <= high)
        over = np.flatnonzero(later < low)
        if len(begun) and len(over) and begun[0] > 0:
            taper[top + begun[0] : top + over[0]] = True
    first = _statistics(time, volt, current, constant, gap_second)
    second = _statistics(time, current, current, taper, gap_second)
    return ChargeEnd(*first, *second)


def _between_levels(
    time: Float64[np.ndarray, " time"],
    volt: Float64[np.ndarray, " time"],
    charge: Float64[np.ndarray, " time"],
    level: Float64[np.ndarray, " edge"],
    gap_second: float,
) -> Float64[np.ndarray, "3 window"]:
    """Charge, what of it is open, and time between levels of a rising column. [Ah, Ah, s]"""
    highest = np.maximum.accumulate(volt)
    new = np.concatenate([[0], np.flatnonzero(highest[1:] > highest[:-1]) + 1])
    reached = highest[new]
    at = np.searchsorted(reached, level)
    inside = (at > 0) & (at < len(new))
    upper = np.minimum(at, len(new) - 1)
    lower = np.maximum(upper - 1, 0)
    width = np.where(upper > lower, reached[upper] - reached[lower], 1.0)
    part = (level - reached[lower]) / width

    def value(column: Float64[np.ndarray, " time"]) -> Float64[np.ndarray, " edge"]:
        low, high = column[new[lower]], column[new[upper]]
        return np.where(inside, low + part * (high - low), np.nan)

    gaps = np.concatenate([[0], np.cumsum(np.diff(time) > gap_second)])
    open_ah = charge[new[upper]] - charge[new[lower]]
    broken = gaps[new[upper]][1:] > gaps[new[lower]][:-1]
    rows = np.stack([np.diff(value(charge)), open_ah[1:] + open_ah[:-1], np.diff(value(time))])
    rows[:, broken | np.isnan(rows[0])] = np.nan
    return rows


def _statistics(
    time: Float64[np.ndarray, " time"],
    values: Float64[np.ndarray, " time"],
    current: Float64[np.ndarray, " time"],
    chosen: Bool[np.ndarray, " time"],
    gap_second: float,
) -> tuple[float, ...]:
    """Mean, deviation, kurtosis, skewness, slope, entropy, charge, time of a stretch."""
    nan = float("nan")
    rows = np.flatnonzero(chosen)
    if len(rows) < _LEAST_ROWS:
        return (nan,) * 8
    stretch = slice(int(rows[0]), int(rows[-1]) + 1)
    when, taken = time[stretch], values[stretch]
    if np.diff(when).max() > gap_second or np.ptp(when) <= 0:
        return (nan,) * 8
    away = taken - taken.mean()
    std = float(np.mean(away**2)) ** 0.5
    flat = std <= _FLAT * float(np.abs(taken).max())
    unit = away / (1.0 if flat else std)
    since = when - when.mean()
    share = taken / taken.sum() if taken.sum() > 0 else taken
    positive = share[share > 0]
    return (
        float(taken.mean()),
        std,
        nan if flat else float(np.mean(unit**4)) - 3.0,
        nan if flat else float(np.mean(unit**3)),
        float(since @ away / (since @ since)),
        float(-np.sum(positive * np.log(positive))),
        float(_passed(when, np.maximum(current[stretch], 0.0))[-1]),
        float(when[-1] - when[0]),
    )


def _known(*columns: Float64[np.ndarray, " time"]) -> Bool[np.ndarray, " time"]:
    """Rows on which every sensor gave a reading."""
    return np.asarray(np.logical_and.reduce([np.isfinite(column) for column in columns]))


def _passed(
    time: Float64[np.ndarray, " time"], drive: Float64[np.ndarray, " time"]
) -> Float64[np.ndarray, " time"]:
    """Trapezium of a current since the first row. [Ah]"""
    counted = np.zeros(len(time))
    step = np.maximum(np.diff(time), 0.0)
    counted[1:] = np.cumsum((drive[1:] + drive[:-1]) * step) / 2 / _SECOND_PER_HOUR
    return counted
