"""`soc_particle.run` compiled: particles of one cell after the other.

Importing this module imports numba, so `soc_particle.run` imports it when it is first called. The
order of rows is that of `soc_particle`; voltages and clock are those of `soc_kernel`.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit

from cellwarden.health.soc_kernel import expected_volt, interpolate, tick
from cellwarden.health.soc_model import CellModel

__all__ = ["run"]

_BIN_COUNT: Final = 400
_FAR: Final = 16.0  # squared deviations from which on a reading is only odd


def _uniform_raw(counter: np.ndarray) -> float:
    """The next number between 0 and 1: SplitMix64 on a counter that is part of the state."""
    counter[0] += np.uint64(0x9E3779B97F4A7C15)
    z = counter[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (float(z >> np.uint64(11)) + 0.5) / 9007199254740992.0


_uniform: Callable[[np.ndarray], float] = njit(cache=True)(_uniform_raw)


def _normal_raw(counter: np.ndarray) -> float:
    """The next number of unit deviation (Box and Muller)."""
    size = np.sqrt(-2.0 * np.log(_uniform(counter)))
    return float(size * np.cos(2.0 * np.pi * _uniform(counter)))


_normal: Callable[[np.ndarray], float] = njit(cache=True)(_normal_raw)


def _begin_raw(cloud: np.ndarray, counter: np.ndarray, stds: np.ndarray, lot: np.ndarray) -> None:
    """Spread the particles: over all charge or around the one told, evenly; the rest by lot."""
    count = cloud.shape[1]
    for j in range(count):
        even = (j + _uniform(counter)) / count
        cloud[0, j] = even if np.isnan(lot[0]) else lot[0] + lot[1] * _normal(counter)
        cloud[0, j] = min(max(cloud[0, j], 0.0), 1.0)
        for k in range(4):
            cloud[1 + k, j] = stds[k] * _normal(counter)
        cloud[5, j] = 0.0
        cloud[6, j] = 1.0 / count


_begin: Callable[..., None] = njit(cache=True)(_begin_raw)


def _move_raw(  # noqa: PLR0917  compiled calls take no keywords
    cloud: np.ndarray,
    own: np.ndarray,
    counter: np.ndarray,
    current: float,
    second: float,
    gap: bool,  # noqa: FBT001  compiled calls take no keywords
    kept: tuple[float, float, float, float],
    constants: tuple[float, ...],
    variance: float,
    tuning: Any,
) -> None:
    fast, middle, slow, fade = kept
    capacity, rate = constants[0], constants[1]
    lost = gap or not np.isfinite(current)
    flowed = 0.0 if lost else current
    own[0] = fast * own[0] + (1.0 - fast) * flowed
    own[1] = middle * own[1] + (1.0 - middle) * flowed
    own[2] = slow * own[2] + (1.0 - slow) * flowed
    own[7] *= middle
    own[8] *= slow
    own[6] = fade * fade * own[6] + (1.0 - fade * fade) * variance
    moved = flowed * second / 3600.0 / capacity
    if abs(flowed) > tuning.still_rate * capacity:
        stays = np.exp(-rate * abs(moved))
        own[3] = stays * own[3] + (1.0 - stays) * np.sign(flowed)
    for j in range(cloud.shape[1]):
        soc = cloud[0, j]
        if lost:
            soc += tuning.lost_rate * second / 3600.0 * _normal(counter)
        else:
            soc += (flowed - cloud[1, j]) * second / 3600.0 / capacity / np.exp(cloud[2, j])
        cloud[0, j] = min(max(soc, 0.0), 1.0)
        cloud[5, j] *= fade


_move: Callable[..., None] = njit(cache=True)(_move_raw)


def _expect_raw(  # noqa: PLR0917  compiled calls take no keywords
    cloud: np.ndarray,
    own: np.ndarray,
    table: np.ndarray,
    place: tuple[int, int, float],
    current: float,
    transfer: float,
    volts: np.ndarray,
) -> None:
    """The voltage that each particle expects."""
    bent = transfer * np.arcsinh(own[0] / transfer)
    for j in range(cloud.shape[1]):
        ratio, load = np.exp(cloud[3, j]), cloud[4, j]
        flowed = current - cloud[1, j]
        past, late = own[1] + load * own[7], own[2] + load * own[8]
        seen = expected_volt(table, place, cloud[0, j], ratio, late, flowed, bent, past, own[3])[0]
        volts[j] = seen + cloud[5, j]


_expect: Callable[..., None] = njit(cache=True)(_expect_raw)


def _weigh_raw(
    cloud: np.ndarray, own: np.ndarray, volt: float, volts: np.ndarray, noise: float
) -> None:
    """Bayes: each particle weighs as it foresaw; its own error follows, as in a Kalman filter."""
    total = own[6] + noise
    gain, summed, least = own[6] / total, 0.0, np.inf
    for j in range(len(volts)):
        least = min(least, (volt - volts[j]) ** 2 / total, _FAR)
    for j in range(len(volts)):
        away = volt - volts[j]
        cloud[6, j] *= np.exp(-0.5 * (min(away * away / total, _FAR) - least))
        bound = 4.0 * np.sqrt(total)
        cloud[5, j] += gain * min(max(away, -bound), bound)
        summed += cloud[6, j]
    own[6] -= gain * own[6]
    for j in range(len(volts)):
        cloud[6, j] /= summed


_weigh: Callable[..., None] = njit(cache=True)(_weigh_raw)


def _redraw_raw(
    cloud: np.ndarray, counter: np.ndarray, stds: np.ndarray, jitter: np.ndarray, room: np.ndarray
) -> None:
    """Draw the particles again by weight, evenly spaced, once few carry most; then shake a little.

    What does not change is drawn a little towards what was believed of it at first.
    """
    count, square = cloud.shape[1], 0.0
    for j in range(count):
        square += cloud[6, j] ** 2
    if square * count < 2.0:  # noqa: PLR2004  more than half of them count
        return
    room[:, :] = cloud
    at, reached, start = 0, room[6, 0], _uniform(counter) / count
    for j in range(count):
        while reached < start + j / count and at < count - 1:
            at += 1
            reached += room[6, at]
        soc = room[0, at] + jitter[0] * _normal(counter)
        cloud[0, j] = min(max(soc, 0.0), 1.0)
        for k in range(3):
            keeps = np.sqrt(1.0 - jitter[1] ** 2)
            cloud[1 + k, j] = keeps * room[1 + k, at] + jitter[1] * stds[k] * _normal(counter)
        cloud[4, j], cloud[5, j] = room[4, at], room[5, at]
        cloud[6, j] = 1.0 / count


_redraw: Callable[..., None] = njit(cache=True)(_redraw_raw)


def _tell_raw(cloud: np.ndarray, bins: np.ndarray, wide: float, out: np.ndarray) -> None:
    """Mean, deviation and the middle 90 %, widened."""
    mean, square = 0.0, 0.0
    bins[:] = 0.0
    for j in range(cloud.shape[1]):
        soc, weight = cloud[0, j], cloud[6, j]
        mean += weight * soc
        square += weight * soc * soc
        bins[min(int(soc * len(bins)), len(bins) - 1)] += weight
    ends = (0.05, 0.95)
    for k in range(2):
        at, below = 0, 0.0
        while at < len(bins) - 1 and below + bins[at] < ends[k]:
            below += bins[at]
            at += 1
        part = (ends[k] - below) / bins[at] if bins[at] > 0.0 else 0.0
        edge = (at + min(max(part, 0.0), 1.0)) / len(bins)
        out[2 + k] = min(max(mean + wide * (edge - mean), 0.0), 1.0)
    out[0], out[1] = mean, wide * np.sqrt(max(square - mean * mean, 0.0))


_tell: Callable[..., None] = njit(cache=True)(_tell_raw)


def _row_raw(  # noqa: PLR0917  compiled calls take no keywords
    cloud: np.ndarray,
    own: np.ndarray,
    counter: np.ndarray,
    row: tuple[float, float, float, float],
    told: tuple[bool, bool],
    kept: tuple[float, float, float, float],
    constants: tuple[float, ...],
    arrays: tuple[np.ndarray, ...],
    rooms: tuple[np.ndarray, ...],
    out: np.ndarray,
    tuning: Any,
) -> None:
    second, current, volt, celsius = row
    gap, fresh = told
    table, knots, drifts, readings, widening, stds, jitter, lot = arrays
    volts, room, bins = rooms
    if np.isfinite(celsius):
        own[4] = celsius
    place = interpolate(knots, own[4])
    cold, warm, part = place
    drift = drifts[cold] + part * (drifts[warm] - drifts[cold])
    reading = readings[cold] + part * (readings[warm] - readings[cold])
    variance = drift**2 + tuning.sensor_volt**2
    if own[5] == 0.0:
        own[5], own[6] = 1.0, variance
        own[0] = current if np.isfinite(current) else 0.0
        _begin(cloud, counter, stds, lot)
    _move(cloud, own, counter, current, second, gap, kept, constants, variance, tuning)
    _expect(cloud, own, table, place, current if np.isfinite(current) else 0.0, constants[2], volts)
    mean, spread = 0.0, 0.0
    for j in range(len(volts)):
        mean += cloud[6, j] * volts[j]
    for j in range(len(volts)):
        spread += cloud[6, j] * (volts[j] - mean) ** 2
    out[4] = volt - mean
    out[5] = np.sqrt(spread + own[6] + reading**2)
    if fresh and np.isfinite(volt) and np.isfinite(current):
        repeats = constants[4] / second if second > 0.0 else 0.0
        _weigh(cloud, own, volt, volts, reading**2 * (1.0 + repeats))
        _redraw(cloud, counter, stds, jitter, room)
    _tell(cloud, bins, widening[cold] + part * (widening[warm] - widening[cold]), out)


_row: Callable[..., None] = njit(cache=True)(_row_raw)


def _run_raw(  # noqa: PLR0917  compiled calls take no keywords
    clouds: np.ndarray,
    owns: np.ndarray,
    counters: np.ndarray,
    clock: np.ndarray,
    columns: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    out: np.ndarray,
    constants: tuple[float, ...],
    lags: np.ndarray,
    arrays: tuple[np.ndarray, ...],
    lots: np.ndarray,
    tuning: Any,
) -> None:
    time, amperes, volts, celsius = columns
    count = clouds.shape[2]
    rooms = (np.empty(count), np.empty((7, count)), np.empty(_BIN_COUNT))
    told, start = np.empty(6), clock.copy()
    for cell in range(len(clouds)):
        clock[:] = start
        held = (*arrays, lots[cell])
        for index in range(len(time)):
            new = np.isnan(clock[0])
            second, gap = tick(clock, time[index], tuning)
            kept = (
                np.exp(-second / lags[0]),
                np.exp(-second / lags[1]),
                np.exp(-second / lags[2]),
                np.exp(-second / constants[3]),
            )
            current = amperes[index, cell if amperes.shape[1] > 1 else 0]
            row = (second, current, volts[index, cell], celsius[index, cell])
            _row(
                clouds[cell],
                owns[cell],
                counters[cell],
                row,
                (gap, new or second > 0.0),
                kept,
                constants,
                held,
                rooms,
                told,
                tuning,
            )
            for k in range(6):
                out[k, index, cell] = told[k]


_run: Callable[..., None] = njit(cache=True)(_run_raw)


def run(
    model: CellModel,
    state: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    columns: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    settings: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    tuning: tuple[float, ...],
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Particles, what cells have in common, counters and clock after the rows; and the columns."""
    clouds, owns, counters, clock = (array.copy() for array in state)
    widening, stds, jitter, lots = settings
    out = np.empty((6, *columns[2].shape))
    constants = (
        model.capacity_ah,
        model.hysteresis_rate,
        model.transfer_ampere,
        model.drift_second,
        model.correlation_second,
    )
    errors = (model.drift_volt, model.reading_volt, widening, stds, jitter)
    arrays = (model.table, model.knot_celsius, *errors)
    held = (clouds, owns, counters, clock)
    _run(*held, columns, out, constants, model.lag_second, arrays, lots, tuning)
    return held, out
