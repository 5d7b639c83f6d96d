"""Digests of files, and the list of those that a folder has noted for itself."""

import hashlib
from pathlib import Path
from typing import Final

from cellwarden.errors import DecodeError, UnavailableError

__all__ = ["NOTED", "read_noted", "sha256_of", "write_noted"]

NOTED: Final = "SHA256SUMS"
_PIECE: Final = 1 << 20
_DIGITS: Final = 64


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits. [text]

    Raises:
        UnavailableError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        raise UnavailableError(f"{path}: {error.strerror}", hint="Check its rights.") from error
    return digest.hexdigest()


def read_noted(folder: Path) -> dict[str, str]:
    """Digests that were noted in a folder, by path, as `sha256sum` writes them.

    Raises:
        DecodeError: the list is not of that form.
    """
    file = folder / NOTED
    if not file.is_file():
        return {}
    noted = {}
    for line in file.read_bytes().decode("utf-8", "replace").splitlines():
        digest, gap, path = line[:_DIGITS], line[_DIGITS : _DIGITS + 2], line[_DIGITS + 2 :]
        if gap not in ("  ", " *") or not path or set(digest) - set("0123456789abcdef"):
            raise DecodeError(f"{file}: {line[:80]!r}", hint="Write it with `sha256sum`.")
        noted[path] = digest
    return noted


def write_noted(folder: Path, noted: dict[str, str]) -> Path:
    """Note digests in a folder.

    Raises:
        UnavailableError: the folder cannot be written.
    """
    file = folder / NOTED
    lines = (f"{digest}  {path}\n" for path, digest in sorted(noted.items()))
    try:
        file.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise UnavailableError(f"{file}: {error.strerror}", hint="Check its rights.") from error
    return file
