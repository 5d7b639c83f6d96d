"""What the first hundred cycles tell of a cell's life: the twelve features of Severson et al. 2019.

Rules
- ΔQ(V) is Q(V) of the late discharge minus Q(V) of the early one; its moments enter as decimal
  logarithms of their size.
- The discharge capacity of a cycle is the charge of its whole discharge; slope and intercept are
  those of a line through the capacities of all cycles from the second to the late one.
- Charge time is the time with charging current, a mean over the first cycles; charging is positive.
- Resistance is ΔV/ΔI as the discharge begins; where a tester measured its own it is not used.
- What a record cannot tell (no temperature, no row before the load) is NaN, and only that.
- A cycle counts once a later one has begun, or the record is said to be complete: rows that come
  later never change a feature.

Source: K. A. Severson, P. M. Attia et al., Nature Energy 4, 383 (2019),
doi 10.1038/s41560-019-0356-8, features of its "variance", "discharge" and "full" models.
"""

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import Series
from cellwarden.errors import UsageError
from cellwarden.features.curves import (
    Branches,
    branches,
    charge_curve,
    delta_statistics,
    refuse_artefacts,
)

__all__ = [
    "DISCHARGE_MODEL",
    "FULL_MODEL",
    "VARIANCE_MODEL",
    "EarlyCycles",
    "EarlyFeatures",
    "early_features",
    "early_from_curves",
]

VARIANCE_MODEL: Final = ("delta_variance_log10_ah2",)
DISCHARGE_MODEL: Final = (
    "delta_minimum_log10_ah",
    "delta_variance_log10_ah2",
    "delta_skewness_log10_ratio",
    "delta_kurtosis_log10_ratio",
    "second_capacity_ah",
    "capacity_rise_ah",
)
FULL_MODEL: Final = (
    "delta_minimum_log10_ah",
    "delta_variance_log10_ah2",
    "fade_slope_ah",
    "fade_intercept_ah",
    "second_capacity_ah",
    "charge_time_second",
    "temperature_integral_celsius_hour",
    "least_resistance_ohm",
    "resistance_rise_ohm",
)
_SECOND_PER_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class EarlyCycles:
    """Which cycles the features compare, numbered as the tester does; the paper's by default."""

    second: int = 2
    early: int = 10
    late: int = 100
    charge_mean_count: int = 5

    def __post_init__(self) -> None:
        if not self.second <= self.early < self.late or self.charge_mean_count < 1:
            raise UsageError(
                f"cycles {self.second}, {self.early}, {self.late} are not in order",
                hint="Use second <= early < late.",
            )


@dataclass(frozen=True, slots=True)
class EarlyFeatures:
    """The twelve, NaN where the record cannot tell; `covered_fraction` says how much of the grid.

    `fade_slope_ah` is per cycle; `capacity_rise_ah` the highest capacity minus the second cycle's;
    `resistance_rise_ohm` the late cycle's resistance minus the second's.
    """

    delta_minimum_log10_ah: float
    delta_variance_log10_ah2: float
    delta_skewness_log10_ratio: float
    delta_kurtosis_log10_ratio: float
    fade_slope_ah: float
    fade_intercept_ah: float
    second_capacity_ah: float
    capacity_rise_ah: float
    charge_time_second: float
    temperature_integral_celsius_hour: float
    least_resistance_ohm: float
    resistance_rise_ohm: float
    covered_fraction: float

    def columns(self) -> dict[str, float]:
        """The twelve by name."""
        return {name: x for name, x in asdict(self).items() if name != "covered_fraction"}


