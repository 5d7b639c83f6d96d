"""A record cut into steps and cycles: by the tester's own numbers, and by what the cell saw.

Rules
- The tester's step number is believed where it takes more than one value and does not change at
  every other row; its cycle number likewise. Otherwise current and voltage decide.
- A new step begins where the tester says so, where the clock runs backwards, where current starts,
  stops or turns round, and where it jumps by more than a tenth with the voltage following.
- A single row that differs from its step is part of it: testers write one such row at a switch.
- Where steps found so would hold fewer than ten rows each (the median of nine in turn), and there
  are eighteen of them or more, it is one step: a drive cycle.
- A charge or discharge whose end holds the voltage while the current falls is two steps, at
  constant current and at constant voltage, also where the tester calls it one.
- Cycles found from the current begin with each run in the direction of the first run; a run ends
  when the count has turned back by `turn_ah`. A rest belongs to the cycle before it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Int8, Int64
from numpy.lib.stride_tricks import sliding_window_view

from cellwarden.domain import Series
from cellwarden.features.cycles import turns
from cellwarden.features.flow import Flow, passed
from cellwarden.features.limits import Limits, turn_ah

__all__ = ["Outline", "outline"]

_CROWDED_PART: Final = 1 / 2  # of the rows may begin a step before the number is no step number
_JUMP_PART: Final = 0.1
_BUSY_ROWS: Final = 10
_BUSY_WINDOW: Final = 9
_BUSY_RUN: Final = 18  # parts in turn; fewer are the ramp of a switch
_PAUSE_ROWS: Final = 100  # a segment that long stands for itself, also inside a drive cycle
_LEVEL_PART: Final = 0.99  # of the largest current: still constant current
_FALL_PART: Final = 0.95  # of the current at its begin: a taper must fall below
_TAPER_ROWS: Final = 3


@dataclass(frozen=True, slots=True)
class Outline:
    """The rows at which steps and cycles begin, and what is known of each step.

    `direction` is 1 for charge, -1 for discharge, 0 for rest; `held` says constant voltage,
    `drive` that current and voltage change too often to tell steps apart. `cycle` is the place of
    each step's cycle among the cycles, `cycle_count` their numbers.
    """

    start: Int64[np.ndarray, " step"]
    direction: Int8[np.ndarray, " step"]
    held: Bool[np.ndarray, " step"]
    drive: Bool[np.ndarray, " step"]
    cycle: Int64[np.ndarray, " step"]
    cycle_count: Int64[np.ndarray, " cycle"]
    steps_by_tester: bool
    cycles_by_tester: bool


def outline(series: Series, rows: Flow, limits: Limits) -> Outline:
    """Where steps and cycles of a record begin. [1]"""
    state = _state(rows, limits.rest_ampere or 0.0)
    told = rows.column(series.cycle_count)
    by_tester = told is not None and _is_plausible(told)
    if told is not None and by_tester:
        begin = _changes(told)
        number = told[begin]
    else:
        begin = _found_cycles(series, rows, limits, state)
        first = 1 if told is None or len(begin) > 1 or len(told) == 0 else int(told[0])
        number = np.arange(first, first + len(begin))
    numbers = [rows.column(series.columns().get(name)) for name in ("step_index", "step_count")]
    step_numbers = [column for column in numbers if column is not None and _is_plausible(column)]
    hard = np.unique(np.concatenate([begin, rows.backward, *map(_changes, step_numbers)]))
    start, drive = _segments(rows, state, hard, limits.level_volt or 0.0)
    direction = _directions(rows, state, start)
    start, direction, held, drive = _tapers(rows, start, direction, drive, limits)
    return Outline(
        start=start,
        direction=direction,
        held=held,
        drive=drive,
        cycle=np.searchsorted(begin, start, side="right") - 1,
        cycle_count=number,
        steps_by_tester=bool(step_numbers),
        cycles_by_tester=by_tester,
    )


def _state(rows: Flow, rest_ampere: float) -> Int8[np.ndarray, " time"]:
    """1 where current charges, -1 where it discharges, 0 at rest. [1]

    Once it flows it flows until it falls below half the limit, so that noise does not flicker.
    """
    current = rows.current_ampere
    state = (current > rest_ampere).astype(np.int8) - (current < -rest_ampere)
    between = (state == 0) & (np.abs(current) > rest_ampere / 2)
    if between.any():
        state = state[np.maximum.accumulate(np.where(between, 0, np.arange(len(state))))]
        state[between & (state * current < 0)] = 0
    return state


def _is_plausible(number: Int64[np.ndarray, " time"]) -> bool:
    """Whether a tester's number can be that of steps or cycles. [1]"""
    change = int(np.count_nonzero(number[1:] != number[:-1]))
    return 0 < change < _CROWDED_PART * len(number)


