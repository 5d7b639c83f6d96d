"""Packs with a JBD board (Jiabaida, Xiaoxiang, Overkill), read only, over its serial protocol.

Rules
- A request is DD A5, command, length, data, checksum, 77; an answer DD, command, status, length,
  data, checksum, 77. The checksum is 65536 less the sum from the third byte to the end of the data.
- Positive current charges, as with us.
- Two questions make a frame: 03 (pack) and 04 (cells). Nothing is ever written.

Source: JBD, "General Protocol V4" (RS485, RS232, UART, also over Bluetooth's characteristics).
"""

from typing import Final

import numpy as np

from cellwarden.domain import Command, Frame
from cellwarden.domain.units import QUANTITIES
from cellwarden.edge.drivers.field import Field, decode, encode
from cellwarden.edge.drivers.line import Line
from cellwarden.edge.drivers.polled import Layout, check_layout, refuse_command
from cellwarden.errors import DecodeError, Error

__all__ = [
    "CELLS",
    "PACK",
    "PACK_FIELDS",
    "JbdProbe",
    "cell_fields",
    "decode_answer",
    "encode_answer",
    "encode_cells",
    "encode_pack",
    "question",
    "sensor_fields",
]

CELLS: Final = 0x04
PACK: Final = 0x03
_HEAD: Final = 0xDD
_READ: Final = 0xA5
_TAIL: Final = 0x77
_FRAME_BYTES: Final = 7  # of an answer without its data
_PACK_BYTES: Final = 23
_CELL: Final = QUANTITIES["cell_voltage_volt"]
_HEAT: Final = QUANTITIES["cell_temperature_celsius"]

PACK_FIELDS: Final = (
    Field("voltage_volt", 0, "u16", 0.01),
    Field("current_ampere", 2, "s16", 0.01),
    Field("left_capacity_ah", 4, "u16", 0.01),
    Field("nominal_capacity_ah", 6, "u16", 0.01),
    Field("cycle_count", 8, "u16"),
    Field("made_date_bits", 10, "u16"),
    Field("balance_low_bits", 12, "u16"),
    Field("balance_high_bits", 14, "u16"),
    Field("protection_bits", 16, "u16"),
    Field("version_count", 18, "u8"),
    Field("soc_fraction", 19, "u8", 0.01, high=1.0),
    Field("switch_bits", 20, "u8", high=3),
    Field("cell_count", 21, "u8", low=1, high=32),
    Field("sensor_count", 22, "u8", high=8),
)


def cell_fields(count: int) -> tuple[Field, ...]:
    """Where the cells stand in the answer to 04."""
    return tuple(
        Field(f"cell_{cell}_voltage_volt", 2 * cell, "u16", 0.001, low=0.0, high=_CELL.high)
        for cell in range(count)
    )


def sensor_fields(count: int) -> tuple[Field, ...]:
    """Where the sensors stand in the answer to 03."""
    return tuple(
        Field(
            f"sensor_{sensor}_temperature_celsius",
            _PACK_BYTES + 2 * sensor,
            "u16",
            0.1,
            shift=-273.1,
            low=_HEAT.low,
            high=_HEAT.high,
        )
        for sensor in range(count)
    )


def question(command: int) -> bytes:
    """The bytes that ask for an answer."""
    body = bytes([command, 0])
    return bytes([_HEAD, _READ]) + body + _checksum(body) + bytes([_TAIL])


def encode_answer(command: int, data: bytes) -> bytes:
    """An answer, as a board gives it."""
    body = bytes([0, len(data)]) + data
    return bytes([_HEAD, command]) + body + _checksum(body) + bytes([_TAIL])


def decode_answer(command: int, answer: bytes) -> bytes:
    """The data of an answer.

    Raises:
        DecodeError: it is damaged, an error, or another question's.
    """
    if len(answer) < _FRAME_BYTES or len(answer) != _FRAME_BYTES + answer[3]:
        raise _damaged("its length is wrong")
    if answer[0] != _HEAD or answer[-1] != _TAIL:
        raise _damaged("it does not begin and end as it must")
    if answer[-3:-1] != _checksum(answer[2:-3]):
        raise _damaged("its checksum does not hold")
    if answer[1] != command or answer[2] != 0:
        raise _damaged(f"it says status {answer[2]} to command {answer[1]:#04x}")
    return answer[4:-3]


class JbdProbe:
    """One look at a JBD board over a line."""

    def __init__(self, line: Line, layout: Layout) -> None:
        self._line = line
        self.layout = layout
        self.refused_count = 0
        self.trouble: Error | None = None

    def sample(self) -> Frame:
        """Pack and cells, asked for one after the other."""
        data = decode_answer(PACK, self._line.ask(question(PACK)))
        pack = decode(PACK_FIELDS, data)
        cells, sensors = int(pack["cell_count"]), int(pack["sensor_count"])
        if len(data) < _PACK_BYTES + 2 * sensors:
            raise _damaged("it has fewer sensors than it says")
        check_layout(cells, sensors, self.layout)
        heat = decode(sensor_fields(sensors), data)
        data = decode_answer(CELLS, self._line.ask(question(CELLS)))
        if len(data) != 2 * cells:
            raise _damaged(f"it has {len(data) // 2} cells, not {cells}")
        volts = decode(cell_fields(cells), data)
        return Frame(
            self._line.now(),
            pack["voltage_volt"],
            pack["current_ampere"],
            np.array(list(volts.values())),
            np.array(list(heat.values())),
        )

    def obey(self, command: Command) -> None:
        """Nothing is ever written to a JBD board."""
        del command
        refuse_command("a JBD board")

    def now(self) -> float:
        """The time on the line. [s]"""
        return self._line.now()

    def close(self) -> None:
        """Hang up."""
        self._line.close()


def encode_pack(frame: Frame) -> bytes:
    """The data of an answer to 03, as a board would give it for a frame."""
    sensors = frame.cell_temperature_celsius
    values = {
        "voltage_volt": frame.voltage_volt,
        "current_ampere": frame.current_ampere,
        "cell_count": float(len(frame.cell_voltage_volt)),
        "sensor_count": float(len(sensors)),
    }
    values = {**{field.name: 0.0 for field in PACK_FIELDS}, **values}
    fields = sensor_fields(len(sensors))
    values |= {field.name: float(heat) for field, heat in zip(fields, sensors, strict=True)}
    return encode((*PACK_FIELDS, *fields), values, _PACK_BYTES + 2 * len(sensors))


def encode_cells(frame: Frame) -> bytes:
    """The data of an answer to 04, as a board would give it for a frame."""
    fields = cell_fields(len(frame.cell_voltage_volt))
    volts = zip(fields, frame.cell_voltage_volt, strict=True)
    return encode(fields, {field.name: float(volt) for field, volt in volts}, 2 * len(fields))


def _checksum(body: bytes) -> bytes:
    return (-sum(body) & 0xFFFF).to_bytes(2, "big")


def _damaged(why: str) -> DecodeError:
    return DecodeError(
        f"an answer of the board is refused: {why}",
        hint="Check cable, speed and interference; one such answer now and then is dropped.",
    )
