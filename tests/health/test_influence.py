import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.health.gaussian import fit_gaussian_process, joint_covariance
from cellwarden.health.influence import influence, recall_at
from cellwarden.health.task import Sample


def made(seed: int = 0, cells: int = 20, rows: int = 3) -> Sample:
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(cells * rows, 2))
    target = features[:, 0] + np.sin(features[:, 1]) + 0.1 * draw.normal(size=cells * rows)
    return Sample(("a", "b"), features, target, np.repeat(np.arange(cells), rows))


def test_cells_with_wrong_labels_stand_first() -> None:
    sample = made()
    wrong = np.array([3, 11])
    sample.target[np.isin(sample.cell, wrong)] += 1.5
    told = influence(sample)
    assert set(told.ranked()[:2].tolist()) == {3, 11}
    assert recall_at(0.1, told.ranked(), wrong) == 1.0


def test_the_closed_form_is_that_of_leaving_the_cell_out() -> None:
    sample = made(cells=8)
    told = influence(sample)
    inputs = (sample.features - sample.features.mean(axis=0)) / sample.features.std(axis=0)
    process = fit_gaussian_process(inputs, sample.target)
    covariance = joint_covariance(inputs, process.settings[0])
    unit = (sample.target - process.centre) / process.scale
    own, others = np.flatnonzero(sample.cell == 5), np.flatnonzero(sample.cell != 5)
    gain = covariance[np.ix_(own, others)] @ np.linalg.inv(covariance[np.ix_(others, others)])
    away = unit[own] - gain @ unit[others]
    left = covariance[np.ix_(own, own)] - gain @ covariance[np.ix_(others, own)]
    assert told.score[5] == pytest.approx(away @ np.linalg.solve(left, away) / len(own))


def test_four_cells_cannot_judge_one_another() -> None:
    with pytest.raises(UsageError, match="4 cells"):
        influence(made(cells=4))
