"""Sheets of an .xlsx workbook, streamed: cells come as they are read, nothing is kept.

An .xls workbook of old has the same face (old_workbook.py).

Rules
- Numbers come as floats, texts as strings; formulas, styles and dates are left to the caller.
- XML that declares a document type is refused: no entity is ever expanded.
- No more than `_MOST_BYTES` are unpacked from one workbook, whatever it claims to hold.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol
from xml.parsers import expat

from cellwarden.errors import DataError, DecodeError
from cellwarden.readers.old_workbook import OLD_WORKBOOK, open_old_workbook

__all__ = ["Cell", "Row", "Sheets", "Workbook", "open_workbook"]

_MOST_BYTES: Final = 1 << 30
_MOST_COLUMNS: Final = 16_384
_CHUNK: Final = 1 << 16
_HINT: Final = "The file is damaged or was cut short: fetch it again from where it came."
_LETTERS: Final = re.compile(r"^[A-Z]{1,3}")

Cell = float | str | None
Row = list[Cell]


class Sheets(Protocol):
    """A workbook of any age."""

    @property
    def sheets(self) -> tuple[str, ...]:
        """Names in the order of the workbook."""

    def rows(self, sheet: str) -> Iterator[Row]:
        """The rows of a sheet; an empty row is an empty list."""


class Workbook:
    """An open workbook: the names of its sheets, and the rows of each."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        self._unpacked = 0
        if "xl/workbook.xml" not in archive.namelist():
            raise DecodeError(
                f"{path}: a zip archive that holds no workbook",
                hint="Unpack it, or export the record as CSV or .xlsx.",
            )
        self._parts = self._find_parts()
        self._texts = self._shared_texts()

    @property
    def sheets(self) -> tuple[str, ...]:
        """Names in the order of the workbook."""
        return tuple(self._parts)

    def rows(self, sheet: str) -> Iterator[Row]:
        """The rows of a sheet; an empty row is an empty list."""
        reader = _Rows(self._texts)
        for _ in self._feed(self._parts[sheet], reader.parser):
            yield from reader.take()
        yield from reader.take()

    def _feed(self, part: str, parser: expat.XMLParserType) -> Iterator[None]:
        """Parse a part in pieces, pausing after each."""
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._allow(self._archive.getinfo(part).file_size)
        with self._archive.open(part) as stream:
            while piece := stream.read(_CHUNK):
                # What an archive says of its size need not be true.
                self._allow(len(piece))
                self._unpacked += len(piece)
                parser.Parse(piece)
                yield
        parser.Parse(b"", True)  # noqa: FBT003  the C function takes no keyword

    def _allow(self, size: int) -> None:
        if self._unpacked + size > _MOST_BYTES:
            raise DataError(
                f"{self._path}: unpacks to more than {_MOST_BYTES:,} bytes",
                hint="Export it as CSV or in parts.",
            )

    def _refuse_doctype(self, *_: object) -> None:
        raise DecodeError(f"{self._path}: its XML declares a document type", hint=_HINT)

    def _find_parts(self) -> dict[str, str]:
        targets: dict[str, str] = {}
        sheets: dict[str, str] = {}

        def start(name: str, attributes: dict[str, str]) -> None:
            local = name.rsplit(":", 1)[-1]
            if local == "Relationship":
                targets[attributes.get("Id", "")] = attributes.get("Target", "")
            elif local == "sheet":
                sheets[attributes.get("name", "")] = attributes.get("r:id", "")

        for part in ("xl/_rels/workbook.xml.rels", "xl/workbook.xml"):
            parser = expat.ParserCreate()
            parser.StartElementHandler = start
            for _ in self._feed(part, parser):
                pass
        return {
            name: target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            for name, key in sheets.items()
            if (target := targets.get(key, ""))
        }

    def _shared_texts(self) -> list[str]:
        if "xl/sharedStrings.xml" not in self._archive.namelist():
            return []
        texts: list[str] = []
        reader = _Texts(texts)
        for _ in self._feed("xl/sharedStrings.xml", reader.parser):
            pass
        return texts


class _Texts:
    """Collects the table of texts that cells point into."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts
        self._inside = False
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._data

    def _start(self, name: str, _: dict[str, str]) -> None:
        if name == "si":
            self._texts.append("")
        self._inside = name == "t"

    def _end(self, _: str) -> None:
        self._inside = False

    def _data(self, data: str) -> None:
        if self._inside and self._texts:
            self._texts[-1] += data


class _Rows:
    """Collects the cells of a sheet, row by row."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts
        self._done: list[Row] = []
        self._row: Row = []
        self._column = 0
        self._kind = ""
        self._value: list[str] | None = None
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._data

    def take(self) -> list[Row]:
        """The rows finished since the last call."""
        done, self._done = self._done, []
        return done

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            self._kind = attributes.get("t", "n")
            self._column = _column(attributes.get("r", ""), self._column)
        elif name in ("v", "t"):
            self._value = []
        elif name == "row":
            self._row, self._column = [], 0

    def _data(self, data: str) -> None:
        if self._value is not None:
            self._value.append(data)

    def _end(self, name: str) -> None:
        if name in ("v", "t") and self._value is not None:
            row = self._row
            row.extend([None] * (self._column - len(row)))
            row[self._column - 1 :] = [self._cell("".join(self._value))]
            self._value = None
        elif name == "row":
            self._done.append(self._row)

    def _cell(self, text: str) -> Cell:
        if self._kind in ("str", "inlineStr", "e"):
            return text
        try:
            return self._texts[int(text)] if self._kind == "s" else float(text)
        except (ValueError, IndexError):
            return text


def _column(reference: str, previous: int) -> int:
    """The number of a cell's column, from 1."""
    letters = _LETTERS.match(reference)
    if letters is None:
        return min(previous + 1, _MOST_COLUMNS)
    number = 0
    for letter in letters[0]:
        number = number * 26 + ord(letter) - ord("A") + 1
    return min(number, _MOST_COLUMNS)


@contextmanager
def open_workbook(path: Path) -> Iterator[Sheets]:
    """A workbook to read sheets from, .xlsx or .xls; what is wrong with it becomes a DecodeError.

    Raises:
        DecodeError: no workbook, or a damaged one.
        DataError: it unpacks to more than can be taken in.
    """
    with path.open("rb") as file:
        old = file.read(len(OLD_WORKBOOK)) == OLD_WORKBOOK
    if old:
        with open_old_workbook(path) as book:
            yield book
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield Workbook(path, archive)
    except (
        zipfile.BadZipFile,
        zlib.error,
        expat.ExpatError,
        KeyError,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise DecodeError(f"{path}: no sound workbook: {error}", hint=_HINT) from error
