"""Any table as it stands: Parquet, delimited text or a workbook in, a `Table` out.

Rules
- Columns keep the names that the file gives them; a name that comes twice gets a number.
- A column is numbers where every cell that holds anything is a number, else text.
- Dates of Parquet come as seconds since 1970 UTC; a list of numbers is a curve, a row each.
- What is no table is refused: rows must agree on how many cells they have.
"""

import contextlib
import csv
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from cellwarden.domain import Remark, Table
from cellwarden.errors import DataError
from cellwarden.readers import table as opened
from cellwarden.readers.content import kind_of, overshoots
from cellwarden.readers.layout import (
    HEAD_BYTES,
    NUMBER,
    Layout,
    decimal_mark,
    decode_head,
)
from cellwarden.readers.moments import cell_sql, number_sql
from cellwarden.readers.workbook import Cell, open_workbook

__all__ = ["parquet_table", "text_table", "workbook_table"]

_MOST_CELLS: Final = 100_000_000
_DELIMITERS: Final = (",", ";", "\t", "|")
_ROWS: Final = 300
_AGREE: Final = 0.8  # of the rows have the same number of cells
_PREAMBLE: Final = 60
_SAMPLE: Final = 50
_LEAST_TEXT_COLUMNS: Final = 3  # two columns of words are as likely prose
_LIST: Final = re.compile(
    r"^(TINYINT|SMALLINT|INTEGER|BIGINT|U\w+|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\))\[\d*\]$"
)


def parquet_table(path: Path, name: str) -> Table:
    """The table of a Parquet file.

    Raises:
        DataError: it cannot be read or holds too much.
    """
    with opened.open_parquet(path) as file:
        remarks: list[Remark] = []
        numbers: dict[str, str] = {}
        texts: dict[str, str] = {}
        curves: dict[str, str] = {}
        for column in file.columns:
            sql, kind = opened.quoted(column.name), column.type
            if kind.startswith(("TIMESTAMP", "DATE")):
                numbers[column.name] = f"epoch({sql})"
                text = f"{column.name} holds dates and is given in seconds since 1970 UTC"
                remarks.append(Remark("date_as_number", text, column.name))
            elif kind.startswith(opened.NUMERIC) and "[" not in kind:
                numbers[column.name] = sql
            elif kind == "BOOLEAN":
                numbers[column.name] = f"{sql}::INTEGER"
            elif _LIST.match(kind):
                curves[column.name] = sql
            elif kind == "VARCHAR":
                texts[column.name] = f"coalesce({sql}, '')"
            else:
                text = f"{column.name} is of a type that no table holds ({kind[:40]}); left out"
                remarks.append(Remark("note", text, column.name))
        _refuse_wide(path, file.count(), len(file.columns))
        found: dict[str, np.ndarray] = dict(file.fetch(numbers)) if numbers else {}
        found |= file.fetch_texts(texts)
        for label, sql in curves.items():
            found[label] = file.fetch_lists(sql, _MOST_CELLS)
    order = [column.name for column in file.columns if column.name in found]
    return _table(path, name, {label: found[label] for label in order}, remarks)


def text_table(path: Path, head: bytes, name: str) -> Table:
    """The table of a delimited text.

    Raises:
        DataError: it is no table or holds too much.
    """
    layout = _layout(path, head)
    with opened.open_text(path, layout) as file:
        width = len(layout.labels)
        _refuse_wide(path, file.count(), width)
        cells = {label: f"c{index}" for index, label in enumerate(layout.labels)}
        worded = file.fetch(
            {
                label: f"count(CASE WHEN isinf({number_sql(sql, layout.decimal)}) THEN 1 END)"
                for label, sql in cells.items()
            }
        )
        numbers = {
            label: f"nullif({number_sql(sql, layout.decimal)}, 'inf')"
            for label, sql in cells.items()
            if not worded[label][0]
        }
        blank = " AND ".join(f"{cell_sql(sql)} IS NULL" for sql in cells.values())
        where = f"NOT ({blank})"
        found: dict[str, np.ndarray] = {}
        if numbers:
            found |= file.fetch(numbers, where=where)
        texts = {
            label: f"coalesce({cell_sql(sql)}, '')"
            for label, sql in cells.items()
            if label not in numbers
        }
        found |= file.fetch_texts(texts, where=where)
    return _table(path, name, {label: found[label] for label in layout.labels}, [])


