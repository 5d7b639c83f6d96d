import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.errors import DataError, UsageError
from cellwarden.health.task import Fold, Task, grouped_folds, leave_one_out


def task(folds: tuple[Fold, ...], rows_a_cell: int = 3, most: int = 600, **more: bool) -> Task:
    cell = np.repeat(np.arange(4), rows_a_cell)
    return Task(
        name="made",
        unit="1",
        target_name="what was made",
        protocol="made",
        columns=("a", "b"),
        features=np.arange(2.0 * len(cell)).reshape(-1, 2),
        target=1.0 + np.arange(len(cell)),
        cell=cell,
        cells=("w", "x", "y", "z"),
        folds=folds,
        fit_row_count=most,
        **more,
    )


def test_a_cell_that_is_trained_on_and_tested_is_refused() -> None:
    with pytest.raises(UsageError, match="x is trained on and tested"):
        task((Fold("leaks", (0, 1), (1, 2)),))


def test_features_that_do_not_fit_their_names_are_refused() -> None:
    good = task(())
    with pytest.raises(DataError, match="features are"):
        Task(
            "made", "1", "t", "p", ("a",), good.features, good.target, good.cell, good.cells, ()
        )  # fmt: skip


@pytest.mark.parametrize(("bad", "logarithmic"), [(np.nan, False), (0.0, True), (-1.0, True)])
def test_a_target_that_cannot_be_learnt_is_refused(bad: float, *, logarithmic: bool) -> None:
    target = np.array([1.0, bad])
    with pytest.raises(DataError, match="target"):
        Task(
            "made", "1", "t", "p", ("a",), np.ones((2, 1)), target, np.arange(2), ("x", "y"), (),
            logarithmic=logarithmic,
        )  # fmt: skip


@given(st.integers(2, 30), st.integers(2, 6), st.integers(0, 99))
def test_grouped_folds_test_every_cell_once_and_never_train_on_it(
    cells: int, count: int, seed: int
) -> None:
    names = tuple(map(str, range(cells)))
    if count > cells:
        with pytest.raises(UsageError):
            grouped_folds(names, count, seed)
        return
    folds = grouped_folds(names, count, seed)
    assert sorted(one for fold in folds for one in fold.test) == list(range(cells))
    assert all(set(fold.train) | set(fold.test) == set(range(cells)) for fold in folds)
    assert not any(set(fold.train) & set(fold.test) for fold in folds)
    assert max(len(f.test) for f in folds) - min(len(f.test) for f in folds) <= 1


def test_leaving_one_out_leaves_each_cell_out_once() -> None:
    folds = leave_one_out(("x", "y", "z"))
    assert [fold.test for fold in folds] == [(0,), (1,), (2,)]
    assert [fold.train for fold in folds] == [(1, 2), (0, 2), (0, 1)]


def test_a_training_sample_holds_rows_of_training_cells_alone() -> None:
    fold = Fold("f", (0, 2), (1, 3))
    made = task((fold,))
    sample = made.training(fold)
    assert set(sample.cell.tolist()) == {0, 2}
    assert set(made.test_rows(fold).tolist()) == set(range(3, 6)) | set(range(9, 12))


def test_what_is_learnt_of_a_life_is_its_logarithm() -> None:
    fold = Fold("f", (0, 2), (1, 3))
    made = task((fold,), logarithmic=True)
    sample = made.training(fold)
    assert made.natural(sample.target) == pytest.approx(made.target[np.isin(made.cell, [0, 2])])


def test_of_too_many_rows_each_cell_gives_the_same_number_from_equal_parts() -> None:
    fold = Fold("f", (0, 1, 2), (3,))
    sample = task((fold,), rows_a_cell=50, most=30).training(fold)
    assert np.bincount(sample.cell).tolist() == [10, 10, 10]
    assert np.diff(sample.target[:10]).tolist() == [5.0] * 9
    assert sample.target[0] - 1.0 == 150.0 - sample.target[-1]  # as far from either end
    assert sample.target[0] == 3.0


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    fold = Fold("f", (0,), (1,))
    sample = task((fold,)).training(fold)
    assert sample.only(("b",)).features.shape == (3, 1)
    with pytest.raises(UsageError, match="no column c") as caught:
        sample.only(("c",))
    assert "a, b" in caught.value.hint
