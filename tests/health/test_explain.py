import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import named
from cellwarden.health.explain import attribute, column_groups, contributions, importance
from cellwarden.health.learner import Prepared, fit_prepared
from cellwarden.health.task import Sample

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


def test_groups_share_one_number_and_still_add_up() -> None:
    inputs, reference = np.array([1.0, 2.0, 3.0]), np.zeros(3)
    base, parts = contributions(_curved, inputs, reference, [(0, 1), (2,)])
    assert len(parts) == 2
    assert parts[1] == pytest.approx(-2.7)
    assert base + sum(parts) == pytest.approx(float(_curved(inputs[None])[0]))


def test_too_many_columns_ask_for_groups_in_place_of_a_guess() -> None:
    with pytest.raises(UsageError, match="17 features"):
        contributions(_curved, np.zeros(17), np.zeros(17))


def _prepared(name: str) -> tuple[Prepared, np.ndarray]:
    draw = np.random.default_rng(1)
    features = draw.normal(size=(60, 4))
    target = features[:, 0] + 0.2 * features[:, 1] + 0.05 * draw.normal(size=60)
    sample = Sample(("a", "b", "c", "d"), features, target, np.arange(60) // 4)
    algorithm = named(name)
    return fit_prepared(algorithm, sample, sample.columns, algorithm.settings[0], 0), features


@pytest.mark.parametrize("name", ["ridge", "ridge and process", "SVR", "LightGBM", "AdaBoost"])
def test_what_moved_many_predictions_adds_up_to_each(name: str) -> None:
    whole, features = _prepared(name)
    far = np.vstack([features[:10], 9 * features[:3]])  # the last are held to the training range
    told = attribute(whole, ("a", "b", "c", "d"), far)
    assert told.total() == pytest.approx(whole.predict(far).mean, abs=1e-9)
    assert told.method == ("orders" if name == "AdaBoost" else "parts")
    assert importance(told, np.arange(13) // 4).ranked()[0][0] == "a"


def test_what_holding_to_the_training_range_took_off_is_told_apart() -> None:
    whole, features = _prepared("ridge")
    told = attribute(whole, ("a", "b", "c", "d"), np.vstack([features[0], [9.0, 9.0, 0.0, 0.0]]))
    assert told.held[0] == 0.0
    assert told.held[1] < 0


def test_columns_that_move_together_are_one_group() -> None:
    draw = np.random.default_rng(2)
    free = draw.normal(size=(200, 3))
    features = np.column_stack([free, free[:, 0] + 0.01 * draw.normal(size=200), np.ones(200)])
    groups = column_groups(features, 4)
    assert (0, 3) in groups
    assert sorted(k for group in groups for k in group) == [0, 1, 2, 3, 4]
