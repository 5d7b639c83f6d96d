"""PEC-15, the checksum of the LTC68xx and ADBMS cell monitors.

Polynomial x¹⁵ + x¹⁴ + x¹⁰ + x⁸ + x⁷ + x⁴ + x³ + 1, seed 16, most significant bit first; sent as
16 bits, of which the last is zero. Its 15 bits find any error of one or two bits in a frame as
short as these, and any burst of up to 15 bits.

Source: LTC6804 data sheet, "Packet Error Code" and table 24 (0x0001 has 0x3D6E).
"""

from functools import lru_cache
from typing import Final

import numpy as np
from jaxtyping import UInt8, UInt16

__all__ = ["PEC_BYTES", "pec15", "pec15_rows"]

PEC_BYTES: Final = 2
_POLYNOMIAL: Final = 0x4599
_SEED: Final = 16


def _entry(byte: int) -> int:
    remainder = byte << 7
    for _ in range(8):
        remainder = remainder << 1 ^ (_POLYNOMIAL if remainder & 0x4000 else 0)
        remainder &= 0x7FFF
    return remainder


_TABLE: Final = tuple(_entry(byte) for byte in range(256))


def _divide(message: bytes, remainder: int) -> int:
    for byte in message:
        remainder = (remainder << 8 & 0x7FFF) ^ _TABLE[remainder >> 7 ^ byte]
    return remainder


def pec15(message: bytes) -> bytes:
    """The two bytes that follow a message."""
    return (_divide(message, _SEED) << 1).to_bytes(PEC_BYTES, "big")


@lru_cache(maxsize=16)
def _shares(length: int) -> UInt16[np.ndarray, "byte 256"]:
    """What each byte at each place adds to the remainder; they only have to be xored."""
    return np.array(
        [
            [_divide(bytes([byte]) + bytes(length - 1 - place), 0) << 1 for byte in range(256)]
            for place in range(length)
        ],
        dtype=np.uint16,
    )


def pec15_rows(rows: UInt8[np.ndarray, "row byte"]) -> UInt16[np.ndarray, " row"]:
    """The checksum of each row, as it is sent."""
    length = rows.shape[1]
    shares = _shares(length)[np.arange(length), rows]
    seed = np.uint16(_divide(bytes(length), _SEED) << 1)
    checksum: np.ndarray = np.bitwise_xor.reduce(shares, axis=1) ^ seed
    return checksum
