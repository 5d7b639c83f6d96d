"""Resistance from pulses (HPPC) and from interruptions of a current (ICI).

Rules
- A stretch is a run of rows at rest, or under current of one direction; rest is at most
  `rest_ampere`.
- A pulse is a loaded stretch of at most `longest_second` with rest before it; rest or the other
  direction ends it. `current_std_ampere` says how far its current wandered.
- The step happened after the last row before it and at the latest at the first row in it. Delays
  count from that first row; `edge_second` is the time between the two, by which they may be short.
- Ohmic resistance is ΔV/ΔI at the first loaded row (so it holds whatever had polarised within
  `edge_second`); polarisation at a delay is what was added since. A delay the pulse did not reach
  is NaN.
- An interruption is a rest of at most `longest_second` inside a current of one direction. Its
  voltage is a line in the root of the time since the current stopped: the intercept gives the
  resistance, the slope the diffusion coefficient of resistance.
- Each number comes from its own pulse and the rows around it; later rows change nothing.

Sources: pulses, United States Advanced Battery Consortium, Battery Test Manual for Electric
Vehicles, INL/EXT-15-34184 (2015), section 3.4; interruptions, Y.-C. Chien et al., Nature
Communications 14, 2289 (2023), doi 10.1038/s41467-023-37989-6.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import Series
from cellwarden.errors import UsageError

__all__ = ["Interruptions", "Pulses", "find_interruptions", "find_pulses"]

_SECOND_PER_HOUR: Final = 3600.0
_FIT_POINTS: Final = 3  # a line and its error


@dataclass(frozen=True, slots=True)
class Pulses:
    """One row a pulse; `resistance_ohm` and `polarisation_ohm` have a column a delay.

    `start` and `stop` are rows of the record; `current_ampere` is the mean, positive charges;
    `soc_fraction` is the charge left as the pulse begins, NaN where no capacity was given.
    """

    delay_second: Float64[np.ndarray, " delay"]
    start: Int64[np.ndarray, " pulse"]
    stop: Int64[np.ndarray, " pulse"]
    current_ampere: Float64[np.ndarray, " pulse"]
    current_std_ampere: Float64[np.ndarray, " pulse"]
    duration_second: Float64[np.ndarray, " pulse"]
    edge_second: Float64[np.ndarray, " pulse"]
    rest_voltage_volt: Float64[np.ndarray, " pulse"]
    soc_fraction: Float64[np.ndarray, " pulse"]
    ohmic_ohm: Float64[np.ndarray, " pulse"]
    resistance_ohm: Float64[np.ndarray, "pulse delay"]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def polarisation_ohm(self) -> Float64[np.ndarray, "pulse delay"]:
        """Resistance at each delay less the ohmic one. [Ω]"""
        return np.asarray(self.resistance_ohm - self.ohmic_ohm[:, None])


@dataclass(frozen=True, slots=True)
class Interruptions:
    """One row an interruption; standard errors are those of the line's fit.

    `diffusion_ohm_per_root_second` is -(1/I) dE/d√t, the diffusion resistance coefficient.
    """

    start: Int64[np.ndarray, " pause"]
    stop: Int64[np.ndarray, " pause"]
    current_ampere: Float64[np.ndarray, " pause"]
    passed_ah: Float64[np.ndarray, " pause"]
    voltage_volt: Float64[np.ndarray, " pause"]
    resistance_ohm: Float64[np.ndarray, " pause"]
    resistance_std_ohm: Float64[np.ndarray, " pause"]
    diffusion_ohm_per_root_second: Float64[np.ndarray, " pause"]
    diffusion_std_ohm_per_root_second: Float64[np.ndarray, " pause"]
    point_count: Int64[np.ndarray, " pause"]

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Usable rows, their place in the record, and the charge passed so far."""

    row: Int64[np.ndarray, " time"]
    time: Float64[np.ndarray, " time"]
    volt: Float64[np.ndarray, " time"]
    ampere: Float64[np.ndarray, " time"]
    passed_ah: Float64[np.ndarray, " time"]
    start: Int64[np.ndarray, " stretch"]
    stop: Int64[np.ndarray, " stretch"]
    sign: Int64[np.ndarray, " stretch"]


def find_pulses(
    series: Series,
    *,
    delay_second: tuple[float, ...],
    rest_ampere: float,
    longest_second: float,
    shortest_rest_second: float = 0.0,
    capacity_ah: float | None = None,
    first_soc_fraction: float | None = None,
) -> Pulses:
    """Pulses of a record and their resistance at each delay. [Ω]

    Args:
        series: the record.
        delay_second: when, after the first loaded row, resistance is taken.
        rest_ampere: a current of at most this size is rest.
        longest_second: a loaded stretch that lasts longer is no pulse.
        shortest_rest_second: the rest before a pulse lasts at least this.
        capacity_ah: with `first_soc_fraction`, gives the state of charge of each pulse.
        first_soc_fraction: state of charge as the record begins.

    Raises:
        UsageError: a threshold is negative or no number.
    """
    _check(rest_ampere=rest_ampere, longest_second=longest_second)
    rows = _stretches(series, rest_ampere)
    inner = np.arange(1, max(len(rows.start) - 1, 1))
    lasts = rows.time[rows.stop - 1] - rows.time[rows.start]
    kept = inner[
        (rows.sign[inner] != 0)
        & (rows.sign[inner - 1] == 0)
        & (lasts[inner] <= longest_second)
        & (lasts[inner - 1] >= shortest_rest_second)
    ]
    delay = np.asarray(delay_second, dtype=np.float64)
    start, stop, before = rows.start[kept], rows.stop[kept], rows.start[kept] - 1
    soc = np.full(len(kept), np.nan)
    if capacity_ah is not None and first_soc_fraction is not None:
        soc = first_soc_fraction + rows.passed_ah[before] / capacity_ah
    held = [rows.ampere[a:b] for a, b in zip(start, stop, strict=True)]
    change = rows.volt[start] - rows.volt[before], rows.ampere[start] - rows.ampere[before]
    return Pulses(
        delay,
        rows.row[start],
        rows.row[stop - 1] + 1,
        np.array([one.mean() for one in held]),
        np.array([one.std() for one in held]),
        lasts[kept],
        rows.time[start] - rows.time[before],
        rows.volt[before],
        soc,
        change[0] / change[1],
        _at_delays(rows, start, stop, before, delay),
    )


