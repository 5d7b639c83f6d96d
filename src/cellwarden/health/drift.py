"""Whether a stream of errors has changed: two detectors as pure steps.

`adwin(state, value)` keeps a window that it cuts where older and newer values differ by more than
chance allows; `page_hinkley(state, value)` sums how far values lie from their mean so far.

Rules
- ADWIN takes values in 0..1, on which its bound rests; what is outside is held to it.
- Its memory is logarithmic: at most `_MOST + 1` buckets of 1, 2, 4, ... values each.
- The chance of a false cut at one step is shared over the cuts looked at.
- After an alarm Page-Hinkley starts anew; ADWIN keeps what is newer than the cut.

Source: A. Bifet, R. Gavaldà, SDM 2007, 443, doi 10.1137/1.9781611972771.42, section 3 and the
normal bound of 4; E. S. Page, Biometrika 41, 100 (1954), doi 10.1093/biomet/41.1-2.100.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["Adwin", "PageHinkley", "adwin", "page_hinkley"]

_MOST: Final = 5
_FEWEST: Final = 5  # values on either side of a cut

_Bucket = tuple[float, float]  # sum, and sum of squared distances from the mean


@dataclass(frozen=True, slots=True)
class Adwin:
    """The window as buckets: level k holds 2^k values each, the oldest bucket first."""

    levels: tuple[tuple[_Bucket, ...], ...] = ()

    @property
    def count(self) -> int:
        """Values in the window. [1]"""
        return sum(len(level) << k for k, level in enumerate(self.levels))

    @property
    def mean(self) -> float:
        """Of the window; NaN where it is empty. [1]"""
        total = sum(bucket[0] for level in self.levels for bucket in level)
        return total / self.count if self.count else math.nan


@dataclass(frozen=True, slots=True)
class PageHinkley:
    """Sums since the last alarm, upwards and downwards, with their smallest values."""

    count: int = 0
    mean: float = 0.0
    up: float = 0.0
    least_up: float = 0.0
    down: float = 0.0
    least_down: float = 0.0


def adwin(state: Adwin, value: float, delta: float = 0.002) -> tuple[Adwin, bool]:
    """The window with one more value, and whether it was cut. [1]

    A value that is no number changes nothing.
    """
    if not math.isfinite(value):
        return state, False
    levels = [list(level) for level in state.levels] or [[]]
    levels[0].append((min(max(value, 0.0), 1.0), 0.0))
    for k, level in enumerate(levels):
        if len(level) > _MOST:
            if k + 1 == len(levels):
                levels.append([])
            older, newer = level.pop(0), level.pop(0)
            levels[k + 1].append(_joined(older, newer, 1 << k, 1 << k))
    cut = False
    while _differs(levels, delta):
        levels[-1].pop(0)
        while levels and not levels[-1]:
            levels.pop()
        cut = True
    return Adwin(tuple(map(tuple, levels))), cut


def _joined(one: _Bucket, other: _Bucket, first: int, second: int) -> _Bucket:
    apart = one[0] / first - other[0] / second
    between = apart**2 * first * second / (first + second)
    return one[0] + other[0], one[1] + other[1] + between


def _differs(levels: list[list[_Bucket]], delta: float) -> bool:
    """Whether an older and a newer part of the window have different means."""
    ordered = [(1 << k, bucket) for k in reversed(range(len(levels))) for bucket in levels[k]]
    count, whole = 0, (0.0, 0.0)
    for size, bucket in ordered:
        whole = _joined(whole, bucket, count, size) if count else bucket
        count += size
    if count < 2 * _FEWEST:
        return False
    level = math.log(2 * len(ordered) / delta)
    variance = whole[1] / count
    before, total = 0, 0.0
    for size, bucket in ordered[:-1]:
        before, total = before + size, total + bucket[0]
        after = count - before
        if before < _FEWEST or after < _FEWEST:
            continue
        inverse = 1 / before + 1 / after
        allowed = math.sqrt(2 * inverse * variance * level) + 2 / 3 * inverse * level
        if abs(total / before - (whole[0] - total) / after) > allowed:
            return True
    return False


def page_hinkley(
    state: PageHinkley, value: float, allowance: float = 0.25, threshold: float = 20.0
) -> tuple[PageHinkley, bool]:
    """The sums with one more value, and whether one rose above the threshold. [unit of the value]

    Values are taken in units of their usual spread; a value that is no number changes nothing.
    """
    if not math.isfinite(value):
        return state, False
    count = state.count + 1
    mean = state.mean + (value - state.mean) / count
    up = state.up + value - mean - allowance
    down = state.down - value + mean - allowance
    told = replace(
        state, count=count, mean=mean, up=up, least_up=min(state.least_up, up), down=down,
        least_down=min(state.least_down, down),
    )  # fmt: skip
    if max(up - told.least_up, down - told.least_down) > threshold:
        return PageHinkley(), True
    return told, False
