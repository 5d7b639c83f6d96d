"""A battery that speaks SunSpec over Modbus TCP, read as a driver.

Plain Modbus has no identity and no encryption: it is for a wire that nobody else is on. Modbus
Security (TLS, both sides with certificates) is the form for anything else.

Rules
- The models leave the sign of the current open, so `positive_current` must be said; where the
  battery also says that it charges or discharges, the two must agree.
- Sensors: one a cell where the layout has as many, the coldest and the hottest where it has two.
"""

import contextlib
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from pymodbus.client import ModbusTcpClient, ModbusTlsClient
from pymodbus.exceptions import ModbusException

from cellwarden.domain import Command, Frame
from cellwarden.edge.drivers import sunspec
from cellwarden.edge.drivers.current_sign import PositiveCurrent, sign_of
from cellwarden.edge.drivers.line import Line
from cellwarden.edge.drivers.polled import Layout, check_layout, refuse_command
from cellwarden.errors import DecodeError, Error, UnavailableError, UnitError, UsageError

__all__ = ["ModbusLine", "SunSpecProbe"]

_MOST_REGISTERS: Final = 125  # Modbus application protocol 1.1b3, section 6.3
_BANK: Final = 802
_CELLS: Final = 805
_MODELS: Final = (_BANK, 803, _CELLS)
_MOST_MODELS: Final = 200
_NOT_NOW: Final = frozenset({4, 5, 6, 10, 11})  # failure, wait, busy, no way, no answer
_CHARGING, _DISCHARGING = 4.0, 3.0
_CLEAR_AMPERE: Final = 1.0  # a current this large has a sign
_WITH_TWO: Final = 2


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a model stands: its address and length in registers, its head included."""

    number: int
    address: int
    count: int


class SunSpecProbe:
    """One look at the models of a battery."""

    def __init__(self, line: Line, layout: Layout, positive_current: PositiveCurrent) -> None:
        if layout.sensor_count not in {0, _WITH_TWO, layout.cell_count}:
            raise UsageError(
                f"SunSpec tells 0, 2 or {layout.cell_count} temperatures, not"
                f" {layout.sensor_count}",
                hint="Set sensor_count to one of these.",
            )
        self._line = line
        self.layout = layout
        self.refused_count = 0
        self.trouble: Error | None = None
        self._sign = sign_of(positive_current)
        self._places: tuple[_Place, ...] = ()

    def sample(self) -> Frame:
        """All models, read in one go.

        Raises:
            DataError: the map or a number in it cannot be.
            UnavailableError: the battery is silent.
        """
        if not self._places:
            self._places = self._find()
        try:
            models = [sunspec.read_model(p.number, self._read(p)) for p in self._places]
        except DecodeError:
            self._places = ()  # the map has changed: look for it anew
            raise
        bank = next(model.values for model in models if model.number == _BANK)
        ampere = self._sign * bank["A"]
        _check_sign(ampere, bank["ChaSt"])
        cells = [cell for model in models if model.number == _CELLS for cell in model.groups]
        sensors = self._sensors(models, cells)
        check_layout(len(cells), len(sensors), self.layout)
        volts = np.array([cell["CellV"] for cell in cells])
        return Frame(self._line.now(), bank["V"], ampere, volts, sensors)

    def obey(self, command: Command) -> None:
        """A battery behind SunSpec is only read."""
        del command
        refuse_command("a battery behind SunSpec")

    def now(self) -> float:
        """The time on the line. [s]"""
        return self._line.now()

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def _sensors(self, models: list[sunspec.Model], cells: list[dict[str, float]]) -> np.ndarray:
        if self.layout.sensor_count == self.layout.cell_count:
            return np.array([cell["CellTmp"] for cell in cells])
        if self.layout.sensor_count == 0:
            return np.zeros(0)
        ends = [model.values for model in models if model.number == _CELLS]
        low = [values["CellTmpMin"] for values in ends]
        high = [values["CellTmpMax"] for values in ends]
        whole = np.isfinite([*low, *high]).all() and ends
        return np.array([min(low), max(high)] if whole else [np.nan, np.nan])

    def _find(self) -> tuple[_Place, ...]:
        for base in sunspec.BASE_ADDRESSES:
            with contextlib.suppress(DecodeError):
                if self._line.ask(_request(base, 2)) == sunspec.IDENTIFIER:
                    return self._walk(base + 2)
        raise DecodeError(
            "no SunSpec map at 40000, 0 or 50000", hint="Check address and unit of the battery."
        )

    def _walk(self, address: int) -> tuple[_Place, ...]:
        found = []
        for _ in range(_MOST_MODELS):
            head = self._line.ask(_request(address, 2))
            if len(head) != len(sunspec.IDENTIFIER):
                raise DecodeError("a model's head is cut short", hint="Check the battery.")
            number, length = struct.unpack(">HH", head)
            if number == sunspec.END:
                break
            if number in _MODELS:
                found.append(_Place(number, address, length + 2))
            address += length + 2
            if address > sunspec.END:
                raise DecodeError("the map has no end", hint="Check the battery's map.")
        numbers = {place.number for place in found}
        if not {_BANK, _CELLS} <= numbers:
            raise DecodeError(
                f"the battery has models {sorted(numbers)}, but 802 and 805 are needed",
                hint="Its cells are not shown over SunSpec; use another way to it.",
            )
        return tuple(found)

    def _read(self, place: _Place) -> bytes:
        data = b""
        for first in range(0, place.count, _MOST_REGISTERS):
            count = min(_MOST_REGISTERS, place.count - first)
            data += self._line.ask(_request(place.address + first, count))
        return data


class ModbusLine:
    """Registers of a unit over Modbus TCP, with TLS where a context is given."""

    def __init__(
        self,
        host: str,
        port: int = 502,
        *,
        unit: int = 1,
        context: ssl.SSLContext | None = None,
        timeout_second: float = 2.0,
    ) -> None:
        self._address = (host, port)
        self._unit = unit
        self._context = context
        self._timeout_second = timeout_second
        self._client: ModbusTcpClient | None = None

    def ask(self, request: bytes) -> bytes:
        """The registers from an address on, as bytes; the request holds address and count.

        Raises:
            DecodeError: the device refuses to show them.
            UnavailableError: it is not there, or not to be believed.
        """
        address, count = struct.unpack(">HH", request)
        try:
            client = self._connect()
            answer = client.read_holding_registers(address, count=count, device_id=self._unit)
        except (ModbusException, OSError) as error:
            self.close()
            raise UnavailableError(
                f"Modbus {self._address[0]}:{self._address[1]}: {error}",
                hint="Check address, port and certificate.",
            ) from error
        if answer.isError():
            if answer.exception_code in _NOT_NOW:
                raise UnavailableError(
                    f"the battery cannot answer now: {answer}", hint="It is asked again later."
                )
            raise DecodeError(
                f"registers {address} to {address + count - 1} are not shown: {answer}",
                hint="Check the unit and the map of the device.",
            )
        return struct.pack(f">{len(answer.registers)}H", *answer.registers)

    def now(self) -> float:
        """The wall clock. [s]"""
        return time.time()

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()  # type: ignore[no-untyped-call]
            self._client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> ModbusTcpClient:
        if self._client is None:
            self._client = self._open()
        return self._client

    def _open(self) -> ModbusTcpClient:
        host, port = self._address
        wait = self._timeout_second
        client: ModbusTcpClient
        if self._context is None:
            client = ModbusTcpClient(host, port=port, timeout=wait, retries=0)
        else:
            client = ModbusTlsClient(host, port=port, sslctx=self._context, timeout=wait, retries=0)
            # The library leaves out the host's name; without it the certificate is not the host's.
            plain = socket.create_connection(self._address, timeout=wait)
            client.socket = self._context.wrap_socket(plain, server_hostname=host)
        if not client.connect():  # type: ignore[no-untyped-call]
            raise UnavailableError(
                f"nobody answers at {host}:{port}", hint="Check address, port and firewall."
            )
        return client


def _request(address: int, count: int) -> bytes:
    return struct.pack(">HH", address, count)


def _check_sign(ampere: float, charging: float) -> None:
    contrary = (charging == _CHARGING and ampere < -_CLEAR_AMPERE) or (
        charging == _DISCHARGING and ampere > _CLEAR_AMPERE
    )
    if contrary:
        raise UnitError(
            f"the battery says that it {'' if charging == _CHARGING else 'dis'}charges with"
            f" {ampere:g} A, where positive charges",
            hint="Turn positive_current in source.toml round.",
        )
