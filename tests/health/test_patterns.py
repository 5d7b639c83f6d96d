import numpy as np
import pytest

from cellwarden.health.algorithms import named
from cellwarden.health.learner import fit_prepared
from cellwarden.health.patterns import BOOSTED, LEAST_ROWS, PROCESS_ON_KNOWN
from cellwarden.health.task import Sample

SETTING = {"length": 1.0}


def sample(seed: int = 0, rows: int = 200) -> Sample:
    """Three columns that each tell the target, of which two in three rows lack some."""
    draw = np.random.default_rng(seed)
    target = draw.uniform(0.6, 1.0, rows)
    features = np.column_stack([target, 2 - target, target**2]) + draw.normal(0, 0.01, (rows, 3))
    for column in range(3):
        features[column::9, column] = np.nan
        features[3 + column :: 9, [column, (column + 1) % 3]] = np.nan
    return Sample(("a", "b", "c"), features, target, np.repeat(np.arange(4), rows // 4))


def test_each_row_is_told_from_the_columns_it_has() -> None:
    learnt, asked = sample(), sample(1)
    fitted = fit_prepared(PROCESS_ON_KNOWN, learnt, learnt.columns, SETTING, 0)
    filled = fit_prepared(named("ridge"), learnt, learnt.columns, {"penalty": 1.0}, 0)
    error, other = (
        np.abs(one.predict(asked.features).mean - asked.target).mean() for one in (fitted, filled)
    )
    assert error < 0.01 < other


def test_a_row_of_nothing_is_told_as_the_mean_and_as_unsure_as_can_be() -> None:
    learnt = sample()
    fitted = fit_prepared(PROCESS_ON_KNOWN, learnt, learnt.columns, SETTING, 0)
    told = fitted.predict(np.full((2, 3), np.nan))
    assert told.mean == pytest.approx(learnt.target.mean())
    assert told.std == pytest.approx(learnt.target.std())
    known = fitted.predict(sample(1).features)
    assert known.std is not None
    assert (known.std <= learnt.target.std() * 1.2).all()


def test_a_column_that_few_training_rows_have_is_left_out_rather_than_trusted() -> None:
    learnt = sample()
    features = learnt.features.copy()
    features[LEAST_ROWS - 1 :, 2] = np.nan
    few = Sample(learnt.columns, features, learnt.target, learnt.cell)
    fitted = fit_prepared(PROCESS_ON_KNOWN, few, few.columns, SETTING, 0)
    row = np.array([[0.8, 1.2, 0.64]])
    other = np.array([[0.8, 1.2, np.nan]])
    assert fitted.predict(row).mean == pytest.approx(fitted.predict(other).mean)


def test_rows_do_not_depend_on_what_they_are_asked_with() -> None:
    learnt, asked = sample(), sample(1)
    fitted = fit_prepared(PROCESS_ON_KNOWN, learnt, learnt.columns, SETTING, 0)
    together = fitted.predict(asked.features).mean
    alone = [float(fitted.predict(asked.features[k : k + 1]).mean[0]) for k in range(0, 200, 20)]
    assert together[::20] == pytest.approx(alone)


def test_only_an_algorithm_that_takes_gaps_gets_them() -> None:
    learnt = sample()
    gaps = fit_prepared(BOOSTED, learnt, learnt.columns, {"rounds": 20, "leaves": 4}, 0)
    filled = fit_prepared(named("ridge"), learnt, learnt.columns, {"penalty": 1.0}, 0)
    assert np.isnan(gaps.inputs(learnt.features)).sum() == np.isnan(learnt.features).sum()
    assert np.isfinite(filled.inputs(learnt.features)).all()
    assert np.isfinite(gaps.predict(learnt.features).mean).all()
