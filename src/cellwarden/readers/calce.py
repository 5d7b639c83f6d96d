"""Records of Arbin testers as CALCE publishes them: the tester's workbook, the joined table.

Rules
- A workbook's test time starts at zero; workbooks are laid on one time axis by the clock that
  each has at its first row. The clock has no zone and is taken as UTC.
- A workbook that repeats another row for row is kept, and a remark says so.
- The cells called CS2 are lithium cobalt oxide on graphite of 1.1 Ah; of others nothing is said.

Source: CALCE, University of Maryland, CS2 prismatic cells; He et al., J. Power Sources 196,
10314 (2011), doi 10.1016/j.jpowsour.2011.08.040.
"""

import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Remark
from cellwarden.errors import DataError
from cellwarden.readers.columns import ZONE_NOTE, own_columns
from cellwarden.readers.draft import Draft, Identity, settle
from cellwarden.readers.labels import FIELDS, Label, Unit, read_label
from cellwarden.readers.mapping import ColumnGuess, ColumnMapping, Guess
from cellwarden.readers.refusal import NoRecordError
from cellwarden.readers.table import MAX_ROWS, Table, quoted
from cellwarden.readers.workbook import Row, Sheets, open_workbook

__all__ = ["draft_table", "draft_workbook", "is_calce"]

_STATED: Final = "as Arbin testers write it"
_CS2: Final = re.compile(r"CS2_\d+")
_NOMINAL_AH: Final = 1.1
_CHEMISTRY: Final = "LCO"
# Field of a series, column of the joined table, SQL for it.
_TABLE: Final = {
    "test_time_second": ("test_time_s", "test_time_s"),
    "unix_time_second": ("date_time", "epoch(date_time)"),
    "voltage_volt": ("voltage_V", '"voltage_V"'),
    "current_ampere": ("current_A", '"current_A"'),
    "cycle_count": ("cycle", "cycle"),
    "step_index": ("step", "step"),
    "charging_capacity_ah": ("charge_capacity_Ah", '"charge_capacity_Ah"'),
    "discharging_capacity_ah": ("discharge_capacity_Ah", '"discharge_capacity_Ah"'),
}
_RESISTANCE: Final = "internal_resistance_ohm"  # not in every table
_CLOCK: Final = "unix_time_second"
_FILE: Final = "file_no"
_SHEET: Final = re.compile(r"^Channel", re.IGNORECASE)
_EXCEL_EPOCH_DAYS: Final = 25_569.0  # from 1899-12-30, a workbook's day zero, to 1970-01-01
_DAY_SECOND: Final = 86_400.0

_Column = Float64[np.ndarray, " time"]


def is_calce(labels: tuple[str, ...]) -> bool:
    """Whether a table has the columns of the joined workbooks."""
    return {_FILE, *(column for column, _ in _TABLE.values())} <= set(labels)


def draft_table(table: Table, mapping: ColumnMapping, name: str, limit: int) -> Draft:
    """A draft of the joined workbooks of one cell.

    Raises:
        DataError: the rows cannot be read.
    """
    queries = {field: sql for field, (_, sql) in _TABLE.items()}
    if any(column.name == _RESISTANCE for column in table.columns):
        queries[_RESISTANCE] = quoted(_RESISTANCE)
    columns = table.fetch({**queries, _FILE: quoted(_FILE)}, limit=limit)
    files = columns.pop(_FILE)
    notes = [ZONE_NOTE, *_repeats(files, columns)]
    starts = np.flatnonzero(np.diff(files, prepend=np.nan) != 0)
    if starts.size > 1:
        columns["test_time_second"] = _one_axis(starts, columns)
        text = (
            f"{starts.size} workbooks are joined: charge counters begin anew at each, test time"
            " is laid out by the clock at each one's first row"
        )
        notes.append(Remark("joined", text, "", starts.size, int(starts[1]) + 1))
    names = {column: field for field, (column, _) in _TABLE.items()} | {_RESISTANCE: _RESISTANCE}
    guesses = own_columns(table, names)
    guess = Guess(str(table.path), "CALCE CS2 table", guesses, layout="Parquet")
    identity = Identity(name, _NOMINAL_AH, _CHEMISTRY)
    return settle(columns, guess, identity, mapping, stated=_STATED, notes=tuple(notes))


def _one_axis(starts: np.ndarray, columns: dict[str, _Column]) -> _Column:
    """Test time over all workbooks, each begun where the clock had it begin. [s]"""
    time, clock = columns["test_time_second"], columns["unix_time_second"]
    begun = clock[starts] - time[starts]
    lengths = np.diff(np.append(starts, len(time)))
    laid: _Column = time + np.repeat(begun - begun[0], lengths)
    return laid


