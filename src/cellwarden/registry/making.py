"""From cells and algorithms to a portable model with a card that is let through, or not at all.

Rules
- Of cells that the files state to be tested nothing is learnt; their score stands beside, once.
- The scores of the training cells are nested: choice, fit and interval of each told cell come from
  other cells alone. The interval that is saved is around the fit to all training cells.
- A model that does not surely beat every baseline nested (`health.comparison`), or errs more than
  one on the stated test cells, is refused (`gate`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import ALGORITHMS
from cellwarden.health.comparison import CHOICE, Conclusion, baseline_answers, conclude
from cellwarden.health.conversion import portable
from cellwarden.health.found import Found, split
from cellwarden.health.learner import Algorithm
from cellwarden.health.portable import Portable
from cellwarden.health.scoring import COVERAGE, Row, evaluate, score
from cellwarden.health.task import Fold
from cellwarden.health.tuning import Tuned, tune
from cellwarden.registry.card import Source
from cellwarden.registry.column_units import unit_of
from cellwarden.registry.portable_file import Label
from cellwarden.registry.trial import GROUP, TRAINING_MEAN, digest_of_marks, try_out

__all__ = ["Made", "Origin", "gate", "make", "saved"]

_MODEL: Final = "model"
_NESTED: Final = "training cells, nested"
_TESTED: Final = "test cells"
_NESTED_REPEATS: Final = 1  # of dealing cells into folds; the choice itself takes all of them


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose cells they are; `said` are further lines of the card."""

    name: str
    licence: str
    citation: str
    said: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """A portable model with its card, and the rows that the card's scores come from."""

    model: Portable
    label: Label
    nested: tuple[Row, ...]
    tested: tuple[Row, ...]


def make(  # noqa: PLR0917  what a model is made of
    name: str,
    found: Found,
    algorithms: Sequence[Algorithm],
    origin: Origin,
    repeat_count: int = 1,
    progress: Callable[[str], None] = lambda _: None,
    *,
    flat: bool = True,
) -> Made:
    """A model of the training cells, scored on them nested and on the test cells that are stated.

    Raises:
        UsageError: it does not beat its baselines.
        DataError: there are too few cells.
    """
    test = [k for k, cell in enumerate(found.task.cells) if found.split.get(cell) == "test"]
    train = [k for k in range(len(found.task.cells)) if k not in test]
    own = replace(found.only(train), split={})
    task, how = split(own)
    progress(f"{name}: {len(train)} cells, nested")
    nested_count = min(repeat_count, _NESTED_REPEATS)
    answers = {CHOICE: evaluate(task, algorithms, repeat_count=nested_count)}
    for one in ALGORITHMS:
        if one.baseline and not one.missing(task.columns):
            progress(f"{name}: baseline {one.name}")
            answers[one.name] = evaluate(task, [one])
    rivals = baseline_answers(task, answers)
    end = conclude(task, answers | rivals, rivals, name)
    nested = [score(task, _MODEL, answers[CHOICE])]
    nested += [score(task, one, told) for one, told in rivals.items()]
    progress(f"{name}: fit to all training cells")
    tuned = tune(
        algorithms,
        task.training(Fold("all", tuple(range(len(train))), ())),
        task.choices,
        0,
        repeat_count,
    )
    model, label = saved(
        name, own, tuned, origin, flat=flat,
        said=(("split", f"{how}; every choice nested in them"),),
    )  # fmt: skip
    tested: tuple[Row, ...] = ()
    if test:
        tried = try_out(model, label, [replace(found.only(test), group=own.group)])
        tested = tuple(replace(row, who=_MODEL) if row.who == name else row for row in tried.rows)
    label = replace(label, scores=_scores(nested, _NESTED) + _scores(tested, _TESTED))
    gate(name, end, tested)
    return Made(model, label, tuple(nested), tested)


def gate(name: str, nested: Conclusion, tested: Sequence[Row] = ()) -> None:
    """Let a model through only where it surely beats every baseline, and on stated test cells too.

    Raises:
        UsageError: a baseline is as good, or may be.
    """
    if not nested.sure:
        raise UsageError(
            f"{name} does not surely beat '{nested.rival}' on {_NESTED}: {nested.words}",
            hint="Do not ship it: measure something else, or more cells.",
        )
    own = [row for row in tested if row.who == _MODEL]
    for rival in tested:
        # A score that is not a number beats nothing.
        if rival.who != _MODEL and not own[0].rmse < rival.rmse:
            raise UsageError(
                f"{name} does not beat '{rival.who}' on {_TESTED}: {own[0].rmse:.4g} against"
                f" {rival.rmse:.4g}",
                hint="Do not ship it: measure something else, or more cells.",
            )


def saved(
    name: str,
    found: Found,
    tuned: Tuned,
    origin: Origin,
    *,
    said: tuple[tuple[str, str], ...] = (),
    flat: bool = True,
) -> tuple[Portable, Label]:
    """What was tuned on all of these cells as a portable model with its card, without scores."""
    task = found.task
    sample = task.training(Fold("all", tuple(range(len(task.cells))), ()))
    model = portable(tuned, sample, coverage=COVERAGE, flat=flat).trimmed()
    cells = tuple(
        (cell, digest_of_marks(marks)) for cell, marks in zip(task.cells, found.marks, strict=True)
    )
    mean = float(task.natural(np.array(float(sample.target.mean()))))
    return model, Label(
        name=name,
        kind=found.kind,
        target=task.target_name,
        unit=task.unit,
        algorithm=str(tuned.chosen),
        column_units=tuple(map(unit_of, model.columns)),
        sources=(Source(origin.name, origin.licence, origin.citation, cells),),
        licence=origin.licence,
        facts=(
            (GROUP, found.group),
            ("cells, rows", f"{len(task.cells)}, {len(task.target)}"),
            ("target in training", f"{task.target.min():.4g} to {task.target.max():.4g}"),
            (TRAINING_MEAN, f"{mean:.9g}"),
            *((("nominal capacity", f"{found.nominal_ah:g} Ah"),) if found.nominal_ah else ()),
            *said,
            *origin.said,
        ),
    )


def _scores(rows: Sequence[Row], where: str) -> tuple[tuple[str, float], ...]:
    told = []
    for row in rows:
        numbers = [("RMSE", row.rmse), ("MAPE", row.mape)]
        numbers += [("coverage of 90 %", row.coverage), ("width", row.width)]
        told += [
            (f"{row.who}; {where} ({row.cell_count} cells); {what}", float(f"{value:.6g}"))
            for what, value in numbers
            if np.isfinite(value)
        ]
    return tuple(told)
