"""Ageing: capacity lost and resistance gained by time and by use.

Rules
- Loss is kept by cause; each goes on from its own equivalent time, so the order of mild and harsh
  days matters as little as the laws say.
- The laws are those of J. Schmalstieg, S. Käbitz, M. Ecker, D. U. Sauer, J. Power Sources 257
  (2014) 325, doi 10.1016/j.jpowsour.2014.02.012, for a 2.05 Ah NMC 18650 cell. They take voltage;
  other chemistries enter with the voltage that NMC has at the same state of charge.
- Every law is `rate * amount ** power`, so `loss ** (1 / power)` grows by `rate ** (1 / power)` for
  each unit of time or throughput, whatever came before. A loss is thus a sum over what was met, and
  no step length enters it: `calendar_exposure` and `cycle_exposure` give that sum's terms, `age_of`
  turns the sums into an `Aging`.
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

__all__ = [
    "SPEED",
    "Aging",
    "Law",
    "Stress",
    "age_of",
    "calendar_exposure",
    "cycle_exposure",
    "cycle_numbers",
    "exposure_of",
    "fresh",
    "law_of",
    "source_voltage",
    "step",
    "warmth",
]

Cells = Float[np.ndarray, " cell"]

SPEED: Final = MappingProxyType(
    {"LFP": 0.4, "NMC": 1.0, "NCA": 1.0, "LCO": 1.2, "LMO": 1.3, "LTO": 0.1, "Na-ion": 0.8}
)
_PAPER_CAPACITY_AH: Final = 2.05
_CALENDAR_POWER: Final = 0.75
CALENDAR_RISE_POWER: Final = _CALENDAR_POWER  # the source's, whatever the power of a law's loss
_CYCLE_POWER: Final = 0.5
_LOSS_KELVIN: Final = 6976.0
_RISE_KELVIN: Final = 5986.0
# Cycle loss and rise: a (V - b)² + c + d depth.
_CYCLE_LOSS: Final = (7.348e-3, 3.667, 7.600e-4, 4.081e-3)
_CYCLE_RISE: Final = (2.153e-4, 3.725, -1.521e-5, 2.798e-4)
# Where a law of another power keeps the loss that the source gives: a year, a hundred full cycles.
_PIVOT_DAY: Final = 365.0
_PIVOT_AH: Final = 2.0 * _PAPER_CAPACITY_AH * 100.0
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


@dataclass(frozen=True, slots=True)
class Law:
    """How fast a kind of cell ages, against the source; speeds scale loss and rise alike.

    A power other than the source's keeps its loss after a year at rest, after a hundred cycles.
    """

    calendar_speed: float = 1.0
    cycle_speed: float = 1.0
    calendar_power: float = _CALENDAR_POWER
    cycle_power: float = _CYCLE_POWER


def law_of(chemistry: str) -> Law:
    """The typical law of a chemistry."""
    return Law(SPEED[chemistry], SPEED[chemistry])


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


def source_voltage(soc_fraction: Cells) -> Cells:
    """The voltage by which the source's laws tell charge. [V]"""
    volt: np.ndarray = np.interp(soc_fraction, _NMC.ocv_soc_fraction, _NMC.ocv_volt)
    return volt


def _warm(kelvin: float, temperature_celsius: Cells) -> Cells:
    bounded = np.clip(temperature_celsius, -40.0, 120.0) - ABSOLUTE_ZERO_CELSIUS
    factor: np.ndarray = np.exp(-kelvin / bounded)
    return factor


def _calendar(volt: Cells) -> tuple[Cells, Cells]:
    """Loss and rise after a day, without their temperature factors. [1]"""
    loss = np.maximum(7.543 * volt - 23.75, 0.0) * 1e6
    return loss, np.maximum(5.270 * volt - 16.32, 0.0) * 1e5


def _cycle(volt: Cells, depth: Cells) -> tuple[Cells, Cells]:
    """Loss after the first ampere hour of the source's cell, rise for each. [1]"""
    (a, b, c, d), (e, f, g, h) = _CYCLE_LOSS, _CYCLE_RISE
    rise = e * (volt - f) ** 2 + g + h * depth
    return a * (volt - b) ** 2 + c + d * depth, np.maximum(rise, 0.0)


