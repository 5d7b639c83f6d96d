"""Open a file, look at what it holds, and hand it to the reader of that format.

Rules
- Content decides, not the suffix: the first bytes, then the names of the columns.
- What is not a readable file is the caller's error; what is wrong inside is the data's.
"""

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from cellwarden.domain import Series, Table
from cellwarden.errors import DataError, DecodeError, UsageError
from cellwarden.readers import (
    arbin_res,
    bdf,
    biologic_mpr,
    calce,
    hdf5,
    mapped_csv,
    nasa,
    nasa_mat,
    neware_ndax,
    rows,
)
from cellwarden.readers.compressed import ZIP, members, renamed, unpacked
from cellwarden.readers.draft import Draft
from cellwarden.readers.hdf5 import HDF5
from cellwarden.readers.jet import JET
from cellwarden.readers.layout import HEAD_BYTES, decode_head, find_layout
from cellwarden.readers.mapping import ColumnMapping, Guess, load_mapping
from cellwarden.readers.mat5 import MAT
from cellwarden.readers.mpr import MPR
from cellwarden.readers.old_workbook import OLD_WORKBOOK
from cellwarden.readers.refusal import NoRecordError
from cellwarden.readers.stream import Progress, parquet_pieces, slices, text_pieces
from cellwarden.readers.table import MAX_ROWS, open_parquet

__all__ = ["guess", "load", "read", "read_table", "records", "scan"]

_GUESS_ROWS: Final = 200_000
_MOST_ROWS: Final = 1 << 40  # of a record that is read in pieces
_PARQUET: Final = b"PAR1"
_WORKBOOK: Final = "xl/workbook.xml"
# First bytes of testers' own formats.
_NATIVE: Final = (
    (JET, arbin_res.draft),
    (MPR, biologic_mpr.draft),
    (HDF5, hdf5.draft),
    (MAT, nasa_mat.draft),
)
# First bytes of formats that are known and not read, and what to do instead.
_FOREIGN: Final = (
    (b"MATLAB 7.3", "a MATLAB 7.3 file", "Save it with -v7, or export the record as CSV."),
    (b"NEWARE", "a Neware .nda file", "Export it as .ndax, CSV or .xlsx from BTSDA."),
)


def read(
    path: Path | str,
    *,
    mapping: ColumnMapping | Path | str | None = None,
    name: str | None = None,
    record: str | None = None,
) -> Series:
    """The record that a file holds, as it stands there, positive current charging.

    `mapping` overrides what is guessed: a `ColumnMapping`, or a TOML file with the same names.
    `name` names the cell; without it the file does. `record` is one of `records(path)`; without it
    a file of several gives them joined, with a remark.

    Raises:
        UsageError: there is no such file to read, or the mapping does not fit it.
        DecodeError: its bytes are no format that is known, or are damaged.
        UnitError: the sign of its current cannot be told, or the record contradicts it.
        DataError: it holds no record of a cell.
    """
    place, words = Path(path), _words(mapping, record)
    try:
        return _draft(place, words, name, MAX_ROWS).series()
    except NoRecordError as refusal:
        raise _as_table(refusal, place, words) from refusal


def load(
    path: Path | str,
    *,
    mapping: ColumnMapping | Path | str | None = None,
    name: str | None = None,
    record: str | None = None,
) -> Series | Table:
    """The record of a cell where a file holds one, else the table that it holds.

    Raises:
        UsageError: there is no such file to read, or the mapping does not fit it.
        DecodeError: its bytes are no format that is known, or are damaged.
        UnitError: the sign of its current cannot be told, or the record contradicts it.
        DataError: it holds neither.
    """
    place, words = Path(path), _words(mapping, record)
    try:
        return _draft(place, words, name, MAX_ROWS).content()
    except NoRecordError:
        table = None if words.columns else _table_or_none(place, name)
        if table is None:
            raise
        return table


