"""Charging: what a charger is asked for, why not more, and when the pack will be full.

Rules
- What is asked is the least of: the allowance of `control.limits`, the stage, what the negative
  electrode stands (`physics.plating`, at the fullest and the coldest cell), warmth, the gentlest
  current that is in time, and what keeps the highest cell at its voltage. Each is a `Restraint`.
- The highest cell is held by the current it takes: the present current, moved by half of the
  voltage that is missing or too much over the cell's resistance. The voltage asked for is the sum
  of the cells when the highest is at its limit, so a charger that holds its voltage does the same.
- A cell below the chemistry's window is brought up at C/10, for an hour at most; one below the
  maximum tier is not charged at all. A charge that takes too long or too much is refused too, and
  stays so until the charger is taken off.
- Full is: highest cell within 10 mV, current down to the cut-off, for half a minute; or the target
  of charge reached.
- A charge that is not known counts as full for the negative electrode: slow, not unsafe. A reading
  that is missing asks for nothing; a missing current is none that can be counted.
- With a time by which the pack is wanted, the current is the gentlest that is in time by the
  forecast; where none is, all that is allowed is taken, and `late_hour` says by how much.
"""

from dataclasses import dataclass, replace
from math import isfinite
from typing import Final

import numpy as np

from cellwarden.control.charge_settings import Charged, Charging, Phase
from cellwarden.control.charge_time import Fullest, forecast, gentlest
from cellwarden.control.limit_settings import Known
from cellwarden.domain import Allowance, Charge, Condition, Interval, Reading, Restraint
from cellwarden.physics.circuit import arrhenius, circuit_of
from cellwarden.physics.plating import Plating, plating_of, read_rate

__all__ = ["Asked", "Wish", "step"]

_NAN: Final = float("nan")
_INF: Final = float("inf")
_PUNCTUAL: Final = 0.97  # of the time left that is aimed for; forecasts err
_PLAN_SECOND: Final = 30.0
_LONGEST_SECOND: Final = 60.0  # a longer silence is not counted
_STD_COUNT: Final = 2.0
_CAPACITY_STD: Final = 0.02
_FULL_PARTS: Final = 1.5  # of the cut-off, up to which the current that could flow is none
_PASSING: Final = frozenset(
    {"allowance.recovery", "allowance.forecast", "voltage", "plating", "revive"}
)
_FALLEN: Final = 0.04  # of the voltage window, by which the highest cell must have fallen
_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person or a charger wants: to charge, and by when it should be done."""

    charge: bool
    ready_unix_second: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the charger is asked for, and what holds it back, the tightest first.

    `hours` is the time left at what is asked for now; `late_hour` how much later than wanted.
    """

    phase: Phase
    voltage_volt: float
    current_ampere: float
    by: tuple[Restraint, ...] = ()
    hours: float = 0.0
    hours_band: Interval | None = None
    late_hour: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    low_volt: float
    high_volt: float
    sum_volt: float
    ampere: float
    coldest_celsius: float
    hottest_celsius: float
    cell: Fullest | None


def step(
    charging: Charging,
    state: Charged,
    reading: Reading,
    known: Known,
    allowance: Allowance,
    *,
    wish: Wish,
) -> tuple[Charged, Asked]:
    """What to ask of the charger from now on. [V, A, h]"""
    seen = _look(charging, reading, known.charge, known.condition)
    state = _count(state, reading.clock_second, seen.ampere)
    if not wish.charge:
        return Charged(clock_second=reading.clock_second), Asked(Phase.IDLE, 0.0, 0.0)
    state = _advance(charging, state, seen)
    if state.phase in {Phase.DONE, Phase.REFUSED} or not isfinite(seen.sum_volt):
        why = state.refusal or ("a cell is not read" if state.phase is not Phase.DONE else "")
        return state, Asked(state.phase, 0.0, 0.0, reason=why)
    plating = plating_of(charging.anode_margin_volt) if _gentle(charging) else None
    rules = _rules(charging, state, seen, allowance, plating)
    hours_left = _INF
    if wish.ready_unix_second is not None:
        hours_left = (wish.ready_unix_second - reading.frame.unix_time_second) / _HOUR
    # What only waits to come back, and what changes with the charge itself, is no pace of hours.
    pace = min(rule.limit_ampere for rule in rules if rule.name not in _PASSING)
    state = _plan(charging, state, (seen.cell, plating), max(pace, 0.0), hours_left)
    nominal = charging.pack.nominal_capacity_ah
    if isfinite(state.rate_per_hour):
        rules.append(Restraint("in_time", state.rate_per_hour * nominal, hours_left))
    rules.sort(key=lambda rule: rule.limit_ampere)
    ampere = max(rules[0].limit_ampere, 0.0)
    volt = seen.sum_volt + charging.pack.series_count * (charging.high_volt - seen.high_volt)
    late = max(state.hours - hours_left, 0.0) if isfinite(hours_left) else 0.0
    return state, Asked(
        state.phase, volt, ampere, tuple(rules), state.hours, state.hours_band, late
    )


