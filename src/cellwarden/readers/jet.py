"""Tables of a Microsoft Jet 4 database (Access 2000 and later), read and nothing else.

Layout, little-endian, pages of 4096 bytes, the first byte of a page tells its kind
- Table definition (2): 4 next page; then, counted over all its pages joined behind their first
  8 bytes: 16 rows, 41 columns ever had, 43 columns of variable length, 45 columns, 51 real
  indexes; from 63, behind 12 bytes an index, 25 bytes a column (0 type, 5 number, 15 flags with
  bit 0 for fixed length, 7 place among the variable ones, 21 offset among the fixed ones,
  23 length), then the names, UTF-16 behind a u16 of their bytes.
- Data (1): 4 page of the table's definition, 12 rows, 14 a u16 a row: where it begins, with bit
  15 for a deleted row and bit 14 for one that stands elsewhere. Rows fill a page from its end.
- Row: u16 columns, fixed columns, variable columns, their offsets (u16, last first) and count
  (u16), a bit a column that says it is not null; a truth value has that bit alone.
- The table MSysObjects, its definition on page 2, lists all others: Name, Type (1 a table) and
  in the low 24 bits of Id the page of the definition.

Rules
- One pass over the file notes which page belongs to which table; a table's own pages are then
  read in pieces, so memory is bound by the columns asked for.
- Fewer rows than the definition counts mean a file cut short, and that is an error.
- Jet 3 (Access 97) and encrypted databases are refused. Source: the layout as described by the
  MDB Tools project, checked byte by byte against files of Arbin MITS 4 and MITS 7.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from jaxtyping import Float64, Int64, UInt8, UInt32

from cellwarden.errors import DataError, DecodeError
from cellwarden.readers.table import MAX_ROWS

__all__ = ["JET", "Column", "Database", "Definition", "open_jet"]

JET: Final = b"\x00\x01\x00\x00Standard Jet DB\x00"
_HINT: Final = "The file is damaged or was cut short: fetch it again from where it came."
_PAGE: Final = 4096
_PIECE_PAGES: Final = 4096  # 16 MiB at a time
_CATALOGUE_PAGE: Final = 2
_MOST_COLUMNS: Final = 255
_MOST_DEFINITION_PAGES: Final = 64
_MOST_TEXTS: Final = 4096
_TABLE_TYPE: Final = 1
_PAGE_OF_ID: Final = 0xFFFFFF
_DATA, _DEFINITION = 1, 2
_FIXED: Final = 1
_DELETED, _ELSEWHERE, _WHERE = 0x8000, 0x4000, 0x1FFF
_ROWS_AT: Final = 14
_COUNT_BYTES: Final = 2  # a row begins with how many columns it has
_TEXT: Final = 10
# Jet's number of a type -> as NumPy reads it; others hold no plain number.
_TYPES: Final = {2: "<u1", 3: "<i2", 4: "<i4", 5: "<i8", 6: "<f4", 7: "<f8", 8: "<f8"}
_MONEY: Final = 5
_MONEY_PARTS: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Column:
    """A column as a table's definition describes it."""

    name: str
    type: int
    number: int
    fixed: bool
    fixed_at: int
    variable_at: int


