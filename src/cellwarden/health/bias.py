"""For whom a model errs: by chemistry, laboratory, temperature, or whatever tells cells apart.

Rules
- Errors are of rows that the model never saw; a cell counts once however many rows it has.
- A group is told to be biased only where the interval of its mean error leaves zero out, and the
  intervals of all groups hold together (Bonferroni): of many groups some lean by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["GroupError", "errors_by_group"]

_CONFIDENCE: Final = 0.95
_FEWEST_CELLS: Final = 3


@dataclass(frozen=True, slots=True)
class GroupError:
    """Errors of a group of cells, told minus true. [unit of the target]

    `low` and `high` bound the mean error (`bias`); they are infinite with fewer than three cells.
    """

    group: str
    cell_count: int
    mean_size: float
    bias: float
    low: float
    high: float

    @property
    def biased(self) -> bool:
        """Whether the interval leaves zero out."""
        return not self.low <= 0 <= self.high


def errors_by_group(
    error: Float64[np.ndarray, " row"], cell: Int64[np.ndarray, " row"], group: Sequence[str]
) -> tuple[GroupError, ...]:
    """Size and lean of the errors in each group of cells. [unit of the target]

    `group` names the group of each row; a cell belongs to one.
    """
    from scipy.special import stdtrit  # noqa: PLC0415  when it is used

    named = np.array(group)
    groups = np.unique(named)
    told = []
    for one in groups:
        own = named == one
        cells = np.unique(cell[own])
        mean = np.array([error[own & (cell == each)].mean() for each in cells])
        size = np.array([np.abs(error[own & (cell == each)]).mean() for each in cells])
        reach = np.inf
        if len(cells) >= _FEWEST_CELLS:
            level = 1 - (1 - _CONFIDENCE) / (2 * len(groups))
            spread = float(mean.std(ddof=1)) / np.sqrt(len(cells))
            reach = float(stdtrit(len(cells) - 1, level)) * spread
        bias = float(mean.mean())
        told.append(
            GroupError(str(one), len(cells), float(size.mean()), bias, bias - reach, bias + reach)
        )
    return tuple(told)
