"""How a cell was used: rainflow cycles, throughput, and time spent at each temperature and charge.

Rules
- Everything is a step: `step(state, rows) -> state`. A record cut anywhere gives the same bits as
  the whole, because sums grow row by row in one order.
- A reading that is missing (NaN) is no reading: rainflow passes over it, a dwell does not count it.
- Between two rows each quantity is the mean of both; a step longer than `gap_second`, or back in
  time, counts as `unknown_second` (when longer) and as nothing else.
- Values below the first edge or from the last edge on have bins of their own, so no time is lost.
- Rainflow counts a cycle when a later turn closes it; `finish` counts what is still open as halves.

Source: ASTM E1049-85 (2017), section 5.4.4, rainflow counting.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import UsageError

__all__ = ["Rain", "RainCycles", "Usage", "UsageBins", "finish", "pour", "rainflow", "record_usage"]

_SECOND_PER_HOUR: Final = 3600.0
_HALF: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class RainCycles:
    """Counted cycles in the order they closed: `count` is 1 or 0.5; `start`, `stop` are readings.

    Readings are numbered from 0 over the whole stream, missing ones included.
    """

    span: Float64[np.ndarray, " cycle"]
    mean: Float64[np.ndarray, " cycle"]
    count: Float64[np.ndarray, " cycle"]
    start: Int64[np.ndarray, " cycle"]
    stop: Int64[np.ndarray, " cycle"]

    def __len__(self) -> int:
        return len(self.span)

    def histogram(self, edge: Float64[np.ndarray, " edge"]) -> Float64[np.ndarray, " bin"]:
        """Cycles whose span lies in each bin; the first and last bins are open. [1]"""
        return _bins(edge, self.span, self.count)


@dataclass(frozen=True, slots=True)
class Rain:
    """Where rainflow counting stands: the turns still open, the last reading and its direction."""

    open_value: tuple[float, ...] = ()
    open_reading: tuple[int, ...] = ()
    last: float = float("nan")
    last_reading: int = -1
    direction: int = 0
    reading_count: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class UsageBins:
    """Edges of the bins, rising. Rate is current over capacity; positive charges."""

    temperature_celsius: Float64[np.ndarray, " edge"]
    soc_fraction: Float64[np.ndarray, " edge"]
    rate_per_hour: Float64[np.ndarray, " edge"]

    def __post_init__(self) -> None:
        for name in ("temperature_celsius", "soc_fraction", "rate_per_hour"):
            edge = getattr(self, name)
            if not len(edge) or not np.all(np.diff(edge) > 0):
                raise UsageError(f"the edges of {name} do not rise", hint="Sort them.")


@dataclass(frozen=True, slots=True, eq=False)
class Usage:
    """Sums since the record began. Each dwell has one bin more than edges: both ends are open.

    `charged_ah` and `discharged_ah` are at least zero; `last` is the row before the next one.
    """

    bins: UsageBins
    capacity_ah: float
    gap_second: float
    charged_ah: float = 0.0
    discharged_ah: float = 0.0
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    known_second: float = 0.0
    unknown_second: float = 0.0
    temperature_second: Float64[np.ndarray, " bin"] = field(default_factory=lambda: np.empty(0))
    soc_second: Float64[np.ndarray, " bin"] = field(default_factory=lambda: np.empty(0))
    rate_second: Float64[np.ndarray, " bin"] = field(default_factory=lambda: np.empty(0))
    last: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.capacity_ah > 0 or not self.gap_second > 0:
            raise UsageError(
                f"capacity {self.capacity_ah} Ah, gap {self.gap_second} s",
                hint="Both must be above zero.",
            )
        for name, edge in (
            ("temperature_second", self.bins.temperature_celsius),
            ("soc_second", self.bins.soc_fraction),
            ("rate_second", self.bins.rate_per_hour),
        ):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(len(edge) + 1))

    @property
    def equivalent_full_cycle_count(self) -> float:
        """Charge through the cell, both ways, over twice its capacity. [1]"""
        return (self.charged_ah + self.discharged_ah) / 2 / self.capacity_ah


def record_usage(
    usage: Usage,
    time_second: Float64[np.ndarray, " time"],
    current_ampere: Float64[np.ndarray, " time"],
    *,
    voltage_volt: Float64[np.ndarray, " time"] | None = None,
    temperature_celsius: Float64[np.ndarray, " time"] | None = None,
    soc_fraction: Float64[np.ndarray, " time"] | None = None,
) -> Usage:
    """The sums after more rows of the same cell. [Ah, Wh, s]"""
    absent = np.full(len(time_second), np.nan)
    columns = (time_second, current_ampere, voltage_volt, temperature_celsius, soc_fraction)
    rows = np.stack([absent if column is None else column for column in columns])
    rows = rows[:, np.isfinite(rows[0])]
    rows[~np.isfinite(rows)] = np.nan
    if usage.last:
        rows = np.concatenate([np.array(usage.last)[:, None], rows], axis=1)
    if rows.shape[1] == 0:
        return usage
    step = np.diff(rows[0])
    whole = (step > 0) & (step <= usage.gap_second)
    current, warm, soc = (rows[[1, 3, 4], 1:] + rows[[1, 3, 4], :-1])[:, whole] / 2
    step, long = step[whole], step[step > usage.gap_second]
    ampere, volt = rows[1], rows[2]
    known = np.isfinite(current)
    into, out = _split(ampere[:-1][whole], ampere[1:][whole], step)
    power = ampere * volt
    gained, lost = _split(power[:-1][whole], power[1:][whole], step)
    return replace(
        usage,
        charged_ah=_grown(usage.charged_ah, into),
        discharged_ah=_grown(usage.discharged_ah, out),
        charged_wh=_grown(usage.charged_wh, gained),
        discharged_wh=_grown(usage.discharged_wh, lost),
        known_second=_grown(usage.known_second, step[known]),
        unknown_second=_grown(usage.unknown_second, np.concatenate([step[~known], long])),
        temperature_second=_bins(
            usage.bins.temperature_celsius, warm, step, usage.temperature_second
        ),
        soc_second=_bins(usage.bins.soc_fraction, soc, step, usage.soc_second),
        rate_second=_bins(
            usage.bins.rate_per_hour, current / usage.capacity_ah, step, usage.rate_second
        ),
        last=tuple(float(value) for value in rows[:, -1]),
    )


def pour(rain: Rain, values: Float64[np.ndarray, " reading"]) -> tuple[Rain, RainCycles]:
    """Rainflow after more readings: the state, and the cycles that they closed. [unit of values]"""
    at = rain.reading_count + np.flatnonzero(np.isfinite(values))
    taken = values[np.isfinite(values)].astype(np.float64)
    place, direction = rain.last_reading, rain.direction
    if place >= 0:
        taken, at = np.concatenate([[rain.last], taken]), np.concatenate([[place], at])
    fresh = np.flatnonzero(np.diff(taken, prepend=np.nan) != 0)
    taken, at = taken[fresh], at[fresh]
    count = rain.reading_count + len(values)
    if not len(taken):
        return replace(rain, reading_count=count), _cycles([])
    turn = np.sign(np.diff(taken)).astype(np.int64)
    before = np.concatenate([[direction], turn[:-1]]) if len(turn) else turn
    turned = np.flatnonzero(turn != before)  # the first reading of a stream turns, too
    stack = list(zip(rain.open_value, rain.open_reading, strict=True))
    closed: list[tuple[float, float, float, int, int]] = []
    for value, reading in zip(taken[turned].tolist(), at[turned].tolist(), strict=True):
        stack.append((value, reading))
        _close(stack, closed)
    state = Rain(
        tuple(value for value, _ in stack),
        tuple(reading for _, reading in stack),
        float(taken[-1]),
        int(at[-1]),
        int(turn[-1]) if len(turn) else direction,
        count,
    )
    return state, _cycles(closed)


def finish(rain: Rain) -> RainCycles:
    """What is still open, as the standard counts it: the last reading is a turn, ranges are halves.

    [unit of the values]
    """
    stack = list(zip(rain.open_value, rain.open_reading, strict=True))
    closed: list[tuple[float, float, float, int, int]] = []
    if stack:  # it begins with the first reading and never holds the last
        stack.append((rain.last, rain.last_reading))
        _close(stack, closed)
    for first, second in pairwise(stack):
        closed.append(_cycle(first, second, _HALF))
    return _cycles(closed)


def rainflow(values: Float64[np.ndarray, " reading"]) -> RainCycles:
    """All cycles of a whole record, what stays open as halves. [unit of the values]"""
    state, cycles = pour(Rain(), values)
    rest = finish(state)
    return RainCycles(
        *(
            np.concatenate([getattr(cycles, name), getattr(rest, name)])
            for name in ("span", "mean", "count", "start", "stop")
        )
    )


def _close(
    stack: list[tuple[float, int]], closed: list[tuple[float, float, float, int, int]]
) -> None:
    """Count ranges that the newest turn closes, as 5.4.4 says; the stack begins at S."""
    while len(stack) > 2:  # noqa: PLR2004  two ranges take three turns
        newest = abs(stack[-1][0] - stack[-2][0])
        before = abs(stack[-2][0] - stack[-3][0])
        if newest < before:
            return
        if len(stack) == 3:  # noqa: PLR2004  the older range holds the starting point
            closed.append(_cycle(stack[0], stack[1], _HALF))
            del stack[0]
        else:
            closed.append(_cycle(stack[-3], stack[-2], 1.0))
            del stack[-3:-1]


def _cycle(
    first: tuple[float, int], second: tuple[float, int], count: float
) -> tuple[float, float, float, int, int]:
    return abs(second[0] - first[0]), (first[0] + second[0]) / 2, count, first[1], second[1]


def _cycles(rows: list[tuple[float, float, float, int, int]]) -> RainCycles:
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 5).T
    return RainCycles(
        table[0], table[1], table[2], table[3].astype(np.int64), table[4].astype(np.int64)
    )


def _split(
    first: Float64[np.ndarray, " step"],
    second: Float64[np.ndarray, " step"],
    step: Float64[np.ndarray, " step"],
) -> tuple[Float64[np.ndarray, " step"], Float64[np.ndarray, " step"]]:
    """What flowed in and out in each step, hours of the unit; nothing where it is not known."""
    into = (np.maximum(first, 0.0) + np.maximum(second, 0.0)) / 2 * step / _SECOND_PER_HOUR
    out = (np.maximum(-first, 0.0) + np.maximum(-second, 0.0)) / 2 * step / _SECOND_PER_HOUR
    known = np.isfinite(into)
    return into[known], out[known]


def _grown(total: float, parts: Float64[np.ndarray, " step"]) -> float:
    """A sum that grows one part at a time, so that where it is cut makes no difference."""
    return float(np.cumsum(np.concatenate([[total], parts]))[-1])


def _bins(
    edge: Float64[np.ndarray, " edge"],
    values: Float64[np.ndarray, " step"],
    weights: Float64[np.ndarray, " step"],
    total: Float64[np.ndarray, " bin"] | None = None,
) -> Float64[np.ndarray, " bin"]:
    """Weights added to the bin of their value; both ends are open."""
    grown = np.zeros(len(edge) + 1) if total is None else total.copy()
    known = np.isfinite(values)
    np.add.at(grown, np.searchsorted(edge, values[known], side="right"), weights[known])
    return grown
