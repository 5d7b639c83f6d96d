"""What is said on the wire of a chain of cell monitors: commands down, register groups up.

A command is two bytes and a checksum, as in the LTC68xx family, with that family's codes. A chip
answers a read with one frame:

bytes  what
0-5    the register group, values of 16 bits, low byte first
6-7    5 bits: the code of the command that it answers; 1 bit: the port that asked; 10 bits: how
       many commands the chip has counted at that port, 1 to 1023 and over again, 0 after a reset
8-9    PEC-15 over the eight bytes

The counter grows with each command that starts something, so a chip that missed one, or a frame
from an earlier cycle, is seen; the echo keeps one group from being taken for another, and the port
one end of the chain from the other. All are in the checksum. The ADBMS683x has a counter of 6
bits, the 68xx has none of the three: for its frames of eight bytes drop bytes 6 and 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt16

from cellwarden.edge.drivers.pec import PEC_BYTES, pec15, pec15_rows
from cellwarden.errors import DecodeError

__all__ = [
    "ADAX",
    "ADCV",
    "ADOW_DOWN",
    "ADOW_UP",
    "ADSTAT",
    "CELL_GROUPS",
    "COMMAND_BYTES",
    "CONFIGURE",
    "COUNTED",
    "CVST",
    "FRAME_BYTES",
    "GROUP_BYTES",
    "READS",
    "RESET_COUNTER",
    "SELF_TEST_CODE",
    "SENSOR_GROUPS",
    "STATUS",
    "VALUES_PER_GROUP",
    "Answers",
    "after_counts",
    "check",
    "command",
    "frames",
    "parse_command",
]

GROUP_BYTES: Final = 6
VALUES_PER_GROUP: Final = 3
FRAME_BYTES: Final = GROUP_BYTES + 2 + PEC_BYTES
COMMAND_BYTES: Final = 2 + PEC_BYTES
_TOP: Final = 1023  # the counter's last value
_ECHO_SHIFT: Final = 11
_PORT_SHIFT: Final = 10
_IDLE: Final = 0xFF  # what a wire reads that nobody drives

CONFIGURE: Final = 0x001
CELL_GROUPS: Final = (0x004, 0x006, 0x008, 0x00A, 0x009, 0x00B)
SENSOR_GROUPS: Final = (0x00C, 0x00E, 0x00D)
STATUS: Final = 0x010
RESET_COUNTER: Final = 0x02E
ADCV: Final = 0x360  # convert cell voltages
ADOW_UP: Final = 0x368  # the same with current sources that pull the sense wires up
ADOW_DOWN: Final = 0x328  # and down
CVST: Final = 0x327  # self-test of the converter's digital part
ADAX: Final = 0x560  # convert the sensors
ADSTAT: Final = 0x568  # convert the second reference
SELF_TEST_CODE: Final = 0x9555
COUNTED: Final = frozenset({CONFIGURE, ADCV, ADOW_UP, ADOW_DOWN, CVST, ADAX, ADSTAT})
READS: Final = frozenset({*CELL_GROUPS, *SENSOR_GROUPS, STATUS})


@lru_cache(maxsize=64)
def _head(code: int) -> bytes:
    head = code.to_bytes(2, "big")
    return head + pec15(head)


def command(code: int, data: Sequence[bytes] = ()) -> bytes:
    """A command; the data of each chip follows it, the farthest chip's first."""
    return _head(code) + b"".join(part + pec15(part) for part in reversed(data))


def parse_command(message: bytes) -> tuple[int, list[bytes]]:
    """A command's code, and its data, the nearest chip's first.

    Raises:
        DecodeError: too short, or a checksum does not hold.
    """
    head, rest = message[:2], message[COMMAND_BYTES:]
    step = GROUP_BYTES + PEC_BYTES
    if len(message) < COMMAND_BYTES or len(rest) % step:
        raise DecodeError("not a command's length", hint="Send it again.")
    parts = [rest[first : first + step] for first in range(0, len(rest), step)]
    whole = all(part[-PEC_BYTES:] == pec15(part[:-PEC_BYTES]) for part in parts)
    if message[2:COMMAND_BYTES] != pec15(head) or not whole:
        raise DecodeError("the command's checksum does not hold", hint="Send it again.")
    return int.from_bytes(head, "big"), [part[:-PEC_BYTES] for part in reversed(parts)]


def after_counts(counter: Int64[np.ndarray, " chip"], count: int) -> Int64[np.ndarray, " chip"]:
    """The counters after so many counted commands: 0, 1 … 1023, 1 …"""
    if not count:
        return counter
    grown: np.ndarray = (counter + count - 1) % _TOP + 1
    return grown


def frames(
    code: int,
    values: UInt16[np.ndarray, "chip value"],
    counter: Int64[np.ndarray, " chip"],
    port: int = 0,
) -> UInt8[np.ndarray, "chip byte"]:
    """What the chips answer to a read."""
    rows = np.empty((len(values), FRAME_BYTES), dtype=np.uint8)
    rows[:, :GROUP_BYTES] = values.astype("<u2").view(np.uint8)
    tag = (code << _ECHO_SHIFT | port << _PORT_SHIFT | counter).astype(">u2")
    rows[:, GROUP_BYTES:-PEC_BYTES] = tag.view(np.uint8).reshape(-1, 2)
    rows[:, -PEC_BYTES:] = (
        pec15_rows(rows[:, :-PEC_BYTES]).astype(">u2").view(np.uint8).reshape(-1, 2)
    )
    return rows


@dataclass(frozen=True, slots=True)
class Answers:
    """One or more groups of each chip: what they hold, and what speaks against them.

    `whole` says that checksum and echo hold, `silent` that the wire was idle.
    """

    values: UInt16[np.ndarray, "group chip value"]
    counter: Int64[np.ndarray, "group chip"]
    whole: Bool[np.ndarray, "group chip"]
    silent: Bool[np.ndarray, "group chip"]


def check(
    codes: Sequence[int], replies: Sequence[bytes], chip_count: int, port: int = 0
) -> Answers:
    """Read the answers to several reads, of however many bytes; the nearest chip's comes first."""
    size = chip_count * FRAME_BYTES
    padded = b"".join(reply[:size].ljust(size, bytes([_IDLE])) for reply in replies)
    rows = np.frombuffer(padded, dtype=np.uint8).reshape(len(codes) * chip_count, FRAME_BYTES)
    sent = rows[:, -2].astype(np.uint16) << 8 | rows[:, -1]
    tag = rows[:, GROUP_BYTES].astype(np.int64) << 8 | rows[:, GROUP_BYTES + 1]
    tag = tag.reshape(len(codes), chip_count)
    held = (pec15_rows(rows[:, :-PEC_BYTES]) == sent).reshape(len(codes), chip_count)
    values = np.ascontiguousarray(rows[:, :GROUP_BYTES]).view("<u2").astype(np.uint16)
    return Answers(
        values.reshape(len(codes), chip_count, VALUES_PER_GROUP),
        tag & _TOP,
        held & (tag >> _PORT_SHIFT == np.array(codes)[:, None] << 1 | port),
        (rows == _IDLE).all(axis=1).reshape(len(codes), chip_count),
    )
