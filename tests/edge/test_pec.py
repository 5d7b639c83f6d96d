import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.edge.drivers.pec import pec15, pec15_rows


@pytest.mark.parametrize(
    ("message", "checksum"),
    [
        ("0001", "3d6e"),  # LTC6804 data sheet, table 24
        # What the same sheet's procedure, bit by bit, gives for codes of its table of commands.
        ("0002", "2b0a"),
        ("0004", "07c2"),
        ("0360", "f46c"),
        ("0560", "d3a0"),
    ],
)
def test_known_messages_have_their_published_checksums(message: str, checksum: str) -> None:
    assert pec15(bytes.fromhex(message)).hex() == checksum


def register(message: bytes) -> int:
    """The shift register of the data sheet's figure, one bit a clock."""
    pec = 0b000000000010000
    for bit in (byte >> place & 1 for byte in message for place in range(7, -1, -1)):
        feed = bit ^ pec >> 14
        pec = pec << 1 & 0x7FFF
        for tap in (0, 3, 4, 7, 8, 10, 14):
            pec ^= feed << tap
    return pec << 1


@given(st.binary(min_size=1, max_size=40))
def test_the_tables_are_the_shift_register_of_the_data_sheet(message: bytes) -> None:
    assert int.from_bytes(pec15(message), "big") == register(message)


@given(st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=6))
def test_rows_are_divided_as_single_messages_are(messages: list[bytes]) -> None:
    rows = np.frombuffer(b"".join(messages), dtype=np.uint8).reshape(-1, 8)
    assert pec15_rows(rows).astype(">u2").tobytes() == b"".join(map(pec15, messages))


def test_an_idle_or_a_dead_wire_is_no_message() -> None:
    for byte in (b"\xff", b"\x00"):
        assert all(pec15(byte * count) != byte * 2 for count in range(1, 64))
