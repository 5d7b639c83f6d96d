"""Algorithms compared on somebody's own cells, with baselines, and whether the best beats them.

Rules
- Every algorithm has the same folds of whole cells, the same rows and the same number of settings.
- The choice among algorithms is made inside each fold, on its training cells, by the rule of
  `health.tuning`; the row of the choice is what a model picked so errs by. The best row of a table
  looks better than it is, for it was picked by its score.
- Errors are judged on the scale that is learnt: of a life, as a factor, so that the few long ones
  do not decide alone.
- A choice surely beats a baseline where its error, cells drawn again, is smaller in 97.5 of 100
  draws; fewer than six cells are sure of nothing (five coins fall alike too often).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import ALGORITHMS, named
from cellwarden.health.candidates import CHARGE
from cellwarden.health.conformal import needed_cells
from cellwarden.health.early_life import CANDIDATES
from cellwarden.health.found import Kind
from cellwarden.health.learner import Algorithm
from cellwarden.health.scoring import COVERAGE, Answer, Row, carried, evaluate, score
from cellwarden.health.task import Task
from cellwarden.health.tuning import Tuned

__all__ = [
    "CHOICE",
    "Conclusion",
    "algorithms_for",
    "baseline_answers",
    "cannot_tell",
    "choice_of",
    "conclude",
    "rows_of",
    "together",
    "told_by_fold",
]

CHOICE: Final = "chosen on training cells"
_SOH: Final = ("ridge", "PLSR", "gaussian process", "SVR", "extra trees", "LightGBM")
_LIFE: Final = (*CANDIDATES, "extra trees")
_DRAWS: Final = 2000
_SURE: Final = 0.975
_FEW_CELLS: Final = 20
_FEWEST_SURE: Final = 6
_MANY_CHOICES: Final = 4


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What may be said of the choice; `algorithm` is empty where it beats no baseline.

    `sure` says that it beats the best baseline whichever cells are drawn, `rival` is that baseline.
    """

    algorithm: str
    rival: str
    sure: bool
    words: str


def algorithms_for(kind: Kind, task: Task, names: Sequence[str] = ()) -> tuple[Algorithm, ...]:
    """The algorithms to compare: those named, else what suits the kind; baselines always.

    Raises:
        UsageError: there is none of a name, or none of those named can be run.
    """
    wanted = [named(name) for name in names or (_SOH if kind == "soh" else _LIFE)]
    if not names and len(task.choices) > _MANY_CHOICES:
        wanted = list(CHARGE)  # a setting each, so that every choice of columns can be tried
    if not names and kind == "life" and task.censored is not None:
        wanted.append(named("censored line"))
    able = [one for one in wanted if not one.missing(task.columns)]
    if not any(not one.baseline for one in able):
        why = "; ".join(f"{one.name} {one.missing(task.columns)}" for one in wanted)
        raise UsageError(f"none of these algorithms can be compared: {why}", hint="Name others.")
    baselines = [one for one in ALGORITHMS if one.baseline and not one.missing(task.columns)]
    return tuple({one.name: one for one in (*baselines, *able)}.values())


def told_by_fold(task: Task, algorithm: Algorithm, *, seed: int = 0) -> Iterator[Answer]:
    """What an algorithm tells of the test cells, a fold at a time. [unit]"""
    for fold in task.folds:
        yield evaluate(replace(task, folds=(fold,)), [algorithm], seed=seed)


def together(parts: Sequence[Answer]) -> Answer:
    """The answers of several folds as one. [unit]"""
    numbers = ("row", "mean", "low", "high", "naive_low", "naive_high")
    joined = {name: np.concatenate([getattr(one, name) for one in parts]) for name in numbers}
    scale = None
    if all(one.scale is not None for one in parts):
        scale = np.concatenate([np.asarray(one.scale) for one in parts])
    return Answer(**joined, tuned=tuple(fit for one in parts for fit in one.tuned), scale=scale)


