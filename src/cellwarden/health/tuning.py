"""Choosing among algorithms, columns and settings by cross-validation on training cells alone.

Rules
- Whole cells are left out, in `FOLDS` folds, each way of dealing them a repeat. No cell under test
  has a part in it: not in the choice, the preparation of inputs, the fit or the interval.
- The rule is fixed before a test is read: the candidate whose geometric mean of two errors is the
  smallest is taken, the root mean squared error on the scale that is learnt, where every cell
  counts alike, and the one in the task's unit, where the large ones do. Of a target that is no
  logarithm the two are one.
- A censored row counts as an error where it is told to end before it was last seen. It has no part
  in the interval, which therefore is for cells like those whose end was seen.
- The interval is that of cross-validation+: each training row gives, around the prediction of the
  fold that left its cell out, its own error there. Errors are measured in the standard deviation
  that the algorithm states, where it states one. Cells weigh alike; one share belongs to the new
  cell and is taken as infinite, so too few cells give an infinite interval.

Source: R. F. Barber et al., Ann. Statist. 49, 486 (2021), doi 10.1214/20-AOS1965 (CV+); Y. Lee,
R. F. Barber, R. Willett, arXiv 2306.06342 (rows of a cell share its weight). The coverage is then
at least 1 - 2(1 - coverage) whatever the errors, and near the stated one in practice; the choice
was made on the same folds, which the theorem does not cover, so it is measured as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import Explanation
from cellwarden.errors import UsageError
from cellwarden.health.explain import contributions
from cellwarden.health.learner import Algorithm, Prepared, Setting, Told, fit_prepared
from cellwarden.health.task import CURVE, Fold, Sample, grouped_folds

__all__ = ["FOLDS", "Candidate", "Tuned", "tune"]

FOLDS: Final = 5
_AT_A_TIME: Final = 2000


@dataclass(frozen=True, slots=True)
class Candidate:
    """One algorithm with one choice of columns and one setting, and its errors when left out.

    `error` is the root mean squared error on the scale that is learnt, `natural_error` in the
    task's unit, a mean over cells and repeats.
    """

    algorithm: Algorithm
    choice: str
    columns: tuple[str, ...]
    setting: Setting
    error: float = float("nan")
    natural_error: float = float("nan")

    def __str__(self) -> str:
        """Algorithm, choice and setting on one line."""
        told = ", ".join(f"{name} {value:g}" for name, value in self.setting.items())
        return "; ".join(part for part in (self.algorithm.name, self.choice, told) if part)


@dataclass(frozen=True, slots=True)
class _Crossed:
    """A candidate with its errors, and the folds of the first repeat."""

    candidate: Candidate
    parts: tuple[Prepared, ...]
    part: Int64[np.ndarray, " row"]
    size: Float64[np.ndarray, " row"]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The chosen candidate fitted to all training rows, with its interval and all others' errors.

    `parts` are the fits that left cells out, `part` says which one left out each row and `size` is
    that row's error there. `training_error` is the root mean squared error on what was learnt from.
    """

    chosen: Candidate
    tried: tuple[Candidate, ...]
    whole: Prepared
    parts: tuple[Prepared, ...]
    part: Int64[np.ndarray, " row"]
    size: Float64[np.ndarray, " row"]
    weight: Float64[np.ndarray, " row"]
    training_error: float

    def predict(self, features: Float64[np.ndarray, "item column"]) -> Told:
        """Predictions of the fit to all rows. [unit of the target]"""
        return self.whole.predict(features)

    def interval(
        self, features: Float64[np.ndarray, "item column"], coverage: float
    ) -> tuple[Float64[np.ndarray, " item"], Float64[np.ndarray, " item"]]:
        """Where the truth lies, with at least about the stated chance. [unit of the target]

        Raises:
            UsageError: the coverage is none.
        """
        if not 0 < coverage < 1:
            raise UsageError(
                f"coverage must lie between 0 and 1, not {coverage}", hint="Give for example 0.9."
            )
        low, high = np.empty((2, len(features)))
        for start in range(0, len(features), _AT_A_TIME):
            rows = slice(start, start + _AT_A_TIME)
            mean, width = np.empty((2, len(features[rows]), len(self.size)))
            for place, part in enumerate(self.parts):
                told, own = part.predict(features[rows]), self.part == place
                mean[:, own] = told.mean[:, None]
                width[:, own] = _unit(told)[:, None] * self.size[own]
            high[rows] = _reached(mean + width, self.weight, coverage)
            low[rows] = -_reached(width - mean, self.weight, coverage)
        return low, high

    def explain(self, features: Float64[np.ndarray, " column"]) -> Explanation:
        """What each column moved one prediction from that at the training medians.

        Exact Shapley values: base and contributions add up to `predict`. [unit of the target]
        """
        usual = features.astype(np.float64)
        usual[self.whole.taken] = self.whole.fill
        at = self.whole.taken

        def told(parts: Float64[np.ndarray, "item column"]) -> Float64[np.ndarray, " item"]:
            rows = np.repeat(usual[None, :], len(parts), axis=0)
            rows[:, at] = parts
            return self.whole.predict(rows).mean

        base, moved = contributions(told, features[at], usual[at])
        return Explanation(base, self.chosen.columns, tuple(features[at].tolist()), moved)


