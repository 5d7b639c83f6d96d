"""How a delimited text is laid out: encoding, delimiter, decimal mark, header, first row.

Rules
- Only the head of the file is looked at; labels tell the header row, cells the decimal mark.
- The header is the line whose labels name most of what a series needs and that numbers follow.
- Units may stand in a row of their own below the labels.
"""

import codecs
import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cellwarden.errors import DecodeError
from cellwarden.readers.labels import DIRECTION, read_label
from cellwarden.readers.labview import END, columns, is_labview, words
from cellwarden.readers.mapping import ColumnMapping
from cellwarden.readers.refusal import NoRecordError

__all__ = [
    "HEAD_BYTES",
    "NUMBER",
    "Layout",
    "decimal_mark",
    "decode_head",
    "find_layout",
    "split_line",
]

HEAD_BYTES: Final = 1 << 18
_LINES: Final = 400
_SAMPLE_ROWS: Final = 50
_LOOK_AHEAD: Final = 4  # lines from a header to the first numbers: a row of units, blank lines
_DELIMITERS: Final = (",", ";", "\t", "|")
_NEEDED: Final = {
    "test_time_second": "time",
    "unix_time_second": "time",
    "voltage_volt": "voltage",
    "current_ampere": "current",
}
_NEED_WEIGHT: Final = 100
_LEAST_NEEDS: Final = 2
_MOST_CONTROLS: Final = 0.01
_DECIMAL_COMMA: Final = re.compile(r"^[+-]?\d+,\d+([eE][+-]?\d+)?$")
_DECIMAL_POINT: Final = re.compile(r"^[+-]?\d*\.\d+([eE][+-]?\d+)?$")
NUMBER: Final = re.compile(r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd]")
_LINE_END: Final = re.compile(r"\r\n|\n|\r")  # as the scanner counts them, no others
_UNIT_CELL: Final = re.compile(r"^[(\[].*[)\]]$")


@dataclass(frozen=True, slots=True)
class Layout:
    """`labels` name the columns; `skip` lines come before the first row; `sample` is its start."""

    encoding: str
    delimiter: str
    decimal: str
    quote: str
    header_row: int
    skip: int
    labels: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]

    def describe(self) -> str:
        """The layout in words."""
        name = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar", " ": "space"}
        where = f"header in line {self.header_row}" if self.header_row else "no header"
        delimiter = name.get(self.delimiter, repr(self.delimiter))
        return f"{self.encoding}, {delimiter} between cells, decimal {self.decimal!r}, {where}"


