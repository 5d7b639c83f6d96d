"""How well an algorithm does on cells it never saw, with its interval, beside a naive one.

Rules
- Every row is told once or not at all, by what was tuned, fitted and calibrated on other cells.
- Errors are over rows; coverage is over cells, each the share of its rows inside, and its 95 %
  interval draws whole cells again (cluster bootstrap).
- The naive interval is what is often given: 1.645 standard deviations of the errors on the rows
  that were learnt from (for 90 %).

Source of the interval score: T. Gneiting and A. E. Raftery, J. Am. Stat. Assoc. 102, 359 (2007),
eq. 43.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final, Protocol

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import UsageError
from cellwarden.health.learner import Algorithm, Prepared, Told
from cellwarden.health.task import Task
from cellwarden.health.tuning import Tuned, by_cell, tune

__all__ = [
    "Answer", "Learnt", "Row", "Single", "answered", "carried", "evaluate", "interval_score",
    "pooled", "score", "together",
]  # fmt: skip

COVERAGE: Final = 0.9
_DRAWS: Final = 2000


class Learnt(Protocol):
    """What was tuned on the training cells of a fold: one candidate, or a mean of several."""

    @property
    def chosen(self) -> object:
        """What was chosen, for people."""
        ...

    @property
    def error(self) -> float:
        """Root mean squared error on training cells left out. [unit of what is learnt]"""
        ...

    @property
    def training_error(self) -> float:
        """Root mean squared error on what was learnt from. [unit of what is learnt]"""
        ...

    def predict(self, features: Float64[np.ndarray, "item column"]) -> Told:
        """Predictions. [unit of what is learnt]"""
        ...

    def interval(
        self, features: Float64[np.ndarray, "item column"], coverage: float
    ) -> tuple[Float64[np.ndarray, " item"], Float64[np.ndarray, " item"]]:
        """Where the truth lies. [unit of what is learnt]"""
        ...


@dataclass(frozen=True, slots=True)
class Single:
    """A fit of which no interval is made."""

    chosen: str
    fitted: Prepared
    error: float
    training_error: float

    @classmethod
    def of(cls, tuned: Tuned) -> "Single":
        """What was tuned, without its interval."""
        return cls(str(tuned.chosen), tuned.whole, tuned.error, tuned.training_error)

    def predict(self, features: Float64[np.ndarray, "item column"]) -> Told:
        """Predictions. [unit of what is learnt]"""
        return self.fitted.predict(features)

    def interval(
        self, features: Float64[np.ndarray, "item column"], _: float
    ) -> tuple[Float64[np.ndarray, " item"], Float64[np.ndarray, " item"]]:
        """None: not a number. [unit of what is learnt]"""
        return np.full(len(features), np.nan), np.full(len(features), np.nan)


@dataclass(frozen=True, slots=True)
class Answer:
    """Predictions of the rows that were tested, in the task's unit; NaN: no interval.

    `scale` is the spread that the fit states for a row, or else how far it erred on its own
    training cells left out.
    """

    row: Int64[np.ndarray, " item"]
    mean: Float64[np.ndarray, " item"]
    low: Float64[np.ndarray, " item"]
    high: Float64[np.ndarray, " item"]
    naive_low: Float64[np.ndarray, " item"]
    naive_high: Float64[np.ndarray, " item"]
    tuned: tuple[Learnt, ...] = ()
    scale: Float64[np.ndarray, " item"] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table. Errors, widths and interval scores are in the task's unit.

    `mape` and `coverage` are fractions. Numbers of the interval are NaN where there is none.
    """

    task: str
    who: str
    rmse: float
    mae: float
    mape: float
    r2: float
    coverage: float
    coverage_low: float
    coverage_high: float
    width: float
    interval_score: float
    naive_interval_score: float
    naive_coverage: float
    cell_count: int
    row_count: int
    chosen: tuple[str, ...] = ()


def evaluate(
    task: Task,
    algorithms: Sequence[Algorithm],
    *,
    seed: int = 0,
    repeat_count: int = 1,
    coverage: float = COVERAGE,
) -> Answer:
    """The test cells of every fold as told by what was tuned on its training cells. [unit]

    With several algorithms the choice among them is part of the tuning.
    """
    tuned = [
        tune(algorithms, task.training(fold), task.choices, seed, repeat_count)
        for fold in task.folds
    ]
    return answered(task, tuned, coverage)


def answered(task: Task, tuned: Sequence[Learnt], coverage: float = COVERAGE) -> Answer:
    """The test cells of every fold as told by what was tuned for it, in order. [unit]"""
    parts = []
    normal = NormalDist().inv_cdf(0.5 + coverage / 2)
    for fold, one in zip(task.folds, tuned, strict=True):
        rows = task.test_rows(fold)
        features = task.features[rows]
        given = one.predict(features)
        mean, scale = given.mean, given.std
        away = normal * one.training_error
        spans = (*one.interval(features, coverage), mean - away, mean + away)
        numbers = [task.natural(value) for value in (mean, *spans)]
        parts.append((rows, [*numbers, np.full(len(rows), one.error) if scale is None else scale]))
    told = np.concatenate([np.array(numbers) for _, numbers in parts], axis=1)
    row = np.concatenate([rows for rows, _ in parts])
    told[1:][~np.isfinite(told[1:])] = np.nan
    mean, low, high, naive_low, naive_high, scale = told
    return Answer(row, mean, low, high, naive_low, naive_high, tuple(tuned), scale)


