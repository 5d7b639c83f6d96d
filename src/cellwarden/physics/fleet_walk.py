"""The walk of a fleet in NumPy, all packs side by side: what `fleet_kernel.walk` must agree with.

Packs stand at different places of different duties, so each takes steps of its own length; a pack
that has arrived waits for the others.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.physics import course as c
from cellwarden.physics.course import Course, Packs, Policy
from cellwarden.physics.duty import DAY_SECOND

__all__ = ["walk"]

Row = Float64[np.ndarray, " pack"]
Grid = Float64[np.ndarray, "row pack"]


class _Step(NamedTuple):
    """What each pack's step is: where in its duty, how long, from when, the day's use."""

    piece: Int64[np.ndarray, " pack"]
    left_second: Int64[np.ndarray, " pack"]
    second: Int64[np.ndarray, " pack"]
    now: Int64[np.ndarray, " pack"]
    use: Row


class _Fleet(NamedTuple):
    packs: Packs
    policy: Policy
    course: Course


class _Asked(NamedTuple):
    """What load or charger want, and the swings that a step is too long to follow."""

    ampere: Row
    extra_ampere: Row
    variance: Row


def walk(
    cell: Grid,
    turn: Float64[np.ndarray, "turn pack"],
    turn_count: Int64[np.ndarray, " pack"],
    sums: Grid,
    *,
    packs: Packs,
    policy: Policy,
    course: Course,
    use: Float64[np.ndarray, "day pack"],
    begin_second: int,
    stop_second: int,
    period_second: int,
) -> None:
    """Take every pack from one second to another; the first four arrays move on.

    `use` multiplies the load, a row for each day from the one in which `begin_second` lies.
    """
    now = np.full(cell.shape[1], begin_second, dtype=np.int64)
    while np.any(now < stop_second):
        going = now < stop_second
        piece, into = c.place(packs, course, now)
        left = course.piece_second[piece] - into
        second = np.minimum(np.minimum(left, period_second), stop_second - now)
        second = np.where(going, second, 1)
        day = np.minimum(now // DAY_SECOND - begin_second // DAY_SECOND, len(use) - 1)
        taken = _Step(piece, left, second, now, use[day, np.arange(len(now))])
        before = cell.copy(), turn.copy(), turn_count.copy(), sums.copy()
        _move(cell, sums, _Fleet(packs, policy, course), taken)
        for pack in np.flatnonzero(going):
            _turn(turn[:, pack], turn_count, cell, int(pack), course)
        now = np.where(going, now + second, now)
        for pack in np.flatnonzero(going & (now % DAY_SECOND == 0)):
            _refresh(cell, turn[: turn_count[pack], pack].tolist(), int(pack), course)
        for array, kept in zip((cell, turn, turn_count, sums), before, strict=True):
            array[..., ~going] = kept[..., ~going]


def _look(table: np.ndarray, scaled: Row) -> Float64[np.ndarray, "pack column"]:
    left = np.clip(np.floor(scaled), 0, len(table) - 2).astype(np.int64)
    part = np.clip(scaled - left, 0.0, 1.0)
    looked: np.ndarray = table[left] + part[:, None] * (table[left + 1] - table[left])
    return looked


def _by_celsius(course: Course, celsius: Row) -> Float64[np.ndarray, "pack 3"]:
    return _look(course.by_celsius, (celsius - c.COLDEST) * c.PER_CELSIUS)


def _by_soc(course: Course, soc: Row) -> Float64[np.ndarray, "pack 4"]:
    return _look(course.by_soc, soc * (len(course.by_soc) - 1))


def _ocv(course: Course, soc: Row) -> Row:
    """Open-circuit voltage; beyond 0..1 the last slope goes on. [V]"""
    scaled = soc * (len(course.ocv) - 1)
    left = np.clip(np.floor(scaled), 0, len(course.ocv) - 2).astype(np.int64)
    rise = course.ocv[left + 1] - course.ocv[left]
    volts: Row = np.maximum(course.ocv[left] + (scaled - left) * rise, 0.0)
    return volts


def _air(packs: Packs, course: Course, second: np.ndarray) -> Row:
    """The air at a time, between the hours of its climate. [°C]"""
    hours = (course.year_second + second) / 3600.0
    hour = np.floor(hours).astype(np.int64)
    count = course.air.shape[1]
    here, there = (course.air[packs.climate, (hour + k) % count] for k in (0, 1))
    air: np.ndarray = here + (hours - hour) * (there - here) + packs.air_offset_celsius
    return air


def _ask(fleet: _Fleet, cell: Grid, taken: _Step, capacity: Row) -> _Asked:
    number, pieces = fleet.course.number, fleet.course.piece[:, taken.piece]
    rough, swings = pieces[c.ROUGHNESS], fleet.course.rough
    mean = np.maximum(pieces[c.AMPERE] * taken.use, -number.discharge_ampere)
    fine = taken.second <= c.HOLD_SECOND
    swing = swings[(taken.now // c.HOLD_SECOND + fleet.packs.rough_phase) % len(swings)]
    drawn = np.where(fine, mean * (1.0 + rough * swing), mean)
    target = np.minimum(pieces[c.TARGET], fleet.policy.high_soc_fraction)
    wanted = np.maximum(target - cell[c.SOC], 0.0) * capacity * 3600.0 / taken.left_second
    wanted = np.minimum(wanted, fleet.policy.charge_rate_per_hour * number.nominal_ah)
    falling = pieces[c.AMPERE] < 0.0
    unseen = falling & ~fine
    return _Asked(
        np.where(falling, drawn, np.where(pieces[c.AMPERE] > 0.0, wanted, 0.0)),
        np.where(unseen, -mean * pieces[c.EXCESS], 0.0),
        np.where(unseen, (rough * mean) ** 2, 0.0),
    )


def _bounded(
    asked: Row, cell: Grid, course: Course, ends: tuple[Row, Row], limits: tuple[Row, Row]
) -> Row:
    """The part of a current that charge and voltage at the step's end allow. [A]"""
    soc, (idle, ohm), (low_soc, fraction) = cell[c.SOC], ends, limits
    room, held = (1.0 - soc) / fraction, np.minimum((low_soc - soc) / fraction, 0.0)
    asked = np.where(asked > 0.0, np.minimum(asked, room), np.maximum(asked, held))

    def fits(current: Row) -> Bool[np.ndarray, " pack"]:
        volt = _ocv(course, soc + current * fraction) + idle + current * ohm
        low, high = course.number.low_volt, course.number.high_volt
        within: np.ndarray = np.where(asked > 0.0, volt <= high, volt >= low)
        return within

    part, size = np.zeros(len(soc)), 0.5
    for _ in range(c.HALVING_COUNT):
        part = np.where(fits(asked * (part + size)), part + size, part)
        size *= 0.5
    kept: Row = np.where((asked == 0.0) | fits(asked), asked, asked * part)
    return kept


