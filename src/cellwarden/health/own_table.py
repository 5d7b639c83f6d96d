"""What the columns of somebody's table are: whose cell, what is to be told, from what.

Rules
- Every guess is kept with its reason, to be shown before anything runs.
- Where two columns could be meant nothing is guessed: the caller is asked.
- A column that says what is to be told (a capacity, a life) is no feature unless it is named.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Table
from cellwarden.errors import DataError, UsageError
from cellwarden.health.found import Found, Kind, marks_of
from cellwarden.health.task import Task

__all__ = ["Wish", "find_in_table", "first_of_each"]

_CELL: Final = re.compile(r"(cell|battery|barcode)(_?(id|name|number|no))?", re.IGNORECASE)
_BATCH: Final = re.compile(r"(batch|group|dataset|lab)(_?(id|name))?", re.IGNORECASE)
_ORDER: Final = ("cycle_count", "cycle", "cycle_index", "cycle_number", "row", "index")
_SPLIT: Final = ("split", "published_split")
_TARGETS: Final = {
    "soh": ("soh", "soh_fraction", "capacity_ah", "capacity", "discharge_capacity_ah",
            "capacity_mah", "relative_capacity"),
    "life": ("cycle_life", "life", "eol", "eol_cycle", "cycle_life_count", "life_cycles"),
}  # fmt: skip
_TELLING: Final = re.compile(
    r"(^|_)(soh|capacity|cap|life|eol|rul|remaining|discharged?|relative)(_|$)",
    re.IGNORECASE,
)
_FEWEST_NUMBERS: Final = 2
_SAME: Final = 0.999999  # of correlation: the target in another unit


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller says of the columns; what is empty is guessed."""

    cell: str = ""
    target: str = ""
    features: tuple[str, ...] = ()
    group: str = ""
    nominal_ah: float | None = None


@dataclass(slots=True)
class _Roles:
    taken: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def find_in_table(table: Table, kind: Kind, wish: Wish) -> Found:
    """The rows of a table with a column of cells and one of what is to be told.

    Raises:
        UsageError: a column that is named is not there, or a guess would be ambiguous.
        DataError: no row has a cell and a target.
    """
    roles = _Roles()
    cell = _cells(table, wish, roles)
    target_name = _target(table, kind, wish, roles)
    target = _numbers(table, target_name)
    order = _order(table, target_name, roles) if kind == "soh" else None
    stated = _stated(table, roles)
    good = np.isfinite(target) & np.array([name != "" for name in cell])
    good &= (target > 0) | (kind == "soh")
    if not good.any():
        raise DataError(
            f"{table.name}: no row has a cell and a number in {target_name}",
            hint="Name other columns with --cell and --target.",
        )
    if not good.all():
        roles.left_out[f"{int((~good).sum()):,} rows"] = "no cell or no target"
    features = _features(table, target, wish, roles)
    every, place = np.unique(cell[good], return_inverse=True)
    place = place.astype(np.int64)
    values = np.column_stack([_numbers(table, name)[good] for name in features])
    unit = _unit(target_name, kind)
    scale = wish.nominal_ah if unit == "Ah" and wish.nominal_ah else 1.0
    target = target[good] / scale
    roles.taken["unit"] = "1" if scale != 1.0 else unit
    task = Task(
        name=f"{kind}.{table.name}",
        unit=roles.taken["unit"],
        target_name=target_name if scale == 1.0 else "capacity over nominal",
        protocol="",
        columns=features,
        features=values,
        target=target,
        cell=place,
        cells=tuple(str(name) for name in every),
        folds=(),
        logarithmic=kind == "life",
    )
    if order is not None and kind == "soh":
        task = _with_order(task, _numbers(table, order)[good])
    measured = np.column_stack([values, target])
    return Found(
        task=task,
        kind=kind,
        group=table.name,
        source=table.source,
        taken=roles.taken,
        left_out=roles.left_out,
        marks=marks_of(measured, place, len(every)),
        split={} if stated is None else _split(cell[good], stated[good]),
        nominal_ah=wish.nominal_ah,
    )


def _with_order(task: Task, order: Float64[np.ndarray, " row"]) -> Task:
    """The task with what age alone and a first value tell beside it."""
    return replace(
        task,
        columns=(*task.columns, "cycle_count"),
        features=np.column_stack([task.features, order]),
        choices={"": task.columns},
        carried={"first value": first_of_each(task.target, task.cell, order)},
    )


def first_of_each(
    target: Float64[np.ndarray, " row"],
    cell: np.ndarray,
    order: Float64[np.ndarray, " row"] | None = None,
) -> Float64[np.ndarray, " row"]:
    """Each cell's first value on all its rows but that one. [unit of the target]"""
    told = np.full(len(target), np.nan)
    for one in np.unique(cell):
        own = np.flatnonzero(cell == one)
        own = own if order is None else own[np.argsort(order[own], kind="stable")]
        told[own[1:]] = target[own[0]]
    return told


