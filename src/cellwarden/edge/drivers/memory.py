"""Devices that live in memory: a bus, a JBD board and a register map that answer like real ones.

They are the twins of the seams in `line`: tests, examples and trials at the desk use them.
"""

import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from cellwarden.domain import Frame
from cellwarden.edge.drivers import jbd
from cellwarden.edge.drivers.line import BusFrame
from cellwarden.errors import DecodeError, UnavailableError

__all__ = ["JbdBoard", "MemoryBus", "RegisterMap"]


@dataclass(slots=True)
class MemoryBus:
    """A bus whose time moves while somebody listens; `sent` holds what was put on it."""

    unix_time_second: float = 0.0
    sent: list[BusFrame] = field(default_factory=list)
    waiting: deque[BusFrame] = field(default_factory=deque)

    def say(self, frames: Iterable[BusFrame]) -> None:
        """Let others send."""
        self.waiting.extend(frames)

    def hear(self, wait_second: float) -> BusFrame | None:
        """The next frame at once, or None when the wait is over."""
        if self.waiting:
            return self.waiting.popleft()
        self.unix_time_second += wait_second
        return None

    def send(self, frame: BusFrame) -> None:
        """Put a frame on the bus."""
        self.sent.append(frame)

    def close(self) -> None:
        """Nothing was opened."""

    def now(self) -> float:
        """The time on the bus. [s]"""
        return self.unix_time_second


@dataclass(slots=True)
class JbdBoard:
    """A JBD board that shows a frame; without one it is silent."""

    frame: Frame | None

    def ask(self, request: bytes) -> bytes:
        """The answer to a question."""
        if self.frame is None:
            raise UnavailableError("the board is silent", hint="Give it a frame.")
        if request == jbd.question(jbd.PACK):
            return jbd.encode_answer(jbd.PACK, jbd.encode_pack(self.frame))
        if request == jbd.question(jbd.CELLS):
            return jbd.encode_answer(jbd.CELLS, jbd.encode_cells(self.frame))
        raise UnavailableError("a board does not answer that", hint="Ask for pack or cells.")

    def close(self) -> None:
        """Nothing was opened."""

    def now(self) -> float:
        """The time of the frame. [s]"""
        return 0.0 if self.frame is None else self.frame.unix_time_second


@dataclass(slots=True)
class RegisterMap:
    """Registers that are read, from an address on."""

    data: bytes
    first: int = 40000
    unix_time_second: float = 0.0

    def ask(self, request: bytes) -> bytes:
        """The registers asked for."""
        address, count = struct.unpack(">HH", request)
        start = 2 * (address - self.first)
        if start < 0 or start + 2 * count > len(self.data):
            raise DecodeError(f"no register {address}", hint="Ask for others.")
        return self.data[start : start + 2 * count]

    def close(self) -> None:
        """Nothing was opened."""

    def now(self) -> float:
        """The time of the map. [s]"""
        return self.unix_time_second
