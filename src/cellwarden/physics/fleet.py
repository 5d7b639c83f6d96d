"""Ten thousand packs and more, stepped together through charging, use, storage and seasons.

Rules
- `step(config, state, second)` is pure: the same state gives the same state and observations. Time
  taken in pieces of whole days is the same to the bit; other cuts end steps early and differ by
  rounding, or by the step's error where it is coarse.
- Randomness comes from counters: how packs differ hangs on the seed, a day's use on seed and day,
  a reading's noise on seed and second.
- Ageing is a sum over what was met and takes no time step (see `aging`); what differs between step
  lengths is how well current, charge and temperature are followed between its ends.
- Sums over a step are exact; readings carry noise.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import chemistry_named
from cellwarden.errors import UsageError
from cellwarden.physics import aging as agings
from cellwarden.physics import course as c
from cellwarden.physics import sensing
from cellwarden.physics.course import Course, Packs, Policy, course_of
from cellwarden.physics.duty import DAY_SECOND
from cellwarden.physics.fleet_config import FleetConfig

__all__ = [
    "FleetState",
    "FleetTruth",
    "Observations",
    "constants",
    "free_policy",
    "packs_of",
    "start",
    "step",
    "truth",
]

_USE, _NOISE, _SPREAD, _CHANCE = 16, 17, 18, 32  # streams, apart from those of `sensing`
_BLOCK_DAY: Final = sensing.BLOCK
_MOST_USE: Final = 3.0

Row = Float64[np.ndarray, " pack"]


@dataclass(frozen=True, slots=True, eq=False)
class FleetState:
    """Everything that the next step depends on; rows as `course` names them."""

    second: int
    cell: Float64[np.ndarray, "10 pack"]
    turn: Float64[np.ndarray, "24 pack"]
    turn_count: Int64[np.ndarray, " pack"]


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """What the packs show at the end of a step, and what they counted over it."""

    unix_time_second: float
    duration_second: float
    voltage_volt: Row
    current_ampere: Row
    surface_temperature_celsius: Row
    ambient_temperature_celsius: Row
    charging_capacity_ah: Row
    discharging_capacity_ah: Row
    charging_energy_wh: Row
    discharging_energy_wh: Row
    unserved_capacity_ah: Row
    mean_soc_fraction: Row
    mean_surface_temperature_celsius: Row
    lowest_surface_temperature_celsius: Row
    highest_surface_temperature_celsius: Row


@dataclass(frozen=True, slots=True, eq=False)
class FleetTruth:
    """What no sensor shows: the packs as they are."""

    unix_time_second: float
    soc_fraction: Row
    soh_fraction: Row
    capacity_ah: Row
    resistance_ohm: Row
    temperature_celsius: Row
    calendar_loss_fraction: Row
    cycle_loss_fraction: Row


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    course: Course
    packs: Packs
    habit: Row


def _drawn(config: FleetConfig, stream: int, block: int, count: int) -> Float64[np.ndarray, "n p"]:
    generator = np.random.Generator(
        np.random.Philox(
            key=np.array([config.seed % 2**64, stream], dtype=np.uint64),
            counter=np.array([0, 0, 0, block], dtype=np.uint64),
        )
    )
    return generator.standard_normal((count, config.pack_count), dtype=np.float32).astype(float)


@lru_cache(maxsize=8)
def _model(config: FleetConfig) -> _Model:
    """Constants of the fleet; packs differ by the seed."""
    groups, count = config.groups, config.pack_count
    duties = tuple({id(g.duty): g.duty for g in groups}.values())
    climates = tuple({id(g.climate): g.climate for g in groups}.values())
    sizes = [g.pack_count for g in groups]
    duty = np.repeat([duties.index(g.duty) for g in groups], sizes)
    normal = np.clip(_drawn(config, _SPREAD, 0, 6), -3.0, 3.0)
    chance = np.random.Generator(
        np.random.Philox(key=np.array([config.seed % 2**64, _CHANCE], np.uint64))
    )
    days = np.array([d.stop_second[-1] // DAY_SECOND for d in duties])[duty]
    shift = np.floor(chance.random(count) * days).astype(np.int64) * DAY_SECOND
    rough = np.floor(chance.random(count) * 240.0).astype(np.int64) * 30
    chemistry = chemistry_named(config.chemistry)
    return _Model(
        course_of(
            config.own_circuit(),
            config.own_thermal(),
            config.own_law(),
            duties,
            climates,
            limit_volt=(chemistry.low_voltage_volt, chemistry.high_voltage_volt),
            nominal_capacity_ah=config.nominal_capacity_ah,
            discharge_rate=config.discharge_rate,
            year_second=config.year_second,
            seed=config.seed,
        ),
        Packs(
            config.nominal_capacity_ah * (1.0 + config.capacity_spread_fraction * normal[0]),
            1.0 + config.resistance_spread_fraction * normal[1],
            config.place_spread_celsius * normal[2],
            duty,
            np.repeat([climates.index(g.climate) for g in groups], sizes),
            shift if config.phase_shifted else np.zeros(count, dtype=np.int64),
            rough,
        ),
        np.maximum(1.0 + config.habit_spread_fraction * normal[3], 0.0),
    )


@lru_cache(maxsize=4)
def _use(config: FleetConfig, block: int) -> Float64[np.ndarray, "day pack"]:
    """What the load of each day of a block is multiplied by."""
    daily = 1.0 + config.daily_spread_fraction * _drawn(config, _USE, block, _BLOCK_DAY)
    used: np.ndarray = np.clip(daily, 0.0, _MOST_USE) * _model(config).habit
    return used


def constants(config: FleetConfig) -> Course:
    """What all packs share, as the walks take it."""
    return _model(config).course


def packs_of(config: FleetConfig) -> Packs:
    """How the packs differ, as the walks take it."""
    return _model(config).packs


def free_policy(config: FleetConfig) -> Policy:
    """No restraint but the chargers' rate: what `step` takes where no policy is given."""
    one = np.ones(config.pack_count)
    return Policy(one, 0.0 * one, config.charge_rate * one, config.air_factor * one)


