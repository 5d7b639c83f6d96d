"""Any delimited text, and any Parquet table, whose columns can be told by their labels."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cellwarden.errors import DataError, DecodeError
from cellwarden.readers.columns import Quick, Source, Taken, take
from cellwarden.readers.draft import Draft, Identity, settle
from cellwarden.readers.labels import read_label
from cellwarden.readers.layout import Layout
from cellwarden.readers.mapping import ColumnMapping, Guess
from cellwarden.readers.moments import cell_sql, shape_of
from cellwarden.readers.parts import Candidate, chosen, find
from cellwarden.readers.quick import LEAST_BYTES, quick_columns
from cellwarden.readers.table import IN_PIECES, MAX_ROWS, NUMERIC, Table, open_text, quoted

__all__ = ["Record", "draft_parquet", "draft_text", "scan_parquet", "scan_text"]

_SAMPLE: Final = 50
_TIME: Final = "test_time_second"
_NAMING: Final = ("VARCHAR", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT")
_COUNTS: Final = ("cycle_count", "step_index", "step_count")
_WHOLE: Final = re.compile(r"^-?\d{1,9}$")
_ESTIMATE_SLACK: Final = 2.0  # the first rows may be shorter than most


@dataclass(frozen=True, slots=True)
class Record:
    """What a table holds for a series, and how it is laid out."""

    taken: Taken
    layout: str
    records: tuple[str, ...] = ()

    def guess(self, path: Path, title: str) -> Guess:
        """The guess that goes with it."""
        return Guess(
            str(path),
            title,
            self.taken.guesses,
            layout=self.layout,
            doubts=self.taken.doubts,
            records=self.records,
        )


def scan_text(path: Path, layout: Layout, mapping: ColumnMapping, limit: int) -> Record:
    """The columns of a delimited text.

    Raises:
        DataError: its rows cannot be read.
    """
    _refuse_endless(path, layout)
    try:
        return _take_text(path, layout, mapping, limit, plain=True)
    except DecodeError:
        # Some row is not as plain as the first ones: look at each cell.
        return _take_carefully(path, layout, mapping, limit)


def _take_carefully(path: Path, layout: Layout, mapping: ColumnMapping, limit: int) -> Record:
    try:
        return _take_text(path, layout, mapping, limit, plain=False)
    except DecodeError as error:
        # Its head may be plain ASCII and a degree sign of an old code page stand far below.
        if layout.encoding != "utf-8" or "utf-8" not in str(error.__cause__):
            raise
        old = replace(layout, encoding="cp1252")
        return _take_text(path, old, mapping, limit, plain=False)


def _take_text(
    path: Path, layout: Layout, mapping: ColumnMapping, limit: int, *, plain: bool
) -> Record:
    """The columns of a text; `plain` trusts that columns of numbers hold nothing else."""
    decimal = mapping.decimal or layout.decimal
    samples = [
        tuple(row[index] if index < len(row) else "" for row in layout.sample)
        for index in range(len(layout.labels))
    ]
    shapes = [shape_of(sample) for sample in samples]
    typed = [plain and decimal == "." and shape == "number" for shape in shapes]
    sources = [
        Source(label, f"c{index}", shapes[index], samples[index], typed[index])
        for index, label in enumerate(layout.labels)
    ]
    numbers = frozenset(index for index, number in enumerate(typed) if number)
    candidates = [
        Candidate(source.label, _as_text(source.sql, index in numbers))
        for index, source in enumerate(sources)
        if (source.shape == "text" or _whole(samples[index])) and not _counted(source.label)
    ]

    quick = _quick(path, layout) if plain and limit >= MAX_ROWS else None

    def taking(rows: Table) -> Taken:
        # One record of several is chosen in SQL.
        kernel = quick if mapping.record is None else None
        return take(rows, sources, mapping, decimal=decimal, limit=limit, lines=True, quick=kernel)

    with open_text(path, layout, numbers) as table:
        return _record(table, taking, candidates, mapping, limit=limit, layout=layout.describe())


def _quick(path: Path, layout: Layout) -> Quick | None:
    """The compiled reader, where a file is long enough to win back what loading it takes."""
    if path.stat().st_size < LEAST_BYTES:
        return None
    return lambda numbers, dates: quick_columns(path, layout, numbers, dates, MAX_ROWS)


def _as_text(sql: str, typed: bool) -> str:  # noqa: FBT001  of a column that is read as numbers
    whole = f"CASE WHEN {sql} = floor({sql}) THEN {sql}::BIGINT::VARCHAR ELSE {sql}::VARCHAR END"
    return whole if typed else f"coalesce({cell_sql(sql)}, '')"


def _whole(sample: tuple[str, ...]) -> bool:
    return any(sample) and all(_WHOLE.match(cell) for cell in sample if cell)


def _counted(label: str) -> bool:
    """A number of a cycle or a step names no record."""
    read = read_label(label)
    return read is not None and read.field in _COUNTS


def _record(
    table: Table,
    taking: Callable[[Table], Taken],
    candidates: list[Candidate],
    mapping: ColumnMapping,
    *,
    limit: int,
    layout: str,
) -> Record:
    """What a table gives, or one record of it where the mapping names one."""
    taken = taking(table)
    parts = find(table, candidates, taken.columns.get(_TIME), limit)
    if mapping.record is not None:
        taken = taking(chosen(table, parts, mapping.record))
    elif parts is not None:
        taken = replace(taken, notes=(*taken.notes, parts.remark()))
    return Record(taken, layout, parts.names if parts is not None else ())


def _refuse_endless(path: Path, layout: Layout) -> None:
    """Raise before a file is read that holds far more rows than are taken in."""
    lengths = [sum(map(len, row)) + len(row) for row in layout.sample]
    if not lengths:
        return
    rows = path.stat().st_size * len(lengths) / sum(lengths)
    if rows > _ESTIMATE_SLACK * MAX_ROWS:
        raise DataError(
            f"{path}: about {rows:,.0f} rows, more than {MAX_ROWS:,}",
            hint=IN_PIECES,
        )


def scan_parquet(table: Table, mapping: ColumnMapping, limit: int) -> Record:
    """The columns of an open Parquet table."""
    sources = []
    for column in table.columns:
        sql, kind = quoted(column.name), column.type
        if kind.startswith(NUMERIC) and "[" not in kind:
            sources.append(Source(column.name, sql, "number", typed=True))
        elif kind.startswith(("TIMESTAMP", "DATE")):
            sources.append(Source(column.name, sql, "instant", typed=True))
        elif kind == "VARCHAR":
            sample = tuple(table.texts(sql, limit=_SAMPLE))
            sources.append(Source(column.name, sql, shape_of(sample), sample))
        else:
            sources.append(Source(column.name, sql, "other", typed=True))
    candidates = [
        Candidate(column.name, f"coalesce({quoted(column.name)}::VARCHAR, '')")
        for column in table.columns
        if column.type in _NAMING and not _counted(column.name)
    ]

    def taking(rows: Table) -> Taken:
        return take(rows, sources, mapping, decimal=".", limit=limit)

    return _record(table, taking, candidates, mapping, limit=limit, layout="Parquet")


def draft_text(path: Path, layout: Layout, mapping: ColumnMapping, name: str, limit: int) -> Draft:
    """A draft of a delimited text by its labels.

    Raises:
        DataError: its rows cannot be read.
    """
    record = scan_text(path, layout, mapping, limit)
    return _settle(record, record.guess(path, "delimited text"), mapping, name)


def draft_parquet(table: Table, mapping: ColumnMapping, name: str, limit: int) -> Draft:
    """A draft of a Parquet table by its labels."""
    record = scan_parquet(table, mapping, limit)
    return _settle(record, record.guess(table.path, "Parquet table"), mapping, name)


def _settle(record: Record, guess: Guess, mapping: ColumnMapping, name: str) -> Draft:
    taken = record.taken
    return settle(
        taken.columns,
        guess,
        Identity(name),
        mapping,
        direction=taken.direction,
        notes=taken.notes,
        record_taken=True,
    )
