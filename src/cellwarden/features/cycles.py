"""The record of a cell cut into charges and discharges by its current alone.

Rules
- Rows without a finite time, voltage or current, with a voltage that no lithium cell can have, or
  with a time stamp already seen are left out; the rest is put in order of time.
- The charge counted from the current decides: a run ends when the count has turned back by
  `TURN_FRACTION` of nominal. Pulses, regeneration and short rests stay inside a run; a pause is
  no end, an aborted charge or discharge is a run of its own. The last run may still be going on.
- A step between two rows that might hold more than `GAP_FRACTION` of nominal is a gap: it counts
  as nothing, and a run with a gap inside is marked. A gap at rest is no gap.
- Nothing looks ahead except the turn that ends a run, so a longer record never changes the runs
  that had ended.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.domain import Series
from cellwarden.errors import UsageError

__all__ = ["Runs", "Samples", "cut", "samples", "turns"]

TURN_FRACTION: Final = 0.02  # of nominal; under it, it is a pulse or regeneration
BLIP_FRACTION: Final = 0.001  # of nominal; a stretch under it neither begins nor ends a run
GAP_FRACTION: Final = 0.05  # of nominal; a capacity must be known better than that
REST_PER_HOUR: Final = 1 / 200  # of nominal; half the smallest usual cut-off of a charge, C/100
_LOW_VOLT: Final = 0.5
_HIGH_VOLT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Samples:
    """The usable rows of a record in order of time, with the charge counted so far.

    `row` is the place of each in the record it came from.
    """

    row: Int64[np.ndarray, " time"]
    time_second: Float64[np.ndarray, " time"]
    voltage_volt: Float64[np.ndarray, " time"]
    current_ampere: Float64[np.ndarray, " time"]
    temperature_celsius: Float64[np.ndarray, " time"]
    counted_ah: Float64[np.ndarray, " time"]
    gap: Bool[np.ndarray, " time"]
    nominal_capacity_ah: float

    def __len__(self) -> int:
        return len(self.time_second)


@dataclass(frozen=True, slots=True)
class Runs:
    """Charges and discharges in turn; rests lie between them.

    Run k holds the samples `start[k]` up to, not with, `stop[k]`; the first and the last of them
    carry current. `charges` is true for a charge; `passed_ah` is the charge that went through, at
    least zero; `ended` is false for a last run that the record breaks off.
    """

    start: Int64[np.ndarray, " run"]
    stop: Int64[np.ndarray, " run"]
    charges: Bool[np.ndarray, " run"]
    passed_ah: Float64[np.ndarray, " run"]
    has_gap: Bool[np.ndarray, " run"]
    ended: Bool[np.ndarray, " run"]

    def __len__(self) -> int:
        return len(self.start)


def samples(series: Series, nominal_capacity_ah: float) -> Samples:
    """The usable rows of a record in order of time. [s, V, A, °C, Ah]

    Raises:
        UsageError: the nominal capacity is not a positive number.
    """
    if not (np.isfinite(nominal_capacity_ah) and nominal_capacity_ah > 0):
        raise UsageError(
            f"nominal capacity must be above zero, not {nominal_capacity_ah}",
            hint="Take it from the cell's data sheet, in Ah.",
        )
    time = series.test_time_second if series.unix_time_second is None else series.unix_time_second
    voltage, current = series.voltage_volt, series.current_ampere
    usable = np.isfinite(time) & np.isfinite(current)
    usable &= (voltage > _LOW_VOLT) & (voltage < _HIGH_VOLT)  # a missing voltage is neither
    row = np.flatnonzero(usable)
    row = row[np.argsort(time[row], kind="stable")]
    row = row[np.diff(time[row], prepend=-np.inf) > 0]
    surface = series.surface_temperature_celsius
    counted, gap = _count(time[row], current[row], nominal_capacity_ah)
    return Samples(
        row=row,
        time_second=time[row],
        voltage_volt=voltage[row],
        current_ampere=current[row],
        temperature_celsius=np.full(len(row), np.nan) if surface is None else surface[row],
        counted_ah=counted,
        gap=gap,
        nominal_capacity_ah=float(nominal_capacity_ah),
    )


def _count(
    time: Float64[np.ndarray, " time"],
    current: Float64[np.ndarray, " time"],
    nominal_capacity_ah: float,
) -> tuple[Float64[np.ndarray, " time"], Bool[np.ndarray, " time"]]:
    """Charge counted up to each row by the trapezium rule, and where a gap ends. [Ah, 1]"""
    if len(time) == 0:
        return np.empty(0), np.empty(0, dtype=bool)
    hour = np.diff(time) / 3600
    largest = np.maximum(np.abs(current[1:]), np.abs(current[:-1]))
    active = largest > REST_PER_HOUR * nominal_capacity_ah
    gap = active & (largest * hour > GAP_FRACTION * nominal_capacity_ah)
    # At rest only the sensor's offset would be counted, for as long as the rest lasts.
    step = np.where(gap | ~active, 0.0, (current[1:] + current[:-1]) / 2 * hour)
    return np.concatenate([[0.0], np.cumsum(step)]), np.concatenate([[False], gap])


def cut(taken: Samples) -> Runs:
    """Charges and discharges of a record, oldest first. [1]"""
    rest = REST_PER_HOUR * taken.nominal_capacity_ah
    active = np.flatnonzero(np.abs(taken.current_ampere) > rest)
    if len(active) == 0:
        none = np.empty(0, dtype=np.int64)
        no = np.empty(0, dtype=bool)
        return Runs(none, none, no, np.empty(0), no, no)
    # Stretches of one sign without a rest; the count at the end of each decides where runs turn.
    positive = taken.current_ampere[active] > 0
    breaks = (positive[1:] != positive[:-1]) | (np.diff(active) > 1)
    last = np.append(np.flatnonzero(breaks), len(active) - 1)
    first = np.concatenate([[0], last[:-1] + 1])
    before = taken.counted_ah[np.maximum(active[first] - 1, 0)]
    after = taken.counted_ah[_row_after(taken, active[last])]
    found = turns((after - before[0]).tolist(), TURN_FRACTION * taken.nominal_capacity_ah)
    loud = np.abs(after - before) >= BLIP_FRACTION * taken.nominal_capacity_ah
    begin, end, sign = _trim(np.array(found, dtype=np.int64).reshape(-1, 3), loud).T
    start, stop = active[first[begin]], active[last[end]] + 1
    passed = (
        taken.counted_ah[_row_after(taken, stop - 1)] - taken.counted_ah[np.maximum(start - 1, 0)]
    )
    gaps = np.cumsum(taken.gap)
    ended = np.ones(len(start), dtype=bool)
    ended[-1:] = False
    return Runs(
        start=start,
        stop=stop,
        charges=sign > 0,
        passed_ah=np.maximum(sign * passed, 0.0),
        has_gap=gaps[stop - 1] > gaps[start],
        ended=ended,
    )


def _trim(turns: Int64[np.ndarray, "run 3"], loud: Bool[np.ndarray, " stretch"]) -> np.ndarray:
    """Runs without the blips before and after: sensor noise at rest begins no discharge. [1]"""
    heard = np.flatnonzero(loud)
    if len(heard) == 0:
        return turns
    begin = heard[np.minimum(np.searchsorted(heard, turns[:, 0]), len(heard) - 1)]
    end = heard[np.maximum(np.searchsorted(heard, turns[:, 1], side="right") - 1, 0)]
    inside = (begin <= end) & (begin >= turns[:, 0]) & (end <= turns[:, 1])
    return np.where(inside[:, None], np.column_stack([begin, end, turns[:, 2]]), turns)


def _row_after(taken: Samples, at: Int64[np.ndarray, " run"]) -> Int64[np.ndarray, " run"]:
    """The row that closes the last step of a run, which holds half of that step's charge. [1]"""
    return np.asarray(np.minimum(at + 1, len(taken) - 1))


def turns(counted: list[float], turn: float) -> list[tuple[int, int, int]]:
    """Runs between turns of at least `turn`: first stretch, last stretch, sign. [1]

    A loop, because each turn depends on the one before; it sees stretches, not rows.
    """
    runs: list[tuple[int, int, int]] = []
    begin = sign = 0
    high = low = (0.0, -1)
    for at, value in enumerate(counted):
        if sign >= 0 and value > high[0]:
            high = (value, at)
        if sign <= 0 and value < low[0]:
            low = (value, at)
        if sign >= 0 and high[0] - value >= turn:
            if sign > 0:
                runs.append((begin, high[1], 1))
            begin, sign, low = high[1] + 1, -1, (value, at)
        elif sign <= 0 and value - low[0] >= turn:
            if sign < 0:
                runs.append((begin, low[1], -1))
            begin, sign, high = low[1] + 1, 1, (value, at)
    if sign != 0:
        runs.append((begin, (high if sign > 0 else low)[1], sign))
    return runs