def _move(cell: Grid, sums: Grid, fleet: _Fleet, taken: _Step) -> None:
    """One step of the circuit, the heat and what is summed up."""
    course, number, second = fleet.course, fleet.course.number, taken.second
    hours, capacity = second / 3600.0, fleet.packs.capacity_ah * cell[c.CAPACITY_FACTOR]
    asked = _ask(fleet, cell, taken, capacity)
    warm = _by_celsius(course, cell[c.CELSIUS])[:, 0]
    factor = fleet.packs.resistance_factor * cell[c.RESISTANCE_FACTOR] * warm
    pairs = (
        (c.FAST, number.fast_ohm, number.fast_second),
        (c.SLOW, number.slow_ohm, number.slow_second),
    )
    decays = [np.exp(-second / lag) for _, _, lag in pairs]
    idle = decays[0] * cell[c.FAST] + decays[1] * cell[c.SLOW]
    ohm = number.fast_ohm * (1.0 - decays[0]) + number.slow_ohm * (1.0 - decays[1])
    ends, before = (idle, factor * (ohm + number.ohmic_ohm)), _ocv(course, cell[c.SOC])
    low_soc, fraction = fleet.policy.low_soc_fraction, hours / capacity
    current = _bounded(asked.ampere, cell, course, ends, (low_soc, fraction))
    served = np.where(asked.ampere < 0.0, current / np.minimum(asked.ampere, -1e-30), 1.0)
    drop = current * factor
    over = number.ohmic_ohm * drop
    for (row, ohms, lag), decay in zip(pairs, decays, strict=True):
        rest = ohms * drop
        over = over + rest + (cell[row] - rest) * (1.0 - decay) * lag / second
        cell[row] = rest + (cell[row] - rest) * decay
    middle = np.clip(cell[c.SOC] + 0.5 * current * fraction, 0.0, 1.0)
    cell[c.SOC] = np.clip(cell[c.SOC] + current * fraction, 0.0, 1.0)
    lost = asked.variance * served**2 * factor * number.rough_ohm
    air = _air(fleet.packs, course, taken.now + 0.5 * second)
    mean = _warm_up(cell, fleet, current * over + lost, air, second)
    extra = 0.5 * asked.extra_ampere * hours  # brakes charge an empty pack, too
    _expose(cell, course, (middle, mean), second, extra / capacity)
    watt = current * (_ocv(course, middle) + over) + lost
    _sum(sums, (current, watt), (extra, before), hours)
    unserved = np.where(asked.ampere < 0.0, current - asked.ampere, 0.0)
    sums[c.UNSERVED_AH] += unserved * hours
    sums[c.CELSIUS_SECOND] += mean * second
    sums[c.SOC_SECOND] += middle * second
    sums[c.LOWEST_CELSIUS] = np.minimum(sums[c.LOWEST_CELSIUS], cell[c.CELSIUS])
    sums[c.HIGHEST_CELSIUS] = np.maximum(sums[c.HIGHEST_CELSIUS], cell[c.CELSIUS])
    held = _ocv(course, cell[c.SOC]) + cell[c.FAST] + cell[c.SLOW]
    sums[c.LAST_VOLT] = held + number.ohmic_ohm * drop
    sums[c.LAST_AMPERE], sums[c.LAST_AIR] = current, air


