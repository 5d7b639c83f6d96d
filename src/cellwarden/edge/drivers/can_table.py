"""Our CAN messages as a table, and the DBC file that is made of it.

Rules
- 11-bit identifiers and periods in the style of foxBMS 2; big endian; 8 bytes.
- Positive current charges (foxBMS itself has it the other way round by default).
- The last byte is a CRC-8 (SAE J1850) over identifier and the bytes before it. Where there is a
  counter, a sender that repeats itself is not heard anew.
- All ones (for numbers with a sign: the lowest number) says "no reading".
- `cellwarden.dbc` beside this file is `write_dbc()`, and a test holds them equal.
"""

from dataclasses import dataclass
from typing import Final

from cellwarden.domain.units import QUANTITIES
from cellwarden.edge.drivers.field import Field, Kind
from cellwarden.errors import DecodeError

__all__ = [
    "AROUND",
    "BALANCE",
    "CELLS",
    "CELLS_A_FRAME",
    "CHARGER",
    "CURRENT",
    "ENVIRONMENT",
    "ESTIMATE",
    "FRAME_BYTES",
    "INPUTS",
    "LIMITS",
    "MESSAGES",
    "MONITOR",
    "OPEN_WIRES",
    "ORDER",
    "REQUEST",
    "SECOND",
    "SECOND_CELLS",
    "SENSORS",
    "STATE",
    "VOLTAGE",
    "Message",
    "checksum",
    "indexed",
    "seal",
    "unseal",
    "write_dbc",
]

FRAME_BYTES: Final = 8
CELLS_A_FRAME: Final = 3
_GROUPS: Final = 80
_LOWEST: Final = -(1 << 15)
_NONE: Final = 0xFFFF
_CRC: Final = FRAME_BYTES - 1


@dataclass(frozen=True, slots=True)
class Message:
    """One identifier: who sends it how often, and its fields.

    `item` is the one field that stands three times in each of the frames that `index` numbers.
    """

    number: int
    name: str
    sender: str
    period_second: float
    fields: tuple[Field, ...]
    item: Field | None = None


def _field(name: str, start: int, kind: Kind, scale: float, *, missing: int | None = None) -> Field:
    """A field within the range that its quantity has anywhere."""
    quantity = QUANTITIES[name]
    return Field(name, start, kind, scale, missing=missing, low=quantity.low, high=quantity.high)


def _count(name: str, start: int, high: int = 255) -> Field:
    return Field(name, start, "u8", low=0, high=high)


_COUNTER: Final = _count("message_count", 6)
_INDEX: Final = _count("group_index", 0, _GROUPS - 1)

ORDER: Final = Message(
    0x211,
    "order",
    "Control",
    0.1,
    (
        _count("contactor_bits", 0, 7),
        Field("cooling_fraction", 1, "u8", 0.005, low=0.0, high=1.0),
        Field("high_charge_current_ampere", 2, "u16", 0.1, low=0.0),
        Field("high_discharge_current_ampere", 4, "u16", 0.1, low=0.0),
        _COUNTER,
    ),
)
CHARGER: Final = Message(
    0x212,
    "charger",
    "Control",
    0.1,
    (
        Field("charge_voltage_volt", 0, "u16", 0.1, low=0.0),
        Field("charge_current_ampere", 2, "u16", 0.1, low=0.0),
        _COUNTER,
    ),
)
REQUEST: Final = Message(
    0x210, "request", "Vehicle", 0.1, (_count("request_index", 0, 15), _COUNTER)
)
BALANCE: Final = Message(
    0x213,
    "balance",
    "Control",
    1.0,
    (_INDEX, Field("low_cell_bits", 1, "u32"), Field("high_cell_bits", 5, "u16")),
)
STATE: Final = Message(
    0x220,
    "state",
    "Pack",
    0.1,
    (
        _count("cell_count", 0, CELLS_A_FRAME * _GROUPS),
        _count("sensor_count", 1, CELLS_A_FRAME * _GROUPS),
        _count("contactor_bits", 2, 7),
        Field("broken_link_index", 3, "u8", missing=255),
        Field("clock_error_second", 4, "s16", 0.01, missing=_LOWEST),
        _COUNTER,
    ),
)
INPUTS: Final = Message(
    0x222,
    "inputs",
    "Pack",
    0.1,
    (
        _field("link_voltage_volt", 0, "s32", 0.001, missing=-(1 << 31)),
        Field("contact_bits", 4, "u8"),
        Field("health_bits", 5, "u8"),
        _COUNTER,
    ),
)
SECOND: Final = Message(
    0x223,
    "second",
    "Pack",
    0.1,
    (
        _field("second_current_ampere", 0, "s32", 0.001, missing=-(1 << 31)),
        Field("gas_fraction", 4, "u16", 0.0001, missing=_NONE, low=0.0, high=1.0),
        _COUNTER,
    ),
)
AROUND: Final = Message(
    0x224,
    "around",
    "Pack",
    1.0,
    (
        Field("insulation_ohm", 0, "u32", missing=0xFFFFFFFF),
        _field("coolant_temperature_celsius", 4, "s16", 0.05, missing=_LOWEST),
        _COUNTER,
    ),
)
MONITOR: Final = Message(
    0x225,
    "monitor",
    "Pack",
    0.1,
    (
        _INDEX,
        Field("frame_error_count", 1, "u8"),
        Field("age_second", 2, "u16", 0.01, missing=_NONE),
        Field("reference_volt", 4, "u16", 0.0001, missing=_NONE),
    ),
)
OPEN_WIRES: Final = Message(
    0x251,
    "open_wires",
    "Pack",
    0.1,
    (_INDEX, Field("low_cell_bits", 1, "u32"), Field("high_cell_bits", 5, "u16")),
)
SECOND_CELLS: Final = Message(
    0x252,
    "second_cells",
    "Pack",
    0.1,
    (_INDEX,),
    Field("second_cell_voltage_volt", 1, "u16", 0.0001, missing=_NONE, low=0.0, high=6.5534),
)
LIMITS: Final = Message(
    0x232,
    "limits",
    "Pack",
    0.1,
    (
        Field("high_charge_current_ampere", 0, "u16", 0.1, missing=_NONE, low=0.0),
        Field("high_discharge_current_ampere", 2, "u16", 0.1, missing=_NONE, low=0.0),
        _COUNTER,
    ),
)
VOLTAGE: Final = Message(
    0x233,
    "voltage",
    "Pack",
    0.1,
    (_field("voltage_volt", 0, "s32", 0.001, missing=-(1 << 31)), _COUNTER),
)
CURRENT: Final = Message(
    0x234,
    "current",
    "Pack",
    0.1,
    (_field("current_ampere", 0, "s32", 0.001, missing=-(1 << 31)), _COUNTER),
)
ESTIMATE: Final = Message(
    0x235,
    "estimate",
    "Pack",
    1.0,
    (
        _field("soc_fraction", 0, "u16", 0.0001, missing=_NONE),
        _field("soc_std_fraction", 2, "u16", 0.0001, missing=_NONE),
        _field("soh_fraction", 4, "u16", 0.0001, missing=_NONE),
        _COUNTER,
    ),
)
ENVIRONMENT: Final = Message(
    0x236,
    "environment",
    "Pack",
    1.0,
    (
        _field("ambient_temperature_celsius", 0, "s16", 0.05, missing=_LOWEST),
        _field("humidity_fraction", 2, "u16", 0.0001, missing=_NONE),
        _COUNTER,
    ),
)
CELLS: Final = Message(
    0x250,
    "cells",
    "Pack",
    0.1,
    (_INDEX,),
    Field("cell_voltage_volt", 1, "u16", 0.0001, missing=_NONE, low=0.0, high=6.5534),
)
SENSORS: Final = Message(
    0x260,
    "sensors",
    "Pack",
    0.2,
    (_INDEX,),
    _field("cell_temperature_celsius", 1, "s16", 0.05, missing=_LOWEST),
)
MESSAGES: Final = (
    REQUEST,
    ORDER,
    CHARGER,
    BALANCE,
    STATE,
    INPUTS,
    SECOND,
    AROUND,
    MONITOR,
    LIMITS,
    VOLTAGE,
    CURRENT,
    ESTIMATE,
    ENVIRONMENT,
    CELLS,
    OPEN_WIRES,
    SECOND_CELLS,
    SENSORS,
)


