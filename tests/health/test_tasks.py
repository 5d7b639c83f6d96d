"""What the tasks of the catalogue hold, on the real files where they are."""

import numpy as np
import pytest

from cellwarden import datasets
from cellwarden.errors import UsageError
from cellwarden.health import tasks
from cellwarden.health.algorithms import named
from cellwarden.health.early_life import REPEATS
from cellwarden.health.scoring import evaluate, score
from cellwarden.health.task import Task

HERE = datasets.data_folder()
needs = {
    name: pytest.mark.skipif(
        not (HERE / name).is_dir(), reason=f"{name} is not there: set CELLWARDEN_DATA"
    )
    for name in ("severson_lfp", "soh_features", "pulsebat")
}


@pytest.fixture(scope="module")
def severson() -> Task:
    if not (HERE / "severson_lfp").is_dir():
        pytest.skip("severson_lfp is not there: set CELLWARDEN_DATA")
    return tasks.severson()


def test_severson_is_the_published_split(severson: Task) -> None:
    (fold,) = severson.folds
    assert (len(fold.train), len(fold.test)) == (41, 43)
    assert np.isfinite(severson.features).all()
    train = severson.target[list(fold.train)]
    assert (train.min(), train.max(), severson.target.min()) == (300, 2160, 148)


def test_the_mean_of_the_training_lives_errs_as_published(severson: Task) -> None:
    # BatteryML's dummy errs by 398 cycles on the same cells without the shortest-lived
    row = score(severson, "mean", evaluate(severson, [named("mean")]))
    assert row.rmse == pytest.approx(400, abs=10)


def test_a_life_told_by_what_was_chosen_on_training_cells_beats_the_variance_line(
    severson: Task,
) -> None:
    pair, line = (
        score(severson, name, evaluate(severson, [named(name)], repeat_count=2))
        for name in ("ridge and process", "variance line")
    )
    assert REPEATS > 2
    assert pair.rmse < 100 < line.rmse
    assert pair.coverage_low <= 0.9 <= pair.coverage_high


def test_the_shifted_task_learns_from_training_cells_alone(severson: Task) -> None:
    shifted = tasks.severson_shift()
    train = set(severson.folds[0].train)
    for fold in shifted.folds:
        assert set(fold.train) | set(fold.test) == train
    long, short = (severson.target[list(fold.test)] for fold in shifted.folds)
    assert long.min() == 559
    assert short.max() == 527


@needs["soh_features"]
@pytest.mark.parametrize(
    ("batch", "folds", "cells"), [("XJTU 2C", 6, 6), ("TJU D3_NCM_NCA", 1, 9), ("MIT", 1, 89)]
)
def test_a_batch_is_split_by_its_protocol(batch: str, folds: int, cells: int) -> None:
    made = tasks.soh(batch)
    assert (len(made.folds), len(made.cells)) == (folds, cells)
    assert 0.2 < made.target.min() < made.target.max() < 1.2
    assert "cycle_count" in made.columns
    assert "cycle_count" not in made.choices["charge"]
    for fold in made.folds:
        sample = made.training(fold)
        assert len(sample.target) <= made.fit_row_count
        assert not set(sample.cell.tolist()) & set(fold.test)


@needs["soh_features"]
def test_the_first_capacity_is_carried_to_every_row_but_its_own() -> None:
    made = tasks.soh("XJTU 2C")
    first = made.carried["first capacity"]
    own = made.cell == 0
    assert np.isnan(first[own][0])
    assert np.all(first[own][1:] == made.target[own][0])
    assert np.isfinite(first).sum() == len(first) - len(made.cells)


@needs["pulsebat"]
def test_pulses_leave_whole_batteries_out() -> None:
    made = tasks.pulses("NMC_2.1Ah")
    assert len(made.cells) == 10
    assert made.columns[0] == "soc_pct"
    assert sorted(one for fold in made.folds for one in fold.test) == list(range(10))


def test_a_batch_that_is_not_there_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="no batch"):
        tasks.soh("Severson")
