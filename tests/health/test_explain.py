import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.errors import UsageError
from cellwarden.health.explain import contributions

numbers = st.lists(st.floats(-3, 3), min_size=3, max_size=3).map(np.array)


def _curved(rows: np.ndarray) -> np.ndarray:
    return np.asarray(np.sin(rows[:, 0]) + rows[:, 0] * rows[:, 1] - 0.3 * rows[:, 2] ** 2)


@given(numbers, numbers)
def test_base_and_contributions_add_up_to_the_estimate(
    inputs: np.ndarray, reference: np.ndarray
) -> None:
    base, parts = contributions(_curved, inputs, reference)
    assert base == pytest.approx(float(_curved(reference[None])[0]), abs=1e-12)
    assert base + sum(parts) == pytest.approx(float(_curved(inputs[None])[0]), abs=1e-12)


def test_in_a_sum_each_feature_gets_its_own_term() -> None:
    def estimate(rows: np.ndarray) -> np.ndarray:
        return np.asarray(2 * rows[:, 0] + rows[:, 1] ** 3)

    base, parts = contributions(estimate, np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    assert base == 1.0
    assert parts == pytest.approx((2.0, 7.0))


def test_a_product_is_shared_equally_and_an_idle_feature_gets_nothing() -> None:
    def estimate(rows: np.ndarray) -> np.ndarray:
        return np.asarray(rows[:, 0] * rows[:, 1])

    _, parts = contributions(estimate, np.array([2.0, 3.0, 9.0]), np.zeros(3))
    assert parts == pytest.approx((3.0, 3.0, 0.0))


def test_too_many_features_are_refused_before_they_fill_the_memory() -> None:
    with pytest.raises(UsageError, match="too many"):
        contributions(lambda rows: rows.sum(axis=1), np.ones(21), np.zeros(21))
