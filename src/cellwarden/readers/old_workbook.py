"""Sheets of an .xls workbook (Excel 97 to 2003, as older Arbin software writes it), through xlrd.

Rules
- The same face as a workbook of today: numbers and dates come as floats, texts as strings.
- xlrd holds a sheet whole in memory, which the format bounds (65,536 rows) and the size of the
  file; sheets are taken in one by one.
- xlrd is an extra: without it the error says how to get it.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cellwarden.errors import DataError, DecodeError, UsageError

__all__ = ["OLD_WORKBOOK", "OldWorkbook", "open_old_workbook"]

OLD_WORKBOOK: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HINT: Final = "The file is damaged or was cut short: fetch it again from where it came."
_MOST_BYTES: Final = 1 << 28
# What xlrd calls the types of a cell.
_TEXT, _NUMBER, _DATE, _TRUTH, _ERROR = 1, 2, 3, 4, 5
# What xlrd may raise over damaged bytes.
_DAMAGE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


class OldWorkbook:
    """An open workbook: the names of its sheets, and the rows of each."""

    def __init__(self, book: Any) -> None:
        self._book = book

    @property
    def sheets(self) -> tuple[str, ...]:
        """Names in the order of the workbook."""
        return tuple(map(str, self._book.sheet_names()))

    def rows(self, sheet: str) -> Iterator[list[float | str | None]]:
        """The rows of a sheet; an empty row is an empty list."""
        table = self._book.sheet_by_name(sheet)
        try:
            for number in range(table.nrows):
                values = zip(table.row_types(number), table.row_values(number), strict=True)
                row = [_cell(kind, value) for kind, value in values]
                yield row if any(cell is not None for cell in row) else []
        finally:
            self._book.unload_sheet(sheet)


def _cell(kind: int, value: Any) -> float | str | None:
    if kind in (_NUMBER, _DATE, _TRUTH):
        return float(value)
    if kind == _TEXT:
        return str(value)
    return "error" if kind == _ERROR else None


@contextmanager
def open_old_workbook(path: Path) -> Iterator[OldWorkbook]:
    """A workbook to read sheets from; what is wrong with its bytes becomes a DecodeError.

    Raises:
        DecodeError: no workbook, or a damaged one.
        DataError: it is larger than can be taken in.
        UsageError: xlrd is not installed.
    """
    try:
        import xlrd  # noqa: PLC0415  an extra, and seldom needed
    except ImportError as error:
        raise UsageError(
            f"{path}: an old Excel workbook, for which xlrd is missing",
            hint="Install it with pip install 'cellwarden[cyclers]'.",
        ) from error
    if path.stat().st_size > _MOST_BYTES:
        raise DataError(f"{path}: more than {_MOST_BYTES:,} bytes", hint="Save it as .xlsx or CSV.")
    try:
        # What xlrd has to say goes nowhere: what matters it raises.
        book = xlrd.open_workbook(
            str(path), logfile=io.StringIO(), on_demand=True, ragged_rows=True
        )
        try:
            yield OldWorkbook(book)
        finally:
            book.release_resources()
    except (*_DAMAGE, xlrd.XLRDError, xlrd.compdoc.CompDocError) as error:
        raise DecodeError(f"{path}: no sound workbook: {error}", hint=_HINT) from error
