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
from hashlib import sha256
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import Explanation
from cellwarden.errors import UsageError
from cellwarden.health.explain import attribute
from cellwarden.health.learner import Algorithm, Prepared, Setting, Told, fit_prepared
from cellwarden.health.task import CURVE, Fold, Sample, grouped_folds

__all__ = [
    "FOLDS", "Candidate", "Crossed", "Made", "Tuned", "by_cell", "cross", "reached", "settle",
    "tune",
]  # fmt: skip

FOLDS: Final = 5
Made = dict[str, Prepared]
_HALVINGS: Final = 45  # of a span of errors, down to rounding


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
class Crossed:
    """A candidate with its errors, and what the folds of the first repeat told of each row.

    `parts` are the fits that left cells out, `part` says which one left out each row; `told` is
    what it said of the row, `size` its error there. Only the best of those that were crossed
    together keeps its parts.
    """

    candidate: Candidate
    told: Float64[np.ndarray, " row"]
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

    @property
    def error(self) -> float:
        """What the chosen candidate erred by when cells were left out. [unit of the target]"""
        return self.chosen.error

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
        told = [part.predict(features) for part in self.parts]
        mean = np.stack([one.mean for one in told])
        unit = np.stack([_unit(one) for one in told])
        sizes = []
        for place in range(len(self.parts)):
            own = self.part == place
            order = np.argsort(self.size[own], kind="stable")
            sizes.append((self.size[own][order], np.cumsum(self.weight[own][order])))
        return -_reached(-mean, unit, sizes, coverage), _reached(mean, unit, sizes, coverage)

    def explain(
        self,
        features: Float64[np.ndarray, " column"],
        groups: Sequence[Sequence[int]] | None = None,
    ) -> Explanation:
        """What each column moved one prediction from that at the training medians.

        Exact Shapley values: base and contributions add up to `predict`. Where the prediction was
        held to the training range that has an entry of its own, its value what was not held.
        `groups` of the chosen columns are for a fit without a closed form. [unit of the target]

        Raises:
            UsageError: such a fit has too many columns, and no groups are given.
        """
        told = attribute(self.whole, self.chosen.columns, features[None], groups)
        taken = features[self.whole.taken]
        grouped = told.method == "orders of groups"
        values = np.full(len(told.names), np.nan) if grouped else taken
        names, moved = told.names, told.moved[0]
        if held := float(told.held[0]):
            names = (*names, "held to the range of training")
            values = np.append(values, told.base + moved.sum())
            moved = np.append(moved, held)
        return Explanation(told.base, names, tuple(values.tolist()), tuple(moved.tolist()))


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
    reasons = [one.missing(sample.columns, choices) for one in algorithms]
    if all(reasons):
        named = (f"{one.name} {why}" for one, why in zip(algorithms, reasons, strict=True))
        raise UsageError("no algorithm can be run here", hint="; ".join(named) or "Give one.")
    return settle(cross(algorithms, sample, choices, seed, repeat_count=repeat_count), sample, seed)


def cross(
    algorithms: Sequence[Algorithm],
    sample: Sample,
    choices: Mapping[str, tuple[str, ...]],
    seed: int,
    *,
    repeat_count: int = 1,
    made: Made | None = None,
) -> tuple[Crossed, ...]:
    """Every candidate of these algorithms with its errors when left out.

    Fits that are in `made` are taken from there, new ones are added: two folds of a leave-one-out
    task leave out the same pair of cells, once one for the test and once the other.

    Raises:
        UsageError: fewer than two cells.
    """
    cells = np.unique(sample.cell)
    names = tuple(str(cell) for cell in cells)
    dealt = [
        grouped_folds(names, min(FOLDS, len(names)), seed + repeat)
        for repeat in range(repeat_count)
    ]
    crossed: list[Crossed] = []
    best = -1
    for algorithm in algorithms:
        for candidate in _candidates(algorithm, sample, choices):
            one = _cross(candidate, sample, dealt, seed, made)
            if best < 0 or _rank(one) < _rank(crossed[best]):
                if best >= 0:
                    crossed[best] = replace(crossed[best], parts=())
                best = len(crossed)
            else:
                one = replace(one, parts=())
            crossed.append(one)
    return tuple(crossed)


