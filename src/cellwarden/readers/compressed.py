"""Packed files: gzip, Zstandard, xz, bzip2, and a zip archive that holds one file.

Rules
- The first bytes tell how a file is packed. What it holds goes, piece by piece, to a private
  passing file, and from there to the reader that its content asks for.
- No more than `MOST_BYTES` are unpacked; packed once more inside is refused. A piece in memory
  stays small whatever the packer claims.
- Errors and records name the file that was asked for, not the passing one.
- A zip that is itself a format (a workbook, a Neware record) is left to that format's reader.
"""

import bz2
import gzip
import lzma
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

import zstandard

from cellwarden.errors import DataError, DecodeError, Error, UnavailableError, UsageError
from cellwarden.readers.draft import Draft

__all__ = ["MOST_BYTES", "ZIP", "members", "renamed", "unpacked"]

T = TypeVar("T", bound=Error)

MOST_BYTES: Final = 4 << 30
ZIP: Final = b"PK\x03\x04"
_HINT: Final = "The file is damaged or was cut short: fetch it again from where it came."
_SHORT: Final = "it ends too soon"
_PIECE: Final = 1 << 20
_ZSTD_PIECE: Final = 1 << 10  # a block of 4 bytes may hold 128 KiB: this much makes 32 MiB at most
_MOST_WINDOW: Final = 1 << 27
_MOST_XZ_MEMORY: Final = 1 << 28
_BZIP2_BLOCK: Final = b"1AY&SY"
_DAMAGE: Final = (
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    zipfile.BadZipFile,
    OSError,  # an archive may point to before its beginning
    EOFError,
    ValueError,
    KeyError,
    NotImplementedError,
    RuntimeError,  # what zipfile says of a password
)
# Not content: what archivers of one vendor or another add.
_CLUTTER: Final = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")
_SUFFIXES: Final = (".gz", ".zst", ".zstd", ".xz", ".bz2", ".zip")


def _gzip(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as stream:
        while piece := stream.read(_PIECE):
            yield piece


def _bzip2(path: Path) -> Iterator[bytes]:
    with bz2.open(path) as stream:
        while piece := stream.read(_PIECE):
            yield piece


def _xz(path: Path) -> Iterator[bytes]:
    unpacker = lzma.LZMADecompressor(memlimit=_MOST_XZ_MEMORY)
    with path.open("rb") as file:
        packed = file.read(_PIECE)
        while packed:
            yield unpacker.decompress(packed, max_length=_PIECE)
            while not (unpacker.eof or unpacker.needs_input):
                yield unpacker.decompress(b"", max_length=_PIECE)
            # Streams may follow one another, and zeros may stand between and behind them.
            packed = unpacker.unused_data.lstrip(b"\0")
            while not packed and (more := file.read(_PIECE)):
                packed = more.lstrip(b"\0") if unpacker.eof else more
            if packed and unpacker.eof:
                unpacker = lzma.LZMADecompressor(memlimit=_MOST_XZ_MEMORY)
    if not unpacker.eof:
        raise EOFError(_SHORT)


def _zstandard(path: Path) -> Iterator[bytes]:
    context = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW)
    unpacker = context.decompressobj()
    with path.open("rb") as file:
        packed = file.read(_ZSTD_PIECE)
        while packed:
            yield unpacker.decompress(packed)
            packed = b""
            if unpacker.eof:
                packed = unpacker.unused_data
                if packed or (packed := file.read(_ZSTD_PIECE)):
                    unpacker = context.decompressobj()
            else:
                packed = file.read(_ZSTD_PIECE)
    if not unpacker.eof:
        raise EOFError(_SHORT)


def _zipped(path: Path, member: str) -> Iterator[bytes]:
    with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
        while piece := stream.read(_PIECE):
            yield piece


_PACKERS: Final[tuple[tuple[bytes, Callable[[Path], Iterator[bytes]]], ...]] = (
    (b"\x1f\x8b", _gzip),
    (b"\x28\xb5\x2f\xfd", _zstandard),
    (b"\xfd7zXZ\x00", _xz),
)