def decode_head(path: Path, head: bytes) -> tuple[str, str]:
    """The head of a file as text, and the name of its encoding.

    Raises:
        DecodeError: it is not text.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding, text = "utf-16", head.decode("utf-16", errors="replace")
    else:
        try:
            # A character may be cut in two at the end of the head.
            text = codecs.getincrementaldecoder("utf-8")().decode(head)
            encoding = "utf-8"
        except UnicodeDecodeError:
            encoding, text = "cp1252", head.decode("cp1252", errors="replace")
    if len(_CONTROL.findall(text)) > _MOST_CONTROLS * len(text):
        raise DecodeError(
            f"{path}: neither text nor a binary format that is known"
            f" (it begins with {head[:8].hex(' ')})",
            hint="Export the record from the tester's software as CSV.",
        )
    return text, encoding


def find_layout(path: Path, head: bytes, mapping: ColumnMapping) -> Layout:
    """The layout that makes most sense of the head of a file.

    Raises:
        DecodeError: it is not text.
        NoRecordError: no line of it looks like the header of a record.
    """
    text, encoding = decode_head(path, head)
    lines = _LINE_END.split(text.removeprefix("\ufeff"))
    if len(head) >= HEAD_BYTES and len(lines) > 1:
        lines.pop()  # cut in the middle
    lines = lines[:_LINES]
    if is_labview(lines) and mapping.header_row is None:
        return _labview(lines, encoding)
    delimiters = (mapping.delimiter,) if mapping.delimiter else _DELIMITERS
    best: tuple[int, int, str] | None = None
    for delimiter in delimiters:
        found = _header(lines, delimiter, mapping)
        if found is not None and (best is None or found[0] > best[0]):
            best = (*found, delimiter)
    if best is None:
        raise NoRecordError(
            f"{path}: no line of its first {len(lines)} looks like the header of a record",
            hint="Name columns and header_row with a mapping; header_row = 0 and #1, #2, … where"
            " there are no labels.",
        )
    return _lay_out(lines, encoding, best[2], best[1])


def _labview(lines: list[str], encoding: str) -> Layout:
    """The layout that the header of a LabVIEW text states."""
    stated = words(lines)
    skip = next(index for index, line in enumerate(lines) if line.strip() == END) + 1
    delimiter = stated["Separator"]
    raw = [line for line in lines[skip:] if line.strip()][:_SAMPLE_ROWS]
    sample = [tuple(split_line(line, delimiter)) for line in raw]
    width = max(map(len, sample), default=0)
    return Layout(
        encoding=encoding,
        delimiter=delimiter,
        decimal="," if stated.get("Decimal_Separator") == "," else ".",
        quote="",
        header_row=0,
        skip=skip,
        labels=tuple(columns(stated.get("Description", ""), width)),
        sample=tuple(sample),
    )


def split_line(line: str, delimiter: str) -> list[str]:
    """The cells of a line, without blanks and quotes around them."""
    if _quoted_whole(line, delimiter):
        line = line.strip().strip('"')
    try:
        cells = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        cells = line.split(delimiter)
    return [cell.strip().strip("\"'").strip() for cell in cells]


def _quoted_whole(line: str, delimiter: str) -> bool:
    """Some exports put each line, not each cell, in quotes."""
    line = line.strip()
    alone = line.startswith('"') and line.endswith('"') and '"' not in line[1:-1]
    return alone and delimiter in line


def _header(lines: list[str], delimiter: str, mapping: ColumnMapping) -> tuple[int, int] | None:
    """Score and line (from 1; 0 where there is none) of the likeliest header."""
    if mapping.header_row is not None:
        at = mapping.header_row
        if at > len(lines):
            return None
        # Rival delimiters are told apart by how many cells they make.
        return len(split_line(lines[max(at - 1, 0)], delimiter)), at
    wanted = {label for label in mapping.columns.values() if not label.startswith("#")}
    best: tuple[int, int] | None = None
    for index, line in enumerate(lines):
        if delimiter not in line:
            continue
        score = _score(split_line(line, delimiter), wanted)
        if score < _LEAST_NEEDS * _NEED_WEIGHT or (best is not None and score <= best[0]):
            continue
        if _numbers_follow(lines[index + 1 : index + 1 + _LOOK_AHEAD], delimiter):
            best = (score, index + 1)
    return best


def _score(cells: list[str], wanted: set[str]) -> int:
    words = [cell for cell in cells if cell and cell[0] not in "0123456789+-."]
    fields = {label.field for cell in words if (label := read_label(cell)) is not None}
    needs = {_NEEDED[name] for name in fields if name in _NEEDED}
    named = sum(cell in wanted for cell in cells)
    return _NEED_WEIGHT * (len(needs) + named) + len(fields - {DIRECTION})


def _numbers_follow(lines: list[str], delimiter: str) -> bool:
    return any(
        sum(NUMBER.match(cell) is not None for cell in split_line(line, delimiter)) >= _LEAST_NEEDS
        for line in lines
    )


def _lay_out(lines: list[str], encoding: str, delimiter: str, header_row: int) -> Layout:
    skip = header_row
    labels = split_line(lines[header_row - 1], delimiter) if header_row else []
    below = split_line(lines[skip], delimiter) if skip < len(lines) else []
    units = [cell for cell in below if cell]
    if labels and units and all(_UNIT_CELL.match(cell) for cell in units):
        below += [""] * (len(labels) - len(below))
        labels = [f"{label} {unit}".strip() for label, unit in zip(labels, below, strict=False)]
        skip += 1
    raw = [line for line in lines[skip:] if line.strip()][:_SAMPLE_ROWS]
    sample = [tuple(split_line(line, delimiter)) for line in raw]
    width = max([len(labels), *map(len, sample)])
    labels += [f"#{index + 1}" for index in range(len(labels), width)]
    # Quotes are heeded only where rows use them: a stray one would swallow what follows.
    quoting = any('"' in line and not _quoted_whole(line, delimiter) for line in raw)
    return Layout(
        encoding=encoding,
        delimiter=delimiter,
        decimal=decimal_mark(sample),
        quote='"' if quoting else "",
        header_row=header_row,
        skip=skip,
        labels=tuple(labels),
        sample=tuple(sample),
    )


def decimal_mark(sample: list[tuple[str, ...]]) -> str:
    """The mark between units and tenths that most numbers of a sample have."""
    marks = Counter(
        mark
        for row in sample
        for cell in row
        for mark, shape in ((",", _DECIMAL_COMMA), (".", _DECIMAL_POINT))
        if shape.match(cell)
    )
    return "," if marks[","] > marks["."] else "."
