"""What the edge needs of a pack, whatever it is connected by.

A `Driver` gives runs of frames; a `Live` pack is controlled, one reading and one command a cycle.
"""

from typing import Protocol

from cellwarden.domain import Command, Frames, Reading

__all__ = ["Driver", "Live"]


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


class Live(Protocol):
    """A pack that is controlled.

    `write` may be called from another thread while `read` hangs: that is how a pack is opened when
    its control no longer answers. The electronics behind it open by themselves when nobody writes.
    """

    def read(self) -> Reading:
        """What there is to see in this cycle.

        Raises:
            UnavailableError: the pack is silent.
        """
        ...

    def write(self, command: Command) -> None:
        """Carry out a command.

        Raises:
            UnavailableError: the pack is silent.
        """
        ...
