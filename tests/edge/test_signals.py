import binascii
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.edge.drivers.signals import ANALOGUE, ORDER, SWITCHES, Field, receive
from cellwarden.errors import DecodeError

ALL = (ANALOGUE, SWITCHES, ORDER)


def test_the_checksum_is_the_published_one() -> None:
    # CRC-16/IBM-3740 (CCITT with a seed of ones): the check value of the CRC catalogue.
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1


def test_a_current_into_the_pack_is_positive() -> None:
    codes = dict.fromkeys((field.name for field in ANALOGUE.fields), 0)
    codes["current_ampere"] = 12_500
    assert ANALOGUE.values(codes)["current_ampere"] == 12.5


@pytest.mark.parametrize("form", ["b", "h", "i", "B", "H", "I"])
def test_the_ends_of_a_field_are_no_reading(form: str) -> None:
    field = Field("x", form, 0.5)
    low, high = field.range
    assert math.isnan(field.value(high))
    assert math.isnan(field.value(low)) == (low < 0)
    assert field.code(math.nan) == field.code(1e30) == high
    assert field.code(-1e30) == low
    assert field.value(field.code(10.0)) == 10.0


@pytest.mark.parametrize("layout", ALL)
def test_a_frame_of_another_kind_or_length_is_refused(layout: object) -> None:
    assert layout in ALL
    for frame in (b"", b"\x21", b"\x00" * 12):
        with pytest.raises(DecodeError):
            receive(frame, ALL)


@given(data=st.data())
def test_codes_come_back_from_a_frame(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(ALL))
    codes = {one.name: data.draw(st.integers(*one.range)) for one in layout.fields}
    counter = data.draw(st.integers(0, 1000))
    frame = layout.encode(codes, counter)
    assert len(frame) == layout.byte_count
    read = receive(frame, ALL)
    assert (read.number, read.counter, read.codes) == (layout.number, counter % 256, codes)