def early_features(
    series: Series,
    grid_volt: Float64[np.ndarray, " grid"],
    *,
    gap_ah: float,
    resistance_delay_second: float,
    cycles: EarlyCycles | None = None,
    record_complete: bool = False,
) -> EarlyFeatures:
    """The twelve features of a record. [log10 Ah, log10 Ah², log10 1, Ah, s, °C h, Ω]

    Args:
        series: the record, with cycle numbers.
        grid_volt: where ΔQ(V) is taken; the paper's is 1,000 points from 3.6 V to 2.0 V.
        gap_ah: a step between two rows that moves more is a gap, and NaN in the curves.
        resistance_delay_second: how long after the first loaded row the voltage is taken.
        cycles: which cycles; the paper's where not given.
        record_complete: the last cycle of the record is over.
    """
    chosen = EarlyCycles() if cycles is None else cycles
    window = _window(series, chosen)
    taken = branches(window, "discharge")
    followed = len(window) < len(series) and _later(series, chosen)
    known = taken.ended | record_complete | followed
    capacity = np.where(known, taken.capacity_ah(), np.nan)
    resistance = np.where(known, _resistances(window, taken, resistance_delay_second), np.nan)
    curves = [
        _curve(taken, known, cycle, grid_volt, gap_ah) for cycle in (chosen.early, chosen.late)
    ]
    whole = bool(known[taken.cycle_count == chosen.late].any())
    return _gather(
        taken.cycle_count,
        capacity,
        curves[1] - curves[0],
        chosen,
        charge_time=_charge_time(window, chosen),
        temperature=_temperature_integral(window, chosen) if whole else float("nan"),
        resistance=resistance,
    )


def early_from_curves(
    cycle_count: Int64[np.ndarray, " curve"],
    charge_ah: Float64[np.ndarray, "curve grid"],
    *,
    artefact_ah: float,
    cycles: EarlyCycles | None = None,
) -> EarlyFeatures:
    """The eight features that published Q(V) curves of one cell give; the other four are NaN.

    The grid falls in voltage, so the capacity is the charge at its end. A curve whose charge falls
    by more than `artefact_ah` from one point to the next is left out.
    [log10 Ah, log10 Ah², log10 1, Ah]
    """
    chosen = EarlyCycles() if cycles is None else cycles
    known = refuse_artefacts(charge_ah, tolerance_ah=artefact_ah)
    absent = np.full(charge_ah.shape[1], np.nan)
    early, late = (
        known[cycle_count == cycle][0] if np.any(cycle_count == cycle) else absent
        for cycle in (chosen.early, chosen.late)
    )
    nan = float("nan")
    return _gather(
        cycle_count,
        known[:, -1],
        late - early,
        chosen,
        charge_time=nan,
        temperature=nan,
        resistance=np.full(len(cycle_count), nan),
    )


def _gather(
    cycle: Int64[np.ndarray, " curve"],
    capacity: Float64[np.ndarray, " curve"],
    delta: Float64[np.ndarray, " grid"],
    chosen: EarlyCycles,
    *,
    charge_time: float,
    temperature: float,
    resistance: Float64[np.ndarray, " curve"],
) -> EarlyFeatures:
    """The features from what each cycle gave."""
    moments = delta_statistics(delta)
    logs = moments.log10()
    inside = (cycle >= chosen.second) & (cycle <= chosen.late)
    slope, intercept = _line(cycle[inside].astype(np.float64), capacity[inside])
    whole = bool(np.isfinite(_at(cycle, capacity, chosen.late)))
    nan = float("nan")
    if not whole:  # rows that come later may still change these
        slope = intercept = nan
    highest, least = _extreme(capacity[inside], 1.0), _extreme(resistance[inside], -1.0)
    second = _at(cycle, capacity, chosen.second)
    return EarlyFeatures(
        logs["minimum_log10_ah"],
        logs["variance_log10_ah2"],
        logs["skewness_log10_ratio"],
        logs["kurtosis_log10_ratio"],
        slope,
        intercept,
        second,
        highest - second if whole else nan,
        charge_time,
        temperature,
        least if whole else nan,
        _at(cycle, resistance, chosen.late) - _at(cycle, resistance, chosen.second),
        moments.covered_fraction,
    )


def _window(series: Series, chosen: EarlyCycles) -> Series:
    """The rows of the cycles that matter, as views where the numbers rise."""
    cycle = series.cycle_count
    if cycle is None:
        raise UsageError(
            f"{series.name} has no cycle numbers",
            hint="Give them: dataclasses.replace(series, cycle_count=...).",
        )
    inside = (cycle >= chosen.second) & (cycle <= chosen.late)
    place = np.flatnonzero(inside)
    if not len(place):
        return _rows(series, slice(0, 0))
    start, stop = int(place[0]), int(place[-1]) + 1
    return _rows(series, slice(start, stop) if stop - start == len(place) else place)


def _rows(series: Series, rows: slice | np.ndarray) -> Series:
    surface = series.surface_temperature_celsius
    cycle = series.cycle_count
    return Series(
        series.name,
        series.test_time_second[rows],
        series.voltage_volt[rows],
        series.current_ampere[rows],
        surface_temperature_celsius=None if surface is None else surface[rows],
        cycle_count=None if cycle is None else cycle[rows],
    )


