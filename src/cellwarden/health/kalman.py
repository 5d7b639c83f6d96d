"""`charge.step` over many frames, compiled: the same filter, cell by cell.

Importing this module imports numba, so `charge.run` imports it when it is first called. The
order of the rows and entries is that of `charge`.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit

from cellwarden.domain.units import ABSOLUTE_ZERO_CELSIUS, GAS_CONSTANT
from cellwarden.physics.circuit import Circuit

__all__ = ["run"]

_ZERO: Final = ABSOLUTE_ZERO_CELSIUS
_GAS: Final = GAS_CONSTANT
_WIDEST: Final = 0.3**2
_OHM_WIDEST: Final = 0.4**2


def _ocv_raw(table: np.ndarray, soc: float) -> float:
    scaled = soc * (len(table) - 1)
    left = min(max(int(np.floor(scaled)), 0), len(table) - 2)
    volts: float = table[left] + (scaled - left) * (table[left + 1] - table[left])
    return max(volts, 0.0)


_ocv: Callable[[np.ndarray, float], float] = njit(cache=True)(_ocv_raw)


def _slope_raw(table: np.ndarray, soc: float, reach: float) -> float:
    return max((_ocv(table, soc + reach) - _ocv(table, soc - reach)) / (2.0 * reach), 1e-3)


_slope: Callable[[np.ndarray, float, float], float] = njit(cache=True)(_slope_raw)


def _tick_raw(clock: np.ndarray, time: float, tuning: Any) -> tuple[float, bool]:
    second = 0.0 if np.isnan(clock[0]) else max(time - clock[0], 0.0)
    longest = max(tuning.gap_period_count * clock[1], tuning.shortest_gap_second)
    gap = clock[1] > 0.0 and second > longest
    if second > 0.0 and not gap:
        clock[1] = second
    clock[2] = 0.0 if gap else clock[2] + second
    clock[0] = time
    return second, gap


_tick: Callable[..., tuple[float, bool]] = njit(cache=True)(_tick_raw)


def _predict_raw(  # noqa: PLR0917  compiled calls take no keywords
    x: np.ndarray,
    constants: tuple[float, ...],
    current: float,
    second: float,
    lost: bool,  # noqa: FBT001  compiled calls take no keywords
    tuning: Any,
) -> tuple[float, float]:
    ohmic, fast_ohm, slow_ohm, fast_second, slow_second, activation = constants
    flowed = 0.0 if lost else current
    kelvin = min(max(x[9], -40.0), 120.0) - _ZERO
    factor = np.exp(activation / _GAS * (1.0 / kelvin - 1.0 / 298.15))
    moved = flowed * second / 3600.0 / x[7]
    fast, slow = np.exp(-second / fast_second), np.exp(-second / slow_second)
    x[0] = min(max(x[0] + moved, 0.0), 1.0)
    x[2] = fast * x[2] + (1.0 - fast) * fast_ohm * flowed * factor
    x[3] = slow * x[3] + (1.0 - slow) * slow_ohm * flowed * factor
    grown = tuning.moved_variance * abs(moved) + tuning.rest_variance_per_second * second
    if lost:
        grown += (tuning.lost_rate * second / 3600.0) ** 2
    x[4] = min(x[4] + grown, _WIDEST)
    x[6] = min(x[6] + tuning.ohm_variance_per_second * second, _OHM_WIDEST)
    return x[2] + x[3] + ohmic * current * factor, max(factor, 1.0)


_predict: Callable[..., tuple[float, float]] = njit(cache=True)(_predict_raw)


def _begin_raw(  # noqa: PLR0917  compiled calls take no keywords
    x: np.ndarray,
    constants: tuple[float, ...],
    table: np.ndarray,
    grid: np.ndarray,
    rest: float,
    drop: float,
    sigma: float,
) -> None:
    soc = np.interp(rest, table, grid)
    unseen = abs(drop) * (constants[1] + constants[2]) / constants[0]
    doubt = (2.0 * sigma + unseen) / _slope(table, soc, 0.05)
    x[0], x[4], x[8] = soc, min(doubt * doubt, _WIDEST), 1.0


_begin: Callable[..., None] = njit(cache=True)(_begin_raw)


def _correct_raw(  # noqa: PLR0917  compiled calls take no keywords
    x: np.ndarray,
    constants: tuple[float, ...],
    table: np.ndarray,
    grid: np.ndarray,
    volt: float,
    over: float,
    second: float,
    floor: float,
    tuning: Any,
) -> tuple[float, float]:
    drop = np.exp(x[1]) * over
    noise = floor + (tuning.drop_fraction * drop) ** 2
    read = np.isfinite(volt)
    if read and x[8] == 0.0:
        _begin(x, constants, table, grid, volt - drop, drop, np.sqrt(noise))
    p, c, o = x[4], x[5], x[6]
    h = _slope(table, x[0], min(max(np.sqrt(p), 0.005), 0.1))
    innovation = volt - _ocv(table, x[0]) - drop
    spread = h * h * p + 2.0 * h * drop * c + drop * drop * o
    deviation = np.sqrt(spread + noise)
    if read and second > 0.0:
        news = spread + noise * (1.0 + tuning.correlation_second / second)
        toward_soc, toward_ohm = h * p + drop * c, h * c + drop * o
        bound = tuning.pull_std_count * deviation
        pull = min(max(innovation, -bound), bound) / news
        x[0] = min(max(x[0] + toward_soc * pull, 0.0), 1.0)
        x[1] = min(max(x[1] + toward_ohm * pull, -1.6), 2.3)
        x[4] = max(p - toward_soc * toward_soc / news, 1e-8)
        x[5] = c - toward_soc * toward_ohm / news
        x[6] = max(o - toward_ohm * toward_ohm / news, 1e-6)
    return innovation, deviation


_correct: Callable[..., tuple[float, float]] = njit(cache=True)(_correct_raw)


def _run_raw(  # noqa: PLR0917  compiled calls take no keywords
    cells: np.ndarray,
    clock: np.ndarray,
    columns: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    out: np.ndarray,
    constants: tuple[float, ...],
    table: np.ndarray,
    grid: np.ndarray,
    blind: float,
    tuning: Any,
) -> None:
    time, amperes, volts, celsius = columns
    for index in range(len(time)):
        second, gap = _tick(clock, time[index], tuning)
        known = np.isfinite(amperes[index])
        current = amperes[index] if known else 0.0
        settling = tuning.settling_volt * np.exp(-clock[2] / constants[4])
        extra = settling**2 + (0.0 if known else blind**2)
        for cell in range(len(cells)):
            x = cells[cell]
            if not np.isnan(celsius[index, cell]):
                x[9] = celsius[index, cell]
            over, cold = _predict(x, constants, current, second, gap or not known, tuning)
            floor = (tuning.sensor_volt * cold) ** 2 + extra
            innovation, deviation = _correct(
                x, constants, table, grid, volts[index, cell], over, second, floor, tuning
            )
            out[0, index, cell], out[1, index, cell] = x[0], np.sqrt(x[4])
            out[2, index, cell], out[3, index, cell] = innovation, deviation


_run: Callable[..., None] = njit(cache=True)(_run_raw)


def run(  # noqa: PLR0917  as the compiled call
    cells: np.ndarray,
    clock: np.ndarray,
    columns: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    circuit: Circuit,
    blind_volt: float,
    tuning: tuple[float, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells and clock after the frames; charge, its doubt, innovation and its deviation."""
    own, clock = np.ascontiguousarray(cells.T).copy(), clock.copy()
    out = np.empty((4, *columns[2].shape))
    constants = (
        circuit.ohmic_ohm,
        circuit.fast_ohm,
        circuit.slow_ohm,
        circuit.fast_second,
        circuit.slow_second,
        circuit.activation_joule_per_mole,
    )
    table = circuit.ocv_volt
    grid = np.linspace(0.0, 1.0, len(table))
    _run(own, clock, columns, out, constants, table, grid, blind_volt, tuning)
    return np.ascontiguousarray(own.T), clock, out
