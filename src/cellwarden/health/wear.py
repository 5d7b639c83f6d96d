"""A semi-empirical law of wear fitted to measured fade, and which of its numbers the data tell.

    lost = Σ (∫ r da)^z   over terms; a counts days or full cycles,
    r = exp(log_rate + Σ weight x stress)

A term with a = days is calendar ageing, one with a = cycles is ageing by use; the weight of the
temperature is an activation energy (Arrhenius), that of a rate an exponent. The integral of a rate
is what is carried on, never the loss times a step, so cutting a stretch of time into pieces
changes nothing.

Rules
- A loss counts from the median of a cell's first readings, at their cycle, as the law's does.
- Every cell has the same weight; what differs from cell to cell is noise of the fit, and standard
  errors are over cells (sandwich), not over points.
- A number is told by the data only if the fit gets worse beyond chance on both sides of it (profile
  likelihood) before it leaves `BOUNDS`; otherwise its interval is open and `told` is false.
- The condition number is that of the Fisher information with every number in units of its own
  standard error: large means that some numbers can only be told together.
- A start is taken from the law's own range, several times, by a fixed seed; the best end is kept.

Source of the form: J. Wang et al., J. Power Sources 196, 3942 (2011), doi
10.1016/j.jpowsour.2010.11.134 (power of throughput, Arrhenius); calendar and cycle terms added,
J. Schmalstieg et al., J. Power Sources 257, 325 (2014). Sandwich over groups: K.-Y. Liang and
S. L. Zeger, Biometrika 73, 13 (1986). Intervals: `profile`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import UsageError
from cellwarden.health.fade_law import Usage, stress
from cellwarden.health.population import History, thinned
from cellwarden.health.profile import Fit, Numbers, condition_number, fit, interval

__all__ = ["BOUNDS", "Term", "Told", "Wear", "WearFit", "clock_rates", "fit_wear", "lost"]

Clock = Literal["day", "cycle"]
BOUNDS: Final = {"log_rate": (-30.0, 2.0), "power": (0.2, 4.0), "weight": (-150.0, 150.0)}
_STARTS: Final = 4
_POINTS: Final = 30
_FIRST: Final = 5  # first readings whose median is the state as new
_COVERAGE: Final = 0.9
_DAY_HOURS: Final = 24.0
_SAME: Final = 0.01


@dataclass(frozen=True, slots=True)
class Term:
    """One cause of loss: what it counts and which stresses speed it."""

    clock: Clock
    stresses: tuple[str, ...] = ("temperature",)


@dataclass(frozen=True, slots=True, eq=False)
class Wear:
    """A law with its numbers: of each term the logarithm of its rate, weights and power."""

    terms: tuple[Term, ...]
    numbers: Float64[np.ndarray, " number"]


@dataclass(frozen=True, slots=True)
class Told:
    """A number of the law; `told` where the interval is closed on both sides."""

    name: str
    value: float
    std: float
    low: float
    high: float
    told: bool


@dataclass(frozen=True, slots=True, eq=False)
class WearFit:
    """The law, what the data tell of each number, and how well it fits. [1]

    Where `clocks_alike`, days and cycles ran in one ratio in all cells: a term of days fits as well
    with cycles, and which is calendar ageing is not told, however close the intervals are.
    """

    wear: Wear
    numbers: tuple[Told, ...]
    condition_number: float
    rmse_fraction: float
    cell_count: int
    clocks_alike: bool


def clock_rates(wear: Wear, usage: Usage) -> Float64[np.ndarray, " term"]:
    """How fast the clock of each term runs, a full cycle of this usage. [1/cycle]

    A cycle of a usage without rests takes one over each rate, in hours.
    """
    days = (1 / usage.charge_rate + 1 / usage.discharge_rate) / _DAY_HOURS
    told, at = [], 0
    for term in wear.terms:
        width = len(term.stresses) + 1
        rate = np.exp(wear.numbers[at : at + width] @ stress(usage, term.stresses))
        told.append(rate * (days if term.clock == "day" else 1.0))
        at += width + 1
    return np.array(told)


def lost(wear: Wear, clock: Float64[np.ndarray, "term *point"]) -> Float64[np.ndarray, "*point"]:
    """Capacity lost where the clocks of the terms stand so, over nominal. [1]"""
    powers = wear.numbers[_powers(wear.terms)].reshape((-1,) + (1,) * (clock.ndim - 1))
    return np.asarray((np.maximum(clock, 0.0) ** powers).sum(axis=0))


def fit_wear(
    histories: Sequence[History], terms: tuple[Term, ...], most_lost_fraction: float = 0.2
) -> WearFit:
    """The law that tells these cells best, and how surely. [1]

    Raises:
        UsageError: there are fewer cells than numbers of the law.
    """
    names = _names(terms)
    if len(histories) < len(names):
        raise UsageError(
            f"{len(histories)} cells cannot tell {len(names)} numbers",
            hint="Give more cells or a law with fewer terms or stresses.",
        )
    points = [_loss(one, most_lost_fraction) for one in histories]
    problem = _Problem(terms, tuple(points), tuple(one.usage for one in histories))
    low, high = _bounds(terms)
    best = fit(problem, problem.starts(), low, high)
    of_cell = np.repeat(np.arange(len(points)), [len(cycle) - 1 for cycle, _ in points])
    std = _sandwich(best, of_cell)
    numbers = []
    for k, name in enumerate(names):
        # A cell counts as one reading: neighbouring points of a cell err together.
        span = interval(problem, best, k, (low, high), len(points), _COVERAGE)
        closed = bool(np.isfinite(span).all())
        numbers.append(Told(name, float(best.numbers[k]), float(std[k]), *span, closed))
    return WearFit(
        Wear(terms, best.numbers),
        tuple(numbers),
        condition_number(best),
        float(np.sqrt(best.square / len(points))),
        len(points),
        _alike(problem),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """The cells, the law and what is left over by numbers of it."""

    terms: tuple[Term, ...]
    points: tuple[tuple[np.ndarray, np.ndarray], ...]
    usages: tuple[Usage, ...]

    def __call__(self, numbers: Float64[np.ndarray, " number"]) -> Float64[np.ndarray, " point"]:
        """Loss told less loss measured, every cell of the same weight. [1]"""
        wear, parts = Wear(self.terms, numbers), []
        for (cycle, loss), usage in zip(self.points, self.usages, strict=True):
            told = lost(wear, clock_rates(wear, usage)[:, None] * cycle)
            parts.append((told[1:] - told[0] - loss[1:]) / np.sqrt(len(cycle) - 1))
        return np.concatenate(parts)

    def starts(self) -> list[Numbers]:
        """Laws that lose a few percent over the longest record."""
        rng = np.random.default_rng(0)
        longest = max(float(cycle[-1]) for cycle, _ in self.points)
        found = []
        for _ in range(_STARTS):
            start = np.zeros(len(_names(self.terms)))
            for term, at in zip(self.terms, _powers(self.terms), strict=True):
                first = at - len(term.stresses) - 1
                start[at] = rng.uniform(0.5, 1.5)
                share = rng.uniform(0.03, 0.2) / len(self.terms)
                start[first] = np.log(share ** (1 / start[at]) / longest)
                start[first + 1 : at] = rng.normal(0.0, 10.0, at - first - 1)
            found.append(start)
        return found


def _alike(problem: _Problem) -> bool:
    """Whether the data cannot tell days from cycles: every cell has as many of one to the other."""
    if {term.clock for term in problem.terms} != {"day", "cycle"}:
        return False
    days = [1 / one.charge_rate + 1 / one.discharge_rate for one in problem.usages]
    return bool(np.ptp(days) < _SAME * max(days))


def _loss(
    history: History, most: float
) -> tuple[Float64[np.ndarray, " point"], Float64[np.ndarray, " point"]]:
    """Cycles and capacity lost since the first of them, down to a loss. [1]"""
    known = np.isfinite(history.soh_fraction)
    first = slice(0, _FIRST)
    start = float(history.cycle_count[known][first].mean())
    new = float(np.median(history.soh_fraction[known][first]))
    cycle, soh = thinned(history, _POINTS)
    cycle, soh = cycle[cycle > start], soh[cycle > start]
    over = np.flatnonzero(new - soh > most)
    end = max(int(over[0]) if len(over) else len(cycle), 1)
    return np.append(start, cycle[:end]), np.append(0.0, new - soh[:end])


def _names(terms: tuple[Term, ...]) -> tuple[str, ...]:
    return tuple(
        f"{term.clock} {name}"
        for term in terms
        for name in ("log_rate", *(f"weight of {one}" for one in term.stresses), "power")
    )


def _powers(terms: tuple[Term, ...]) -> np.ndarray:
    return np.cumsum([len(term.stresses) + 2 for term in terms]) - 1


def _bounds(terms: tuple[Term, ...]) -> tuple[np.ndarray, np.ndarray]:
    spans = [BOUNDS[name.split()[1]] for name in _names(terms)]
    low, high = np.array(spans, dtype=np.float64).T
    return low, high


def _sandwich(best: Fit, of_cell: Int64[np.ndarray, " point"]) -> Numbers:
    """Standard errors of the numbers over cells. [units of the law]"""
    count, width = int(of_cell.max()) + 1, len(best.numbers)
    scores = np.zeros((count, width))
    np.add.at(scores, of_cell, best.slopes * best.left[:, None])
    inverse = np.linalg.pinv(best.slopes.T @ best.slopes, rcond=1e-12)
    covariance = inverse @ (scores.T @ scores) @ inverse * count / max(count - width, 1)
    return np.asarray(np.sqrt(np.diag(covariance)))
