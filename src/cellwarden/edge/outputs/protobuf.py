"""As much of Protocol Buffers' wire format as Sparkplug B needs: fields out, fields in.

Source: Protocol Buffers documentation, "Encoding".
"""

import struct
from typing import Final

from cellwarden.errors import DecodeError

__all__ = [
    "Parsed",
    "boolean_field",
    "bytes_field",
    "double_field",
    "parse_fields",
    "text_field",
    "whole_field",
]

_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5
_WORD: Final = (1 << 64) - 1
_LONGEST_VARINT: Final = 10
Parsed = list[tuple[int, int | bytes]]


def whole_field(number: int, value: int) -> bytes:
    """A whole number; a negative one as 64 bits."""
    return _key(number, _VARINT) + _varint(value & _WORD)


def boolean_field(number: int, value: bool) -> bytes:  # noqa: FBT001  the value itself
    """True or false."""
    return whole_field(number, int(value))


def double_field(number: int, value: float) -> bytes:
    """A number of 64 bits."""
    return _key(number, _EIGHT) + struct.pack("<d", value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Bytes, or a message within."""
    return _key(number, _LENGTH) + _varint(len(value)) + value


def text_field(number: int, value: str) -> bytes:
    """Text."""
    return bytes_field(number, value.encode())


def parse_fields(data: bytes) -> Parsed:
    """The fields of a message in order: numbers as they are, all else as bytes.

    Raises:
        DecodeError: it is no such message.
    """
    found: Parsed = []
    place = 0
    while place < len(data):
        key, place = _read_varint(data, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _read_varint(data, place)
            found.append((key >> 3, value))
            continue
        if kind == _LENGTH:
            size, place = _read_varint(data, place)
        elif kind in {_EIGHT, _FOUR}:
            size = 8 if kind == _EIGHT else 4
        else:
            raise _bad()
        if place + size > len(data):
            raise _bad()
        found.append((key >> 3, data[place : place + size]))
        place += size
    return found


def _key(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004  seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for count in range(_LONGEST_VARINT):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:  # noqa: PLR2004  the last byte of a number
            return value & _WORD, place
    raise _bad()


def _bad() -> DecodeError:
    return DecodeError("not a Protocol Buffers message", hint="Check who publishes on this topic.")
