import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.control.recovery import Held, Recovery, recover
from cellwarden.domain import Restraint
from cellwarden.errors import UsageError

MOST = 100.0
SETTINGS = Recovery()


def walk(targets: list[float], period: float, held: Held | None = None) -> list[Held]:
    now, out = held or Held(), []
    for index, target in enumerate(targets, 1):
        rule = Restraint("r", target, target)
        now = recover(SETTINGS, now, rule, MOST, clock_second=index * period, period_second=period)
        out.append(now)
    return out


TARGETS = st.lists(st.sampled_from([0.0, 0.5, 1.0, 5.0, 40.0, 99.0, 100.0, 150.0]), max_size=300)
PERIODS = st.sampled_from([0.1, 1.0, 10.0])


@given(TARGETS, PERIODS)
def test_a_limit_is_never_above_its_target_and_never_rises_faster_than_the_ramp(
    targets: list[float], period: float
) -> None:
    before = Held()
    for now, target in zip(walk(targets, period), targets, strict=True):
        assert 0.0 <= now.ampere <= min(target, MOST)
        assert now.ampere - before.ampere <= 0.05 * MOST * min(period, 1.0) + 1e-9
        before = now


@given(TARGETS, PERIODS)
def test_a_limit_does_not_rise_before_the_target_was_above_it_for_the_hold(
    targets: list[float], period: float
) -> None:
    held = walk([100.0] * 300, 1.0)[-1]
    assert held.ampere == MOST
    low = 0
    for index, target in enumerate(targets, 1):
        rule = Restraint("r", target, target)
        after = recover(
            SETTINGS, held, rule, MOST, clock_second=1e3 + index * period, period_second=period
        )
        if target <= held.ampere:
            low = index
        if after.ampere > held.ampere:
            assert (index - low) * period >= 30.0 - 1e-6
        held = after


def test_a_limit_of_zero_stays_until_there_is_more_than_a_flap() -> None:
    assert walk([1.5] * 100, 1.0)[-1].ampere == 0.0
    assert walk([1.6] * 100, 1.0)[-1].ampere == pytest.approx(1.6)
    falling = walk([1.0], 1.0, Held(50.0))
    assert falling[-1].ampere == 1.0


def test_a_long_silence_lets_a_limit_rise_by_one_second_only() -> None:
    rule = Restraint("r", 100.0, 0.0)
    after = recover(SETTINGS, Held(), rule, MOST, clock_second=1e6, period_second=1e6)
    assert after.ampere == pytest.approx(5.0)
    back = recover(SETTINGS, after, rule, MOST, clock_second=0.0, period_second=-9.0)
    assert back.ampere <= after.ampere


@pytest.mark.parametrize("wrong", [{"hold_second": -1.0}, {"rise_fraction_per_second": 0.0},
                                   {"flap_fraction": float("nan")}])  # fmt: skip
def test_a_limit_that_cannot_come_back_so_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Recovery(**wrong)
