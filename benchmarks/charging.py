"""Charging a cell made of two particles: time, potential of its negative electrode, temperature.

    cellwarden bench charging [--quick] [--json]

Rules
- The cell is `physics.plating.graphite`, 5 Ah, 15 mohm in series, one lump of heat in still air
  (`physics.thermal`), from 10 % of charge at the temperature of the air. Its state of charge is the
  lithium of its particles, told with a standard deviation of 1 %.
- `plain` is constant current and constant voltage at a rate that stands beside it, inside the data
  sheet's window (0 to 45 °C, 4.2 V) and with no other limit; `cccv` the same under the allowance of
  `control.limits`; `gentle` the health-aware charge of `control.charge`, at most at 1C, under the
  same allowance but for its curve of temperature, in place of which stands the window.
- The potential is the model's own, at every second: below zero lithium can plate. `plated` is the
  charge that flowed while it was below zero.
- `slower` is a cell whose negative electrode is a third slower than the table knows; it is charged
  gently, once untold and once with its resistance told as 1.5.
- `ready` is wanted in 8 h and gets the gentlest current that is in time.
"""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from cellwarden.control.charge import Wish, step
from cellwarden.control.charge_settings import Charged, Charging, Phase, Stage, charging_of
from cellwarden.control.curves import Curve
from cellwarden.control.limits import Known, Limited, Limits, limits_of
from cellwarden.control.limits import step as limit
from cellwarden.domain import (
    CHEMISTRIES,
    Allowance,
    Cell,
    Charge,
    Condition,
    Frame,
    Inputs,
    Monitors,
    Pack,
    Reading,
    tiers,
)
from cellwarden.physics import particle, thermal
from cellwarden.physics.plating import CAPACITY_AH, anode_volt, graphite

__all__ = ["PACK", "WIDE", "charged", "plain", "run"]

_OHM: Final = 0.015
_BEGIN: Final = 0.1
_TARGET: Final = 0.8
_FLOWS_AMPERE: Final = 0.5
_LONGEST_HOUR: Final = 14.0
_KIND: Final = CHEMISTRIES["NMC"]
PACK: Final = Pack("cell", Cell(_KIND, CAPACITY_AH, tiers(_KIND, CAPACITY_AH)))
# The curve of temperature as the data sheet has it: all or nothing.
WIDE: Final = replace(
    limits_of(PACK),
    curves=replace(
        limits_of(PACK).curves,
        charge_celsius=Curve((0.0, 0.1, 10.0, 15.0, 44.0, 45.0), (0.0, 1.0, 1.0, 1.0, 1.0, 0.0)),
    ),
)


def plain(rate: float) -> Charging:
    """Constant current and constant voltage at a rate."""
    return replace(charging_of(PACK, "stages"), stages=(Stage(_KIND.high_voltage_volt, rate),))


def charged(
    charging: Charging,
    celsius: float,
    *,
    limits: Limits = WIDE,
    obeys: bool = True,
    slow_fraction: float = 1.0,
    told_factor: float = 1.0,
    ready_hour: float | None = None,
    period_second: float = 1.0,
) -> dict[str, Any]:
    """Charges the cell from a tenth until it is full."""
    cell = replace(graphite(), ohm=_OHM)
    negative = cell.negative
    cell = replace(
        cell, negative=replace(negative, exchange_ampere=negative.exchange_ampere * slow_fraction)
    )
    shells = particle.full(cell, (1.0 - _BEGIN) * CAPACITY_AH)
    heat, warm = thermal.thermal_of(CAPACITY_AH), np.array([celsius])
    limited, state = Limited(), Charged()
    condition = Condition(np.full(1, CAPACITY_AH), np.full(1, told_factor))
    wish = Wish(charge=True, ready_unix_second=None if ready_hour is None else 3600.0 * ready_hour)
    _, volt = particle.step(cell, shells, 0.0, 1.0, celsius)
    ampere, clock, soc, target_hour = 0.0, 0.0, _BEGIN, float("nan")
    lowest, hottest, plated, told = 9.0, celsius, 0.0, []
    while state.phase not in {Phase.DONE, Phase.REFUSED} and clock < 3600.0 * _LONGEST_HOUR:
        reading = _reading(clock, volt, ampere, float(warm[0]))
        flat = np.zeros(1)
        known = Known(Charge(clock, np.full(1, soc), np.full(1, 0.01), flat, flat), condition)
        limited, allowance = limit(limits, limited, reading, known)
        if not obeys:
            allowance = Allowance(CAPACITY_AH, 0.0, 99.0, 0.0)
        state, asked = step(charging, state, reading, known, allowance, wish=wish)
        told.append(asked)
        ampere = asked.current_ampere
        shells, volt = particle.step(cell, shells, ampere, period_second, float(warm[0]))
        low = anode_volt(cell, shells, ampere, float(warm[0]))
        lowest = min(lowest, low)
        plated += ampere * period_second / 3600.0 if low < 0.0 else 0.0
        full = cell.negative.full_fraction * cell.negative.capacity_ah
        soc = 1.0 - (full - float(particle.charge_ah(cell, shells)[1])) / CAPACITY_AH
        loss = np.array([ampere * (volt - _rest(cell, shells))])
        warm = thermal.step(
            heat, warm, loss, air_temperature_celsius=celsius, air_factor=np.ones(1),
            period_second=period_second,
        )  # fmt: skip
        hottest = max(hottest, float(warm[0]))
        clock += period_second
        if np.isnan(target_hour) and soc >= _TARGET:
            target_hour = clock / 3600.0
    first = next(
        (one for one in told if np.isfinite(one.hours) and one.current_ampere > _FLOWS_AMPERE), None
    )
    return {
        "to_80_hour": target_hour, "full_hour": clock / 3600.0, "soc_fraction": soc,
        "lowest_volt": lowest, "plated_ah": plated, "hottest_celsius": hottest,
        "told_hour": first.hours if first else float("nan"),
        "told_high_hour": first.hours_band.high if first and first.hours_band else 0.0,
        "phase": str(state.phase),
    }  # fmt: skip


