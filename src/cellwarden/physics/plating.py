"""How fast a cell may be charged before lithium plates on its negative electrode.

    phi = Un(xs) - 2RT/F asinh(I / 2 I0n) - I Re,   xs = x + t I / (15 * 3600 Qn)

Plating can begin where phi, the potential of the negative against lithium, falls below zero at the
side of the separator. xs is the filled share at the surface once diffusion has settled; before it
has, the surface is emptier and phi higher, so the bound lies on the safe side.

Rules
- Positive current charges. Rates are current over the cell's capacity. [1/h]
- `highest_rate` is where phi equals a margin. In the table it never rises with charge nor falls
  with temperature, so the fullest and the coldest cell decide for all of a pack.
- Everything in phi that falls with the current depends on the product of current and resistance:
  a cell of twice the resistance bears half the rate.
- The numbers are those of one cell, `graphite`: an LG M50 with graphite and a little SiOx. Other
  cells with graphite get its rates over their own capacity: the data sheet comes first. It is no
  model of lithium titanate, which stands 1.5 V above lithium and does not plate.

Source: particles and potentials see `physics.particle`. Re is the electrolyte in the negative of
that cell (85.2 µm, porosity 0.25, exponent 1.5, 0.95 S/m, over two) and as much again for the
gradient of its salt. Its activation energy (17 kJ/mol) and that of diffusion in graphite
(35 kJ/mol) are typical; the source has none.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain.units import ABSOLUTE_ZERO_CELSIUS, FARADAY, GAS_CONSTANT
from cellwarden.physics.particle import EDGE, TABLE_POINTS, Particles, Shells, lg_m50

__all__ = [
    "CAPACITY_AH",
    "Plating",
    "anode_volt",
    "graphite",
    "highest_rate",
    "plating_of",
    "read_rate",
]

CAPACITY_AH: Final = 5.0  # of the cell of the source
_REFERENCE_KELVIN: Final = 25.0 - ABSOLUTE_ZERO_CELSIUS
_ELECTROLYTE_OHM: Final = 2.0 * 85.2e-6 / (2.0 * 0.95 * 0.25**1.5) / (0.065 * 1.58)
_ELECTROLYTE_JOULE_PER_MOLE: Final = 17_000.0
_DIFFUSION_JOULE_PER_MOLE: Final = 35_000.0
_FASTEST: Final = 2.0  # 1/h; beyond, an even electrolyte is too kind
_HOUR: Final = 3600.0

Points = Float64[np.ndarray, "*point"]


@dataclass(frozen=True, slots=True, eq=False)
class Plating:
    """The highest rate on a grid of temperature and charge. [1/h]"""

    celsius: Float64[np.ndarray, " temperature"]
    soc_fraction: Float64[np.ndarray, " charge"]
    rate_per_hour: Float64[np.ndarray, "temperature charge"]


@cache
def graphite() -> Particles:
    """The cell of the source, with diffusion that slows in the cold."""
    cell = lg_m50()
    slower = replace(cell.negative, diffusion_activation_joule_per_mole=_DIFFUSION_JOULE_PER_MOLE)
    return replace(cell, negative=slower)


def anode_volt(
    cell: Particles, shells: Shells, current_ampere: float, celsius: float = 25.0
) -> float:
    """Potential of the negative against lithium, at the separator, as things are now. [V]"""
    negative = cell.negative
    slope = current_ampere / (_HOUR * negative.capacity_ah) * _diffusion_second(cell, celsius) / 3
    surface = shells.filled_fraction[1, -1] + slope / (2 * cell.shell_count)
    return float(_potential(cell, np.asarray(surface), np.asarray(current_ampere), celsius))


def highest_rate(
    cell: Particles,
    soc_fraction: Points,
    celsius: float,
    *,
    capacity_ah: float = CAPACITY_AH,
    margin_volt: float = 0.01,
) -> Points:
    """Rate at which the settled potential equals the margin, by halving; at most 2/h. [1/h]"""
    soc = np.asarray(soc_fraction, dtype=np.float64)
    mean = cell.negative.full_fraction - (1.0 - soc) * capacity_ah / cell.negative.capacity_ah
    settles = _diffusion_second(cell, celsius) / 15.0 / (_HOUR * cell.negative.capacity_ah)
    low, high = np.zeros_like(soc), np.full_like(soc, _FASTEST)
    for _ in range(40):
        middle = 0.5 * (low + high)
        ampere = middle * capacity_ah
        well = _potential(cell, mean + settles * ampere, ampere, celsius) >= margin_volt
        low, high = np.where(well, middle, low), np.where(well, high, middle)
    return low


@cache
def plating_of(margin_volt: float = 0.01) -> Plating:
    """The table of `graphite`, every 5 °C from -10 to 45 °C and every 2.5 % of charge."""
    celsius, soc = np.arange(-10.0, 46.0, 5.0), np.linspace(0.0, 1.0, 41)
    rates = np.stack([highest_rate(graphite(), soc, t, margin_volt=margin_volt) for t in celsius])
    rates = np.minimum.accumulate(rates, axis=1)
    rates = np.minimum.accumulate(rates[::-1], axis=0)[::-1]
    return Plating(celsius, soc, rates)


def read_rate(plating: Plating, celsius: float, soc_fraction: float) -> float:
    """The rate at a temperature and a charge, both on their worse side of the grid. [1/h]

    Nothing where either is no number, or colder than the grid.
    """
    row = int(np.searchsorted(plating.celsius, celsius, side="right")) - 1
    if row < 0 or not (np.isfinite(celsius) and np.isfinite(soc_fraction)):
        return 0.0
    column = int(np.searchsorted(plating.soc_fraction, min(soc_fraction, 1.0), side="left"))
    return float(plating.rate_per_hour[row, column])


def _diffusion_second(cell: Particles, celsius: float) -> float:
    energy = cell.negative.diffusion_activation_joule_per_mole
    return cell.negative.diffusion_second * float(np.exp(energy * _cold(celsius)))


def _cold(celsius: float) -> float:
    kelvin = celsius - ABSOLUTE_ZERO_CELSIUS
    return (1.0 / kelvin - 1.0 / _REFERENCE_KELVIN) / GAS_CONSTANT


def _potential(cell: Particles, surface: Points, ampere: Points, celsius: float) -> Points:
    negative, cold = cell.negative, _cold(celsius)
    x = np.clip(surface, EDGE, 1.0 - EDGE)
    rest = np.interp(x * (TABLE_POINTS - 1), np.arange(TABLE_POINTS), cell.tables[1])
    speed = float(np.exp(-negative.activation_joule_per_mole * cold))
    exchange = negative.exchange_ampere * speed * np.sqrt(x * (1.0 - x))
    thermal = 2.0 * GAS_CONSTANT * (celsius - ABSOLUTE_ZERO_CELSIUS) / FARADAY
    ohm = _ELECTROLYTE_OHM * float(np.exp(_ELECTROLYTE_JOULE_PER_MOLE * cold))
    volt: Points = rest - thermal * np.arcsinh(ampere / (2.0 * exchange)) - ampere * ohm
    return volt
