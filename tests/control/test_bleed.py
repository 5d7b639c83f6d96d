import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cellwarden.control.bleed import Bleed, bleed_hours, choose, turn_of
from cellwarden.errors import UsageError

BLEED = Bleed(cells_per_chip_count=6)
DEBTS = npst.arrays(np.float64, 20, elements=st.sampled_from([0.0, -1.0, 0.1, 0.5, 2.0]))
NAN = float("nan")


@given(DEBTS, st.integers(0, 3), st.floats(-20.0, 60.0), st.sampled_from([3.0, 4.2]))
def test_no_two_neighbours_bleed_and_no_chip_gets_too_hot(
    debt: np.ndarray, index: int, celsius: float, volt: float
) -> None:
    turn = turn_of(BLEED, index * BLEED.turn_second)
    chosen = choose(BLEED, debt, np.full(20, volt), celsius, turn)
    assert not np.any(chosen[1:] & chosen[:-1])
    assert np.all(debt[chosen] > 0.0)
    for chip in range(0, 20, 6):
        watt = chosen[chip : chip + 6].sum() * volt**2 / BLEED.ohm
        hot = celsius + BLEED.chip_kelvin_per_watt * watt
        assert watt == 0.0 or hot <= BLEED.high_chip_celsius + 1e-9
    if celsius > BLEED.high_cell_celsius:
        assert not chosen.any()


def test_those_with_the_most_to_lose_come_first_where_a_chip_stands_two() -> None:
    debt = np.array([0.1, 0.0, 0.3, 0.0, 0.2, 0.0])
    chosen = choose(BLEED, debt, np.full(6, 4.0), 44.0, turn_of(BLEED, 0.0))
    assert np.flatnonzero(chosen).tolist() == [2, 4]


def test_even_and_odd_take_turns_and_one_side_alone_has_every_turn() -> None:
    def sides(debt: list[float]) -> list[list[int]]:
        turns = [turn_of(BLEED, 10.0 * k) for k in range(2)]
        cells = np.array(debt), np.full(len(debt), 3.7)
        return [np.flatnonzero(choose(BLEED, *cells, 25.0, turn)).tolist() for turn in turns]

    assert sides([1.0, 1.0, 1.0]) == [[0, 2], [1]]
    assert sides([0.0, 1.0, 0.0]) == [[1], [1]]


def test_a_turn_ends_in_quiet() -> None:
    assert not turn_of(BLEED, 8.9).quiet
    assert turn_of(BLEED, 9.0).quiet
    assert turn_of(BLEED, 10.0).index == 1


def test_no_sensor_no_voltage_or_a_low_cell_means_no_bleeding() -> None:
    debt, turn = np.ones(2), turn_of(BLEED, 0.0)
    assert not choose(BLEED, debt, np.full(2, 3.7), NAN, turn).any()
    assert not choose(BLEED, debt, np.array([NAN, 2.4]), 25.0, turn).any()
    assert bleed_hours(BLEED, debt, np.full(2, 3.7), NAN) == float("inf")


@given(npst.arrays(np.float64, 12, elements=st.sampled_from([0.0, 0.01, 0.02, 0.05])))
def test_the_forecast_is_the_time_that_bleeding_takes(debt: np.ndarray) -> None:
    volt = np.full(12, 3.7)
    told = bleed_hours(BLEED, debt, volt, 60.0 - 17.0)
    left, hours, index = debt.copy(), 0.0, 0
    part = BLEED.turn_second / 3600.0
    while (left > 1e-12).any():
        turn = turn_of(BLEED, BLEED.turn_second * index)
        chosen = choose(BLEED, np.where(left > 1e-12, left, 0.0), volt, 43.0, turn)
        left[chosen] -= 3.7 / BLEED.ohm * part * BLEED.duty_fraction
        hours, index = hours + part, index + 1
    assert told == pytest.approx(hours, rel=0.2, abs=0.02)


@pytest.mark.parametrize("wrong", [{"ohm": 0.0}, {"quiet_second": 10.0}, {"ohm": NAN},
                                   {"cells_per_chip_count": 0}])  # fmt: skip
def test_resistors_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Bleed(**wrong)  # type: ignore[arg-type]