def members(path: Path) -> tuple[str, ...]:
    """The files in a zip archive, without what archivers add of their own.

    Raises:
        DecodeError: it is no sound archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _content(archive)
    except _DAMAGE as error:
        raise DecodeError(f"{path}: no sound zip archive: {error}", hint=_HINT) from error


def _content(archive: zipfile.ZipFile) -> tuple[str, ...]:
    names = (item.filename for item in archive.infolist())  # a damaged one may be empty
    return tuple(name for name in names if name[-1:] not in {"", "/"} and not _CLUTTER.search(name))


def _packer(path: Path) -> Callable[[Path], Iterator[bytes]] | None:
    with path.open("rb") as file:
        head = file.read(16)
    for magic, packer in _PACKERS:
        if head.startswith(magic):
            return packer
    if head.startswith(b"BZh") and head[4:10] == _BZIP2_BLOCK:
        return _bzip2
    return None


@contextmanager
def unpacked(path: Path, *, zipped: str = "", most: int = MOST_BYTES) -> Iterator[Path]:
    """The file itself, or a passing copy of what is packed in it.

    `zipped` names the one member of a zip archive whose content is wanted.

    Raises:
        DecodeError: it is damaged, or packed twice.
        DataError: it unpacks to more than `most` bytes.
        UnavailableError: there is no room for the copy.
    """
    packer = partial(_zipped, member=zipped) if zipped else _packer(path)
    if packer is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix=f"cellwarden-{os.getpid()}-") as folder:
        place = Path(folder) / _inner_name(zipped or path.name)
        _spool(path, packer, place, most)
        if _packer(place) is not None:
            raise DecodeError(f"{path}: packed more than once", hint="Unpack it first.")
        try:
            yield place
        except (DataError, UsageError) as error:
            raise _renamed_error(error, place, path) from error


def _inner_name(name: str) -> str:
    """The name of the content, with nothing in it that a file system could take for a path."""
    last = PurePosixPath(name.replace("\\", "/")).name
    for suffix in _SUFFIXES:
        last = last.removesuffix(suffix)
    return re.sub(r"[^\w. +()-]", "_", last)[-100:].lstrip(".") or "record"


def _spool(path: Path, packer: Callable[[Path], Iterator[bytes]], place: Path, most: int) -> None:
    written = 0
    try:
        with place.open("wb") as target:
            for piece in _sound(path, packer):
                written += len(piece)
                if written > most:
                    raise DataError(
                        f"{path}: unpacks to more than {most:,} bytes",
                        hint="Unpack it and read it in parts.",
                    )
                target.write(piece)
    except OSError as error:
        raise UnavailableError(
            f"{path}: {error.strerror}", hint="Make room in the folder for passing files."
        ) from error


def _sound(path: Path, packer: Callable[[Path], Iterator[bytes]]) -> Iterator[bytes]:
    """The pieces; what is wrong with the packed bytes becomes a DecodeError."""
    try:
        yield from packer(path)
    except _DAMAGE as error:
        raise DecodeError(f"{path}: cannot be unpacked: {error}", hint=_HINT) from error


def renamed(draft: Draft, place: Path, path: Path) -> Draft:
    """A draft made from the passing copy, as one of the file that was asked for."""
    if place == path:
        return draft
    old, new = str(place), str(path)
    doubts = tuple(doubt.replace(old, new) for doubt in draft.guess.doubts)
    guess = replace(draft.guess, path=new, doubts=doubts)
    if isinstance(draft.outcome, DataError):
        return Draft(guess, _renamed_error(draft.outcome, place, path))
    return Draft(guess, replace(draft.outcome, source=new))


def _renamed_error(error: T, place: Path, path: Path) -> T:
    return type(error)(str(error).replace(str(place), str(path)), hint=error.hint)
