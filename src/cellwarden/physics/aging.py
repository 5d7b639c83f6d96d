"""Ageing: capacity lost and resistance gained by time and by use.

Rules
- Loss is kept by cause; each goes on from its own equivalent time, so the order of mild and harsh
  days matters as little as the laws say.
- The laws are those of J. Schmalstieg, S. Käbitz, M. Ecker, D. U. Sauer, J. Power Sources 257
  (2014) 325, doi 10.1016/j.jpowsour.2014.02.012, for a 2.05 Ah NMC 18650 cell. They take voltage;
  other chemistries enter with the voltage that NMC has at the same state of charge.
- `SPEED` scales capacity loss and resistance rise for other chemistries so that full cycles last
  about as long as such cells typically do; it is typical, not measured here.
- Valid for 35..50 °C and 0..100 % charge in the source; used outside it as an extrapolation.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float

from cellwarden.domain import CHEMISTRIES
from cellwarden.domain.units import ABSOLUTE_ZERO_CELSIUS

__all__ = ["SPEED", "Aging", "Stress", "fresh", "step"]

Cells = Float[np.ndarray, " cell"]

SPEED: Final = MappingProxyType(
    {"LFP": 0.4, "NMC": 1.0, "NCA": 1.0, "LCO": 1.2, "LMO": 1.3, "LTO": 0.1, "Na-ion": 0.8}
)
_PAPER_CAPACITY_AH: Final = 2.05
_RISE_OVER_LOSS: Final = 1.25  # resistance gained per capacity lost of a used cell; typical
_NMC: Final = CHEMISTRIES["NMC"]


@dataclass(frozen=True, slots=True)
class Aging:
    """Capacity lost and resistance gained, as fractions of new, by time and by use."""

    calendar_loss_fraction: Cells
    cycle_loss_fraction: Cells
    calendar_rise_fraction: Cells
    cycle_rise_fraction: Cells

    @property
    def capacity_factor(self) -> Cells:
        """Capacity left over capacity when new. [1]"""
        left: np.ndarray = np.maximum(
            1.0 - self.calendar_loss_fraction - self.cycle_loss_fraction, 0.01
        )
        return left

    @property
    def resistance_factor(self) -> Cells:
        """Resistance over resistance when new. [1]"""
        gained: np.ndarray = 1.0 + self.calendar_rise_fraction + self.cycle_rise_fraction
        return gained


@dataclass(frozen=True, slots=True)
class Stress:
    """What cells went through in a stretch of time."""

    day_count: float
    mean_soc_fraction: Cells
    mean_temperature_celsius: Cells
    full_cycle_count: Cells
    depth_fraction: Cells


def fresh(cell_count: int, soh_fraction: float = 1.0) -> Aging:
    """Cells as new, or used to a state of health by cycling."""
    lost = np.full(cell_count, 1.0 - soh_fraction)
    zero = np.zeros(cell_count)
    return Aging(zero, lost, zero, np.maximum(lost * _RISE_OVER_LOSS, 0.0))


def _go_on(loss: Cells, rate: Cells, amount: Cells | float, power: float) -> Cells:
    """`rate * (equivalent + amount) ** power`, from where the loss so far puts us."""
    safe = np.where(rate > 0.0, rate, 1.0)
    equivalent = (np.maximum(loss, 0.0) / safe) ** (1.0 / power)
    return np.where(rate > 0.0, safe * (equivalent + amount) ** power, loss)


def step(aging: Aging, stress: Stress, speed: float) -> Aging:
    """The age after one stretch of stress."""
    volt = np.interp(stress.mean_soc_fraction, _NMC.ocv_soc_fraction, _NMC.ocv_volt)
    kelvin = np.clip(stress.mean_temperature_celsius, -40.0, 120.0) - ABSOLUTE_ZERO_CELSIUS
    depth = np.clip(stress.depth_fraction, 0.0, 1.0)
    throughput_ah = 2.0 * _PAPER_CAPACITY_AH * stress.full_cycle_count
    calendar = np.maximum(7.543 * volt - 23.75, 0.0) * 1e6 * np.exp(-6976.0 / kelvin)
    calendar_rise = np.maximum(5.270 * volt - 16.32, 0.0) * 1e5 * np.exp(-5986.0 / kelvin)
    cycle = 7.348e-3 * (volt - 3.667) ** 2 + 7.600e-4 + 4.081e-3 * depth
    cycle_rise = np.maximum(2.153e-4 * (volt - 3.725) ** 2 - 1.521e-5 + 2.798e-4 * depth, 0.0)
    return Aging(
        _go_on(aging.calendar_loss_fraction, speed * calendar, stress.day_count, 0.75),
        _go_on(aging.cycle_loss_fraction, speed * cycle, throughput_ah, 0.5),
        _go_on(aging.calendar_rise_fraction, speed * calendar_rise, stress.day_count, 0.75),
        aging.cycle_rise_fraction + speed * cycle_rise * throughput_ah,
    )