def _sum(sums: Grid, through: tuple[Row, Row], unseen: tuple[Row, Row], hours: Row) -> None:
    """Count charge and energy both ways, the unseen swings' among them."""
    (current, watt), (extra, ocv) = through, unseen
    sums[c.CHARGED_AH] += np.maximum(current, 0.0) * hours + extra
    sums[c.DISCHARGED_AH] += np.maximum(-current, 0.0) * hours + extra
    sums[c.CHARGED_WH] += np.where(current > 0.0, watt, 0.0) * hours + extra * ocv
    sums[c.DISCHARGED_WH] += np.where(current > 0.0, 0.0, -watt) * hours + extra * ocv


def _warm_up(cell: Grid, fleet: _Fleet, watt: Row, air: Row, second: np.ndarray) -> Row:
    """Heat the cells; their mean temperature over the step. [°C]"""
    way = fleet.course.number.watt_per_kelvin * fleet.policy.air_factor
    rest, pace = air + watt / way, way / fleet.course.number.joule_per_kelvin
    gap, decay = cell[c.CELSIUS] - rest, np.exp(-second * pace)
    cell[c.CELSIUS] = rest + gap * decay
    mean: np.ndarray = rest + gap * (1.0 - decay) / (pace * second)
    return mean


def _expose(
    cell: Grid, course: Course, means: tuple[Row, Row], second: np.ndarray, small: Row
) -> None:
    """Add what the step means for the age: time, and the full cycles of the unseen swings."""
    days = second / DAY_SECOND
    by_soc, warm = _by_soc(course, means[0]), _by_celsius(course, means[1])
    cell[c.CALENDAR] += by_soc[:, 0] * warm[:, 1] * days
    cell[c.CALENDAR_RISE] += by_soc[:, 1] * warm[:, 2] * days
    cell[c.CYCLE] += by_soc[:, 2] * small
    cell[c.CYCLE_RISE] += by_soc[:, 3] * small


def _turn(turn: Row, turn_count: np.ndarray, cell: Grid, pack: int, course: Course) -> None:
    """Move the newest turn on, and count what it closes."""
    stack, soc = turn[: turn_count[pack]].tolist(), float(cell[c.SOC, pack])
    if len(stack) > 1 and (soc - stack[-1]) * (stack[-1] - stack[-2]) >= 0.0:
        stack[-1] = soc
    elif soc != stack[-1]:
        if len(stack) == c.TURN_COUNT:
            _count(cell, pack, (stack[0], stack[1]), 0.5, course)
            del stack[0]
        stack.append(soc)
    while len(stack) > 2 and abs(stack[-1] - stack[-2]) >= abs(stack[-2] - stack[-3]):  # noqa: PLR2004  two ranges take three turns
        if len(stack) == 3:  # noqa: PLR2004  the older range holds the starting point
            _count(cell, pack, (stack[0], stack[1]), 0.5, course)
            del stack[0]
        else:
            _count(cell, pack, (stack[-3], stack[-2]), 1.0, course)
            del stack[-3:-1]
    turn[: len(stack)] = stack
    turn_count[pack] = len(stack)


def _count(
    cell: Grid, pack: int, turns: tuple[float, float], cycles: float, course: Course
) -> None:
    one, other = turns
    amount, speed, power, rise_speed, *numbers = course.number.cycle
    a, b, k, d, e, f, g, h = numbers
    depth = abs(one - other)
    volt = float(np.interp(0.5 * (one + other), np.linspace(0, 1, len(course.nmc)), course.nmc))
    loss = a * (volt - b) ** 2 + k + d * depth
    rise = max(e * (volt - f) ** 2 + g + h * depth, 0.0)
    throughput = amount * cycles * depth
    cell[c.CYCLE, pack] += throughput * (speed * loss) ** power
    cell[c.CYCLE_RISE, pack] += throughput * rise_speed * rise


def _refresh(cell: Grid, turns: list[float], pack: int, course: Course) -> None:
    calendar, rise, cycle = course.number.power
    own = cell[:, pack : pack + 1].copy()
    for pair in pairwise(turns):
        _count(own, 0, pair, 0.5, course)
    lost = own[c.CALENDAR] ** calendar + own[c.CYCLE] ** cycle
    gained = own[c.CALENDAR_RISE] ** rise + own[c.CYCLE_RISE]
    left = np.minimum(cell[c.CAPACITY_FACTOR, pack], np.maximum(1.0 - lost, 0.01))
    cell[c.CAPACITY_FACTOR, pack] = left[0]
    cell[c.RESISTANCE_FACTOR, pack] = 1.0 + gained[0]
