"""How long something has held without a break, across batch borders."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

__all__ = ["Streak", "extend"]


@dataclass(frozen=True, slots=True)
class Streak:
    """Rows in succession, of each item, and the mark that stood in the row before the first."""

    count: Int64[np.ndarray, " item"]
    mark: Float[np.ndarray, " item"]


def extend(
    holds: Bool[np.ndarray, "time item"],
    mark: Float[np.ndarray, " time"],
    before: Streak | None,
) -> tuple[Int64[np.ndarray, "time item"], Float[np.ndarray, "time item"], Streak]:
    """Length of the streak at each row, the mark where it began, and the streak to carry on.

    Where the claim does not hold the length is zero and the mark is that of the row itself.
    """
    count, item = holds.shape
    if before is None or len(before.count) != item:
        before = Streak(np.zeros(item, dtype=np.int64), np.full(item, np.nan, dtype=mark.dtype))
    rows = np.arange(1, count + 1)[:, None]
    broken = np.maximum.accumulate(np.where(holds, 0, rows), axis=0)
    carried = broken == 0
    length = rows - broken + np.where(carried, before.count, 0)
    marks = np.where(carried, before.mark, mark[broken - 1])
    return length, marks, Streak(length[-1], marks[-1])
