from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.control import adapt
from cellwarden.control.adapt import Adapting, Change, Deed
from cellwarden.control.habit import Day
from cellwarden.domain import Regime, RegimeBounds
from cellwarden.errors import UsageError

FREE = Regime(0.05, 1.0, 1.0, 40.0)
GENTLE = Regime(0.15, 0.7, 0.2, 30.0)
BOUNDS = RegimeBounds(GENTLE, FREE, applies=True)
DAY = 86_400.0


def day(index: int, need: float, *, celsius: float = 20.0, exhausted: bool = False) -> Day:
    low = 1.0 - need
    return Day(
        DAY * index, need, low, 1.0, 0.9, celsius, celsius + 6.0, need, 1.0, 36_000.0, exhausted
    )


def live(
    days: list[Day], bounds: RegimeBounds = BOUNDS, state: Adapting | None = None
) -> tuple[Adapting, list[Change]]:
    state, told = state or adapt.begin(bounds), []
    for one in days:
        state, changes = adapt.step(state, one, bounds)
        told += changes
    return state, told


def test_a_pack_that_needs_little_is_charged_less_full_and_says_why() -> None:
    state, told = live([day(k, 0.25) for k in range(30)])
    (change,) = told
    assert (change.deed, change.setting) == (Deed.APPLIED, "high_soc_fraction")
    assert state.regime.high_soc_fraction == change.after == GENTLE.high_soc_fraction
    assert change.gain_fraction > 0.1
    assert "25%" in change.reason


def test_nothing_is_decided_before_enough_days_were_seen() -> None:
    _, told = live([day(k, 0.25) for k in range(adapt.FEWEST_DAYS - 1)])
    assert told == []


def test_daily_deep_discharges_get_a_slower_charge_and_keep_their_window() -> None:
    state, told = live([day(k, 0.88) for k in range(60)])
    assert [one.setting for one in told] == ["charge_rate_per_hour"]
    assert state.regime.high_soc_fraction == 1.0
    assert state.regime.charge_rate_per_hour >= 0.88 / 10.0, "charged before the next use"


def test_heat_brings_cooling_forward() -> None:
    _, told = live([day(k, 0.8, celsius=36.0) for k in range(90)])
    assert "cooling_temperature_celsius" in [one.setting for one in told]
    (cooling,) = (one for one in told if one.setting == "cooling_temperature_celsius")
    assert "heat" in cooling.reason


def test_bounds_that_only_propose_change_nothing() -> None:
    state, told = live([day(k, 0.25) for k in range(30)], replace(BOUNDS, applies=False))
    assert [one.deed for one in told] == [Deed.PROPOSED]
    assert state.regime == FREE


def test_a_changed_habit_gets_its_charge_back_within_weeks() -> None:
    state, _ = live([day(k, 0.25) for k in range(40)])
    high = state.regime.high_soc_fraction
    later = [day(40 + k, high - 0.05, exhausted=True) for k in range(14)]
    state, told = live(later, state=state)
    assert Deed.LOOSENED in [one.deed for one in told]
    assert state.regime.high_soc_fraction == 1.0


def test_a_person_overrules_and_is_left_alone_until_the_time_is_over() -> None:
    state, _ = live([day(k, 0.25) for k in range(30)])
    state, change = adapt.overrule(state, "high_soc_fraction", 1.0, 200 * DAY, 30 * DAY)
    assert change.deed is Deed.OVERRULED
    state, _ = live([day(k, 0.25) for k in range(30, 200)], state=state)
    assert state.regime.high_soc_fraction == 1.0
    state, told = live([day(k, 0.25) for k in range(200, 260)], state=state)
    assert state.regime.high_soc_fraction < 1.0
    assert told


def test_undo_takes_changes_back_one_by_one_and_does_not_come_again_at_once() -> None:
    state, told = live([day(k, 0.25, celsius=36.0) for k in range(90)])
    acted = [one for one in told if one.deed is Deed.APPLIED]
    assert len(acted) > 1
    for expected in reversed(acted):
        state, back = adapt.undo(state, 90 * DAY)
        assert (back.setting, back.after) == (expected.setting, expected.before)
    assert state.regime == FREE
    with pytest.raises(UsageError):
        adapt.undo(state, 90 * DAY)
    state, told = live([day(k, 0.25, celsius=36.0) for k in range(90, 150)], state=state)
    assert not {one.setting for one in told} & {one.setting for one in acted}


def test_bounds_that_run_out_free_the_pack() -> None:
    bounds = replace(BOUNDS, expires_unix_time_second=40 * DAY)
    state, told = live([day(k, 0.25) for k in range(45)], bounds)
    assert state.regime == FREE
    assert told[-1].deed is Deed.FREED


def test_cooling_that_got_worse_asks_once_for_a_check() -> None:
    days = [replace(day(k, 0.8), heat_kelvin_hour2=10.0 if k < 60 else 14.0) for k in range(120)]
    state, told = live(days, replace(BOUNDS, applies=False))
    checks = [one for one in told if one.deed is Deed.CHECK]
    assert len(checks) == 1
    assert checks[0].after == pytest.approx(1.4)
    assert state.heat_told


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.0, 1.0), st.floats(-20.0, 45.0), st.booleans()),
        min_size=30,
        max_size=60,
    )
)
def test_no_habit_leads_outside_the_signed_bounds(days: list[tuple[float, float, bool]]) -> None:
    state = adapt.begin(BOUNDS)
    for index, (need, celsius, exhausted) in enumerate(days):
        one = day(index, need, celsius=celsius, exhausted=exhausted)
        state, _ = adapt.step(state, one, BOUNDS)
        assert BOUNDS.clip(state.regime) == state.regime


def test_bounds_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(UsageError):
        RegimeBounds(FREE, GENTLE)
    with pytest.raises(UsageError):
        Regime(0.9, 0.5)
    with pytest.raises(UsageError):
        adapt.overrule(adapt.begin(BOUNDS), "colour", 1.0, 0.0, 0.0)


def test_a_persons_word_stands_outside_the_bounds_too_until_its_time_is_over() -> None:
    state, _ = adapt.overrule(adapt.begin(BOUNDS), "cooling_temperature_celsius", 44.0, 20 * DAY, 0)
    state, _ = live([day(k, 0.8) for k in range(1, 20)], state=state)
    assert state.regime.cooling_temperature_celsius == 44.0
    state, told = live([day(k, 0.8) for k in range(20, 23)], state=state)
    assert state.regime.cooling_temperature_celsius == 40.0
    assert Deed.FREED in [one.deed for one in told]
