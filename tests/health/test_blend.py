"""A mean of candidates is chosen on training cells, and its interval holds for new ones."""

from dataclasses import replace

import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import named
from cellwarden.health.blend import ROUNDS, Blend, blend
from cellwarden.health.candidates import CHARGE, PULSE, UNTUNED
from cellwarden.health.learner import BUDGET, fit_prepared
from cellwarden.health.task import Sample
from cellwarden.health.tuning import Crossed, Made, cross

SOME = [named(name) for name in ("mean", "ridge", "PLSR", "PCR")]


def sample(cells: int = 20, rows: int = 4, seed: int = 0) -> Sample:
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(cells * rows, 3))
    cell = np.repeat(np.arange(cells), rows)
    target = 2 + features[:, 0] + 0.1 * draw.normal(size=len(cell))
    target += 0.1 * draw.normal(size=cells)[cell]
    return Sample(("good", "noise", "more"), features, target, cell)


def made(given: Sample) -> Blend:
    return blend(cross(SOME, given, {}, 0), given, 0)


def test_the_members_are_those_that_did_well_and_their_weights_add_up() -> None:
    mean = made(sample())
    weights = [weight for _, weight, _ in mean.members]
    assert sum(weights) == pytest.approx(1)
    assert all(weight * ROUNDS == pytest.approx(round(weight * ROUNDS)) for weight in weights)
    names = {one.algorithm.name for one, *_ in mean.members}
    assert "ridge" in names
    assert "mean" not in names
    assert "ridge" in mean.chosen


def test_the_mean_is_that_of_its_members() -> None:
    mean = made(sample())
    new = sample(seed=5).features
    by_hand = sum(weight * fitted.predict(new).mean for _, weight, fitted in mean.members)
    assert np.allclose(mean.predict(new).mean, by_hand)


def test_new_cells_are_inside_about_as_often_as_stated() -> None:
    inside = []
    for seed in range(12):
        whole = sample(cells=50, seed=seed)
        learnt, new = whole.rows(whole.cell < 25), whole.rows(whole.cell >= 25)
        low, high = made(learnt).interval(new.features, 0.9)
        inside.append(np.mean((low <= new.target) & (new.target <= high)))
    assert 0.85 < np.mean(inside) < 0.95


def test_the_interval_is_wider_where_the_members_differ() -> None:
    given = sample()
    pair = [named("ridge"), named("extra trees")]  # trees stay where they were taught
    mean = blend(cross(pair, given, {}, 0), given, 0)
    assert len({one.algorithm.name for one, *_ in mean.members}) == 2
    near, far = np.zeros((1, 3)), np.array([[4.0, 0.0, 0.0]])
    widths = [float(np.subtract(*mean.interval(one, 0.8)[::-1])[0]) for one in (near, far)]
    assert widths[1] > 1.2 * widths[0]


def test_too_few_cells_for_a_coverage_give_no_bounded_interval() -> None:
    mean = made(sample(cells=8))
    low, high = mean.interval(np.zeros((1, 3)), 0.9)
    assert np.isinf([low[0], high[0]]).all()
    assert np.isfinite(mean.interval(np.zeros((1, 3)), 0.8)).all()
    with pytest.raises(UsageError, match="coverage"):
        mean.interval(np.zeros((1, 3)), 1.0)


def test_nothing_crossed_or_censored_rows_are_a_wrong_call() -> None:
    given = sample()
    none: tuple[Crossed, ...] = ()
    with pytest.raises(UsageError, match="no algorithm"):
        blend(none, given, 0)
    censored = replace(given, censored=given.target > 3)
    with pytest.raises(UsageError, match="censored"):
        blend(cross([named("ridge")], given, {}, 0), censored, 0)


def test_a_fit_that_was_made_before_is_taken_from_there() -> None:
    given = sample(cells=6)
    kept: Made = {}
    first = cross([named("ridge")], given.rows(given.cell != 0), {}, 0, made=kept)
    count = len(kept)
    second = cross([named("ridge")], given.rows(given.cell != 1), {}, 0, made=kept)
    # Four settings, of which two mean something here; cells 0 and 1 are both out once.
    assert len(kept) == 2 * count - len(first)
    alone = cross([named("ridge")], given.rows(given.cell != 1), {}, 0)
    assert [one.candidate.error for one in second] == [one.candidate.error for one in alone]


def test_what_is_offered_is_known_and_within_the_budget() -> None:
    for one in (*CHARGE, *PULSE):
        assert named(one.name).when == one.when
        assert len(one.settings) <= BUDGET
    assert [one.name for one in UNTUNED] == ["extra trees", "XGBoost"]


@pytest.mark.parametrize("which", [0, 1])
def test_untuned_trees_follow_the_target(which: int) -> None:
    one, given = UNTUNED[which], sample()
    if one.missing(given.columns):
        pytest.skip(one.missing(given.columns))
    told = fit_prepared(one, given, given.columns, {}, 0).predict(given.features).mean
    assert np.corrcoef(told, given.target)[0, 1] > 0.9
