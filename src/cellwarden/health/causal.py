"""Columns that a charge gets from the earlier charges of its own cell, and from nothing later.

Rules
- A row is a charge, in the order in which the cell had them. What a row gets depends on it and on
  rows before it: later ones may change without moving it.
- A number that is none is replaced by the last one before it; where there is none it stays missing.
- Times and charges enter as logarithms: what they change by is a share.
- `choices` says which columns go together: a charge alone, with its age, since the cell's own
  start, with its recent trend, with all of its life so far.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64
from numpy.lib.stride_tricks import sliding_window_view

from cellwarden.errors import DataError

__all__ = ["AGE", "choices", "past_columns"]

AGE: Final = "cycle_count"
_SMOOTH: Final = 9  # charges of a running median
_START: Final = 30  # first charges that say where a cell began
_RECENT: Final = 50
_LONG: Final = 200
_KINDS: Final = ("smooth", "since_start", "recent", "long", "so_far")
_SHARES: Final = frozenset({"cc_q", "cv_q", "cc_charge_time", "cv_charge_time"})
_SMALLEST: Final = 1e-4
_AT_A_TIME: Final = 4096

_Table = Float64[np.ndarray, "row column"]


def choices(names: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """Which columns to offer together, from those of one charge."""
    kind = {one: tuple(f"{name}_{one}" for name in names) for one in _KINDS}
    return {
        "charge": names,
        "charge and age": (*names, AGE),
        "since start": (*kind["since_start"], AGE),
        "recent trend": (*kind["smooth"], *kind["since_start"], *kind["recent"], AGE),
        "life so far": (
            *kind["smooth"], *kind["since_start"], *kind["long"], *kind["so_far"], AGE,
        ),
    }  # fmt: skip


def past_columns(
    names: tuple[str, ...],
    features: Float64[np.ndarray, "row column"],
    cell: Int64[np.ndarray, " row"],
) -> tuple[tuple[str, ...], Float64[np.ndarray, "row more"]]:
    """Names and values of what each charge gets from those before it. [unit of the column]

    Rows of a cell must stand in their order; other cells may lie between.

    Raises:
        DataError: a column without a name, or a row without a cell.
    """
    if features.shape != (len(cell), len(names)):
        raise DataError(
            f"features are {features.shape}, not {(len(cell), len(names))}",
            hint="Give a row a cell and a column a name.",
        )
    told = tuple(f"{name}_{kind}" for kind in _KINDS for name in names)
    values = np.empty((len(cell), len(told)))
    for one in np.unique(cell):
        own = cell == one
        values[own] = _of_cell(_as_shares(names, _carried_on(features[own])))
    return told, values


def _of_cell(measured: _Table) -> _Table:
    smooth = _running_median(measured, _SMOOTH)
    age = np.arange(len(measured))
    start = np.stack([np.median(measured[: k + 1], axis=0) for k in range(min(_START, len(age)))])
    moved = smooth - start[np.minimum(age, len(start) - 1)]
    so_far = np.cumsum(moved, axis=0) / (age + 1)[:, None]
    recent, long = (smooth - smooth[np.maximum(age - back, 0)] for back in (_RECENT, _LONG))
    return np.hstack([smooth, moved, recent, long, so_far])


def _running_median(measured: _Table, width: int) -> _Table:
    """The median of the last `width` rows, of fewer at the start."""
    first = [np.median(measured[: k + 1], axis=0) for k in range(min(width - 1, len(measured)))]
    told = np.empty_like(measured)
    told[: len(first)] = first
    if len(measured) >= width:
        windows = sliding_window_view(measured, width, axis=0)
        for start in range(0, len(windows), _AT_A_TIME):
            part = windows[start : start + _AT_A_TIME]
            told[width - 1 + start : width - 1 + start + len(part)] = np.median(part, axis=-1)
    return told


def _carried_on(measured: _Table) -> _Table:
    """Each number that is none replaced by the last before it; NaN where there is none."""
    known = np.isfinite(measured)
    last = np.where(known, np.arange(len(measured))[:, None], -1)
    last = np.maximum.accumulate(last, axis=0)
    held = np.take_along_axis(measured, np.maximum(last, 0), axis=0)
    return np.asarray(np.where(last >= 0, held, np.nan))


def _as_shares(names: tuple[str, ...], measured: _Table) -> _Table:
    told = measured.copy()
    for place, name in enumerate(names):
        if name in _SHARES:
            told[:, place] = np.log(np.maximum(told[:, place], _SMALLEST))
    return told
