"""A row of cells in series under one current: circuit, heat and the charger together, in NumPy.

Rules
- The phases go round: discharge, rest, charge, rest. A storage pack stays idle.
- The charger holds the highest cell at the upper limit and ends when its current has fallen to
  the cut-off; a discharge ends where the lowest cell meets the lower limit, exactly there.
- A command only cuts: no current with open contactors, never more than its limits; phases wait.
- `kernel.advance` is this same walk, compiled; a test holds them against each other.
"""

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.physics import circuit as circuits
from cellwarden.physics import thermal as thermals
from cellwarden.physics.circuit import Circuit, CircuitState
from cellwarden.physics.thermal import Thermal

__all__ = [
    "AIR_FACTOR",
    "BLEED_SIEMENS",
    "CAPACITY",
    "CONTACT_OHM",
    "LEAK_SIEMENS",
    "RESISTANCE_FACTOR",
    "STATE_ROWS",
    "Rule",
    "advance",
]

# Rows of the state: what `advance` changes, one column a cell.
SOC, FAST, SLOW, TEMPERATURE, SOC_SUM, TEMPERATURE_SUM, THROUGHPUT, LOW_SOC, HIGH_SOC = range(9)
STATE_ROWS: Final = 9
# Rows of the cells' constants over one stretch.
CAPACITY, RESISTANCE_FACTOR, CONTACT_OHM, LEAK_SIEMENS, BLEED_SIEMENS, AIR_FACTOR = range(6)
# The machine: where in the round, and how many steps of rest are left.
DISCHARGE, EMPTY_REST, CHARGE, FULL_REST, IDLE = range(5)
DEPTH_SECOND: Final = 86_400.0  # how long a turning point of the charge is remembered

Rows = Float64[np.ndarray, "row cell"]


class Rule(NamedTuple):
    """Constants of the charger and of the command in force, over one stretch."""

    low_volt: float
    high_volt: float
    charge_ampere: float
    cutoff_ampere: float
    end_ampere: float
    rest_step_count: int
    contactors_closed: bool
    charge_limit_ampere: float
    discharge_limit_ampere: float
    period_second: float


def _request(
    phase: int, demand: float, ceiling: float, floor: float, rule: Rule
) -> tuple[float, bool]:
    """The current the round asks for, and whether its phase ends with this step. [A]"""
    if phase == DISCHARGE:
        if demand >= 0.0:
            return min(demand, max(ceiling, 0.0)), False
        lowest = min(floor, 0.0)
        return max(demand, lowest), lowest > -min(-demand, rule.end_ampere)
    if phase == CHARGE:
        return min(max(ceiling, 0.0), rule.charge_ampere), ceiling < rule.cutoff_ampere
    return 0.0, False


def _turn(machine: Int64[np.ndarray, "2"], ended: bool, rule: Rule) -> None:  # noqa: FBT001  as compiled
    phase, left = machine
    if phase in {EMPTY_REST, FULL_REST}:
        machine[1] = left - 1
        ended = left <= 1
    if ended:
        machine[0] = (phase + 1) % 4
        machine[1] = rule.rest_step_count


def advance(
    state: Rows,
    machine: Int64[np.ndarray, "2"],
    cells: Rows,
    demand_ampere: Float64[np.ndarray, " time"],
    air_celsius: Float64[np.ndarray, " time"],
    *,
    circuit: Circuit,
    thermal: Thermal,
    rule: Rule,
) -> tuple[
    Float64[np.ndarray, "time cell"], Float64[np.ndarray, "time cell"], Float64[np.ndarray, " time"]
]:
    """Voltages [V], temperatures [°C] and current [A] of a stretch; `state`, `machine` move on."""
    volts = np.empty((len(demand_ampere), state.shape[1]))
    celsius = np.empty_like(volts)
    amperes = np.empty(len(demand_ampere))
    for index, demand in enumerate(demand_ampere):
        amperes[index], volts[index] = _step(
            state, machine, cells, (demand, air_celsius[index]), (circuit, thermal, rule)
        )
        celsius[index] = state[TEMPERATURE]
    return volts, celsius, amperes


