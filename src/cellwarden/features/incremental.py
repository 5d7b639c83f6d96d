"""Incremental capacity dQ/dV and differential voltage dV/dQ, their peaks, and how sure these are.

Rules
- The curve is put on an even grid first (see `curves`): monotone, NaN across gaps. Smoothing and
  slope are one linear filter on that grid, whose kind and width the result states.
- Savitzky-Golay fits a polynomial over a window; at the ends it is the slope of the last whole
  window's polynomial. A Gaussian loses three widths at each end instead.
- dQ/dV and dV/dQ are positive: charge passed per volt in the direction of the branch.
- A peak's area is the charge between the valleys on both sides (or the curve's end).
- A peak's uncertainty is its spread over repeats of the curve with noise added to the voltage,
  drawn with the seed given.

Sources: M. Dubarry, B. Y. Liaw, J. Power Sources 194, 541 (2009),
doi 10.1016/j.jpowsour.2009.05.036; A. Savitzky, M. J. E. Golay, Anal. Chem. 36, 1627 (1964),
doi 10.1021/ac60214a047.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from jaxtyping import Float64, Int64
from scipy.signal import find_peaks, peak_widths, savgol_coeffs

from cellwarden.errors import UsageError
from cellwarden.features.curves import Direction, charge_curve, voltage_curve

__all__ = [
    "PeakUncertainty",
    "Peaks",
    "Slope",
    "Smoothing",
    "differential_voltage",
    "incremental_capacity",
    "peak_uncertainty",
    "peaks",
    "voltage_noise_volt",
]

_GAUSSIAN_REACH: Final = 3.0  # widths on each side; 0.3 % lies beyond
_HALF: Final = 0.5
_LEAST_WINDOW: Final = 3


@dataclass(frozen=True, slots=True)
class Smoothing:
    """How a curve is smoothed: `width` is in the unit of the grid.

    For "savgol" it is the whole window, with a polynomial of `order`; for "gaussian" the standard
    deviation.
    """

    kind: Literal["savgol", "gaussian"]
    width: float
    order: int = 3


@dataclass(frozen=True, slots=True, eq=False)
class Slope:
    """A slope along an even grid: dQ/dV over volts, or dV/dQ over ampere-hours.

    `quantity` names which; `window_count` is how many grid points the smoothing spanned.
    """

    quantity: Literal["incremental_capacity_ah_per_volt", "differential_voltage_volt_per_ah"]
    grid: Float64[np.ndarray, " grid"]
    values: Float64[np.ndarray, " grid"]
    smoothing: Smoothing
    window_count: int


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """Peaks in order of the grid, in its unit and that of the slope.

    `width` is that at half the prominence; `area` is the integral from valley to valley.
    """

    position: Float64[np.ndarray, " peak"]
    height: Float64[np.ndarray, " peak"]
    prominence: Float64[np.ndarray, " peak"]
    width: Float64[np.ndarray, " peak"]
    area: Float64[np.ndarray, " peak"]

    def __len__(self) -> int:
        return len(self.position)


@dataclass(frozen=True, slots=True, eq=False)
class PeakUncertainty:
    """Standard deviation of each peak's numbers; `found_fraction` is how often it was there."""

    position_std: Float64[np.ndarray, " peak"]
    height_std: Float64[np.ndarray, " peak"]
    width_std: Float64[np.ndarray, " peak"]
    area_std: Float64[np.ndarray, " peak"]
    found_fraction: Float64[np.ndarray, " peak"]


def incremental_capacity(
    voltage_volt: Float64[np.ndarray, " time"],
    charge_ah: Float64[np.ndarray, " time"],
    grid_volt: Float64[np.ndarray, " grid"],
    *,
    direction: Direction,
    smoothing: Smoothing,
    gap_ah: float,
) -> Slope:
    """dQ/dV of one branch on an even, rising voltage grid. [Ah/V]

    Raises:
        UsageError: the grid is not even, or the smoothing does not fit on it.
    """
    passed = charge_curve(voltage_volt, charge_ah, grid_volt, direction=direction, gap_ah=gap_ah)
    values, count = _slope(grid_volt, passed, smoothing)
    sign = 1.0 if direction == "charge" else -1.0
    return Slope("incremental_capacity_ah_per_volt", grid_volt, sign * values, smoothing, count)