def _repeats(files: _Column, columns: dict[str, _Column]) -> Iterator[Remark]:
    """Neighbouring workbooks that hold the same rows."""
    bounds = [*np.flatnonzero(np.diff(files, prepend=np.nan) != 0), len(files)]
    for first, second, end in zip(bounds, bounds[1:], bounds[2:], strict=False):
        if second - first == end - second and all(
            np.array_equal(column[first:second], column[second:end], equal_nan=True)
            for name, column in columns.items()
            if name != "cycle_count"
        ):
            text = (
                f"workbook {files[second]:.0f} repeats workbook {files[first]:.0f} row for row"
                f" (rows {second + 1} to {end})"
            )
            yield Remark("repeated_part", text, "", int(end - second), int(second) + 1)


def draft_workbook(path: Path, mapping: ColumnMapping, name: str, limit: int) -> Draft:
    """A draft of a workbook of an Arbin tester.

    Raises:
        DataError: it is no such workbook.
    """
    with open_workbook(path) as book:
        sheets = [sheet for sheet in book.sheets if _SHEET.match(sheet)]
        if not sheets:
            raise NoRecordError(
                f"{path}: no sheet of a channel, only {', '.join(book.sheets) or 'none'}",
                hint="Export the record itself (the sheets Channel_…), or save it as CSV.",
            )
        labels, found = _channels(path, book, sheets, limit)
        cell = _cell_name(book)
    chosen = _chosen(labels)
    columns = {
        label.field: _converted(label, np.frombuffer(found[index], dtype=np.float64))
        for index, label in chosen.items()
    }
    guesses = tuple(_column_guess(text, chosen.get(index)) for index, text in enumerate(labels))
    guess = Guess(str(path), "Arbin workbook", guesses, layout=f"sheets {', '.join(sheets)}")
    cs2 = bool(_CS2.fullmatch(cell))
    return settle(
        columns,
        guess,
        Identity(name or cell, _NOMINAL_AH if cs2 else None, _CHEMISTRY if cs2 else None),
        mapping,
        stated=_STATED,
        notes=(ZONE_NOTE,),
    )


def _channels(
    path: Path, book: Sheets, sheets: list[str], limit: int
) -> "tuple[list[str], list[array[float]]]":
    """The labels of the first sheet, and the cells below them of all sheets."""
    labels: list[str] = []
    found: list[array[float]] = []
    for sheet in sheets:
        rows = book.rows(sheet)
        header = [str(cell or "").strip() for cell in next(rows, [])]
        if not labels:
            labels, found = header, [array("d") for _ in header]
        if header != labels:
            raise DataError(
                f"{path}: sheet {sheet} has other columns than {sheets[0]}",
                hint="Export the sheets of one test with the same columns.",
            )
        for row in rows:
            _append(found, row)
            if found and len(found[0]) >= min(limit, MAX_ROWS):
                return labels, found
    return labels, found


def _append(found: "list[array[float]]", row: Row) -> None:
    for index, column in enumerate(found):
        cell = row[index] if index < len(row) else None
        if isinstance(cell, float):
            column.append(cell)
        else:
            # An empty cell is no reading; a text where a number should be is remarked on.
            column.append(float("nan") if cell is None else float("inf"))


def _chosen(labels: list[str]) -> dict[int, Label]:
    chosen: dict[str, tuple[int, Label]] = {}
    for index, text in enumerate(labels):
        label = read_label(text)
        if label is None or label.field not in FIELDS:
            continue
        if label.field not in chosen or label.rank < chosen[label.field][1].rank:
            chosen[label.field] = (index, label)
    return dict(chosen.values())


def _column_guess(text: str, label: Label | None) -> ColumnGuess:
    if label is None:
        return ColumnGuess(text, None, evidence="no field of a series")
    if label.field == _CLOCK:
        return ColumnGuess(text, _CLOCK, "d", _DAY_SECOND, evidence="days since 1899-12-30")
    unit = label.unit or Unit("1")
    return ColumnGuess(text, label.field, unit.name, unit.factor, unit.offset, "by its label")


def _converted(label: Label, values: _Column) -> _Column:
    if label.field == _CLOCK:
        # Serial days; their float64 holds the clock to a few microseconds.
        return np.round((values - _EXCEL_EPOCH_DAYS) * _DAY_SECOND, 3)
    unit = label.unit
    return values if unit is None else values * unit.factor + unit.offset


def _cell_name(book: Sheets) -> str:
    """The name of the cell as its tester was told it: below the title of the sheet Info."""
    if "Info" not in book.sheets:
        return ""
    rows = book.rows("Info")
    next(rows, None)
    texts = [cell for cell in next(rows, []) if isinstance(cell, str) and cell.strip()]
    return texts[0].strip() if texts else ""