@dataclass(frozen=True, slots=True)
class Definition:
    """A table: the page that defines it, how many rows it has, and its columns by name."""

    page: int
    row_count: int
    columns: dict[str, Column]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one piece of the file: its bytes, and where each row begins and ends."""

    content: UInt8[np.ndarray, " byte"]
    begin: Int64[np.ndarray, " row"]
    end: Int64[np.ndarray, " row"]


@dataclass(frozen=True, slots=True)
class Database:
    """A database: for each page the page that defines the table whose rows it holds, or 0."""

    path: Path
    owners: UInt32[np.ndarray, " page"]

    def tables(self) -> dict[str, int]:
        """The tables: the page of each one's definition, by name.

        Raises:
            DecodeError: the catalogue is damaged.
        """
        catalogue = self.definition(_CATALOGUE_PAGE)
        names = self.texts(catalogue, "Name")
        listed = self.numbers(catalogue, ("Id", "Type"))
        return {
            name: int(number) & _PAGE_OF_ID
            for name, number, kind in zip(names, listed["Id"], listed["Type"], strict=True)
            if kind == _TABLE_TYPE and np.isfinite(number) and not name.startswith("MSys")
        }

    def definition(self, page: int) -> Definition:
        """The table that a page defines.

        Raises:
            DecodeError: it defines none.
        """
        whole = b""
        following = page
        with self.path.open("rb") as file:
            for _ in range(_MOST_DEFINITION_PAGES):
                file.seek(following * _PAGE)
                content = file.read(_PAGE)
                if len(content) < _PAGE or content[0] != _DEFINITION:
                    break
                whole += content if not whole else content[8:]
                following = int.from_bytes(content[4:8], "little")
                if following == 0:
                    return _parsed(self.path, page, whole)
        raise DecodeError(f"{self.path}: page {page} defines no whole table", hint=_HINT)

    def numbers(
        self, table: Definition, names: Sequence[str]
    ) -> dict[str, Float64[np.ndarray, " row"]]:
        """Columns of plain numbers; NaN where there is none.

        Raises:
            DecodeError: a column is missing or holds something else, or the file is damaged.
            DataError: there are more rows than can be held.
        """
        columns = [_numeric(self.path, table, name) for name in names]
        pieces: dict[str, list[Float64[np.ndarray, " row"]]] = {name: [] for name in names}
        for rows in self._rows(table):
            for column in columns:
                pieces[column.name].append(_values(self.path, rows, column))
        return {name: np.concatenate([np.zeros(0), *found]) for name, found in pieces.items()}

    def texts(self, table: Definition, name: str) -> list[str]:
        """A column of texts; empty where there is none.

        Raises:
            DecodeError: there is no such column, or the file is damaged.
        """
        column = table.columns.get(name)
        if column is None or column.fixed or column.type != _TEXT:
            raise DecodeError(f"{self.path}: no column of texts called {name}", hint=_HINT)
        found: list[str] = []
        for rows in self._rows(table):
            if len(found) + len(rows.begin) > _MOST_TEXTS:
                raise DecodeError(f"{self.path}: {name} goes on without end", hint=_HINT)
            held = _not_null(rows, column)
            for begin, end, there in zip(rows.begin, rows.end, held, strict=True):
                row = rows.content[begin:end].tobytes()
                found.append(_text(_variable(row, column.variable_at)) if there else "")
        return found

    def _rows(self, table: Definition) -> Iterator[_Rows]:
        """The rows of a table, piece by piece, in the order of the file."""
        mine = np.flatnonzero(self.owners == table.page)
        found = 0
        with self.path.open("rb") as file:
            for first in range(0, len(mine), _PIECE_PAGES):
                rows = _rows_of(self.path, _pages(file, mine[first : first + _PIECE_PAGES]))
                found += len(rows.begin)
                if found > MAX_ROWS:
                    raise DataError(
                        f"{self.path}: more than {MAX_ROWS:,} rows",
                        hint="Export the record in parts.",
                    )
                yield rows
        if found < table.row_count:
            raise DecodeError(
                f"{self.path}: {found:,} of {table.row_count:,} rows are there", hint=_HINT
            )


def open_jet(path: Path) -> Database:
    """A database, its pages sorted by table.

    Raises:
        DecodeError: it is no Jet 4 database.
    """
    owners = [np.zeros(0, dtype=np.uint32)]
    with path.open("rb") as file:
        head = file.read(len(JET) + 1)
        if not head.startswith(JET) or not head[len(JET) :]:
            raise DecodeError(f"{path}: no Jet database", hint=_HINT)
        if head[len(JET)] == 0:
            raise DecodeError(
                f"{path}: a Jet 3 database (Access 97), which is not read",
                hint="Export the record from the tester's software as CSV or .xlsx.",
            )
        file.seek(0)
        while piece := file.read(_PIECE_PAGES * _PAGE):
            pages = np.frombuffer(piece[: len(piece) // _PAGE * _PAGE], dtype=np.uint8)
            pages = pages.reshape(-1, _PAGE)
            owner = np.ascontiguousarray(pages[:, 4:8]).view("<u4")[:, 0]
            owners.append(np.where((pages[:, 0] == _DATA) & (pages[:, 1] == 1), owner, 0))
    return Database(path, np.concatenate(owners))


def _pages(file: BinaryIO, numbers: Int64[np.ndarray, " page"]) -> UInt8[np.ndarray, "page 4096"]:
    """Pages by number, neighbours read at once."""
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    pieces = []
    for run in np.split(numbers, breaks):
        file.seek(int(run[0]) * _PAGE)
        pieces.append(file.read(len(run) * _PAGE))
    content = b"".join(pieces)
    return np.frombuffer(content[: len(content) // _PAGE * _PAGE], np.uint8).reshape(-1, _PAGE)


def _parsed(path: Path, page: int, whole: bytes) -> Definition:
    count = int.from_bytes(whole[45:47], "little")
    at = 63 + 12 * int.from_bytes(whole[51:55], "little")
    names_at = at + 25 * count
    columns: dict[str, Column] = {}
    if count > _MOST_COLUMNS or names_at > len(whole):
        raise DecodeError(f"{path}: page {page} has no sound columns", hint=_HINT)
    for index in range(count):
        entry = whole[at + 25 * index : at + 25 * (index + 1)]
        length = int.from_bytes(whole[names_at : names_at + 2], "little")
        name = whole[names_at + 2 : names_at + 2 + length].decode("utf-16-le", errors="replace")
        names_at += 2 + length
        columns[name] = Column(
            name=name,
            type=entry[0],
            number=int.from_bytes(entry[5:7], "little"),
            fixed=bool(entry[15] & _FIXED),
            fixed_at=int.from_bytes(entry[21:23], "little"),
            variable_at=int.from_bytes(entry[7:9], "little"),
        )
    return Definition(page, int.from_bytes(whole[16:20], "little"), columns)


def _rows_of(path: Path, pages: UInt8[np.ndarray, "page 4096"]) -> _Rows:
    begins, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for page in range(len(pages)):
        count = int.from_bytes(pages[page, 12:14].tobytes(), "little")
        if _ROWS_AT + 2 * count > _PAGE:
            raise DecodeError(f"{path}: a page holds {count} rows", hint=_HINT)
        places = pages[page, _ROWS_AT : _ROWS_AT + 2 * count].view("<u2").astype(np.int64)
        starts = places & _WHERE
        stops = np.concatenate(([_PAGE], starts[:-1]))[:count]
        kept = (places & (_DELETED | _ELSEWHERE)) == 0
        begins.append(page * _PAGE + starts[kept])
        ends.append(page * _PAGE + stops[kept])
    begin, end = np.concatenate(begins), np.concatenate(ends)
    if np.any((end - begin < _COUNT_BYTES) | (begin % _PAGE < _ROWS_AT)):
        raise DecodeError(f"{path}: rows overlap", hint=_HINT)
    return _Rows(pages.reshape(-1), begin, end)


def _numeric(path: Path, table: Definition, name: str) -> Column:
    column = table.columns.get(name)
    if column is None or not column.fixed or column.type not in _TYPES:
        raise DecodeError(f"{path}: no column of numbers called {name}", hint=_HINT)
    return column


def _values(path: Path, rows: _Rows, column: Column) -> Float64[np.ndarray, " row"]:
    dtype = np.dtype(_TYPES[column.type])
    at = rows.begin + 2 + column.fixed_at
    if np.any(at + dtype.itemsize > rows.end):
        raise DecodeError(f"{path}: a row is too short for {column.name}", hint=_HINT)
    cells = rows.content[at[:, None] + np.arange(dtype.itemsize)]
    with np.errstate(invalid="ignore"):  # a signalling NaN is as good as any other
        values = cells.view(dtype)[:, 0].astype(np.float64)
    if column.type == _MONEY:
        values *= _MONEY_PARTS
    return np.where(_not_null(rows, column), values, np.nan)


def _not_null(rows: _Rows, column: Column) -> np.ndarray:
    """Whether a column has a value, row by row; columns added later are missing from old rows."""
    had = rows.content[rows.begin].astype(np.int64) | (
        rows.content[rows.begin + 1].astype(np.int64) << 8
    )
    mask_at = rows.end - (had + 7) // 8 + column.number // 8
    inside = (column.number < had) & (mask_at > rows.begin)
    bits = rows.content[np.where(inside, mask_at, rows.begin)]
    held: np.ndarray = inside & ((bits >> (column.number % 8)) & 1).astype(bool)
    return held


def _variable(row: bytes, place: int) -> bytes:
    """The bytes of a row's variable column."""
    mask = (int.from_bytes(row[:2], "little") + 7) // 8
    count_at = len(row) - mask - 2
    count = int.from_bytes(row[max(count_at, 0) : max(count_at, 0) + 2], "little")
    begin_at = count_at - 2 * (place + 1)
    if place >= count or begin_at < _COUNT_BYTES:
        return b""
    begin = int.from_bytes(row[begin_at : begin_at + 2], "little")
    end = int.from_bytes(row[begin_at - 2 : begin_at], "little")
    return row[begin:end]


def _text(content: bytes) -> str:
    """UTF-16, or Latin-1 behind a mark where half its bytes would be zero."""
    if content.startswith(b"\xff\xfe"):
        return content[2:].decode("latin-1")
    return content.decode("utf-16-le", errors="replace")
