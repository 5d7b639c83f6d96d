import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import ALGORITHMS, named
from cellwarden.health.learner import (
    BUDGET,
    FEATURE_MARGIN,
    TARGET_MARGIN,
    Algorithm,
    fit_prepared,
)
from cellwarden.health.task import Sample

COLUMNS = ("delta_variance_log10_ah2", "cycle_count", "other")
HERE = [one for one in ALGORITHMS if not one.missing(COLUMNS)]


def sample(seed: int = 0, count: int = 40, *, logarithmic: bool = True) -> Sample:
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(count, 3))
    target = 2.7 - 0.2 * features[:, 0] - 0.1 * features[:, 1] + 0.02 * draw.normal(size=count)
    return Sample(COLUMNS, features, target, np.arange(count), logarithmic)


@pytest.mark.parametrize("algorithm", HERE, ids=lambda one: one.name)
def test_every_algorithm_keeps_the_laws_of_the_face(algorithm: Algorithm) -> None:
    made = sample()
    before = made.features.copy(), made.target.copy()
    setting = algorithm.settings[0]
    columns = algorithm.columns or COLUMNS
    one, other = (fit_prepared(algorithm, made, columns, setting, seed=3) for _ in range(2))
    new = np.random.default_rng(1).normal(size=(7, 3))
    new[0] = np.nan
    new[1, 0] = np.inf
    new[2] = 1e6
    told = one.predict(new)
    assert told.mean.shape == (7,)
    assert np.isfinite(told.mean).all()
    assert np.array_equal(told.mean, other.predict(new).mean), "a seed gives one answer"
    if told.std is not None:
        assert (told.std > 0).all()
    span = TARGET_MARGIN * np.ptp(made.target)
    assert told.mean.min() >= made.target.min() - span - 1e-12
    assert told.mean.max() <= made.target.max() + span + 1e-12
    assert np.array_equal(made.features, before[0])
    assert np.array_equal(made.target, before[1])
    alone = np.concatenate([one.predict(row[None]).mean for row in new])
    assert np.allclose(alone, told.mean, atol=1e-9), "a row is told alone as among others"


@pytest.mark.parametrize(
    "algorithm", [one for one in HERE if not one.baseline], ids=lambda one: one.name
)
def test_every_algorithm_beats_the_mean_where_there_is_something_to_learn(
    algorithm: Algorithm,
) -> None:
    made, new = sample(count=80), sample(seed=5)
    fitted = fit_prepared(algorithm, made, COLUMNS, algorithm.settings[0], seed=0)
    error = np.sqrt(np.mean((fitted.predict(new.features).mean - new.target) ** 2))
    assert error < 0.8 * new.target.std()


def test_names_are_unique_budgets_equal_and_uses_told() -> None:
    assert len({one.name for one in ALGORITHMS}) == len(ALGORITHMS)
    assert all(1 <= len(one.settings) <= BUDGET for one in ALGORITHMS)
    assert all(one.when for one in ALGORITHMS)
    assert named("ridge").name == "ridge"
    with pytest.raises(UsageError, match="no algorithm"):
        named("oracle")


def test_what_an_algorithm_lacks_is_said() -> None:
    assert named("cycle index only").missing(("a",)) == "needs cycle_count"
    assert named("ridge").missing(("a",)) == ""


def test_ridge_without_penalty_is_the_line_of_least_squares() -> None:
    made = sample()
    fitted = fit_prepared(named("ridge"), made, COLUMNS, {"penalty": 0.0}, 0)
    design = np.column_stack([np.ones(40), made.features])
    exact = design @ np.linalg.lstsq(design, made.target, rcond=None)[0]
    assert fitted.predict(made.features).mean == pytest.approx(exact, abs=1e-9)


def test_all_principal_components_are_least_squares_too() -> None:
    made = sample()
    told = fit_prepared(named("PCR"), made, COLUMNS, {"components": 3}, 0).predict(made.features)
    line = fit_prepared(named("ridge"), made, COLUMNS, {"penalty": 0.0}, 0).predict(made.features)
    assert told.mean == pytest.approx(line.mean, abs=1e-9)


@settings(max_examples=25)
@given(st.floats(-1e9, 1e9))
def test_a_feature_is_held_to_its_training_range_and_a_margin(value: float) -> None:
    made = sample()
    fitted = fit_prepared(named("ridge"), made, COLUMNS, {"penalty": 1.0}, 0)
    row = np.zeros((1, 3))
    row[0, 2] = value
    low, high = made.features[:, 2].min(), made.features[:, 2].max()
    held = np.clip(value, low - FEATURE_MARGIN * (high - low), high + FEATURE_MARGIN * (high - low))
    same = np.zeros((1, 3))
    same[0, 2] = held
    assert fitted.predict(row).mean == pytest.approx(fitted.predict(same).mean)
    assert fitted.outside(row)[0] == pytest.approx(0.0 if held == value else 1 / 3)


def test_a_gap_is_filled_with_the_median_and_an_empty_column_says_nothing() -> None:
    made = sample()
    made.features[:, 1] = np.nan
    made.features[0, 0] = np.inf
    fitted = fit_prepared(named("ridge"), made, COLUMNS, {"penalty": 1.0}, 0)
    one = np.array([[0.3, 5.0, 0.1], [0.3, np.nan, 0.1]])
    assert np.ptp(fitted.predict(one).mean) == 0.0
    middle = np.median(made.features[1:, 0])
    pair = np.array([[np.nan, 0.0, 0.1], [middle, 0.0, 0.1]])
    assert np.ptp(fitted.predict(pair).mean) == pytest.approx(0.0, abs=1e-12)