def differential_voltage(
    voltage_volt: Float64[np.ndarray, " time"],
    charge_ah: Float64[np.ndarray, " time"],
    grid_ah: Float64[np.ndarray, " grid"],
    *,
    direction: Direction,
    smoothing: Smoothing,
    gap_ah: float,
) -> Slope:
    """dV/dQ of one branch on an even, rising charge grid. [V/Ah]

    Raises:
        UsageError: the grid is not even, or the smoothing does not fit on it.
    """
    voltage = voltage_curve(voltage_volt, charge_ah, grid_ah, gap_ah=gap_ah)
    values, count = _slope(grid_ah, voltage, smoothing)
    sign = 1.0 if direction == "charge" else -1.0
    return Slope("differential_voltage_volt_per_ah", grid_ah, sign * values, smoothing, count)


def peaks(slope: Slope, *, least_prominence: float) -> Peaks:
    """The peaks that stand out by at least `least_prominence`, in the slope's own unit.

    Position and height are those of the parabola through the highest point and its neighbours.
    """
    known = np.isfinite(slope.values)
    values = np.where(known, slope.values, -np.inf)
    low = float(slope.values[known].min()) if known.any() else 0.0
    values = np.where(known, values, low)
    at, told = find_peaks(values, prominence=least_prominence)
    if not len(at):
        none = np.empty(0)
        return Peaks(none, none, none, none, none)
    step = float(slope.grid[1] - slope.grid[0])
    width = peak_widths(values, at, _HALF)[0] * step
    offset, height = _parabola(values, at)
    return Peaks(
        slope.grid[at] + offset * step,
        height,
        told["prominences"],
        width,
        _areas(slope.grid, values, at, known),
    )


def peak_uncertainty(
    voltage_volt: Float64[np.ndarray, " time"],
    charge_ah: Float64[np.ndarray, " time"],
    grid_volt: Float64[np.ndarray, " grid"],
    *,
    direction: Direction,
    smoothing: Smoothing,
    gap_ah: float,
    least_prominence: float,
    noise_volt: float,
    repeat_count: int,
    seed: int,
) -> tuple[Peaks, PeakUncertainty]:
    """The peaks of dQ/dV, and what voltage noise of a given size does to them. [V, Ah/V, V, Ah]

    A repeat's peak belongs to the nearest one of the curve, if it lies within half its width.
    """

    def look(voltage: Float64[np.ndarray, " time"]) -> Peaks:
        slope = incremental_capacity(
            voltage, charge_ah, grid_volt, direction=direction, smoothing=smoothing, gap_ah=gap_ah
        )
        return peaks(slope, least_prominence=least_prominence)

    first = look(voltage_volt)
    rng = np.random.default_rng(seed)
    seen = np.full((repeat_count, len(first), 4), np.nan)
    for number in range(repeat_count):
        other = look(voltage_volt + noise_volt * rng.standard_normal(len(voltage_volt)))
        for peak in range(len(first)):
            away = np.abs(other.position - first.position[peak])
            if len(away) and away.min() <= first.width[peak] / 2:
                near = int(np.argmin(away))
                found = other.position, other.height, other.width, other.area
                seen[number, peak] = [column[near] for column in found]
    there = np.isfinite(seen[:, :, 0]).sum(axis=0)
    std = np.array(
        [
            np.std(seen[np.isfinite(seen[:, k, 0]), k], axis=0, ddof=1)
            if there[k] > 1
            else np.full(4, np.nan)
            for k in range(len(first))
        ]
    ).reshape(len(first), 4)
    return first, PeakUncertainty(std[:, 0], std[:, 1], std[:, 2], std[:, 3], there / repeat_count)


def voltage_noise_volt(voltage_volt: Float64[np.ndarray, " time"]) -> float:
    """Standard deviation of white noise on a smooth voltage, from its third differences. [V]

    The median of their size forgives jumps; of independent noise the third difference has 20 times
    the variance. Coarse readings whose steps repeat give 0.
    """
    third = np.diff(voltage_volt[np.isfinite(voltage_volt)], 3)
    if not len(third):
        return float("nan")
    median = float(np.median(np.abs(third)))
    return median / 0.6744897501960817 / 20**0.5  # the normal law's median of |x|


