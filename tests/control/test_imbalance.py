import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cellwarden.control.imbalance import charge_at_rest, excess_of, level_of
from cellwarden.domain import CHEMISTRIES, Condition
from control.scene import charge_of, condition_of

NAN = float("nan")
CAPACITIES = npst.arrays(np.float64, 4, elements=st.floats(30.0, 50.0))


@given(CAPACITIES, st.floats(0.0, 30.0))
def test_cells_level_at_the_top_have_no_excess_at_any_charge_however_aged(
    capacity: np.ndarray, taken: float
) -> None:
    charge = charge_of((capacity - taken) / capacity)
    excess = excess_of(charge, condition_of(capacity), 50.0, 1.0)
    assert np.allclose(excess.charge_ah, 0.0, atol=1e-9)


@given(CAPACITIES, npst.arrays(np.float64, 4, elements=st.floats(0.0, 1.0)))
def test_giving_the_excess_away_leaves_every_cell_the_same_room(
    capacity: np.ndarray, soc: np.ndarray
) -> None:
    excess = excess_of(charge_of(soc), condition_of(capacity), 50.0, 1.0)
    assert np.all(excess.charge_ah >= 0.0)
    assert excess.charge_ah.min() == 0.0
    left = soc - excess.charge_ah / capacity
    assert np.ptp((1.0 - left) * capacity) == pytest.approx(0.0, abs=1e-9)


def test_a_capacity_that_is_not_known_leaves_the_excess_open_until_near_the_top() -> None:
    half = excess_of(charge_of(0.5, std=0.001), None, 50.0, 1.0)
    full = excess_of(charge_of(0.99, std=0.001), None, 50.0, 1.0)
    assert half.std_ah[1:].min() > 2.0
    assert full.std_ah.max() < 0.15
    one = condition_of([50.0, NAN, 50.0, 50.0])
    stated = Condition(one.capacity_ah, one.resistance_factor, np.full(4, 0.1))
    std = excess_of(charge_of(0.5, std=0.0), stated, 50.0, 1.0).std_ah
    assert std.argmax() != 0
    assert std[2] < std.max()


def test_a_cell_that_is_not_known_is_left_out() -> None:
    excess = excess_of(charge_of([0.5, NAN, 0.6, 0.5]), condition_of(), 50.0, 1.0)
    assert np.isnan(excess.charge_ah[1])
    assert excess.charge_ah[2] == pytest.approx(5.0)
    blind = excess_of(charge_of(NAN), condition_of(), 50.0, 1.0)
    assert np.isnan(blind.charge_ah).all()


def test_a_rest_tells_the_charge_and_says_where_the_curve_is_too_flat() -> None:
    nmc, lfp = CHEMISTRIES["NMC"], CHEMISTRIES["LFP"]
    for kind, soc, sharp in ((nmc, 0.5, True), (lfp, 0.5, False), (lfp, 0.995, True)):
        volt = np.interp(soc, kind.ocv_soc_fraction, kind.ocv_volt) * np.ones(3)
        told = charge_at_rest(kind, 0.0, volt)
        assert np.allclose(told.soc_fraction, soc, atol=1e-6)
        assert bool((told.soc_std_fraction < 0.01).all()) is sharp
    assert np.isnan(charge_at_rest(nmc, 0.0, np.array([NAN])).soc_fraction[0])


@given(npst.arrays(np.float64, 6, elements=st.floats(0.0, 10.0)), st.floats(0.5, 1.0))
def test_what_is_given_above_the_level_fills_what_is_missing_below(
    room: np.ndarray, efficiency: float
) -> None:
    level = level_of(room, efficiency)
    needed = np.maximum(room - level, 0.0).sum()
    given_away = np.maximum(level - room, 0.0).sum()
    assert needed == pytest.approx(efficiency * given_away, abs=1e-6)
