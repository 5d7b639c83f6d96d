import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import UsageError
from cellwarden.health.early_life import (
    CHOICES,
    COLUMNS,
    CURVE_COLUMNS,
    GRID_VOLT,
    delta_curve,
    life_features,
)

CYCLES = np.arange(2, 101)


def curves(fade: float = 1e-4, capacity: float = 1.07) -> np.ndarray:
    shape = 1 / (1 + np.exp((GRID_VOLT - 3.1) / 0.03))
    lost = fade * (CYCLES - 2)[:, None] * shape * (0.3 + GRID_VOLT / 4)
    return capacity * shape - lost


def test_the_columns_are_those_named_and_every_choice_is_made_of_them() -> None:
    told = life_features(CYCLES, curves())
    assert tuple(told) == COLUMNS
    assert np.isfinite(list(told.values())).all()
    assert all(set(columns) <= set(COLUMNS) for columns in CHOICES.values())


@settings(max_examples=30)
@given(st.integers(0, 98), st.floats(-10, 50), st.integers(0, 900))
def test_one_curve_that_no_cell_gives_hardly_moves_a_feature(
    which: int, size: float, at: int
) -> None:
    clean, spoilt = curves(), curves()
    spoilt[which, at : at + 50] += size
    before, after = life_features(CYCLES, clean), life_features(CYCLES, spoilt)
    if abs(size) > 0.1:
        for name in COLUMNS:
            assert after[name] == pytest.approx(before[name], abs=0.02, rel=0.05), name


def test_twice_the_fade_is_told_in_the_logarithms() -> None:
    one, two = life_features(CYCLES, curves(1e-4)), life_features(CYCLES, curves(2e-4))
    doubled = {
        "delta_variance_log10_ah2": 2 * np.log10(2),
        "delta_minimum_log10_ah": np.log10(2),
        "delta_mean_log10_ah": np.log10(2),
        "delta_3.1_to_3.0_volt_log10_ah": np.log10(2),
        "delta_skewness_ratio": 0.0,
        "delta_kurtosis_log10_ratio": 0.0,
    }
    for name, by in doubled.items():
        assert two[name] - one[name] == pytest.approx(by, abs=1e-6), name
    assert two["fade_slope_ah"] == pytest.approx(2 * one["fade_slope_ah"])


def test_later_cycles_change_nothing() -> None:
    cycles = np.arange(2, 151)
    longer = np.vstack([curves(), np.zeros((50, len(GRID_VOLT)))])
    assert life_features(cycles, longer) == life_features(CYCLES, curves())


def test_what_is_missing_is_no_number_and_nothing_else_is() -> None:
    told = life_features(CYCLES[:40], curves()[:40])
    assert np.isnan(told["delta_variance_log10_ah2"])
    assert np.isnan(told["late_fade_slope_ah"])
    assert np.isfinite(told["second_capacity_ah"])
    none = life_features(CYCLES[:0], curves()[:0])
    assert np.isnan([none[name] for name in COLUMNS if name != "capacity_rise_ah"]).all()


def test_a_grid_that_does_not_fall_is_refused() -> None:
    with pytest.raises(UsageError, match="grid must fall"):
        life_features(CYCLES, curves(), GRID_VOLT[::-1])


def test_the_curve_is_the_difference_that_its_statistics_are_of() -> None:
    curve, told = delta_curve(CYCLES, curves()), life_features(CYCLES, curves())
    assert tuple(curve) == CURVE_COLUMNS
    assert len(CURVE_COLUMNS) == 100
    assert CURVE_COLUMNS[0] == "delta_3.593_volt_ah"
    values = np.array(list(curve.values()))
    assert np.log10(abs(values.mean())) == pytest.approx(told["delta_mean_log10_ah"])
    assert np.log10(values.var()) == pytest.approx(told["delta_variance_log10_ah2"], abs=0.01)
