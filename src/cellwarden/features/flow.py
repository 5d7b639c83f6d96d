"""The rows of a record that can be counted, and the charge and energy that each of them brings.

Rules
- Rows without a finite time, voltage or current are left out; the others stay in their order.
- The clock is test time; where that runs backwards and the calendar does not, the calendar.
  An interval in which the clock still runs backwards counts as nothing.
- Within a step, charge is the trapezium rule over the current, energy over current times voltage;
  an interval in which the current changes its sign is cut where it passes zero.
- In a step that holds the voltage the current falls exponentially from row to row, so that the
  logarithmic mean of its two ends takes the place of the trapezium, which would count too much.
- Where two steps meet and the current jumps, it does so at a moment between two rows. Each step
  gets its own current times its part of the interval: half (the trapezium), or, where the tester
  counts, the part that makes the interval hold what the counters grew by.
  Where it does not jump (a taper after constant current), the interval is the later step's.
- Many testers write their first row some time after they began. Where the counters show in it what
  its current brings in that time, the record begins at test time zero.
- An interval whose two ends rest, and one longer than `gap_second`, bring nothing.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.domain import Series

__all__ = ["Flow", "Passed", "counted", "flow", "passed"]

_SECOND_PER_HOUR: Final = 3600.0
_JUMP_PART: Final = 0.1  # of the larger current
_STRAIGHT: Final = 1e-3  # two ends that close have one mean
_LEAD_PART: Final = 0.01  # how well the first row's counters must fit its current
_RESET_PART: Final = 0.5  # a counter that lost more than half has begun anew


@dataclass(frozen=True, slots=True)
class Flow:
    """Countable rows; `interval_second` reaches from the row before, `row` is the record's own."""

    row: Int64[np.ndarray, " time"]
    interval_second: Float64[np.ndarray, " time"]
    voltage_volt: Float64[np.ndarray, " time"]
    current_ampere: Float64[np.ndarray, " time"]
    backward: Int64[np.ndarray, " back"]
    by_calendar: bool

    def __len__(self) -> int:
        return len(self.row)

    def column(self, values: np.ndarray | None) -> np.ndarray | None:
        """A column of the record at the countable rows; the whole of it is no copy."""
        if values is None or len(values) == len(self.row):
            return values
        return np.asarray(values[self.row])


@dataclass(frozen=True, slots=True)
class Passed:
    """What flowed in the interval up to each row, in alone and in less out; where a gap was passed.

    `switch_fraction` is, for each border but the record's begin, the part of its interval that
    belongs to the new step; `told` says that the tester's counters told it.
    """

    in_ah: Float64[np.ndarray, " time"]
    net_ah: Float64[np.ndarray, " time"]
    in_wh: Float64[np.ndarray, " time"]
    net_wh: Float64[np.ndarray, " time"]
    gap: Int64[np.ndarray, " gap"]
    switch_fraction: Float64[np.ndarray, " border"]
    told: Bool[np.ndarray, " border"]


def flow(series: Series) -> Flow:
    """The countable rows of a record. [s, V, A]"""
    time, calendar = series.test_time_second, series.unix_time_second
    voltage, current = series.voltage_volt, series.current_ampere
    usable = np.isfinite(time) & np.isfinite(voltage) & np.isfinite(current)
    whole = bool(usable.all())
    row = np.arange(len(time)) if whole else np.flatnonzero(usable)
    if not whole:
        time, voltage, current = time[row], voltage[row], current[row]
        calendar = None if calendar is None else calendar[row]
    interval = _intervals(time)
    backward = np.flatnonzero(interval < 0)
    by_calendar = False
    if len(backward) and calendar is not None:
        other = _intervals(calendar)
        if np.all(other >= 0):
            interval, backward, by_calendar = other, backward[:0], True
    interval[backward] = 0.0
    interval[:1] = _lead(series, row, time, current)
    return Flow(row, interval, voltage, current, backward, by_calendar)


def _lead(
    series: Series,
    row: Int64[np.ndarray, " time"],
    time: Float64[np.ndarray, " time"],
    current: Float64[np.ndarray, " time"],
) -> float:
    """The time before the first row that the record holds, if the counters show it. [s]"""
    put_in, out = series.charging_capacity_ah, series.discharging_capacity_ah
    if put_in is None or out is None or len(row) == 0 or row[0] != 0:
        return 0.0
    flowed = current[0] * time[0] / _SECOND_PER_HOUR
    seen = np.abs(put_in[0] - out[0] - flowed) <= _LEAD_PART * np.abs(flowed)
    return float(time[0]) if seen and flowed and time[0] > 0 else 0.0


def _intervals(time: Float64[np.ndarray, " time"]) -> Float64[np.ndarray, " time"]:
    return np.diff(time, prepend=time[:1])


def counted(
    counter: Float64[np.ndarray, " time"] | None, at: Int64[np.ndarray, " border"]
) -> Float64[np.ndarray, " border"] | None:
    """What a tester's counter grew by up to some rows, resets seen through. [unit of the counter]

    A counter that lost more than half of what it showed has begun anew; what it shows then has
    been counted since.
    """
    if counter is None:
        return None
    before, now = counter[np.maximum(at - 1, 0)], counter[at]
    return np.asarray(np.where(now < _RESET_PART * before, now, now - before))


