"""Laws of the detectors: bounded memory, few false alarms, drift found, resumed = uninterrupted."""

import math
from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.health.drift import Adwin, PageHinkley, adwin, page_hinkley


def watched(values: np.ndarray, state: Adwin | None = None) -> tuple[Adwin, list[int]]:
    state = state or Adwin()
    alarms = []
    for place, value in enumerate(values.tolist()):
        state, cut = adwin(state, value)
        if cut:
            alarms.append(place)
    return state, alarms


def test_memory_is_logarithmic_in_what_was_seen() -> None:
    draw = np.random.default_rng(0)
    state, _ = watched(draw.uniform(size=5000))
    assert sum(map(len, state.levels)) <= 6 * (math.log2(5000) + 1)
    assert max(map(len, state.levels)) <= 6
    assert state.count <= 5000


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_the_window_is_the_newest_values(values: list[float]) -> None:
    state, _ = watched(np.array(values))
    kept = values[len(values) - state.count :]
    assert math.isclose(state.mean, float(np.mean(kept)), abs_tol=1e-9)


def test_steady_streams_are_hardly_ever_cut() -> None:
    alarmed = sum(
        bool(watched(np.random.default_rng(seed).uniform(size=400))[1]) for seed in range(60)
    )
    assert alarmed <= 2  # at delta 0.002 a step the bound is far above what is seen


def test_a_shift_is_found_soon_and_the_old_values_are_forgotten() -> None:
    draw = np.random.default_rng(1)
    values = np.concatenate([draw.normal(0.4, 0.1, 300), draw.normal(0.6, 0.1, 100)])
    state, alarms = watched(values)
    assert 300 <= alarms[0] < 380
    assert state.count < 400
    assert state.mean > np.mean(values)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 199))
def test_resumed_is_uninterrupted(seed: int, at: int) -> None:
    values = np.random.default_rng(seed).normal(0.5, 0.2, 200)
    half, _ = watched(values[:at])
    assert watched(values[at:], half)[0] == watched(values)[0]


def test_no_number_changes_nothing() -> None:
    state, _ = watched(np.array([0.1, 0.2]))
    assert adwin(state, math.nan) == (state, False)
    sums, _ = page_hinkley(PageHinkley(), 1.0)
    assert page_hinkley(sums, math.inf) == (sums, False)


def test_sums_find_a_shift_either_way_and_start_anew() -> None:
    draw = np.random.default_rng(2)
    for shift in (2.0, -2.0):
        state, alarms = PageHinkley(), []
        for place, value in enumerate([*draw.normal(size=200), *draw.normal(shift, 1, 40)]):
            state, alarm = page_hinkley(state, float(value))
            if alarm:
                alarms.append(place)
                assert [getattr(state, f.name) for f in fields(state)] == [0, 0, 0, 0, 0, 0]
        assert alarms
        assert 200 <= alarms[0] < 225