def _gentle(charging: Charging) -> bool:
    return charging.method == "gentle" and charging.plates


def _look(
    charging: Charging, reading: Reading, charge: Charge | None, condition: Condition | None
) -> _Seen:
    frame, count = reading.frame, charging.pack.series_count
    volt, celsius = frame.cell_voltage_volt, frame.cell_temperature_celsius
    total = float(volt.sum()) if len(volt) == count else _NAN
    read = np.isfinite(total)
    warm = celsius[np.isfinite(celsius)]
    coldest = float(warm.min()) if len(warm) else _NAN
    return _Seen(
        float(volt.min()) if read else _NAN,
        float(volt.max()) if read else _NAN,
        total if read else _NAN,
        frame.current_ampere,
        coldest,
        float(warm.max()) if len(warm) == len(celsius) and len(warm) else _NAN,
        _fullest(charging, charge, condition, coldest),
    )


def _fullest(
    charging: Charging, charge: Charge | None, condition: Condition | None, coldest: float
) -> Fullest | None:
    """The cell with the least room, with the worst of the others' resistance; none if not known."""
    count, nominal = charging.pack.series_count, charging.pack.nominal_capacity_ah
    if charge is None or len(charge.soc_fraction) != count:
        return None
    soc, std = charge.soc_fraction, charge.soc_std_fraction
    if not np.isfinite(soc.sum() + std.sum()):
        return None
    capacity, factor = np.full(count, nominal), 1.0
    error = np.full(count, _CAPACITY_STD * nominal)
    if condition is not None and len(condition.capacity_ah) == count:
        known = np.isfinite(condition.capacity_ah) & (condition.capacity_ah > 0.01 * nominal)
        capacity = np.where(known, condition.capacity_ah, nominal)
        if condition.capacity_std_ah is not None:
            error = np.where(known, np.nan_to_num(condition.capacity_std_ah), 0.1 * nominal)
        grown = condition.resistance_factor[np.isfinite(condition.resistance_factor)]
        factor = float(np.clip(grown.max(), 1.0, 100.0)) if len(grown) else 1.0
    at = int(np.argmin((1.0 - soc) * capacity))
    return Fullest(
        float(soc[at]),
        float(abs(std[at])),
        float(capacity[at]),
        float(abs(error[at])),
        factor,
        coldest,
    )


def _count(state: Charged, clock: float, ampere: float) -> Charged:
    """Time and charge since the last step; a clock that began anew counts nothing."""
    passed = clock - state.clock_second
    flows = state.phase in {Phase.REVIVE, Phase.BULK, Phase.HOLD}
    if not (flows and 0.0 < passed <= _LONGEST_SECOND):
        return replace(state, clock_second=clock)
    taken = max(ampere, 0.0) * passed / _HOUR if isfinite(ampere) else 0.0
    return replace(
        state,
        clock_second=clock,
        elapsed_second=state.elapsed_second + passed,
        revived_second=state.revived_second + (passed if state.phase is Phase.REVIVE else 0.0),
        full_second=state.full_second + passed,
        charged_ah=state.charged_ah + taken,
    )


def _advance(charging: Charging, state: Charged, seen: _Seen) -> Charged:
    """The phase that readings lead to, and whether the charge is refused."""
    if state.phase is Phase.REFUSED or not isfinite(seen.sum_volt):
        return replace(state, full_second=0.0)
    if state.phase is Phase.DONE:
        return _again(charging, state, seen)
    why = _refusal(charging, state, seen)
    if why:
        return replace(state, phase=Phase.REFUSED, refusal=why)
    margin = charging.revive_margin_volt if state.phase is Phase.REVIVE else 0.0
    if seen.low_volt < charging.revive_volt + margin and state.phase is not Phase.HOLD:
        return replace(state, phase=Phase.REVIVE, full_second=0.0)
    stage = state.stage
    while stage + 1 < len(charging.stages) and seen.high_volt >= charging.stages[stage].until_volt:
        stage += 1
    near = charging.high_volt - charging.full_within_volt
    # A voltage that is held stays so until it has fallen clearly: noise makes no phases.
    held = near - (charging.hold_margin_volt if state.phase is Phase.HOLD else 0.0)
    phase = Phase.HOLD if seen.high_volt >= held else Phase.BULK
    cutoff = charging.cutoff_rate_per_hour * charging.pack.nominal_capacity_ah
    # A pause with the voltage near its limit is not full: more would flow.
    full = (
        seen.high_volt >= near
        and 0.0 <= seen.ampere <= cutoff
        and _held(charging, seen) <= _FULL_PARTS * cutoff
    )
    reached = (
        charging.target_fraction < 1.0
        and seen.cell is not None
        and seen.cell.soc_fraction >= charging.target_fraction
    )
    done = reached or (full and state.full_second >= charging.full_second)
    return replace(
        state,
        phase=Phase.DONE if done else phase,
        stage=stage,
        full_second=state.full_second if full else 0.0,
    )


