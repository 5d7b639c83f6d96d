"""What a population of cells says about the fade of one more: an empirical Bayes prior of curves.

Every cell has a curve of `fade_law`; its parameters are normal around a line of its usage (rates
are logarithms, so lognormal). The line, the covariance and the noise are found by expectation and
maximisation over the training cells, each cell's parameters told by a normal around their most
likely place (Laplace). A cell watched for a short time says little and moves little: nothing is
taken for failed that was not seen to fail.

Rules
- Neighbouring deviations from a curve err together, so a cell's points count as fewer: a share
  (1 - r)/(1 + r) of them, r their correlation.
- Only rates depend on usage; first capacity and bend do not, so a change of usage moves clocks.
- With few cells the covariance is drawn to a wide diagonal one, worth `_PRIOR_CELLS` cells.

Source: B. Efron, "Large-Scale Inference" (2010), chapter 1; the Laplace step of mixed models,
N. E. Breslow and D. G. Clayton, J. Am. Stat. Assoc. 88, 9 (1993).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from cellwarden.errors import DataError, UsageError
from cellwarden.health.fade_law import RATES, Usage, clocks, fade, slopes, stress

__all__ = ["History", "Population", "Posterior", "condition", "fit_population", "thinned"]

_POINTS: Final = 40
_ROUNDS: Final = 25
_STEPS: Final = 12
_ROUND_STEPS: Final = 4  # a round starts where the last one ended
_PRIOR_CELLS: Final = 3.0
_WIDE: Final = np.array([0.02, 0.7, 0.7, 0.4, 0.4])  # standard deviations of the wide prior
_LEAST_NOISE: Final = 5e-4
_SLOPE_PENALTY: Final = 1e-3
_BEND: Final = (-2.0, 3.5)


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """State of health of one cell at its cycles so far, and how it was used."""

    cycle_count: Float64[np.ndarray, " cycle"]
    soh_fraction: Float64[np.ndarray, " cycle"]
    usage: Usage = field(default_factory=Usage)
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.cycle_count) != len(self.soh_fraction):
            raise DataError("cycles and states of health differ in number", hint="Give pairs.")
        if np.any(np.diff(self.cycle_count) <= 0):
            raise DataError("the cycles do not rise", hint="Sort them and drop doubles.")

    def until(self, cycle: float) -> "History":
        """What was known at a cycle."""
        seen = self.cycle_count <= cycle
        return History(self.cycle_count[seen], self.soh_fraction[seen], self.usage, self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Prior of the parameters of a cell: `weights @ stress` and a covariance, and the noise."""

    stresses: tuple[str, ...]
    weights: Float64[np.ndarray, "parameter column"]
    covariance: Float64[np.ndarray, "parameter parameter"]
    noise_fraction: float
    share: float
    cell_count: int

    def middle(self, usage: Usage) -> Float64[np.ndarray, " parameter"]:
        """The most likely parameters of a cell not yet seen. [as fade_law]"""
        return np.asarray(self.weights @ stress(usage, self.stresses))


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """The parameters of one cell given its history: a normal around the most likely ones."""

    mode: Float64[np.ndarray, " parameter"]
    covariance: Float64[np.ndarray, "parameter parameter"]


