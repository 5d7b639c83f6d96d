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
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.health.learner import Algorithm
from cellwarden.health.task import Task
from cellwarden.health.tuning import Tuned, tune

__all__ = ["Answer", "Row", "carried", "evaluate", "interval_score", "score"]

COVERAGE: Final = 0.9
_DRAWS: Final = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """Predictions of the rows that were tested, in the task's unit; NaN: no interval."""

    row: Int64[np.ndarray, " item"]
    mean: Float64[np.ndarray, " item"]
    low: Float64[np.ndarray, " item"]
    high: Float64[np.ndarray, " item"]
    naive_low: Float64[np.ndarray, " item"]
    naive_high: Float64[np.ndarray, " item"]
    tuned: tuple[Tuned, ...] = ()


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
    parts = []
    normal = NormalDist().inv_cdf(0.5 + coverage / 2)
    for fold in task.folds:
        tuned = tune(algorithms, task.training(fold), task.choices, seed, repeat_count)
        rows = task.test_rows(fold)
        features = task.features[rows]
        mean = tuned.predict(features).mean
        away = normal * tuned.training_error
        spans = (*tuned.interval(features, coverage), mean - away, mean + away)
        parts.append((rows, tuned, [task.natural(one) for one in (mean, *spans)]))
    told = np.concatenate([np.array(numbers) for *_, numbers in parts], axis=1)
    row = np.concatenate([rows for rows, *_ in parts])
    told[1:][~np.isfinite(told[1:])] = np.nan
    mean, low, high, naive_low, naive_high = told
    tuned_each = tuple(tuned for _, tuned, _ in parts)
    return Answer(row, mean, low, high, naive_low, naive_high, tuned_each)


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
