"""`soc_filter.step` over many rows, compiled: the same filter, cell by cell.

Importing this module imports numba, so `soc_filter.run` imports it when it is first called. The
order of rows and tables is that of `soc_filter` and `soc_model`.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit

from cellwarden.health.soc_model import CellModel

__all__ = ["expected_volt", "interpolate", "run", "tick"]

_BLOCK: Final = 64  # cells whose state stays in the processor's cache while rows go by


def _interpolate_raw(knots: np.ndarray, celsius: float) -> tuple[int, int, float]:
    last = len(knots) - 1
    warm = min(max(celsius, knots[0]), knots[last])
    row = 0
    while row < last - 1 and warm >= knots[row + 1]:
        row += 1
    above = min(row + 1, last)
    span = knots[above] - knots[row] if above > row else 1.0
    return row, above, (warm - knots[row]) / span


interpolate: Callable[[np.ndarray, float], tuple[int, int, float]] = njit(cache=True)(
    _interpolate_raw
)


def _volt_raw(  # noqa: PLR0917  compiled calls take no keywords
    table: np.ndarray,
    place: tuple[int, int, float],
    soc: float,
    ratio: float,
    slow_ampere: float,
    flowed: float,
    transferred: float,
    middle: float,
    turn: float,
) -> tuple[float, float, float]:
    row, above, part = place
    scaled = min(max(soc, 0.0), 1.0) * (table.shape[1] - 1)
    left = min(int(scaled), table.shape[1] - 2)
    right = scaled - left
    a, b = table[row, left], table[row, left + 1]
    c, d = table[above, left], table[above, left + 1]
    w00, w01 = (1.0 - part) * (1.0 - right), (1.0 - part) * right
    w10, w11 = part * (1.0 - right), part * right
    rest = w00 * a[0] + w01 * b[0] + w10 * c[0] + w11 * d[0]
    rest += turn * (w00 * a[5] + w01 * b[5] + w10 * c[5] + w11 * d[5])
    drop = flowed * (w00 * a[1] + w01 * b[1] + w10 * c[1] + w11 * d[1])
    drop += transferred * (w00 * a[2] + w01 * b[2] + w10 * c[2] + w11 * d[2])
    drop += middle * (w00 * a[3] + w01 * b[3] + w10 * c[3] + w11 * d[3])
    slow_ohm = w00 * a[4] + w01 * b[4] + w10 * c[4] + w11 * d[4]
    drop = ratio * (drop + slow_ohm * slow_ampere)
    return rest + drop, drop, ratio * slow_ohm


expected_volt: Callable[..., tuple[float, float, float]] = njit(cache=True)(_volt_raw)


def _predict_raw(  # noqa: PLR0917  compiled calls take no keywords
    x: np.ndarray,
    current: float,
    second: float,
    gap: bool,  # noqa: FBT001  compiled calls take no keywords
    kept: tuple[float, float, float, float],
    constants: tuple[float, ...],
    drift: float,
    tuning: Any,
) -> None:
    fast, middle, slow, fade = kept
    capacity, rate = constants[0], constants[1]
    lost = gap or not np.isfinite(current)
    flowed = 0.0 if lost else current - x[1]
    hours = 0.0 if lost else second / 3600.0 / (capacity * np.exp(x[2]))
    moved = flowed * hours
    x[0] = min(max(x[0] + moved, 0.0), 1.0)
    x[6] = fast * x[6] + (1.0 - fast) * flowed
    x[7] = middle * x[7] + (1.0 - middle) * flowed
    x[4] = slow * x[4] + (1.0 - slow) * flowed
    x[5] *= fade
    if abs(flowed) > tuning.still_rate * capacity:
        stays = np.exp(-rate * abs(moved))
        x[8] = stays * x[8] + (1.0 - stays) * np.sign(flowed)
    p = x[11:].reshape(6, 6)
    for k in range(6):
        p[0, k] -= hours * p[1, k] + moved * p[2, k]
        p[4, k] = slow * p[4, k] - (1.0 - slow) * p[1, k]
        p[5, k] *= fade
    for k in range(6):
        p[k, 0] -= hours * p[k, 1] + moved * p[k, 2]
        p[k, 4] = slow * p[k, 4] - (1.0 - slow) * p[k, 1]
        p[k, 5] *= fade
    grown = tuning.soc_variance_per_second * second
    if lost:
        grown += (tuning.lost_rate * second / 3600.0) ** 2
    p[0, 0] = min(p[0, 0] + grown, tuning.unknown_std**2)
    p[1, 1] += tuning.bias_variance_per_second * second * capacity**2
    p[2, 2] += tuning.capacity_variance_per_second * second
    p[3, 3] = min(p[3, 3] + tuning.ohm_variance_per_second * second, tuning.ohm_std**2)
    p[5, 5] += (1.0 - fade * fade) * (drift**2 + tuning.sensor_volt**2)


_predict: Callable[..., None] = njit(cache=True)(_predict_raw)


def _begin_raw(  # noqa: PLR0917  compiled calls take no keywords
    x: np.ndarray,
    table: np.ndarray,
    place: tuple[int, int, float],
    transfer: float,
    flowed: float,
    volt: float,
) -> None:
    x[6], x[10] = flowed, 1.0
    transferred = transfer * np.arcsinh(flowed / transfer)
    low, high = 0.0, 1.0
    for _ in range(30):
        x[0] = 0.5 * (low + high)
        seen = expected_volt(
            table, place, x[0], np.exp(x[3]), x[4], flowed, transferred, x[7], x[8]
        )[0]
        if seen < volt:
            low = x[0]
        else:
            high = x[0]


_begin: Callable[..., None] = njit(cache=True)(_begin_raw)


def _linear_raw(  # noqa: PLR0917  compiled calls take no keywords
    x: np.ndarray,
    table: np.ndarray,
    place: tuple[int, int, float],
    flowed: float,
    transferred: float,
    toward: np.ndarray,
) -> tuple[float, float]:
    p = x[11:].reshape(6, 6)
    ratio = np.exp(x[3])
    own, drop, slow = expected_volt(
        table, place, x[0], ratio, x[4], flowed, transferred, x[7], x[8]
    )
    reach = min(max(np.sqrt(p[0, 0]), 0.01), 0.1)
    top, bottom = min(x[0] + reach, 1.0), max(x[0] - reach, 0.0)
    high = expected_volt(table, place, top, 0.0, x[4], flowed, transferred, x[7], x[8])[0]
    low = expected_volt(table, place, bottom, 0.0, x[4], flowed, transferred, x[7], x[8])[0]
    slope = max((high - low) / (top - bottom), 0.0)
    for k in range(6):
        toward[k] = slope * p[k, 0] + drop * p[k, 3] + slow * p[k, 4] + p[k, 5]
    spread = slope * toward[0] + drop * toward[3] + slow * toward[4] + toward[5]
    return own, spread


_linear: Callable[..., tuple[float, float]] = njit(cache=True)(_linear_raw)


def _sigma_points_raw(  # noqa: C901, PLR0917  loops over six numbers, compiled
    x: np.ndarray,
    table: np.ndarray,
    place: tuple[int, int, float],
    flowed: float,
    transferred: float,
    toward: np.ndarray,
    room: np.ndarray,
) -> tuple[float, float]:
    p = x[11:].reshape(6, 6)
    along, rest, seen = room[0:2], room[2:8], np.empty(4)
    for k in range(6):
        along[0, k] = p[k, 0] / np.sqrt(p[0, 0])
    for k in range(6):
        for m in range(6):
            rest[k, m] = p[k, m] - along[0, k] * along[0, m]
    scale = np.sqrt(max(rest[3, 3], 1e-12))
    for k in range(6):
        along[1, k] = rest[k, 3] / scale
    for k in range(6):
        for m in range(6):
            rest[k, m] -= along[1, k] * along[1, m]
    centre = np.exp(x[3])
    own, drop, slow = expected_volt(
        table, place, x[0], centre, x[4], flowed, transferred, x[7], x[8]
    )
    mean = own / 3.0
    for j in range(4):
        far = (1.0 - 2.0 * (j % 2)) * np.sqrt(3.0)
        to = along[j // 2]
        at, ratio = x[0] + far * to[0], np.exp(far * to[3])
        volt = expected_volt(table, place, at, 0.0, x[4], flowed, transferred, x[7], x[8])[0]
        seen[j] = volt + ratio * (drop + slow * far * to[4]) + far * to[5]
        mean += seen[j] / 6.0
    for k in range(6):
        toward[k] = slow * rest[k, 4] + rest[k, 5]
    spread = (own - mean) ** 2 / 3.0 + slow * toward[4] + toward[5]
    for j in range(4):
        far = (1.0 - 2.0 * (j % 2)) * np.sqrt(3.0)
        spread += (seen[j] - mean) ** 2 / 6.0
        for k in range(6):
            toward[k] += far * along[j // 2, k] * (seen[j] - mean) / 6.0
    return mean, spread


_sigma_points: Callable[..., tuple[float, float]] = njit(cache=True)(_sigma_points_raw)


def _correct_raw(
    x: np.ndarray, innovation: float, total: float, toward: np.ndarray, pull_std_count: float
) -> None:
    bound = pull_std_count * np.sqrt(total)
    pull = min(max(innovation, -bound), bound) / total
    p = x[11:].reshape(6, 6)
    for k in range(6):
        x[k] += toward[k] * pull
        for m in range(6):
            p[k, m] -= toward[k] * toward[m] / total
    x[0] = min(max(x[0], 0.0), 1.0)
    x[3] = min(max(x[3], -1.6), 2.3)
    x[2] = min(max(x[2], -0.7), 0.7)
    floors = (1e-8, 1e-12, 1e-10, 1e-8, 1e-10, 1e-10)
    for k in range(6):
        p[k, k] = max(p[k, k], floors[k])


_correct: Callable[..., None] = njit(cache=True)(_correct_raw)


def _tick_raw(clock: np.ndarray, time: float, tuning: Any) -> tuple[float, bool]:
    second = 0.0 if np.isnan(clock[0]) else max(time - clock[0], 0.0)
    longest = max(tuning.gap_period_count * clock[1], tuning.shortest_gap_second)
    gap = clock[1] > 0.0 and second > longest
    if second > 0.0 and not gap:
        clock[1] = second
    clock[0] = time
    return second, gap


tick: Callable[[np.ndarray, float, Any], tuple[float, bool]] = njit(cache=True)(_tick_raw)


def _row_raw(  # noqa: PLR0917  compiled calls take no keywords
    x: np.ndarray,
    row: tuple[float, float, float, float],
    told: tuple[bool, bool],
    kept: tuple[float, float, float, float],
    constants: tuple[float, ...],
    arrays: tuple[np.ndarray, ...],
    room: np.ndarray,
    out: np.ndarray,
    tuning: Any,
    unscented: bool,  # noqa: FBT001  compiled calls take no keywords
) -> None:
    second, current, volt, celsius = row
    gap, fresh = told
    table, knots, drifts, readings, widening = arrays
    if np.isfinite(celsius):
        x[9] = celsius
    place = interpolate(knots, x[9])
    cold, warm, part = place
    drift = drifts[cold] + part * (drifts[warm] - drifts[cold])
    reading = readings[cold] + part * (readings[warm] - readings[cold])
    _predict(x, current, second, gap, kept, constants, drift, tuning)
    flowed = current - x[1] if np.isfinite(current) else 0.0
    if x[10] == 0.0 and np.isfinite(volt):
        _begin(x, table, place, constants[2], flowed, volt)
    transferred = constants[2] * np.arcsinh(x[6] / constants[2])
    toward = room[8]
    if unscented:
        expected, spread = _sigma_points(x, table, place, flowed, transferred, toward, room)
    else:
        expected, spread = _linear(x, table, place, flowed, transferred, toward)
    innovation, total = volt - expected - x[5], spread + reading**2
    out[2], out[3] = innovation, np.sqrt(total)
    if second > 0.0:
        total += reading**2 * constants[4] / second
    if fresh and np.isfinite(innovation) and np.isfinite(current):
        _correct(x, innovation, total, toward, tuning.pull_std_count)
    wide = widening[cold] + part * (widening[warm] - widening[cold])
    out[0], out[1] = x[0], np.sqrt(x[11]) * wide
    out[4], out[5] = np.exp(x[3]), x[5]


_row: Callable[..., None] = njit(cache=True)(_row_raw)


def _run_raw(  # noqa: PLR0917  compiled calls take no keywords
    cells: np.ndarray,
    clock: np.ndarray,
    columns: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    out: np.ndarray,
    constants: tuple[float, ...],
    lags: np.ndarray,
    arrays: tuple[np.ndarray, ...],
    tuning: Any,
    unscented: bool,  # noqa: FBT001  compiled calls take no keywords
) -> None:
    time, amperes, volts, celsius = columns
    room, told = np.zeros((9, 6)), np.empty(6)
    start = clock.copy()
    for first in range(0, len(cells), _BLOCK):
        clock[:] = start
        for index in range(len(time)):
            new = np.isnan(clock[0])
            second, gap = tick(clock, time[index], tuning)
            kept = (
                np.exp(-second / lags[0]),
                np.exp(-second / lags[1]),
                np.exp(-second / lags[2]),
                np.exp(-second / constants[3]),
            )
            for cell in range(first, min(first + _BLOCK, len(cells))):
                current = amperes[index, cell if amperes.shape[1] > 1 else 0]
                row = (second, current, volts[index, cell], celsius[index, cell])
                fresh = new or second > 0.0
                _row(
                    cells[cell],
                    row,
                    (gap, fresh),
                    kept,
                    constants,
                    arrays,
                    room,
                    told,
                    tuning,
                    unscented,
                )
                for k in range(6):
                    out[k, index, cell] = told[k]


_run: Callable[..., None] = njit(cache=True)(_run_raw)


def run(  # noqa: PLR0917  as the compiled call
    model: CellModel,
    cells: np.ndarray,
    clock: np.ndarray,
    unix_time_second: np.ndarray,
    current_ampere: np.ndarray,
    voltage_volt: np.ndarray,
    temperature_celsius: np.ndarray,
    tuning: tuple[float, ...],
    *,
    unscented: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells and clock after the rows; the columns of `Estimates`."""
    own, clock = np.ascontiguousarray(cells.T).copy(), clock.copy()
    out = np.empty((6, *voltage_volt.shape))
    constants = (
        model.capacity_ah,
        model.hysteresis_rate,
        model.transfer_ampere,
        model.drift_second,
        model.correlation_second,
    )
    errors = (model.drift_volt, model.reading_volt, model.widening[int(unscented)].copy())
    arrays = (model.table, model.knot_celsius, *errors)
    columns = (unix_time_second, current_ampere, voltage_volt, temperature_celsius)
    _run(own, clock, columns, out, constants, model.lag_second, arrays, tuning, unscented)
    return np.ascontiguousarray(own.T), clock, out
