import math

import numpy as np
import pytest

from cellwarden.health.own_correction import corrected, learn_correction, update_correction


def _left_out(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    cell = np.repeat(np.arange(20), 30)
    told = np.tile(np.linspace(1, 0.8, 30), 20)
    bias, slope = 0.02 * draw.normal(size=20), 0.1 * draw.normal(size=20)
    measured = told + bias[cell] + slope[cell] * (1 - told) + 0.002 * draw.normal(size=len(cell))
    return told, measured, cell


def test_a_battery_of_its_own_bias_is_told_better_after_each_check() -> None:
    state = learn_correction(*_left_out())
    errors, spreads = [], []
    for told in (1.0, 0.95, 0.9, 0.85):
        mean, spread = corrected(state, np.array([0.8]))
        errors.append(abs(float(mean[0]) - (0.8 + 0.05 + 0.1 * 0.2)))
        spreads.append(float(spread[0]))
        state = update_correction(state, told, told + 0.05 + 0.1 * (1 - told))
    assert errors[-1] < 0.3 * errors[0]
    assert spreads == sorted(spreads, reverse=True)


def test_before_a_check_only_what_all_cells_share_is_corrected() -> None:
    told, measured, cell = _left_out()
    mean, _ = corrected(learn_correction(told, measured + 0.03, cell), np.array([1.0]))
    assert float(mean[0]) == pytest.approx(1.03, abs=0.015)


def test_a_check_that_is_no_number_changes_nothing() -> None:
    state = learn_correction(*_left_out())
    assert update_correction(state, 0.9, math.nan) is state
