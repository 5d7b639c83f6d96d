"""What the curves of a population say of a cell from its last cycle on, before calibration.

Draws around the most likely curve, weighed by how well each tells the history, give the middle and
a raw spread. A plan of usages moves the rates of the clocks from one phase to the next.

Source of the weights: importance sampling from a Laplace approximation, L. Tierney and
J. B. Kadane, J. Am. Stat. Assoc. 81, 82 (1986).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError
from cellwarden.health.fade_law import RATES, Usage, clocks, fade, stress
from cellwarden.health.population import History, Population, condition, thinned

__all__ = ["BELOW", "FEWEST", "Phase", "Raw", "forecast"]

BELOW: Final = 0.05  # how far under the end of life a curve is learnt and told
FEWEST: Final = 5  # points of a history
_DRAWS: Final = 200
_POINTS: Final = 60
_FARTHEST: Final = 10.0  # times the longest history
_SEARCH: Final = 40
_PRESENT: Final = 9
_MEMORY: Final = 0.5  # of the cycles so far, over which a miss of the present fades


@dataclass(frozen=True, slots=True)
class Phase:
    """A usage and for how many cycles; the last phase of a plan goes on."""

    usage: Usage
    cycle_count: float = float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """What the draws say before calibration; a life is all cycles from new. [1]"""

    cycle_count: Float64[np.ndarray, " point"]
    soh_fraction: Float64[np.ndarray, " point"]
    spread_fraction: Float64[np.ndarray, " point"]
    log_life: float
    log_life_spread: float
    lived: float
    effective_draws: float


def forecast(
    history: History,
    population: Population,
    plan: Sequence[Phase] = (),
    *,
    end_of_life_fraction: float = 0.8,
    longest_cycle_count: float = 5000.0,
) -> Raw:
    """What the curves say of a cell from its last cycle on, not yet calibrated. [1]

    Raises:
        UsageError: the history holds fewer than five cycles with a number.
    """
    cycle, soh = thinned(history)
    if len(cycle) < FEWEST:
        raise UsageError("the history is too short", hint=f"Give {FEWEST} cycles or more.")
    draws, weight = _draw(history, population, cycle, soh)
    now = float(history.cycle_count[-1])
    ahead = _Ahead(draws, now, _rates(draws, history.usage, plan, population))
    recent = history.soh_fraction[np.isfinite(history.soh_fraction)][-_PRESENT:]
    # A curve that misses the present misses the near future alike; later it is the curve's turn.
    miss = float(np.median(recent)) - fade(draws, ahead.at(np.array([now])))[:, 0]
    memory = max(now * _MEMORY, 1.0)

    def told(at: np.ndarray) -> np.ndarray:
        fading = np.exp(-(at - now) / memory)
        told = fade(draws, ahead.at(at)) + miss[:, None] * fading
        return np.asarray(np.maximum(told, end_of_life_fraction - BELOW))

    life = _meets(told, now, end_of_life_fraction, _FARTHEST * longest_cycle_count)
    log_life = np.log(life)
    middle = float(_quantile(log_life[:, None], weight, 0.5)[0])
    last = max(float(np.exp(middle)) * 1.5, now + 50.0)
    grid = np.linspace(now, min(last, 2 * longest_cycle_count + now), _POINTS)
    soh_draws = told(grid)
    centre = _quantile(soh_draws, weight, 0.5)
    spread = np.sqrt(weight @ (soh_draws - centre) ** 2 + population.noise_fraction**2)
    away = float(np.sqrt(weight @ (log_life - middle) ** 2))
    floor = 0.5 * population.noise_fraction  # of a life, what noise alone would move it by
    return Raw(
        grid, centre, spread, middle, float(np.hypot(away, floor)),
        now / float(np.exp(middle)), float(1 / (weight**2).sum()),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Ahead:
    """Clocks of each draw after now: rates of each phase and where phases start."""

    draws: Float64[np.ndarray, "draw parameter"]
    now: float
    phases: tuple[tuple[float, float, Float64[np.ndarray, "draw rate"]], ...]

    def at(self, cycle: np.ndarray) -> np.ndarray:
        """Clocks at these cycles, the same for all draws or each its own. [1]"""
        wide = np.broadcast_to(np.atleast_2d(cycle), (len(self.draws), np.shape(cycle)[-1]))
        clock = clocks(self.draws, np.full_like(wide, self.now))
        for start, length, rates in self.phases:
            done = np.clip(wide - self.now - start, 0.0, length)
            clock = clock + rates.T[:, :, None] * done
        return np.asarray(clock)


def _rates(
    draws: Float64[np.ndarray, "draw parameter"],
    usage: Usage,
    plan: Sequence[Phase],
    population: Population,
) -> tuple[tuple[float, float, np.ndarray], ...]:
    """Start, length and rates of each phase to come. [1, 1/cycle]"""
    before, start, told = stress(usage, population.stresses), 0.0, []
    phases = list(plan) or [Phase(usage)]
    for place, phase in enumerate(phases):
        moved = population.weights[RATES] @ (stress(phase.usage, population.stresses) - before)
        length = float("inf") if place == len(phases) - 1 else phase.cycle_count
        told.append((start, length, np.exp(np.clip(draws[:, RATES] + moved, -30.0, 5.0))))
        start += length
    return tuple(told)


def _draw(
    history: History,
    population: Population,
    cycle: Float64[np.ndarray, " point"],
    soh: Float64[np.ndarray, " point"],
) -> tuple[Float64[np.ndarray, "draw parameter"], Float64[np.ndarray, " draw"]]:
    """Parameters around the most likely ones, and the weight of each. [as fade_law, 1]"""
    posterior = condition(history, population)
    unit = np.random.default_rng(0).standard_normal((_DRAWS, len(posterior.mode)))
    draws = posterior.mode + unit @ np.linalg.cholesky(posterior.covariance).T
    left = soh - fade(draws, clocks(draws, np.broadcast_to(cycle, (_DRAWS, len(cycle)))))
    away = draws - population.middle(history.usage)
    precision = np.linalg.inv(population.covariance)
    log_weight = 0.5 * (unit**2).sum(axis=1)
    log_weight -= 0.5 * population.share / population.noise_fraction**2 * (left**2).sum(axis=1)
    log_weight -= 0.5 * np.einsum("di,ij,dj->d", away, precision, away)
    weight = np.exp(log_weight - log_weight.max())
    return draws, weight / weight.sum()


def _meets(
    told: Callable[[np.ndarray], np.ndarray], now: float, fraction: float, farthest: float
) -> np.ndarray:
    """The cycle at which each draw first lies below a fraction. [1]"""
    start = max(now, 1.0)
    grid = np.geomspace(start, max(farthest, start + 1.0), _SEARCH)[None]
    for _ in range(2):  # over all cycles to come, then between the two around the crossing
        below = told(grid) < fraction
        after = np.where(below.any(axis=1), np.argmax(below, axis=1), grid.shape[1] - 1)
        wide = np.broadcast_to(grid, below.shape)
        high = np.take_along_axis(wide, after[:, None], axis=1)
        low = np.take_along_axis(wide, np.maximum(after - 1, 0)[:, None], axis=1)
        grid = low + (high - low) * np.linspace(0.0, 1.0, _SEARCH)
    return np.asarray(high[:, 0])


def _quantile(
    values: Float64[np.ndarray, "draw point"], weight: Float64[np.ndarray, " draw"], share: float
) -> Float64[np.ndarray, " point"]:
    """Weighted quantile over draws. [unit of the values]"""
    order = np.argsort(values, axis=0)
    place = np.argmax(np.cumsum(weight[order], axis=0) >= share, axis=0)
    picked = np.take_along_axis(order, place[None], axis=0)
    return np.asarray(np.take_along_axis(values, picked, axis=0)[0])
