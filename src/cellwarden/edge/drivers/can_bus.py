"""The CAN interfaces of this machine, as python-can knows them."""

import time
from typing import Self

import can

from cellwarden.edge.drivers.line import BusFrame
from cellwarden.errors import UnavailableError

__all__ = ["PythonCanBus"]


class PythonCanBus:
    """Any interface of python-can: `socketcan`, `pcan`, `slcan`, `virtual` and others."""

    def __init__(self, interface: str, channel: str, *, bitrate: int = 500_000) -> None:
        try:
            self._bus = can.Bus(interface=interface, channel=channel, bitrate=bitrate)
        except (can.CanError, OSError, ValueError, ImportError) as error:
            raise UnavailableError(
                f"{interface} {channel}: {error}",
                hint="Check the interface, and that it is up (`ip link set can0 up`).",
            ) from error

    def hear(self, wait_second: float) -> BusFrame | None:
        """The next data frame with an 11-bit identifier."""
        end = time.monotonic() + wait_second
        while True:
            left = max(end - time.monotonic(), 0.0)
            try:
                message = self._bus.recv(left)
            except (can.CanError, OSError) as error:
                raise _down_bus(error) from error
            if message is None:
                return None
            plain = message.is_extended_id or message.is_error_frame or message.is_remote_frame
            if not plain:
                return BusFrame(message.arbitration_id, bytes(message.data))

    def send(self, frame: BusFrame) -> None:
        """Put a frame on the bus."""
        message = can.Message(
            arbitration_id=frame.number, data=frame.data, is_extended_id=False, check=True
        )
        try:
            self._bus.send(message, timeout=0.1)
        except (can.CanError, OSError) as error:
            raise _down_bus(error) from error

    def now(self) -> float:
        """The wall clock. [s]"""
        return time.time()

    def close(self) -> None:
        """Leave the bus."""
        self._bus.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _down_bus(error: Exception) -> UnavailableError:
    return UnavailableError(f"the bus is down: {error}", hint="Check wiring and interface.")
