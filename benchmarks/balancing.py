"""Balancing on the twin: how long, how much energy, and what is wasted on cells that are only old.

    cellwarden bench balancing [--quick] [--json]

Rules
- The twin is NMC, 12 cells of 3 Ah, 60 s a step, seed 1; resistors of 60 ohm (a bleed of 1/50 of
  the hourly rate), turns of 10 minutes with a quiet minute, because the twin is read once a minute.
- What is known of the cells is the twin's truth with a stated error: charge 0.2 %, capacity 1 %.
- `uneven`: charges spread by 1 %, capacities by 2 %, stored; passive, and active with a converter
  of 0.3 A at 90 %. `aged`: capacities spread by 8 %, resistances by 20 %, all full at the start, 1C
  discharge and C/2 charge; what is balanced there is wasted. `naive` bleeds whatever stands 10 mV
  above the lowest cell at any moment, load or not.
- Imbalance is the difference of the cells' rooms to full: what balancing is there to remove.
"""

import time
from dataclasses import replace
from typing import Any, Final

import numpy as np

from cellwarden.control.balance import Balanced, Balancing, step
from cellwarden.control.bleed import Bleed
from cellwarden.domain import (
    CHEMISTRIES,
    CLOSED,
    Cell,
    Charge,
    Command,
    Condition,
    Frame,
    Inputs,
    Monitors,
    Pack,
    Reading,
    tiers,
)
from cellwarden.physics import Twin, TwinConfig

__all__ = ["AGED", "BLEED", "UNEVEN", "level", "run", "told_by"]

_DAY: Final = 86_400.0
_NAIVE_VOLT: Final = 0.010
_UNITS: Final = {"hour": "h", "wh": "Wh", "ah": "Ah"}
_FREE: Final = 1e9  # A; limits are not what is shown here
BLEED: Final = Bleed(ohm=60.0, turn_second=600.0, quiet_second=60.0)
UNEVEN: Final = TwinConfig(
    "twin", series_count=12, period_second=60.0, duration_second=_DAY, profile="storage", seed=1,
    soc_fraction=0.9, soc_spread_fraction=0.01, capacity_spread_fraction=0.02,
)  # fmt: skip
AGED: Final = replace(
    UNEVEN, profile="cycle", duration_second=7 * _DAY, soc_fraction=1.0, soc_spread_fraction=0.0,
    capacity_spread_fraction=0.08, resistance_spread_fraction=0.2,
)  # fmt: skip


def told_by(twin: Twin, clock: float) -> tuple[Reading, Charge, Condition] | None:
    """The twin's next reading, and what is known of its cells."""
    frames = twin.read(1)
    if frames is None:
        return None
    truth, count = twin.truth(), twin.config.series_count
    frame = Frame(
        float(frames.unix_time_second[0]),
        float(frames.voltage_volt[0]),
        float(frames.current_ampere[0]),
        frames.cell_voltage_volt[0],
        frames.cell_temperature_celsius[0],
    )
    flat = np.zeros(count)
    monitors = Monitors(np.zeros(1, np.int64), np.full(1, 3.0), np.zeros(1), np.zeros(count, bool))
    charge = Charge(frame.unix_time_second, truth.soc_fraction, np.full(count, 0.002), flat, flat)
    std = np.full(count, 0.01 * twin.config.nominal_capacity_ah)
    condition = Condition(truth.capacity_ah, np.ones(count), std)
    return Reading(clock, frame, monitors, Inputs()), charge, condition


def level(config: TwinConfig, settings: Balancing, *, naive: bool = False) -> dict[str, Any]:
    """Runs a twin to its end under balancing."""
    twin, state, clock = Twin(config), Balanced.begin(config.series_count), 0.0
    first, last, told, wasted = float("nan"), float("nan"), None, 0.0
    while (seen := told_by(twin, clock)) is not None:
        reading, charge, condition = seen
        volt = reading.frame.cell_voltage_volt.astype(np.float64)
        state, levelling = step(settings, state, reading, charge, condition, allowed=not naive)
        balance = tuple((volt - volt.min() > _NAIVE_VOLT).tolist()) if naive else levelling.balance
        busy = any(balance) or bool(levelling.moves)
        if busy and np.isnan(first):
            told, first = None if naive else levelling, clock
        last = clock if busy else last
        if naive:
            wasted += float((volt**2 * balance).sum()) / settings.bleed.ohm / 60.0
        twin.write(Command(CLOSED, _FREE, _FREE, balance))
        clock += config.period_second
    truth = twin.truth()
    return {
        "took_hour": (last - first) / 3600.0,
        "told_hour": told.hours if told else float("nan"),
        "told_low_hour": told.hours_band.low if told and told.hours_band else float("nan"),
        "told_high_hour": told.hours_band.high if told and told.hours_band else float("nan"),
        "told_wh": told.cost_wh if told else float("nan"),
        "lost_wh": wasted if naive else state.lost_wh,
        "imbalance_ah": float(np.ptp((1.0 - truth.soc_fraction) * truth.capacity_ah)),
        "least_ah": float(truth.capacity_ah.min()),
    }


