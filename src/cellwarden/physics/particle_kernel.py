"""`particle.step` compiled, over a whole record: the same equations, shell by shell.

Importing this module imports numba (about half a second), so callers import it when they first run.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from jaxtyping import Float64
from numba import njit

from cellwarden.domain.units import ABSOLUTE_ZERO_CELSIUS, FARADAY, GAS_CONSTANT
from cellwarden.physics.particle import EDGE, Electrode, Particles, Shells

__all__ = ["run"]

_ZERO: Final = ABSOLUTE_ZERO_CELSIUS
_THERMAL: Final = 2 * GAS_CONSTANT / FARADAY
_GAS: Final = GAS_CONSTANT
_EDGE: Final = EDGE
_REFERENCE: Final = 25.0 - ABSOLUTE_ZERO_CELSIUS


def _diffuse_raw(filled: np.ndarray, work: np.ndarray, slope: float, period: float) -> None:
    count = len(filled)
    # One sweep down and one up (Thomas); the matrix is symmetric and dominated by its diagonal.
    before = 0.0
    for shell in range(count):
        inner, outer = shell / count, (shell + 1) / count
        volume = (outer**3 - inner**3) / 3
        flow_in = inner * inner * count * period
        flow_out = outer * outer * count * period if shell < count - 1 else 0.0
        middle = volume + flow_in + flow_out
        right = volume * filled[shell]
        if shell == count - 1:
            right += slope * period
        if shell > 0:
            middle += flow_in * before
            right += flow_in * filled[shell - 1]
        before = -flow_out / middle
        work[shell] = before
        filled[shell] = right / middle
    for shell in range(count - 2, -1, -1):
        filled[shell] -= work[shell] * filled[shell + 1]


_diffuse: Callable[..., None] = njit(cache=True)(_diffuse_raw)


def _run_raw(  # noqa: PLR0917  compiled calls take no keywords
    filled: np.ndarray,
    seconds: np.ndarray,
    ampere: np.ndarray,
    celsius: np.ndarray,
    electrodes: np.ndarray,
    tables: np.ndarray,
    ohm: float,
) -> np.ndarray:
    volts = np.empty(len(ampere))
    work = np.empty(filled.shape[1])
    points, count = tables.shape[1], filled.shape[1]
    for row in range(len(ampere)):
        period = seconds[row] - seconds[row - 1] if row else 0.0
        kelvin = celsius[row] - _ZERO
        total = ampere[row] * ohm
        for place in range(2):
            sign = 2.0 * place - 1.0
            capacity, diffusion, exchange, activation, diffusion_activation = electrodes[place]
            cold = (1.0 / kelvin - 1.0 / _REFERENCE) / _GAS
            diffusion = diffusion * np.exp(diffusion_activation * cold)
            slope = sign * ampere[row] / (3600.0 * capacity) * diffusion / 3.0
            _diffuse(filled[place], work, slope, period / diffusion)
            surface = filled[place, count - 1] + slope / (2.0 * count)
            surface = min(max(surface, _EDGE), 1.0 - _EDGE)
            at = surface * (points - 1)
            left = min(int(at), points - 2)
            rise = tables[place, left + 1] - tables[place, left]
            current = exchange * np.exp(-activation * cold) * np.sqrt(surface * (1.0 - surface))
            total -= sign * (tables[place, left] + (at - left) * rise)
            total += _THERMAL * kelvin * np.arcsinh(ampere[row] / (2.0 * current))
        volts[row] = total
    return volts


_run: Callable[..., Any] = njit(cache=True)(_run_raw)


def run(
    cell: Particles,
    shells: Shells,
    test_time_second: Float64[np.ndarray, " time"],
    current_ampere: Float64[np.ndarray, " time"],
    celsius: Float64[np.ndarray, " time"],
) -> tuple[Shells, Float64[np.ndarray, " time"]]:
    """The shells after a record, and the voltage at each of its rows. [1, V]

    A row's current is taken to have flowed since the row before it.
    """
    filled = shells.filled_fraction.copy()
    electrodes = np.array([_numbers(one) for one in (cell.positive, cell.negative)])
    volts = _run(
        filled, test_time_second, current_ampere, celsius, electrodes, cell.tables, cell.ohm
    )
    return Shells(filled), volts


def _numbers(electrode: Electrode) -> tuple[float, ...]:
    return (
        electrode.capacity_ah,
        electrode.diffusion_second,
        electrode.exchange_ampere,
        electrode.activation_joule_per_mole,
        electrode.diffusion_activation_joule_per_mole,
    )
