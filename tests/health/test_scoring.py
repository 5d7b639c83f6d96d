from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import named
from cellwarden.health.scoring import (
    Answer,
    Single,
    answered,
    carried,
    evaluate,
    interval_score,
    pooled,
    score,
    together,
)  # fmt: skip
from cellwarden.health.task import Task, leave_one_out
from cellwarden.health.tuning import tune


def task(seed: int = 0, cells: int = 12) -> Task:
    draw = np.random.default_rng(seed)
    cell = np.repeat(np.arange(cells), 5)
    features = draw.normal(size=(len(cell), 2))
    names = tuple(map(str, range(cells)))
    return Task(
        name="made",
        unit="1",
        target_name="made",
        protocol="leave one out",
        columns=("a", "b"),
        features=features,
        target=2.0 + 0.3 * features[:, 0] + 0.05 * draw.normal(size=len(cell)),
        cell=cell,
        cells=names,
        folds=leave_one_out(names),
        carried={"two": np.where(np.arange(len(cell)) % 5, 2.0, np.nan)},
    )


@settings(max_examples=10)
@given(st.integers(0, 11), st.floats(-100, 100))
def test_what_becomes_of_a_test_cell_never_moves_its_prediction(one: int, moved: float) -> None:
    made = task()
    fold = (made.folds[one],)
    other = replace(made, folds=fold, target=np.where(made.cell == one, 500.0 + moved, made.target))
    before, after = (evaluate(t, [named("ridge")]) for t in (replace(made, folds=fold), other))
    assert np.array_equal(before.mean, after.mean)
    assert np.array_equal([before.low, before.high], [after.low, after.high])


def test_every_row_is_told_once_and_scored_in_the_tasks_unit() -> None:
    made = task()
    answer = evaluate(made, [named("ridge")])
    assert sorted(answer.row.tolist()) == list(range(len(made.target)))
    row = score(made, "ridge", answer)
    assert row.rmse < 0.1
    assert row.r2 > 0.9
    assert row.mape == pytest.approx(row.mae / 2, rel=0.3)
    assert (row.cell_count, row.row_count) == (12, 60)
    assert row.coverage_low <= row.coverage <= row.coverage_high
    assert row.width > 0


def test_errors_are_what_their_names_say() -> None:
    made = task(cells=2)
    truth = made.target
    rows = np.arange(len(truth))
    answer = Answer(rows, truth + np.where(rows % 2, 0.1, -0.3), *(np.full((4, 10), np.nan)))
    row = score(made, "known", answer)
    assert row.mae == pytest.approx(0.2)
    assert row.rmse == pytest.approx(np.sqrt(0.05))
    assert np.isnan(row.coverage)


def test_coverage_counts_cells_alike_however_many_rows_they_have() -> None:
    made = task(cells=2)
    keep = np.array([0, 1, 2, 3, 4, 5])  # five rows of one cell, one of the other
    truth = made.target[keep]
    low, high = truth - 1, truth + np.where(made.cell[keep] == 0, 1, -0.5)
    answer = Answer(keep, truth, low, high, low, high)
    assert score(made, "known", answer).coverage == 0.5


def test_a_ready_prediction_is_scored_where_there_is_one() -> None:
    made = task()
    answer = carried(made, "two")
    assert len(answer.row) == 48
    assert np.all(answer.mean == 2.0)
    assert score(made, "two", answer).r2 < 0.1


def test_the_interval_score_pays_for_width_and_for_misses() -> None:
    truth = np.array([0.0, 3.0])
    low, high = np.full(2, -1.0), np.full(2, 1.0)
    # both are 2 wide; one misses by 2, which costs 2/(1 - 0.9) each unit
    assert interval_score(truth, low, high, 0.9) == pytest.approx(2 + 0.5 * 20 * 2)


def test_the_naive_interval_of_trees_that_know_their_rows_by_heart_covers_too_little() -> None:
    made = task()
    row = score(
        made, "trees", evaluate(replace(made, folds=made.folds[:6]), [named("extra trees")])
    )
    assert row.naive_coverage < row.coverage
    assert row.interval_score < row.naive_interval_score


def six() -> tuple[list[Task], list[Answer]]:
    tasks = [replace(task(seed, cells=6), name=f"made.{seed}") for seed in range(6)]
    return tasks, [evaluate(one, [named("ridge")]) for one in tasks]


def test_cells_of_the_other_tasks_give_an_interval_where_a_tasks_own_are_too_few() -> None:
    tasks, answers = six()
    assert all(np.isnan(one.low).all() for one in answers)
    told = pooled(tasks, answers)
    whole, answer = together(tasks, list(told))
    row = score(whole, "pooled", answer)
    assert (row.cell_count, row.task) == (36, "made")
    assert row.coverage_low <= 0.9 <= row.coverage_high
    assert np.isnan(pooled(tasks[:2], answers[:2])[0].low).all()  # six cells are too few


def test_an_interval_from_other_tasks_never_depends_on_the_tasks_own_truth() -> None:
    tasks, answers = six()
    moved = [replace(tasks[0], target=tasks[0].target + 50), *tasks[1:]]
    before, after = pooled(tasks, answers)[0], pooled(moved, answers)[0]
    assert np.array_equal(before.low, after.low)
    assert np.array_equal(before.high, after.high)


def test_an_answer_that_does_not_say_how_far_it_errs_cannot_be_pooled() -> None:
    tasks, answers = six()
    with pytest.raises(UsageError, match="scale"):
        pooled(tasks, [replace(answers[0], scale=None), *answers[1:]])


def test_a_single_fit_has_no_interval() -> None:
    made = task()
    tuned = [tune([named("ridge")], made.training(fold), {}, 0) for fold in made.folds]
    row = score(made, "alone", answered(made, [Single.of(one) for one in tuned]))
    assert np.isnan(row.coverage)
    assert row.rmse == score(made, "ridge", evaluate(made, [named("ridge")])).rmse
