"""Open a file, look at what it holds, and hand it to the reader of that format.

Rules
- Content decides, not the suffix: the first bytes, then the names of the columns.
- What is not a readable file is the caller's error; what is wrong inside is the data's.
"""

import stat
from pathlib import Path
from typing import Final

from cellwarden.domain import Series
from cellwarden.errors import DecodeError, UsageError
from cellwarden.readers import bdf, calce, mapped_csv, nasa
from cellwarden.readers.draft import Draft
from cellwarden.readers.layout import HEAD_BYTES, find_layout
from cellwarden.readers.mapping import ColumnMapping, Guess, load_mapping
from cellwarden.readers.table import MAX_ROWS, open_parquet

__all__ = ["guess", "read"]

_GUESS_ROWS: Final = 200_000
_PARQUET: Final = b"PAR1"
_ZIP: Final = b"PK\x03\x04"
# First bytes of formats that are known and not read, and what to do instead.
_FOREIGN: Final = (
    (b"\x1f\x8b", "compressed with gzip", "Unpack it first."),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", "Unpack it first."),
    (b"\x89HDF", "an HDF5 file", "Export the record as CSV or Parquet."),
    (b"\x00\x01\x00\x00Standard Jet DB", "an Arbin .res database", "Export it as CSV or .xlsx."),
    (b"BIO-LOGIC", "a BioLogic .mpr file", "Export it as text (.mpt) from EC-Lab."),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Save it as .xlsx or CSV."),
    (b"MATLAB 5.0", "a MATLAB file", "Export the record as CSV."),
)


def read(
    path: Path | str, *, mapping: ColumnMapping | Path | str | None = None, name: str | None = None
) -> Series:
    """The record that a file holds, as it stands there, positive current charging.

    `mapping` overrides what is guessed: a `ColumnMapping`, or a TOML file with the same names.
    `name` names the cell; without it the file does.

    Raises:
        UsageError: there is no such file to read, or the mapping does not fit it.
        DecodeError: its bytes are no format that is known, or are damaged.
        UnitError: the sign of its current cannot be told, or the record contradicts it.
        DataError: it holds no record of a cell.
    """
    return _draft(Path(path), load_mapping(mapping), name, MAX_ROWS).series()


def guess(path: Path | str, *, mapping: ColumnMapping | Path | str | None = None) -> Guess:
    """What `read` would make of a file, and why; nothing is taken in.

    Looks at no more than the first 200,000 rows.

    Raises:
        UsageError: there is no such file to read, or the mapping does not fit it.
        DataError: its bytes are no table at all.
    """
    return _draft(Path(path), load_mapping(mapping), None, _GUESS_ROWS).guess


def _draft(path: Path, mapping: ColumnMapping, name: str | None, limit: int) -> Draft:
    head = _head(path)
    if head.startswith(_PARQUET):
        return _parquet(path, mapping, name, limit)
    if head.startswith(_ZIP):
        return calce.draft_workbook(path, mapping, name or "", limit)
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
