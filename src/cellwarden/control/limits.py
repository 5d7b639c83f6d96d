"""Limits of current and power: the tightest of all rules, each with its reason.

Rules
- Every rule says what it leaves of each direction (a `Restraint`); the lowest is the target, and
  `control.recovery` lets the limit fall at once and come back slowly.
- The operating tier of the cell is the most that is ever allowed. Orders from outside (`Ceiling`)
  are one more rule: they tighten or do nothing.
- A reading that is missing keeps the limits from rising for `patience_second`: at the largest
  current a cell moves by less than a thousandth of its charge in that time, and one lost frame is
  no reason to stop. Then there is no charging and a tenth of discharging, and still nothing rises:
  what was forbidden before stays so. Part of the sensors of temperature missing leaves half, and
  nothing rises for ten minutes, in which a hot cell cools; a charge that is not known leaves half,
  and a capacity or a resistance that is not known counts as that of an aged cell.
- The charge is used two standard deviations to the worse side.
- Power is the current at the voltage that the pack has under that current, a charge at no more
  than the voltage that it has now: who obeys the power obeys the current too.
- The reasons are those rules that leave less than the tier, the tightest first; while a limit comes
  back, `recovery` stands before them, with the seconds of the hold that are left, then the rule
  that made it fall.
"""

from dataclasses import dataclass, field
from math import isfinite
from typing import Final

import numpy as np

from cellwarden.control.limit_rules import Way, Ways, collect, pack_volt, view_of
from cellwarden.control.limit_settings import Known, Limits, limits_of
from cellwarden.control.prospect import Lags, View, factor_of, flow, forecast
from cellwarden.control.recovery import Held, recover
from cellwarden.domain import Allowance, Capability, Reading, Restraint

__all__ = ["Known", "Limited", "Limits", "capability", "limits_of", "step"]

_NAN: Final = float("nan")
_COLD_FACTOR: Final = 5.0  # resistance where nobody knows how cold the pack is


@dataclass(frozen=True, slots=True)
class Limited:
    """What the next step needs: both limits, the lags, when readings were whole, whether it cools.

    A pack begins at zero and its limits rise from there.
    """

    clock_second: float = _NAN
    charge: Held = field(default_factory=Held)
    discharge: Held = field(default_factory=Held)
    lags: Lags = field(default_factory=Lags)
    whole_clock_second: float = float("-inf")
    warmth_clock_second: float = float("-inf")
    cooling: bool = False


def step(
    limits: Limits, state: Limited, reading: Reading, known: Known
) -> tuple[Limited, Allowance]:
    """What the pack may be given and asked for from now on. [A, W]"""
    clock = reading.clock_second
    passed = clock - state.clock_second
    period = max(0.0, passed)  # zero where there was no step before
    lags = flow(limits.prospect, state.lags, reading.frame.current_ampere, period)
    view = view_of(limits, reading, known)
    waited = clock - state.whole_clock_second, clock - state.warmth_clock_second
    ways = collect(limits, reading, known, (lags, view), waited)
    moment = clock, 0.0 if ways.waits else period
    charge, charge_by = _direction(limits, state.charge, ways.charge, ways, moment)
    discharge, discharge_by = _direction(limits, state.discharge, ways.discharge, ways, moment)
    cooling, cools = _cooling(limits, ways.hottest_celsius, cools=state.cooling)
    whole_clock = clock if ways.whole else state.whole_clock_second
    warmth_clock = clock if ways.warmth_whole else state.warmth_clock_second
    charge_watt, discharge_watt = _power(limits, reading, view, charge.ampere, discharge.ampere)
    after = Limited(clock, charge, discharge, lags, whole_clock, warmth_clock, cools)
    return after, Allowance(
        charge.ampere,
        discharge.ampere,
        charge_watt,
        discharge_watt,
        cooling,
        charge_by,
        discharge_by,
    )


def capability(limits: Limits, state: Limited, reading: Reading, known: Known) -> Capability:
    """Currents that each cell can stand for each horizon, by the bound of `control.prospect`. [A]

    `state` is the one after the step of this reading. A cell that is not read can do nothing.
    """
    charge, discharge = forecast(limits.prospect, state.lags, view_of(limits, reading, known))
    return Capability(
        reading.frame.unix_time_second,
        tuple(float(second) for second in limits.prospect.horizon_second),
        np.nan_to_num(charge),
        np.nan_to_num(discharge),
    )


def _direction(
    limits: Limits, held: Held, way: Way, ways: Ways, moment: tuple[float, float]
) -> tuple[Held, tuple[Restraint, ...]]:
    """One direction's limit, and its reasons."""
    (clock, period), most = moment, way.most_ampere
    listed = sorted(way.rules, key=lambda rule: rule.limit_ampere)
    target = listed[0] if listed else Restraint("tier", most, most)
    after = recover(limits.recovery, held, target, most, clock_second=clock, period_second=period)
    reasons = [Restraint(w.name, after.ampere, w.value, w.item) for w in ways.waits]
    if after.ampere < target.limit_ampere:
        left = max(limits.recovery.hold_second - (clock - after.low_clock_second), 0.0)
        reasons.append(Restraint("recovery", after.ampere, left))
        if after.cause is not None:
            reasons.append(after.cause)
    return after, (*reasons, *listed) or (target,)


def _power(
    limits: Limits, reading: Reading, view: View, charge: float, discharge: float
) -> tuple[float, float]:
    """Each current at the lowest voltage that the pack may have under it. [W]"""
    now, _ = pack_volt(limits, reading, view)
    ohm = float(limits.prospect.ohm[:, limits.horizon_index].sum())
    worst = float(np.max(factor_of(limits.prospect, view)))
    ohm *= limits.pack.series_count * (1.0 + limits.prospect.caution_fraction)
    ohm *= worst if isfinite(worst) else _COLD_FACTOR
    flowing = view.current_ampere if isfinite(view.current_ampere) else 0.0
    falls_charging = ohm * max(flowing - charge, 0.0)
    falls = ohm * max(discharge + flowing, 0.0)
    return charge * max(now - falls_charging, 0.0), discharge * max(now - falls, 0.0)


def _cooling(limits: Limits, hottest: float, *, cools: bool) -> tuple[float, bool]:
    """What is asked of the cooling; all of it where nobody knows how hot the pack is. [1]"""
    if not isfinite(hottest):
        return 1.0, True
    begin = limits.curves.cooling_celsius.at[0]
    on = hottest >= (begin - limits.cooling_hysteresis_celsius if cools else begin)
    return (limits.curves.cooling_celsius.read(hottest) if on else 0.0), on