def tune(
    algorithms: Sequence[Algorithm],
    sample: Sample,
    choices: Mapping[str, tuple[str, ...]],
    seed: int,
    repeat_count: int = 1,
) -> Tuned:
    """The best candidate of these algorithms, by the rule above, fitted. [unit of the target]

    Raises:
        UsageError: fewer than two cells, or no algorithm can be run.
    """
    cells = np.unique(sample.cell)
    names = tuple(str(cell) for cell in cells)
    dealt = [
        grouped_folds(names, min(FOLDS, len(names)), seed + repeat)
        for repeat in range(repeat_count)
    ]
    crossed = [
        _cross(candidate, sample, cells, dealt, seed)
        for algorithm in algorithms
        for candidate in _candidates(algorithm, sample, choices)
    ]
    if not crossed:
        raise UsageError(
            "no algorithm can be run on these columns", hint="See Algorithm.missing for the reason."
        )
    best = min(crossed, key=lambda one: one.candidate.error * one.candidate.natural_error)
    chosen = best.candidate
    whole = fit_prepared(chosen.algorithm, sample, chosen.columns, chosen.setting, seed)
    seen = np.ones(len(sample.cell), dtype=bool) if sample.censored is None else ~sample.censored
    named, place = np.unique(sample.cell[seen], return_inverse=True)
    weight = np.zeros(len(sample.cell))
    weight[seen] = 1 / (len(named) + 1) / np.bincount(place)[place]
    away = (whole.predict(sample.features).mean - sample.target)[seen]
    return Tuned(
        chosen=chosen,
        tried=tuple(one.candidate for one in crossed),
        whole=whole,
        parts=best.parts,
        part=best.part,
        size=best.size,
        weight=weight,
        training_error=float(np.sqrt(np.mean(away**2))),
    )


def _candidates(
    algorithm: Algorithm, sample: Sample, choices: Mapping[str, tuple[str, ...]]
) -> list[Candidate]:
    if algorithm.missing(sample.columns, choices):
        return []
    # An emphasis is on long lives: without a logarithm it changes nothing and is not tried again.
    tables = {name: columns for name, columns in choices.items() if name != CURVE}
    offered = {"": algorithm.columns} if algorithm.columns else tables or {"": sample.columns}
    if algorithm.reads_curve:
        offered = {CURVE: choices[CURVE]}
    return [
        Candidate(algorithm, choice, columns, setting)
        for choice, columns in offered.items()
        for setting in algorithm.settings
        if sample.logarithmic or not any(x for name, x in setting.items() if "emphasis" in name)
    ]


def _cross(
    candidate: Candidate,
    sample: Sample,
    cells: Int64[np.ndarray, " cell"],
    dealt: Sequence[tuple[Fold, ...]],
    seed: int,
) -> _Crossed:
    place = np.searchsorted(cells, sample.cell)
    squares, natural = np.zeros((2, len(sample.target)))
    parts: list[Prepared] = []
    part = np.zeros(len(sample.target), dtype=np.int64)
    size = np.zeros(len(sample.target))
    for repeat, folds in enumerate(dealt):
        for number, fold in enumerate(folds):
            out = np.isin(place, fold.test)
            fitted = fit_prepared(
                candidate.algorithm, sample.rows(~out), candidate.columns, candidate.setting, seed
            )
            told = fitted.predict(sample.features[out])
            # A cell that outlived its record is told wrong only where it is told to end within it.
            mean = told.mean
            if sample.censored is not None:
                least = sample.target[out]
                mean = np.where(sample.censored[out] & (mean > least), least, mean)
            away = mean - sample.target[out]
            squares[out] += away**2
            both = (mean, sample.target[out])
            if sample.logarithmic:
                both = (10.0 ** both[0], 10.0 ** both[1])
            natural[out] += (both[0] - both[1]) ** 2
            if repeat == 0:
                parts.append(fitted)
                part[out], size[out] = number, np.abs(away) / _unit(told)
    error, natural_error = (
        float(np.sqrt(np.mean(np.bincount(place, weights=one) / np.bincount(place)) / len(dealt)))
        for one in (squares, natural)
    )
    scored = replace(candidate, error=error, natural_error=natural_error)
    return _Crossed(scored, tuple(parts), part, size)


def _unit(told: Told) -> Float64[np.ndarray, " item"]:
    return np.ones(len(told.mean)) if told.std is None else told.std


def _reached(
    values: Float64[np.ndarray, "item row"], weight: Float64[np.ndarray, " row"], coverage: float
) -> Float64[np.ndarray, " item"]:
    """The value at which each item's weights reach the coverage, infinite where they do not. [1]"""
    order = np.argsort(values, axis=1, kind="stable")
    mass = np.cumsum(weight[order], axis=1)
    enough = mass >= coverage - 1e-9
    first = np.argmax(enough, axis=1)
    rows = np.arange(len(values))
    return np.where(enough[:, -1], values[rows, order[rows, first]], np.inf)
