"""Single readings that leave their neighbours in time and come back.

Rules
- A Hampel test on `2 * REACH + 1` rows with a floor: a flat signal has no deviation to measure by,
  and the floor grows with what the current moves.
- Cells are tested by their distance from the median of the cells as well, with a lower floor.
- A spike of the current is one only where the voltage does not answer it.
- A window with a gap, or longer than `SPAN_SECOND`, is not judged.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from jaxtyping import Bool, Float

from cellwarden.domain import Severity
from cellwarden.guard.episode import Breach
from cellwarden.guard.outliers import SIGMA_OF_MAD
from cellwarden.guard.rate import explained_volt
from cellwarden.guard.window import REACH, Window

__all__ = ["spikes"]

SIGMA: Final = 6.0  # robust deviations of the window
CELL_VOLT: Final = 0.02
ALONE_VOLT: Final = 0.05
SHARE: Final = 0.5  # of the common move, by which siblings may differ
CELSIUS: Final = 2.5
CURRENT_C_RATE: Final = 0.5
ANSWER_OHM_AH: Final = 0.005  # no cell has so little resistance times capacity
SPAN_SECOND: Final = 200.0  # a longer window is no neighbourhood
_SIDE: Final = 2 * REACH + 1

Rows = Float[np.ndarray, "time item"]
Judged = Float[np.ndarray, "row item"]  # of the rows that have their neighbours


def spikes(window: Window) -> Iterator[Breach]:
    """Single readings that leave their neighbours in time and come back."""
    count = len(window.time)
    if count < _SIDE:
        return
    rows = slice(REACH, count - REACH)
    span = window.time[_SIDE - 1 :] - window.time[: 1 - _SIDE]
    judged = span <= SPAN_SECOND
    if not judged.any():
        return
    median = window.median_volt[:, None]
    current = window.frames.current_ampere[:, None]
    swing = _range(current)[:, 0]
    moved = explained_volt(window, rows, swing, span / (_SIDE - 1))[:, None]
    whole = window.siblings or window.signal == "voltage_volt"
    yield from _test(
        window,
        "voltage_volt" if whole else window.signal,
        median if whole else window.volt,
        ALONE_VOLT + moved,
        judged=judged,
        scale=window.series_count if whole else 1,
        whole=whole,
    )
    if window.siblings:
        floor = CELL_VOLT + SHARE * _range(median)
        yield from _test(window, window.signal, window.volt - median, floor, judged=judged)
    for signal, column in (
        ("cell_temperature_celsius", window.frames.cell_temperature_celsius),
        ("ambient_temperature_celsius", window.frames.ambient_temperature_celsius),
    ):
        if column is not None and column.size:
            celsius = column.reshape(count, -1)
            flat = np.full((count - 2 * REACH, 1), CELSIUS)
            whole = column.ndim == 1
            yield from _test(window, signal, celsius, flat, judged=judged, whole=whole)
    floor = CURRENT_C_RATE * window.capacity_ah[rows, None]
    for breach in _test(window, "current_ampere", current, floor, judged=judged, whole=True):
        yield from _unanswered(window, breach)


def _test(
    window: Window,
    signal: str,
    column: Rows,
    floor: Float[np.ndarray, "row #item"],
    *,
    judged: Bool[np.ndarray, " row"],
    scale: int = 1,
    whole: bool = False,
) -> Iterator[Breach]:
    """The Hampel test of every reading that has its neighbours on both sides."""
    rows = slice(REACH, len(column) - REACH)
    candidates = _beyond(column, floor) & judged[:, None]
    at, item = np.nonzero(candidates)
    if not len(at):
        return
    near = column[at[:, None] + np.arange(_SIDE), item[:, None]].astype(np.float64)
    median = np.median(near, axis=1)
    away = np.abs(near - median[:, None])
    limit = np.maximum(floor[at, 0], SIGMA * SIGMA_OF_MAD * np.median(away, axis=1))
    outside = away[:, REACH] > limit
    if not outside.any():
        return
    shape = candidates.shape
    broken, value, limits = (
        np.zeros(shape, np.bool_),
        np.full(shape, np.nan),
        np.full(shape, np.nan),
    )
    broken[at[outside], item[outside]] = True
    value[at, item], limits[at, item] = away[:, REACH] * scale, limit * scale
    yield Breach(
        kind="hampel",
        severity=Severity.WARNING,
        signal=signal,
        text="is a spike among its neighbours in time",
        time=window.time[rows],
        broken=broken,
        reading=window.frames.columns()[signal].reshape(len(column), -1)[rows],
        value=value,
        limit=limits,
        whole=whole,
    )


def _beyond(column: Rows, floor: Float[np.ndarray, "row #item"]) -> Bool[np.ndarray, "row item"]:
    """Readings further than the floor from the median of their window, gaps aside.

    The median of an odd window lies more than `floor` below a reading exactly when more than half
    of the window does: counting comparisons is many times faster than sorting every window.
    """
    count = len(column)
    middle = column[REACH : count - REACH]
    low, high = middle - floor, middle + floor
    shape = middle.shape
    below, above, known = (np.zeros(shape, np.int8) for _ in range(3))
    for shift in range(_SIDE):
        if shift == REACH:
            continue
        other = column[shift : count - 2 * REACH + shift]
        below += other < low
        above += other > high
        known += other == other  # noqa: PLR0124  the one cheap test for a gap
    full = known == _SIDE - 1
    apart: Bool[np.ndarray, "row item"] = ((below > REACH) | (above > REACH)) & full
    return apart


def _range(column: Rows) -> Judged:
    """Greatest minus least of each window. [unit of the column]"""
    count = len(column) - 2 * REACH
    least = greatest = column[:count]
    for shift in range(1, _SIDE):
        least = np.minimum(least, column[shift : count + shift])
        greatest = np.maximum(greatest, column[shift : count + shift])
    span: Judged = greatest - least
    return span


def _unanswered(window: Window, breach: Breach) -> Iterator[Breach]:
    """Of the spikes of the current, those that left the voltage where it was."""
    at = np.flatnonzero(breach.broken[:, 0])
    near = window.median_volt[at[:, None] + np.arange(_SIDE)].astype(np.float64)
    moved = np.abs(near[:, REACH] - np.median(near, axis=1))
    answer = ANSWER_OHM_AH * breach.value[at, 0] / window.capacity_ah[at + REACH]
    silent = at[moved < answer]
    if len(silent):
        broken = np.zeros_like(breach.broken)
        broken[silent] = True
        yield replace(breach, broken=broken, text="is a spike that the voltage does not answer")
