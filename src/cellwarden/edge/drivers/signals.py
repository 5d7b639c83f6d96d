"""What the board says and hears, as tables of fields.

bytes  what
0      which table
1      a counter, one more with each frame of its table
2-     the fields, in order, high byte first
last 2 CRC-16 (polynomial 0x1021, seed 0xFFFF) over all before, as in AUTOSAR's E2E profile 5

Rules
- The highest code of a field says "no reading", the lowest and highest are no values.
- A switch is two bits: its state, and whether there is such a switch.
- A frame whose counter has not moved is the last one again and is refused.
- The board says which order it heard last: a frame that comes late cannot know the newest one.
"""

import binascii
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cellwarden.errors import DecodeError

__all__ = [
    "ANALOGUE",
    "ORDER",
    "SWITCHES",
    "SWITCH_NAMES",
    "Field",
    "Layout",
    "Received",
    "receive",
]

_CRC_SEED: Final = 0xFFFF
_HEAD: Final = 2
_TAIL: Final = 2


@dataclass(frozen=True, slots=True)
class Field:
    """A value's name, its format (as in `struct`) and what one step of its code is worth."""

    name: str
    form: str
    unit_per_code: float = 1.0

    @property
    def range(self) -> tuple[int, int]:
        """The lowest and the highest code."""
        bits = 8 * struct.calcsize(">" + self.form)
        if self.form.islower():
            return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        return 0, (1 << bits) - 1

    def code(self, value: float) -> int:
        """The code of a value; one that does not fit is at the end of the range."""
        low, high = self.range
        if math.isnan(value):
            return high
        return int(min(max(round(value / self.unit_per_code), low), high))

    def value(self, code: int) -> float:
        """The value of a code; NaN at either end of a signed range, at the upper of the others."""
        low, high = self.range
        at_end = code == high or (code == low and low < 0)
        return math.nan if at_end else code * self.unit_per_code


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of frame."""

    number: int
    fields: tuple[Field, ...]

    @property
    def form(self) -> str:
        """The fields' format."""
        return ">" + "".join(field.form for field in self.fields)

    @property
    def byte_count(self) -> int:
        """Bytes of a whole frame. [1]"""
        return _HEAD + struct.calcsize(self.form) + _TAIL

    def encode(self, codes: Mapping[str, int], counter: int) -> bytes:
        """A frame of these codes."""
        body = struct.pack(self.form, *(codes[field.name] for field in self.fields))
        message = bytes((self.number, counter & 0xFF)) + body
        return message + binascii.crc_hqx(message, _CRC_SEED).to_bytes(_TAIL, "big")

    def codes(self, **values: float) -> dict[str, int]:
        """The codes of values."""
        return {field.name: field.code(values[field.name]) for field in self.fields}

    def values(self, codes: Mapping[str, int]) -> dict[str, float]:
        """What codes mean."""
        return {field.name: field.value(codes[field.name]) for field in self.fields}


@dataclass(frozen=True, slots=True)
class Received:
    """A frame that holds together."""

    number: int
    counter: int
    codes: dict[str, int]


def receive(frame: bytes, layouts: tuple[Layout, ...]) -> Received:
    """Read a frame of one of these kinds.

    Raises:
        DecodeError: another kind, another length, or its checksum does not hold.
    """
    layout = next((one for one in layouts if frame[:1] == bytes([one.number])), None)
    if layout is None or len(frame) != layout.byte_count:
        raise DecodeError(
            "no frame of this board", hint="Check the wiring and the board's version."
        )
    if binascii.crc_hqx(frame[:-_TAIL], _CRC_SEED).to_bytes(_TAIL, "big") != frame[-_TAIL:]:
        raise DecodeError("the frame's checksum does not hold", hint="Check the wiring.")
    codes = struct.unpack(layout.form, frame[_HEAD:-_TAIL])
    names = (field.name for field in layout.fields)
    return Received(layout.number, frame[1], dict(zip(names, codes, strict=True)))


ANALOGUE: Final = Layout(
    0x21,
    (
        Field("voltage_volt", "i", 0.001),
        Field("link_voltage_volt", "i", 0.001),
        Field("current_ampere", "i", 0.001),  # shunt
        Field("second_current_ampere", "i", 0.01),  # Hall sensor
        Field("reference_volt", "H", 100e-6),  # the board's second reference
        Field("coolant_ratio", "H", 1.0 / 65_535),  # thermistors, over the reference
        Field("ambient_ratio", "H", 1.0 / 65_535),
        Field("insulation_ohm", "H", 1000.0),
        Field("gas_fraction", "H", 1e-5),
        Field("heard_count", "B"),  # counter of the last order that was carried out
    ),
)
SWITCH_NAMES: Final = (
    "plus_feedback_closed",
    "minus_feedback_closed",
    "precharge_feedback_closed",
    "interlock_closed",
    "fuse_intact",
)
SWITCHES: Final = Layout(0x22, (Field("state", "H"), Field("fitted", "H")))
ORDER: Final = Layout(
    0x41,
    (
        Field("coils", "B"),  # bit 0 plus, 1 minus, 2 precharge
        Field("cooling_fraction", "B", 1.0 / 250),
        Field("high_charge_current_ampere", "I", 0.001),
        Field("high_discharge_current_ampere", "I", 0.001),
        Field("charge_voltage_volt", "I", 0.001),
        Field("charge_current_ampere", "I", 0.001),
    ),
)
