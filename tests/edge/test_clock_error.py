import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.edge.clock_error import ClockState, Crystal, Reckoning, Sight, begin, step

CRYSTAL = Crystal()
START = 1_750_000_000.0


@dataclass
class Watch:
    """A wall clock with an error and a drift of its own, looked at once in `period` seconds."""

    ppm: float
    error: float = 0.0
    period: float = 60.0
    true: float = 0.0
    state: ClockState = field(default_factory=lambda: begin(CRYSTAL))

    def look(self, *, std: float = math.nan, source_error: float = 0.0) -> Reckoning:
        self.true += self.period
        self.error += self.ppm * 1e-6 * self.period
        # The steady clock hangs on the same crystal: it drifts as the wall clock does.
        steady = self.true * (1.0 + self.ppm * 1e-6)
        source = START + self.true + source_error if math.isfinite(std) else math.nan
        sight = Sight(steady, START + self.true + self.error, source, std)
        self.state, told = step(CRYSTAL, self.state, sight)
        return told


def test_before_a_source_was_heard_nothing_is_known() -> None:
    watch = Watch(20.0)
    for _ in range(10):
        told = watch.look()
        assert math.isnan(told.error_second)
        assert told.error_std_second == math.inf
        assert told.source_age_second == math.inf


@settings(max_examples=25, deadline=None)
@given(
    ppm=st.floats(-50.0, 50.0),
    error=st.floats(-5.0, 5.0),
    std=st.sampled_from([0.005, 0.05, 0.5]),
    seed=st.integers(0, 2**32),
)
def test_error_and_drift_are_found_within_what_is_stated(
    ppm: float, error: float, std: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    watch = Watch(ppm, error)
    for minute in range(24 * 60):
        told = (
            watch.look(std=std, source_error=std * generator.standard_normal())
            if minute % 15 == 0
            else watch.look()
        )
    assert abs(told.error_second - watch.error) < 5.0 * told.error_std_second
    assert told.error_std_second < std
    assert told.drift_ppm == pytest.approx(ppm, abs=max(1.0, 40.0 * std))
    assert told.jump_second == 0.0


def test_the_stated_uncertainty_is_what_the_errors_have() -> None:
    generator = np.random.default_rng(1)
    pulls = []
    for _ in range(300):
        watch = Watch(float(20.0 * generator.standard_normal()), 1.0, 3600.0)
        for _ in range(5):
            told = watch.look(std=0.05, source_error=0.05 * generator.standard_normal())
        pulls.append((told.error_second - watch.error) / told.error_std_second)
    assert 0.85 < float(np.std(pulls)) < 1.15


def test_without_a_source_the_uncertainty_only_grows() -> None:
    watch = Watch(10.0)
    watch.look(std=0.01)
    stds = [watch.look().error_std_second for _ in range(60)]
    assert stds == sorted(stds)
    assert stds[-1] > 3600.0 * 15e-6
    assert watch.look().source_age_second == pytest.approx(61 * 60.0, rel=1e-3)


def test_how_often_one_looks_does_not_change_how_sure_one_is() -> None:
    stds = []
    for count in (1, 10, 1000):
        watch = Watch(10.0, period=60.0)
        for _ in range(600):
            watch.look(std=0.001)
        watch.period = 30.0 * 86_400.0 / count
        for _ in range(count):
            told = watch.look()
        stds.append(told.error_std_second)
    assert stds[0] == pytest.approx(stds[1], rel=1e-6) == pytest.approx(stds[2], rel=1e-6)
    # A crystal that wanders by 0.2 ppm in an hour is 8 s uncertain after a month.
    assert stds[0] > 8.0


@pytest.mark.parametrize("jump", [-3600.0, -1.0, -0.1, 0.1, 30.0, 86_400.0])
def test_a_clock_that_was_set_is_found_at_once_and_its_error_follows(jump: float) -> None:
    watch = Watch(30.0, period=0.1)
    for _ in range(20):
        watch.look(std=0.01)
    watch.error += jump
    told = watch.look()
    assert told.jump_second == pytest.approx(jump, abs=1e-4)
    assert told.backwards == (jump < 0.0)
    assert told.error_second == pytest.approx(watch.error, abs=0.06)
    assert watch.look().jump_second == 0.0
    assert watch.look(std=0.01).error_second == pytest.approx(watch.error, abs=0.05)


@pytest.mark.parametrize("slew", [-0.01, 0.002])
def test_a_clock_that_creeps_away_in_small_steps_is_found_too(slew: float) -> None:
    watch = Watch(10.0, period=0.1)
    watch.look(std=0.01)
    found = 0.0
    for _ in range(3000):
        watch.error += slew
        found += watch.look().jump_second
    assert found == pytest.approx(3000 * slew, abs=0.2)
    assert watch.look().error_second == pytest.approx(watch.error, abs=0.2)


@given(ppm=st.floats(-150.0, 150.0), period=st.floats(0.01, 10_000.0))
def test_a_crystal_that_drifts_is_not_a_clock_that_was_set(ppm: float, period: float) -> None:
    watch = Watch(ppm, period=period)
    assert all(watch.look().jump_second == 0.0 for _ in range(5))


def test_a_source_that_errs_once_is_refused_and_one_that_insists_is_believed() -> None:
    watch = Watch(5.0)
    for _ in range(60):
        watch.look(std=0.02)
    before = watch.look().error_second
    told = watch.look(std=0.02, source_error=100.0)
    assert told.source_refused
    assert told.error_second == pytest.approx(before, abs=0.01)
    assert not watch.look(std=0.02).source_refused
    for source_error in (40.0, -70.0, 55.0):  # it contradicts itself, too
        assert watch.look(std=0.02, source_error=source_error).source_refused
    refused = [watch.look(std=0.02, source_error=9.0).source_refused for _ in range(4)]
    assert refused == [True, True, False, False]
    assert watch.look().error_second == pytest.approx(watch.error - 9.0, abs=0.05)


def test_readings_that_say_nothing_change_nothing() -> None:
    watch = Watch(5.0)
    told = watch.look(std=0.02)
    for std in (0.0, -1.0):
        told = watch.look(std=std)
        assert told.source_age_second > 0.0
