"""A gentler regime where the habit allows it, with its reason, its gain and its price.

Rules
- Once a day, from the days that are remembered, each setting is tried on its own grid inside the
  signed bounds; the law of ageing says how much loss each saves, the days say how many of them
  would have fallen short. What is chosen saves most, saves `LEAST_GAIN` of the loss at least, and
  leaves no more days unmet than the bounds allow.
- One change at a time, and none within `REST_DAYS` of the last: a regime does not flap. When days
  fall short that did not before, the setting that holds them back is loosened at once.
- Bounds that say "propose" change nothing; bounds that have run out free the regime.
- A person overrules a setting for as long as they say; it is left alone until then. `undo` takes
  the newest change back and leaves that setting alone for `UNDONE_DAYS`.
- What the device sees may be wrong about the size of ageing; ratios of the law are what is used,
  so a battery that ages twice as fast gets the same regime.
- A heat answer that has grown by `HEAT_GROWTH` asks for a check of the cooling, once until reset.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.control.habit import Day, Habit, note
from cellwarden.domain.regime import Regime, RegimeBounds
from cellwarden.errors import UsageError
from cellwarden.physics.aging import Stress, fresh
from cellwarden.physics.aging import step as age

__all__ = [
    "FEWEST_DAYS",
    "HEAT_GROWTH",
    "LEAST_GAIN",
    "REST_DAYS",
    "UNDONE_DAYS",
    "Adapting",
    "Change",
    "Deed",
    "Outlook",
    "begin",
    "foresee",
    "overrule",
    "step",
    "undo",
]

FEWEST_DAYS: Final = 28
REST_DAYS: Final = 14
UNDONE_DAYS: Final = 180
LEAST_GAIN: Final = 0.03
HEAT_GROWTH: Final = 1.25
_YEAR_DAYS: Final = 365.0
_DAY_SECOND: Final = 86_400.0
_MARGIN: Final = 0.05  # of the window, kept above the need of the days
_TIME_MARGIN: Final = 0.2  # of the charging time, kept before the next use
_LOOK_DAYS: Final = 7  # how often a gentler regime is looked for
_LOOSENED_DAYS: Final = 90
_NO_NEED: Final = 1e-6
_UNSEEN: Final = 0.1  # what an empty window is taken to have lacked, when it is to be widened
_RISE_KELVIN: Final = 9.0  # what charging at one capacity an hour warms a pack by; typical
# Growth of cycle loss with the rate, 370.3 J/(mol (1/h)) over RT at 25 °C: J. Wang et al., J. Power
# Sources 196 (2011) 3942, doi 10.1016/j.jpowsour.2010.11.134, for LFP; taken for all chemistries.
_RATE_STRESS_HOUR: Final = 0.149
_DEEP_FRACTION: Final = 0.7
_HOT_CELSIUS: Final = 35.0
_GRIDS: Final = {
    "high_soc_fraction": (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6),
    "low_soc_fraction": (0.08, 0.1, 0.15, 0.2, 0.25),
    "charge_rate_per_hour": (0.7, 0.5, 0.3, 0.2, 0.15, 0.1),
    "cooling_temperature_celsius": (37.0, 35.0, 33.0, 30.0, 28.0),
}


class Deed(StrEnum):
    """What became of a change."""

    PROPOSED = "proposed"
    APPLIED = "applied"
    LOOSENED = "loosened"
    OVERRULED = "overruled"
    UNDONE = "undone"
    CHECK = "check"  # asks for a person, changes nothing
    FREED = "freed"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a setting: why, what it saves, what it costs.

    `gain_fraction` is the share of the yearly loss that it saves by the law of ageing,
    `unmet_day_fraction` the share of the remembered days that would have fallen short.
    """

    unix_time_second: float
    deed: Deed
    setting: str
    before: float
    after: float
    reason: str
    gain_fraction: float = 0.0
    unmet_day_fraction: float = 0.0


_NO_HABIT: Final = Habit()


