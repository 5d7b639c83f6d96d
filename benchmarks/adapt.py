"""What a pack gains by adapting to its user, over simulated years; and what its user loses.

    cellwarden bench adapt [--json] [--quick]

Rules
- Each pack lives day by day until its capacity falls to 80 %, at most 25 years: once with the free
  regime, once adapting within the bounds. Uses and climates are those named in the rows; the hourly
  air of Miami and the swings of a personal car are data (duty_profiles), the others are made.
- The pack ages by another law than the device believes in: speeds of calendar and cycle loss drawn
  anew for each pack, 0.6 to 1.6 of the believed ones, and a warming by charging of its own. The
  device sees need, charge, temperature and time plugged in with the errors of an estimate.
- `careful` may miss 2 % more days and 0.5 % more charge than the free regime, `generous` 15 % and
  5 %.
- `unmet` counts days on which the window held less than the day asked for, `free` the same without
  adapting; `slower` is the added time of charging of a day.
"""

import argparse
import json
from dataclasses import dataclass, replace
from typing import Any, Final

import duckdb
import numpy as np

from cellwarden.control import adapt
from cellwarden.control.habit import Day
from cellwarden.datasets import locate
from cellwarden.domain import Regime, RegimeBounds
from cellwarden.physics.aging import Aging, Stress, fresh, step

_FREE: Final = Regime(0.05, 1.0, 1.0, 40.0)
_GENTLE: Final = Regime(0.2, 0.6, 0.1, 28.0)
_END: Final = 0.8
_LONGEST_DAY: Final = 25 * 365
_START: Final = 1_750_000_000.0


@dataclass(frozen=True, slots=True)
class Use:
    """What is asked of a pack each day: mean and spread of the need, hours plugged in, the air."""

    name: str
    need: float
    spread: float
    plugged_hour: float
    celsius: float
    swing: float
    free_rate: float = 1.0
    changes_after_day: int = 0  # from then on the need is that of a long way to work


USES: Final = (
    Use("short way to work, mild", 0.2, 0.06, 12.0, 12.0, 9.0),
    Use("short way to work, Miami", 0.2, 0.06, 12.0, 25.5, 4.0),
    Use("daily deep discharge, mild", 0.75, 0.07, 10.0, 12.0, 9.0),
    Use("daily deep discharge, Miami", 0.75, 0.07, 10.0, 25.5, 4.0),
    Use("taxi in two shifts, mild", 0.85, 0.05, 2.0, 12.0, 9.0),
    Use("home storage, mild", 0.6, 0.2, 14.0, 18.0, 4.0),
    Use("moves house after two years, mild", 0.2, 0.06, 12.0, 12.0, 9.0, changes_after_day=730),
)


