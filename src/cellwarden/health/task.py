"""A thing to predict: rows of named numbers, whose cell each is, which cells may be learnt from.

Rules
- A cell is in training or in test of a fold, never in both; a task that says otherwise is refused.
- What learns gets a `Sample` of training rows; of test rows it gets the features alone.
- A cell that had not failed when it was last seen is censored: its target is a least value. Only an
  algorithm that knows what that means gets its rows; the others learn without them.
- A task whose errors multiply (a life, in cycles) is learnt as a decimal logarithm.
- `choices` are sets of columns that tuning may take; every algorithm has the same ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.errors import DataError, UsageError

__all__ = ["Fold", "Sample", "Task", "grouped_folds", "leave_one_out"]


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows to learn from; `target` is on the scale that is learnt. [1]

    Of a row that is `censored` the target is a least value; None: no row is.
    """

    columns: tuple[str, ...]
    features: Float64[np.ndarray, "row column"]
    target: Float64[np.ndarray, " row"]
    cell: Int64[np.ndarray, " row"]
    logarithmic: bool = False
    censored: Bool[np.ndarray, " row"] | None = None

    def rows(self, chosen: np.ndarray) -> "Sample":
        """Some of the rows, by number or by mask."""
        return replace(
            self,
            features=self.features[chosen],
            target=self.target[chosen],
            cell=self.cell[chosen],
            censored=None if self.censored is None else self.censored[chosen],
        )

    def places(self, names: tuple[str, ...]) -> Int64[np.ndarray, " column"]:
        """Where these columns are. [1]

        Raises:
            UsageError: there is no such column.
        """
        for name in names:
            if name not in self.columns:
                raise UsageError(
                    f"there is no column {name}", hint=f"There are {', '.join(self.columns)}."
                )
        return np.array([self.columns.index(name) for name in names], dtype=np.int64)

    def only(self, names: tuple[str, ...]) -> "Sample":
        """Some of the columns.

        Raises:
            UsageError: there is no such column.
        """
        return replace(self, columns=names, features=self.features[:, self.places(names)])


@dataclass(frozen=True, slots=True)
class Fold:
    """Numbers of the cells to learn from and of those to be tested on."""

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """What is predicted from what, and how it is to be scored.

    `target` is in `unit`; `cell` numbers `cells`. `carried` holds ready predictions that need no
    learning, such as the last value measured, to be scored beside. Rows of cells that had not
    failed are `censored` and never tested. At most `fit_row_count` rows of a fold are learnt from,
    evenly over each cell, so that every algorithm has the same ones.
    """

    name: str
    unit: str
    target_name: str
    protocol: str
    columns: tuple[str, ...]
    features: Float64[np.ndarray, "row column"]
    target: Float64[np.ndarray, " row"]
    cell: Int64[np.ndarray, " row"]
    cells: tuple[str, ...]
    folds: tuple[Fold, ...]
    logarithmic: bool = False
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    carried: Mapping[str, Float64[np.ndarray, " row"]] = field(default_factory=dict)
    fit_row_count: int = 600
    censored: Bool[np.ndarray, " row"] | None = None

    def __post_init__(self) -> None:
        if self.features.shape != (len(self.target), len(self.columns)):
            raise DataError(
                f"{self.name}: features are {self.features.shape}, not"
                f" {(len(self.target), len(self.columns))}",
                hint="Give a row a target and a column a name.",
            )
        if not np.isfinite(self.target).all() or (self.logarithmic and (self.target <= 0).any()):
            raise DataError(
                f"{self.name}: a target that is no number", hint="Leave rows without one out."
            )
        if self.censored is not None:
            tested = {one for fold in self.folds for one in fold.test}
            if np.isin(self.cell[self.censored], list(tested)).any():
                raise UsageError(
                    f"{self.name}: a censored cell is tested",
                    hint="Its end is not known: train on it.",
                )
        for fold in self.folds:
            if shared := set(fold.train) & set(fold.test):
                raise UsageError(
                    f"{self.name}, {fold.name}: {self.cells[min(shared)]} is trained on and tested",
                    hint="Split by whole cells.",
                )

    def training(self, fold: Fold) -> Sample:
        """Rows of the cells that may be learnt from."""
        rows = np.flatnonzero(np.isin(self.cell, fold.train))
        target = np.log10(self.target) if self.logarithmic else self.target
        whole = Sample(
            self.columns, self.features, target, self.cell, self.logarithmic, self.censored
        )
        return whole.rows(_thin(rows, self.cell[rows], self.fit_row_count))

    def test_rows(self, fold: Fold) -> Int64[np.ndarray, " item"]:
        """Numbers of the rows that a fold tests. [1]"""
        return np.flatnonzero(np.isin(self.cell, fold.test))

    def natural(self, learnt: Float64[np.ndarray, " item"]) -> Float64[np.ndarray, " item"]:
        """From the scale that is learnt to `unit`. [unit]"""
        return np.asarray(10.0**learnt if self.logarithmic else learnt)


def leave_one_out(cells: tuple[str, ...]) -> tuple[Fold, ...]:
    """A fold for each cell."""
    every = range(len(cells))
    return tuple(
        Fold(f"without {name}", tuple(k for k in every if k != one), (one,))
        for one, name in enumerate(cells)
    )


def grouped_folds(cells: tuple[str, ...], count: int, seed: int) -> tuple[Fold, ...]:
    """Whole cells dealt into folds by a seed.

    Raises:
        UsageError: fewer cells than folds.
    """
    if not 2 <= count <= len(cells):  # noqa: PLR2004  one to learn from, one to test
        raise UsageError(
            f"{len(cells)} cells cannot be dealt into {count} folds", hint="Use fewer folds."
        )
    order = np.random.default_rng(seed).permutation(len(cells)).tolist()
    return tuple(
        Fold(
            f"{k + 1} of {count}",
            tuple(sorted(one for at, one in enumerate(order) if at % count != k)),
            tuple(sorted(order[k::count])),
        )
        for k in range(count)
    )


def _thin(
    rows: Int64[np.ndarray, " row"], cell: Int64[np.ndarray, " row"], most: int
) -> Int64[np.ndarray, " item"]:
    """At most about `most` rows, the same number of each cell, evenly over its rows. [1]

    Each is the middle of an equal part of the cell's rows, so that errors on them are those on all:
    with few rows a cell, its very first and last ones would count for far more than they are.
    """
    if len(rows) <= most:
        return rows
    names = np.unique(cell)
    share = max(most // len(names), 2)
    kept = []
    for one in names:
        own = rows[cell == one]
        count = min(share, len(own))
        at = ((np.arange(count) + 0.5) * len(own) / count).astype(np.int64)
        kept.append(own[at])
    return np.concatenate(kept)