def _moved(settings: Balancing) -> dict[str, float]:
    """Hours and watt-hours told for the uneven pack; the twin carries no charge between cells."""
    twin = Twin(UNEVEN)
    seen = told_by(twin, 0.0)
    if seen is None:
        return {}
    reading, charge, condition = seen
    state = Balanced.begin(UNEVEN.series_count)
    state, told = step(settings, state, reading, charge, condition, allowed=True)
    return {"told_hour": told.hours, "told_wh": told.cost_wh}


def _cost(step_count: int) -> float:
    """A step for 200 cells of which half owe. [ms]"""
    kind, count = CHEMISTRIES["NMC"], 200
    pack = Pack("pack", Cell(kind, 50.0, tiers(kind, 50.0)), count)
    settings, state, flat = Balancing(pack), Balanced.begin(count), np.zeros(count)
    soc = 0.9 + 0.02 * np.random.default_rng(1).standard_normal(count)
    volt = np.interp(soc, kind.ocv_soc_fraction, kind.ocv_volt).astype(np.float32)
    monitors = Monitors(np.zeros(17, np.int64), np.full(17, 3.0), np.zeros(17), flat > 0.0)
    condition = Condition(np.full(count, 50.0), np.ones(count))
    spent = 0.0
    for index in range(step_count):
        clock = 0.1 * index
        frame = Frame(clock, float(volt.sum()), 0.0, volt, np.full(count, 25.0, np.float32))
        charge = Charge(clock, soc, np.full(count, 0.002), flat, flat)
        reading = Reading(clock, frame, monitors, Inputs())
        begun = time.thread_time()
        state, _ = step(settings, state, reading, charge, condition, allowed=True)
        spent += time.thread_time() - begun
    return 1e3 * spent / step_count


def run(*, quick: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    passive = Balancing(UNEVEN.pack(), BLEED)
    active = replace(passive, shuttle_ampere=0.3)
    aged = replace(AGED, duration_second=_DAY) if quick else AGED
    days = aged.duration_second / _DAY
    rows = [
        {"who": "uneven, passive", **level(UNEVEN, passive)},
        {"who": "uneven, active, told", **_moved(active)},
        {"who": f"aged, by charge, {days:.0f} d", **level(aged, passive)},
        {"who": f"aged, naive, {days:.0f} d", **level(aged, passive, naive=True)},
    ]
    figures = [
        {"name": f"balancing.{name.replace(', ', '_').replace(' ', '_')}.{key}",
         "value": round(value, 4), "unit": _UNITS[key.rsplit("_", 1)[1]], "data": "twin, seed 1"}
        for name, key, value in (
            ("passive", "told_hour", rows[0]["told_hour"]),
            ("passive", "took_hour", rows[0]["took_hour"]),
            ("passive", "lost_wh", rows[0]["lost_wh"]),
            ("active", "told_hour", rows[1]["told_hour"]),
            ("active", "told_wh", rows[1]["told_wh"]),
            ("aged.by_charge", "lost_wh", rows[2]["lost_wh"]),
            ("aged.by_charge", "imbalance_ah", rows[2]["imbalance_ah"]),
            ("aged.naive", "lost_wh", rows[3]["lost_wh"]),
            ("aged.naive", "imbalance_ah", rows[3]["imbalance_ah"]),
        )
    ]  # fmt: skip
    mean = _cost(300 if quick else 3000)
    figures.append({"name": "balancing.step_200.mean_ms", "value": round(mean, 4), "unit": "ms"})
    keys = ("told_hour", "told_low_hour", "told_high_hour", "took_hour", "told_wh", "lost_wh",
            "imbalance_ah")  # fmt: skip
    notes = [
        "| who | told, h | band, h | took, h | told, Wh | lost, Wh | imbalance left, Ah |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [f"{row[key]:.2f}" if key in row and np.isfinite(row[key]) else "-" for key in keys]
        told, low, high, took, *others = cells
        notes.append(f"| {row['who']} | {told} | {low} to {high} | {took} | {' | '.join(others)} |")
    return {"figures": figures, "rows": rows, "notes": notes}