def read_table(path: Path | str, *, name: str | None = None) -> Table:
    """The table that a file holds, columns named as the file names them; a record too is one.

    Raises:
        UsageError: there is no such file to read.
        DataError: it holds no table, or is damaged.
    """
    place = Path(path)
    _head(place)
    with unpacked(place) as inside:
        table = _plain_table(inside, name or _stem(place))
        return replace(table, source=str(place))


def records(
    path: Path | str, *, mapping: ColumnMapping | Path | str | None = None
) -> tuple[str, ...]:
    """The names of the records in a file that holds several, in its order; none where it is one.

    Raises:
        UsageError: there is no such file to read, or the mapping does not fit it.
        DataError: it cannot be read.
    """
    return _draft(Path(path), load_mapping(mapping), None, MAX_ROWS).guess.records


def scan(
    path: Path | str,
    *,
    rows: int = 1_000_000,
    mapping: ColumnMapping | Path | str | None = None,
    name: str | None = None,
    progress: Progress = lambda _: None,
) -> Iterator[Series]:
    """The record of a file of any length, in pieces of at most `rows` rows, in its order.

    Memory holds two pieces and never the whole. The first piece decides columns, units and the
    sign of the current; the last one carries the remarks of the whole record. `progress` is called
    with the part of the file that is read, from 0 to 1.

    Raises:
        UsageError: there is no such file to read, or the mapping does not fit it.
        DataError: as `read` raises it, when the first piece is asked for or a later one.
    """
    if rows < 1:
        raise UsageError(f"{rows} rows a piece", hint="Ask for at least one; a million is well.")
    return _pieces(Path(path), load_mapping(mapping), name, rows, progress)


def _pieces(
    path: Path, mapping: ColumnMapping, name: str | None, rows: int, progress: Progress
) -> Iterator[Series]:
    _head(path)
    try:
        with unpacked(path) as place:
            for piece in _plain_pieces(place, mapping, name, rows, progress):
                yield piece if place == path else replace(piece, source=str(path))
    except NoRecordError as refusal:
        raise _as_table(refusal, path, mapping) from refusal


def _plain_pieces(
    path: Path, mapping: ColumnMapping, name: str | None, rows: int, progress: Progress
) -> Iterator[Series]:
    head = _head(path)
    if head.startswith(_PARQUET):
        with open_parquet(path, most_rows=_MOST_ROWS) as table:
            labels = tuple(column.name for column in table.columns)
            if not (nasa.is_nasa(labels) or calce.is_calce(labels)):
                called = name or ("" if bdf.is_bdf(labels) else _stem(path))
                yield from parquet_pieces(table, mapping, called, rows=rows, progress=progress)
                return
    elif not head.startswith((ZIP, OLD_WORKBOOK, *(magic for magic, *_ in (*_NATIVE, *_FOREIGN)))):
        layout = find_layout(path, head, mapping)
        called = name or _stem(path)
        yield from text_pieces(path, layout, mapping, called, rows=rows, progress=progress)
        return
    yield from slices(_plain(path, mapping, name, MAX_ROWS).series(), rows, progress)


def _words(mapping: ColumnMapping | Path | str | None, record: str | None) -> ColumnMapping:
    words = load_mapping(mapping)
    return words if record is None else replace(words, record=record)


def _as_table(refusal: NoRecordError, path: Path, words: ColumnMapping) -> NoRecordError:
    """The refusal of a record, which names the table that the file holds instead."""
    table = None if words.columns else _table_or_none(path)
    if table is None:
        return refusal
    text = f"{refusal}. It holds a table of {table.kind}; use read_table"
    return NoRecordError(text, hint=refusal.hint)


def _table_or_none(path: Path, name: str | None = None) -> Table | None:
    try:
        return read_table(path, name=name)
    except DataError:
        return None