def thinned(
    history: History, count: int = _POINTS
) -> tuple[Float64[np.ndarray, " point"], Float64[np.ndarray, " point"]]:
    """Cycles and medians of equal stretches of what is known of a history. [1]"""
    known = np.isfinite(history.soh_fraction)
    cycle, soh = history.cycle_count[known], history.soh_fraction[known]
    if len(cycle) <= count:
        return cycle, soh
    length = -(-len(cycle) // count)
    whole = len(cycle) // length * length
    told = [
        (cycle[:whole].reshape(-1, length).mean(axis=1)),
        np.median(soh[:whole].reshape(-1, length), axis=1),
    ]
    if whole < len(cycle):
        told = [
            np.append(told[0], cycle[whole:].mean()),
            np.append(told[1], np.median(soh[whole:])),
        ]
    return told[0], told[1]


def condition(history: History, population: Population) -> Posterior:
    """The parameters of a cell given its history and where it comes from. [as fade_law]"""
    prior = population.middle(history.usage)[None]
    mode, spread = _climb(_padded([history]), prior, population, prior.copy())
    return Posterior(mode[0], spread[0])


def fit_population(histories: Sequence[History], stresses: tuple[str, ...] = ()) -> Population:
    """The prior under which these cells are most likely. [as fade_law]

    Raises:
        UsageError: there are fewer than two cells with a history.
    """
    cells = [one for one in histories if np.isfinite(one.soh_fraction).sum() > 1]
    if len(cells) < 2:  # noqa: PLR2004  one cell says nothing about how cells differ
        raise UsageError("a population needs two cells", hint="Give more histories.")
    points = _padded(cells)
    design = np.stack([stress(one.usage, stresses) for one in cells])
    guess = np.stack([_guess(c[t], s[t]) for c, s, t in zip(*points, strict=True)])
    weights = np.zeros((guess.shape[1], design.shape[1]))
    weights[:, 0] = np.median(guess, axis=0)
    population = Population(
        stresses, weights, np.diag(_WIDE**2) * 4, 0.005, 0.3, len(cells)
    )  # fmt: skip
    mode = guess
    for _ in range(_ROUNDS):
        prior = design @ population.weights.T
        mode, spread = _climb(points, prior, population, mode, _ROUND_STEPS)
        population = _maximise(population, design, mode, spread, points)
    return population


def _maximise(
    population: Population,
    design: Float64[np.ndarray, "cell column"],
    mode: Float64[np.ndarray, "cell parameter"],
    spread: Float64[np.ndarray, "cell parameter parameter"],
    points: "_Points",
) -> Population:
    """The next population, given what is believed of each cell."""
    count = len(mode)
    weights = np.zeros_like(population.weights)
    weights[:, 0] = mode.mean(axis=0)
    penalty = _SLOPE_PENALTY * count * np.diag((design**2).mean(axis=0))
    penalty[0, 0] = 0.0
    gram = design.T @ design + penalty
    weights[RATES] = np.linalg.solve(gram, design.T @ mode[:, RATES]).T
    away = mode - design @ weights.T
    # In the first stretch cells say nothing of a knee: their spread there is the prior's own.
    total = away.T @ away + spread.sum(axis=0) + _PRIOR_CELLS * np.diag(_WIDE**2)
    cycle, soh, there = points
    left = np.where(there, soh - fade(mode, clocks(mode, cycle)), 0.0)
    square = float((left**2).sum() / there.sum())
    both = there[:, 1:] & there[:, :-1]
    alike = float((left[:, 1:] * left[:, :-1] * both).sum() / both.sum()) / max(square, 1e-12)
    alike = min(max(alike, 0.0), 0.95)
    return Population(
        population.stresses,
        weights,
        total / (count + _PRIOR_CELLS),
        max(float(np.sqrt(square)), _LEAST_NOISE),
        (1 - alike) / (1 + alike),
        count,
    )


def _climb(
    points: "_Points",
    prior: Float64[np.ndarray, "cell parameter"],
    population: Population,
    start: Float64[np.ndarray, "cell parameter"],
    step_count: int = _STEPS,
) -> tuple[Float64[np.ndarray, "cell parameter"], Float64[np.ndarray, "cell parameter parameter"]]:
    """Most likely parameters of each cell and their covariance, by damped Gauss-Newton steps."""
    cycle, soh, there = points
    precision = np.linalg.inv(population.covariance)
    weight = there * (population.share / population.noise_fraction**2)

    def cost(at: np.ndarray) -> np.ndarray:
        left = soh - fade(at, clocks(at, cycle))
        away = at - prior
        return np.asarray(
            (weight * left**2).sum(axis=1) + np.einsum("ci,ij,cj->c", away, precision, away)
        )

    at, damping = start.copy(), np.full(len(start), 1e-2)
    now = cost(at)
    hessian = np.zeros((len(start), start.shape[1], start.shape[1]))
    for _ in range(step_count):
        by = slopes(at, cycle)
        hessian = np.einsum("cpi,cp,cpj->cij", by, weight, by) + precision
        pull = np.einsum("cpi,cp->ci", by, weight * (soh - fade(at, clocks(at, cycle))))
        pull -= (at - prior) @ precision
        scale = damping[:, None] * np.einsum("cii->ci", hessian)
        damped = hessian + scale[:, :, None] * np.eye(start.shape[1])
        new = at + np.clip(np.linalg.solve(damped, pull[:, :, None])[:, :, 0], -1.0, 1.0)
        new[:, 4] = np.clip(new[:, 4], *_BEND)
        then = cost(new)
        better = then <= now
        at, now = np.where(better[:, None], new, at), np.where(better, then, now)
        damping = np.where(better, damping * 0.2, damping * 8)
    return at, np.linalg.inv(hessian)


class _Points(NamedTuple):
    """Points of every cell in one table, and where there is one. [1]"""

    cycle: Float64[np.ndarray, "cell point"]
    soh: Float64[np.ndarray, "cell point"]
    there: Bool[np.ndarray, "cell point"]


def _padded(cells: Sequence[History]) -> _Points:
    parts = [thinned(one) for one in cells]
    width = max(2, *(len(cycle) for cycle, _ in parts))
    cycle, soh = np.ones((len(parts), width)), np.zeros((len(parts), width))
    there = np.zeros((len(parts), width), dtype=bool)
    for place, (own_cycle, own_soh) in enumerate(parts):
        cycle[place, : len(own_cycle)] = own_cycle
        soh[place, : len(own_soh)] = own_soh
        there[place, : len(own_soh)] = True
    return _Points(cycle, soh, there)


def _guess(
    cycle: Float64[np.ndarray, " point"], soh: Float64[np.ndarray, " point"]
) -> Float64[np.ndarray, " parameter"]:
    """Where to start: a third of the loss to each of root, line and knee. [as fade_law]"""
    lost = max(float(soh[0] - soh[-1]), 0.01) / 3
    last = float(cycle[-1])
    knee = np.log((lost / 0.1) ** 0.25 / last)
    return np.array([soh[0], np.log(lost**2 / last), np.log(lost / last), knee, np.log(3.0)])
