"""What the fade curves miss of a life, learnt from cells left out of their prior.

A Gaussian process is told where a cell stands and what the curves say, and answers with the
logarithm of the true life over the told one. The future of the curve is stretched so that it meets
the end of life there. Without cells like it a process goes back to the mean of what was missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.health.gaussian import GaussianProcess, fit_gaussian_process
from cellwarden.health.population import History, thinned
from cellwarden.health.raw_forecast import Raw

__all__ = ["FEATURES", "OWN_COUNT", "Correction", "correct", "features", "fit_correction"]

FEATURES: Final = (
    "log_cycle", "first_fraction", "now_fraction", "log_recent_fade", "log_whole_fade",
    "log_curve_life", "curve_life_spread", "lived_fraction",
)  # fmt: skip
OWN_COUNT: Final = 5  # features that come from the history alone, no curve needed
_RECENT: Final = 12  # of the thinned points
_NEAR: Final = 3
_HELD: Final = 0.25  # of the training span, on each side
_LEAST_FADE: Final = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """A fitted process and the scale of its features."""

    process: GaussianProcess
    columns: int
    low: Float64[np.ndarray, " column"]
    high: Float64[np.ndarray, " column"]

    def __call__(self, told: Float64[np.ndarray, "item column"]) -> Float64[np.ndarray, " item"]:
        """Logarithm of the true life over the told one. [1]"""
        return self.process(_unit(told[:, : self.columns], self.low, self.high))[0]


def features(history: History, raw: Raw) -> Float64[np.ndarray, " column"]:
    """Where a cell stands and what the curves say of it, as `FEATURES`. [1]"""
    cycle, soh = thinned(history)
    recent = max(float(_fade(cycle[-_RECENT:], soh[-_RECENT:])), _LEAST_FADE)
    whole = max(float(_fade(cycle, soh)), _LEAST_FADE)
    first, now = float(np.median(soh[:_NEAR])), float(np.median(soh[-_NEAR:]))
    own = (np.log(cycle[-1]), first, now, np.log(recent), np.log(whole))
    return np.array([*own, raw.log_life, raw.log_life_spread, raw.lived])


def fit_correction(
    told: Sequence[Float64[np.ndarray, " column"]], missed: Sequence[float], columns: int = 0
) -> Correction:
    """What is missed of a life, from cells left out; the first `columns` features or all. [1]"""
    columns = columns or len(FEATURES)
    table = np.array(told)[:, :columns]
    low, high = table.min(axis=0), table.max(axis=0)
    process = fit_gaussian_process(_unit(table, low, high), np.array(missed))
    return Correction(process, columns, low, high)


def correct(raw: Raw, history: History, correction: Correction) -> Raw:
    """The forecast with its life corrected and its future stretched to it. [1]"""
    missed = float(correction(features(history, raw)[None])[0])
    now, before = float(history.cycle_count[-1]), float(np.exp(raw.log_life))
    life = max(float(np.exp(raw.log_life + missed)), now)
    stretch = (life - now) / (before - now) if before > now else 1.0
    return replace(
        raw,
        cycle_count=now + (raw.cycle_count - now) * max(stretch, 0.05),
        log_life=float(np.log(life)),
        lived=now / life,
    )


def _unit(
    table: Float64[np.ndarray, "item column"],
    low: Float64[np.ndarray, " column"],
    high: Float64[np.ndarray, " column"],
) -> Float64[np.ndarray, "item column"]:
    """Features of about unit spread, held near their training range. [1]"""
    span = np.maximum(high - low, 1e-9)
    held = np.clip(table, low - _HELD * span, high + _HELD * span)
    return np.asarray((held - (low + high) / 2) / span * np.sqrt(12.0))


def _fade(cycle: Float64[np.ndarray, " point"], soh: Float64[np.ndarray, " point"]) -> float:
    away = cycle - cycle.mean()
    return -float(away @ soh / max(float(away @ away), 1e-12))
