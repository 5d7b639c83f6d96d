"""How a battery is used, day by day: what is asked of it, how deep, how hot, how fast.

Rules
- A day is made from its frames by `read_day`; readings that are missing count for nothing, and a
  day of which less than `FEWEST_FRACTION` was seen is no day.
- `Habit` keeps the last `KEPT_DAYS` days and the heat answer of the first `FIRST_DAYS`; it never
  grows.
- The need of a day is the largest charge taken between two charges, over the capacity: what the
  window of charge must hold for the day to be met. A day that ended at the low end of the window
  may have asked for more than anybody saw: it is `exhausted`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Frames

__all__ = ["FIRST_DAYS", "KEPT_DAYS", "Day", "Habit", "note", "read_day"]

KEPT_DAYS: Final = 84
FIRST_DAYS: Final = 28
FEWEST_FRACTION: Final = 0.5
_DAY_SECOND: Final = 86_400.0
_HOUR_SECOND: Final = 3600.0
_GAP_SECOND: Final = 900.0
_NEAR_FRACTION: Final = 0.02  # an estimate this close to the low end has reached it
_REST_RATE: Final = 0.02  # of the capacity in an hour: below it nothing is used or charged


@dataclass(frozen=True, slots=True)
class Day:
    """One day of use.

    `plugged_second` is how long the pack was charged or stood charged and idle, so how long a
    slower charge could have taken; `heat_kelvin_hour2` the rise over the air for the square of the
    rate, which grows when cooling gets worse; NaN where the day does not tell.
    """

    unix_time_second: float
    need_fraction: float
    low_soc_fraction: float
    high_soc_fraction: float
    mean_soc_fraction: float
    mean_temperature_celsius: float
    peak_temperature_celsius: float
    full_cycle_count: float
    charge_rate_per_hour: float
    plugged_second: float
    exhausted: bool = False
    heat_kelvin_hour2: float = float("nan")


@dataclass(frozen=True, slots=True)
class Habit:
    """What is remembered: the newest days last."""

    days: tuple[Day, ...] = ()
    first_heat: tuple[float, ...] = ()
    day_count: int = 0

    def column(self, name: str) -> Float64[np.ndarray, " day"]:
        """One value of each remembered day."""
        return np.array([getattr(day, name) for day in self.days], dtype=np.float64)

    def heat_growth(self) -> float:
        """Today's heat answer over that of the first weeks; NaN while too little is known. [1]"""
        recent = self.column("heat_kelvin_hour2")[-FIRST_DAYS // 2 :]
        recent = recent[np.isfinite(recent)]
        if len(self.first_heat) < FIRST_DAYS // 2 or len(recent) < FIRST_DAYS // 4:
            return float("nan")
        return float(np.median(recent) / np.median(self.first_heat))


def note(habit: Habit, day: Day) -> Habit:
    """The habit with one more day."""
    first = habit.first_heat
    if len(first) < FIRST_DAYS and np.isfinite(day.heat_kelvin_hour2) and day.heat_kelvin_hour2 > 0:
        first = (*first, day.heat_kelvin_hour2)
    return Habit((*habit.days, day)[-KEPT_DAYS:], first, habit.day_count + 1)


def read_day(frames: Frames, capacity_ah: float, low_soc_fraction: float) -> Day | None:
    """A day of a pack whose charge is estimated in its frames; None where too little was seen.

    `low_soc_fraction` is the low end of the window on that day.
    """
    soc, time = frames.soc_fraction, frames.unix_time_second
    if soc is None or len(frames) < 2:  # noqa: PLR2004  a step has two ends
        return None
    soc = soc.astype(np.float64)
    ampere = frames.current_ampere.astype(np.float64)
    seen = np.isfinite(soc) & np.isfinite(ampere)
    if not seen.any():
        return None
    time, soc, ampere = time[seen], soc[seen], ampere[seen]
    step = np.diff(time, append=time[-1])
    step = np.where(step <= _GAP_SECOND, step, 0.0)
    if step.sum() < FEWEST_FRACTION * _DAY_SECOND:
        return None
    rate = ampere / capacity_ah
    charging = rate > _REST_RATE
    celsius = _warmest(frames)[seen]
    return Day(
        unix_time_second=float(time[0]),
        need_fraction=_need(rate * step / _HOUR_SECOND),
        low_soc_fraction=float(soc.min()),
        high_soc_fraction=float(soc.max()),
        mean_soc_fraction=float(np.average(soc, weights=step)),
        mean_temperature_celsius=_mean(celsius, step),
        peak_temperature_celsius=float(np.nanmax(celsius)) if np.isfinite(celsius).any() else _NAN,
        full_cycle_count=float((np.abs(rate) * step).sum() / _HOUR_SECOND / 2.0),
        charge_rate_per_hour=_mean(np.where(charging, rate, np.nan), step),
        plugged_second=_plugged(rate, step),
        exhausted=bool(soc.min() <= low_soc_fraction + _NEAR_FRACTION),
        heat_kelvin_hour2=_heat(frames, seen, rate, step),
    )


_NAN: Final = float("nan")


def _warmest(frames: Frames) -> Float64[np.ndarray, " time"]:
    celsius = frames.cell_temperature_celsius.astype(np.float64)
    found = np.full(len(celsius), np.nan)
    if celsius.shape[1]:
        known = np.isfinite(celsius).any(axis=1)
        found[known] = np.nanmax(celsius[known], axis=1)
    return found


def _mean(values: Float64[np.ndarray, " time"], step: Float64[np.ndarray, " time"]) -> float:
    known = np.isfinite(values)
    weight = step[known].sum()
    return float((values[known] * step[known]).sum() / weight) if weight > 0 else _NAN


def _need(moved: Float64[np.ndarray, " time"]) -> float:
    """Deepest fall of the counted charge below an earlier height."""
    counted = np.concatenate([[0.0], np.cumsum(moved)])
    return float(np.max(np.maximum.accumulate(counted) - counted))


def _plugged(rate: Float64[np.ndarray, " time"], step: Float64[np.ndarray, " time"]) -> float:
    """Time of charging, with the rest after it until the next use."""
    plugged, total = False, 0.0
    for now, length in zip(rate, step, strict=True):
        if now > _REST_RATE:
            plugged = True
        elif now < -_REST_RATE:
            plugged = False
        if plugged:
            total += float(length)
    return total


def _heat(
    frames: Frames,
    seen: np.ndarray,
    rate: Float64[np.ndarray, " time"],
    step: Float64[np.ndarray, " time"],
) -> float:
    """Rise over the air divided by the mean square of the rate, over the day's use."""
    air = frames.ambient_temperature_celsius
    if air is None:
        return _NAN
    rise = _warmest(frames)[seen] - air.astype(np.float64)[seen]
    used = np.isfinite(rise)
    square = float((rate[used] ** 2 * step[used]).sum())
    if square <= 0.0 or not used.any():
        return _NAN
    return float((rise[used] * step[used]).sum() / square)