def miami() -> tuple[float, float]:
    """Mean and half the yearly swing of Miami's air, from its hourly record. [°C]"""
    path = locate("duty_profiles", "climate_hourly_temperature_miami")
    table = duckdb.sql("SELECT * FROM read_parquet(?)", params=[str(path)]).fetchnumpy()
    (name,) = [column for column in table if "emperature" in column or "degC" in column]
    hourly = np.asarray(table[name], dtype=np.float64)
    days = hourly[: len(hourly) // 24 * 24].reshape(-1, 24).mean(axis=1)
    smooth = np.convolve(days, np.ones(30) / 30.0, mode="valid")
    return float(hourly.mean()), float((smooth.max() - smooth.min()) / 2.0)


@dataclass(frozen=True, slots=True)
class Life:
    """How a pack lived."""

    day_count: int
    unmet_day_fraction: float
    charging_hour: float
    change_count: int
    regime: Regime
    reasons: tuple[str, ...]


def live(use: Use, seed: int, bounds: RegimeBounds | None, longest: int = _LONGEST_DAY) -> Life:
    """Days until the end of life, with or without adapting."""
    random = np.random.default_rng([seed, 77])
    calendar, cycle = random.uniform(0.6, 1.6, 2)
    warming, stress = random.uniform(5.0, 14.0), random.uniform(0.07, 0.23)
    free = replace(_FREE, charge_rate_per_hour=use.free_rate)
    state = adapt.begin(bounds) if bounds is not None else adapt.Adapting(free)
    aging, unmet, hours, day = fresh(1), 0, 0.0, 0
    reasons: list[str] = []
    while day < longest and float(aging.capacity_factor[0]) > _END:
        regime, capacity = state.regime, float(aging.capacity_factor[0])
        asked = use.need if not 0 < use.changes_after_day <= day else 0.7
        need = float(np.clip(random.normal(asked, use.spread), 0.02, 1.2) / capacity)
        window = regime.high_soc_fraction - regime.low_soc_fraction
        charging = min(need, window) / regime.charge_rate_per_hour
        served = min(need, window, regime.charge_rate_per_hour * use.plugged_hour)
        unmet += served < need
        hours += min(charging, use.plugged_hour)
        air = use.celsius - use.swing * np.cos(2 * np.pi * day / 365.0) + random.normal(0.0, 2.0)
        share = min(charging / 24.0, 1.0)
        warm = min(
            air + 3.0 + warming * regime.charge_rate_per_hour**2 * share,
            max(regime.cooling_temperature_celsius, air - 8.0),
        )
        soc = regime.high_soc_fraction - 0.4 * served
        fast = cycle * float(np.exp(stress * regime.charge_rate_per_hour))
        aging = _age(aging, (soc, warm, served), calendar, fast)
        if bounds is not None:
            seen = _seen(random.normal(size=4), day, (need, served, soc, warm, air), regime, use)
            state, changes = adapt.step(state, seen, bounds)
            reasons += [
                f"{one.deed} {one.setting} {one.before:g} -> {one.after:g}: {one.reason}"
                for one in changes
            ]
        else:
            random.normal(size=4)  # the same days as the pack that adapts
        day += 1
    return Life(day, unmet / day, hours / day, len(reasons), state.regime, tuple(reasons))


def _age(aging: Aging, lived: tuple[float, float, float], calendar: float, cycle: float) -> Aging:
    """A day older, with speeds of its own for time and for use."""
    soc, celsius, served = (np.array([value]) for value in lived)
    stress = Stress(1.0, soc, celsius, served, served)
    by_time = step(aging, replace(stress, full_cycle_count=0.0 * soc), calendar)
    by_use = step(aging, replace(stress, day_count=0.0), cycle)
    return replace(
        aging,
        calendar_loss_fraction=by_time.calendar_loss_fraction,
        cycle_loss_fraction=by_use.cycle_loss_fraction,
    )


def _seen(
    wrong: np.ndarray,
    day: int,
    lived: tuple[float, float, float, float, float],
    regime: Regime,
    use: Use,
) -> Day:
    """The day as the device estimates it; what was asked and not given it cannot see."""
    need, served, soc, warm, _air = lived
    return Day(
        unix_time_second=_START + 86_400.0 * day,
        need_fraction=max(served + 0.02 * wrong[0], 0.0),
        low_soc_fraction=regime.high_soc_fraction - served,
        high_soc_fraction=regime.high_soc_fraction,
        mean_soc_fraction=soc + 0.02 * wrong[1],
        mean_temperature_celsius=warm + wrong[2],
        peak_temperature_celsius=warm + 6.0 + wrong[2],
        full_cycle_count=served,
        charge_rate_per_hour=regime.charge_rate_per_hour,
        plugged_second=3600.0 * use.plugged_hour * (1.0 + 0.05 * wrong[3]),
        exhausted=served < need,
    )


_COMFORTS: Final = {"careful": (0.02, 0.005), "generous": (0.15, 0.05)}


def run(*, quick: bool = False) -> dict[str, Any]:
    """Years gained and days lost, by use and by what may be missed."""
    mean, swing = miami()
    packs = 2 if quick else 8
    rows = []
    for use in USES:
        if "Miami" in use.name:
            use = replace(use, celsius=mean, swing=swing)  # noqa: PLW2901  the data's own air
        free = [live(use, seed, None) for seed in range(packs)]
        for comfort, (days, charge) in _COMFORTS.items():
            bounds = RegimeBounds(
                _GENTLE, _FREE, applies=True, unmet_day_fraction=days, unserved_fraction=charge
            )
            lives = [live(use, seed, bounds) for seed in range(packs)]
            rows.append(_row(use, comfort, list(zip(free, lives, strict=True))))
    data = f"{packs} packs a use, seeds 0..{packs - 1}; made uses, air of Miami from duty_profiles"
    figures = []
    for comfort in _COMFORTS:
        some = [row for row in rows if row["comfort"] == comfort]
        ratio = np.median([row["life_ratio"] for row in some])
        added = max(row["unmet"] - row["unmet_free"] for row in some)
        for name, value in (("life_ratio.median", ratio), ("unmet_days.added.worst", added)):
            named = f"adapt.{comfort}.{name}"
            figures.append({"name": named, "value": float(f"{value:.4g}"), "unit": "1"})
            figures[-1]["data"] = data
    notes = [
        f"{row['use']}, {row['comfort']}: {row['years_free']:.1f} -> {row['years']:.1f} years"
        f" (x{row['life_ratio']:.2f}), unmet days {row['unmet_free']:.1%} -> {row['unmet']:.1%},"
        f" charging {row['charging_hour_free']:.1f} -> {row['charging_hour']:.1f} h a day"
        for row in rows
    ]
    return {"figures": figures, "rows": rows, "notes": notes}


def _row(use: Use, comfort: str, lives: list[tuple[Life, Life]]) -> dict[str, Any]:
    def mean(which: int, name: str) -> float:
        return float(np.mean([getattr(pair[which], name) for pair in lives]))

    ratios = [gentle.day_count / free.day_count for free, gentle in lives]
    return {
        "use": use.name,
        "comfort": comfort,
        "years_free": mean(0, "day_count") / 365.0,
        "years": mean(1, "day_count") / 365.0,
        "life_ratio": float(np.mean(ratios)),
        "life_ratio_lowest": float(np.min(ratios)),
        "unmet_free": mean(0, "unmet_day_fraction"),
        "unmet": mean(1, "unmet_day_fraction"),
        "charging_hour_free": mean(0, "charging_hour"),
        "charging_hour": mean(1, "charging_hour"),
        "changes": mean(1, "change_count"),
        "reasons": list(lives[0][1].reasons[:6]),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    print(json.dumps(run(quick=parser.parse_args().quick), indent=2))


if __name__ == "__main__":
    main()
