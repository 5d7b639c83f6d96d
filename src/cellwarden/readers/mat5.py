"""Values in a MATLAB 5 file (versions 5 to 7.2): numbers, texts, structures and cells.

Layout, in either byte order
- 128 bytes of head, the last two "IM" (little-endian) or "MI"; then elements.
- An element is u32 type, u32 length and its bytes, filled up to a multiple of 8; or, where the
  upper half of the first u32 is not zero, that is the length and four bytes follow in all.
- Type 15 holds packed elements, 14 a matrix: elements for class and flags, dimensions and name,
  then its content. Numbers stand in the smallest type that holds them; a structure gives the
  width of its field names, the names, and a matrix a field of each entry; a cell a matrix an entry.

Rules
- Numbers become float64, of complex ones the real part; texts become str, structures a list of
  dicts, cells a list; what is of another class (sparse, object, function) becomes None.
- Nothing is taken in that the bytes do not hold; no more than `_MOST_BYTES` are unpacked.

Source: "MAT-File Format", The MathWorks. scipy's reader was tried first: it can be made to crash.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import DataError, DecodeError

__all__ = ["MAT", "Value", "variables"]

MAT: Final = b"MATLAB 5.0 MAT-file"
_HINT: Final = "The file is damaged or was cut short: fetch it again from where it came."
_MOST_BYTES: Final = 1 << 27
_MOST_DEPTH: Final = 16
_MOST_ENTRIES: Final = 200_000
_HEAD: Final = 128
_MATRIX, _PACKED = 14, 15
_CELL, _STRUCT, _TEXT, _FIRST_NUMBER, _LAST_NUMBER = 1, 2, 4, 6, 15
_DTYPES: Final = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8",
                  12: "i8", 13: "u8", 16: "u1", 17: "u2", 18: "u4"}  # fmt: skip
_ENCODINGS: Final = {16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}

Value = Float64[np.ndarray, " item"] | str | list["Value"] | list[dict[str, "Value"]] | None


@dataclass(slots=True)
class _Budget:
    """How many entries one file may still have: an empty one takes eight bytes there, more here."""

    left: int = _MOST_ENTRIES


@dataclass(slots=True)
class _Bytes:
    """Bytes being read: where, in which order, for which file."""

    path: Path
    content: bytes
    order: str
    budget: _Budget
    at: int = 0

    def damaged(self, what: str) -> DecodeError:
        return DecodeError(f"{self.path}: no sound MATLAB file: {what}", hint=_HINT)

    def number(self) -> int:
        """The next u32."""
        found = self.content[self.at : self.at + 4]
        if len(found) < 4:  # noqa: PLR2004  bytes of a u32
            raise self.damaged("it ends too soon")
        self.at += 4
        return int.from_bytes(found, "big" if self.order == ">" else "little")

    def element(self) -> tuple[int, bytes]:
        """Type and bytes of the next element."""
        first = self.number()
        if first >> 16:
            kind, length, end = first & 0xFFFF, first >> 16, self.at + 4
        else:
            kind, length = first, self.number()
            end = self.at + length + -length % 8
        found = self.content[self.at : self.at + length]
        if len(found) < length:
            raise self.damaged("it ends too soon")
        self.at = end
        return kind, found

    def inside(self, content: bytes) -> "_Bytes":
        """The bytes of an element, to be read in turn."""
        return _Bytes(self.path, content, self.order, self.budget)


def variables(path: Path) -> Iterator[tuple[str, Value]]:
    """The variables of a file by name.

    Raises:
        DecodeError: it is damaged.
        DataError: it unpacks to more than can be taken in.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if len(head) < _HEAD or head[126:] not in (b"IM", b"MI"):
            raise DecodeError(f"{path}: no MATLAB 5 file", hint=_HINT)
        order = ">" if head[126:] == b"MI" else "<"
        left, budget = _MOST_BYTES, _Budget()
        while tag := file.read(8):
            whole = _element(file, _Bytes(path, tag, order, budget), left)
            left -= len(whole.content)
            kind, content = whole.element()
            if kind != _MATRIX:
                raise whole.damaged(f"an element of type {kind} where a variable should be")
            yield _matrix(whole.inside(content), 0)