def warmth(law: Law, temperature_celsius: Cells) -> tuple[Cells, Cells]:
    """What temperature multiplies the two calendar exposures by. [1]"""
    return (
        _warm(_LOSS_KELVIN / law.calendar_power, temperature_celsius),
        _warm(_RISE_KELVIN / CALENDAR_RISE_POWER, temperature_celsius),
    )


def calendar_exposure(law: Law, soc_fraction: Cells) -> tuple[Cells, Cells]:
    """What a day adds to the sums of loss and rise; to be multiplied by `warmth`."""
    loss, rise = _calendar(source_voltage(soc_fraction))
    speed = law.calendar_speed * _PIVOT_DAY ** (_CALENDAR_POWER - law.calendar_power)
    return (
        (speed * loss) ** (1.0 / law.calendar_power),
        (law.calendar_speed * rise) ** (1.0 / CALENDAR_RISE_POWER),
    )


def cycle_exposure(
    law: Law, soc_fraction: Cells, depth_fraction: Cells | float
) -> tuple[Cells, Cells]:
    """What a full cycle of charge at that depth, around that charge, adds to both sums."""
    loss, rise = _cycle(source_voltage(soc_fraction), np.asarray(depth_fraction))
    amount, speed, power, rise_speed, *_ = cycle_numbers(law)
    return amount * (speed * loss) ** power, amount * rise_speed * rise


def cycle_numbers(law: Law) -> tuple[float, ...]:
    """The cycle law as a kernel takes it: Ah a cycle, speed, power, speed of rise, constants."""
    return (
        2.0 * _PAPER_CAPACITY_AH,
        law.cycle_speed * _PIVOT_AH ** (_CYCLE_POWER - law.cycle_power),
        1.0 / law.cycle_power,
        law.cycle_speed,
        *_CYCLE_LOSS,
        *_CYCLE_RISE,
    )


def age_of(law: Law, exposure: Float[np.ndarray, "4 cell"]) -> Aging:
    """The age from the sums: calendar loss, calendar rise, cycle loss, cycle rise."""
    calendar, calendar_rise, cycle, cycle_rise = exposure
    return Aging(
        calendar**law.calendar_power,
        cycle**law.cycle_power,
        calendar_rise**CALENDAR_RISE_POWER,
        cycle_rise,
    )


def exposure_of(law: Law, aging: Aging) -> Float[np.ndarray, "4 cell"]:
    """The sums that make up an age; undoes `age_of`."""
    return np.stack(
        [
            aging.calendar_loss_fraction ** (1.0 / law.calendar_power),
            aging.calendar_rise_fraction ** (1.0 / CALENDAR_RISE_POWER),
            aging.cycle_loss_fraction ** (1.0 / law.cycle_power),
            aging.cycle_rise_fraction,
        ]
    )


def step(aging: Aging, stress: Stress, speed: float) -> Aging:
    """The age after one stretch of stress."""
    volt = source_voltage(stress.mean_soc_fraction)
    depth = np.clip(stress.depth_fraction, 0.0, 1.0)
    throughput_ah = 2.0 * _PAPER_CAPACITY_AH * stress.full_cycle_count
    loss, rise = _calendar(volt)
    calendar = loss * _warm(_LOSS_KELVIN, stress.mean_temperature_celsius)
    calendar_rise = rise * _warm(_RISE_KELVIN, stress.mean_temperature_celsius)
    cycle, cycle_rise = _cycle(volt, depth)
    days, power = stress.day_count, _CALENDAR_POWER
    return Aging(
        _go_on(aging.calendar_loss_fraction, speed * calendar, days, power),
        _go_on(aging.cycle_loss_fraction, speed * cycle, throughput_ah, _CYCLE_POWER),
        _go_on(aging.calendar_rise_fraction, speed * calendar_rise, days, power),
        aging.cycle_rise_fraction + speed * cycle_rise * throughput_ah,
    )