@dataclass(frozen=True, slots=True)
class Adapting:
    """The regime in force, the habit behind it, and how it came to be."""

    regime: Regime
    habit: Habit = _NO_HABIT
    history: tuple[Change, ...] = ()
    standing: tuple[Change, ...] = ()  # what `undo` takes back, the newest last
    pinned: tuple[tuple[str, float], ...] = ()
    last_change_day: int = -REST_DAYS
    heat_told: bool = False

    def is_pinned(self, setting: str, unix_time_second: float) -> bool:
        """Whether a person's word still stands for a setting."""
        return any(name == setting and until > unix_time_second for name, until in self.pinned)


_KEPT_CHANGES: Final = 64


def begin(bounds: RegimeBounds) -> Adapting:
    """Before anything was learnt: the free regime."""
    return Adapting(bounds.free)


def step(
    state: Adapting, day: Day, bounds: RegimeBounds, *, aging_speed: float = 1.0
) -> tuple[Adapting, tuple[Change, ...]]:
    """One day later: what was learnt, and what changes because of it."""
    now = day.unix_time_second
    state = replace(state, habit=note(state.habit, day))
    if now >= bounds.expires_unix_time_second:
        return _free(state, bounds, now)
    clipped = bounds.clip(state.regime)
    said = {name: _setting(state.regime, name) for name in _GRIDS if state.is_pinned(name, now)}
    with contextlib.suppress(UsageError):  # an empty window: then the bounds go before
        clipped = replace(clipped, **said)  # a person's word stands until its time is over
    changes: list[Change] = []
    if clipped != state.regime:
        changes += _differences(state.regime, clipped, now, "the signed bounds have changed")
        state = replace(state, regime=clipped)
    heat = _look_at_heat(state, now)
    if heat is not None:
        changes.append(heat)
        state = replace(state, heat_told=True)
    if len(state.habit.days) >= FEWEST_DAYS:
        found = _loosen(state, bounds, now, aging_speed) or _choose(state, bounds, now, aging_speed)
        if found is not None:
            changes.append(found)
            if found.deed is not Deed.PROPOSED:
                state = replace(state, regime=replace(state.regime, **{found.setting: found.after}))
            if found.deed is Deed.LOOSENED:
                state = _pin(state, found.setting, now + _LOOSENED_DAYS * _DAY_SECOND)
            state = replace(state, last_change_day=state.habit.day_count)
    return _remember(state, changes), tuple(changes)


def overrule(
    state: Adapting, setting: str, value: float, until_unix_time_second: float, now: float
) -> tuple[Adapting, Change]:
    """A person sets a setting, for as long as they say; limits of the pack hold as always.

    Raises:
        UsageError: no such setting, or a regime that cannot be.
    """
    before = _setting(state.regime, setting)
    regime = replace(state.regime, **{setting: value})
    change = Change(now, Deed.OVERRULED, setting, before, value, "a person has set it")
    state = _pin(replace(state, regime=regime), setting, until_unix_time_second)
    return _remember(state, [change]), change


def undo(state: Adapting, now: float) -> tuple[Adapting, Change]:
    """Take the newest change of the regime back; its setting is then left alone for a time.

    Raises:
        UsageError: nothing has been changed.
    """
    if not state.standing:
        raise UsageError("nothing has been changed", hint="There is nothing to undo.")
    *before, change = state.standing
    regime = replace(state.regime, **{change.setting: change.before})
    back = Change(now, Deed.UNDONE, change.setting, change.after, change.before, "taken back")
    state = replace(state, regime=regime, standing=tuple(before))
    return _remember(_pin(state, change.setting, now + UNDONE_DAYS * _DAY_SECOND), [back]), back


