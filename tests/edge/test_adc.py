import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.edge.drivers.adc import CELL, RATIO, REFERENCE, Scale, reference_holds
from cellwarden.errors import UsageError


@given(volt=st.floats(0.0, 4.999))
def test_a_cells_voltage_comes_back_within_half_a_code(volt: float) -> None:
    back = CELL.value(CELL.code(np.array([volt])))[0]
    assert abs(back - volt) <= 50.001e-6


@given(code=st.integers(-(2**17), 2**17))
def test_a_code_at_the_end_of_the_range_or_beyond_is_no_reading(code: int) -> None:
    for scale in (CELL, RATIO, REFERENCE):
        value = scale.value(np.array([code]))[0]
        assert np.isnan(value) == (not scale.low_code < code < scale.high_code)


def test_what_the_converter_cannot_hold_saturates_and_is_no_reading() -> None:
    codes = CELL.code(np.array([9.0, np.nan, -1.0]))
    assert codes.tolist() == [CELL.high_code, CELL.high_code, CELL.low_code]
    assert np.isnan(CELL.value(codes)).all()


@given(error=st.floats(-0.05, 0.05))
def test_a_reference_that_moves_shows_in_the_second_and_hides_in_a_ratio(error: float) -> None:
    gain = 1.0 + error
    cell = CELL.value(CELL.code(np.array([4.0]), gain))[0]
    second = REFERENCE.value(REFERENCE.code(np.array([3.0]), gain))[0]
    assert cell == pytest.approx(4.0 / gain, abs=1e-4)
    assert second == pytest.approx(3.0 / gain, abs=1e-4)
    if abs(abs(second / 3.0 - 1.0) - 0.005) > 1e-4:
        assert bool(reference_holds(np.array(second), 3.0)) == (abs(second / 3.0 - 1.0) <= 0.005)


def test_a_second_reference_that_gave_no_reading_does_not_hold() -> None:
    assert not reference_holds(np.array([np.nan]), 3.0)[0]


def test_a_signed_channel_has_its_zero_in_the_middle() -> None:
    shunt = Scale(0.01, 0, 65_535, zero_code=32_768)
    assert shunt.value(shunt.code(np.array([-100.0, 0.0, 100.0]))).tolist() == [-100.0, 0.0, 100.0]


def test_a_channel_without_a_step_or_a_range_is_refused() -> None:
    for scale in ((0.0, 0, 10), (1.0, 5, 5)):
        with pytest.raises(UsageError):
            Scale(*scale)
