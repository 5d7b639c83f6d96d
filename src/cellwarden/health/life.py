"""Full cycles left until the end of life, by the trend of the estimated state of health.

Rules
- The trend is a straight line through the estimates of the second half of the record; a line is
  the least that can be said, and what bends away from it must show in the interval.
- It is served only when it beats the mean life of the other cells on cells left out, and when
  there are cells enough for the stated coverage. Otherwise the reason is the answer.
- Errors are ratios: being wrong by ten cycles matters at twenty left and not at five hundred.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import Interval, Life, NotServed
from cellwarden.health.conformal import half_width, needed_cells
from cellwarden.health.soh import Rows

__all__ = ["END_OF_LIFE_FRACTION", "LifeFit", "calibrate", "end_of_life", "remaining"]

END_OF_LIFE_FRACTION: Final = 0.8
_FEWEST_CYCLES: Final = 30
_TRIAL_STEP: Final = 5
_NOW_COUNT: Final = 9  # estimates whose median is the present state
_SMOOTH_COUNT: Final = 5  # measured capacities whose median says that the end was reached
_SLOWEST: Final = 2e-5  # SOH a cycle; a flatter trend points beyond any record


@dataclass(frozen=True, slots=True)
class LifeFit:
    """A calibrated trend: the interval spans the estimate divided and multiplied by `factor`."""

    factor: float
    coverage: float

    def __call__(
        self, cycle_count: Int64[np.ndarray, " cycle"], soh_fraction: Float64[np.ndarray, " cycle"]
    ) -> Life | NotServed:
        """Cycles left after the last estimate. [1]"""
        left = remaining(cycle_count, soh_fraction)
        if np.isnan(left):
            return NotServed(f"fewer than {_FEWEST_CYCLES} cycles with an estimate")
        span = Interval(left / self.factor, left * self.factor, self.coverage)
        return Life(left, span, END_OF_LIFE_FRACTION)


def remaining(
    cycle_count: Int64[np.ndarray, " cycle"], soh_fraction: Float64[np.ndarray, " cycle"]
) -> float:
    """Cycles until the trend meets the end of life; NaN where there are too few. [1]"""
    known = np.isfinite(soh_fraction)
    cycle, soh = cycle_count[known], soh_fraction[known]
    if len(cycle) < _FEWEST_CYCLES:
        return float("nan")
    second = cycle > cycle[-1] / 2
    if second.sum() < _FEWEST_CYCLES // 2:
        return float("nan")
    at = cycle[second] - cycle[second].mean()
    slope = float(at @ soh[second] / (at @ at))
    now = float(np.median(soh[-_NOW_COUNT:]))
    return max(now - END_OF_LIFE_FRACTION, 0.0) / max(-slope, _SLOWEST)


def end_of_life(
    cycle_count: Int64[np.ndarray, " cycle"],
    measured_fraction: Float64[np.ndarray, " cycle"],
    fraction: float = END_OF_LIFE_FRACTION,
) -> int | None:
    """The cycle at which the measured capacity, smoothed, first lies below the end of life. [1]"""
    half = _SMOOTH_COUNT // 2
    padded = np.pad(measured_fraction, half, mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, _SMOOTH_COUNT), axis=1)
    below = np.flatnonzero(smooth < fraction)
    return int(cycle_count[below[0]]) if len(below) else None


def calibrate(
    rows: Rows, told: Float64[np.ndarray, " row"], coverage: float
) -> LifeFit | NotServed:
    """The trend with its interval where cells left out allow it, else why not. [1]

    `told` is each row's state of health by the fit that never saw its cell.
    """
    ends: dict[int, int] = {}
    for place in range(len(rows.cells)):
        own = rows.cell == place
        end = end_of_life(rows.cycle_count[own], rows.soh_fraction[own])
        if end is not None and end >= 2 * _FEWEST_CYCLES:
            ends[place] = end
    if len(ends) < max(needed_cells(coverage), 2):
        return NotServed(
            f"only {len(ends)} training cells reach {END_OF_LIFE_FRACTION:.0%} of nominal;"
            f" {needed_cells(coverage)} are needed for {coverage:.0%} coverage"
        )
    trend, mean, ratios = [], [], []
    for place, end in ends.items():
        own = rows.cell == place
        cycle, soh = rows.cycle_count[own], told[own]
        moments = np.arange(_FEWEST_CYCLES, end, _TRIAL_STEP)
        left = np.array([remaining(cycle[cycle <= m], soh[cycle <= m]) for m in moments])
        moments, left = moments[np.isfinite(left)], left[np.isfinite(left)]
        usual = float(np.mean([ends[other] for other in ends if other != place]))
        trend.append(float(np.abs(left - (end - moments)).mean()))
        mean.append(float(np.abs(np.maximum(usual - moments, 0) - (end - moments)).mean()))
        ratios.append(np.log((left + 1) / (end - moments + 1)))
    if not np.mean(trend) < np.mean(mean):
        return NotServed(
            f"the trend of the health errs by {np.mean(trend):.0f} cycles on {len(ends)} training"
            f" cells left out, the mean life of the others by {np.mean(mean):.0f}"
        )
    return LifeFit(float(np.exp(half_width(ratios, coverage))), coverage)
