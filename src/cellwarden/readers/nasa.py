"""NASA PCoE 18650 ageing: one table of operations a cell, laid on one time axis.

Rules
- `tests.csv` beside the table gives each operation's start, and the ambient temperature. Without
  it operations are laid one after the other, without rest between, and a remark says so.
- An operation that goes on into rest, and one that was aborted, are data: they stay.
- `cycle_count` is 1 + the discharges before; `step_index` is the operation's number.
- The cells are of 2 Ah by the data's own description; it does not state their chemistry.

Source: B. Saha, K. Goebel, "Battery Data Set", NASA Prognostics Data Repository (2007).
"""

import re
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Remark
from cellwarden.errors import DataError
from cellwarden.readers.columns import ZONE_NOTE, own_columns
from cellwarden.readers.draft import Draft, Identity, settle
from cellwarden.readers.layout import HEAD_BYTES, find_layout
from cellwarden.readers.mapping import ColumnMapping, Guess
from cellwarden.readers.moments import cell_sql, date_sql, number_sql
from cellwarden.readers.table import Table, open_text

__all__ = ["draft", "is_nasa"]

_STATED: Final = "as the data's description states it"
_NOMINAL_AH: Final = 2.0
_TESTS: Final = "tests.csv"
_TABLE: Final = {
    "test_time_second": "time_s",
    "voltage_volt": "voltage_V",
    "current_ampere": "current_A",
    "surface_temperature_celsius": "temperature_C",
    "step_index": "test_id",
}
_KIND: Final = "type"
_DISCHARGE: Final = "discharge"
_NAME: Final = re.compile(r"B\d{4}")

_Column = Float64[np.ndarray, " time"]
_Operations = Float64[np.ndarray, " operation"]


def is_nasa(labels: tuple[str, ...]) -> bool:
    """Whether a table has the columns of one cell's operations."""
    return {_KIND, *_TABLE.values()} <= set(labels)


def draft(table: Table, mapping: ColumnMapping, name: str, limit: int) -> Draft:
    """A draft of the operations of one cell.

    Raises:
        DataError: the rows cannot be read.
    """
    queries = {field: f'"{column}"' for field, column in _TABLE.items()}
    words = f"CASE lower({_KIND}::VARCHAR) WHEN 'charge' THEN 1 WHEN '{_DISCHARGE}' THEN -1 END"
    columns = table.fetch({**queries, _KIND: words}, limit=limit)
    direction = np.nan_to_num(columns.pop(_KIND))
    number = columns["step_index"]
    starts = np.flatnonzero(np.diff(number, prepend=np.nan) != 0)
    lengths = np.diff(np.append(starts, len(number)))
    notes = _lay_out(table.path, columns, starts, lengths)
    discharges = np.cumsum(direction[starts] < 0) - (direction[starts] < 0)
    columns["cycle_count"] = np.repeat(1.0 + discharges, lengths)
    guesses = own_columns(table, {column: field for field, column in _TABLE.items()})
    guess = Guess(str(table.path), "NASA PCoE operations", guesses, layout="Parquet")
    return settle(
        columns,
        guess,
        Identity(name, _NOMINAL_AH),
        mapping,
        stated=_STATED,
        direction=direction,
        notes=tuple(notes),
    )


def _lay_out(
    path: Path, columns: dict[str, _Column], starts: np.ndarray, lengths: np.ndarray
) -> list[Remark]:
    """Put operations on one time axis, in place; what is to be remarked."""
    numbers = columns["step_index"][starts]
    try:
        begun, ambient = _operations(path.with_name(_TESTS), path.stem, numbers)
    except DataError as error:
        begun, ambient = _one_after_another(columns["test_time_second"], starts), None
        reason = str(error)
    else:
        reason = ""
    within = columns["test_time_second"]
    columns["test_time_second"] = within + np.repeat(begun - begun[:1], lengths)
    if ambient is None:
        text = f"operations are laid one after the other, rests between them are lost ({reason})"
        return [Remark("rests_lost", text, "test_time_second", len(starts))]
    columns["unix_time_second"] = within + np.repeat(begun, lengths)
    columns["ambient_temperature_celsius"] = np.repeat(ambient, lengths)
    return [ZONE_NOTE]


def _one_after_another(time: _Column, starts: np.ndarray) -> _Operations:
    if not starts.size:
        return np.zeros(0)
    ends = np.fmax.reduceat(time, starts)
    return np.concatenate(([0.0], np.cumsum(np.nan_to_num(ends))[:-1]))


def _operations(path: Path, battery: str, numbers: _Operations) -> tuple[_Operations, _Operations]:
    """Start and ambient temperature of operations. [s, °C]

    Raises:
        DataError: there is no sound list, or it misses an operation of this cell.
    """
    missing = DataError(
        f"no {_TESTS} beside it with the starts of {battery}", hint="Keep it beside the table."
    )
    if not _NAME.fullmatch(battery) or not path.is_file():
        raise missing
    try:
        with path.open("rb") as file:
            layout_head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", hint="Check its rights.") from error
    layout = find_layout(path, layout_head, ColumnMapping(header_row=1, delimiter=","))
    places = {label: f"c{index}" for index, label in enumerate(layout.labels)}
    if not {"battery_id", "test_id", "start", "ambient_C"} <= set(places):
        raise missing
    with open_text(path, layout) as table:
        rows = table.fetch(
            {
                "number": number_sql(places["test_id"], "."),
                "start": date_sql(places["start"], "%Y-%m-%d %H:%M:%S"),
                "ambient": number_sql(places["ambient_C"], "."),
            },
            where=f"{cell_sql(places['battery_id'])} = '{battery}'",
        )
    found = {number: row for row, number in enumerate(rows["number"])}
    if not all(number in found for number in numbers):
        raise missing
    order = [found[number] for number in numbers]
    begun, ambient = rows["start"][order], rows["ambient"][order]
    if not np.isfinite(begun).all():
        raise missing
    return begun, ambient