def _plain_table(path: Path, name: str) -> Table:
    head = _head(path)
    if head.startswith(_PARQUET):
        return rows.parquet_table(path, name)
    inside = members(path) if head.startswith(ZIP) else ()
    if _WORKBOOK in inside or head.startswith(OLD_WORKBOOK):
        return rows.workbook_table(path, name)
    if inside:
        if len(inside) == 1:
            with unpacked(path, zipped=inside[0]) as place:
                if not _head(place).startswith(ZIP):
                    return _plain_table(place, name)
    elif _is_text(path, head):
        return rows.text_table(path, head, name)
    found = _plain(path, ColumnMapping(), name, MAX_ROWS).content()
    if isinstance(found, Table):
        return found
    return Table(found.name, "signals", found.columns(), found.source, found.remarks)


def _is_text(path: Path, head: bytes) -> bool:
    try:
        decode_head(path, head)
    except DecodeError:
        return False
    return True


def guess(path: Path | str, *, mapping: ColumnMapping | Path | str | None = None) -> Guess:
    """What `read` would make of a file, and why; nothing is taken in.

    Looks at no more than the first 200,000 rows.

    Raises:
        UsageError: there is no such file to read, or the mapping does not fit it.
        DataError: its bytes are no table at all.
    """
    return _draft(Path(path), load_mapping(mapping), None, _GUESS_ROWS).guess


def _draft(path: Path, mapping: ColumnMapping, name: str | None, limit: int) -> Draft:
    _head(path)
    with unpacked(path) as place:
        return renamed(_plain(place, mapping, name, limit), place, path)


def _plain(path: Path, mapping: ColumnMapping, name: str | None, limit: int) -> Draft:
    head = _head(path)
    if head.startswith(_PARQUET):
        return _parquet(path, mapping, name, limit)
    if head.startswith(OLD_WORKBOOK):
        return calce.draft_workbook(path, mapping, name or "", limit)
    if head.startswith(ZIP):
        return _zip(path, mapping, name, limit)
    for magic, draft in _NATIVE:
        if head.startswith(magic):
            return draft(path, mapping, name, limit)
    for magic, what, hint in _FOREIGN:
        if head.startswith(magic):
            raise DecodeError(f"{path}: {what}, which is not read", hint=hint)
    layout = find_layout(path, head, mapping)
    if bdf.is_bdf(layout.labels):
        return bdf.draft_text(path, layout, mapping, name or _stem(path), limit)
    return mapped_csv.draft_text(path, layout, mapping, name or _stem(path), limit)


def _parquet(path: Path, mapping: ColumnMapping, name: str | None, limit: int) -> Draft:
    with open_parquet(path) as table:
        labels = tuple(column.name for column in table.columns)
        if bdf.is_bdf(labels):
            return bdf.draft_parquet(table, mapping, name, limit)
        if nasa.is_nasa(labels):
            return nasa.draft(table, mapping, name or _stem(path), limit)
        if calce.is_calce(labels):
            return calce.draft_table(table, mapping, name or _stem(path), limit)
        return mapped_csv.draft_parquet(table, mapping, name or _stem(path), limit)


def _zip(path: Path, mapping: ColumnMapping, name: str | None, limit: int) -> Draft:
    inside = members(path)
    if _WORKBOOK in inside:
        return calce.draft_workbook(path, mapping, name or "", limit)
    if neware_ndax.RECORD in inside:
        return neware_ndax.draft(path, mapping, name, limit)
    if len(inside) != 1:
        raise DecodeError(
            f"{path}: a zip archive that holds no workbook but {len(inside)} files"
            f" ({', '.join(inside)[:200]})",
            hint="Unpack it and read its files one by one.",
        )
    with unpacked(path, zipped=inside[0]) as place:
        if _head(place).startswith(ZIP) and len(members(place)) == 1:
            raise DecodeError(f"{path}: packed more than once", hint="Unpack it first.")
        return renamed(_plain(place, mapping, name, limit), place, path)


def _head(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path}: not a file", hint="Name one file that holds a record.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: {reason}", hint="Check the name and its rights.") from error
    if not head.strip():
        raise DecodeError(f"{path}: empty", hint="Fetch it again from where it came.")
    return head


def _stem(path: Path) -> str:
    """The file's name without its suffixes."""
    return path.stem.removesuffix(".bdf") or path.name
