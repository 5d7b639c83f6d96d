"""`fleet_walk.walk` compiled: the same walk, pack by pack.

Importing this module imports numba (about half a second), so `fleet.step` imports it when it is
first called. A pack's state is copied to the front of the cache, goes through its time there, and
is copied back; only arrays that a function reads are handed to it.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit

from cellwarden.physics import course as c
from cellwarden.physics.course import Course, Numbers, Packs, Policy
from cellwarden.physics.duty import DAY_SECOND
from cellwarden.physics.kernel import open_voltage

__all__ = ["walk"]

_SOC, _FAST, _SLOW, _CELSIUS = c.SOC, c.FAST, c.SLOW, c.CELSIUS
_CAPACITY_FACTOR, _RESISTANCE_FACTOR = c.CAPACITY_FACTOR, c.RESISTANCE_FACTOR
_CALENDAR, _CALENDAR_RISE, _CYCLE, _CYCLE_RISE = range(c.CALENDAR, c.CYCLE_RISE + 1)
_CHARGED_AH, _DISCHARGED_AH, _CHARGED_WH, _DISCHARGED_WH, _UNSERVED_AH = range(5)
_CELSIUS_SECOND, _SOC_SECOND, _LOWEST_CELSIUS, _HIGHEST_CELSIUS = range(5, 9)
_LAST_VOLT, _LAST_AMPERE, _LAST_AIR = range(9, 12)
_TARGET, _AMPERE, _ROUGHNESS, _EXCESS = c.TARGET, c.AMPERE, c.ROUGHNESS, c.EXCESS
_TURN_COUNT: Final = c.TURN_COUNT
_HALVING_COUNT: Final = c.HALVING_COUNT
_HOLD_SECOND: Final = c.HOLD_SECOND
_COLDEST: Final = c.COLDEST
_PER_CELSIUS: Final = c.PER_CELSIUS
_DAY: Final = DAY_SECOND
# What a step is worked out with: decays, means, pace; from _HOUR on, the hour of the air.
_HOUR: Final = 9
_PACE_COUNT: Final = 12
_HOUR_SECOND: Final = 3600.0
# Division by zero gives infinity, as in NumPy, and arrays are lent, not counted: every array that
# goes in belongs to the caller, and none is made here. Both checks would double the time.
_OPTIONS: Final[dict[str, Any]] = {"error_model": "numpy", "nogil": True, "_nrt": False}
_jit: Final[Callable[..., Any]] = njit(cache=True, **_OPTIONS)


def _place_raw(scaled: float, count: int) -> tuple[int, float]:
    left = min(max(int(np.floor(scaled)), 0), count - 2)
    return left, min(max(scaled - left, 0.0), 1.0)


_place: Callable[[float, int], tuple[int, float]] = _jit(_place_raw)


def _count_raw(  # noqa: PLR0917  compiled calls take no keywords
    own: np.ndarray, nmc: np.ndarray, one: float, other: float, cycles: float, number: Numbers
) -> None:
    amount, speed, power, rise_speed, a, b, k, d, e, f, g, h = number.cycle
    depth = abs(one - other)
    left, part = _place(0.5 * (one + other) * (len(nmc) - 1), len(nmc))
    volt = nmc[left] + part * (nmc[left + 1] - nmc[left])
    loss = a * (volt - b) ** 2 + k + d * depth
    rise = max(e * (volt - f) ** 2 + g + h * depth, 0.0)
    throughput = amount * cycles * depth
    own[_CYCLE] += throughput * (speed * loss) ** power
    own[_CYCLE_RISE] += throughput * rise_speed * rise


_count: Callable[..., None] = _jit(_count_raw)


def _turn_raw(
    turn: np.ndarray, count: int, own: np.ndarray, nmc: np.ndarray, number: Numbers
) -> int:
    soc, newest = own[_SOC], turn[count - 1]
    if soc == newest:
        return count
    if count > 1 and (soc - newest) * (newest - turn[count - 2]) >= 0.0:
        turn[count - 1] = soc
    else:
        if count == _TURN_COUNT:
            _count(own, nmc, turn[0], turn[1], 0.5, number)
            count -= 1
            for index in range(count):
                turn[index] = turn[index + 1]
        turn[count] = soc
        count += 1
    while count > 2:  # noqa: PLR2004  two ranges take three turns
        last, middle, first = turn[count - 1], turn[count - 2], turn[count - 3]
        if abs(last - middle) < abs(middle - first):
            break
        if count == 3:  # noqa: PLR2004  the older range holds the starting point
            _count(own, nmc, first, middle, 0.5, number)
            turn[0], turn[1] = middle, last
            count = 2
        else:
            _count(own, nmc, first, middle, 1.0, number)
            turn[count - 3] = last
            count -= 2
    return count


_turn: Callable[..., int] = _jit(_turn_raw)


def _wanted_raw(  # noqa: PLR0917  compiled calls take no keywords
    soc: float, target: float, capacity: float, left: int, rate: float, number: Numbers
) -> float:
    needed = max(target - soc, 0.0) * capacity * 3600.0 / left
    return float(min(needed, rate * number.nominal_ah))


_wanted: Callable[..., float] = _jit(_wanted_raw)


def _load_raw(  # noqa: PLR0917  compiled calls take no keywords
    asked: float, pieces: np.ndarray, piece: int, rough: np.ndarray, step: int, number: Numbers
) -> tuple[float, float, float]:
    mean, roughness = max(asked, -number.discharge_ampere), pieces[_ROUGHNESS, piece]
    if roughness == 0.0:
        return mean, 0.0, 0.0
    if step >= 0:
        return mean * (1.0 + roughness * rough[step % len(rough)]), 0.0, 0.0
    return mean, -mean * pieces[_EXCESS, piece], (roughness * mean) ** 2


_load: Callable[..., tuple[float, float, float]] = _jit(_load_raw)


def _bounded_raw(  # noqa: PLR0917  compiled calls take no keywords
    asked: float,
    soc: float,
    idle: float,
    ohm: float,
    ocv: np.ndarray,
    fraction: float,
    low_soc: float,
    number: Numbers,
) -> float:
    if asked == 0.0:
        return 0.0
    if asked > 0.0:
        asked = min(asked, (1.0 - soc) / fraction)
    else:
        asked = max(asked, min((low_soc - soc) / fraction, 0.0))
    volt = open_voltage(ocv, soc + asked * fraction) + idle + asked * ohm
    if volt <= number.high_volt if asked > 0.0 else volt >= number.low_volt:
        return asked
    part, size = 0.0, 0.5
    for _ in range(_HALVING_COUNT):
        current = asked * (part + size)
        volt = open_voltage(ocv, soc + current * fraction) + idle + current * ohm
        if volt <= number.high_volt if asked > 0.0 else volt >= number.low_volt:
            part += size
        size *= 0.5
    return asked * part


_bounded: Callable[..., float] = _jit(_bounded_raw)


def _expose_raw(  # noqa: PLR0917  compiled calls take no keywords
    own: np.ndarray,
    by_soc: np.ndarray,
    by_celsius: np.ndarray,
    soc: float,
    celsius: float,
    days: float,
    small: float,
) -> None:
    a, part = _place(soc * (len(by_soc) - 1), len(by_soc))
    b, rest = _place((celsius - _COLDEST) * _PER_CELSIUS, len(by_celsius))
    loss = by_soc[a, 0] + part * (by_soc[a + 1, 0] - by_soc[a, 0])
    rise = by_soc[a, 1] + part * (by_soc[a + 1, 1] - by_soc[a, 1])
    warm = by_celsius[b, 1] + rest * (by_celsius[b + 1, 1] - by_celsius[b, 1])
    own[_CALENDAR] += loss * warm * days
    warm = by_celsius[b, 2] + rest * (by_celsius[b + 1, 2] - by_celsius[b, 2])
    own[_CALENDAR_RISE] += rise * warm * days
    if small > 0.0:
        own[_CYCLE] += (by_soc[a, 2] + part * (by_soc[a + 1, 2] - by_soc[a, 2])) * small
        own[_CYCLE_RISE] += (by_soc[a, 3] + part * (by_soc[a + 1, 3] - by_soc[a, 3])) * small


_expose: Callable[..., None] = _jit(_expose_raw)


def _sum_raw(  # noqa: PLR0917  compiled calls take no keywords
    got: np.ndarray, current: float, watt: float, extra: float, ocv: float, hours: float
) -> None:
    got[_CHARGED_AH] += extra
    got[_DISCHARGED_AH] += extra
    got[_CHARGED_WH] += extra * ocv
    got[_DISCHARGED_WH] += extra * ocv
    if current > 0.0:
        got[_CHARGED_AH] += current * hours
        got[_CHARGED_WH] += watt * hours
    else:
        got[_DISCHARGED_AH] -= current * hours
        got[_DISCHARGED_WH] -= watt * hours


_sum: Callable[..., None] = _jit(_sum_raw)


def _pace_raw(decay: np.ndarray, number: Numbers, air_factor: float, second: int) -> None:
    """What is left of voltages and heat after a step of that length, and their mean over it."""
    pace = number.watt_per_kelvin * air_factor / number.joule_per_kelvin
    decay[0] = np.exp(-second / number.fast_second)
    decay[1] = np.exp(-second / number.slow_second)
    decay[2] = np.exp(-second * pace)
    decay[3] = (1.0 - decay[0]) * number.fast_second / second
    decay[4] = (1.0 - decay[1]) * number.slow_second / second
    decay[5] = (1.0 - decay[2]) / (pace * second)
    decay[6] = 1.0 / (number.watt_per_kelvin * air_factor)
    decay[7], decay[8] = second / 3600.0, second / _DAY


_pace: Callable[..., None] = _jit(_pace_raw)


def _move_raw(  # noqa: PLR0917  compiled calls take no keywords
    own: np.ndarray,
    got: np.ndarray,
    decay: np.ndarray,
    ocv: np.ndarray,
    by_soc: np.ndarray,
    by_celsius: np.ndarray,
    asked: float,
    extra: float,
    variance: float,
    per_ah: float,
    resistance: float,
    low_soc: float,
    air: float,
    second: int,
    number: Numbers,
) -> None:
    hours, soc, before = decay[7], own[_SOC], open_voltage(ocv, own[_SOC])
    fraction = hours * per_ah
    row, part = _place((own[_CELSIUS] - _COLDEST) * _PER_CELSIUS, len(by_celsius))
    warm = by_celsius[row, 0] + part * (by_celsius[row + 1, 0] - by_celsius[row, 0])
    factor = resistance * own[_RESISTANCE_FACTOR] * warm
    idle = decay[0] * own[_FAST] + decay[1] * own[_SLOW]
    ohm = number.fast_ohm * (1.0 - decay[0]) + number.slow_ohm * (1.0 - decay[1])
    ohm = factor * (ohm + number.ohmic_ohm)
    current = _bounded(asked, soc, idle, ohm, ocv, fraction, low_soc, number)
    if asked < 0.0:
        variance *= (current / asked) ** 2
        got[_UNSERVED_AH] += (current - asked) * hours
    drop = current * factor
    fast, slow = number.fast_ohm * drop, number.slow_ohm * drop
    over = number.ohmic_ohm * drop + fast + slow
    over += (own[_FAST] - fast) * decay[3] + (own[_SLOW] - slow) * decay[4]
    own[_FAST] = fast + (own[_FAST] - fast) * decay[0]
    own[_SLOW] = slow + (own[_SLOW] - slow) * decay[1]
    middle = min(max(soc + 0.5 * current * fraction, 0.0), 1.0)
    own[_SOC] = min(max(soc + current * fraction, 0.0), 1.0)
    lost = variance * factor * number.rough_ohm
    rest = air + (current * over + lost) * decay[6]
    gap = own[_CELSIUS] - rest
    own[_CELSIUS] = rest + gap * decay[2]
    mean = rest + gap * decay[5]
    _expose(own, by_soc, by_celsius, middle, mean, decay[8], 0.5 * extra * fraction)
    watt = current * (open_voltage(ocv, middle) + over) + lost
    _sum(got, current, watt, 0.5 * extra * hours, before, hours)
    got[_CELSIUS_SECOND] += mean * second
    got[_SOC_SECOND] += middle * second
    got[_LOWEST_CELSIUS] = min(got[_LOWEST_CELSIUS], own[_CELSIUS])
    got[_HIGHEST_CELSIUS] = max(got[_HIGHEST_CELSIUS], own[_CELSIUS])
    got[_LAST_AMPERE], got[_LAST_AIR], got[_LAST_VOLT] = current, air, number.ohmic_ohm * drop


_move: Callable[..., None] = _jit(_move_raw)


def _refresh_raw(
    own: np.ndarray, turn: np.ndarray, turns: int, nmc: np.ndarray, number: Numbers
) -> None:
    calendar, rise, cycle = number.power
    closed, closed_rise = own[_CYCLE], own[_CYCLE_RISE]
    for index in range(1, turns):
        _count(own, nmc, turn[index - 1], turn[index], 0.5, number)
    lost = own[_CALENDAR] ** calendar + own[_CYCLE] ** cycle
    own[_CAPACITY_FACTOR] = min(own[_CAPACITY_FACTOR], max(1.0 - lost, 0.01))
    own[_RESISTANCE_FACTOR] = 1.0 + own[_CALENDAR_RISE] ** rise + own[_CYCLE_RISE]
    own[_CYCLE], own[_CYCLE_RISE] = closed, closed_rise


_refresh: Callable[..., None] = _jit(_refresh_raw)


def _air_raw(decay: np.ndarray, year: np.ndarray, second: float) -> float:
    """The air between two hours of a climate, which are looked up once an hour. [°C]"""
    since = second - decay[_HOUR]
    if decay[_HOUR] < 0.0 or since >= _HOUR_SECOND:
        hour = int(second / _HOUR_SECOND)
        here, there = year[hour % len(year)], year[(hour + 1) % len(year)]
        decay[_HOUR], decay[_HOUR + 1], decay[_HOUR + 2] = _HOUR_SECOND * hour, here, there - here
        since = second - decay[_HOUR]
    return float(decay[_HOUR + 1] + since * decay[_HOUR + 2] / _HOUR_SECOND)


_air: Callable[[np.ndarray, np.ndarray, float], float] = _jit(_air_raw)


def _go_raw(  # noqa: PLR0917  compiled calls take no keywords
    own: np.ndarray,
    turn: np.ndarray,
    turns: int,
    got: np.ndarray,
    decay: np.ndarray,
    pack: int,
    packs: Packs,
    policy: Policy,
    course: Course,
    use: np.ndarray,
    piece: int,
    left: int,
    begin: int,
    stop: int,
    period: int,
) -> int:
    number, pieces, lengths = course.number, course.piece, course.piece_second
    ocv, nmc, rough = course.ocv, course.nmc, course.rough
    by_soc, by_celsius = course.by_soc, course.by_celsius
    year, offset = course.air[packs.climate[pack]], packs.air_offset_celsius[pack]
    new, resistance = packs.capacity_ah[pack], packs.resistance_factor[pack]
    high_soc, low_soc = policy.high_soc_fraction[pack], policy.low_soc_fraction[pack]
    rate, air_factor = policy.charge_rate_per_hour[pack], policy.air_factor[pack]
    swing, first_day = packs.rough_phase[pack], begin // _DAY
    first, last = course.first[packs.duty[pack]], course.first[packs.duty[pack] + 1]
    now, paced, midnight = begin, 0, begin
    capacity, per_ah, load, decay[_HOUR] = new, 1.0, 1.0, -1.0
    while now < stop:
        second = min(left, period, stop - now)
        if second != paced:
            _pace(decay, number, air_factor, second)
            paced = second
        if now >= midnight:
            load = use[now // _DAY - first_day, pack]
            midnight = (now // _DAY + 1) * _DAY
            capacity = new * own[_CAPACITY_FACTOR]
            per_ah = 1.0 / capacity
        asked, extra, variance = pieces[_AMPERE, piece], 0.0, 0.0
        if asked > 0.0:
            target = min(pieces[_TARGET, piece], high_soc)
            asked = _wanted(own[_SOC], target, capacity, left, rate, number)
        elif asked < 0.0:
            step = now // _HOLD_SECOND + swing if second <= _HOLD_SECOND else -1
            asked, extra, variance = _load(asked * load, pieces, piece, rough, step, number)
        air = _air(decay, year, course.year_second + now + 0.5 * second) + offset
        _move(
            own, got, decay, ocv, by_soc, by_celsius, asked, extra, variance, per_ah,
            resistance, low_soc, air, second, number,
        )  # fmt: skip
        turns = _turn(turn, turns, own, nmc, number)
        now += second
        left -= second
        if left == 0:
            piece = piece + 1 if piece + 1 < last else first
            left = lengths[piece]
            if now % _DAY == 0:
                _refresh(own, turn, turns, nmc, number)
    got[_LAST_VOLT] += open_voltage(ocv, own[_SOC]) + own[_FAST] + own[_SLOW]
    return turns


_go: Callable[..., int] = _jit(_go_raw)


def _copy_raw(grid: np.ndarray, pack: int, column: np.ndarray) -> None:
    for row in range(len(column)):
        column[row] = grid[row, pack]


def _paste_raw(column: np.ndarray, grid: np.ndarray, pack: int) -> None:
    for row in range(len(column)):
        grid[row, pack] = column[row]


_copy: Callable[..., None] = _jit(_copy_raw)
_paste: Callable[..., None] = _jit(_paste_raw)


def _walk_raw(  # noqa: PLR0917  compiled calls take no keywords
    cell: np.ndarray,
    turn: np.ndarray,
    turn_count: np.ndarray,
    sums: np.ndarray,
    packs: Packs,
    policy: Policy,
    course: Course,
    use: np.ndarray,
    piece: np.ndarray,
    left: np.ndarray,
    own: np.ndarray,
    turns: np.ndarray,
    got: np.ndarray,
    decay: np.ndarray,
    begin: int,
    stop: int,
    period: int,
) -> None:
    for pack in range(cell.shape[1]):
        _copy(cell, pack, own)
        _copy(sums, pack, got)
        _copy(turn, pack, turns)
        turn_count[pack] = _go(
            own, turns, turn_count[pack], got, decay, pack, packs, policy, course, use,
            piece[pack], left[pack], begin, stop, period,
        )  # fmt: skip
        _paste(own, cell, pack)
        _paste(got, sums, pack)
        _paste(turns, turn, pack)


_walk: Callable[..., Any] = _jit(_walk_raw)


def walk(
    cell: np.ndarray,
    turn: np.ndarray,
    turn_count: np.ndarray,
    sums: np.ndarray,
    *,
    packs: Packs,
    policy: Policy,
    course: Course,
    use: np.ndarray,
    begin_second: int,
    stop_second: int,
    period_second: int,
) -> None:
    """Take every pack from one second to another; the first four arrays move on."""
    piece, into = c.place(packs, course, np.full(cell.shape[1], begin_second, dtype=np.int64))
    left = course.piece_second[piece] - into
    times = int(begin_second), int(stop_second), int(period_second)
    rows = [np.empty(count) for count in (len(cell), len(turn), len(sums), _PACE_COUNT)]
    _walk(cell, turn, turn_count, sums, packs, policy, course, use, piece, left, *rows, *times)
