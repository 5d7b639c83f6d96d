"""Capacity measured by a full discharge, and the conditions it was measured under.

Rules
- A discharge is full when it begins where a charge ended in its taper at the top voltage, falls
  to `empty_voltage_volt` under load, and holds no gap. It is counted to that voltage and no
  further, so that cells with different cut-offs compare, and a record that runs on into rest
  gives the same number. Its energy is that charge at the voltage it was drawn at.
- A capacity is a reference capacity when it was drawn at `REFERENCE_RATE_PER_HOUR` and, where a
  temperature is known, from a cell of at least `REFERENCE_CELSIUS`: a cold or fast discharge
  ends early, which says little about ageing.

Source: capacity "for discharge till 2.7 V", B. Saha and K. Goebel, Battery Data Set, NASA
Prognostics Data Repository (2007); the dependence on rate and temperature in the same data.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64

from cellwarden.features.cycles import REST_PER_HOUR, Runs, Samples

__all__ = [
    "EMPTY_VOLT",
    "FULL_RATE_PER_HOUR",
    "FULL_VOLT",
    "REFERENCE_CELSIUS",
    "REFERENCE_RATE_PER_HOUR",
    "SENSOR_VOLT",
    "Capacities",
    "capacities",
]

EMPTY_VOLT: Final = 2.7
FULL_VOLT: Final = 4.15
FULL_RATE_PER_HOUR: Final = 0.1  # of nominal; the taper has come down to here
REFERENCE_RATE_PER_HOUR: Final = (0.05, 1.25)  # of nominal
REFERENCE_CELSIUS: Final = 15.0
SENSOR_VOLT: Final = 0.01  # a cut-off is met within what a sensor resolves


@dataclass(frozen=True, slots=True)
class Capacities:
    """One row a run: NaN where the run is no full discharge.

    `rate_per_hour` is the mean current over nominal capacity, pauses included; the temperature is
    that of the cell as the discharge begins.
    """

    capacity_ah: Float64[np.ndarray, " run"]
    energy_wh: Float64[np.ndarray, " run"]
    rate_per_hour: Float64[np.ndarray, " run"]
    temperature_celsius: Float64[np.ndarray, " run"]
    reference: Bool[np.ndarray, " run"]


def capacities(
    taken: Samples,
    runs: Runs,
    *,
    empty_voltage_volt: float = EMPTY_VOLT,
    full_voltage_volt: float = FULL_VOLT,
) -> Capacities:
    """Charge that each full discharge delivered, down to the empty voltage. [Ah, Wh, 1/h, °C]"""
    capacity, energy, rate, temperature = np.full((4, len(runs)), np.nan)
    for run in range(1, len(runs)):
        if runs.charges[run] or not _full_at_end(taken, runs, run - 1, full_voltage_volt):
            continue
        found = _to_empty(taken, int(runs.start[run]), int(runs.stop[run]), empty_voltage_volt)
        if found is None:
            continue
        capacity[run], energy[run], hour = found
        rate[run] = capacity[run] / hour / taken.nominal_capacity_ah
        temperature[run] = taken.temperature_celsius[runs.start[run]]
    slow, fast = REFERENCE_RATE_PER_HOUR
    with np.errstate(invalid="ignore"):
        reference = (rate >= slow) & (rate <= fast) & ~(temperature < REFERENCE_CELSIUS)
    return Capacities(capacity, energy, rate, temperature, reference)


def _full_at_end(taken: Samples, runs: Runs, run: int, full_voltage_volt: float) -> bool:
    """Whether a run is a charge that ended in its taper at the top voltage. [1]"""
    start, stop = runs.start[run], runs.stop[run]
    tapered = (
        taken.current_ampere[stop - 1] <= FULL_RATE_PER_HOUR * taken.nominal_capacity_ah
        and taken.voltage_volt[start:stop].max() >= full_voltage_volt
    )
    return bool(runs.charges[run] and tapered)


def _to_empty(
    taken: Samples, start: int, stop: int, empty_voltage_volt: float
) -> tuple[float, float, float] | None:
    """Charge and energy out and time until the voltage under load reaches empty. [Ah, Wh, h]"""
    voltage = taken.voltage_volt[start:stop]
    loaded = taken.current_ampere[start:stop] < -REST_PER_HOUR * taken.nominal_capacity_ah
    reached = np.flatnonzero(loaded & (voltage <= empty_voltage_volt))
    nearly = np.flatnonzero(loaded & (voltage <= empty_voltage_volt + SENSOR_VOLT))
    if len(nearly) == 0:
        return None
    at = start + int(reached[0] if len(reached) else nearly[-1])
    if taken.gap[start + 1 : at + 1].any():
        return None
    before = max(start - 1, 0)
    part = 1.0
    if at > start and taken.voltage_volt[at] < empty_voltage_volt < taken.voltage_volt[at - 1]:
        drop = taken.voltage_volt[at - 1] - taken.voltage_volt[at]
        part = float((taken.voltage_volt[at - 1] - empty_voltage_volt) / drop)
    previous = max(at - 1, before)
    drawn = -np.diff(taken.counted_ah[before : at + 1])
    under = np.append(
        taken.voltage_volt[before:at], max(taken.voltage_volt[at], empty_voltage_volt)
    )
    drawn[-1:] *= part
    out = drawn.sum()
    energy = drawn @ (under[1:] + under[:-1]) / 2
    second = (
        taken.time_second[previous]
        - taken.time_second[start]
        + part * (taken.time_second[at] - taken.time_second[previous])
    )
    return (float(out), float(energy), float(second) / 3600) if out > 0 and second > 0 else None
