"""The choice is made inside each fold, and nothing is named that does not beat its baselines."""

import numpy as np
import pytest

from cellwarden.domain import Table
from cellwarden.errors import UsageError
from cellwarden.health.algorithms import named
from cellwarden.health.comparison import (
    CHOICE,
    algorithms_for,
    baseline_answers,
    cannot_tell,
    choice_of,
    conclude,
    rows_of,
    together,
    told_by_fold,
)
from cellwarden.health.found import split
from cellwarden.health.own_table import Wish, find_in_table
from cellwarden.health.scoring import Answer, evaluate
from cellwarden.health.task import Task


def made(cell_count: int, told: float, *, ordered: bool = False) -> Task:
    """Cells whose health is `told` times a voltage and noise; with an order age is a baseline."""
    rng = np.random.default_rng(2)
    rows = 8 * cell_count
    volt = rng.normal(size=rows)
    columns = {
        "cell": np.repeat(np.arange(float(cell_count)), 8),
        "soh": 0.9 + 0.02 * told * volt + 0.005 * rng.normal(size=rows),
        "volt": volt,
    }
    if ordered:
        columns["cycle"] = np.tile(np.arange(1.0, 9.0), cell_count)
    return split(find_in_table(Table("own", "facts", columns), "soh", Wish()))[0]


def compared(task: Task, names: tuple[str, ...]) -> tuple[dict[str, Answer], dict[str, Answer]]:
    algorithms = algorithms_for("soh", task, names)
    parts = {one.name: list(told_by_fold(task, one)) for one in algorithms}
    answers = {name: together(own) for name, own in parts.items()}
    answers[CHOICE] = choice_of({name: parts[name] for name in names})
    baselines = baseline_answers(task, answers)
    return answers | baselines, baselines


def test_the_choice_is_that_of_tuning_among_all_at_once() -> None:
    task = made(6, 1.0)
    answers, _ = compared(task, ("ridge", "PLSR"))
    whole = evaluate(task, [named("ridge"), named("PLSR")])
    assert answers[CHOICE].mean.tolist() == whole.mean.tolist()
    assert answers[CHOICE].low.tolist() == pytest.approx(whole.low.tolist(), nan_ok=True)


def test_an_algorithm_that_measures_something_is_named() -> None:
    task = made(8, 1.0)
    answers, baselines = compared(task, ("ridge",))
    end = conclude(task, answers, baselines, "ridge")
    assert (end.algorithm, end.sure) == ("ridge", True)
    assert "Take ridge" in end.words
    assert rows_of(task, answers)[0].rmse < 0.01


def test_noise_names_no_algorithm() -> None:
    task = made(8, 0.0)
    answers, baselines = compared(task, ("SVR",))
    end = conclude(task, answers, baselines, "SVR")
    assert not end.sure
    assert end.algorithm == "" or "might not" in end.words


def test_a_few_cells_are_sure_of_nothing_and_the_words_say_so() -> None:
    task = made(4, 1.0, ordered=True)
    answers, baselines = compared(task, ("ridge",))
    assert set(baselines) == {"mean", "cycle index only", "first value"}
    end = conclude(task, answers, baselines, "ridge")
    assert (end.algorithm, end.sure) == ("ridge", False)
    assert "more cells" in end.words
    words = " ".join(cannot_tell(task))
    assert "learns from 3 cells: a 90% interval takes 9" in words
    assert not cannot_tell(made(40, 1.0))


def test_an_algorithm_that_does_not_fit_is_refused_with_its_reason() -> None:
    task = made(4, 1.0)
    with pytest.raises(UsageError, match="variance line needs"):
        algorithms_for("soh", task, ["variance line"])
    with pytest.raises(UsageError, match="no algorithm 'magic'"):
        algorithms_for("soh", task, ["magic"])
