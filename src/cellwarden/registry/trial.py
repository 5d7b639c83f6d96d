"""A saved model on cells that it has not seen, told row by row, by a third party.

Rules
- A cell that the model learnt from is known again by its content, whatever it is called, and is not
  scored; where no other cell is left nothing is scored.
- What is told of a row stands on that row alone, or on it and earlier rows of its cell: where
  columns look back, each cell is cut at `_CUTS` places and what stood before the cut is made again
  without what comes after. A column that moves is refused.
- Errors are over rows; coverage is over cells, its 95 % interval by drawing whole cells again.
- Beside the model stand what needs no learning: the mean that it was trained on, and a first value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cellwarden.datasets import catalogue
from cellwarden.errors import DataError, UsageError
from cellwarden.health.causal import past_columns
from cellwarden.health.found import Found, Marks, known_again, pooled
from cellwarden.health.portable import Portable
from cellwarden.health.scoring import COVERAGE, Answer, Row, carried, score
from cellwarden.health.task import Fold
from cellwarden.registry.portable_file import Label

__all__ = [
    "GROUP",
    "TRAINING_MEAN",
    "CellRow",
    "Trial",
    "digest_of_marks",
    "fact",
    "hold_to_past",
    "kin",
    "tell_in_order",
    "training_marks",
    "try_out",
]

GROUP: Final = "group"
TRAINING_MEAN: Final = "mean of the training cells"
_HEX_OF_A_MARK: Final = 16
_CUTS: Final = 8
_SHOWN: Final = 3  # training cells in a warning


@dataclass(frozen=True, slots=True)
class CellRow:
    """A cell's errors in the unit of the target; `coverage` is NaN where there is no interval."""

    cell: str
    rmse: float
    mae: float
    mape: float
    coverage: float
    outside: float
    row_count: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What a model told of cells it had not seen; `known` pairs cells left out with their names."""

    found: Found
    answer: Answer
    rows: tuple[Row, ...]
    cells: tuple[CellRow, ...]
    known: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def fact(label: Label, name: str) -> str:
    """A line of a card, empty where it has none."""
    return dict(label.facts).get(name, "")


def digest_of_marks(marks: Marks) -> str:
    """A cell's marks as a card writes them. [text]"""
    return "".join(mark.hex() for mark in sorted(marks))


def training_marks(label: Label) -> dict[str, Marks]:
    """The marks of the cells that a model learnt from, by name. [bytes]"""
    told = {name: digest for source in label.sources for name, digest in source.cells if digest}
    return {
        name: frozenset(
            bytes.fromhex(digest[at : at + _HEX_OF_A_MARK])
            for at in range(0, len(digest), _HEX_OF_A_MARK)
        )
        for name, digest in told.items()
    }


def try_out(model: Portable, label: Label, groups: Sequence[Found], group: str = "") -> Trial:
    """A model on the groups that its card is for, or on those that `group` names. [unit]

    Raises:
        UsageError: no group fits, the columns are not there, or every cell is a training cell.
    """
    found = _fitting(label, groups, group)
    if absent := [name for name in model.columns if name not in found.task.columns]:
        raise UsageError(
            f"{label.name} needs {', '.join(absent[:5])}, which {found.group} does not have",
            hint="Give cells measured as the card says, or another model.",
        )
    if found.task.unit != label.unit:
        raise UsageError(
            f"{label.name} tells {label.target} in {label.unit}, these cells have"
            f" {found.task.target_name} in {found.task.unit}",
            hint="Name the nominal capacity with --nominal.",
        )
    marks = training_marks(label)
    again = {
        name: known_again(own, marks)
        for name, own in zip(found.task.cells, found.marks, strict=True)
    }
    known = tuple((name, seen) for name, seen in again.items() if seen is not None)
    new = [k for k, name in enumerate(found.task.cells) if again[name] is None]
    going = set() if found.task.censored is None else set(found.task.cell[found.task.censored])
    new = [k for k in new if k not in going]
    if not new:
        raise UsageError(
            f"{label.name} learnt from every one of these {len(found.task.cells)} cells",
            hint="Score cells that it has not seen.",
        )
    found = found.only(new)
    hold_to_past(found)
    answer = tell_in_order(model, found)
    return Trial(
        found=found,
        answer=answer,
        rows=(score(found.task, label.name, answer), *_beside(label, found)),
        cells=tuple(_cell_row(model, found, answer, k) for k in range(len(found.task.cells))),
        known=known,
        warnings=_warnings(model, label, known),
    )


