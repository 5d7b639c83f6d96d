"""A record of any length, read piece by piece: memory holds a piece and never the whole.

Rules
- The first piece decides columns, units, date format and the sign of the current for all.
- Pieces come in the order of the file; the last one carries the remarks of the whole record,
  which are those that `read` gives.
- Formats that are held in memory anyway (workbooks, testers' own binary files) are read at once
  and given out in pieces.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from cellwarden.domain import Series
from cellwarden.errors import DataError
from cellwarden.readers import bdf
from cellwarden.readers.admission import Admission, Identity
from cellwarden.readers.columns import Taken
from cellwarden.readers.labels import unit_of
from cellwarden.readers.layout import Layout
from cellwarden.readers.mapped_csv import Record, scan_parquet, scan_text
from cellwarden.readers.mapping import ColumnMapping
from cellwarden.readers.pieces import cut
from cellwarden.readers.table import MAX_ROWS, Table, in_utf8

__all__ = ["Progress", "parquet_pieces", "slices", "text_pieces"]

_PER_RECORD: Final = "many_records"  # told of a whole file only
# Told how far a file is read, from 0 to 1.
Progress = Callable[[float], None]
# Pieces still to be scanned, each with the mapping that the first one settles.
_Scans = Generator[Callable[[ColumnMapping], Record], None, None]


@dataclass(frozen=True, slots=True)
class _Way:
    """How the record is called, and the convention that its format states."""

    path: Path
    title: str
    identity: Identity
    stated: str = ""


def text_pieces(
    path: Path,
    layout: Layout,
    mapping: ColumnMapping,
    name: str,
    *,
    rows: int,
    progress: Progress,
) -> Iterator[Series]:
    """The pieces of a delimited text.

    Raises:
        DataError: it is refused, or a piece cannot be read.
    """
    native = bdf.is_bdf(layout.labels)
    way = _Way(
        path,
        bdf.TITLE if native else "delimited text",
        Identity(name),
        bdf.STATED if native else "",
    )

    def records() -> _Scans:
        with in_utf8(path, layout.encoding) as place:
            plain = replace(layout, encoding="utf-8", header_row=0, skip=0)
            for piece, done in cut(place, skip=layout.skip, rows=rows, quote=layout.quote):
                progress(done)
                yield partial(_scan_piece, piece, path, plain)

    return _admitted(records(), way, mapping)


def parquet_pieces(
    table: Table, mapping: ColumnMapping, name: str, *, rows: int, progress: Progress
) -> Iterator[Series]:
    """The pieces of an open Parquet file.

    Raises:
        DataError: it is refused, or a piece cannot be read.
    """
    native = bdf.is_bdf(tuple(column.name for column in table.columns))
    way = _Way(
        table.path,
        bdf.TITLE if native else "Parquet table",
        bdf.identity(table, name or None) if native else Identity(name),
        bdf.STATED if native else "",
    )
    count = table.count()

    def records() -> _Scans:
        for start in range(0, count, rows):
            progress(min((start + rows) / count, 1.0))
            part = f"(SELECT * FROM {table.relation} LIMIT {rows} OFFSET {start})"
            yield partial(_scan_part, replace(table, relation=part))

    return _admitted(records(), way, mapping)


def _scan_piece(piece: Path, path: Path, layout: Layout, words: ColumnMapping) -> Record:
    try:
        return scan_text(piece, layout, words, MAX_ROWS)
    except DataError as error:
        text = str(error).replace(str(piece), str(path))
        raise type(error)(text, hint=error.hint) from error


def _scan_part(part: Table, words: ColumnMapping) -> Record:
    return scan_parquet(part, words, MAX_ROWS)


def _admitted(records: _Scans, way: _Way, mapping: ColumnMapping) -> Iterator[Series]:
    admission: Admission | None = None
    held: Series | None = None
    words = mapping
    # Closed here: a refusal's traceback would keep the passing file open.
    with closing(records):
        for scanned in records:
            record = scanned(words)
            taken = record.taken
            if admission is None:
                guess = record.guess(way.path, way.title)
                admission = Admission(guess, way.identity, mapping, stated=way.stated)
                words = _fixed(mapping, taken)
            elif not taken.columns or not len(next(iter(taken.columns.values()))):
                continue  # blank lines
            notes = tuple(note for note in taken.notes if note.kind != _PER_RECORD)
            piece = admission.take(taken.columns, taken.direction, notes)
            if held is not None:
                yield held
            held = piece
    if held is not None and admission is not None:
        yield replace(held, remarks=admission.close())


def _fixed(mapping: ColumnMapping, taken: Taken) -> ColumnMapping:
    """A mapping that says what the first piece was taken for."""
    columns, units = {}, {}
    for index, guess in enumerate(taken.guesses):
        if guess.field is not None:
            columns[guess.field] = f"#{index + 1}"
            if unit_of(guess.field, guess.unit) is not None:
                units[guess.field] = guess.unit
    return replace(
        mapping,
        columns=columns,
        units={**units, **mapping.units},
        date_format=mapping.date_format or taken.date_format,
    )


def slices(series: Series, rows: int, progress: Progress) -> Iterator[Series]:
    """A record that is in memory, in pieces; the last carries its remarks."""
    for start in range(0, len(series), rows):
        stop = min(start + rows, len(series))
        columns: dict[str, Any] = {n: c[start:stop] for n, c in series.columns().items()}
        progress(stop / len(series))
        remarks = series.remarks if stop == len(series) else ()
        yield replace(series, **columns, remarks=remarks)