def _changes(number: np.ndarray) -> Int64[np.ndarray, " border"]:
    """The first row, and each row that differs from the one before. [1]"""
    first = np.zeros(min(len(number), 1), dtype=np.int64)
    return np.concatenate([first, np.flatnonzero(number[1:] != number[:-1]) + 1])


def _found_cycles(
    series: Series, rows: Flow, limits: Limits, state: Int8[np.ndarray, " time"]
) -> Int64[np.ndarray, " cycle"]:
    """The rows at which cycles begin, from the charge that came and went. [1]"""
    first_row = np.zeros(min(len(rows), 1), dtype=np.int64)
    turn = limits.turn_ah
    if turn is None:
        turn = turn_ah(rows, limits, series.nominal_capacity_ah)
    stretch = _changes(state)
    stretch = stretch[state[stretch] != 0]
    if len(stretch) == 0 or turn <= 0:
        return first_row
    rest, gap = limits.rest_ampere or 0.0, limits.gap_second or np.inf
    net = passed(rows, first_row, (None, None), rest_ampere=rest, gap_second=gap)
    count = np.cumsum(net.net_ah)
    at_end = np.append(count[np.maximum(stretch[1:] - 1, 0)], count[-1])
    runs = turns((at_end - count[max(int(stretch[0]) - 1, 0)]).tolist(), turn)
    if not runs:
        return first_row
    same = [stretch[begin] for begin, _, sign in runs if sign == runs[0][2]]
    return np.concatenate([first_row, np.array(same[1:], dtype=np.int64)])


def _segments(
    rows: Flow,
    state: Int8[np.ndarray, " time"],
    hard: Int64[np.ndarray, " border"],
    level_volt: float,
) -> tuple[Int64[np.ndarray, " step"], Bool[np.ndarray, " step"]]:
    """Where steps begin, and which of them are drive cycles. [1]"""
    size = np.abs(rows.current_ampere)
    jump = np.abs(np.diff(rows.current_ampere)) > _JUMP_PART * size[1:]
    at = np.flatnonzero(jump) + 1
    same = state[at] == state[at - 1]
    rise = rows.voltage_volt[at] - rows.voltage_volt[at - 1]
    follows = rise * (rows.current_ampere[at] - rows.current_ampere[at - 1]) > 0
    moved = follows & (np.abs(rise) > level_volt) & (state[at] != 0)
    start = np.unique(np.concatenate([hard, at[~same | moved]]))
    if len(start) == 0:
        return start, np.empty(0, dtype=bool)
    firm = np.isin(start, hard, assume_unique=True)
    length = np.diff(np.append(start, len(rows)))
    busy = _busy(length, firm)
    kept = firm | ~busy | ~np.append(False, busy[:-1])
    kept &= ~_stray(state[start], length, firm, busy)
    return start[kept], busy[kept]