def _cells(table: Table, wish: Wish, roles: _Roles) -> np.ndarray:
    names = [name for name in table if _CELL.fullmatch(name)]
    name = wish.cell or _only(table, names, "whose cell a row is", "--cell")
    own = _texts(table[_there(table, name)])
    roles.taken["cell"] = name
    batch = next((one for one in table if _BATCH.fullmatch(one) and one != name), "")
    if batch:
        labels = _texts(table[batch])
        both = set(zip(labels.tolist(), own.tolist(), strict=True))
        if len(both) > len(set(own.tolist())):  # numbers begin again in each batch
            roles.taken["cell"] = f"{batch} and {name}"
            return np.array([f"{a}/{b}" for a, b in zip(labels, own, strict=True)])
    return own


def _target(table: Table, kind: Kind, wish: Wish, roles: _Roles) -> str:
    names = [name for name in table if name.lower() in _TARGETS[kind]]
    what = "the health or the capacity" if kind == "soh" else "the life"
    name = wish.target or _only(table, names, what, "--target")
    roles.taken["target"] = _there(table, name)
    return name


def _order(table: Table, target: str, roles: _Roles) -> str | None:
    lower = {name.lower(): name for name in table if name != target}
    name = next((lower[one] for one in _ORDER if one in lower), None)
    roles.taken["order"] = name or "none: nothing is told of age"
    return name


def _stated(table: Table, roles: _Roles) -> np.ndarray | None:
    for name in _SPLIT:
        if name in table:
            roles.taken["split"] = name
            return _texts(table[name])
    return None


def _split(cell: np.ndarray, stated: np.ndarray) -> dict[str, str]:
    words = {"train": "train", "training": "train", "test": "test"}
    pairs = set(zip(cell.tolist(), stated.tolist(), strict=True))
    found = {name: words[word.lower()] for name, word in pairs if word.lower() in words}
    # A cell that is in both parts is in neither: the split is not by cell.
    return {} if len({name for name, _ in pairs}) < len(pairs) else found


def _features(
    table: Table, target: Float64[np.ndarray, " row"], wish: Wish, roles: _Roles
) -> tuple[str, ...]:
    used = {part for one in roles.taken.values() for part in one.split(" and ")}
    if wish.features:
        names = _named(table, wish.features)
    else:
        names = []
        for name in table:
            if name in used:
                continue
            why = _no_feature(name, table[name], target)
            if why:
                roles.left_out[name] = why
            else:
                names.append(name)
    if clash := [name for name in names if name in used]:
        raise UsageError(
            f"{clash[0]} is no feature: it tells the cell, the order or the target",
            hint="Leave it out of --features.",
        )
    if not names:
        raise UsageError(
            f"{table.name}: no column to tell {roles.taken['target']} from",
            hint="Name some with --features."
            + "".join(f" {name}: {why}." for name, why in list(roles.left_out.items())[:3]),
        )
    roles.taken["features"] = ", ".join(names)
    return tuple(names)


def _named(table: Table, patterns: Sequence[str]) -> list[str]:
    names: dict[str, None] = {}
    for pattern in patterns:
        fits = [name for name in table if fnmatchcase(name, pattern)]
        if not fits:
            _there(table, pattern)
        names |= dict.fromkeys(fits)
    return list(names)


def _no_feature(name: str, column: np.ndarray, target: Float64[np.ndarray, " row"]) -> str:
    """Why a column is not taken; empty where it is."""
    if column.dtype.kind not in "fiub" or column.ndim > 1:
        return "no numbers"
    if _TELLING.search(name):
        return "its name says what is to be told; name it in --features if it is known before"
    values = column.astype(np.float64)
    known = np.isfinite(values) & np.isfinite(target)
    if known.sum() < _FEWEST_NUMBERS or np.ptp(values[known]) == 0:
        return "always the same" if known.sum() >= _FEWEST_NUMBERS else "no numbers"
    if np.ptp(target[known]) and abs(np.corrcoef(values[known], target[known])[0, 1]) > _SAME:
        return "the target in another unit"
    return ""


def _unit(name: str, kind: Kind) -> str:
    low = name.lower()
    if kind == "life":
        return "cycles"
    if low.endswith("mah"):
        return "mAh"
    return "Ah" if "capacity" in low and "relative" not in low else "1"


def _only(table: Table, names: Sequence[str], what: str, option: str) -> str:
    if len(names) == 1:
        return names[0]
    if names:
        raise UsageError(
            f"{table.name}: {' and '.join(names)} could each tell {what}",
            hint=f"Name one with {option}.",
        )
    raise UsageError(
        f"{table.name}: no column tells {what}",
        hint=f"Name it with {option}; there are {', '.join(list(table)[:40])}.",
    )


def _there(table: Table, name: str) -> str:
    if name not in table:
        raise UsageError(
            f"{table.name} has no column {name}", hint=f"It has {', '.join(list(table)[:40])}."
        )
    return name


def _numbers(table: Table, name: str) -> Float64[np.ndarray, " row"]:
    column = table[_there(table, name)]
    if column.dtype.kind not in "fiub" or column.ndim > 1:
        raise DataError(f"{table.name}: {name} holds no numbers", hint="Name another column.")
    return column.astype(np.float64)


def _texts(column: np.ndarray) -> np.ndarray:
    """Names as they are written: a whole number without a point, nothing for none."""
    return np.array([_text(one) for one in column.tolist()])


def _text(value: object) -> str:
    if isinstance(value, float):
        if not np.isfinite(value):
            return ""
        return str(int(value)) if value.is_integer() else str(value)
    return "" if value is None else str(value)