def find_interruptions(
    series: Series,
    *,
    rest_ampere: float,
    longest_second: float,
    fit_second: tuple[float, float],
) -> Interruptions:
    """Pauses in a current, and the resistance that each shows. [Ω, Ω/√s]

    Args:
        series: the record.
        rest_ampere: a current of at most this size is rest.
        longest_second: a rest that lasts longer is no interruption.
        fit_second: the line is fitted between these times after the current stopped; the paper's
            are 1 s and 5 s.

    Raises:
        UsageError: a threshold is negative or no number.
    """
    _check(rest_ampere=rest_ampere, longest_second=longest_second)
    rows = _stretches(series, rest_ampere)
    inner = np.arange(1, max(len(rows.start) - 1, 1))
    lasts = rows.time[rows.stop - 1] - rows.time[rows.start]
    kept = inner[
        (rows.sign[inner] == 0)
        & (rows.sign[inner - 1] != 0)
        & (rows.sign[inner + 1] == rows.sign[inner - 1])
        & (lasts[inner] <= longest_second)
    ]
    start, stop, before = rows.start[kept], rows.stop[kept], rows.start[kept] - 1
    current = rows.ampere[before]
    fits = [_root_line(rows, int(a), int(b), fit_second) for a, b in zip(start, stop, strict=True)]
    line = np.array(fits, dtype=np.float64).reshape(len(kept), 5)
    return Interruptions(
        rows.row[start],
        rows.row[stop - 1] + 1,
        current,
        rows.passed_ah[before],
        rows.volt[before],
        (rows.volt[before] - line[:, 0]) / current,
        line[:, 1] / np.abs(current),
        -line[:, 2] / current,
        line[:, 3] / np.abs(current),
        line[:, 4].astype(np.int64),
    )


def _stretches(series: Series, rest_ampere: float) -> _Rows:
    """The record cut where current begins, ends or turns."""
    columns = series.test_time_second, series.voltage_volt, series.current_ampere
    row = np.flatnonzero(np.logical_and.reduce([np.isfinite(column) for column in columns]))
    time, ampere = series.test_time_second[row], series.current_ampere[row]
    sign = np.where(np.abs(ampere) > rest_ampere, np.sign(ampere), 0.0).astype(np.int64)
    start = np.flatnonzero(np.diff(sign, prepend=2)) if len(row) else row
    passed = np.zeros(len(row))
    step = np.maximum(np.diff(time), 0.0)
    passed[1:] = np.cumsum((ampere[1:] + ampere[:-1]) * step) / 2 / _SECOND_PER_HOUR
    stop = np.append(start[1:], len(row)) if len(row) else start
    return _Rows(row, time, series.voltage_volt[row], ampere, passed, start, stop, sign[start])


def _at_delays(
    rows: _Rows,
    start: Int64[np.ndarray, " pulse"],
    stop: Int64[np.ndarray, " pulse"],
    before: Int64[np.ndarray, " pulse"],
    delay: Float64[np.ndarray, " delay"],
) -> Float64[np.ndarray, "pulse delay"]:
    """ΔV/ΔI against the rest before, between the two rows around each delay. [Ω]"""
    found = np.full((len(start), len(delay)), np.nan)
    for k, (a, b, rest) in enumerate(zip(start, stop, before, strict=True)):
        since = rows.time[a:b] - rows.time[a]
        volt = np.interp(delay, since, rows.volt[a:b], right=np.nan)
        ampere = np.interp(delay, since, rows.ampere[a:b], right=np.nan)
        found[k] = (volt - rows.volt[rest]) / (ampere - rows.ampere[rest])
    return found


def _root_line(
    rows: _Rows, start: int, stop: int, fit_second: tuple[float, float]
) -> tuple[float, float, float, float, float]:
    """Voltage over the root of time: intercept and slope, each with its error; points. [V, V/√s]"""
    since = rows.time[start:stop] - rows.time[start - 1]
    inside = (since >= fit_second[0]) & (since <= fit_second[1])
    root, volt = np.sqrt(since[inside]), rows.volt[start:stop][inside]
    count, nan = len(root), float("nan")
    if count < _FIT_POINTS or np.ptp(root) == 0:
        return nan, nan, nan, nan, count
    away = root - root.mean()
    spread = float(away @ away)
    slope = float(away @ volt) / spread
    intercept = float(volt.mean()) - slope * float(root.mean())
    error = float(np.sum((volt - intercept - slope * root) ** 2)) / (count - 2)
    at_zero = np.sqrt(error * (1 / count + float(root.mean()) ** 2 / spread))
    return intercept, float(at_zero), slope, float(np.sqrt(error / spread)), count


def _check(**thresholds: float) -> None:
    for name, value in thresholds.items():
        if not value >= 0:
            raise UsageError(f"{name} is {value}", hint=f"Give {name} as a number, at least 0.")
