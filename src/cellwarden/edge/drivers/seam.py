"""What the edge needs of a pack, whatever it is connected by."""

from typing import Protocol

from cellwarden.domain import Command, Frames

__all__ = ["Driver"]


class Driver(Protocol):
    """Reads frames and writes commands.

    `position` says how far reading has come, in bytes that only the driver understands; they are
    stored together with what was read, so that after a power loss the next driver goes on there.
    """

    def read(self, count: int) -> Frames | None:
        """The next frames, at most `count`; None when there will be no more.

        Raises:
            UnavailableError: the pack is silent.
        """
        ...

    def position(self) -> bytes:
        """Where reading goes on."""
        ...

    def write(self, command: Command) -> None:
        """Carry out a command."""
        ...
