"""Where keys live: a seam, its twin in memory, and files for one machine.

On disk each key is wrapped with AES-256 key wrap with padding (RFC 5649) under a master key. The
master key stands in its own file, which may lie elsewhere (a tmpfs, a credential of the service
manager): whoever copies the folder without it has nothing.
"""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from cellwarden.errors import SealError, UnavailableError, UsageError

__all__ = ["FileKeyStore", "KeyStore", "MemoryKeyStore", "write_durably"]

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,40}")
_MASTER_BYTES: Final = 32


class KeyStore(Protocol):
    """Keeps secrets by name."""

    def get(self, name: str) -> bytes:
        """The secret of that name. Raises `UsageError` where there is none."""
        ...

    def put(self, name: str, secret: bytes) -> None:
        """Keep a new secret; an existing one is never overwritten."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is a secret of that name."""
        ...


def _missing(name: str) -> UsageError:
    return UsageError(f"there is no key {name!r}", hint="Run `cellwarden init` or `enrol` first.")


class MemoryKeyStore:
    """Keys that end with the process; for tests, examples and the demo."""

    def __init__(self) -> None:
        self._secrets: dict[str, bytes] = {}

    def get(self, name: str) -> bytes:
        """The secret of that name."""
        if name not in self._secrets:
            raise _missing(name)
        return self._secrets[name]

    def put(self, name: str, secret: bytes) -> None:
        """Keep a new secret."""
        if name in self._secrets:
            raise UsageError(f"key {name!r} exists", hint="Choose another name; keys never change.")
        self._secrets[name] = secret

    def has(self, name: str) -> bool:
        """Whether there is a secret of that name."""
        return name in self._secrets


class FileKeyStore:
    """Keys as wrapped files in a folder that only its owner may read."""

    def __init__(self, folder: Path, master_file: Path | None = None) -> None:
        self._folder = folder
        self._master_file = master_file or folder / "master.key"

    @staticmethod
    def create(folder: Path, master_file: Path | None = None) -> "FileKeyStore":
        """A new folder with a new master key.

        Raises:
            UsageError: there is one already.
            UnavailableError: the disk does not take it.
        """
        with _disk(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = FileKeyStore(folder, master_file)
        if store._master_file.exists():
            raise UsageError(
                f"{store._master_file} exists",
                hint="Keys are never overwritten; choose an empty folder.",
            )
        fresh = secrets.token_bytes(_MASTER_BYTES)
        write_durably(store._master_file, fresh, mode=0o600, exclusive=True)
        return store

    def get(self, name: str) -> bytes:
        """The secret of that name.

        Raises:
            UsageError: there is none, or others can read the master key.
            SealError: the file or the master key was altered.
            UnavailableError: the disk does not give it.
        """
        path = self._path(name)
        if not path.exists():
            raise _missing(name)
        master = self._master()
        with _disk(path):
            wrapped = path.read_bytes()
        try:
            return aes_key_unwrap_with_padding(master, wrapped)
        except (InvalidUnwrap, ValueError) as error:
            raise SealError(
                f"{path} does not open with {self._master_file}",
                hint="Restore both files from a backup of the same day.",
            ) from error

    def put(self, name: str, secret: bytes) -> None:
        """Keep a new secret."""
        path = self._path(name)
        if path.exists():
            raise UsageError(f"key {name!r} exists", hint="Choose another name; keys never change.")
        wrapped = aes_key_wrap_with_padding(self._master(), secret)
        write_durably(path, wrapped, mode=0o600, exclusive=True)

    def has(self, name: str) -> bool:
        """Whether there is a secret of that name."""
        return self._path(name).exists()

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot name a key", hint="Use small letters and dashes.")
        return self._folder / f"{name}.wrapped"

    def _master(self) -> bytes:
        path = self._master_file
        try:
            with _disk(path):
                mode = stat.S_IMODE(path.stat().st_mode)
                master = path.read_bytes()
        except FileNotFoundError as error:
            raise UsageError(
                f"the master key {path} is missing",
                hint="Put the file back, or run `cellwarden init` for a new installation.",
            ) from error
        if mode & 0o077:
            raise UsageError(f"others can read {path}", hint=f"chmod 600 {path}")
        if len(master) != _MASTER_BYTES:
            raise SealError(
                f"the master key {path} has {len(master)} bytes, not {_MASTER_BYTES}",
                hint="Restore it from a backup of the same day as the keys.",
            )
        return master


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """What the disk refuses, as an error to wait out; a missing file stays a missing file."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnavailableError(
            f"cannot use {path}: {error.strerror}", hint="Check the disk, its space and its rights."
        ) from error


def write_durably(
    path: Path, content: bytes, *, mode: int = 0o644, exclusive: bool = False
) -> None:
    """Write a file so that after a power loss it is there whole or not at all.

    Raises:
        UsageError: `exclusive`, and somebody else has written it.
        UnavailableError: the disk does not take it; what was there before still is.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with _disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if exclusive:
                os.link(partial, path)  # unlike a renaming, this never takes another's place
            else:
                partial.replace(path)
        except FileExistsError as error:
            raise UsageError(f"{path} exists", hint="It is never overwritten.") from error
        finally:
            partial.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