def _fitting(label: Label, groups: Sequence[Found], asked: str) -> Found:
    wanted = asked or fact(label, GROUP)
    low = wanted.lower()
    fits = [one for one in groups if one.group.lower() == low]
    fits = fits or [one for one in groups if one.group.lower().startswith(low)]
    if not fits:
        raise UsageError(
            f"{label.name} is for {wanted}, and here are {', '.join(one.group for one in groups)}",
            hint="Give cells of that kind, or say with --group which it is to be tried on.",
        )
    return pooled(fits, wanted)


def hold_to_past(found: Found) -> None:
    """See to it that no column of a row moves with later rows: each cell is cut at some places.

    Raises:
        DataError: one does.
    """
    if not found.past:
        return
    task = found.task
    measured = [task.columns.index(name) for name in found.past]
    for cell, name in enumerate(task.cells):
        own = np.flatnonzero(task.cell == cell)
        for cut in np.unique(np.linspace(1, len(own), _CUTS + 1)[:-1].round().astype(int)):
            rows = own[:cut]
            none = np.zeros(cut, dtype=np.int64)
            names, told = past_columns(found.past, task.features[rows][:, measured], none)
            places = [task.columns.index(one) for one in names]
            if not np.array_equal(told, task.features[rows][:, places], equal_nan=True):
                raise DataError(
                    f"{name}: a column before row {cut} moves with later rows",
                    hint="Give rows in their order, and columns that look back alone.",
                )


def tell_in_order(model: Portable, found: Found) -> Answer:
    """What a model tells of every row, cell by cell in the order of the rows. [unit]"""
    task = found.task
    places = [task.columns.index(name) for name in model.columns]
    told = [np.asarray(part) for part in model.tell(task.features[:, places])]
    none = np.full(len(task.target), np.nan)
    mean, low, high = (*told, none, none)[:3]
    return Answer(np.arange(len(task.target)), mean, low, high, none, none)


def _beside(label: Label, found: Found) -> list[Row]:
    """What needs no learning, on the same cells. [unit]"""
    task, rows = found.task, []
    every = np.arange(len(task.target))
    none = np.full(len(task.target), np.nan)
    if mean := fact(label, TRAINING_MEAN):
        told = np.full(len(task.target), float(mean))
        rows.append(score(task, TRAINING_MEAN, Answer(every, told, none, none, none, none)))
    tested = replace(task, folds=(Fold("all", (), tuple(range(len(task.cells)))),))
    return rows + [score(tested, name, carried(tested, name)) for name in task.carried]


def _cell_row(model: Portable, found: Found, answer: Answer, cell: int) -> CellRow:
    task = found.task
    own = np.flatnonzero(task.cell == cell)
    truth, mean = task.target[own], answer.mean[own]
    low, high = answer.low[own], answer.high[own]
    away = np.abs(mean - truth)
    served = np.isfinite(low).all() and np.isfinite(high).all()
    places = [task.columns.index(name) for name in model.columns]
    return CellRow(
        cell=task.cells[cell],
        rmse=float(np.sqrt(np.mean(away**2))),
        mae=float(away.mean()),
        mape=float(np.mean(away / np.abs(truth))),
        coverage=float(((low <= truth) & (truth <= high)).mean()) if served else float("nan"),
        outside=float(model.prepared.outside(task.features[own][:, places]).mean()),
        row_count=len(own),
    )


def _warnings(model: Portable, label: Label, known: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    words = []
    if known:
        shown = [name if name == seen else f"{name} (as {seen})" for name, seen in known[:_SHOWN]]
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        words.append(
            f"{len(known)} cells are training cells and are not scored: {', '.join(shown)}{more}."
        )
    if model.half_width is None:
        words.append(f"The model has no {COVERAGE:.0%} interval: it learnt from too few cells.")
    return (*words, *kin(label))


def kin(label: Label) -> list[str]:
    """What the catalogue says must be kept apart, of the sets that a model learnt from. [text]"""
    names = {source.name for source in label.sources}
    return [
        f"{one.short}, to be kept apart: {words}"
        for one in catalogue().values()
        if one.short in names
        for words in one.keep_apart
    ]
