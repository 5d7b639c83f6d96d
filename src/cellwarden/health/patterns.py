"""Learning from rows of which each has other columns missing, and telling such rows.

Rules
- A missing column is never filled. A row is told from the columns that it has, by the training
  rows that have those columns too: a part of a charge by the same part of other cells' charges.
- Where fewer than `LEAST_ROWS` training rows have them all, the column that the fewest have is
  left out, until enough do. With no column left, a row is told as the mean, as unsure as the
  target is wide.
- Each set of columns is a Gaussian process of its own, with a length that grows as the root of
  their count, so that one setting serves many columns and few.

Source: C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning (MIT Press,
2006), eq. 2.25 and 2.26.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.health.algorithms import named
from cellwarden.health.learner import Algorithm, Fitted, Setting, Told
from cellwarden.health.task import Sample

__all__ = ["BOOSTED", "LEAST_ROWS", "PROCESS_ON_KNOWN"]

LEAST_ROWS: Final = 30
_MOST_ROWS: Final = 300  # of one process; more told little more and take long
_NOISE: Final = 0.05  # of the target's variance


@dataclass(frozen=True, slots=True)
class _OnKnown:
    features: Float64[np.ndarray, "row column"]
    target: Float64[np.ndarray, " row"]
    length: float

    def predict(self, features: Float64[np.ndarray, "item column"]) -> Told:
        """Each set of known columns by its own process. [unit of the target]"""
        mean = np.full(len(features), float(self.target.mean()))
        std = np.full(len(features), float(self.target.std()))
        patterns, place = np.unique(np.isfinite(features), axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            own = np.flatnonzero(place == number)
            columns, rows = self._shared(pattern)
            if len(columns):
                mean[own], std[own] = _told(
                    self.features[np.ix_(rows, columns)],
                    self.target[rows],
                    features[np.ix_(own, columns)],
                    self.length,
                )
        return Told(mean, std)

    def _shared(
        self, pattern: Bool[np.ndarray, " column"]
    ) -> tuple[Int64[np.ndarray, " known"], Int64[np.ndarray, " item"]]:
        """Columns to tell from, and the training rows that have them all. [1]"""
        known = np.isfinite(self.features)
        columns = np.flatnonzero(pattern)
        while len(columns):
            rows = np.flatnonzero(known[:, columns].all(axis=1))
            if len(rows) >= min(LEAST_ROWS, len(known)):
                few = np.linspace(0, len(rows) - 1, min(_MOST_ROWS, len(rows)))
                return columns, rows[few.round().astype(np.int64)]
            columns = np.delete(columns, np.argmin(known[:, columns].sum(axis=0)))
        return columns, columns


def _told(
    known: Float64[np.ndarray, "row column"],
    target: Float64[np.ndarray, " row"],
    asked: Float64[np.ndarray, "item column"],
    length: float,
) -> tuple[Float64[np.ndarray, " item"], Float64[np.ndarray, " item"]]:
    """Mean and standard deviation of one process. [unit of the target]"""
    # Rows that share columns are fewer than all and spread differently: their own unit.
    centre, spread = known.mean(axis=0), known.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    unit, item = (known - centre) / spread, (asked - centre) / spread
    scale = float(target.std()) or 1.0
    width = 2 * length**2 * known.shape[1]
    own = np.exp(-_square(unit, unit) / width) + _NOISE * np.eye(len(target))
    cross = np.exp(-_square(item, unit) / width)
    solved = np.linalg.solve(own, np.column_stack([(target - target.mean()) / scale, cross.T]))
    left = 1.0 + _NOISE - np.einsum("ij,ji->i", cross, solved[:, 1:])
    mean = target.mean() + scale * (cross @ solved[:, 0])
    return mean, scale * np.sqrt(np.maximum(left, _NOISE))


def _square(
    one: Float64[np.ndarray, "item column"], other: Float64[np.ndarray, "row column"]
) -> Float64[np.ndarray, "item row"]:
    """Squared distances. [1]"""
    sizes = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :]
    return np.asarray(np.maximum(sizes - 2 * one @ other.T, 0.0))


def _process(sample: Sample, setting: Setting, _: int) -> Fitted:
    return _OnKnown(sample.features, sample.target, setting["length"])


PROCESS_ON_KNOWN: Final = Algorithm(
    "process on what is known",
    "each row has other columns missing, as windows of a charge",
    _process,
    tuple({"length": length} for length in (1.0, 2.0)),
    takes_missing=True,
)
BOOSTED: Final = replace(
    named("LightGBM"),
    name="LightGBM, gaps kept",
    when="as LightGBM, where what is missing says something",
    takes_missing=True,
)
