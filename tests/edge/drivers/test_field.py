import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.edge.drivers.field import Field, decode, encode
from cellwarden.errors import DecodeError, RangeError

CURRENT = Field("current_ampere", 2, "s16", 0.1, missing=-32768, low=-500, high=500)
TURNED = Field("current_ampere", 0, "s16", -0.1)
POWER = Field("A_SF", 0, "s16", missing=-32768)
POWERED = Field("A", 2, "s16", exponent="A_SF", missing=-32768)


def test_a_number_stands_where_the_table_says() -> None:
    assert decode([CURRENT], bytes.fromhex("ffffff85")) == {"current_ampere": pytest.approx(-12.3)}
    assert encode([CURRENT], {"current_ampere": -12.3}, 4) == bytes.fromhex("0000ff85")


def test_a_foreign_sign_is_turned_in_the_table() -> None:
    assert decode([TURNED], (100).to_bytes(2, "big")) == {"current_ampere": pytest.approx(-10.0)}


def test_no_reading_is_nan_both_ways() -> None:
    data = encode([CURRENT], {}, 4)
    assert data == bytes.fromhex("00008000")
    assert math.isnan(decode([CURRENT], data)["current_ampere"])


def test_what_cannot_be_left_out_is_refused() -> None:
    with pytest.raises(RangeError, match="cannot be left out"):
        encode([TURNED], {}, 2)


@pytest.mark.parametrize("value", [501.0, -501.0, math.inf, -math.inf])
def test_what_does_not_fit_is_refused_and_not_clipped(value: float) -> None:
    with pytest.raises(RangeError, match="does not fit"):
        encode([CURRENT], {"current_ampere": value}, 4)


def test_a_number_beyond_its_range_is_refused() -> None:
    with pytest.raises(RangeError, match="not within"):
        decode([CURRENT], bytes.fromhex("00007000"))


def test_a_message_that_is_too_short_is_refused() -> None:
    with pytest.raises(DecodeError, match="has no current_ampere"):
        decode([CURRENT], b"\0\0\0")


def test_the_power_of_ten_may_stand_elsewhere_or_be_missing() -> None:
    data = encode([POWER, POWERED], {"A_SF": -1.0, "A": 12.3}, 4)
    assert data == bytes.fromhex("ffff007b")
    assert decode([POWERED, POWER], data)["A"] == pytest.approx(12.3)
    assert decode([POWERED], data, {"A_SF": 1.0})["A"] == pytest.approx(1230.0)
    assert math.isnan(decode([POWERED], data)["A"])


@given(raw=st.integers(-32767, 32767), scale=st.sampled_from([1.0, 0.1, 0.01, 0.001, -0.1, 0.05]))
def test_every_raw_number_comes_back(raw: int, scale: float) -> None:
    field = Field("x_volt", 0, "s16", scale, missing=-32768, little_endian=True)
    assert field.number(field.value(raw)) == raw
