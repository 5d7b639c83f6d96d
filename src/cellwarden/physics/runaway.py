"""A cell that runs away: it heats itself, shorts inside, empties, vents; cells in a row.

Rules
- One reaction of first order with an Arrhenius rate turns `extent_fraction` from 0 to 1. Its heat
  stays in the cell by `kept_fraction`; the rest leaves with what is thrown out.
- From `melting_celsius` on the separator gives way and the cell discharges through itself.
- Every joule is booked: stored = reaction kept + short + outside - lost to the air; passing heat
  to a neighbour adds nothing. `Heats` says so step by step.
- Gas is simulated: no measurement of it stands behind these numbers. From `vent_celsius` on what
  has reacted, and a little electrolyte before that, mixes into the pack's air.

Calibrated on the Battery Failure Databank (revision 2; NREL and NASA, February 2024), 129 tests
of 19 cell types at full charge that a heater drove into runaway; medians over the types:
onset 243 °C at the cell's surface (10..90 % of the tests: 208..298 °C), heat 1.25 kJ for each gram
of cell (0.66..1.76), 21 % of it left in the body, event 2.0 s. A heater of 951 W for 102 s took
them there, so that a cell heats itself at onset as fast as that heater did. By charge: 3 % of the
heat at 0, 7 % at 20, 22 % at 40, 70 % at 60 % (nail tests of one to four types). The databank
calibrates onset and heat and nothing else. `python -m cellwarden.drills.runaway` prints them.

Typical, not calibrated: activation energy 135 kJ/mol (T. D. Hatchard et al., J. Electrochem. Soc.
148 (2001) A755, doi 10.1149/1.1377592), separator 135 °C (polyethylene), vent 150 °C.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

from cellwarden.domain.units import ABSOLUTE_ZERO_CELSIUS, GAS_CONSTANT
from cellwarden.physics.circuit import Circuit, open_circuit_voltage
from cellwarden.physics.thermal import Thermal

__all__ = ["Heats", "Runaway", "RunawayState", "advance", "begin", "runaway_of", "shown_volt"]

ONSET_CELSIUS: Final = 243.0
HEAT_KJ_PER_GRAM: Final = 1.25
KEPT_FRACTION: Final = 0.21
EVENT_SECOND: Final = 2.0
_CHARGE_GRID: Final = (0.0, 0.2, 0.4, 0.6, 1.0)
_HEAT_BY_CHARGE: Final = (0.03, 0.07, 0.22, 0.70, 1.0)
_HEATER_KELVIN_PER_SECOND: Final = (ONSET_CELSIUS - 25.0) / 102.0
_ACTIVATION: Final = 135_000.0
_GRAM_PER_AH: Final = 15.0  # as in `physics.thermal`: 45 g for 3 Ah
_LONGEST_STEP_SECOND: Final = 0.02

Cells = Float[np.ndarray, " cell"]


@dataclass(frozen=True, slots=True, eq=False)
class Runaway:
    """Constants of a cell that can run away."""

    circuit: Circuit
    thermal: Thermal
    capacity_ah: float
    heat_joule: float
    onset_rate_per_second: float
    melting_celsius: float = 135.0
    melting_second: float = 2.0
    melted_siemens_per_ah: float = 10.0
    vent_celsius: float = 150.0
    electrolyte_fraction: float = 0.02
    gas_ceiling_fraction: float = 0.3
    gas_second: float = 3.0


@dataclass(frozen=True, slots=True)
class RunawayState:
    """Each cell, and the gas of the pack's air as a sensor would read it."""

    temperature_celsius: Cells
    soc_fraction: Cells
    extent_fraction: Cells
    melted_fraction: Cells
    heat_factor: Cells
    gas_fraction: float


class Heats(NamedTuple):
    """Energy of a stretch, each cell's. [J]"""

    reaction_joule: Cells
    ejected_joule: Cells
    short_joule: Cells
    outside_joule: Cells
    lost_joule: Cells


def runaway_of(circuit: Circuit, thermal: Thermal, nominal_capacity_ah: float) -> Runaway:
    """The typical cell of the databank, scaled by capacity."""
    heat = 1000.0 * HEAT_KJ_PER_GRAM * _GRAM_PER_AH * nominal_capacity_ah
    kept_kelvin = KEPT_FRACTION * heat / thermal.heat_capacity_joule_per_kelvin
    rate = _HEATER_KELVIN_PER_SECOND / kept_kelvin
    return Runaway(circuit, thermal, nominal_capacity_ah, heat, rate)


