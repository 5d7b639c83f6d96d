"""Any delimited text, and any Parquet table, whose columns can be told by their labels."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cellwarden.errors import DecodeError
from cellwarden.readers.columns import Source, Taken, take
from cellwarden.readers.draft import Draft, Identity, settle
from cellwarden.readers.layout import Layout
from cellwarden.readers.mapping import ColumnMapping, Guess
from cellwarden.readers.moments import shape_of
from cellwarden.readers.table import Table, cell, open_text, quoted

__all__ = ["Record", "draft_parquet", "draft_text", "scan_parquet", "scan_text"]

_NUMERIC: Final = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "FLOAT",
    "DOUBLE",
    "U",
    "DECIMAL",
)
_SAMPLE: Final = 50


@dataclass(frozen=True, slots=True)
class Record:
    """What a table holds for a series, and how it is laid out."""

    taken: Taken
    layout: str

    def guess(self, path: Path, title: str) -> Guess:
        """The guess that goes with it."""
        return Guess(
            str(path), title, self.taken.guesses, layout=self.layout, doubts=self.taken.doubts
        )


def scan_text(path: Path, layout: Layout, mapping: ColumnMapping, limit: int) -> Record:
    """The columns of a delimited text.

    Raises:
        DataError: its rows cannot be read.
    """
    decimal = mapping.decimal or layout.decimal
    sources = [
        Source(label, cell(index), shape_of(sample), sample)
        for index, label in enumerate(layout.labels)
        for sample in [tuple(row[index] if index < len(row) else "" for row in layout.sample)]
    ]
    try:
        with open_text(path, layout) as table:
            taken = take(table, sources, mapping, decimal=decimal, limit=limit)
    except DecodeError as error:
        # Its head may be plain ASCII and a degree sign of an old code page stand far below.
        if layout.encoding != "utf-8" or "utf-8" not in str(error.__cause__):
            raise
        return scan_text(path, replace(layout, encoding="cp1252"), mapping, limit)
    return Record(taken, layout.describe())


def scan_parquet(table: Table, mapping: ColumnMapping, limit: int) -> Record:
    """The columns of an open Parquet table."""
    sources = []
    for column in table.columns:
        sql, kind = quoted(column.name), column.type
        if kind.startswith(_NUMERIC):
            sources.append(Source(column.name, sql, "number", typed=True))
        elif kind.startswith(("TIMESTAMP", "DATE")):
            sources.append(Source(column.name, sql, "instant", typed=True))
        elif kind == "VARCHAR":
            sample = tuple(table.texts(sql, limit=_SAMPLE))
            sources.append(Source(column.name, sql, shape_of(sample), sample))
    taken = take(table, sources, mapping, decimal=".", limit=limit)
    return Record(taken, "Parquet")


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
        taken.columns, guess, Identity(name), mapping, direction=taken.direction, notes=taken.notes
    )
