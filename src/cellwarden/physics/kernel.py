"""`row.advance` compiled: the same walk, cell by cell.

Importing this module imports numba (about half a second), so callers import it when they first
step. Where the cache can be written, the machine code is kept beside this file.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit

from cellwarden.domain.units import ABSOLUTE_ZERO_CELSIUS, GAS_CONSTANT
from cellwarden.physics.circuit import Circuit
from cellwarden.physics.row import DEPTH_SECOND, Rows, Rule
from cellwarden.physics.thermal import Thermal

__all__ = ["advance", "open_slope", "open_voltage"]

_ZERO: Final = ABSOLUTE_ZERO_CELSIUS
_GAS: Final = GAS_CONSTANT
_DEPTH: Final = DEPTH_SECOND


def _ocv_raw(table: np.ndarray, soc: float) -> float:
    scaled = soc * (len(table) - 1)
    left = min(max(int(np.floor(scaled)), 0), len(table) - 2)
    volts: float = table[left] + (scaled - left) * (table[left + 1] - table[left])
    return max(volts, 0.0)


def _slope_raw(table: np.ndarray, soc: float) -> float:
    left = min(max(int(np.floor(soc * (len(table) - 1))), 0), len(table) - 2)
    return float((table[left + 1] - table[left]) * (len(table) - 1))


open_voltage: Callable[[np.ndarray, float], float] = njit(cache=True)(_ocv_raw)
open_slope: Callable[[np.ndarray, float], float] = njit(cache=True)(_slope_raw)


def _factors_raw(state: np.ndarray, cells: np.ndarray, activation: float) -> np.ndarray:
    factor = np.empty(state.shape[1])
    for cell in range(state.shape[1]):
        kelvin = min(max(state[3, cell], -40.0), 120.0) - _ZERO
        factor[cell] = cells[1, cell] * np.exp(activation / _GAS * (1.0 / kelvin - 1.0 / 298.15))
    return factor


_factors: Callable[[np.ndarray, np.ndarray, float], np.ndarray] = njit(cache=True)(_factors_raw)


def _window_raw(  # noqa: PLR0917  compiled calls take no keywords
    state: np.ndarray,
    cells: np.ndarray,
    factor: np.ndarray,
    constants: tuple[float, ...],
    table: np.ndarray,
    rule: Rule,
) -> tuple[float, float]:
    ohmic, fast_ohm, slow_ohm, fast, slow = constants
    ceiling, floor = np.inf, -np.inf
    ohm = ohmic + fast_ohm * (1.0 - fast) + slow_ohm * (1.0 - slow)
    for cell in range(state.shape[1]):
        soc = state[0, cell]
        idle = open_voltage(table, soc) + fast * state[1, cell] + slow * state[2, cell]
        rise = open_slope(table, soc) * rule.period_second / 3600.0
        total = factor[cell] * ohm + cells[2, cell] + rise / cells[0, cell]
        ceiling = min(ceiling, (rule.high_volt - idle) / total)
        floor = max(floor, (rule.low_volt - idle) / total)
    return ceiling, floor


_window: Callable[..., tuple[float, float]] = njit(cache=True)(_window_raw)


def _current_raw(
    machine: np.ndarray, demand: float, ceiling: float, floor: float, rule: Rule
) -> float:
    phase = machine[0]
    current, ended = 0.0, False
    if phase == 0:
        if demand >= 0.0:
            current = min(demand, max(ceiling, 0.0))
        else:
            lowest = min(floor, 0.0)
            current, ended = max(demand, lowest), lowest > -min(-demand, rule.end_ampere)
    elif phase == 2:  # noqa: PLR2004  charge
        current = min(max(ceiling, 0.0), rule.charge_ampere)
        ended = ceiling < rule.cutoff_ampere
    if not rule.contactors_closed:
        return 0.0
    if phase in {1, 3}:
        ended = machine[1] <= 1
        machine[1] -= 1
    if ended:
        machine[0] = (phase + 1) % 4
        machine[1] = rule.rest_step_count
    return max(min(current, rule.charge_limit_ampere), -rule.discharge_limit_ampere)


_current: Callable[..., float] = njit(cache=True)(_current_raw)


def _cells_raw(  # noqa: PLR0917  compiled calls take no keywords
    state: np.ndarray,
    cells: np.ndarray,
    factor: np.ndarray,
    constants: tuple[float, ...],
    table: np.ndarray,
    current: float,
    period: float,
    volts: np.ndarray,
    heat: np.ndarray,
) -> None:
    ohmic, fast_ohm, slow_ohm, fast, slow = constants
    hours, toward = period / 3600.0, min(period / _DEPTH, 1.0)
    for cell in range(state.shape[1]):
        ocv = open_voltage(table, state[0, cell])
        leak = ocv * cells[3, cell]
        through = current - leak - ocv * cells[4, cell]
        drop = through * factor[cell]
        soc = state[0, cell] + through * hours / cells[0, cell]
        state[0, cell] = soc
        state[1, cell] = fast * state[1, cell] + (1.0 - fast) * fast_ohm * drop
        state[2, cell] = slow * state[2, cell] + (1.0 - slow) * slow_ohm * drop
        over = state[1, cell] + state[2, cell] + ohmic * drop
        volts[cell] = open_voltage(table, soc) + over + current * cells[2, cell]
        heat[cell] = through * over + ocv * leak + current * current * cells[2, cell]
        state[4, cell] += soc
        state[6, cell] += abs(through) * hours / cells[0, cell]
        low = state[7, cell] + (soc - state[7, cell]) * toward
        high = state[8, cell] + (soc - state[8, cell]) * toward
        state[7, cell], state[8, cell] = min(low, soc), max(high, soc)


_cells: Callable[..., None] = njit(cache=True)(_cells_raw)


def _heat_raw(  # noqa: PLR0917  compiled calls take no keywords
    state: np.ndarray,
    cells: np.ndarray,
    heat: np.ndarray,
    air: float,
    thermal: tuple[float, float, float],
    period: float,
) -> None:
    capacity, to_air, to_row = thermal
    last, before = state.shape[1] - 1, 0.0
    for cell in range(last + 1):
        now = state[3, cell]
        lost = to_air * cells[5, cell]
        total, inflow = lost, heat[cell] + lost * air
        if cell > 0:
            total += to_row
            inflow += to_row * before
        if cell < last:
            total += to_row
            inflow += to_row * state[3, cell + 1]
        if total > 0.0:
            rest = inflow / total
            state[3, cell] = rest + (now - rest) * np.exp(-period * total / capacity)
        else:
            state[3, cell] = now + heat[cell] * period / capacity
        state[5, cell] += state[3, cell]
        before = now


_heat: Callable[..., None] = njit(cache=True)(_heat_raw)


def _advance_raw(  # noqa: PLR0917  compiled calls take no keywords
    state: np.ndarray,
    machine: np.ndarray,
    cells: np.ndarray,
    demand: np.ndarray,
    air: np.ndarray,
    constants: tuple[float, ...],
    activation: float,
    table: np.ndarray,
    thermal: tuple[float, float, float],
    rule: Rule,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count, width = len(demand), state.shape[1]
    volts, celsius = np.empty((count, width)), np.empty((count, width))
    amperes, heat = np.empty(count), np.empty(width)
    for index in range(count):
        factor = _factors(state, cells, activation)
        ceiling, floor = _window(state, cells, factor, constants, table, rule)
        current = _current(machine, demand[index], ceiling, floor, rule)
        period = rule.period_second
        _cells(state, cells, factor, constants, table, current, period, volts[index], heat)
        _heat(state, cells, heat, air[index], thermal, period)
        amperes[index] = current
        celsius[index] = state[3]
    return volts, celsius, amperes


_advance: Callable[..., Any] = njit(cache=True)(_advance_raw)


def advance(
    state: Rows,
    machine: np.ndarray,
    cells: Rows,
    demand_ampere: np.ndarray,
    air_celsius: np.ndarray,
    *,
    circuit: Circuit,
    thermal: Thermal,
    rule: Rule,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voltages [V], temperatures [°C] and current [A] of a stretch; `state`, `machine` move on."""
    constants = (
        circuit.ohmic_ohm,
        circuit.fast_ohm,
        circuit.slow_ohm,
        float(np.exp(-rule.period_second / circuit.fast_second)),
        float(np.exp(-rule.period_second / circuit.slow_second)),
    )
    lump = (
        thermal.heat_capacity_joule_per_kelvin,
        thermal.air_watt_per_kelvin,
        thermal.neighbour_watt_per_kelvin,
    )
    volts, celsius, amperes = _advance(
        state,
        machine,
        cells,
        demand_ampere,
        air_celsius,
        constants,
        circuit.activation_joule_per_mole,
        circuit.ocv_volt,
        lump,
        rule,
    )
    return volts, celsius, amperes