def _busy(
    length: Int64[np.ndarray, " part"], firm: Bool[np.ndarray, " part"]
) -> Bool[np.ndarray, " part"]:
    """Parts among parts of a few rows each, step by step so that no step looks at another. [1]"""
    busy = np.zeros(len(length), dtype=bool)
    first = np.append(np.flatnonzero(firm), len(length))
    for group in np.flatnonzero(np.diff(first) >= _BUSY_WINDOW):
        inside = slice(int(first[group]), int(first[group + 1]))
        padded = np.pad(length[inside], _BUSY_WINDOW // 2, mode="edge")
        usual = np.median(sliding_window_view(padded, _BUSY_WINDOW), axis=1)
        busy[inside] = (usual < _BUSY_ROWS) & (length[inside] < _PAUSE_ROWS)
    # A few short parts in turn are the ramp of a switch, written row by row.
    change = np.flatnonzero(np.diff(busy) | firm[1:]) + 1
    run = np.diff(np.concatenate([[0], change, [len(busy)]]))
    return np.asarray(busy & np.repeat(run >= _BUSY_RUN, run))


def _stray(
    state: Int8[np.ndarray, " part"],
    length: Int64[np.ndarray, " part"],
    firm: Bool[np.ndarray, " part"],
    busy: Bool[np.ndarray, " part"],
) -> Bool[np.ndarray, " part"]:
    """Borders that only set a single row apart. [1]"""
    single = (length == 1) & ~busy
    stray = single & ~firm
    index = np.arange(len(length))
    begun = np.maximum.accumulate(np.where(firm, index, 0))
    grown = np.maximum.accumulate(np.where(single, -1, index))
    after = np.zeros(len(length), dtype=bool)
    # A step's first single rows, or one between two parts of one kind, join what comes next.
    after[1:] = grown[:-1] < begun[:-1]
    after[2:] |= stray[1:-1] & (state[2:] == state[:-2])
    return np.asarray((stray | after) & ~busy & ~firm)


def _directions(
    rows: Flow, state: Int8[np.ndarray, " time"], start: Int64[np.ndarray, " step"]
) -> Int8[np.ndarray, " step"]:
    """Charge, discharge or rest of each step: what most of its rows are. [1]"""
    if len(start) == 0:
        return np.empty(0, dtype=np.int8)
    moving = np.add.reduceat((state != 0).astype(np.int64), start)
    net = np.add.reduceat(rows.current_ampere, start)
    resting = 2 * moving < np.diff(np.append(start, len(rows)))
    return np.where(resting | (moving == 0), 0, np.sign(net)).astype(np.int8)


def _tapers(
    rows: Flow,
    start: Int64[np.ndarray, " step"],
    direction: Int8[np.ndarray, " step"],
    drive: Bool[np.ndarray, " step"],
    limits: Limits,
) -> tuple[
    Int64[np.ndarray, " step"],
    Int8[np.ndarray, " step"],
    Bool[np.ndarray, " step"],
    Bool[np.ndarray, " step"],
]:
    """Steps cut where their voltage begins to be held, if it is. [1]"""
    if len(start) == 0:
        return start, direction, drive, drive
    length = np.diff(np.append(start, len(rows)))
    current = np.repeat(direction, length) * rows.current_ampere
    index = np.arange(len(rows))
    rest = limits.rest_ampere or 0.0
    last = np.maximum.reduceat(np.where(current > rest, index, 0), start)
    last = np.maximum(last, start)
    largest = np.maximum.reduceat(current, start)
    away = np.abs(rows.voltage_volt - np.repeat(rows.voltage_volt[last], length))
    level = (current >= np.repeat(_LEVEL_PART * largest, length)) | (
        away > (limits.level_volt or 0.0)
    )
    level[last] &= False  # the row that the others are compared with
    level &= index <= np.repeat(last, length)
    taper = np.maximum.reduceat(np.where(level, index + 1, 0), start)
    taper = np.maximum(taper, start)
    falls = current[last] < _FALL_PART * current[np.minimum(taper, len(rows) - 1)]
    whole = taper - start <= 1  # one row of full current is the taper's own first
    enough = last - np.where(whole, start, taper) + 1 >= _TAPER_ROWS
    held = (direction != 0) & ~drive & falls & enough
    cut = held & ~whole
    new = taper[cut]
    everything = np.concatenate([start, new])
    order = np.argsort(everything, kind="stable")
    return (
        everything[order],
        np.concatenate([direction, direction[cut]])[order],
        np.concatenate([held & ~cut, np.ones(len(new), dtype=bool)])[order],
        np.concatenate([drive, np.zeros(len(new), dtype=bool)])[order],
    )