def _pin(state: Adapting, setting: str, until_unix_time_second: float) -> Adapting:
    """Leave a setting alone until then."""
    others = tuple(pin for pin in state.pinned if pin[0] != setting)
    return replace(state, pinned=(*others, (setting, until_unix_time_second)))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the remembered days would cost and give under a regime, as shares."""

    yearly_loss_fraction: float
    unmet_day_fraction: float
    unserved_fraction: float

    def serves_as(self, free: "Outlook", bounds: RegimeBounds) -> bool:
        """Whether no more is missed against the free regime than the bounds allow."""
        days = self.unmet_day_fraction - free.unmet_day_fraction
        charge = self.unserved_fraction - free.unserved_fraction
        return days <= bounds.unmet_day_fraction and charge <= bounds.unserved_fraction


def foresee(
    habit: Habit, regime: Regime, aging_speed: float = 1.0, *, unseen_fraction: float = 1.0
) -> Outlook:
    """What a year of such days costs under a regime, and how often it falls short.

    `unseen_fraction` is how much more a day may have asked for that ended with an empty window.
    """
    seen = habit.column("need_fraction")
    need = seen + unseen_fraction * habit.column("exhausted")
    rate = regime.charge_rate_per_hour
    window = regime.high_soc_fraction - regime.low_soc_fraction
    in_time = rate * habit.column("plugged_second") / 3600.0 / (1.0 + _TIME_MARGIN)
    served = np.minimum(need, np.minimum(window, in_time))
    unmet = need > np.minimum(window - _MARGIN, in_time)
    depth = np.clip(served, 0.0, 1.0)
    # A day starts full, gives what is asked, and is charged at once: most of it stands high.
    soc = regime.high_soc_fraction - 0.4 * depth
    share = np.divide(served, seen, out=np.ones_like(seen), where=seen > _NO_NEED)
    cycles = habit.column("full_cycle_count") * np.minimum(share, 1.0)
    celsius = _temperature(habit, regime, need)
    stress = Stress(_YEAR_DAYS, soc, celsius, cycles * _YEAR_DAYS, depth)
    aged = age(fresh(len(seen)), stress, aging_speed)
    by_use = aged.cycle_loss_fraction * np.exp(_RATE_STRESS_HOUR * rate)
    return Outlook(
        float(np.mean(aged.calendar_loss_fraction + by_use)),
        float(np.mean(unmet)),
        float(1.0 - served.sum() / max(need.sum(), 1e-9)),
    )


def _temperature(
    habit: Habit, regime: Regime, need: Float64[np.ndarray, " day"]
) -> Float64[np.ndarray, " day"]:
    """Mean temperature of each day: cooler when charged slower, cooled from the setting on."""
    seen = np.nan_to_num(habit.column("mean_temperature_celsius"), nan=25.0)
    rate = np.nan_to_num(habit.column("charge_rate_per_hour"), nan=regime.charge_rate_per_hour)
    # Heat goes with the square of the rate and its time with the inverse: the day's mean with one.
    warmed = _RISE_KELVIN * (regime.charge_rate_per_hour - rate) * need / 24.0
    found: Float64[np.ndarray, " day"] = np.minimum(
        seen + warmed, regime.cooling_temperature_celsius
    )
    return found


def _choose(state: Adapting, bounds: RegimeBounds, now: float, speed: float) -> Change | None:
    rested = state.habit.day_count - state.last_change_day
    if rested < REST_DAYS or state.habit.day_count % _LOOK_DAYS:
        return None
    present = foresee(state.habit, state.regime, speed)
    free = foresee(state.habit, bounds.free, speed)
    best: Change | None = None
    for found, setting in _gentler(state, bounds, now):
        ahead = foresee(state.habit, found, speed)
        gain = 1.0 - ahead.yearly_loss_fraction / present.yearly_loss_fraction
        better = gain >= LEAST_GAIN and (best is None or gain > best.gain_fraction)
        if better and ahead.serves_as(free, bounds):
            deed = Deed.APPLIED if bounds.applies else Deed.PROPOSED
            before, after = _setting(state.regime, setting), _setting(found, setting)
            reason = _reason(state.habit, setting)
            unmet = ahead.unmet_day_fraction
            best = Change(now, deed, setting, before, after, reason, gain, unmet)
    return best


def _gentler(state: Adapting, bounds: RegimeBounds, now: float) -> Iterator[tuple[Regime, str]]:
    """Every regime inside the bounds that is gentler in one setting."""
    regime = state.regime
    for setting, grid in _GRIDS.items():
        if state.is_pinned(setting, now):
            continue
        present = _setting(regime, setting)
        for value in grid:
            gentler = value > present if setting == "low_soc_fraction" else value < present
            low = value if setting == "low_soc_fraction" else regime.low_soc_fraction
            high = value if setting == "high_soc_fraction" else regime.high_soc_fraction
            if gentler and low < high:
                found = replace(regime, **{setting: value})
                if bounds.clip(found) == found:
                    yield found, setting


def _loosen(state: Adapting, bounds: RegimeBounds, now: float, speed: float) -> Change | None:
    """Give back what holds the last two weeks short, when the habit has changed."""
    recent = replace(state.habit, days=state.habit.days[-REST_DAYS:])
    present, free = (
        foresee(recent, one, speed, unseen_fraction=_UNSEEN) for one in (state.regime, bounds.free)
    )
    missed = present.unmet_day_fraction - free.unmet_day_fraction
    if missed <= bounds.unmet_day_fraction + 1.0 / REST_DAYS or not bounds.applies:
        return None
    best: Change | None = None
    for setting in _GRIDS:
        before, after = _setting(state.regime, setting), _setting(bounds.free, setting)
        if before == after or state.is_pinned(setting, now):
            continue
        looser = replace(state.regime, **{setting: after})
        ahead = foresee(recent, looser, speed, unseen_fraction=_UNSEEN)
        unmet = ahead.unmet_day_fraction
        if unmet < (present.unmet_day_fraction if best is None else best.unmet_day_fraction):
            reason = f"{missed:.0%} more of the last {REST_DAYS} days fell short than need have"
            best = Change(now, Deed.LOOSENED, setting, before, after, reason, 0.0, unmet)
    return best


def _reason(habit: Habit, setting: str) -> str:
    days = len(habit.days)
    need = habit.column("need_fraction")
    if setting == "high_soc_fraction":
        stood = np.mean(habit.column("mean_soc_fraction"))
        return (
            f"in {days} days at most {np.quantile(need, 0.98):.0%} of the charge was needed at"
            f" once, but the pack stood at {stood:.0%} on average"
        )
    if setting == "low_soc_fraction":
        deep = np.mean(need > _DEEP_FRACTION)
        return (
            f"{deep:.0%} of {days} days were deep discharges, down to"
            f" {np.median(habit.column('low_soc_fraction')):.0%} of charge"
        )
    if setting == "charge_rate_per_hour":
        hours = np.median(habit.column("plugged_second")) / 3600.0
        return f"the pack stands plugged in for {hours:.1f} h of a day, so it can charge slower"
    hot = np.mean(habit.column("peak_temperature_celsius") > _HOT_CELSIUS)
    return f"{hot:.0%} of {days} days were above {_HOT_CELSIUS:.0f} °C; loss is linked to heat"


def _look_at_heat(state: Adapting, now: float) -> Change | None:
    growth = state.habit.heat_growth()
    if state.heat_told or not growth > HEAT_GROWTH:
        return None
    reason = f"the pack warms {growth:.2f} times as much for the same current as when it was new"
    return Change(now, Deed.CHECK, "cooling", 1.0, growth, reason)


def _free(state: Adapting, bounds: RegimeBounds, now: float) -> tuple[Adapting, tuple[Change, ...]]:
    changes = _differences(state.regime, bounds.free, now, "the signed bounds have run out")
    state = replace(state, regime=bounds.free, standing=())
    return _remember(state, changes), tuple(changes)


def _differences(before: Regime, after: Regime, now: float, reason: str) -> list[Change]:
    return [
        Change(now, Deed.FREED, name, _setting(before, name), _setting(after, name), reason)
        for name in Regime.__slots__
        if _setting(before, name) != _setting(after, name)
    ]


def _remember(state: Adapting, changes: list[Change]) -> Adapting:
    acted = (Deed.APPLIED, Deed.LOOSENED, Deed.OVERRULED)
    standing = (*state.standing, *(change for change in changes if change.deed in acted))
    history = (*state.history, *changes)[-_KEPT_CHANGES:]
    return replace(state, history=history, standing=standing[-_KEPT_CHANGES:])


def _setting(regime: Regime, name: str) -> float:
    if name not in Regime.__slots__:
        raise UsageError(
            f"no setting is called {name!r}", hint=f"Use one of {', '.join(Regime.__slots__)}."
        )
    return float(getattr(regime, name))
