"""What a forecast of the fade must beat; each looks at the cell so far and at training cells.

- last value: the state of health stays as it is.
- line: the trend of the second half of the record goes on (`life.remaining`).
- mean: the mean of the training cells at each cycle, shifted to the present.
- nearest: the training cell whose record so far differed least, shifted to the present.
"""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.health.population import History
from cellwarden.health.trajectory import measured, reach

__all__ = ["RIVALS", "Rival"]

Cycles = Float64[np.ndarray, " point"]
# The state of health at coming cycles, and all cycles until the end of life; NaN: none told.
Rival = Callable[[History, Sequence[History], float, Cycles], tuple[Cycles, float]]
_PRESENT: Final = 9
_SLOWEST: Final = 2e-5  # a flatter trend points beyond any record


def _now(history: History) -> float:
    known = history.soh_fraction[np.isfinite(history.soh_fraction)]
    return float(np.median(known[-_PRESENT:]))


def _last(
    history: History, _others: Sequence[History], _end: float, cycle: Cycles
) -> tuple[Cycles, float]:
    return np.full(len(cycle), _now(history)), float("nan")


def _line(
    history: History, _others: Sequence[History], end: float, cycle: Cycles
) -> tuple[Cycles, float]:
    at, soh = history.cycle_count, history.soh_fraction
    second = (at > at[-1] / 2) & np.isfinite(soh)
    away = at[second] - at[second].mean()
    slope = min(float(away @ soh[second] / max(float(away @ away), 1e-12)), -_SLOWEST)
    now = _now(history)
    return now + slope * (cycle - at[-1]), float(at[-1] + max(now - end, 0.0) / -slope)


def _mean(
    history: History, others: Sequence[History], end: float, cycle: Cycles
) -> tuple[Cycles, float]:
    table = np.array([measured(one, cycle) for one in others])
    there = np.isfinite(table)
    mean = np.where(there, table, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    mean[~there.any(axis=0)] = end
    lives = np.array([reach(one, end) for one in others])
    life = max(float(np.nanmean(lives)), float(history.cycle_count[-1]))
    return mean + _now(history) - mean[0], life


def _nearest(
    history: History, others: Sequence[History], end: float, cycle: Cycles
) -> tuple[Cycles, float]:
    best, found = np.inf, None
    for one in others:
        life = reach(one, end)
        if np.isnan(life) or life <= history.cycle_count[-1]:
            continue
        told = measured(one, history.cycle_count)
        away = float(np.nanmean((told - history.soh_fraction) ** 2))
        if away < best:
            best, found = away, (one, life)
    if found is None:
        return np.full(len(cycle), _now(history)), float(history.cycle_count[-1])
    told = np.interp(cycle, found[0].cycle_count, found[0].soh_fraction)
    return told + _now(history) - told[0], found[1]


RIVALS: Final = MappingProxyType(
    {"last value": _last, "line": _line, "mean of others": _mean, "nearest cell": _nearest}
)
