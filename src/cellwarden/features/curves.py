"""Charge against voltage and voltage against charge, on a grid, one curve a cycle.

Rules
- A branch is what one cycle holds of one direction: the rows that carry current that way, and the
  row before each of them. Charge is the trapezium of the current that flows that way, from zero.
- Where a cycle turns round and back by more than `TURN_FRACTION` of its charge, only the part that
  moved the most is its branch: a tester's blip inside a charge is no discharge, and of two
  discharges it is the larger. Pulses, rests and regeneration stay inside.
- Q(V) is the charge passed when the voltage first reached V, so it is monotone whatever the noise;
  between two rows that set a new extreme it is linear. V(Q) is linear between rows.
- A grid point outside the branch, or where a single step between two rows moved more than
  `gap_ah`, is NaN. A longer record never changes the curve of a cycle that had ended.

Source of the statistics of ΔQ(V): K. A. Severson et al., Nature Energy 4, 383 (2019),
doi 10.1038/s41560-019-0356-8.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.domain import Series
from cellwarden.errors import UsageError

__all__ = [
    "REST_FRACTION",
    "TURN_FRACTION",
    "Branches",
    "DeltaStatistics",
    "Direction",
    "branches",
    "charge_curve",
    "charge_matrix",
    "chosen_curves",
    "delta_statistics",
    "refuse_artefacts",
    "voltage_curve",
    "voltage_matrix",
]

Direction = Literal["charge", "discharge"]
# Of the largest current of the cycle in that direction; a constant-voltage taper ends above it.
REST_FRACTION: Final = 0.005
_FLAT: Final = 1e-12  # of its size, a spread is rounding
_SECOND_PER_HOUR: Final = 3600.0
TURN_FRACTION: Final = 0.02  # of the cycle's charge; under it, it is a pulse or regeneration
_WHOLE_FRACTION: Final = 0.3  # of the median curve; less is an aborted cycle
_SIGN: Final = {"charge": 1.0, "discharge": -1.0}


@dataclass(frozen=True, slots=True)
class Branches:
    """The rows of one direction, cycle after cycle; curve k holds `edge[k]` up to `edge[k + 1]`.

    `row` is the place of each in the record, `charge_ah` begins at zero in each curve,
    `rest_ampere` is the current up to which a row counts as rest, `ended` is false for a cycle
    that nothing follows yet.
    """

    direction: Direction
    cycle_count: Int64[np.ndarray, " curve"]
    edge: Int64[np.ndarray, " border"]
    rest_ampere: Float64[np.ndarray, " curve"]
    ended: Bool[np.ndarray, " curve"]
    row: Int64[np.ndarray, " time"]
    voltage_volt: Float64[np.ndarray, " time"]
    charge_ah: Float64[np.ndarray, " time"]

    def __len__(self) -> int:
        return len(self.cycle_count)

    def curve(
        self, number: int
    ) -> tuple[Float64[np.ndarray, " time"], Float64[np.ndarray, " time"]]:
        """Voltage and charge of one curve. [V, Ah]"""
        rows = slice(int(self.edge[number]), int(self.edge[number + 1]))
        return self.voltage_volt[rows], self.charge_ah[rows]

    def capacity_ah(self) -> Float64[np.ndarray, " curve"]:
        """Charge of each whole branch; NaN where it has no rows. [Ah]"""
        found = np.full(len(self), np.nan)
        held = np.diff(self.edge) > 0
        found[held] = self.charge_ah[self.edge[1:][held] - 1]
        return found


@dataclass(frozen=True, slots=True)
class DeltaStatistics:
    """Moments of ΔQ(V) over the grid points where both curves are known.

    Skewness and kurtosis are those of the population, kurtosis without the normal law's 3, so that
    its logarithm has no pole; `covered_fraction` is the part of the grid that entered.
    """

    minimum_ah: float
    mean_ah: float
    variance_ah2: float
    skewness_ratio: float
    kurtosis_ratio: float
    covered_fraction: float

    def log10(self) -> dict[str, float]:
        """Decimal logarithm of each moment's size; NaN where it is zero. [log10]"""
        sizes = {
            "minimum_log10_ah": self.minimum_ah,
            "mean_log10_ah": self.mean_ah,
            "variance_log10_ah2": self.variance_ah2,
            "skewness_log10_ratio": self.skewness_ratio,
            "kurtosis_log10_ratio": self.kurtosis_ratio,
        }
        return {name: float(np.log10(abs(x))) if x else float("nan") for name, x in sizes.items()}


