"""What packs of a fleet go through: the numbers and arrays of both forms of its walk.

Rules
- The last axis is the pack. A walk takes each pack from one second to another, independent of all
  others: a step is at most `period_second` long and ends where a piece of the pack's duty ends.
- Over a step the current, the air and the resistance are held; charge, the circuit's voltages and
  temperature then follow exactly, and ageing takes their means over the step.
- Charge lost to cycles is counted when a cycle closes, by the three-point rainflow of ASTM E1049-85
  (2017), 5.4.4; turns still open are kept in the state and count as half cycles until they close.
- Capacity and resistance follow the age at midnight.
"""

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.physics import aging as agings
from cellwarden.physics.aging import Law
from cellwarden.physics.circuit import Circuit, arrhenius
from cellwarden.physics.climate import Climate
from cellwarden.physics.duty import Duty
from cellwarden.physics.thermal import Thermal

__all__ = ["Course", "Numbers", "Packs", "Policy", "course_of", "place", "rough_load"]

# Rows of the cells: what a walk changes.
SOC, FAST, SLOW, CELSIUS, CAPACITY_FACTOR, RESISTANCE_FACTOR = range(6)
CALENDAR, CALENDAR_RISE, CYCLE, CYCLE_RISE = range(6, 10)  # sums of `aging.age_of`
CELL_ROWS: Final = 10
# Rows of the sums over a walk, and of what is seen at its end.
CHARGED_AH, DISCHARGED_AH, CHARGED_WH, DISCHARGED_WH, UNSERVED_AH = range(5)
CELSIUS_SECOND, SOC_SECOND, LOWEST_CELSIUS, HIGHEST_CELSIUS = range(5, 9)
LAST_VOLT, LAST_AMPERE, LAST_AIR = range(9, 12)
SUM_ROWS: Final = 12
TURN_COUNT: Final = 24  # open turns that are kept; a 25th makes the oldest range a half cycle
HOLD_SECOND: Final = 10  # a rough load stays as it is for so long
_ROUGH_SECOND: Final = 300  # over which its swings cancel
_ROUGH_STREAM: Final = 2**32  # apart from those of `sensing` and `fleet`
_ROUGH_LENGTH: Final = 7200  # its steps before they come again
COLDEST: Final = -40.0
PER_CELSIUS: Final = 10  # steps of the temperature tables
# Rows of the pieces of duties: charge at the end, mean rate [A, new pack], swings, |swings| less 1.
TARGET, AMPERE, ROUGHNESS, EXCESS = range(4)
HALVING_COUNT: Final = 24  # of the current that a limit of voltage leaves


class Packs(NamedTuple):
    """What each pack is and where in its duty it stands at second 0."""

    capacity_ah: Float64[np.ndarray, " pack"]
    resistance_factor: Float64[np.ndarray, " pack"]
    air_offset_celsius: Float64[np.ndarray, " pack"]
    duty: Int64[np.ndarray, " pack"]
    climate: Int64[np.ndarray, " pack"]
    phase_second: Int64[np.ndarray, " pack"]
    rough_phase: Int64[np.ndarray, " pack"]


class Policy(NamedTuple):
    """What the pack's management allows; a fleet's default is no restraint.

    Charge stops at `high_soc_fraction`, the load is refused below `low_soc_fraction`, charging
    stays below `charge_rate_per_hour`, and `air_factor` multiplies the way of heat to the air.
    """

    high_soc_fraction: Float64[np.ndarray, " pack"]
    low_soc_fraction: Float64[np.ndarray, " pack"]
    charge_rate_per_hour: Float64[np.ndarray, " pack"]
    air_factor: Float64[np.ndarray, " pack"]


class Numbers(NamedTuple):
    """Constants that all packs share. Apart from the arrays: passing an array on costs a kernel."""

    ohmic_ohm: float
    fast_ohm: float
    slow_ohm: float
    fast_second: float
    slow_second: float
    joule_per_kelvin: float
    watt_per_kelvin: float
    low_volt: float
    high_volt: float
    nominal_ah: float
    discharge_ampere: float
    rough_ohm: float
    cycle: tuple[float, ...]
    power: tuple[float, float, float]


class Course(NamedTuple):
    """What all packs share: numbers, tables of charge and temperature, air, duties, swings."""

    number: Numbers
    year_second: int  # of the year at second 0
    ocv: Float64[np.ndarray, " point"]
    nmc: Float64[np.ndarray, " point"]
    by_soc: Float64[np.ndarray, "point 4"]
    by_celsius: Float64[np.ndarray, "point 3"]
    air: Float64[np.ndarray, "climate hour"]
    first: Int64[np.ndarray, " duty+1"]
    stop_second: Int64[np.ndarray, " piece"]
    piece_second: Int64[np.ndarray, " piece"]
    piece: Float64[np.ndarray, "4 piece"]
    rough: Float64[np.ndarray, " step"]


