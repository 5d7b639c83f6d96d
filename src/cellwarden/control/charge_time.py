"""How long a charge will take: the fullest cell walked up its curve.

Rules
- At each charge the current is the least of what is asked, what the negative electrode stands and
  what keeps the cell at its highest voltage, over the resistance of a settled cell. The charge ends
  at the target or where the current has fallen to the cut-off.
- The temperature is the present one. A pack that warms up is done earlier than told.
- The band moves charge, capacity and resistance to either side: what is not known of the cell, not
  what others will ask of it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.control.charge_settings import Charging
from cellwarden.domain import Interval
from cellwarden.physics.circuit import arrhenius, circuit_of
from cellwarden.physics.plating import Plating

__all__ = ["Fullest", "forecast", "gentlest"]

_COUNT: Final = 80
_COVERAGE: Final = 0.95
_OHM_STD: Final = 0.1  # of a resistance that is estimated
_TRIES: Final = 12
_NO_RATE: Final = 1e-4  # of the label in an hour, at which nothing gets done


@dataclass(frozen=True, slots=True)
class Fullest:
    """The cell that is full first, and the current at which its charge is aimed. [A]"""

    soc_fraction: float
    soc_std_fraction: float
    capacity_ah: float
    capacity_std_ah: float
    resistance_factor: float
    coldest_celsius: float


def forecast(
    charging: Charging, plating: Plating | None, cell: Fullest, ampere: float
) -> tuple[float, Interval]:
    """Hours until the charge is done, and their band; infinite where nothing flows. [h]"""
    doubt = 2.0 * cell.soc_std_fraction
    wide = 2.0 * cell.capacity_std_ah
    at = cell.soc_fraction, cell.capacity_ah, cell.resistance_factor
    middle = _hours(charging, plating, cell, ampere, at)
    off = 2.0 * _OHM_STD * at[2]
    quick = _hours(charging, plating, cell, ampere, (at[0] + doubt, at[1] - wide, at[2] - off))
    slow = _hours(charging, plating, cell, ampere, (at[0] - doubt, at[1] + wide, at[2] + off))
    return middle, Interval(min(quick, middle), max(slow, middle), _COVERAGE)


def gentlest(
    charging: Charging, plating: Plating | None, cell: Fullest, most_ampere: float, hours: float
) -> float:
    """The least current that is done in time, to a hundredth; the most where none is. [A]"""
    least = charging.least_rate_per_hour * charging.pack.nominal_capacity_ah
    low, high = min(least, most_ampere), most_ampere
    at = cell.soc_fraction, cell.capacity_ah, cell.resistance_factor
    for _ in range(_TRIES):
        middle = 0.5 * (low + high)
        in_time = _hours(charging, plating, cell, middle, at) <= hours
        low, high = (low, middle) if in_time else (middle, high)
    return high


def _hours(
    charging: Charging,
    plating: Plating | None,
    cell: Fullest,
    ampere: float,
    at: tuple[float, float, float],
) -> float:
    soc, capacity, factor = at
    target, begin = charging.target_fraction, min(max(soc, 0.0), 1.0)
    if begin >= target:
        return 0.0
    edges = np.linspace(begin, target, _COUNT + 1)
    flows = _current(charging, plating, cell, 0.5 * (edges[1:] + edges[:-1]), factor)
    flows = np.minimum(flows, ampere)
    if not flows[0] > _NO_RATE * charging.pack.nominal_capacity_ah:
        return float("inf")
    cutoff = charging.cutoff_rate_per_hour * charging.pack.nominal_capacity_ah
    ends = np.flatnonzero(flows < min(cutoff, ampere))
    count = int(ends[0]) if len(ends) else _COUNT
    return float((np.diff(edges)[:count] * capacity / flows[:count]).sum())


def _current(
    charging: Charging, plating: Plating | None, cell: Fullest, soc: np.ndarray, factor: float
) -> Float64[np.ndarray, " charge"]:
    """What voltage and negative electrode leave at each charge. [A]"""
    kind = charging.pack.cell.chemistry
    circuit = circuit_of(kind, charging.pack.nominal_capacity_ah)
    cold = float(arrhenius(circuit.activation_joule_per_mole, np.array(cell.coldest_celsius)))
    ohm = (circuit.ohmic_ohm + circuit.fast_ohm + circuit.slow_ohm) * factor * cold
    volt = np.interp(soc, kind.ocv_soc_fraction, kind.ocv_volt)
    flows: np.ndarray = np.maximum(charging.high_volt - volt, 0.0) / ohm
    if plating is not None:
        row = int(np.searchsorted(plating.celsius, cell.coldest_celsius, side="right")) - 1
        rate = plating.rate_per_hour[row] if row >= 0 else np.zeros(len(plating.soc_fraction))
        bound = np.interp(soc, plating.soc_fraction, rate) * cell.capacity_ah
        flows = np.minimum(flows, bound / max(factor, 1.0))
    return flows
