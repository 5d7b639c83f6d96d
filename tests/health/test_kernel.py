import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.health.kernel import MEAN, Kernel, fit, leave_out

KERNEL = Kernel(curve_variance=0.05, length=1.5, cell_variance=1e-3, noise_variance=1e-3)


def _table(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    cell = np.repeat(np.arange(4), [5, 8, 3, 6])
    inputs = draw.normal(size=(len(cell), 2))
    target = MEAN + 0.1 * np.sin(inputs[:, 0]) + draw.normal(0, 0.02, 4)[cell]
    return inputs, target, cell


@given(st.integers(0, 50))
def test_leaving_out_in_closed_form_is_fitting_again_without_the_cell(seed: int) -> None:
    inputs, target, cell = _table(seed)
    errors = leave_out(inputs, target, cell, KERNEL)
    for one in range(4):
        own = cell == one
        curve = fit(inputs[~own], target[~own], cell[~own], KERNEL)
        assert errors[own] == pytest.approx(target[own] - curve(inputs[own]), abs=1e-9)


def test_a_row_is_told_the_same_alone_and_among_others() -> None:
    inputs, target, cell = _table(1)
    curve = fit(inputs, target, cell, KERNEL)
    together = curve(inputs)
    assert [float(curve(inputs[k : k + 1])[0]) for k in range(len(inputs))] == together.tolist()


def test_far_from_all_training_the_curve_forgets_the_features() -> None:
    inputs, target, cell = _table(2)
    curve = fit(inputs, target, cell, KERNEL)
    far = curve(np.array([[100.0, 0.0], [-100.0, 50.0]]))
    assert far[0] == pytest.approx(far[1])