def _again(charging: Charging, state: Charged, seen: _Seen) -> Charged:
    """A full pack is charged again when it has lost enough, by its charge and by its voltage."""
    fallen = charging.high_volt - _FALLEN * (charging.high_volt - charging.revive_volt)
    whole = charging.target_fraction == 1.0 and seen.high_volt > fallen
    if seen.cell is None or whole:
        return state
    if seen.cell.soc_fraction >= charging.target_fraction - charging.again_fraction:
        return state
    return Charged(Phase.BULK, clock_second=state.clock_second)


def _refusal(charging: Charging, state: Charged, seen: _Seen) -> str:
    if seen.low_volt < charging.refuse_volt:
        return "a cell is discharged too deeply to be charged"
    if state.revived_second > charging.revive_second and seen.low_volt < charging.revive_volt:
        return "a deeply discharged cell does not come up"
    if state.elapsed_second > charging.most_second:
        return "charging takes too long"
    if state.charged_ah > charging.most_fraction * charging.pack.nominal_capacity_ah:
        return "more charge went in than the pack holds"
    return ""


def _rules(
    charging: Charging,
    state: Charged,
    seen: _Seen,
    allowance: Allowance,
    plating: Plating | None,
) -> list[Restraint]:
    nominal = charging.pack.nominal_capacity_ah
    first = allowance.charge_by[0] if allowance.charge_by else None
    name = f"allowance.{first.name}" if first else "allowance"
    value, item = (first.value, first.item) if first else (_NAN, -1)
    rules = [Restraint(name, allowance.charge_ampere, value, item)]
    if state.phase is Phase.REVIVE:
        rules.append(Restraint("revive", charging.revive_rate_per_hour * nominal, seen.low_volt))
    stage = charging.stages[min(state.stage, len(charging.stages) - 1)]
    rules.append(Restraint("stage", stage.rate_per_hour * nominal, stage.until_volt))
    rules.append(Restraint("voltage", _held(charging, seen), seen.high_volt))
    part = charging.warmth_celsius.read(seen.hottest_celsius)
    if part < 1.0:
        ampere = part * stage.rate_per_hour * nominal
        rules.append(Restraint("warmth", ampere, seen.hottest_celsius))
    if plating is not None:
        cell = seen.cell
        high = 1.0 if cell is None else cell.soc_fraction + _STD_COUNT * cell.soc_std_fraction
        rate = read_rate(plating, seen.coldest_celsius, min(max(high, 0.0), 1.0))
        holds = nominal if cell is None else min(cell.capacity_ah, nominal)
        grown = 1.0 if cell is None else cell.resistance_factor
        rules.append(Restraint("plating", rate * holds / grown, high))
    return rules


def _held(charging: Charging, seen: _Seen) -> float:
    """The current that takes the highest cell half of the way to its limit. [A]"""
    circuit = circuit_of(charging.pack.cell.chemistry, charging.pack.nominal_capacity_ah)
    grown = 1.0 if seen.cell is None else seen.cell.resistance_factor
    celsius = seen.coldest_celsius if isfinite(seen.coldest_celsius) else 25.0
    cold = float(arrhenius(circuit.activation_joule_per_mole, np.array(celsius)))
    flowing = max(seen.ampere, 0.0) if isfinite(seen.ampere) else 0.0
    room = charging.high_volt - seen.high_volt
    return max(flowing + 0.5 * room / (circuit.ohmic_ohm * grown * cold), 0.0)


def _plan(
    charging: Charging,
    state: Charged,
    believed: tuple[Fullest | None, Plating | None],
    pace: float,
    hours_left: float,
) -> Charged:
    """The gentlest rate that is in time, and the time left, worked out every half minute."""
    cell, plating = believed
    waited = state.clock_second - state.planned_clock_second
    wished = isfinite(hours_left) and state.phase in {Phase.BULK, Phase.HOLD}
    fits = isfinite(state.rate_per_hour) == wished
    if 0.0 <= waited < _PLAN_SECOND and fits and isfinite(state.hours) == (pace > 0.0):
        return state
    rate, nominal = state.rate_per_hour if wished else _NAN, charging.pack.nominal_capacity_ah
    if cell is None:
        return replace(state, rate_per_hour=_NAN, hours=_INF, hours_band=None)
    if wished and state.phase is Phase.BULK:  # in the last stretch as gently as before
        rate = gentlest(charging, plating, cell, pace, _PUNCTUAL * hours_left) / nominal
    ampere = min(rate * nominal, pace) if isfinite(rate) else pace
    hours, band = forecast(charging, plating, cell, ampere)
    return replace(
        state,
        rate_per_hour=rate,
        hours=hours,
        hours_band=band,
        planned_clock_second=state.clock_second,
    )
