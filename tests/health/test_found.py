"""Cells are known again by content; folds are of whole cells."""

import numpy as np
import pytest

from cellwarden.domain import Table
from cellwarden.errors import DataError, UsageError
from cellwarden.health.found import Found, known_again, marks_of, pooled, split
from cellwarden.health.own_table import Wish, find_in_table

RNG = np.random.default_rng(5)


def found(cell_count: int, *, name: str = "own", more: str = "volt") -> Found:
    rows = 6 * cell_count
    columns = {
        "cell": np.array([f"{name}{k}" for k in range(cell_count) for _ in range(6)], dtype=object),
        "soh": 1 - 0.1 * RNG.random(rows),
        more: RNG.normal(size=rows),
    }
    return find_in_table(Table(name, "facts", columns), "soh", Wish())


def test_a_cell_is_known_again_with_rows_missing_shuffled_and_rounded() -> None:
    rows = RNG.normal(size=(200, 4))
    cell = np.repeat([0, 1], 100)
    known = dict(zip("ab", marks_of(rows, cell, 2), strict=True))
    kept = RNG.permutation(100)[:70]
    fewer_digits = np.array([[float(f"{one:.7g}") for one in row] for row in rows[:100][kept]])
    (again,) = marks_of(fewer_digits, np.zeros(70, dtype=np.int64), 1)
    assert known_again(again, known) == "a"


def test_another_cell_is_not_taken_for_a_known_one() -> None:
    known = {"a": marks_of(RNG.normal(size=(50, 3)), np.zeros(50, dtype=np.int64), 1)[0]}
    (other,) = marks_of(RNG.normal(size=(50, 3)), np.zeros(50, dtype=np.int64), 1)
    assert known_again(other, known) is None
    assert known_again(frozenset(), known) is None


def test_a_life_has_one_row_and_is_known_by_it() -> None:
    rows = RNG.normal(size=(3, 5))
    marks = marks_of(rows, np.arange(3), 3)
    assert known_again(marks[1], dict(zip("abc", marks, strict=True))) == "b"


def test_few_cells_are_left_out_one_by_one_and_many_in_parts() -> None:
    few, words = split(found(4))
    assert len(few.folds) == 4
    assert "in turn" in words
    many, _ = split(found(15))
    assert len(many.folds) == 5
    assert sorted(k for fold in many.folds for k in fold.test) == list(range(15))


def test_two_cells_cannot_tell_of_a_third() -> None:
    with pytest.raises(DataError, match="2 cells") as caught:
        split(found(2))
    assert "at least 3" in caught.value.hint


def test_groups_with_the_same_columns_are_taken_together_and_others_refused() -> None:
    both = pooled([found(3, name="x"), found(2, name="y")], "both")
    assert len(both.task.cells) == len(both.marks) == 5
    assert set(both.task.cell.tolist()) == set(range(5))
    with pytest.raises(UsageError, match="different columns"):
        pooled([found(3), found(3, more="ampere")], "both")


def test_some_of_the_cells_keep_their_own_rows() -> None:
    whole = found(4)
    part = whole.only([1, 3])
    assert part.task.cells == ("own1", "own3")
    expected = whole.task.target[np.isin(whole.task.cell, [1, 3])]
    assert part.task.target.tolist() == expected.tolist()
    with pytest.raises(DataError, match="no cells are left"):
        whole.only([])
