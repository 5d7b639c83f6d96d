"""A record as if it were a pack: its frames come out in order, once."""

import hashlib

from cellwarden.domain import Command, Frames, Series
from cellwarden.errors import UsageError

__all__ = ["ReplayDriver"]

_MARK_BYTES = 8


class ReplayDriver:
    """Reads a one-cell series from where an earlier run stopped."""

    def __init__(self, series: Series, position: bytes = b"", start: float = 0.0) -> None:
        """Begin, or go on at a position that an earlier driver of the same record gave.

        Raises:
            UsageError: the position belongs to another record.
        """
        self._frames = series.frames(start)
        self._mark = _mark(self._frames)
        self._next = 0
        if position:
            if position[:_MARK_BYTES] != self._mark:
                raise UsageError(
                    f"device {series.name} has sent another record before",
                    hint="Send this record under another device name.",
                )
            self._next = int.from_bytes(position[_MARK_BYTES:], "big")

    def read(self, count: int) -> Frames | None:
        """The next frames of the record."""
        if self._next >= len(self._frames):
            return None
        frames = self._frames.rows(self._next, self._next + count)
        self._next += len(frames)
        return frames

    def position(self) -> bytes:
        """A mark of the record and the number of the next row."""
        return self._mark + self._next.to_bytes(8, "big")

    def write(self, command: Command) -> None:
        """A record hears no commands."""


def _mark(frames: Frames) -> bytes:
    stamp = hashlib.sha256()
    stamp.update(frames.unix_time_second.tobytes())
    stamp.update(frames.voltage_volt.tobytes())
    return stamp.digest()[:_MARK_BYTES]