def _element(file: BinaryIO, head: _Bytes, most: int) -> _Bytes:
    """The element that a tag begins, unpacked."""
    kind, length = head.number(), head.number()
    if kind not in (_MATRIX, _PACKED):
        raise head.damaged(f"an element of type {kind} where a variable should be")
    if length > most:
        raise DataError(
            f"{head.path}: holds more than {_MOST_BYTES:,} bytes", hint="Export the record as CSV."
        )
    content = file.read(length)
    if len(content) < length:
        raise head.damaged("it ends too soon")
    if kind != _PACKED:
        return head.inside(head.content + content)
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(content, most)
    except zlib.error as error:
        raise head.damaged(str(error)) from error
    if not unpacker.eof and len(unpacked) >= most:
        raise DataError(
            f"{head.path}: unpacks to more than {_MOST_BYTES:,} bytes",
            hint="Export the record as CSV.",
        )
    return head.inside(unpacked)


def _matrix(source: _Bytes, depth: int) -> tuple[str, Value]:
    """Name and value of a matrix."""
    if depth > _MOST_DEPTH:
        raise source.damaged("it nests without end")
    if not source.content:
        return "", np.zeros(0)  # an empty field
    _, flags = source.element()
    # The class is the lowest byte of a u32.
    kind = flags[3] if source.order == ">" and len(flags) >= 4 else (flags or b"\0")[0]  # noqa: PLR2004  bytes of a u32
    count = prod(_plain(source, *source.element()).astype(int).tolist())
    name = source.element()[1].decode("latin-1")
    if kind == _STRUCT:
        return name, _structure(source, count, depth)
    if kind == _CELL:
        return name, [_entry(source, depth) for _ in range(count)]
    if kind == _TEXT:
        return name, _text(source, *source.element())
    if _FIRST_NUMBER <= kind <= _LAST_NUMBER:
        return name, _plain(source, *source.element())
    return name, None


def _structure(source: _Bytes, count: int, depth: int) -> list[dict[str, Value]]:
    width = int(np.sum(_plain(source, *source.element())[:1]))
    listed = source.element()[1]
    if width <= 0 or len(listed) // width > len(source.content):
        raise source.damaged("a structure without names")
    names = [
        listed[place : place + width].split(b"\0")[0].decode("latin-1")
        for place in range(0, len(listed) // width * width, width)
    ]
    if not names:
        return []
    return [{name: _entry(source, depth) for name in names} for _ in range(count)]


def _entry(source: _Bytes, depth: int) -> Value:
    source.budget.left -= 1
    if source.budget.left < 0:
        raise source.damaged("it has too many entries")
    kind, content = source.element()
    if kind != _MATRIX:
        raise source.damaged(f"an element of type {kind} where a matrix should be")
    return _matrix(source.inside(content), depth + 1)[1]


def _plain(source: _Bytes, kind: int, content: bytes) -> Float64[np.ndarray, " item"]:
    if kind not in _DTYPES:
        raise source.damaged(f"numbers of type {kind}")
    dtype = np.dtype(source.order + _DTYPES[kind])
    with np.errstate(invalid="ignore"):  # a signalling NaN is as good as any other
        found = np.frombuffer(content[: len(content) // dtype.itemsize * dtype.itemsize], dtype)
        return found.astype(np.float64)


def _text(source: _Bytes, kind: int, content: bytes) -> str:
    encoding = _ENCODINGS.get(kind, "latin-1")
    if encoding in ("utf-16", "utf-32"):
        encoding += "-be" if source.order == ">" else "-le"
    return content.decode(encoding, errors="replace")
