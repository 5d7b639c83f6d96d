import math

import pytest

from cellwarden.control import Situation
from cellwarden.control.opening import (
    Opening,
    OpeningStage,
    advance,
    driven,
    fallen,
    is_stuck,
    permit,
)
from cellwarden.domain import CLOSED, OPEN, Contactors
from cellwarden.errors import UsageError

EASE, PART, APART = OpeningStage
SETTINGS = Opening()


def now(link: float = 0.0, ampere: float = 0.0, **contacts: bool) -> Situation:
    return Situation(0.0, 400.0, link, ampere, **contacts)


@pytest.mark.parametrize(
    ("ampere", "second", "gently", "stage"),
    [
        (0.0, 0.0, False, PART),
        (0.0, 0.0, True, EASE),  # the ramp first
        (0.0, 2.0, True, PART),
        (-150.0, 0.0, False, EASE),
        (-150.0, 2.9, False, EASE),
        (-150.0, 3.0, False, PART),  # the fuse has had its time
        (-150.0, 4.9, True, EASE),
        (-150.0, 5.0, True, PART),
        (math.nan, 0.0, False, EASE),  # not read is not low
        (math.nan, 3.0, False, PART),
        (-150.0, -1000.0, False, PART),  # a clock that ran back keeps nothing closed
    ],
)
def test_contactors_open_under_a_current_that_they_can_break_or_after_a_stated_time(
    ampere: float, second: float, stage: OpeningStage, *, gently: bool
) -> None:
    after = advance(SETTINGS, EASE, now(400.0, ampere), stage_second=second, gently=gently)
    assert after is stage


def test_minus_opens_once_plus_is_open_or_half_a_second_later() -> None:
    stuck = now(400.0, plus_feedback_closed=True, minus_feedback_closed=True)
    assert advance(SETTINGS, PART, stuck, stage_second=0.4, gently=False) is PART
    assert advance(SETTINGS, PART, stuck, stage_second=0.5, gently=False) is APART
    loose = now(400.0, plus_feedback_closed=False, minus_feedback_closed=True)
    assert advance(SETTINGS, PART, loose, stage_second=0.1, gently=False) is APART


def test_opening_is_over_when_contacts_are_open_and_the_link_falls_or_when_time_is_up() -> None:
    def after(link: float, second: float, **contacts: bool) -> OpeningStage | None:
        return advance(SETTINGS, APART, now(link, **contacts), stage_second=second, gently=True)

    assert after(359.0, 0.0) is None
    assert after(361.0, 0.0) is APART
    assert after(0.0, 0.0, plus_feedback_closed=True) is APART
    assert after(400.0, 5.0, plus_feedback_closed=True) is None


def test_a_link_that_stays_up_for_five_seconds_is_stuck_and_an_unread_one_is_not() -> None:
    assert is_stuck(SETTINGS, now(400.0), APART, 5.0)
    assert not is_stuck(SETTINGS, now(400.0), APART, 4.9)
    assert not is_stuck(SETTINGS, now(400.0), EASE, 9.0)
    assert not is_stuck(SETTINGS, now(math.nan), APART, 9.0)


def test_without_the_packs_voltage_only_a_dead_link_is_open() -> None:
    assert fallen(SETTINGS, Situation(0.0, math.nan, 0.5))
    assert not fallen(SETTINGS, Situation(0.0, math.nan, 50.0))


def test_switches_open_one_after_the_other() -> None:
    assert driven(EASE, CLOSED) == CLOSED
    assert driven(PART, CLOSED) == Contactors(plus_closed=False, minus_closed=True)
    assert driven(APART, CLOSED) == OPEN


def test_what_may_flow_falls_evenly_on_the_gentle_way_and_at_once_on_the_other() -> None:
    assert [permit(SETTINGS, t, gently=True) for t in (0.0, 0.5, 1.0, 2.0, 9.0)] == [
        1.0,
        0.75,
        0.5,
        0.0,
        0.0,
    ]
    assert permit(SETTINGS, 0.0, gently=False) == 0.0


@pytest.mark.parametrize("wrong", [{"break_ampere": 0.0}, {"fall_fraction": 1.0}])
def test_contactors_that_break_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Opening(**wrong)
