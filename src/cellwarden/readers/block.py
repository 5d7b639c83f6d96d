"""A block of rows as checks see it, and what is common to checks."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.domain import Remark

__all__ = ["Block", "Check", "Tally", "times"]

_Column = Float64[np.ndarray, " time"]


@dataclass(frozen=True, slots=True)
class Block:
    """Columns whose first `lead` rows were seen before; `row` numbers the first, from 1."""

    columns: dict[str, _Column]
    row: int
    lead: int

    def fresh(self, name: str) -> _Column:
        """The rows of a column that were not seen before."""
        return self.columns[name][self.lead :]

    def linked(self, name: str) -> _Column:
        """The same and the row before, where there is one: what differences are taken of."""
        return self.columns[name][max(self.lead - 1, 0) :]

    @property
    def linked_row(self) -> int:
        """The number of the first row of `linked`."""
        return self.row + max(self.lead - 1, 0)


class Check(Protocol):
    """Something that looks at blocks in order; `needs` names the columns it reads."""

    needs: tuple[str, ...]

    def feed(self, block: Block) -> None:
        """Look at the next block."""

    def remarks(self) -> list[Remark]:
        """What was odd, when all blocks were seen."""


class Tally:
    """How often something happened, and where first."""

    def __init__(self) -> None:
        self.count = 0
        self.first_row: int | None = None

    def add(self, hits: Bool[np.ndarray, " row"] | Int64[np.ndarray, " hit"], row: int) -> int:
        """Count hits of a block whose first row is `row`; the index of its first, -1 for none."""
        at = np.flatnonzero(hits) if hits.dtype == np.bool_ else hits
        if not at.size:
            return -1
        self.count += at.size
        first = int(at[0])
        if self.first_row is None:
            self.first_row = row + first
        return first


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count} times"
