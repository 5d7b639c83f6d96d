"""A cell as two particles: lithium diffuses in each and crosses its surface.

    dx/dt = div(grad x) / t,  t = R²/D;  the surface takes what the current brings
    V = Up(ys) - Un(xs) + 2RT/F (asinh(I / 2 I0p) + asinh(I / 2 I0n)) + I R,  I0 = k sqrt(x(1 - x))

x and y are the filled shares of the sites of the negative and the positive, s their surface.

Rules
- Positive current charges: it fills the negative and empties the positive.
- A step is implicit in shells of one thickness: stable for any period, and what leaves one
  electrode enters the other to the last digit.
- The electrolyte is taken as even, so the model holds to about 1C; above, it is too kind.
- A surface that would be emptied or overfilled is held at `EDGE`; the voltage then lies far outside
  any limit.

Source: M. Guo, G. Sikha, R. E. White, J. Electrochem. Soc. 158, A122 (2011), doi 10.1149/1.3521314.
Numbers of `lg_m50`: C.-H. Chen et al., J. Electrochem. Soc. 167, 080534 (2020), doi
10.1149/1945-7111/ab9050.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain.units import ABSOLUTE_ZERO_CELSIUS, FARADAY, GAS_CONSTANT
from cellwarden.physics.ocp import graphite_siox, nmc811

__all__ = [
    "EDGE", "TABLE_POINTS", "Electrode", "Particles", "Shells", "charge_ah", "full", "lg_m50",
    "shares", "step",
]  # fmt: skip

EDGE: Final = 1e-4
TABLE_POINTS: Final = 2001
_REFERENCE_KELVIN: Final = 25.0 - ABSOLUTE_ZERO_CELSIUS
_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class Electrode:
    """An electrode: how much it takes, how fast, how full it is when the cell is full.

    `exchange_ampere` is the k of the exchange current, it and the time of diffusion are of 25 °C;
    activation energies say how both change with temperature (Arrhenius).
    """

    capacity_ah: float
    full_fraction: float
    diffusion_second: float
    exchange_ampere: float
    potential: Callable[[np.ndarray], np.ndarray]
    activation_joule_per_mole: float = 0.0
    diffusion_activation_joule_per_mole: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Particles:
    """A cell as two particles and a resistance; potentials are kept as tables over 0..1."""

    positive: Electrode
    negative: Electrode
    ohm: float
    shell_count: int = 20
    tables: Float64[np.ndarray, "electrode point"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        grid = np.linspace(0.0, 1.0, TABLE_POINTS)
        both = np.stack([self.positive.potential(grid), self.negative.potential(grid)])
        object.__setattr__(self, "tables", both)


@dataclass(frozen=True, slots=True, eq=False)
class Shells:
    """Filled share of each shell from the middle out: positive first, then negative. [1]"""

    filled_fraction: Float64[np.ndarray, "electrode shell"]


def lg_m50() -> Particles:
    """The LG M50 cell of the source, 5 Ah NMC 811 and graphite with SiOx."""
    area = 0.065 * 1.58  # m²
    made = []
    for site, active, thick, radius, diffusion, rate, first, activation, potential in (
        (63104.0, 0.665, 75.6e-6, 5.22e-6, 4.0e-15, 3.42e-6, 17038.0, 17800.0, nmc811),
        (33133.0, 0.75, 85.2e-6, 5.86e-6, 3.3e-14, 6.48e-7, 29866.0, 35000.0, graphite_siox),
    ):
        volume = active * thick * area
        made.append(Electrode(
            capacity_ah=site * volume * FARADAY / _HOUR,
            full_fraction=first / site,
            diffusion_second=radius**2 / diffusion,
            exchange_ampere=rate * np.sqrt(1000.0) * site * 3 * volume / radius,
            potential=potential,
            activation_joule_per_mole=activation,
        ))  # fmt: skip
    return Particles(made[0], made[1], ohm=0.0)


def full(cell: Particles, discharged_ah: float = 0.0) -> Shells:
    """A rested cell with so much taken out since it was full. [1]"""
    y = cell.positive.full_fraction + discharged_ah / cell.positive.capacity_ah
    x = cell.negative.full_fraction - discharged_ah / cell.negative.capacity_ah
    return Shells(np.repeat(np.array([[y], [x]]), cell.shell_count, axis=1))


def charge_ah(cell: Particles, shells: Shells) -> Float64[np.ndarray, " electrode"]:
    """Lithium in each electrode. [Ah]"""
    mean = shells.filled_fraction @ shares(cell.shell_count)
    return np.asarray(mean * np.array([cell.positive.capacity_ah, cell.negative.capacity_ah]))


def shares(count: int) -> Float64[np.ndarray, " shell"]:
    """Share of a particle's volume in each shell. [1]"""
    return np.diff(np.linspace(0.0, 1.0, count + 1) ** 3)


def step(
    cell: Particles,
    shells: Shells,
    current_ampere: float,
    period_second: float,
    celsius: float = 25.0,
) -> tuple[Shells, float]:
    """The shells after a period of one current, and the voltage then. [1, V]"""
    filled = shells.filled_fraction.copy()
    volts = 0.0
    kelvin = celsius - ABSOLUTE_ZERO_CELSIUS
    for place, (electrode, sign) in enumerate(((cell.positive, -1.0), (cell.negative, 1.0))):
        cold = (1 / kelvin - 1 / _REFERENCE_KELVIN) / GAS_CONSTANT
        diffusion = electrode.diffusion_second * float(
            np.exp(electrode.diffusion_activation_joule_per_mole * cold)
        )
        # Slope of the filled share at the surface, over the radius.
        slope = sign * current_ampere / (_HOUR * electrode.capacity_ah) * diffusion / 3
        filled[place] = _diffuse(filled[place], slope, period_second / diffusion)
        surface = float(np.clip(filled[place, -1] + slope / (2 * cell.shell_count), EDGE, 1 - EDGE))
        at = surface * (TABLE_POINTS - 1)
        potential = np.interp(at, np.arange(TABLE_POINTS), cell.tables[place])
        speed = np.exp(-electrode.activation_joule_per_mole * cold)
        exchange = electrode.exchange_ampere * speed * np.sqrt(surface * (1 - surface))
        over = np.arcsinh(current_ampere / (2 * exchange))
        volts += -sign * float(potential)
        volts += float(2 * GAS_CONSTANT * kelvin / FARADAY * over)
    return Shells(filled), volts + current_ampere * cell.ohm


def _diffuse(
    filled: Float64[np.ndarray, " shell"], slope: float, period: float
) -> Float64[np.ndarray, " shell"]:
    """One implicit step; the period is in diffusion times. [1]"""
    count = len(filled)
    edge = np.linspace(0.0, 1.0, count + 1)
    volume = np.diff(edge**3) / 3
    flow = edge[1:-1] ** 2 * count * period
    middle = volume.copy()
    middle[:-1] += flow
    middle[1:] += flow
    matrix = np.diag(middle) - np.diag(flow, 1) - np.diag(flow, -1)
    right = volume * filled
    right[-1] += slope * period
    return np.asarray(np.linalg.solve(matrix, right))
