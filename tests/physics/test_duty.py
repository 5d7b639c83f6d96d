import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellwarden.errors import UsageError
from cellwarden.physics.duty import DAY_SECOND, DUTIES, LONGEST_SECOND, Duty, duty_from

CHARGE = arrays(np.float64, st.integers(48, 300), elements=st.floats(0.0, 1.0))


@settings(max_examples=50, deadline=None)
@given(CHARGE)
def test_pieces_end_on_the_line_that_was_given(charge: np.ndarray) -> None:
    duty = duty_from("any", np.arange(len(charge)) * 1800, charge)
    days = len(charge) // 48
    assert duty.stop_second[-1] == days * DAY_SECOND
    after = np.roll(charge[: days * 48], -1)
    assert np.array_equal(duty.soc_fraction, after[duty.stop_second // 1800 - 1])


@settings(max_examples=50, deadline=None)
@given(CHARGE)
def test_no_piece_is_longer_than_an_hour_or_crosses_midnight(charge: np.ndarray) -> None:
    duty = duty_from("any", np.arange(len(charge)) * 1800, np.round(charge, 1))
    length = np.diff(duty.stop_second, prepend=0)
    assert length.max() <= LONGEST_SECOND
    begin = duty.stop_second - length
    assert np.array_equal(begin // DAY_SECOND, (duty.stop_second - 1) // DAY_SECOND)


def test_even_slopes_are_joined_and_others_are_not() -> None:
    time = np.arange(0, DAY_SECOND, 300)
    even = duty_from("even", time, np.interp(time, [0, DAY_SECOND], [0.0, 1.0]))
    assert len(even.stop_second) == 25  # an hour each, and the fall at the end on its own
    zigzag = duty_from("zigzag", time, np.where(time % 600, 0.2, 0.3))
    assert len(zigzag.stop_second) == len(time)


def test_a_duty_ends_where_it_began() -> None:
    for duty in DUTIES.values():
        assert duty.change_fraction.sum() == pytest.approx(0.0, abs=1e-12)
        assert np.all(duty.change_fraction >= -1.0)


@pytest.mark.parametrize(
    ("time", "charge"),
    [
        (np.arange(24) * 1800, np.zeros(24)),  # half a day
        (np.arange(100) * 1000, np.zeros(100)),  # does not part an hour
        (np.arange(100) ** 2 * 900, np.zeros(100)),  # uneven
        (np.zeros(1), np.zeros(1)),
    ],
)
def test_time_that_makes_no_day_is_refused(time: np.ndarray, charge: np.ndarray) -> None:
    with pytest.raises(UsageError):
        duty_from("odd", time, charge)


@pytest.mark.parametrize(
    ("stops", "charge"),
    [
        ([3600, DAY_SECOND + 3600, 2 * DAY_SECOND], [0.5, 0.5, 0.5]),  # across midnight
        ([DAY_SECOND], [1.5]),
        ([3600], [0.5]),
        ([], []),
    ],
)
def test_pieces_that_cannot_be_are_refused(stops: list[int], charge: list[float]) -> None:
    with pytest.raises(UsageError):
        Duty("odd", np.array(stops, dtype=np.int64), np.array(charge))