def branches(
    series: Series, direction: Direction, *, rest_fraction: float = REST_FRACTION
) -> Branches:
    """The charges or the discharges of a record, one curve a cycle. [V, Ah]

    Rows without a finite time, voltage or current are left out; where time steps back, nothing
    flows.

    Raises:
        UsageError: the record has no cycle numbers, or the direction is none.
    """
    sign = _sign(direction)
    if series.cycle_count is None:
        raise UsageError(
            f"{series.name} has no cycle numbers",
            hint="Give them: dataclasses.replace(series, cycle_count=...).",
        )
    row = _usable(series)
    time, voltage, current, cycle = (
        column[row]
        for column in (
            series.test_time_second,
            series.voltage_volt,
            series.current_ampere,
            series.cycle_count,
        )
    )
    if not len(cycle):
        none, whole = np.empty(0), np.empty(0, dtype=np.int64)
        return Branches(direction, whole, np.zeros(1, np.int64), none, none > 0, whole, none, none)
    same = cycle[1:] == cycle[:-1]
    first = np.concatenate([[0], np.flatnonzero(~same) + 1])
    drive = np.maximum(sign * current, 0.0)
    rest = rest_fraction * np.maximum.reduceat(drive, first)
    loaded = drive > np.repeat(rest, np.diff(first, append=len(cycle)))
    loaded = _largest_part(loaded, same, time, sign * current)
    taken = loaded.copy()
    taken[:-1] |= loaded[1:] & same
    kept = np.flatnonzero(taken)
    edge = np.searchsorted(kept, np.append(first, len(cycle)))
    charge, held = _count(time, drive)[kept], np.diff(edge)
    charge -= np.repeat(charge[edge[:-1][held > 0]], held[held > 0])
    ended = np.ones(len(first), dtype=np.bool_)
    ended[-1] = False
    place = kept if isinstance(row, slice) else row[kept]
    return Branches(direction, cycle[first], edge, rest, ended, place, voltage[kept], charge)


def chosen_curves(
    taken: Branches, cycles: tuple[int, ...] = (), *, most: int
) -> Int64[np.ndarray, " chosen"]:
    """Places of the curves of named cycles, or of whole ones evenly over life. [1]"""
    capacity = taken.capacity_ah()
    known = np.isfinite(capacity)
    if cycles:
        return np.flatnonzero(np.isin(taken.cycle_count, cycles) & known)
    if not known.any():
        return np.empty(0, dtype=np.int64)
    with np.errstate(invalid="ignore"):
        whole = np.flatnonzero(capacity >= _WHOLE_FRACTION * np.nanmedian(capacity))
    evenly = np.linspace(0, len(whole) - 1, min(len(whole), most)).round().astype(np.int64)
    return np.asarray(whole[np.unique(evenly)])