def _rest(cell: particle.Particles, shells: particle.Shells) -> float:
    """Voltage that the cell would settle at. [V]"""
    mean = shells.filled_fraction @ particle.shares(cell.shell_count)
    grid = np.linspace(0.0, 1.0, particle.TABLE_POINTS)
    positive, negative = (
        np.interp(at, grid, table) for at, table in zip(mean, cell.tables, strict=True)
    )
    return float(positive - negative)


def _reading(clock: float, volt: float, ampere: float, celsius: float) -> Reading:
    frame = Frame(
        clock, volt, ampere, np.array([volt], np.float32), np.array([celsius], np.float32)
    )
    monitors = Monitors(np.zeros(1, np.int64), np.full(1, 3.0), np.zeros(1), np.zeros(1, bool))
    return Reading(clock, frame, monitors, Inputs())


def run(*, quick: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    gentle, rows = charging_of(PACK), []
    period = 5.0 if quick else 1.0
    for celsius in (5.0, 25.0) if quick else (5.0, 15.0, 25.0, 35.0):
        for name, how, more in (
            ("plain 1C", plain(1.0), {"obeys": False}),
            ("plain 0.5C", plain(0.5), {"obeys": False}),
            ("cccv 1C", plain(1.0), {"limits": limits_of(PACK)}),
            ("gentle", gentle, {}),
        ):
            row = charged(how, celsius, period_second=period, **more)
            rows.append({"who": name, "celsius": celsius, **row})
    for name, factor in (("slower, untold", 1.0), ("slower, told 1.5", 1.5)):
        row = charged(gentle, 25.0, slow_fraction=2 / 3, told_factor=factor, period_second=period)
        rows.append({"who": name, "celsius": 25.0, **row})
    row = charged(gentle, 25.0, ready_hour=8.0, period_second=period)
    rows.append({"who": "gentle, ready in 8 h", "celsius": 25.0, **row})
    notes = [
        "| °C | who | to 80 %, h | full, h | told, h | up to, h | phi, mV | plated, Ah | top, °C |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    figures: list[dict[str, Any]] = []
    data = "simulated"
    for row in rows:
        notes.append(
            f"| {row['celsius']:.0f} | {row['who']} | {row['to_80_hour']:.2f}"
            f" | {row['full_hour']:.2f}"
            f" | {row['told_hour']:.2f} | {row['told_high_hour']:.2f}"
            f" | {1e3 * row['lowest_volt']:.1f} | {row['plated_ah']:.2f}"
            f" | {row['hottest_celsius']:.1f} |"
        )
        stem = f"charging.{row['who'].replace(', ', '_').replace(' ', '_')}.{row['celsius']:.0f}C"
        figures += [
            {"name": f"{stem}.{key}", "value": round(row[key], 4), "unit": unit, "data": data}
            for key, unit in (("to_80_hour", "h"), ("lowest_volt", "V"), ("plated_ah", "Ah"),
                              ("hottest_celsius", "°C"))
        ]  # fmt: skip
    return {"figures": figures, "rows": rows, "notes": notes}
