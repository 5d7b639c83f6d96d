"""A saved model is scored on cells it has not seen; a training cell is known whatever its name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cellwarden.domain import Table
from cellwarden.errors import UsageError
from cellwarden.health.algorithms import named
from cellwarden.health.comparison import Conclusion
from cellwarden.health.found import Found, split
from cellwarden.health.own_table import Wish, find_in_table
from cellwarden.health.portable import Portable
from cellwarden.health.task import Fold
from cellwarden.health.tuning import tune
from cellwarden.registry.making import Origin, gate, make, saved
from cellwarden.registry.portable_file import Label, encode_portable
from cellwarden.registry.shelf import open_portable
from cellwarden.registry.trial import tell_in_order, training_marks, try_out

ORIGIN = Origin("ours", "CC0", "nobody")


def cells(names: str, seed: int, *, more: float = 1.0, ordered: bool = False) -> Found:
    """A cell for each letter; two numbers tell its health, less well where `more` is small."""
    rng = np.random.default_rng(seed)
    rows = 10 * len(names)
    volt, ohm = rng.normal(size=(2, rows))
    columns = {
        "cell": np.array([one for one in names for _ in range(10)], dtype=object),
        "soh": 0.9 + more * (0.02 * volt + 0.01 * ohm) + 0.004 * rng.normal(size=rows),
        "volt": volt,
        "ohm": ohm,
    }
    if ordered:
        columns["cycle"] = np.tile(np.arange(1.0, 11.0), len(names))
    return find_in_table(Table("own", "facts", columns), "soh", Wish())


def model_of(found: Found) -> tuple[Portable, Label]:
    task, _ = split(found)
    sample = task.training(Fold("all", tuple(range(len(task.cells))), ()))
    tuned = tune([named("ridge")], sample, task.choices, 0)
    return saved("line", replace(found, task=task), tuned, ORIGIN)


TRAINING = cells("abcdefghijkl", 1)
MODEL, LABEL = model_of(TRAINING)


def joined(one: Found, other: Found, names: str) -> Found:
    """The cells of two tables under new names."""
    task = replace(
        one.task,
        features=np.concatenate([one.task.features, other.task.features]),
        target=np.concatenate([one.task.target, other.task.target]),
        cell=np.concatenate([one.task.cell, other.task.cell + len(one.task.cells)]),
        cells=tuple(names),
        carried={},
    )
    return replace(one, task=task, marks=one.marks + other.marks)


def test_new_cells_are_scored_overall_and_one_by_one() -> None:
    trial = try_out(MODEL, LABEL, [cells("uvwxyz", 2, ordered=True)])
    own, *others = trial.rows
    assert own.who == "line"
    assert own.rmse < 0.006
    assert own.cell_count == 6
    assert 0.5 < own.coverage <= 1
    assert all(own.rmse < other.rmse for other in others)
    assert [one.who for one in others] == ["mean of the training cells", "first value"]
    assert [one.cell for one in trial.cells] == list("uvwxyz")
    assert sum(one.row_count for one in trial.cells) == own.row_count


def test_a_training_cell_under_another_name_is_found_and_not_scored() -> None:
    trial = try_out(MODEL, LABEL, [joined(TRAINING.only([2, 5]), cells("xy", 3), "pqxy")])
    assert trial.known == (("p", "c"), ("q", "f"))
    assert [one.cell for one in trial.cells] == ["x", "y"]
    assert any("training cells and are not scored" in words for words in trial.warnings)


def test_nothing_is_scored_where_every_cell_was_learnt_from() -> None:
    with pytest.raises(UsageError, match="learnt from every one of these 12 cells"):
        try_out(MODEL, LABEL, [TRAINING])


def test_what_is_told_of_a_row_does_not_move_with_later_rows() -> None:
    fresh = cells("xyz", 4)
    whole = tell_in_order(MODEL, fresh)
    early = np.tile(np.arange(10) < 6, 3)
    changed = fresh.task.features.copy()
    changed[~early] = np.random.default_rng(0).normal(size=changed[~early].shape)
    other = tell_in_order(MODEL, replace(fresh, task=replace(fresh.task, features=changed)))
    assert whole.mean[early].tolist() == other.mean[early].tolist()
    assert whole.low[early].tolist() == other.low[early].tolist()


def test_a_model_is_tried_on_another_group_only_where_that_is_said() -> None:
    other = replace(cells("xyz", 4), group="elsewhere")
    with pytest.raises(UsageError, match="is for own, and here are elsewhere") as caught:
        try_out(MODEL, LABEL, [other])
    assert "--group" in caught.value.hint
    assert try_out(MODEL, LABEL, [other], "elsewhere").rows[0].cell_count == 3


def test_cells_without_the_columns_or_the_unit_are_refused() -> None:
    fresh = cells("xyz", 4)
    renamed = replace(fresh.task, columns=("ampere", "ohm"))
    with pytest.raises(UsageError, match="needs volt"):
        try_out(MODEL, LABEL, [replace(fresh, task=renamed)])
    with pytest.raises(UsageError, match="in Ah") as caught:
        try_out(MODEL, LABEL, [replace(fresh, task=replace(fresh.task, unit="Ah"))])
    assert "--nominal" in caught.value.hint


def test_the_marks_on_a_card_are_those_of_the_cells() -> None:
    assert training_marks(LABEL) == dict(zip(TRAINING.task.cells, TRAINING.marks, strict=True))


def test_a_model_is_made_with_nested_scores_and_those_of_stated_test_cells() -> None:
    found = cells("abcdefghijkl", 6)
    stated = dict.fromkeys("abcdefghij", "train") | dict.fromkeys("kl", "test")
    made = make("line", replace(found, split=stated), [named("ridge")], ORIGIN)
    assert [row.cell_count for row in (made.nested[0], made.tested[0])] == [10, 2]
    assert set(training_marks(made.label)) == set("abcdefghij")
    told = dict(made.label.scores)
    assert told["model; test cells (2 cells); RMSE"] < 0.006
    assert told["model; training cells, nested (10 cells); RMSE"] == pytest.approx(
        made.nested[0].rmse, rel=1e-5
    )


def test_making_a_model_twice_gives_the_same_bytes() -> None:
    found = cells("abcdefgh", 6)
    one, other = (make("line", found, [named("ridge")], ORIGIN) for _ in range(2))
    assert encode_portable(one.model, one.label) == encode_portable(other.model, other.label)


def test_a_model_that_may_be_no_better_than_its_baselines_is_not_made() -> None:
    with pytest.raises(UsageError, match="does not surely beat"):
        make("noise", cells("abcdefghijkl", 7, more=0.0), [named("SVR")], ORIGIN)


def test_a_model_that_a_baseline_beats_on_test_cells_is_not_made() -> None:
    trial = try_out(MODEL, LABEL, [cells("uvw", 2)])
    own, *rivals = (replace(row, who="model") if row.who == "line" else row for row in trial.rows)
    sure = Conclusion("line", "mean", sure=True, words="")
    gate("line", sure, [own, *rivals])
    with pytest.raises(UsageError, match="on test cells"):
        gate("line", sure, [replace(own, rmse=float("nan")), *rivals])


def test_a_saved_file_tells_what_the_fit_told(tmp_path: Path) -> None:
    file = tmp_path / "line.cbor"
    file.write_bytes(encode_portable(MODEL, LABEL))
    model, label, digest = open_portable(file)
    assert label == LABEL
    fresh = cells("xyz", 4)
    assert tell_in_order(model, fresh).mean.tolist() == tell_in_order(MODEL, fresh).mean.tolist()
    assert open_portable(file, digest)[2] == digest
    with pytest.raises(UsageError, match="is not there"):
        open_portable(tmp_path / "none.cbor")