def start(config: FleetConfig) -> FleetState:
    """The fleet before its first step: charged as its duties begin, as warm as the air."""
    model, count = _model(config), config.pack_count
    course, packs = model.course, model.packs
    cell = np.zeros((c.CELL_ROWS, count))
    stops = course.stop_second
    for duty in range(len(course.first) - 1):
        first, last = course.first[duty], course.first[duty + 1]
        mine = packs.duty == duty
        at = packs.phase_second[mine] % stops[last - 1]
        before = np.searchsorted(stops[first:last], at, side="right") - 1
        cell[c.SOC, mine] = course.piece[c.TARGET, np.where(before < 0, last - 1, first + before)]
    hour = config.year_second // 3600
    cell[c.CELSIUS] = course.air[packs.climate, hour % course.air.shape[1]]
    cell[c.CELSIUS] += packs.air_offset_celsius
    law = config.own_law()
    aging = agings.fresh(count, config.soh_fraction)
    cell[c.CALENDAR : c.CYCLE_RISE + 1] = agings.exposure_of(law, aging)
    cell[c.CAPACITY_FACTOR] = aging.capacity_factor
    cell[c.RESISTANCE_FACTOR] = aging.resistance_factor
    turn = np.zeros((c.TURN_COUNT, count))
    turn[0] = cell[c.SOC]
    return FleetState(0, cell, turn, np.ones(count, dtype=np.int64))