def indexed(item: Field, place: int, group: int) -> Field:
    """The field of one cell or sensor: the `place`-th of the frame with that index."""
    return Field(
        f"{item.name}_{CELLS_A_FRAME * group + place}",
        item.start + place * item.size,
        item.kind,
        item.scale,
        item.shift,
        item.missing,
        item.low,
        item.high,
    )


def checksum(number: int, data: bytes) -> int:
    """CRC-8 as SAE J1850 has it, over identifier and data."""
    crc = 0xFF
    for byte in number.to_bytes(2, "big") + data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x1D if crc & 0x80 else crc << 1) & 0xFF
    return crc ^ 0xFF


def seal(number: int, data: bytes) -> bytes:
    """Data with its checksum in the last byte."""
    return data[:_CRC] + bytes([checksum(number, data[:_CRC])])


def unseal(number: int, data: bytes) -> bytes:
    """Data whose checksum holds.

    Raises:
        DecodeError: it does not, or the frame is not 8 bytes long.
    """
    if len(data) != FRAME_BYTES or data[_CRC] != checksum(number, data[:_CRC]):
        raise DecodeError(
            f"frame {number:#05x} is damaged",
            hint="Check that nobody else sends this identifier, and the bus's termination.",
        )
    return data


def write_dbc() -> str:
    """The table as a DBC file, for cantools and any other tool."""
    lines = ['VERSION ""', "", "NS_ :", "", "BS_:", "", "BU_: Control Pack Vehicle", ""]
    comments = ['CM_ "Cellwarden. Positive current charges. The last byte is CRC-8 SAE J1850";']
    for message in MESSAGES:
        lines.append(f"BO_ {message.number} {message.name}: {FRAME_BYTES} {message.sender}")
        for field in message.fields:
            mark = " M" if message.item and field is _INDEX else ""
            lines.append(_signal(field, mark))
        if message.item:
            lines += [
                _signal(indexed(message.item, place, group), f" m{group}")
                for group in range(_GROUPS)
                for place in range(CELLS_A_FRAME)
            ]
        lines += [_signal(Field("checksum", _CRC, "u8"), ""), ""]
        period = round(1000 * message.period_second)
        comments.append(f'CM_ BO_ {message.number} "Every {period} ms";')
    return "\n".join([*lines, *comments, ""])


def _signal(field: Field, mark: str) -> str:
    bits = 8 * field.size
    sign = "-" if field.signed else "+"
    low = -(1 << bits - 1) if field.signed else 0
    high = low + (1 << bits) - 1
    ends = (max(field.low, low * field.scale), min(field.high, high * field.scale))
    unit = _UNITS.get(field.name.rstrip("0123456789_").rsplit("_", 1)[-1], "")
    return (
        f" SG_ {field.name}{mark} : {8 * field.start + 7}|{bits}@0{sign}"
        f' ({field.scale:g},{field.shift:g}) [{ends[0]:g}|{ends[1]:g}] "{unit}" Vector__XXX'
    )


_UNITS: Final = {"volt": "V", "ampere": "A", "celsius": "degC", "ohm": "Ohm", "second": "s"}
