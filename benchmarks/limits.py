"""Limits of a pack: what a step costs, and what they keep a cold, nearly empty pack from.

    cellwarden bench limits [--quick] [--json]

Rules
- A step is `control.limits.step` with charge, condition and diagnosis; CPU seconds of this thread.
- The pack that is driven is `physics.circuit`: 16 NMC cells of 50 Ah, resistances spread by 15 %,
  charges by 1 %, one aged cell of twice the resistance; 0 °C, from 15 % of charge. A driver asks
  for the whole tier of discharge (3C) for 20 s, then for nothing for 10 s, for 15 minutes.
- `none` obeys nobody, `curve` a voltage curve alone (which sees the fall when it is there),
  `limits` the allowance. Outside is below the operating tier's voltage.
"""

import time
from typing import Any, Final

import numpy as np

from cellwarden.control.limits import Known, Limited, limits_of, step
from cellwarden.domain import (
    CHEMISTRIES,
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
from cellwarden.physics import circuit as circuits

_AH: Final = 50.0
_PERIOD: Final = 0.1
_SEED: Final = 3
_ASKS_SECOND: Final = 20.0
_TURN_SECOND: Final = 30.0


def pack_of(count: int) -> Pack:
    """NMC cells in series."""
    kind = CHEMISTRIES["NMC"]
    return Pack("pack", Cell(kind, _AH, tiers(kind, _AH)), count)


def reading_of(clock: float, volts: np.ndarray, ampere: float, celsius: float) -> Reading:
    """What the pack's electronics read."""
    count = len(volts)
    cells = volts.astype(np.float32)
    frame = Frame(clock, float(volts.sum()), ampere, cells, np.full(count, celsius, np.float32))
    chips = -(-count // 12)
    monitors = Monitors(
        np.zeros(chips, np.int64), np.full(chips, 3.0), np.zeros(chips), np.zeros(count, bool)
    )
    return Reading(clock, frame, monitors, Inputs())


def cost(count: int, step_count: int) -> tuple[float, float]:
    """Median and 99th percentile of a step. [ms]"""
    limits, state = limits_of(pack_of(count)), Limited()
    rng = np.random.default_rng(_SEED)
    flat = np.zeros(count)
    condition = Condition(np.full(count, 48.0), np.full(count, 1.2))
    spent = []
    for index in range(step_count):
        clock = index * _PERIOD
        volts = 3.7 + 0.002 * rng.standard_normal(count)
        reading = reading_of(clock, volts, -20.0, 25.0)
        charge = Charge(clock, np.full(count, 0.5), np.full(count, 0.01), flat, flat)
        begun = time.thread_time()
        state, _ = step(limits, state, reading, Known(charge, condition))
        spent.append(1e3 * (time.thread_time() - begun))
    return float(np.median(spent)), float(np.percentile(spent, 99))


def driven(who: str, second: float) -> dict[str, Any]:
    """A cold pack that is asked for too much."""
    count, celsius = 16, 0.0
    pack = pack_of(count)
    limits, state = limits_of(pack), Limited()
    rng = np.random.default_rng(_SEED)
    factor = 1.0 + 0.15 * rng.standard_normal(count)
    factor[5] = 2.0
    soc = 0.15 + 0.01 * rng.standard_normal(count)
    circuit = circuits.circuit_of(pack.cell.chemistry, _AH)
    true = factor * circuits.arrhenius(circuit.activation_joule_per_mole, np.full(count, celsius))
    cells = circuits.CircuitState(soc, np.zeros(count), np.zeros(count))
    volts = circuits.open_circuit_voltage(circuit, soc)
    edge = pack.cell.limits.operating
    lowest, outside, watt_second, ampere, reasons = 9.0, 0, 0.0, 0.0, set[str]()
    warm = int(30.0 / _PERIOD)  # the allowance comes up while the pack stands
    for index in range(-warm, int(second / _PERIOD)):
        clock = (index + warm) * _PERIOD
        believed = Charge(
            clock, cells.soc_fraction, np.full(count, 0.01), np.zeros(count), np.zeros(count)
        )
        condition = Condition(np.full(count, _AH), factor)
        state, allowed = step(
            limits, state, reading_of(clock, volts, ampere, celsius), Known(believed, condition)
        )
        asks = index >= 0 and clock % _TURN_SECOND < _ASKS_SECOND
        asked = edge.high_discharge_current_ampere if asks else 0.0
        curve = limits.curves.discharge_volt.read(float(volts.min()))
        most = {
            "none": asked,
            "curve": curve * edge.high_discharge_current_ampere,
            "limits": allowed.discharge_ampere,
        }[who]
        if index >= 0 and asked > most:
            reasons.add(allowed.discharge_by[0].name)
        ampere = -min(asked, most)
        cells, volts = circuits.step(
            circuit, cells, np.full(count, ampere), true,
            capacity_ah=np.full(count, _AH), period_second=_PERIOD,
        )  # fmt: skip
        lowest = min(lowest, float(volts.min()))
        outside += bool(volts.min() < edge.low_voltage_volt)
        watt_second += -ampere * float(volts.sum()) * _PERIOD
    return {"who": who, "lowest_volt": lowest, "outside_second": outside * _PERIOD,
            "energy_wh": watt_second / 3600.0, "reasons": sorted(reasons)}  # fmt: skip


def run(*, quick: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    figures: list[dict[str, Any]] = []
    notes = ["| cells | median, ms | p99, ms |", "|---|---|---|"]
    for count in (1, 16, 200):
        middle, late = cost(count, 300 if quick else 3000)
        figures += [
            {"name": f"limits.step_{count}.p50_ms", "value": round(middle, 3), "unit": "ms"},
            {"name": f"limits.step_{count}.p99_ms", "value": round(late, 3), "unit": "ms"},
        ]
        notes.append(f"| {count} | {middle:.3f} | {late:.3f} |")
    rows = [driven(who, 60.0 if quick else 900.0) for who in ("none", "curve", "limits")]
    notes += ["", "| who | lowest cell, V | outside, s | energy, Wh |", "|---|---|---|---|"]
    for row in rows:
        for name, unit in (("lowest_volt", "V"), ("outside_second", "s"), ("energy_wh", "Wh")):
            figures.append(
                {"name": f"limits.cold.{row['who']}.{name}", "value": round(row[name], 3),
                 "unit": unit, "data": f"simulated, seed {_SEED}"}
            )  # fmt: skip
        notes.append(
            f"| {row['who']} | {row['lowest_volt']:.3f} | {row['outside_second']:.1f}"
            f" | {row['energy_wh']:.0f} |"
        )
    return {"figures": figures, "rows": rows, "notes": notes}