def _slope(
    grid: Float64[np.ndarray, " grid"],
    values: Float64[np.ndarray, " grid"],
    smoothing: Smoothing,
) -> tuple[Float64[np.ndarray, " grid"], int]:
    """The filtered slope in each stretch without a gap, and the points the filter spans."""
    step = np.diff(grid)
    if len(grid) < _LEAST_WINDOW or step[0] <= 0 or np.ptp(step) > 1e-6 * step[0]:
        raise UsageError(
            "the grid of a slope must rise in even steps",
            hint="Use numpy.linspace(low, high, count).",
        )
    weights = _weights(float(step[0]), smoothing)
    half = len(weights) // 2
    found = np.full(len(grid), np.nan)
    known = np.isfinite(values).astype(np.int8)
    borders = np.flatnonzero(np.diff(known, prepend=0, append=0))
    for start, stop in zip(borders[::2], borders[1::2], strict=True):
        if stop - start < len(weights):
            continue
        found[start + half : stop - half] = np.correlate(values[start:stop], weights, "valid")
        if smoothing.kind == "savgol":
            _ends(
                found,
                values,
                stretch=slice(int(start), int(stop)),
                step=float(step[0]),
                order=smoothing.order,
                window=len(weights),
            )
    return found, len(weights)


def _weights(step: float, smoothing: Smoothing) -> Float64[np.ndarray, " window"]:
    """The filter that gives the smoothed slope, to be correlated with the values."""
    if not smoothing.width > 0:
        raise UsageError(
            f"the smoothing's width is {smoothing.width}", hint="Give it in the grid's unit."
        )
    if smoothing.kind == "gaussian":
        half = max(int(np.ceil(_GAUSSIAN_REACH * smoothing.width / step)), 1)
        away = np.arange(-half, half + 1) * step
        bell = away * np.exp(-0.5 * (away / smoothing.width) ** 2)
        return np.asarray(bell / float(bell @ away), dtype=np.float64)  # a line keeps its slope
    half = round(smoothing.width / step) // 2
    if 2 * half + 1 <= smoothing.order:
        raise UsageError(
            f"a window of {2 * half + 1} points cannot hold a polynomial of {smoothing.order}",
            hint="Widen the window, or take a finer grid.",
        )
    taps = savgol_coeffs(2 * half + 1, smoothing.order, deriv=1, delta=step, use="dot")
    return np.asarray(taps, dtype=np.float64)


def _ends(
    found: Float64[np.ndarray, " grid"],
    values: Float64[np.ndarray, " grid"],
    *,
    stretch: slice,
    step: float,
    order: int,
    window: int,
) -> None:
    """Fill both ends with the slope of the polynomial over the first and the last window."""
    half, start, stop = window // 2, stretch.start, stretch.stop
    place = np.arange(window) * step
    for begin, filled in (
        (start, slice(start, start + half)),
        (stop - window, slice(stop - half, stop)),
    ):
        line = np.polynomial.Polynomial.fit(place, values[begin : begin + window], order)
        found[filled] = line.deriv()(place[filled.start - begin : filled.stop - begin])


def _parabola(
    values: Float64[np.ndarray, " grid"], at: Int64[np.ndarray, " peak"]
) -> tuple[Float64[np.ndarray, " peak"], Float64[np.ndarray, " peak"]]:
    """Place (in grid steps from the highest point) and height of each peak's parabola."""
    left, middle, right = values[at - 1], values[at], values[at + 1]
    bend = left - 2 * middle + right
    offset = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1.0), 0.0)
    return offset, middle - 0.25 * (left - right) * offset


def _areas(
    grid: Float64[np.ndarray, " grid"],
    values: Float64[np.ndarray, " grid"],
    at: Int64[np.ndarray, " peak"],
    known: np.ndarray,
) -> Float64[np.ndarray, " peak"]:
    """Integral of the slope from the valley before each peak to the one after it."""
    ends = np.flatnonzero(known)
    middle = [a + int(np.argmin(values[a : b + 1])) for a, b in pairwise(at)]
    valley = np.array([ends[0], *middle, ends[-1]])
    inside = np.where(known, values, 0.0)
    grown = np.concatenate([[0.0], np.cumsum((inside[1:] + inside[:-1]) / 2 * np.diff(grid))])
    return np.asarray(grown[valley[1:]] - grown[valley[:-1]])
