"""Which training cells bend a model, so that a person looks at their labels first.

Each cell is left out of a Gaussian process in closed form; its score is how badly the others tell
it: the squared error of its rows, in units of the covariance that the process states for them. A
cell that no other supports is either mislabelled or unlike the rest; the score cannot say which.

Rules
- Nothing but the training rows is used, and no label is changed: the answer is an order.
- What a mix-up of labels changes less than cells differ by themselves cannot be found by any order.

Source: C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning (MIT Press,
2006), section 5.4.2, with blocks in place of single rows.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import UsageError
from cellwarden.health.gaussian import fit_gaussian_process, joint_covariance
from cellwarden.health.task import Sample

__all__ = ["Influence", "influence", "recall_at"]

_FARTHEST: Final = 4.0  # standard deviations: one odd feature shall not make a cell an island
_FEWEST_CELLS: Final = 5


@dataclass(frozen=True, slots=True)
class Influence:
    """How badly the others tell each cell; about 1 where they tell it as well as stated. [1]"""

    cells: Int64[np.ndarray, " cell"]
    score: Float64[np.ndarray, " cell"]

    def ranked(self) -> Int64[np.ndarray, " cell"]:
        """The cells, the worst told first. [1]"""
        return self.cells[np.argsort(-self.score, kind="stable")]


def influence(sample: Sample) -> Influence:
    """How badly each cell is told by all others, in closed form. [1]

    Raises:
        UsageError: too few cells for a law that others can break.
    """
    cells = np.unique(sample.cell)
    if len(cells) < _FEWEST_CELLS:
        raise UsageError(
            f"{len(cells)} cells cannot judge one another",
            hint=f"Give at least {_FEWEST_CELLS} cells.",
        )
    centre, spread = np.nanmean(sample.features, axis=0), np.nanstd(sample.features, axis=0)
    inputs = (sample.features - centre) / np.where(spread > 0, spread, 1.0)
    inputs = np.clip(np.nan_to_num(inputs, nan=0.0), -_FARTHEST, _FARTHEST)
    process = fit_gaussian_process(inputs, sample.target)
    unit = (sample.target - process.centre) / process.scale
    # The likeliest setting stands for all: an order needs no average.
    precision = np.linalg.inv(joint_covariance(inputs, process.settings[0]))
    dual = precision @ unit
    score = []
    for one in cells:
        own = np.flatnonzero(sample.cell == one)
        away = np.linalg.solve(precision[np.ix_(own, own)], dual[own])
        score.append(float(away @ dual[own]) / len(own))
    return Influence(cells, np.array(score))


def recall_at(
    share: float, ranked: Int64[np.ndarray, " cell"], wrong: Int64[np.ndarray, " wrong"]
) -> float:
    """Share of the wrong cells that lie within the first share of an order. [1]"""
    first = ranked[: int(np.ceil(share * len(ranked)))]
    return float(np.isin(wrong, first).mean())
