"""Where a logbook lies: a file of fixed size, or its twin in memory that can lose its power.

Rules
- The size is reserved when it is made; later writes need no room, so a disk that fills up later
  stops nothing.
- `sync` returns when everything written before it would survive a power cut. What was written
  after the last one may be there, in part and in any order, in whole sectors or torn.
"""

import fcntl
import os
import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cellwarden.errors import UnavailableError, UsageError

__all__ = ["FileMedium", "Medium", "MemoryMedium"]

_SECTOR_BYTES: Final = 512


class Medium(Protocol):
    """Bytes that outlive the power."""

    def read(self) -> bytes:
        """All of it."""
        ...

    def write(self, offset: int, content: bytes) -> None:
        """Put bytes somewhere.

        Raises:
            UnavailableError: not all of them were taken.
        """
        ...

    def sync(self) -> None:
        """Wait until what was written is safe.

        Raises:
            UnavailableError: it may not be.
        """
        ...

    def close(self) -> None:
        """Let go."""
        ...


class FileMedium:
    """A file that only one process may have."""

    def __init__(self, path: Path, byte_count: int) -> None:
        """Open or make it.

        Raises:
            UnavailableError: there is no room, or the disk does not serve.
            UsageError: another process has it.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._lock()
            self._reserve(byte_count)
        except BaseException:
            os.close(self._file)
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"another process has {self._path}", hint="Let one of the two run."
            ) from error

    def _reserve(self, byte_count: int) -> None:
        try:
            size = os.fstat(self._file).st_size
            if size >= byte_count:
                return
            # Written, not only reserved: some file systems promise more room than they have.
            self.write(size, bytes(byte_count - size))
            os.fsync(self._file)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> UnavailableError:
        return UnavailableError(
            f"cannot use {self._path}: {error.strerror}",
            hint="Check the disk, its space and its rights; nothing that was kept is lost.",
        )

    def read(self) -> bytes:
        """All of it."""
        try:
            size = os.fstat(self._file).st_size
            return os.pread(self._file, size, 0)
        except OSError as error:
            raise self._refused(error) from error

    def write(self, offset: int, content: bytes) -> None:
        """Put bytes somewhere."""
        rest = memoryview(content)
        try:
            while rest:
                taken = os.pwrite(self._file, rest, offset)
                offset, rest = offset + taken, rest[taken:]
        except OSError as error:
            raise self._refused(error) from error

    def sync(self) -> None:
        """Wait until what was written is safe."""
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Let go."""
        with suppress(OSError):
            os.close(self._file)


@dataclass(slots=True)
class MemoryMedium:
    """A disk with a cache that forgets; `cut_power` decides by a seed what had reached it."""

    byte_count: int
    fails: bool = False
    _safe: bytearray = field(init=False)
    _seen: bytearray = field(init=False)
    _dirty: list[tuple[int, bytes]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._safe = bytearray(self.byte_count)
        self._seen = bytearray(self.byte_count)

    def read(self) -> bytes:
        """All of it."""
        return bytes(self._seen)

    def write(self, offset: int, content: bytes) -> None:
        """Put bytes somewhere."""
        if self.fails:
            raise _failed()
        self._seen[offset : offset + len(content)] = content
        self._dirty.append((offset, bytes(content)))

    def sync(self) -> None:
        """Wait until what was written is safe."""
        if self.fails:
            raise _failed()
        self._safe = bytearray(self._seen)
        self._dirty.clear()

    def close(self) -> None:
        """Nothing to let go of."""

    def cut_power(self, seed: int) -> None:
        """Lose what was not synced: of each sector all, nothing, or the part behind some byte."""
        chance = random.Random(seed)  # noqa: S311  a drill's dice, no secret
        for offset, content in self._dirty:
            start = offset
            while start < offset + len(content):
                stop = min((start // _SECTOR_BYTES + 1) * _SECTOR_BYTES, offset + len(content))
                part = content[start - offset : stop - offset]
                kept = chance.choice((0, len(part), chance.randint(0, len(part))))
                self._safe[start : start + kept] = part[:kept]
                start = stop
        self._seen = bytearray(self._safe)
        self._dirty.clear()

    def flip(self, bit: int) -> None:
        """Invert a bit of what is kept."""
        for held in (self._safe, self._seen):
            held[bit // 8] ^= 0x80 >> bit % 8


def _failed() -> UnavailableError:
    return UnavailableError("the medium does not serve", hint="Wait, and try again.")