def _later(series: Series, chosen: EarlyCycles) -> bool:
    """Whether a cycle after the late one has begun. [1]"""
    cycle = series.cycle_count
    return cycle is not None and bool(np.any(cycle > chosen.late))


def _curve(
    taken: Branches,
    known: np.ndarray,
    cycle: int,
    grid_volt: Float64[np.ndarray, " grid"],
    gap_ah: float,
) -> Float64[np.ndarray, " grid"]:
    at = np.flatnonzero((taken.cycle_count == cycle) & known)
    if not len(at):
        return np.full(len(grid_volt), np.nan)
    voltage, charge = taken.curve(int(at[0]))
    return charge_curve(voltage, charge, grid_volt, direction="discharge", gap_ah=gap_ah)


def _resistances(
    series: Series, taken: Branches, delay_second: float
) -> Float64[np.ndarray, " curve"]:
    """ΔV/ΔI as each discharge begins, `delay_second` after its first loaded row. [Ω]"""
    found = np.full(len(taken), np.nan)
    time, current = series.test_time_second, series.current_ampere
    for number in range(len(taken)):
        rows = taken.row[taken.edge[number] : taken.edge[number + 1]]
        if len(rows) < 3 or current[rows[0]] < -taken.rest_ampere[number]:  # noqa: PLR2004  no row before the load
            continue
        moment = time[rows[1]] + delay_second
        last = int(np.searchsorted(time[rows[1:]], moment, side="right"))
        near = rows[1 : last + 2]
        if last == 0 or moment > time[near[-1]]:
            continue
        volt = float(np.interp(moment, time[near], series.voltage_volt[near]))
        ampere = float(np.interp(moment, time[near], current[near]))
        change = ampere - float(current[rows[0]])
        if change < 0:
            found[number] = (volt - float(series.voltage_volt[rows[0]])) / change
    return found


def _charge_time(series: Series, chosen: EarlyCycles) -> float:
    """Mean time with charging current over the first cycles. [s]"""
    cycle = series.cycle_count
    last = chosen.second + chosen.charge_mean_count - 1
    if cycle is None or not np.any(cycle > last):
        return float("nan")  # the last of them may still go on
    first = _rows(series, np.flatnonzero(cycle <= last))
    taken = branches(first, "charge")
    if not len(taken):
        return float("nan")
    step = np.maximum(np.diff(first.test_time_second[taken.row]), 0.0)
    # A step counts when it lies inside one stretch of charging: neighbours in the record.
    beside = np.diff(taken.row) == 1
    second = [
        float(np.sum((step * beside)[start : stop - 1]))
        for start, stop in zip(taken.edge[:-1], taken.edge[1:], strict=True)
        if stop > start
    ]
    return float(np.mean(second)) if second else float("nan")


def _temperature_integral(series: Series, chosen: EarlyCycles) -> float:
    """Time integral of the surface temperature; readings that are missing are bridged. [°C h]"""
    surface, cycle = series.surface_temperature_celsius, series.cycle_count
    if surface is None or cycle is None or not np.any(cycle == chosen.late):
        return float("nan")
    known = np.isfinite(surface) & np.isfinite(series.test_time_second)
    if not known.any():
        return float("nan")
    time, warm = series.test_time_second[known], surface[known]
    step = np.maximum(np.diff(time), 0.0)
    return float(np.dot(step, warm[1:] + warm[:-1])) / 2 / _SECOND_PER_HOUR


def _line(
    x: Float64[np.ndarray, " point"], y: Float64[np.ndarray, " point"]
) -> tuple[float, float]:
    """Slope and intercept of the line of least squares through the known points."""
    known = np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 2 or np.ptp(x) == 0:  # noqa: PLR2004  a line takes two points
        return float("nan"), float("nan")
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    return slope, float(y.mean()) - slope * float(x.mean())


def _at(
    cycle: Int64[np.ndarray, " curve"], values: Float64[np.ndarray, " curve"], number: int
) -> float:
    at = np.flatnonzero(cycle == number)
    return float(values[at[0]]) if len(at) else float("nan")


def _extreme(values: Float64[np.ndarray, " curve"], sign: float) -> float:
    known = values[np.isfinite(values)]
    return sign * float((sign * known).max()) if len(known) else float("nan")
