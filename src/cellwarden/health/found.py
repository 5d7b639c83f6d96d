"""Rows of cells as they lie in somebody's files, with what is to be told of them; nothing is split.

Rules
- What was taken for what is kept beside the rows, to be shown before anything runs.
- A cell is known again by content, not by name: its marks are the smallest hashes of its rows as
  they were measured. Rows left out, put in another order or written with fewer digits change few.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import DataError, UsageError
from cellwarden.health.task import Fold, Task, grouped_folds, leave_one_out

__all__ = ["FEWEST_CELLS", "Found", "Kind", "Marks", "known_again", "marks_of", "pooled", "split"]

Kind = Literal["soh", "life"]
Marks = frozenset[bytes]

FEWEST_CELLS: Final = 3  # one to test, two to choose on
_MARK_COUNT: Final = 16
_MARK_BYTES: Final = 8
_MANTISSA: Final = 2.0**16  # about five digits
_LEFT_OUT_IN_TURN: Final = 12  # up to so many cells each is a fold of its own
_FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class Found:
    """A task without folds, and how its rows were found.

    `group` names the batch, `split` tells which cells the files state to be `train` or `test`,
    `marks` stand in the order of the task's cells. Where there is a `past`, these columns were
    measured at the row itself, and what `causal.past_columns` makes of them stands beside.
    """

    task: Task
    kind: Kind
    group: str
    source: str
    taken: Mapping[str, str]
    marks: tuple[Marks, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    split: Mapping[str, str] = field(default_factory=dict)
    nominal_ah: float | None = None
    past: tuple[str, ...] = ()

    def only(self, chosen: Sequence[int]) -> "Found":
        """Some of the cells, by number.

        Raises:
            DataError: none is left.
        """
        if not chosen:
            raise DataError(f"{self.group}: no cells are left", hint="Give other cells.")
        rows = np.isin(self.task.cell, chosen)
        number = {old: new for new, old in enumerate(chosen)}
        censored = self.task.censored
        task = replace(
            self.task,
            features=self.task.features[rows],
            target=self.task.target[rows],
            cell=np.array([number[old] for old in self.task.cell[rows].tolist()], dtype=np.int64),
            cells=tuple(self.task.cells[old] for old in chosen),
            folds=(),
            carried={name: told[rows] for name, told in self.task.carried.items()},
            censored=None if censored is None else censored[rows],
        )
        return replace(self, task=task, marks=tuple(self.marks[old] for old in chosen))


def split(found: Found, seed: int = 0) -> tuple[Task, str]:
    """The task with folds of whole cells, and in words how they were made.

    A split that the files state is taken; else few cells are left out one by one, many in five
    parts. A cell that had not failed is never tested.

    Raises:
        DataError: fewer than `FEWEST_CELLS` cells.
    """
    task = found.task
    if len(task.cells) < FEWEST_CELLS:
        raise DataError(
            f"{found.group}: {len(task.cells)} cells; nothing can be told of cells not seen",
            hint=f"Give at least {FEWEST_CELLS} cells: two to learn from, one to test.",
        )
    stated = [found.split.get(name, "") for name in task.cells]
    train = tuple(k for k, word in enumerate(stated) if word == "train")
    test = tuple(k for k, word in enumerate(stated) if word == "test")
    if len(train) >= FEWEST_CELLS - 1 and test:
        how = f"the files' own split: {len(train)} cells to learn from, {len(test)} tested"
        return replace(task, folds=_ended(task, (Fold("test", train, test),)), protocol=how), how
    if len(task.cells) <= _LEFT_OUT_IN_TURN:
        folds, how = leave_one_out(task.cells), f"each of {len(task.cells)} cells left out in turn"
    else:
        folds = grouped_folds(task.cells, _FOLDS, seed)
        how = f"{len(task.cells)} cells left out in {_FOLDS} parts, each part in turn"
    return replace(task, folds=_ended(task, folds), protocol=how), how


def _ended(task: Task, folds: tuple[Fold, ...]) -> tuple[Fold, ...]:
    """The folds with no censored cell tested."""
    if task.censored is None:
        return folds
    going = set(task.cell[task.censored].tolist())
    kept = (replace(one, test=tuple(k for k in one.test if k not in going)) for one in folds)
    return tuple(one for one in kept if one.test)


def pooled(parts: Sequence[Found], group: str) -> Found:
    """Several groups as one; their columns must be the same.

    Raises:
        UsageError: they are of different columns or units.
    """
    first = parts[0]
    if len(parts) == 1:
        return replace(first, group=group)
    for other in parts[1:]:
        if (other.task.columns, other.task.unit) != (first.task.columns, first.task.unit):
            raise UsageError(
                f"{first.group} and {other.group} have different columns",
                hint="Name one group with --group.",
            )
    start = np.cumsum([0, *(len(one.task.cells) for one in parts)])
    cell = [one.task.cell + at for one, at in zip(parts, start, strict=False)]
    task = replace(
        first.task,
        name=f"{first.kind}.{group.lower().replace(' ', '.')}",
        features=np.concatenate([one.task.features for one in parts]),
        target=np.concatenate([one.task.target for one in parts]),
        cell=np.concatenate(cell),
        cells=tuple(name for one in parts for name in one.task.cells),
        carried={
            name: np.concatenate([one.task.carried[name] for one in parts])
            for name in first.task.carried
            if all(name in one.task.carried for one in parts)
        },
        censored=None
        if all(one.task.censored is None for one in parts)
        else np.concatenate([_censored(one.task) for one in parts]),
    )
    return replace(
        first,
        task=task,
        group=group,
        source=", ".join(dict.fromkeys(one.source for one in parts)),
        marks=tuple(mark for one in parts for mark in one.marks),
        split={name: word for one in parts for name, word in one.split.items()},
        nominal_ah=first.nominal_ah if len({one.nominal_ah for one in parts}) == 1 else None,
    )


def _censored(task: Task) -> np.ndarray:
    return np.zeros(len(task.target), dtype=bool) if task.censored is None else task.censored


def marks_of(
    measured: Float64[np.ndarray, "row column"], cell: Int64[np.ndarray, " row"], cell_count: int
) -> tuple[Marks, ...]:
    """The marks of each cell, from its rows as they were measured. [bytes]"""
    known = np.where(np.isfinite(measured), measured, 0.0)
    mantissa, exponent = np.frexp(known)
    stamps = np.stack([np.rint(mantissa * _MANTISSA), exponent], axis=-1).astype("<i4")
    hashes: list[list[bytes]] = [[] for _ in range(cell_count)]
    for one, stamp in zip(cell.tolist(), stamps, strict=True):
        hashes[one].append(hashlib.sha256(stamp.tobytes()).digest()[:_MARK_BYTES])
    return tuple(frozenset(sorted(set(one))[:_MARK_COUNT]) for one in hashes)


def known_again(cell: Marks, known: Mapping[str, Marks]) -> str | None:
    """Which of the known cells this one is, or None.

    Two common marks are asked for where both have two: rows of zeros may agree by chance.
    """
    for name, marks in known.items():
        if len(cell & marks) >= min(2, len(cell), len(marks)) > 0:
            return name
    return None
