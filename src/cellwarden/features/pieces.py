"""Tables of a record that comes in pieces: no more rows at hand than a piece and one cycle.

Rules
- A cycle's steps are given once the next cycle has begun, so pieces may be cut anywhere; the tables
  one after another are those of the whole record.
- Limits that are left open are taken from the first piece and hold for all.
- One row before a cycle is kept for the interval that leads into it. Where cycles are found from
  the current, that row would be taken for part of the cycle: the half of that interval that is the
  new current's is then left out.
- A record without cycles, or with a cycle number that never changes, is kept whole.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from cellwarden.domain import Series, Table
from cellwarden.errors import DataError
from cellwarden.features.limits import Limits, settled
from cellwarden.features.steps import steps

__all__ = ["joined", "steps_of_pieces"]

_ROWS = ("start_row_index", "stop_row_index")


def steps_of_pieces(pieces: Iterable[Series], limits: Limits | None = None) -> Iterator[Table]:
    """The steps of a record in pieces: a table for each piece that ends a cycle. [s, V, A, Ah]"""
    kept: Series | None = None
    known: Limits | None = None
    row = step = lead = cycle = 0
    for piece in pieces:
        whole = piece if kept is None else _appended(kept, piece)
        known = known or settled(whole, limits)
        table = _counted(steps(whole, known), lead)
        begin = _last_cycle(table)
        # A tester's number that has not changed yet may still turn out to be one.
        if begin == 0 or (_is_found(table) and whole.cycle_count is not None):
            kept = whole
            continue
        ended = _moved(table.rows(slice(0, begin)), row, step, cycle)
        yield ended
        cut = int(table["start_row_index"][begin])
        lead = 0 if _is_found(table) else 1
        cycle += len(np.unique(ended["cycle_count"]))
        step += begin
        row += cut - lead
        kept = _from(whole, cut - lead)
    if kept is not None and known is not None:
        yield _moved(_counted(steps(kept, known), lead), row, step, cycle)


def joined(tables: Iterable[Table]) -> Table:
    """Tables of one record one after another, as one.

    Raises:
        DataError: there is none, or they have not the same columns.
    """
    parts = list(tables)
    if not parts or any(list(part) != list(parts[0]) for part in parts):
        raise DataError("no tables of one record", hint="Give the tables of one record's pieces.")
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return replace(parts[-1], columns=columns)


def _counted(table: Table, lead: int) -> Table:
    """The table without the steps of the row that only leads into it."""
    return table.rows(table["start_row_index"] >= lead) if lead and len(table) else table


def _last_cycle(table: Table) -> int:
    """The first step of the last cycle. [1]"""
    number = table["cycle_count"] if len(table) else np.empty(0)
    change = np.flatnonzero(number[1:] != number[:-1])
    return int(change[-1]) + 1 if len(change) else 0


def _is_found(table: Table) -> bool:
    """Whether the cycles are found from the current. [1]"""
    return any(remark.kind == "cycles_found" for remark in table.remarks)


def _moved(table: Table, row: int, step: int, cycle: int) -> Table:
    """The table with its rows and steps, and cycles that were found, numbered as in the whole."""
    if len(table) == 0:
        return table
    columns = {name: table[name] + row if name in _ROWS else table[name] for name in table}
    columns["step_count"] = np.arange(step + 1, step + 1 + len(table))
    if _is_found(table) and cycle:
        columns["cycle_count"] = table["cycle_count"] - table["cycle_count"][0] + cycle + 1
    return replace(table, columns=columns)


def _from(series: Series, row: int) -> Series:
    """The rows from one on, as a copy, so that what lies before can go."""
    kept: dict[str, Any] = {name: c[row:].copy() for name, c in series.columns().items()}
    return replace(series, **kept)


def _appended(series: Series, piece: Series) -> Series:
    """Two pieces as one, with the columns that both have."""
    more, found = piece.columns(), series.columns()
    both: dict[str, Any] = {
        name: np.concatenate([found[name], more[name]]) if name in more else None for name in found
    }
    return replace(series, **both)
