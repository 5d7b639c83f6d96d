"""What a driver's bytes travel on: a line that answers questions, or a bus that is listened to.

Each has a live form (serial port, Modbus, CAN), a form in memory (`memory`), and recording and
replaying forms (`capture`).

Rules
- Nothing heard is `UnavailableError` on a line and None on a bus; the end of a replay is
  `EOFError`, which no live line raises.
- Time is that of the line: the wall clock where it is live, the recorded one in a replay.
"""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Bus", "BusFrame", "Line"]


class Line(Protocol):
    """Asks a device and gives its answer."""

    def ask(self, request: bytes) -> bytes:
        """The answer to a request.

        Raises:
            UnavailableError: there was none in time.
        """
        ...

    def now(self) -> float:
        """The time on this line, Unix seconds. [s]"""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


@dataclass(frozen=True, slots=True)
class BusFrame:
    """One CAN frame: its identifier and its bytes."""

    number: int
    data: bytes


class Bus(Protocol):
    """Hears what others send, and sends."""

    def hear(self, wait_second: float) -> BusFrame | None:
        """The next frame, or None when the wait is over.

        Raises:
            UnavailableError: the bus is down.
        """
        ...

    def send(self, frame: BusFrame) -> None:
        """Put a frame on the bus.

        Raises:
            UnavailableError: the bus is down.
        """
        ...

    def close(self) -> None:
        """Leave the bus."""
        ...

    def now(self) -> float:
        """The time on this bus, Unix seconds. [s]"""
        ...