def choice_of(answers: Mapping[str, Sequence[Answer]]) -> Answer:
    """In each fold the answer of what its own training cells preferred. [unit]

    The same as tuning among all of them at once, without fitting again.
    """
    folds = zip(*answers.values(), strict=True)
    return together([min(fold, key=_inner_error) for fold in folds])


def _inner_error(answer: Answer) -> float:
    (fit,) = answer.tuned
    assert isinstance(fit, Tuned)  # noqa: S101  `told_by_fold` tunes nothing else
    return fit.chosen.error * fit.chosen.natural_error


def conclude(
    task: Task,
    answers: Mapping[str, Answer],
    baselines: Mapping[str, Answer],
    algorithm: str,
) -> Conclusion:
    """Whether the choice beats every baseline, and how sure that is.

    `algorithm` is what all cells together preferred; the error that is judged is the choice's.
    """
    own = _squares(task, answers[CHOICE])
    rivals = {name: _squares(task, one) for name, one in baselines.items()}
    rival = min(rivals, key=lambda name: float(rivals[name].mean()))
    best = rivals[rival]
    error, other = float(np.sqrt(own.mean())), float(np.sqrt(best.mean()))
    measured = (
        f"it errs by {_size(error, task)}, the best baseline, {rival}, by"
        f" {_size(other, task)} (each cell weighs the same)"
    )
    if not error < other:
        words = (
            f"No algorithm is to be preferred: what training cells preferred does not beat the"
            f" baselines; {measured}. Measure something else, or more cells."
        )
        return Conclusion("", rival, sure=False, words=words)
    draw = np.random.default_rng(0).integers(0, len(own), size=(_DRAWS, len(own)))
    sure = len(own) >= _FEWEST_SURE and bool(
        np.mean(own[draw].mean(axis=1) < best[draw].mean(axis=1)) >= _SURE
    )
    words = f"Take {algorithm}: chosen so, {measured}."
    if not sure:
        words = (
            f"{algorithm} looks best: chosen so, {measured}. With other cells of the same kind it"
            " might not beat that: more cells would tell."
        )
    return Conclusion(algorithm, rival, sure, words)


def _squares(task: Task, answer: Answer) -> Float64[np.ndarray, " cell"]:
    """Mean squared error of each tested cell on the scale that is learnt. [its square]"""
    told, truth = answer.mean, task.target[answer.row]
    if task.logarithmic:
        told, truth = np.log10(told), np.log10(truth)
    away = (told - truth) ** 2
    _, place = np.unique(task.cell[answer.row], return_inverse=True)
    return np.asarray(np.bincount(place, weights=away) / np.bincount(place))


def _size(error: float, task: Task) -> str:
    if task.logarithmic:
        return f"a factor of {10**error:.3f}"
    return f"{100 * error:.2f} %" if task.unit == "1" else f"{error:.3g} {task.unit}"


def baseline_answers(task: Task, answers: Mapping[str, Answer]) -> dict[str, Answer]:
    """The baselines among some answers, and the ready predictions of the task. [unit]"""
    fitted = {one.name for one in ALGORITHMS if one.baseline}
    told = {name: one for name, one in answers.items() if name in fitted}
    # What carries a first value has none for that row: both are judged where both tell.
    return told | {name: one for name in task.carried if len((one := carried(task, name)).row)}


def rows_of(task: Task, answers: Mapping[str, Answer]) -> list[Row]:
    """The table, the smallest error first. [unit]"""
    return sorted((score(task, name, one) for name, one in answers.items()), key=lambda r: r.rmse)


def cannot_tell(task: Task) -> list[str]:
    """What so few cells cannot tell, in words; nothing where there are enough."""
    train = min(len(fold.train) for fold in task.folds)
    words = []
    if train < needed_cells(COVERAGE):
        words.append(
            f"A fold learns from {train} cells: a {COVERAGE:.0%} interval takes"
            f" {needed_cells(COVERAGE)}, so none is given."
        )
    tested = len({cell for fold in task.folds for cell in fold.test})
    if tested < _FEW_CELLS:
        words.append(
            f"{tested} cells are tested: coverage can only be told in steps of"
            f" {100 / tested:.0f} % or worse, and small differences between algorithms are chance."
        )
    return words