def _largest_part(
    loaded: Bool[np.ndarray, " time"],
    same: Bool[np.ndarray, " interval"],
    time_second: Float64[np.ndarray, " time"],
    current_ampere: Float64[np.ndarray, " time"],
) -> Bool[np.ndarray, " time"]:
    """Of each cycle the loaded rows between turns that moved the most. [1]"""
    goes_on = loaded[1:] & loaded[:-1] & same
    begin = np.flatnonzero(loaded & ~np.concatenate([[False], goes_on]))
    cycle = np.concatenate([[0], np.cumsum(~same)])[begin]
    new = np.concatenate([[True], cycle[1:] != cycle[:-1]])[: len(begin)]
    if new.all():
        return loaded  # one run a cycle: nothing to choose
    end = np.flatnonzero(loaded & ~np.concatenate([goes_on, [False]]))
    passed_ah = _count(time_second, np.maximum(current_ampere, 0.0))
    back_ah = _count(time_second, np.maximum(-current_ampere, 0.0))
    moved = passed_ah[end] - passed_ah[np.maximum(begin - 1, 0)]
    whole = np.add.reduceat(moved, np.flatnonzero(new))[np.cumsum(new) - 1]
    turned = back_ah[begin[1:]] - back_ah[end[:-1]] > TURN_FRACTION * whole[1:]
    part = np.cumsum(new | np.concatenate([[False], turned])) - 1
    share = np.bincount(part, weights=moved)
    best = np.full(cycle[-1] + 1, -1.0)
    np.maximum.at(best, cycle, share[part])
    equal = share[part] == best[cycle]
    first = np.full(len(best), len(share))
    np.minimum.at(first, cycle[equal], part[equal])  # of equal parts the earlier
    kept = part == first[cycle]
    border = np.zeros(len(loaded) + 1, dtype=np.int64)
    border[begin[kept]] += 1
    border[end[kept] + 1] -= 1
    return np.cumsum(border[:-1]) > 0


def charge_curve(
    voltage_volt: Float64[np.ndarray, " time"],
    charge_ah: Float64[np.ndarray, " time"],
    grid_volt: Float64[np.ndarray, " grid"],
    *,
    direction: Direction,
    gap_ah: float,
) -> Float64[np.ndarray, " grid"]:
    """Q(V): charge passed when the voltage first reached each grid point. [Ah]

    Raises:
        UsageError: the grid does not rise or fall throughout.
    """
    _check_grid(grid_volt)
    return _on_grid(
        _sign(direction) * voltage_volt, charge_ah, _sign(direction) * grid_volt, charge_ah, gap_ah
    )


def voltage_curve(
    voltage_volt: Float64[np.ndarray, " time"],
    charge_ah: Float64[np.ndarray, " time"],
    grid_ah: Float64[np.ndarray, " grid"],
    *,
    gap_ah: float,
) -> Float64[np.ndarray, " grid"]:
    """V(Q): voltage at each charge passed. [V]

    Raises:
        UsageError: the grid does not rise or fall throughout.
    """
    _check_grid(grid_ah)
    return _on_grid(charge_ah, voltage_volt, grid_ah, charge_ah, gap_ah)


def charge_matrix(
    taken: Branches, grid_volt: Float64[np.ndarray, " grid"], *, gap_ah: float
) -> Float64[np.ndarray, "curve grid"]:
    """Q(V) of every cycle. [Ah]"""
    _check_grid(grid_volt)
    sign = _sign(taken.direction)
    grid, voltage, charge = sign * grid_volt, sign * taken.voltage_volt, taken.charge_ah
    found = np.empty((len(taken), len(grid)))
    for number, (start, stop) in enumerate(zip(taken.edge[:-1], taken.edge[1:], strict=True)):
        passed = charge[start:stop]
        found[number] = _on_grid(voltage[start:stop], passed, grid, passed, gap_ah)
    return found


def voltage_matrix(
    taken: Branches, grid_ah: Float64[np.ndarray, " grid"], *, gap_ah: float
) -> Float64[np.ndarray, "curve grid"]:
    """V(Q) of every cycle. [V]"""
    _check_grid(grid_ah)
    found = np.empty((len(taken), len(grid_ah)))
    for number in range(len(taken)):
        voltage, charge = taken.curve(number)
        found[number] = _on_grid(charge, voltage, grid_ah, charge, gap_ah)
    return found


def refuse_artefacts(
    charge_ah: Float64[np.ndarray, "curve grid"], *, tolerance_ah: float
) -> Float64[np.ndarray, "curve grid"]:
    """Published Q(V) curves, NaN throughout where a curve is none. [Ah]

    The grid falls in voltage. A curve is refused when its charge falls by more than the tolerance
    from one grid point to the next, or begins below zero by more: a spline that swung out.
    """
    fallen = np.diff(charge_ah, axis=1, prepend=0.0) < -tolerance_ah
    return np.where(fallen.any(axis=1, keepdims=True), np.nan, charge_ah)