def workbook_table(path: Path, name: str) -> Table:
    """The longest sheet of a workbook as a table.

    Raises:
        DataError: no sheet of it is a table, or it holds too much.
    """
    with open_workbook(path) as book:
        sheets = {sheet: _sheet(path, list(book.rows(sheet))) for sheet in book.sheets}
    sheets = {sheet: columns for sheet, columns in sheets.items() if columns}
    if not sheets:
        raise DataError(
            f"{path}: no sheet of it holds a table", hint="Put labels in a row above the columns."
        )
    chosen = max(sheets, key=lambda sheet: sum(map(len, sheets[sheet].values())))
    remarks = []
    if len(sheets) > 1:
        others = ", ".join(sheet for sheet in sheets if sheet != chosen)
        remarks.append(Remark("note", f"sheet {chosen} is read; there are {others} too"))
    return _table(path, name, sheets[chosen], remarks)


def _sheet(path: Path, rows: list[list[Cell]]) -> dict[str, np.ndarray]:
    """The columns below the first row of labels; none where there is no such row."""
    widest = max((sum(_filled(cell) for cell in row) for row in rows), default=0)
    for at, row in enumerate(rows[:_PREAMBLE]):
        labels = [str(cell).strip() if _filled(cell) else "" for cell in row]
        named = sum(isinstance(cell, str) and _filled(cell) for cell in row)
        if named > 1 and 2 * sum(map(bool, labels)) >= widest:
            below = [cells for cells in rows[at + 1 :] if any(map(_filled, cells))]
            _refuse_wide(path, len(below), len(labels))
            names = _once([label or f"#{index + 1}" for index, label in enumerate(labels)])
            columns = (
                [cells[index] if index < len(cells) else None for cells in below]
                for index in range(len(names))
            )
            pairs = zip(names, columns, strict=True)
            return {label: _typed(cells) for label, cells in pairs if any(map(_filled, cells))}
    return {}


def _filled(cell: Cell) -> bool:
    return cell is not None and cell != ""


def _typed(cells: list[Cell]) -> np.ndarray:
    """Numbers where all that is there is a number, else text."""
    if any(isinstance(cell, str) and cell.strip() for cell in cells):
        return np.array(
            ["" if c is None else f"{c:.15g}" if isinstance(c, float) else c for c in cells],
            dtype=object,
        )
    return np.array([cell if isinstance(cell, float) else np.nan for cell in cells])


def _table(
    path: Path, name: str, columns: Mapping[str, np.ndarray], remarks: list[Remark]
) -> Table:
    if not columns or not len(next(iter(columns.values()))):
        raise DataError(
            f"{path}: labels and not one row below", hint="Look at the file: is it all there?"
        )
    found = (*remarks, *overshoots(columns), *_endless(columns))
    return Table(name, kind_of(columns), columns, str(path), found)


def _endless(columns: Mapping[str, np.ndarray]) -> list[Remark]:
    found = []
    for label, column in columns.items():
        if column.dtype.kind == "f" and np.isinf(column).any():
            rows = np.isinf(column).reshape(len(column), -1).any(axis=1)
            count, row = int(np.count_nonzero(rows)), int(np.argmax(rows)) + 1
            text = f"{count} rows of {label} hold an infinite number, first row {row}"
            found.append(Remark("no_number", text, label, count, row))
    return found


