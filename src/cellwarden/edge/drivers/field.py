"""A protocol is a table of fields: where a number stands, how it is coded, what it may be.

Rules
- Every protocol here (CAN, SunSpec, JBD) is such a table; `decode` and `encode` read it.
- A raw value that says "no reading" decodes to NaN, and NaN encodes to it; where a protocol knows
  no such value, NaN cannot be encoded.
- A number outside the field's range is refused, never clipped: clipping would be a wrong value.
- value = raw * scale * 10 ** exponent + shift; signs are turned by a negative scale, in the table.
"""

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from cellwarden.errors import DecodeError, RangeError

__all__ = ["Field", "Kind", "decode", "encode"]

Kind = Literal["u8", "s8", "u16", "s16", "u32", "s32"]
_CODES: Final[dict[str, str]] = {
    "u8": "B",
    "s8": "b",
    "u16": "H",
    "s16": "h",
    "u32": "I",
    "s32": "i",
}
_INF: Final = float("inf")
_ROOM: Final = 1e-9  # a value may miss its limit by what a product of two floats loses


@dataclass(frozen=True, slots=True)
class Field:
    """One number of a message; `start` counts bytes, `exponent` names the field of its power."""

    name: str
    start: int
    kind: Kind
    scale: float = 1.0
    shift: float = 0.0
    missing: int | None = None
    low: float = -_INF
    high: float = _INF
    exponent: str = ""
    little_endian: bool = False

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return int(self.kind[1:]) // 8

    @property
    def signed(self) -> bool:
        """Whether the raw number has a sign."""
        return self.kind[0] == "s"

    def raw(self, payload: bytes) -> int:
        """The number as it stands in the message.

        Raises:
            DecodeError: the message ends before it.
        """
        try:
            (number,) = struct.unpack_from(self._format(), payload, self.start)
        except struct.error as error:
            raise DecodeError(
                f"a message of {len(payload)} bytes has no {self.name}",
                hint="Check that the device speaks this protocol.",
            ) from error
        return int(number)

    def value(self, raw: int, power: float = 0.0) -> float:
        """What a raw number means; NaN where it says "no reading".

        Raises:
            RangeError: the number cannot be true.
        """
        if raw == self.missing or math.isnan(power):
            return math.nan
        value = raw * self.scale * math.pow(10.0, power) + self.shift
        if not self.low - _ROOM <= value <= self.high + _ROOM:
            raise RangeError(
                f"{self.name} of {value:g} is not within {self.low:g} to {self.high:g}",
                hint="The message is damaged, or the device speaks another protocol.",
            )
        return value

    def number(self, value: float, power: float = 0.0) -> int:
        """The raw number that stands for a value.

        Raises:
            RangeError: it does not fit, or the protocol cannot say "no reading" here.
        """
        if math.isnan(value):
            if self.missing is None:
                raise RangeError(
                    f"{self.name} cannot be left out", hint="Send the message when there is one."
                )
            return self.missing
        low, high = self._span()
        ideal = (value - self.shift) / (self.scale * math.pow(10.0, power))
        inside = self.low - _ROOM <= value <= self.high + _ROOM and math.isfinite(ideal)
        if not inside or not low <= round(ideal) <= high or round(ideal) == self.missing:
            raise RangeError(
                f"{self.name} of {value:g} does not fit its field",
                hint="Choose a coarser scale, or check the value.",
            )
        return round(ideal)

    def fit(self, value: float, power: float = 0.0) -> float:
        """The value where the field can say it, else NaN: what cannot be said is left out."""
        try:
            self.number(value, power)
        except RangeError:
            return math.nan
        return value

    def put(self, raw: int, payload: bytearray) -> None:
        """Write a raw number into a message."""
        struct.pack_into(self._format(), payload, self.start, raw)

    def _format(self) -> str:
        return ("<" if self.little_endian else ">") + _CODES[self.kind]

    def _span(self) -> tuple[int, int]:
        bits = int(self.kind[1:])
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if self.signed else (0, (1 << bits) - 1)


def decode(
    fields: Iterable[Field], payload: bytes, given: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Every field of a message by name; `given` holds exponents that stand elsewhere.

    Raises:
        DecodeError: the message is too short.
        RangeError: a number cannot be true.
    """
    fields = tuple(fields)
    values = {field.name: field.value(field.raw(payload)) for field in fields if not field.exponent}
    powers = {**(given or {}), **values}
    for field in fields:
        if field.exponent:
            power = powers.get(field.exponent, math.nan)
            values[field.name] = field.value(field.raw(payload), power)
    return values


def encode(
    fields: Iterable[Field],
    values: Mapping[str, float],
    size: int,
    given: Mapping[str, float] | None = None,
) -> bytes:
    """A message of `size` bytes; what `values` does not name is left out.

    Raises:
        RangeError: a value does not fit, or cannot be left out.
    """
    powers = {**(given or {}), **values}
    payload = bytearray(size)
    for field in fields:
        power = powers.get(field.exponent, math.nan) if field.exponent else 0.0
        value = values.get(field.name, math.nan)
        field.put(field.number(math.nan if math.isnan(power) else value, power), payload)
    return bytes(payload)
