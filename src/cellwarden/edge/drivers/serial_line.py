"""A board at a serial port, or at a serial server on the network (`socket://HOST:PORT`).

A serial line has no identity and no encryption: whoever reaches it can read it. A serial server
belongs on the device's own network segment, never on the internet.
"""

import time
from typing import Final, Self

import serial

from cellwarden.errors import UnavailableError

__all__ = ["SerialLine"]

_HEAD_BYTES: Final = 4
_REST_BYTES: Final = 3
_LENGTH_BYTE: Final = 3
_LONGEST_BYTES: Final = 64  # of noise before an answer


class SerialLine:
    """Asks a board that answers with its length in the fourth byte, as JBD does."""

    def __init__(self, port: str, *, baud: int = 9600, timeout_second: float = 1.0) -> None:
        self._address = port
        self._baud = baud
        self._timeout_second = timeout_second
        self._port: serial.SerialBase | None = None

    def ask(self, request: bytes) -> bytes:
        """The answer, from its first byte to its last.

        Raises:
            UnavailableError: the port cannot be opened, or the board is silent.
        """
        try:
            port = self._open()
            port.reset_input_buffer()
            port.write(request)
            return self._hear(port, request[:1])
        except (serial.SerialException, OSError) as error:
            self.close()
            raise UnavailableError(
                f"{self._address}: {error}", hint="Check the cable and the port's name."
            ) from error

    def now(self) -> float:
        """The wall clock. [s]"""
        return time.time()

    def close(self) -> None:
        """Let go of the port."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> serial.SerialBase:
        if self._port is None:
            self._port = serial.serial_for_url(
                self._address,
                baudrate=self._baud,
                timeout=self._timeout_second,
                write_timeout=self._timeout_second,
            )
        return self._port

    def _hear(self, port: serial.SerialBase, first: bytes) -> bytes:
        for _ in range(_LONGEST_BYTES):
            byte = port.read(1)
            if not byte:
                break
            if byte == first:
                head = byte + port.read(_HEAD_BYTES - 1)
                if len(head) == _HEAD_BYTES:
                    return bytes(head + port.read(head[_LENGTH_BYTE] + _REST_BYTES))
                break
        raise UnavailableError(
            f"the board at {self._address} is silent", hint="Check that it is awake and wired."
        )
