"""Bounded least squares from several starts, and how far each number can go before a fit is worse.

Rules
- An interval is by profile likelihood: a number is moved, the others are fitted again, until the
  sum of squares is beyond what chance allows (F law). It is open where that does not happen within
  the bounds: the data do not tell the number.
- The number of independent readings is the caller's to say; neighbouring points err together.

Source: A. Raue et al., Bioinformatics 25, 1923 (2009), doi 10.1093/bioinformatics/btp358; the
limit, D. M. Bates and D. G. Watts, Nonlinear Regression Analysis (1988), section 6.1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

__all__ = ["Fit", "Numbers", "condition_number", "fit", "interval", "naive_std"]

Numbers = Float64[np.ndarray, " number"]
Left = Callable[[Numbers], Float64[np.ndarray, " point"]]
_STEPS: Final = (0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 7.0, 12.0)  # standard errors from the best


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The best numbers, what is left over there and its slopes."""

    numbers: Numbers
    left: Float64[np.ndarray, " point"]
    slopes: Float64[np.ndarray, "point number"]

    @property
    def square(self) -> float:
        """Sum of squares left over. [unit²]"""
        return float(self.left @ self.left)


def fit(left: Left, starts: Sequence[Numbers], low: Numbers, high: Numbers) -> Fit:
    """The best end of several starts. [units of the problem]"""
    every = np.arange(len(low))
    found = [_solve(left, start, every, low, high) for start in starts]
    return min(found, key=lambda one: one.square)


def condition_number(best: Fit) -> float:
    """Of the scaled Fisher information; infinite where a number moves nothing. [1]"""
    information = best.slopes.T @ best.slopes
    unit = np.sqrt(np.diag(information))
    if np.any(unit == 0):
        return float("inf")
    return float(np.linalg.cond(information / np.outer(unit, unit)))


def naive_std(best: Fit, count: float) -> Numbers:
    """Standard errors as if `count` readings were independent. [units of the problem]"""
    inverse = np.linalg.pinv(best.slopes.T @ best.slopes, rcond=1e-12)
    share = len(best.left) / count  # points that one reading stands for
    variance = best.square / max(len(best.left) - share * len(best.numbers), share)
    return np.asarray(np.sqrt(np.diag(inverse) * variance * share))


def interval(  # noqa: PLR0917  a fit, one of its numbers and what chance is
    left: Left,
    best: Fit,
    place: int,
    bounds: tuple[Numbers, Numbers],
    count: float,
    coverage: float,
) -> tuple[float, float]:
    """Ends of what a number may be; an infinite one where the data do not close it."""
    from scipy.special import fdtri  # noqa: PLC0415  when it is used

    free = max(count - len(best.numbers), 1.0)
    most = float(np.sqrt(fdtri(1, free, coverage) / free))
    step = float(naive_std(best, count)[place]) or 1.0
    return (
        _end(left, best, place, bounds, -step, most),
        _end(left, best, place, bounds, step, most),
    )


def _end(  # noqa: PLR0917  one side of an interval of one number of a fit
    left: Left, best: Fit, place: int, bounds: tuple[Numbers, Numbers], step: float, most: float
) -> float:
    others = np.delete(np.arange(len(best.numbers)), place)
    at, before, near = best.numbers.copy(), float(best.numbers[place]), 0.0
    for far in _STEPS:
        at[place] = best.numbers[place] + far * step
        if not bounds[0][place] < at[place] < bounds[1][place]:
            break
        found = _solve(left, at, others, *bounds)
        at = found.numbers.copy()
        # The root of the gain is nearly straight, so the crossing is read off between.
        gain = float(np.sqrt(max(found.square / best.square - 1, 0.0)))
        if gain > most:
            return before + (most - near) / (gain - near) * (float(at[place]) - before)
        before, near = float(at[place]), gain
    return float(np.sign(step) * np.inf)


def _solve(left: Left, whole: Numbers, free: np.ndarray, low: Numbers, high: Numbers) -> Fit:
    """Least squares over some of the numbers, the others held."""
    from scipy.optimize import least_squares  # noqa: PLC0415  when it is used

    held = whole.copy()

    def part(numbers: Numbers) -> Float64[np.ndarray, " point"]:
        held[free] = numbers
        return left(held)

    start = np.clip(whole[free], low[free], high[free])
    found = least_squares(part, start, bounds=(low[free], high[free]), x_scale="jac", max_nfev=100)
    held[free] = found.x
    return Fit(held, found.fun, found.jac)