def delta_statistics(delta_ah: Float64[np.ndarray, " grid"]) -> DeltaStatistics:
    """Moments of the difference of two Q(V) curves on one grid. [Ah, Ah², 1]"""
    known = delta_ah[np.isfinite(delta_ah)]
    covered = len(known) / len(delta_ah) if len(delta_ah) else 0.0
    nan = float("nan")
    if not len(known):
        return DeltaStatistics(nan, nan, nan, nan, nan, covered)
    mean = float(known.mean())
    away = known - mean
    second = float((away * away).mean())
    flat = second**0.5 <= _FLAT * float(np.abs(known).max())
    unit = away / (1.0 if flat else second**0.5)
    skewness = nan if flat else float((unit**3).mean())
    kurtosis = nan if flat else float((unit**4).mean())
    variance = second * len(known) / (len(known) - 1) if len(known) > 1 else nan
    return DeltaStatistics(float(known.min()), mean, variance, skewness, kurtosis, covered)


def _on_grid(
    along: Float64[np.ndarray, " time"],
    values: Float64[np.ndarray, " time"],
    grid: Float64[np.ndarray, " grid"],
    charge_ah: Float64[np.ndarray, " time"],
    gap_ah: float,
) -> Float64[np.ndarray, " grid"]:
    """`values` where `along` first reaches each grid point; NaN outside and across gaps."""
    if not len(along):
        return np.full(len(grid), np.nan)
    highest = np.maximum.accumulate(along)
    new = np.flatnonzero(highest[1:] > highest[:-1]) + 1
    new = np.concatenate([[0], new])
    reached = highest[new]
    found = np.asarray(np.interp(grid, reached, values[new], left=np.nan, right=np.nan))
    gap = np.diff(charge_ah) > gap_ah
    if gap.any():
        gaps = np.concatenate([[0], np.cumsum(gap)])[new]
        upper = np.searchsorted(reached, grid)  # a point that a row met needs no step
        lower = np.maximum(upper - 1, 0)
        upper = np.minimum(upper, len(new) - 1)
        found[(gaps[upper] > gaps[lower]) & (reached[upper] != grid)] = np.nan
    return found


def _usable(series: Series) -> Int64[np.ndarray, " time"] | slice:
    """Rows with a time, a voltage and a current: all of them costs no copy. [1]"""
    known = np.isfinite(series.voltage_volt)
    known &= np.isfinite(series.current_ampere)
    known &= np.isfinite(series.test_time_second)
    return slice(None) if known.all() else np.flatnonzero(known)


def _count(
    time_second: Float64[np.ndarray, " time"], drive_ampere: Float64[np.ndarray, " time"]
) -> Float64[np.ndarray, " time"]:
    """Charge that flowed so far: trapezium, nothing where time steps back. [Ah]"""
    counted = np.zeros(len(time_second))
    part = counted[1:]
    np.subtract(time_second[1:], time_second[:-1], out=part)
    np.maximum(part, 0.0, out=part)
    part *= drive_ampere[1:] + drive_ampere[:-1]
    np.cumsum(part, out=part)
    counted /= 2 * _SECOND_PER_HOUR
    return counted


def _sign(direction: str) -> float:
    try:
        return _SIGN[direction]
    except KeyError:
        raise UsageError(
            f"{direction!r} is no direction", hint="Use 'charge' or 'discharge'."
        ) from None


def _check_grid(grid: Float64[np.ndarray, " grid"]) -> None:
    step = np.diff(grid)
    if not len(grid) or not (np.all(step > 0) or np.all(step < 0)) or np.isnan(grid).any():
        raise UsageError(
            "a grid must rise or fall throughout", hint="Use numpy.linspace(low, high, count)."
        )