def _step(
    state: Rows,
    machine: Int64[np.ndarray, "2"],
    cells: Rows,
    outside: tuple[float, float],
    constants: tuple[Circuit, Thermal, Rule],
) -> tuple[float, Float64[np.ndarray, " cell"]]:
    circuit, thermal, rule = constants
    demand, air = outside
    factor = cells[RESISTANCE_FACTOR] * circuits.arrhenius(
        circuit.activation_joule_per_mole, state[TEMPERATURE]
    )
    ceiling, floor = _window(state, cells, factor, circuit, rule)
    current, ended = _request(int(machine[0]), demand, ceiling, floor, rule)
    if rule.contactors_closed:
        _turn(machine, ended, rule)
        current = max(min(current, rule.charge_limit_ampere), -rule.discharge_limit_ampere)
    else:
        current = 0.0
    ocv = circuits.open_circuit_voltage(circuit, state[SOC])
    leak = ocv * cells[LEAK_SIEMENS]
    through = current - leak - ocv * cells[BLEED_SIEMENS]
    after, volts = circuits.step(
        circuit,
        CircuitState(state[SOC], state[FAST], state[SLOW]),
        through,
        factor,
        capacity_ah=cells[CAPACITY],
        period_second=rule.period_second,
    )
    loss = through * (volts - circuits.open_circuit_voltage(circuit, after.soc_fraction))
    heat = loss + ocv * leak + current * current * cells[CONTACT_OHM]
    temperature = thermals.step(
        thermal,
        state[TEMPERATURE],
        heat,
        air_temperature_celsius=air,
        air_factor=cells[AIR_FACTOR],
        period_second=rule.period_second,
    )
    state[SOC], state[FAST], state[SLOW] = after.soc_fraction, after.fast_volt, after.slow_volt
    state[TEMPERATURE] = temperature
    _remember(state, through, cells[CAPACITY], rule.period_second)
    return current, volts + current * cells[CONTACT_OHM]


def _window(
    state: Rows, cells: Rows, factor: np.ndarray, circuit: Circuit, rule: Rule
) -> tuple[float, float]:
    """The currents that take the first cell to its upper and to its lower limit. [A]"""
    fast = np.exp(-rule.period_second / circuit.fast_second)
    slow = np.exp(-rule.period_second / circuit.slow_second)
    idle = circuits.open_circuit_voltage(circuit, state[SOC])
    idle = idle + fast * state[FAST] + slow * state[SLOW]
    ohm = circuit.ohmic_ohm + circuit.fast_ohm * (1.0 - fast) + circuit.slow_ohm * (1.0 - slow)
    rise = circuits.open_circuit_slope(circuit, state[SOC]) * rule.period_second / 3600.0
    total = factor * ohm + cells[CONTACT_OHM] + rise / cells[CAPACITY]
    return float(np.min((rule.high_volt - idle) / total)), float(
        np.max((rule.low_volt - idle) / total)
    )


def _remember(state: Rows, through: np.ndarray, capacity: np.ndarray, period: float) -> None:
    """Sums and the range of the charge, from which ageing is worked out."""
    state[SOC_SUM] += state[SOC]
    state[TEMPERATURE_SUM] += state[TEMPERATURE]
    state[THROUGHPUT] += np.abs(through) * (period / 3600.0) / capacity
    toward = min(period / DEPTH_SECOND, 1.0)
    state[LOW_SOC] += (state[SOC] - state[LOW_SOC]) * toward
    state[HIGH_SOC] += (state[SOC] - state[HIGH_SOC]) * toward
    state[LOW_SOC] = np.minimum(state[LOW_SOC], state[SOC])
    state[HIGH_SOC] = np.maximum(state[HIGH_SOC], state[SOC])
