"""Whether an explanation stands when sensors err as they may.

Inputs are read again with errors within what sensors are held to; a reader of the explanation would
see the same order of features, or would not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.health.explain import attribute
from cellwarden.health.learner import Prepared

__all__ = ["SENSOR_LIMITS", "Stability", "sensor_errors", "stability"]

# Largest error of a reading in the unit of the column; a column that is no reading gets
# `_OTHERWISE` of its spread over the rows given.
SENSOR_LIMITS: Final[Mapping[str, float]] = MappingProxyType(
    {"volt": 1e-3, "ampere": 1e-2, "celsius": 1.0}
)
_OTHERWISE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Stability:
    """Over rows and draws.

    `rank_correlation` is the median of Spearman's, of the contributions before and after. The mean
    changes are shares: of the sum of all contributions' sizes, and of the mean distance of the
    predictions from the base. `top_feature_kept` is the share where the largest stayed the largest.
    """

    rank_correlation: float
    contribution_change: float
    prediction_change: float
    top_feature_kept: float


def sensor_errors(
    units: tuple[str, ...], features: Float64[np.ndarray, "row column"]
) -> Float64[np.ndarray, " column"]:
    """Largest error of each column: its unit's limit, else 1 % of its spread. [unit of the column]

    `units` are keys of `SENSOR_LIMITS`, or empty where the column is no reading.
    """
    spread = np.nanstd(features, axis=0)
    return np.array(
        [
            SENSOR_LIMITS.get(unit, _OTHERWISE * wide)
            for unit, wide in zip(units, spread, strict=True)
        ]
    )


def stability(
    whole: Prepared,
    names: tuple[str, ...],
    features: Float64[np.ndarray, "item every"],
    error: Float64[np.ndarray, " every"],
    *,
    draw_count: int = 10,
    seed: int = 0,
) -> Stability:
    """How much contributions move under uniform errors of at most `error`. [1]"""
    from scipy.stats import rankdata  # noqa: PLC0415  when it is used

    rng = np.random.default_rng(seed)
    first = attribute(whole, names, features)
    rank = rankdata(first.moved, axis=1)
    size = np.abs(first.moved).sum(axis=1)
    away = np.abs(first.moved.sum(axis=1)).mean()
    top = np.abs(first.moved).argmax(axis=1)
    told = []
    for _ in range(draw_count):
        read = features + rng.uniform(-1, 1, features.shape) * error
        again = attribute(whole, names, read)
        change = np.abs(again.moved - first.moved).sum(axis=1) / np.maximum(size, 1e-300)
        moved = np.abs((again.moved - first.moved).sum(axis=1)) / max(away, 1e-300)
        kept = np.abs(again.moved).argmax(axis=1) == top
        told.append((_spearman(rank, rankdata(again.moved, axis=1)), change, moved, kept))
    ranks, changes, moves, keeps = (np.concatenate(one) for one in zip(*told, strict=True))
    return Stability(
        float(np.median(ranks)),
        float(np.mean(changes)),
        float(np.mean(moves)),
        float(np.mean(keeps)),
    )


def _spearman(
    one: Float64[np.ndarray, "item column"], other: Float64[np.ndarray, "item column"]
) -> Float64[np.ndarray, " item"]:
    """Correlation of ranks, row by row; 1 where all are tied. [1]"""
    one = one - one.mean(axis=1, keepdims=True)
    other = other - other.mean(axis=1, keepdims=True)
    size = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.where(size > 0, (one * other).sum(axis=1) / np.where(size > 0, size, 1.0), 1.0)