def _refuse_wide(path: Path, rows: int, columns: int) -> None:
    if rows * columns > _MOST_CELLS:
        raise DataError(
            f"{path}: {rows:,} rows of {columns} columns, more than {_MOST_CELLS:,} cells",
            hint="Take the columns or rows you need first.",
        )


def _once(labels: list[str]) -> list[str]:
    """Each label once: the second of a name is given its number."""
    seen: Counter[str] = Counter()
    found = []
    for label in labels:
        seen[label] += 1
        found.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return found if len(set(found)) == len(found) else [f"#{i + 1}" for i in range(len(found))]


def _layout(path: Path, head: bytes) -> Layout:
    """The layout under which most lines have the same number of cells.

    Raises:
        DataError: no layout makes a table of it.
    """
    text, encoding = decode_head(path, head)
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    if len(head) >= HEAD_BYTES and len(lines) > 1:
        lines.pop()  # cut in the middle
    for delimiter in sorted(_DELIMITERS, key=lambda mark: -sum(mark in line for line in lines)):
        for quote in ('"', ""):
            found = _laid_out(lines, delimiter, quote, encoding)
            if found is not None:
                return found
    raise DataError(
        f"{path}: neither a record nor a table: its lines do not agree on their cells",
        hint="Export it as CSV with one row of labels.",
    )


def _rows(lines: list[str], delimiter: str, quote: str) -> list[tuple[int, list[str]]]:
    """Rows and how many lines come before each; a quoted cell may hold several lines."""
    if quote:
        reader = csv.reader(lines, delimiter=delimiter, quotechar=quote)
    else:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    found, before = [], 0
    with contextlib.suppress(csv.Error):
        for row in reader:
            found.append((before, [cell.strip() for cell in row]))
            before = reader.line_num
            if len(found) >= _ROWS:
                return found
    # The last row may have been cut in the middle of a quoted cell.
    return found[:-1] if quote and len(found) > 1 and _unclosed(lines) else found


def _unclosed(lines: list[str]) -> bool:
    return sum(line.count('"') for line in lines) % 2 == 1


def _laid_out(lines: list[str], delimiter: str, quote: str, encoding: str) -> Layout | None:
    rows = _rows(lines, delimiter, quote)
    widths = Counter(len(row) for _, row in rows if any(row))
    if not widths:
        return None
    width, often = widths.most_common(1)[0]
    if often < _AGREE * sum(widths.values()):
        return None
    at = next(index for index, (_, row) in enumerate(rows) if len(row) == width and any(row))
    header = rows[at][1]
    named = not any(NUMBER.match(cell) for cell in header if cell)
    sample = [tuple(row) for _, row in rows[at + named :] if len(row) == width][:_SAMPLE]
    while header and not header[-1] and all(not row[len(header) - 1] for row in sample):
        header = header[:-1]  # a mark at the end of each line makes no column
    sample = [row[: len(header)] for row in sample]
    if rows[at][0] > _PREAMBLE or not _tabular(header, sample, named=named):
        return None
    labels = [cell or f"#{index + 1}" for index, cell in enumerate(header)]
    return Layout(
        encoding=encoding,
        delimiter=delimiter,
        decimal=decimal_mark(sample),
        quote=quote if any('"' in line for line in lines) else "",
        header_row=rows[at][0] + 1 if named else 0,
        skip=rows[at + 1][0] if named else rows[at][0],
        labels=tuple(_once(labels if named else [f"#{i + 1}" for i in range(len(labels))])),
        sample=tuple(sample),
    )


def _tabular(header: list[str], sample: list[tuple[str, ...]], *, named: bool) -> bool:
    """Whether rows look like a table rather than prose with commas."""
    if not sample or not header:
        return False
    if named and 2 * sum(map(bool, header)) < len(header):
        return False
    numeric = any(
        any(column) and all(NUMBER.match(cell) or not cell for cell in column)
        for column in zip(*sample, strict=True)
    )
    return numeric or len(header) >= _LEAST_TEXT_COLUMNS
