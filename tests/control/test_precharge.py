import math

import pytest

from cellwarden.control import Situation
from cellwarden.control.precharge import (
    DRIVEN,
    Precharge,
    PrechargeStage,
    advance,
    precharge_of,
    risen,
)
from cellwarden.domain import Board

FILL = PrechargeStage.FILL


def now(link: float, ampere: float = 0.0, pack: float = 400.0) -> Situation:
    return Situation(0.0, pack, link, ampere)


@pytest.mark.parametrize(
    ("link", "ampere", "up"),
    [
        (399.5, 0.02, True),
        (399.5, -0.02, True),
        (398.5, 0.02, False),  # within 2 %, not within a volt
        (399.5, 0.06, False),
        (401.5, 0.0, False),  # somebody feeds the link
        (math.nan, 0.0, False),
        (399.5, math.nan, False),
    ],
)
def test_the_link_has_come_up_by_voltage_and_by_current(
    link: float, ampere: float, *, up: bool
) -> None:
    assert risen(Precharge(), now(link, ampere)) is up


def test_a_low_pack_is_judged_by_the_part_and_not_by_the_volt() -> None:
    assert not risen(Precharge(), now(11.5, pack=12.0))
    assert risen(Precharge(), now(11.8, pack=12.0))


def test_without_the_packs_voltage_nothing_has_come_up() -> None:
    assert not risen(Precharge(), now(399.5, pack=math.nan))


def test_one_good_cycle_is_not_enough_and_a_bad_one_begins_anew() -> None:
    settings, count, stage = Precharge(settled_count=3), 0, FILL
    seen = []
    for link in (400.0, 400.0, 390.0, 400.0, 400.0, 400.0):
        stage, count = advance(settings, stage, count, now(link))
        seen.append(count)
    assert seen == [1, 2, 0, 1, 2, 0]
    assert stage is PrechargeStage.PLUS


def test_a_stage_waits_until_its_switches_are_where_they_are_driven() -> None:
    settings = Precharge()
    late = Situation(0.0, 400.0, 400.0, 0.0, minus_feedback_closed=False)
    assert advance(settings, PrechargeStage.MINUS, 0, late) == (PrechargeStage.MINUS, 0)
    assert advance(settings, FILL, 2, late) == (FILL, 0)
    stuck = Situation(0.0, 400.0, 400.0, 0.0, precharge_feedback_closed=True)
    assert advance(settings, PrechargeStage.DROP, 0, stuck) == (PrechargeStage.DROP, 0)


def test_plus_is_driven_in_no_stage_before_its_own() -> None:
    stages = list(PrechargeStage)
    closed = [DRIVEN[stage].plus_closed for stage in stages]
    assert closed == [False, False, True, True]
    assert all(DRIVEN[stage].minus_closed for stage in stages)


def test_a_slow_link_gets_more_time_and_a_fast_one_two_seconds() -> None:
    assert precharge_of(Board(), 5.0).fill_second == 2.0
    assert precharge_of(Board(link_farad=0.01), 5.0).fill_second == pytest.approx(6.0)
