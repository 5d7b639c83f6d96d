"""Heat: each cell one lump, losing heat to the air and passing it to its neighbours in the row.

Rules
- The exchange with air and neighbours is exponential over the step with the neighbours held, so
  no step length makes it unstable.
- Constants scale with capacity and are typical of 18650 cells in still air: 20 J/K, 0.014 W/K to
  air and 0.05 W/K to a neighbour for each Ah (45 g for 3 Ah, 1 kJ/(kg K), 42 cm², 10 W/(m² K)).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["Thermal", "step", "thermal_of"]

Cells = Float[np.ndarray, " cell"]


@dataclass(frozen=True, slots=True)
class Thermal:
    """Heat capacity of a cell, conductance to the air and to each neighbour."""

    heat_capacity_joule_per_kelvin: float
    air_watt_per_kelvin: float
    neighbour_watt_per_kelvin: float


def thermal_of(nominal_capacity_ah: float) -> Thermal:
    """Typical constants of a cell of that capacity."""
    return Thermal(
        20.0 * nominal_capacity_ah, 0.014 * nominal_capacity_ah, 0.05 * nominal_capacity_ah
    )


def step(
    thermal: Thermal,
    temperature_celsius: Cells,
    heat_watt: Cells,
    *,
    air_temperature_celsius: float,
    air_factor: Cells,
    period_second: float,
) -> Cells:
    """Temperature of each cell after the step; `air_factor` scales its cooling. [°C]"""
    padded = np.pad(temperature_celsius, 1)
    neighbours = np.full(len(temperature_celsius), 2.0)
    neighbours[0] -= 1.0
    neighbours[-1] -= 1.0
    to_air = thermal.air_watt_per_kelvin * air_factor
    to_row = thermal.neighbour_watt_per_kelvin
    total = to_air + to_row * neighbours
    inflow = heat_watt + to_air * air_temperature_celsius + to_row * (padded[:-2] + padded[2:])
    decay = np.exp(-period_second * total / thermal.heat_capacity_joule_per_kelvin)
    return np.where(
        total > 0.0,
        _settle(temperature_celsius, inflow, total, decay),
        temperature_celsius + heat_watt * period_second / thermal.heat_capacity_joule_per_kelvin,
    )


def _settle(now: Cells, inflow: Cells, total: Cells, decay: Cells) -> Cells:
    rest = inflow / np.where(total > 0.0, total, 1.0)
    settled: np.ndarray = rest + (now - rest) * decay
    return settled