def begin(soc_fraction: Cells, temperature_celsius: float) -> RunawayState:
    """Sound cells; how much heat is in each follows from its charge now."""
    nothing = np.zeros(len(soc_fraction))
    return RunawayState(
        nothing + temperature_celsius,
        np.array(soc_fraction, dtype=np.float64),
        nothing,
        nothing.copy(),
        np.interp(soc_fraction, _CHARGE_GRID, _HEAT_BY_CHARGE),
        0.0,
    )


def shown_volt(cell: Runaway, state: RunawayState, short_siemens: Cells) -> Cells:
    """Voltage of each cell at rest, with what flows through itself. [V]"""
    siemens = short_siemens + cell.melted_siemens_per_ah * cell.capacity_ah * state.melted_fraction
    volts: np.ndarray = open_circuit_voltage(cell.circuit, state.soc_fraction) / (
        1.0 + siemens * cell.circuit.ohmic_ohm
    )
    return volts


def advance(
    cell: Runaway,
    state: RunawayState,
    second: float,
    *,
    short_siemens: Cells,
    outside_watt: Cells,
    air_celsius: float,
) -> tuple[RunawayState, Heats]:
    """The cells after a stretch, and where the heat went; a long stretch is taken in short steps.

    `short_siemens` is a short inside each cell, `outside_watt` a heater's power into it.
    """
    count = max(int(np.ceil(second / _LONGEST_STEP_SECOND - 1e-9)), 1)
    sums = np.zeros((5, len(state.temperature_celsius)))
    for _ in range(count):
        state, heats = _step(
            cell, state, second / count, short_siemens, outside_watt, air_celsius=air_celsius
        )
        sums += np.stack(heats)
    return state, Heats(*sums)


def _rate(cell: Runaway, celsius: Cells) -> Cells:
    """Share of what is left that reacts in a second; no faster than events were. [1/s]"""
    kelvin = celsius - ABSOLUTE_ZERO_CELSIUS
    onset = ONSET_CELSIUS - ABSOLUTE_ZERO_CELSIUS
    power = _ACTIVATION / GAS_CONSTANT * (1.0 / onset - 1.0 / kelvin)
    fastest = 3.0 / EVENT_SECOND
    return np.minimum(cell.onset_rate_per_second * np.exp(np.minimum(power, 50.0)), fastest)


def _step(
    cell: Runaway,
    state: RunawayState,
    second: float,
    short_siemens: Cells,
    outside_watt: Cells,
    *,
    air_celsius: float,
) -> tuple[RunawayState, Heats]:
    now, thermal = state.temperature_celsius, cell.thermal
    reacted = (1.0 - state.extent_fraction) * -np.expm1(-second * _rate(cell, now))
    heat = cell.heat_joule * state.heat_factor * reacted
    volts = shown_volt(cell, state, short_siemens)
    siemens = short_siemens + cell.melted_siemens_per_ah * cell.capacity_ah * state.melted_fraction
    moved = np.minimum(volts * siemens * second / 3600.0 / cell.capacity_ah, state.soc_fraction)
    short = (
        moved * 3600.0 * cell.capacity_ah * open_circuit_voltage(cell.circuit, state.soc_fraction)
    )
    lost = thermal.air_watt_per_kelvin * (now - air_celsius) * second
    padded = np.pad(now, 1, mode="edge")
    passed = thermal.neighbour_watt_per_kelvin * (padded[:-2] + padded[2:] - 2.0 * now) * second
    outside = outside_watt * second
    stored = KEPT_FRACTION * heat + short + outside - lost + passed
    extent = state.extent_fraction + reacted
    soft = now > cell.melting_celsius
    melted = np.minimum(state.melted_fraction + soft * second / cell.melting_second, 1.0)
    vented = np.where(now > cell.vent_celsius, cell.electrolyte_fraction + extent, 0.0)
    toward = cell.gas_ceiling_fraction * min(float(vented.sum()), 1.0)
    # What has mixed into the air does not come back out of it.
    gas = state.gas_fraction + max(toward - state.gas_fraction, 0.0) * -np.expm1(
        -second / cell.gas_second
    )
    after = RunawayState(
        now + stored / thermal.heat_capacity_joule_per_kelvin,
        state.soc_fraction - moved,
        extent,
        melted,
        state.heat_factor,
        float(gas),
    )
    return after, Heats(heat, (1.0 - KEPT_FRACTION) * heat, short, outside, lost)
