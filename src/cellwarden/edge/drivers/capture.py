"""Raw bytes kept and played again, so that a fault in the field becomes a test at the desk."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from cellwarden.edge.drivers.line import Bus, BusFrame, Line
from cellwarden.errors import DecodeError, UnavailableError, UsageError

__all__ = [
    "Capture",
    "CapturedBus",
    "CapturedLine",
    "Heard",
    "ReplayBus",
    "ReplayLine",
    "read_capture",
]

_CAPTURE_BYTES: Final = 8 << 20
_NUMBER_BYTES: Final = 4
_MOMENT_SECOND: Final = 1e-6


class Heard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a capture: what was asked (or who spoke), and what was heard, as hex."""

    t: float
    key: str
    data: str | None


class Capture:
    """Raw bytes as JSON lines in a file that never outgrows its limit.

    Half the limit is written to `path`; then it becomes `path.1`, and the one before is dropped.
    """

    def __init__(self, path: Path, limit_bytes: int = _CAPTURE_BYTES) -> None:
        self._path = path
        self._half = max(limit_bytes // 2, 1)
        self._size = path.stat().st_size if path.exists() else 0

    def add(self, unix_time_second: float, key: bytes, data: bytes | None) -> None:
        """Keep what was heard.

        Raises:
            UnavailableError: the disk does not take it.
        """
        heard = Heard(unix_time_second, key.hex(), None if data is None else data.hex())
        text = msgspec.json.encode(heard) + b"\n"
        try:
            if self._size and self._size + len(text) > self._half:
                self._path.replace(_older(self._path))
                self._size = 0
            with self._path.open("ab") as file:
                file.write(text)
        except OSError as error:
            raise UnavailableError(
                f"{self._path}: {error.strerror}", hint="Free some disk, or end the capture."
            ) from error
        self._size += len(text)


def read_capture(path: Path) -> Iterator[Heard]:
    """What was captured, the oldest first; a last line cut off by a power loss is left out.

    Raises:
        UsageError: there is no such file.
        DecodeError: a line is not of a capture.
    """
    if not path.exists():
        raise UsageError(f"there is no {path}", hint="Give the file that a capture wrote.")
    for part in (_older(path), path):
        if part.exists():
            with part.open("rb") as file:
                for number, text in enumerate(file, 1):
                    if not text.endswith(b"\n"):
                        return
                    yield _parse(text, part, number)


def _parse(text: bytes, path: Path, number: int) -> Heard:
    try:
        heard = msgspec.json.decode(text, type=Heard)
        bytes.fromhex(heard.key + (heard.data or ""))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise DecodeError(
            f"{path} line {number} is no capture: {error}", hint="Give a file of captured frames."
        ) from error
    return heard


def _older(path: Path) -> Path:
    return path.with_name(path.name + ".1")


class CapturedLine:
    """A line whose questions and answers are kept."""

    def __init__(self, line: Line, capture: Capture) -> None:
        self._line = line
        self._capture = capture

    def ask(self, request: bytes) -> bytes:
        """The answer, kept; silence is kept too."""
        try:
            reply = self._line.ask(request)
        except UnavailableError:
            self._capture.add(self.now(), request, None)
            raise
        self._capture.add(self.now(), request, reply)
        return reply

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def now(self) -> float:
        """The time on the line. [s]"""
        return self._line.now()


class CapturedBus:
    """A bus whose frames are kept."""

    def __init__(self, bus: Bus, capture: Capture) -> None:
        self._bus = bus
        self._capture = capture

    def hear(self, wait_second: float) -> BusFrame | None:
        """The next frame, kept."""
        frame = self._bus.hear(wait_second)
        if frame is not None:
            key = frame.number.to_bytes(_NUMBER_BYTES, "big")
            self._capture.add(self.now(), key, frame.data)
        return frame

    def send(self, frame: BusFrame) -> None:
        """Pass a frame on."""
        self._bus.send(frame)

    def close(self) -> None:
        """Leave the bus."""
        self._bus.close()

    def now(self) -> float:
        """The time on the bus. [s]"""
        return self._bus.now()


class ReplayLine:
    """Answers as a device once did."""

    def __init__(self, heard: Iterable[Heard]) -> None:
        self._heard = iter(heard)
        self._now = 0.0

    def ask(self, request: bytes) -> bytes:
        """What was answered to the next such request of the capture."""
        for heard in self._heard:
            if heard.key == request.hex():
                self._now = heard.t
                if heard.data is None:
                    raise UnavailableError("the device was silent", hint="As it was recorded.")
                return bytes.fromhex(heard.data)
        raise EOFError

    def close(self) -> None:
        """Nothing was opened."""

    def now(self) -> float:
        """When the last answer was given. [s]"""
        return self._now


class ReplayBus:
    """Frames as they were once heard, at their time."""

    def __init__(self, heard: Iterable[Heard]) -> None:
        self._heard = iter(heard)
        self._following = next(self._heard, None)
        self._now = self._following.t if self._following else 0.0

    def hear(self, wait_second: float) -> BusFrame | None:
        """The next frame, if it came within that time."""
        heard = self._following
        if heard is None:
            raise EOFError
        # What comes just as the wait ends belongs to the next one.
        if heard.t > self._now and heard.t >= self._now + wait_second - _MOMENT_SECOND:
            self._now += wait_second
            return None
        self._now = max(self._now, heard.t)
        self._following = next(self._heard, None)
        return BusFrame(int(heard.key or "0", 16), bytes.fromhex(heard.data or ""))

    def send(self, frame: BusFrame) -> None:
        """A record hears nothing."""

    def close(self) -> None:
        """Nothing was opened."""

    def now(self) -> float:
        """The recorded time. [s]"""
        return self._now