def step(
    config: FleetConfig, state: FleetState, second: int, policy: Policy | None = None
) -> tuple[FleetState, Observations]:
    """The fleet so many seconds later, and what it showed.

    Raises:
        UsageError: no time, or a policy for other packs or without any way for heat.
    """
    from cellwarden.physics import fleet_kernel  # noqa: PLC0415  numba takes half a second

    if second < 1:
        raise UsageError("time must go forward", hint="Give a whole second or more.")
    policy = _checked(config, policy)
    model, now, stop = _model(config), state.second, state.second + second
    cell, turn, turn_count = state.cell.copy(), state.turn.copy(), state.turn_count.copy()
    sums = np.zeros((c.SUM_ROWS, config.pack_count))
    sums[c.LOWEST_CELSIUS] = sums[c.HIGHEST_CELSIUS] = cell[c.CELSIUS]
    while now < stop:
        block = now // (_BLOCK_DAY * DAY_SECOND)
        ahead = min(stop, (block + 1) * _BLOCK_DAY * DAY_SECOND)
        fleet_kernel.walk(
            cell,
            turn,
            turn_count,
            sums,
            packs=model.packs,
            policy=policy,
            course=model.course,
            use=_use(config, block)[now // DAY_SECOND - block * _BLOCK_DAY :],
            begin_second=now,
            stop_second=ahead,
            period_second=config.period_second,
        )
        now = ahead
    after = FleetState(stop, cell, turn, turn_count)
    return after, _observed(config, after, sums, float(second))


def _checked(config: FleetConfig, policy: Policy | None) -> Policy:
    if policy is None:
        return free_policy(config)
    if any(np.shape(row) != (config.pack_count,) for row in policy):
        raise UsageError("a policy for other packs", hint="Give one value a pack in each row.")
    if not np.all(policy.air_factor > 0.0):
        raise UsageError("heat needs a way out", hint="Give an air_factor above 0.")
    return Policy(*(np.ascontiguousarray(row, dtype=np.float64) for row in policy))


def _observed(
    config: FleetConfig, state: FleetState, sums: np.ndarray, second: float
) -> Observations:
    noise = _drawn(config, _NOISE, state.second, 4)
    ampere = config.current_noise_fraction * config.nominal_capacity_ah
    celsius = config.temperature_noise_celsius
    return Observations(
        float(config.start_unix_time_second + state.second),
        second,
        sums[c.LAST_VOLT] + config.voltage_noise_volt * noise[0],
        sums[c.LAST_AMPERE] + ampere * noise[1],
        state.cell[c.CELSIUS] + celsius * noise[2],
        sums[c.LAST_AIR] + celsius * noise[3],
        sums[c.CHARGED_AH],
        sums[c.DISCHARGED_AH],
        sums[c.CHARGED_WH],
        sums[c.DISCHARGED_WH],
        sums[c.UNSERVED_AH],
        sums[c.SOC_SECOND] / second,
        sums[c.CELSIUS_SECOND] / second,
        sums[c.LOWEST_CELSIUS],
        sums[c.HIGHEST_CELSIUS],
    )


def truth(config: FleetConfig, state: FleetState) -> FleetTruth:
    """What the packs really are."""
    model = _model(config)
    law = config.own_law()
    age = agings.age_of(law, state.cell[c.CALENDAR : c.CYCLE_RISE + 1] + _open(law, state))
    capacity = model.packs.capacity_ah * age.capacity_factor
    ohm = model.course.number.ohmic_ohm * model.packs.resistance_factor
    return FleetTruth(
        float(config.start_unix_time_second + state.second),
        state.cell[c.SOC].copy(),
        capacity / config.nominal_capacity_ah,
        capacity,
        ohm * age.resistance_factor,
        state.cell[c.CELSIUS].copy(),
        age.calendar_loss_fraction,
        age.cycle_loss_fraction,
    )


def _open(law: agings.Law, state: FleetState) -> Float64[np.ndarray, "4 pack"]:
    """What cycles that have not closed have cost so far, as halves."""
    one, other = state.turn[:-1], state.turn[1:]
    there = np.arange(1, c.TURN_COUNT)[:, None] < state.turn_count
    depth = np.where(there, np.abs(one - other), 0.0)
    lost, gained = agings.cycle_exposure(law, np.where(there, 0.5 * (one + other), 0.5), depth)
    half = np.zeros((4, state.cell.shape[1]))
    half[2], half[3] = (0.5 * depth * lost).sum(axis=0), (0.5 * depth * gained).sum(axis=0)
    return half