def settle(crossed: Sequence[Crossed], sample: Sample, seed: int) -> Tuned:
    """The best of what was crossed on this sample, fitted to all of it. [unit of the target]

    Raises:
        UsageError: nothing was crossed.
    """
    if not crossed:
        raise UsageError(
            "no algorithm can be run on these columns", hint="See Algorithm.missing for the reason."
        )
    best = min(crossed, key=_rank)
    chosen = best.candidate
    whole = fit_prepared(chosen.algorithm, sample, chosen.columns, chosen.setting, seed)
    seen = np.ones(len(sample.cell), dtype=bool) if sample.censored is None else ~sample.censored
    weight = np.zeros(len(sample.cell))
    weight[seen] = by_cell(sample.cell[seen])
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


def by_cell(cell: Int64[np.ndarray, " row"]) -> Float64[np.ndarray, " row"]:
    """The share of each row where cells weigh alike and one share is left for a new cell. [1]"""
    named, place = np.unique(cell, return_inverse=True)
    return np.asarray(1 / (len(named) + 1) / np.bincount(place)[place])


def _rank(one: Crossed) -> float:
    return one.candidate.error * one.candidate.natural_error


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
    dealt: Sequence[tuple[Fold, ...]],
    seed: int,
    made: Made | None,
) -> Crossed:
    _, place = np.unique(sample.cell, return_inverse=True)
    squares, natural = np.zeros((2, len(sample.target)))
    parts: list[Prepared] = []
    part = np.zeros(len(sample.target), dtype=np.int64)
    size, first = np.zeros((2, len(sample.target)))
    for repeat, folds in enumerate(dealt):
        for number, fold in enumerate(folds):
            out = np.isin(place, fold.test)
            fitted = _made(candidate, sample.rows(~out), seed, made)
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
                first[out] = told.mean
    error, natural_error = (
        float(np.sqrt(np.mean(np.bincount(place, weights=one) / np.bincount(place)) / len(dealt)))
        for one in (squares, natural)
    )
    scored = replace(candidate, error=error, natural_error=natural_error)
    return Crossed(scored, first, tuple(parts), part, size)


def _made(candidate: Candidate, sample: Sample, seed: int, made: Made | None) -> Prepared:
    """The fit of a candidate to a sample, taken by their content where it was made before."""
    if made is None:
        made = {}
    content = sha256(sample.features.tobytes() + sample.target.tobytes())
    content.update(b"" if sample.censored is None else sample.censored.tobytes())
    key = f"{candidate} {seed} {content.hexdigest()}"
    if key not in made:
        made[key] = fit_prepared(
            candidate.algorithm, sample, candidate.columns, candidate.setting, seed
        )
    return made[key]


def _unit(told: Told) -> Float64[np.ndarray, " item"]:
    return np.ones(len(told.mean)) if told.std is None else told.std


def reached(
    values: Float64[np.ndarray, "item row"], weight: Float64[np.ndarray, " row"], coverage: float
) -> Float64[np.ndarray, " item"]:
    """The value at which each item's weights reach the coverage, infinite where they do not. [1]"""
    order = np.argsort(values, axis=1, kind="stable")
    mass = np.cumsum(weight[order], axis=1)
    enough = mass >= coverage - 1e-9
    first = np.argmax(enough, axis=1)
    rows = np.arange(len(values))
    return np.where(enough[:, -1], values[rows, order[rows, first]], np.inf)


def _reached(
    mean: Float64[np.ndarray, "part item"],
    unit: Float64[np.ndarray, "part item"],
    sizes: Sequence[tuple[Float64[np.ndarray, " row"], Float64[np.ndarray, " row"]]],
    coverage: float,
) -> Float64[np.ndarray, " item"]:
    """The value at which each item's weights reach the coverage, infinite where they do not. [1]

    A row of part p stands at mean + unit * size; `sizes` holds the sizes of each part, rising, and
    their weights summed up. The weight up to a value is then looked up, and the value halved in on.
    """
    wanted = coverage - 1e-9
    if sum(weight[-1] for _, weight in sizes if len(weight)) < wanted:
        return np.full(mean.shape[1], np.inf)
    low = mean.min(axis=0)
    high = np.max([m + u * size[-1] for m, u, (size, _) in zip(mean, unit, sizes, strict=True)],
                  axis=0)  # fmt: skip
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mass = np.zeros(len(middle))
        for m, u, (size, weight) in zip(mean, unit, sizes, strict=True):
            at = np.searchsorted(size, (middle - m) / u, side="right")
            mass += np.append(0.0, weight)[at]
        enough = mass >= wanted
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.asarray(high)
