"""Where a capacity curve bends down, with an interval, or why nowhere.

Two lines that meet are fitted by least squares; the knee is where they meet. The interval holds all
places whose fit is not worse than the best one's by more than chance allows (profile likelihood).
Capacities of neighbouring cycles err together, so they count as fewer: n(1 - r)/(1 + r) of them,
r the correlation of neighbouring residuals.

Rules
- There is a knee only where the fade after it is at least `STEEPER` times the fade before it, the
  two lines beat one far beyond chance, and each holds `_FEWEST` cycles or more.
- It looks back: the knee of a record is that of the cycles seen so far.

Source: D. W. Bacon and D. G. Watts, Biometrika 58, 525 (1971), in the limit of a sharp bend; the
effective number of a first-order autoregression: G. V. Bayley and J. M. Hammersley, J. R. Stat.
Soc. Suppl. 8, 184 (1946).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Interval, NotServed
from cellwarden.errors import DataError, UsageError

__all__ = ["STEEPER", "Knee", "find_knee"]

STEEPER: Final = 1.5
_FEWEST: Final = 10
_PLACES: Final = 400
_CHANCE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Knee:
    """The cycle at which the fade turns steep, and the fade a cycle before and after."""

    cycle: float
    interval: Interval
    fade_before_ah: float
    fade_after_ah: float


def find_knee(
    cycle_count: Float64[np.ndarray, " cycle"],
    capacity_ah: Float64[np.ndarray, " cycle"],
    coverage: float = 0.9,
) -> Knee | NotServed:
    """The knee of a capacity curve; rows without a number are passed over. [1]

    Raises:
        DataError: the cycles do not rise.
        UsageError: the coverage is none.
    """
    if not 0 < coverage < 1:
        raise UsageError(
            f"coverage must lie between 0 and 1, not {coverage}", hint="Give for example 0.9."
        )
    known = np.isfinite(cycle_count) & np.isfinite(capacity_ah)
    x, y = cycle_count[known], capacity_ah[known]
    if len(x) < 2 * _FEWEST + 1:
        return NotServed(f"fewer than {2 * _FEWEST + 1} cycles with a capacity")
    if np.any(np.diff(x) <= 0):
        raise DataError("the cycles do not rise", hint="Sort them and drop doubles.")
    places = np.linspace(x[_FEWEST - 1], x[-_FEWEST], min(_PLACES, len(x)))
    fits = [_bent(x, y, place) for place in places]
    lost = np.array([one[0] for one in fits])
    best = int(np.argmin(lost))
    _, slope, bend, left = fits[best]
    count = _effective(left)
    before, after = -slope, -(slope + bend)
    if after <= 0 or after < STEEPER * before:
        return NotServed("the fade does not turn steep: no second line that falls faster")
    straight = float(np.sum((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2))
    if _gain(straight, float(lost[best]), count) < _limit(1 - _CHANCE, 2):
        return NotServed("one line tells the curve as well as two that meet")
    near = places[_gains(lost, float(lost[best]), count) <= _limit(coverage, 1)]
    step = float(places[1] - places[0]) / 2  # what lies between two places is not told apart
    span = Interval(float(near[0]) - step, float(near[-1]) + step, coverage)
    return Knee(float(places[best]), span, before, after)


def _bent(
    x: Float64[np.ndarray, " cycle"], y: Float64[np.ndarray, " cycle"], place: float
) -> tuple[float, float, float, Float64[np.ndarray, " cycle"]]:
    """What two lines that meet at a place leave over, first slope, bend and residuals. [Ah², Ah]"""
    middle, spread = x.mean(), np.ptp(x)
    design = np.column_stack(
        [np.ones(len(x)), (x - middle) / spread, np.maximum(x - place, 0) / spread]
    )
    weights = np.linalg.lstsq(design, y, rcond=None)[0]
    left = y - design @ weights
    return float(left @ left), float(weights[1] / spread), float(weights[2] / spread), left


def _effective(left: Float64[np.ndarray, " cycle"]) -> float:
    """How many independent residuals these are worth. [1]"""
    square = float(left @ left)
    r = float(left[1:] @ left[:-1]) / square if square else 0.0
    r = min(max(r, 0.0), 0.99)
    return max(len(left) * (1 - r) / (1 + r), 5.0)


def _gain(worse: float, best: float, count: float) -> float:
    """Twice the gain of the logarithm of the likelihood. [1]"""
    return float(_gains(np.array([worse]), best, count)[0])


def _gains(
    worse: Float64[np.ndarray, " place"], best: float, count: float
) -> Float64[np.ndarray, " place"]:
    least = max(best, 1e-300)
    return np.asarray(count * np.log(np.maximum(worse, least) / least))


def _limit(chance: float, freedom: int) -> float:
    """Quantile of χ². [1]"""
    from scipy.special import chdtri  # noqa: PLC0415  when it is used

    return float(chdtri(freedom, 1 - chance))
