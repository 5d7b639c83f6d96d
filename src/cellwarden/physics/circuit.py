"""The equivalent circuit: open-circuit voltage, one resistor and two resistor-capacitor pairs.

Rules
- The last axis is the cell; every array broadcasts over it.
- Discretisation is exact for a current held over the step, so a step may be of any length.
- Positive current charges.

Source: G. L. Plett, "Battery Management Systems, Volume I", Artech House (2015), chapter 2.
"""

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float, Float64

from cellwarden.domain import Chemistry
from cellwarden.domain.units import ABSOLUTE_ZERO_CELSIUS, GAS_CONSTANT

__all__ = [
    "Circuit",
    "CircuitState",
    "arrhenius",
    "circuit_of",
    "open_circuit_slope",
    "open_circuit_voltage",
    "step",
]

Cells = Float[np.ndarray, "*batch cell"]

REFERENCE_KELVIN: Final = 298.15
POINT_COUNT: Final = 401  # every point of the chemistries' grids falls on one of these
_COLDEST_CELSIUS: Final = -40.0  # the Arrhenius law is not trusted beyond these
_HOTTEST_CELSIUS: Final = 120.0

# For each chemistry: R0, R1, R2 at 25 °C times the cell's capacity [ohm Ah], activation energy
# [J/mol]. Time constants are ours, 10 s and 150 s; the resistances were fitted to them.
# NMC: least squares over test Mixed1 of lg_hg2 at six temperatures. LFP, LMO: rise of voltage in
# the pulses of reference_cells at 1, 10 and 100 s and four (three) temperatures. Others: typical.
_RESISTANCES: Final = MappingProxyType(
    {
        "LFP": (0.060, 0.036, 0.040, 20_000.0),
        "NMC": (0.053, 0.033, 0.053, 23_000.0),
        "NCA": (0.060, 0.030, 0.050, 23_000.0),
        "LCO": (0.090, 0.030, 0.050, 23_000.0),
        "LMO": (0.053, 0.016, 0.025, 14_000.0),
        "LTO": (0.030, 0.010, 0.015, 18_000.0),
        "Na-ion": (0.080, 0.035, 0.050, 23_000.0),
    }
)
_TYPICAL: Final = (0.060, 0.030, 0.050, 23_000.0)


@dataclass(frozen=True, slots=True, eq=False)
class Circuit:
    """The constants of one kind of cell at 25 °C; voltages on an even grid of state of charge."""

    ohmic_ohm: float
    fast_ohm: float
    slow_ohm: float
    fast_second: float
    slow_second: float
    activation_joule_per_mole: float
    ocv_volt: Float64[np.ndarray, " point"]


@dataclass(frozen=True, slots=True)
class CircuitState:
    """State of charge and the voltages over both resistor-capacitor pairs."""

    soc_fraction: Cells
    fast_volt: Cells
    slow_volt: Cells


@cache
def circuit_of(chemistry: Chemistry, nominal_capacity_ah: float) -> Circuit:
    """The circuit of a cell; resistance falls with size, and an unknown chemistry is typical."""
    ohmic, fast, slow, activation = _RESISTANCES.get(chemistry.name, _TYPICAL)
    grid = np.linspace(0.0, 1.0, POINT_COUNT)
    ocv = np.interp(grid, chemistry.ocv_soc_fraction, chemistry.ocv_volt)
    ocv.flags.writeable = False
    q = nominal_capacity_ah
    return Circuit(ohmic / q, fast / q, slow / q, 10.0, 150.0, activation, ocv)


def _segment(ocv_volt: Float64[np.ndarray, " point"], soc: Cells) -> tuple[np.ndarray, np.ndarray]:
    scaled = np.asarray(soc, dtype=np.float64) * (len(ocv_volt) - 1)
    left = np.clip(np.floor(scaled), 0, len(ocv_volt) - 2).astype(np.int64)
    return left, scaled - left


def open_circuit_voltage(circuit: Circuit, soc_fraction: Cells) -> Cells:
    """Open-circuit voltage; beyond 0..1 the last slope goes on, down to 0 V. [V]"""
    left, part = _segment(circuit.ocv_volt, soc_fraction)
    low, high = circuit.ocv_volt[left], circuit.ocv_volt[left + 1]
    volts: np.ndarray = np.maximum(low + part * (high - low), 0.0)
    return volts


def open_circuit_slope(circuit: Circuit, soc_fraction: Cells) -> Cells:
    """Change of open-circuit voltage over the whole state of charge. [V]"""
    left, _ = _segment(circuit.ocv_volt, soc_fraction)
    rise: np.ndarray = (circuit.ocv_volt[left + 1] - circuit.ocv_volt[left]) * (
        len(circuit.ocv_volt) - 1
    )
    return rise


def arrhenius(activation_joule_per_mole: float, temperature_celsius: Cells) -> Cells:
    """Resistance over resistance at 25 °C; held constant below -40 °C and above 120 °C. [1]"""
    bounded = np.clip(temperature_celsius, _COLDEST_CELSIUS, _HOTTEST_CELSIUS)
    kelvin = bounded - ABSOLUTE_ZERO_CELSIUS
    factor: np.ndarray = np.exp(
        activation_joule_per_mole / GAS_CONSTANT * (1.0 / kelvin - 1.0 / REFERENCE_KELVIN)
    )
    return factor


def step(
    circuit: Circuit,
    state: CircuitState,
    current_ampere: Cells,
    resistance_factor: Cells,
    *,
    capacity_ah: Cells,
    period_second: float,
) -> tuple[CircuitState, Cells]:
    """The state after a held current, and the terminal voltage at its end. [V]

    `resistance_factor` multiplies all three resistances: temperature, age and spread together.
    """
    fast_decay = np.exp(-period_second / circuit.fast_second)
    slow_decay = np.exp(-period_second / circuit.slow_second)
    drop = current_ampere * resistance_factor
    after = CircuitState(
        state.soc_fraction + current_ampere * (period_second / 3600.0) / capacity_ah,
        fast_decay * state.fast_volt + (1.0 - fast_decay) * circuit.fast_ohm * drop,
        slow_decay * state.slow_volt + (1.0 - slow_decay) * circuit.slow_ohm * drop,
    )
    volts = open_circuit_voltage(circuit, after.soc_fraction)
    return after, volts + after.fast_volt + after.slow_volt + circuit.ohmic_ohm * drop
