import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import named
from cellwarden.health.learner import Algorithm, Told
from cellwarden.health.task import Sample
from cellwarden.health.tuning import tune

LINEAR = [named(name) for name in ("mean", "ridge")]


def sample(cells: int = 12, rows: int = 4, seed: int = 0, *, logarithmic: bool = False) -> Sample:
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(cells * rows, 2))
    cell = np.repeat(np.arange(cells), rows)
    target = (
        features[:, 0] + 0.1 * draw.normal(size=len(cell)) + 0.1 * draw.normal(size=cells)[cell]
    )
    return Sample(("good", "noise"), features, target, cell, logarithmic)


def test_the_better_algorithm_and_the_better_columns_are_chosen() -> None:
    choices = {"noise alone": ("noise",), "both": ("good", "noise")}
    tuned = tune(LINEAR, sample(), choices, seed=0)
    assert tuned.chosen.algorithm.name == "ridge"
    assert tuned.chosen.choice == "both"
    assert tuned.chosen.error == min(one.error for one in tuned.tried)
    assert str(tuned.chosen).startswith("ridge; both")


def test_every_fit_sees_whole_cells_and_never_those_that_it_is_judged_on() -> None:
    seen: list[frozenset[int]] = []

    def fit(given: Sample, _: object, __: int) -> "Recorder":
        seen.append(frozenset(given.cell.tolist()))
        assert np.bincount(given.cell)[list(seen[-1])].tolist() == [4] * len(seen[-1])
        return Recorder()

    class Recorder:
        def predict(self, features: np.ndarray) -> Told:
            return Told(np.zeros(len(features)))

    made = sample()
    tuned = tune([Algorithm("recorder", "a test", fit)], made, {}, seed=0, repeat_count=2)
    assert len(seen) == 11  # five folds twice, and all
    assert seen[-1] == frozenset(range(12))
    for place, inside in enumerate(seen[:5]):
        out = set(made.cell[tuned.part == place].tolist())
        assert out
        assert not out & inside
        assert out | inside == set(range(12))


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_what_is_found_does_not_depend_on_the_rows_order(seed: int) -> None:
    made = sample()
    order = np.random.default_rng(seed).permutation(len(made.target))
    one, other = (tune(LINEAR, s, {}, seed=1) for s in (made, made.rows(order)))
    new = sample(seed=9).features
    assert one.chosen.setting == other.chosen.setting
    assert np.allclose(one.predict(new).mean, other.predict(new).mean, atol=1e-9)
    assert np.allclose(one.interval(new, 0.8), other.interval(new, 0.8), atol=1e-9)


def test_new_cells_are_inside_about_as_often_as_stated() -> None:
    inside = []
    for seed in range(30):
        made = sample(cells=40, rows=3, seed=seed)
        learnt, new = made.rows(made.cell < 20), made.rows(made.cell >= 20)
        low, high = tune([named("ridge")], learnt, {}, seed=0).interval(new.features, 0.9)
        inside.append(np.mean((low <= new.target) & (new.target <= high)))
    assert 0.86 < np.mean(inside) < 0.97


def test_too_few_cells_for_a_coverage_give_no_bounded_interval() -> None:
    made = sample(cells=8)
    tuned = tune([named("ridge")], made, {}, seed=0)
    low, high = tuned.interval(made.features[:2], 0.9)
    assert all(math.isinf(x) for x in (*low, *high))
    low, high = tuned.interval(made.features[:2], 0.8)
    assert np.isfinite([low, high]).all()
    with pytest.raises(UsageError, match="coverage"):
        tuned.interval(made.features, 1.0)


def test_a_stated_spread_makes_the_interval_wider_where_less_is_known() -> None:
    tuned = tune([named("gaussian process")], sample(cells=20), {}, seed=0)
    low, high = tuned.interval(np.array([[0.0, 0.0], [4.0, 4.0]]), 0.8)
    assert high[1] - low[1] > 1.2 * (high[0] - low[0])


def test_an_explanation_adds_up_to_the_prediction() -> None:
    made = sample(cells=20)
    for name in ("ridge", "gaussian process", "extra trees"):
        tuned = tune([named(name)], made, {}, seed=0)
        told = tuned.explain(made.features[3])
        assert told.base + sum(told.contributions) == pytest.approx(
            float(tuned.predict(made.features[3:4]).mean[0]), abs=1e-9
        )
        assert abs(told.contributions[0]) > abs(told.contributions[1])


def test_an_emphasis_is_tried_only_where_it_means_something() -> None:
    plain, life = (
        tune([named("gaussian process")], sample(logarithmic=flag), {}, seed=0)
        for flag in (False, True)
    )
    assert len(plain.tried) == 1
    assert len(life.tried) == 3


def test_columns_that_no_algorithm_can_use_are_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="no algorithm can be run"):
        tune([named("cycle index only")], sample(), {}, seed=0)
    with pytest.raises(UsageError, match="cells cannot be dealt"):
        tune(LINEAR, sample(cells=1), {}, seed=0)
