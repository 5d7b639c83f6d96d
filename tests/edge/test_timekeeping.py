"""The wall clock's error, from what the hub says and from the steady clock."""

import math

import pytest

from cellwarden.edge.clock import TrustedClock
from cellwarden.edge.timekeeping import Timekeeping

T = 1_800_000_000.0


class Hands:
    def __init__(self, error: float) -> None:
        self.true, self.error = T, error

    def made(self) -> tuple[TrustedClock, Timekeeping]:
        clock = TrustedClock(0.0, lambda: self.true + self.error, lambda: self.true - T)
        return clock, Timekeeping(clock)


def test_before_the_hub_has_spoken_nothing_is_known() -> None:
    clock, keeping = Hands(3.0).made()
    assert math.isnan(keeping.error_second())
    clock.witness(T)  # what was kept from before the start: a floor, no word on the time now
    assert math.isnan(keeping.error_second())
    assert math.isinf(keeping.reckoning.source_age_second)


@pytest.mark.parametrize("error", [3.0, -40.0, 0.0])
def test_the_hubs_word_tells_the_error_to_half_the_time_that_it_took(error: float) -> None:
    hands = Hands(error)
    clock, keeping = hands.made()
    hands.true += 0.4  # asked at T, answered 0.1 s later, heard at T + 0.4
    clock.witness(T + 0.1, 0.4)
    hands.true += 0.1  # the loop looks later
    assert keeping.error_second() == pytest.approx(error, abs=0.2)
    assert 0.1 <= keeping.reckoning.error_std_second < 0.25


def test_one_word_is_taken_in_once() -> None:
    hands = Hands(1.0)
    clock, keeping = hands.made()
    clock.witness(T, 0.0)
    keeping.error_second()
    before = keeping.reckoning.error_std_second
    for _ in range(20):
        hands.true += 0.1
        keeping.error_second()
    assert keeping.reckoning.error_std_second >= before
    assert keeping.reckoning.source_age_second == pytest.approx(2.0)


def test_a_clock_that_somebody_sets_is_wrong_in_the_same_cycle() -> None:
    hands = Hands(0.0)
    clock, keeping = hands.made()
    clock.witness(T, 0.0)
    keeping.error_second()
    hands.true += 0.1
    hands.error = -60.0
    assert keeping.error_second() == pytest.approx(-60.0, abs=0.3)
    assert keeping.reckoning.backwards