def passed(
    rows: Flow,
    border: Int64[np.ndarray, " border"],
    counters: tuple[Float64[np.ndarray, " time"] | None, Float64[np.ndarray, " time"] | None],
    *,
    rest_ampere: float,
    gap_second: float,
    taper: Int64[np.ndarray, " taper"] | None = None,
) -> Passed:
    """Charge and energy up to each row, given the rows at which steps begin. [Ah, Wh]

    `taper` are rows of steps at constant voltage, without the first of each.
    """
    hour = rows.interval_second / _SECOND_PER_HOUR
    current, power = rows.current_ampere, rows.current_ampere * rows.voltage_volt
    moving = np.abs(current) > rest_ampere
    idle = ~moving
    idle[1:] &= ~moving[:-1]
    hour[idle] = 0.0
    gap = np.flatnonzero((rows.interval_second > gap_second) & (hour > 0))
    hour[gap] = 0.0
    inner = border[border > 0]
    jump = np.abs(current[inner] - current[inner - 1]) > _JUMP_PART * np.maximum(
        np.abs(current[inner]), np.abs(current[inner - 1])
    )
    fraction, told = np.ones(len(inner)), np.zeros(len(inner), dtype=bool)
    fraction[jump], told[jump] = _switch(rows, inner[jump], hour, counters)
    tapering = np.empty(0, dtype=np.int64) if taper is None else taper
    net_ah, in_ah = _integral(current, hour, moving, (inner[jump], fraction[jump]), tapering)
    net_wh, in_wh = _integral(power, hour, moving, (inner[jump], fraction[jump]), tapering)
    return Passed(in_ah, net_ah, in_wh, net_wh, gap, fraction, told)


def _switch(
    rows: Flow,
    inner: Int64[np.ndarray, " border"],
    hour: Float64[np.ndarray, " time"],
    counters: tuple[Float64[np.ndarray, " time"] | None, Float64[np.ndarray, " time"] | None],
) -> tuple[Float64[np.ndarray, " border"], Bool[np.ndarray, " border"]]:
    """The part of each border's interval in which the new current flowed. [1]"""
    half = np.full(len(inner), 0.5)
    grown = [counted(counter, inner) for counter in counters]
    if grown[0] is None or grown[1] is None:
        return half, np.zeros(len(inner), dtype=bool)
    net = grown[0] - grown[1]
    old = rows.current_ampere[inner - 1] * hour[inner]
    new = rows.current_ampere[inner] * hour[inner]
    told = np.isfinite(net) & (new != old)
    part = (net - old) / np.where(told, new - old, 1.0)
    return np.where(told, np.clip(part, 0.0, 1.0), half), told


def _integral(
    rate: Float64[np.ndarray, " time"],
    hour: Float64[np.ndarray, " time"],
    moving: Bool[np.ndarray, " time"],
    border: tuple[Int64[np.ndarray, " border"], Float64[np.ndarray, " border"]],
    taper: Int64[np.ndarray, " taper"],
) -> tuple[Float64[np.ndarray, " time"], Float64[np.ndarray, " time"]]:
    """What a rate brings up to each row: in less out, and in alone. [unit of the rate × h]"""
    inner, fraction = border
    net = np.empty_like(rate)
    net[:1] = 2 * rate[:1]
    np.add(rate[1:], rate[:-1], out=net[1:])
    net *= hour
    net *= 0.5
    net[taper] += _bend(rate[taper - 1], rate[taper]) * hour[taper]
    new = fraction * np.where(moving[inner], rate[inner], 0.0) * hour[inner]
    old = (1 - fraction) * np.where(moving[inner - 1], rate[inner - 1], 0.0) * hour[inner]
    net[inner] = new
    net[inner - 1] += old
    gained = np.maximum(net, 0.0)
    crossing = rate[1:] * rate[:-1] < 0
    crossing[inner - 1] = False
    at = np.flatnonzero(crossing) + 1
    at = at[hour[at] > 0]
    high = np.maximum(rate[at], rate[at - 1])
    low = np.minimum(rate[at], rate[at - 1])
    gained[at] += high * high / (high - low) * hour[at] / 2 - np.maximum(
        (rate[at] + rate[at - 1]) * hour[at] / 2, 0.0
    )
    return net, gained


def _bend(before: Float64[np.ndarray, " row"], now: Float64[np.ndarray, " row"]) -> np.ndarray:
    """Logarithmic less plain mean of two ends, zero where one of them is. [unit of the rate]"""
    same = before * now > 0
    ratio = np.where(same, now, 1.0) / np.where(same, before, 1.0)
    plain = (before + now) / 2
    bends = same & (np.abs(ratio - 1) > _STRAIGHT)
    steep = np.log(np.where(bends, ratio, np.e))
    return np.where(bends, (now - before) / steep - plain, 0.0)
