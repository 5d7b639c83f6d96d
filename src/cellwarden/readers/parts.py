"""Several records in one file, joined one below the other with a column that names them.

Rules
- Records are looked for where test time runs backwards: the column that names them is one of
  words or whole numbers that changes in each such row, and hardly anywhere else.
- Such a file is read as one record with a remark, or record by record by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Remark
from cellwarden.errors import UsageError
from cellwarden.readers.table import Table

__all__ = ["Candidate", "Parts", "chosen", "find"]

_MOST_CHANGES: Final = 1.5  # for each time that runs back
_MOST_NAMES: Final = 10_000
_MOST_TOLD: Final = 12


@dataclass(frozen=True, slots=True)
class Candidate:
    """A column that may name records: its label, and SQL for its cells as text."""

    label: str
    sql: str


@dataclass(frozen=True, slots=True)
class Parts:
    """The column that names records, and their names in the order of the file."""

    candidate: Candidate
    names: tuple[str, ...]
    first_row: int

    def remark(self) -> Remark:
        """What a joined record says of itself."""
        text = (
            f"{len(self.names)} records are joined, each with its own"
            f" {self.candidate.label}; record={self.names[0]!r} reads the first of them alone"
        )
        return Remark("many_records", text, self.candidate.label, len(self.names), self.first_row)


def find(
    table: Table,
    candidates: Sequence[Candidate],
    time: Float64[np.ndarray, " time"] | None,
    limit: int,
) -> Parts | None:
    """The records of a table whose test time is known; None where it is one."""
    if time is None or not candidates:
        return None
    with np.errstate(invalid="ignore"):  # cells that hold no number are infinite here
        back = np.flatnonzero(np.diff(time) < 0) + 1
    if not back.size or back.size > _MOST_NAMES:
        return None
    # A hash of a text as a number that a float64 holds.
    codes = table.fetch(
        {str(i): f"(hash({c.sql}) >> 12)::DOUBLE" for i, c in enumerate(candidates)}, limit=limit
    )
    best: tuple[int, Candidate] | None = None
    for index, candidate in enumerate(candidates):
        column = codes[str(index)]
        if len(column) != len(time):
            return None  # blank lines were left out: rows cannot be told apart
        changes = np.flatnonzero(np.diff(column) != 0) + 1
        if len(changes) > _MOST_CHANGES * len(back) or not np.isin(back, changes).all():
            continue
        if best is None or len(changes) < best[0]:
            best = (len(changes), candidate)
    if best is None:
        return None
    return Parts(best[1], _names(table, best[1]), int(back[0]) + 1)


def _names(table: Table, candidate: Candidate) -> tuple[str, ...]:
    ordered = replace(
        table,
        relation=(
            f"(SELECT part FROM (SELECT {candidate.sql} AS part, row_number() OVER () AS nth"
            f" FROM {table.relation}) GROUP BY part ORDER BY min(nth))"
        ),
    )
    return tuple(ordered.texts("part", limit=_MOST_NAMES))


def chosen(table: Table, parts: Parts | None, record: str) -> Table:
    """The rows of one record.

    Raises:
        UsageError: there is no such record.
    """
    if parts is None:
        raise UsageError(
            f"{table.path}: holds one record and no {record!r}", hint="Leave the record out."
        )
    if record not in parts.names:
        more = ", …" if len(parts.names) > _MOST_TOLD else ""
        raise UsageError(
            f"{table.path}: holds no record {record!r}",
            hint=f"Its records are {', '.join(parts.names[:_MOST_TOLD])}{more}.",
        )
    literal = record.replace("'", "''")
    rows = f"(SELECT * FROM {table.relation} WHERE {parts.candidate.sql} = '{literal}')"
    return replace(table, relation=rows)