@lru_cache(maxsize=8)
def rough_load(seed: int) -> Float64[np.ndarray, " step"]:
    """Swings of a rough load: mean 0 over each 300 s, standard deviation 1."""
    width = _ROUGH_SECOND // HOLD_SECOND
    generator = np.random.Generator(
        np.random.Philox(key=np.array([seed % 2**64, _ROUGH_STREAM], np.uint64))
    )
    drawn = np.clip(generator.standard_normal((_ROUGH_LENGTH // width, width)), -2.5, 2.5)
    drawn -= drawn.mean(axis=1, keepdims=True)
    swings: np.ndarray = (drawn / drawn.std()).ravel()
    return swings


def course_of(
    circuit: Circuit,
    thermal: Thermal,
    law: Law,
    duties: tuple[Duty, ...],
    climates: tuple[Climate, ...],
    *,
    limit_volt: tuple[float, float],
    nominal_capacity_ah: float,
    discharge_rate: float,
    year_second: int,
    seed: int,
) -> Course:
    """The constants of a fleet, laid out."""
    soc = np.linspace(0.0, 1.0, len(circuit.ocv_volt))
    celsius = COLDEST + np.arange(160 * PER_CELSIUS + 1) / PER_CELSIUS
    small = agings.cycle_exposure(law, soc, 0.0)
    rough = rough_load(seed)
    return Course(
        number=Numbers(
            circuit.ohmic_ohm,
            circuit.fast_ohm,
            circuit.slow_ohm,
            circuit.fast_second,
            circuit.slow_second,
            thermal.heat_capacity_joule_per_kelvin,
            thermal.air_watt_per_kelvin,
            *limit_volt,
            nominal_capacity_ah,
            discharge_rate * nominal_capacity_ah,
            _rough_ohm(circuit),
            agings.cycle_numbers(law),
            (law.calendar_power, agings.CALENDAR_RISE_POWER, law.cycle_power),
        ),
        year_second=year_second,
        ocv=circuit.ocv_volt,
        nmc=agings.source_voltage(soc),
        by_soc=np.stack([*agings.calendar_exposure(law, soc), *small], axis=1),
        by_celsius=np.stack(
            [arrhenius(circuit.activation_joule_per_mole, celsius), *agings.warmth(law, celsius)],
            axis=1,
        ),
        air=np.stack([climate.air_temperature_celsius for climate in climates]),
        first=np.cumsum([0, *(len(d.stop_second) for d in duties)]),
        stop_second=np.concatenate([d.stop_second for d in duties]),
        piece_second=np.concatenate([np.diff(d.stop_second, prepend=0) for d in duties]),
        piece=np.concatenate([_pieces(d, nominal_capacity_ah, rough) for d in duties], axis=1),
        rough=rough,
    )


def _pieces(duty: Duty, nominal_capacity_ah: float, rough: np.ndarray) -> np.ndarray:
    second = np.diff(duty.stop_second, prepend=0)
    ampere = duty.change_fraction * nominal_capacity_ah * 3600.0 / second
    roughness = np.where(ampere < 0.0, duty.roughness, 0.0)
    excess = float(np.mean(np.abs(1.0 + duty.roughness * rough))) - 1.0
    return np.stack([duty.soc_fraction, ampere, roughness, np.where(roughness > 0.0, excess, 0.0)])


def _rough_ohm(circuit: Circuit) -> float:
    """Resistance in which swings held for 10 s and free of memory turn to heat. [ohm]

    Of a pair of time constant T driven by such swings of variance 1, the mean loss over a hold h is
    R (1 - (1 - exp(-h/T)) T/h).
    """
    pairs = (
        (circuit.fast_ohm, HOLD_SECOND / circuit.fast_second),
        (circuit.slow_ohm, HOLD_SECOND / circuit.slow_second),
    )
    return circuit.ohmic_ohm + sum(ohm * (1.0 + math.expm1(-a) / a) for ohm, a in pairs)


def place(
    packs: Packs, course: Course, now: Int64[np.ndarray, " pack"]
) -> tuple[Int64[np.ndarray, " pack"], Int64[np.ndarray, " pack"]]:
    """The piece of its duty in which each pack is, and how far. [s]"""
    piece = np.empty(len(now), dtype=np.int64)
    into = np.empty(len(now), dtype=np.int64)
    for duty in np.unique(packs.duty):
        mine = packs.duty == duty
        first, last = course.first[duty], course.first[duty + 1]
        stops = course.stop_second[first:last]
        at = (now[mine] + packs.phase_second[mine]) % stops[-1]
        piece[mine] = first + np.searchsorted(stops, at, side="right")
        into[mine] = at - (course.stop_second[piece[mine]] - course.piece_second[piece[mine]])
    return piece, into