def pooled(
    tasks: Sequence[Task], answers: Sequence[Answer], coverage: float = COVERAGE
) -> tuple[Answer, ...]:
    """The answers with intervals calibrated on the cells of the other tasks. [unit]

    For tasks of one kind with too few cells each. An error counts in units of the answer's scale,
    which knows of training cells alone; each cell of the other tasks was itself left out of the fit
    that told it, and no fit of another task saw the cell that the interval is for.

    Raises:
        UsageError: an answer does not say how far its fits err.
    """
    if any(one.scale is None for one in answers):
        raise UsageError("an answer without a scale", hint="Make it with `answered`.")
    sizes = [
        np.abs(one.mean - task.target[one.row]) / one.scale
        for task, one in zip(tasks, answers, strict=True)
    ]
    told = []
    for place, one in enumerate(answers):
        others = [k for k in range(len(answers)) if k != place]
        size = np.concatenate([sizes[k] for k in others])
        cell = np.concatenate(
            [tasks[k].cell[answers[k].row] + 10**6 * k for k in others]  # their own numbers
        )
        order = np.argsort(size, kind="stable")
        mass = np.cumsum(by_cell(cell)[order])
        at = int(np.searchsorted(mass, coverage - 1e-9))
        away = (size[order][at] if at < len(size) else np.nan) * np.asarray(one.scale)
        told.append(replace(one, low=one.mean - away, high=one.mean + away))
    return tuple(told)


def together(tasks: Sequence[Task], answers: Sequence[Answer]) -> tuple[Task, Answer]:
    """The cells of several tasks as one, to be scored; nothing is left to learn from. [unit]"""
    rows = np.cumsum([0, *(len(task.target) for task in tasks)])
    cells = np.cumsum([0, *(len(task.cells) for task in tasks)])
    whole = replace(
        tasks[0],
        name=tasks[0].name.rpartition(".")[0],
        protocol=f"{tasks[0].protocol}, {len(tasks)} batches together",
        columns=(),
        features=np.empty((rows[-1], 0)),
        folds=(),
        choices={},
        carried={},
        target=np.concatenate([task.target for task in tasks]),
        cell=np.concatenate([task.cell + at for task, at in zip(tasks, cells[:-1], strict=True)]),
        cells=tuple(f"{task.name}/{one}" for task in tasks for one in task.cells),
    )
    row = np.concatenate([one.row + at for one, at in zip(answers, rows[:-1], strict=True)])
    mean, low, high, naive_low, naive_high = (
        np.concatenate([getattr(one, name) for one in answers])
        for name in ("mean", "low", "high", "naive_low", "naive_high")
    )
    return whole, Answer(row, mean, low, high, naive_low, naive_high)


def carried(task: Task, name: str) -> Answer:
    """A ready prediction of the task on the rows that its folds test. [unit]"""
    row = np.concatenate([task.test_rows(fold) for fold in task.folds])
    row = row[np.isfinite(task.carried[name][row])]
    none = np.full(len(row), np.nan)
    return Answer(row, task.carried[name][row], none, none, none, none)


def score(task: Task, who: str, answer: Answer, coverage: float = COVERAGE) -> Row:
    """An answer against the truth. [unit]"""
    truth, cell = task.target[answer.row], task.cell[answer.row]
    away = answer.mean - truth
    spread = float(np.sum((truth - truth.mean()) ** 2))
    inside, naive = (
        _by_cell((low <= truth) & (truth <= high), cell, np.isfinite(low) & np.isfinite(high))
        for low, high in ((answer.low, answer.high), (answer.naive_low, answer.naive_high))
    )
    span = _bootstrap(inside)
    return Row(
        task=task.name,
        who=who,
        rmse=float(np.sqrt(np.mean(away**2))),
        mae=float(np.mean(np.abs(away))),
        mape=float(np.mean(np.abs(away) / np.abs(truth))),
        r2=1 - float(np.sum(away**2)) / spread if spread else float("nan"),
        coverage=float(inside.mean()),
        coverage_low=span[0],
        coverage_high=span[1],
        width=float(np.mean(answer.high - answer.low)),
        interval_score=interval_score(truth, answer.low, answer.high, coverage),
        naive_interval_score=interval_score(truth, answer.naive_low, answer.naive_high, coverage),
        naive_coverage=float(naive.mean()),
        cell_count=len(np.unique(cell)),
        row_count=len(truth),
        chosen=tuple(dict.fromkeys(str(one.chosen) for one in answer.tuned)),
    )


def interval_score(
    truth: Float64[np.ndarray, " item"],
    low: Float64[np.ndarray, " item"],
    high: Float64[np.ndarray, " item"],
    coverage: float,
) -> float:
    """Mean width plus what each miss costs; the smaller the better. [unit of the truth]"""
    cost = 2 / (1 - coverage) * (np.maximum(low - truth, 0) + np.maximum(truth - high, 0))
    return float(np.mean(high - low + cost))


def _by_cell(
    inside: np.ndarray, cell: Int64[np.ndarray, " item"], served: np.ndarray
) -> Float64[np.ndarray, " cell"]:
    """Share of each cell's rows inside; NaN for all where some row has no interval. [1]"""
    names, place = np.unique(cell, return_inverse=True)
    if not served.all():
        return np.full(len(names), np.nan)
    return np.asarray(np.bincount(place, weights=inside.astype(np.float64)) / np.bincount(place))


def _bootstrap(by_cell: Float64[np.ndarray, " cell"]) -> tuple[float, float]:
    """The middle 95 % of the mean over cells drawn again. [1]"""
    draw = np.random.default_rng(0).integers(0, len(by_cell), size=(_DRAWS, len(by_cell)))
    low, high = np.quantile(by_cell[draw].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
