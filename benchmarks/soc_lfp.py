"""State of charge on a flat curve: particles, Kalman and counting on measured LFP pulses.

    cellwarden bench soc_lfp [--json] [--quick]

K2 LFP 26650 (`reference_cells`), pulses and rests from full to empty at 20, 30, 40 and 50 °C, one
record each. Each temperature is left out in turn: circuit, and widening of both bands, come from
the other three. The record is entered at a random second of its first nine tenths, the charge not
told, for two hours; faults as in `bench soc`: gain ±1 %, offset ±50 mA, voltage ±5 mV, uniform,
from `numpy.random.default_rng([SEED, draw, celsius])`, 16 draws (`--quick`: 3). Charge is counted
from full; 2.2 Ah is what the slow steps of the records delivered. Readings under 2 V at 40 °C are
drop-outs and left out, as the data's own README says.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from cellwarden.health import soc_counter, soc_filter, soc_particle
from cellwarden.health.soc_identify import Shape, cross_identify
from cellwarden.health.soc_model import CellModel, Record

_DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[1] / "../shared/data"))
SEED = 21
CAPACITY_AH = 2.2
SECOND_COUNT = 7200
TEMPERATURES = (20, 30, 40, 50)
PARTS = ((0, 600), (600, 3600), (3600, 7200))
PARTICLE_COUNT = 300
_LEAST_VOLT = 2.0
_Z90 = 1.6449
# Charge only falls in these records, so hysteresis cannot be told from the curve; and they rest
# for nine tenths of the time at ten charges, so that a row of theirs counts for little.
SHAPE = Shape(has_hysteresis=False)
WEIGHT = 0.002


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Charge with a 90 % interval, none for counting. [1]"""

    soc: np.ndarray
    low: np.ndarray
    high: np.ndarray


def records() -> dict[int, Record]:
    """The record at each temperature; positive current charges."""
    path = _DATA / "reference_cells" / "k2_lfp_26650_hppc_1hz.parquet"
    found = {}
    for celsius in TEMPERATURES:
        columns = duckdb.execute(
            f"select time_s, voltage_V, current_A, cell_C from '{path}'"
            " where set_C = ? and voltage_V > ? order by time_s",
            [celsius, _LEAST_VOLT],
        ).fetchnumpy()
        time_s, volt, ampere, warm = (np.asarray(c, dtype=np.float64) for c in columns.values())
        moved = np.cumsum(ampere * np.diff(time_s, prepend=time_s[0])) / 3600.0 / CAPACITY_AH
        soc = np.clip(1.0 + moved, 0.0, 1.0)
        found[celsius] = Record(time_s, volt, ampere, warm, soc, WEIGHT)
    return found


def entered(record: Record, draw: int, celsius: int) -> Record:
    """Two hours of a record from a random second on, through faulty sensors."""
    rng = np.random.default_rng([SEED, draw, celsius])
    start = int(rng.uniform(0.0, 0.9) * len(record))
    gain, shift = 1.0 + rng.uniform(-0.01, 0.01), rng.uniform(-0.05, 0.05)
    part = slice(start, start + SECOND_COUNT)
    return Record(
        record.unix_time_second[part],
        record.voltage_volt[part] + rng.uniform(-0.005, 0.005),
        record.current_ampere[part] * gain + shift,
        record.temperature_celsius[part],
        record.soc_fraction[part],
    )


def _columns(record: Record) -> tuple[np.ndarray, ...]:
    return (
        record.unix_time_second,
        record.current_ampere,
        record.voltage_volt[:, None],
        record.temperature_celsius[:, None],
    )


def by_particles(of: soc_particle.Filter, record: Record) -> Told:
    """The particle filter."""
    _, told = soc_particle.run(of, soc_particle.init(of, 1), *_columns(record))
    return Told(*(c[:, 0] for c in (told.soc_fraction, told.low_fraction, told.high_fraction)))


def by_kalman(model: CellModel, record: Record) -> Told:
    """The unscented filter on the same circuit."""
    _, told = soc_filter.run(model, soc_filter.init(model, 1), *_columns(record))
    soc, away = told.soc_fraction[:, 0], _Z90 * told.soc_std_fraction[:, 0]
    return Told(soc, np.maximum(soc - away, 0.0), np.minimum(soc + away, 1.0))


def by_counting(model: CellModel, record: Record, start: float) -> Told:
    """Counting from where the unscented filter starts, reset by rests."""
    of = soc_counter.Counter(model)
    count = soc_counter.init(1, start)
    soc, std = np.empty((2, len(record)))
    volts, warm = record.voltage_volt[:, None], record.temperature_celsius[:, None]
    for k, (second, ampere) in enumerate(
        zip(record.unix_time_second.tolist(), record.current_ampere.tolist(), strict=True)
    ):
        count = soc_counter.step(of, count, second, ampere, volts[k], warm[k])
        soc[k], std[k] = count.soc_fraction[0], count.soc_std_fraction[0]
    away = _Z90 * std
    return Told(soc, np.maximum(soc - away, 0.0), np.minimum(soc + away, 1.0))


def judged(told: Told, true: np.ndarray, part: tuple[int, int]) -> dict[str, float] | None:
    """Mean error, share inside and width in a part of the two hours."""
    rows = slice(*part)
    if len(true[rows]) < (part[1] - part[0]) // 2:
        return None
    inside = (told.low <= true) & (true <= told.high)
    return {
        "mae": float(np.abs(told.soc - true)[rows].mean()),
        "coverage": float(inside[rows].mean()),
        "width": float((told.high - told.low)[rows].mean()),
    }


def left_out(every: dict[int, Record], celsius: int, draws: range) -> list[dict[str, Any]]:
    """Scores at one temperature by what was learnt at the others."""
    model, parts = cross_identify([r for c, r in every.items() if c != celsius], CAPACITY_AH, SHAPE)
    of = soc_particle.calibrated(model, parts, particle_count=PARTICLE_COUNT)
    rows = []
    for draw in draws:
        record = entered(every[celsius], draw, celsius)
        kalman = by_kalman(model, record)
        ways = {
            "particles": by_particles(of, record),
            "unscented": kalman,
            "counting": by_counting(model, record, float(kalman.soc[0])),
        }
        for who, told in ways.items():
            for part in PARTS:
                score = judged(told, record.soc_fraction, part)
                if score is not None:
                    rows.append({"who": who, "celsius": celsius, "from_s": part[0], **score})
    return rows


def step_us(of: soc_particle.Filter, record: Record) -> float:
    """CPU time of one cell and one step, compiled and warm. [us]"""
    columns = _columns(record)
    start = time.process_time()
    soc_particle.run(of, soc_particle.init(of, 1), *columns)
    return (time.process_time() - start) / len(record) * 1e6


def run(*, quick: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    every = records()
    draws = range(3 if quick else 16)
    rows = [row for celsius in TEMPERATURES for row in left_out(every, celsius, draws)]
    data = f"K2 LFP 26650, a temperature left out, {len(draws)} entries each, seed {SEED}"
    figures, notes = (
        [],
        ["| who | minutes | MAE, % | inside 90 % | width, % |", "|---|---|---|---|---|"],
    )
    for who in ("particles", "unscented", "counting"):
        for first, last in PARTS:
            own = [row for row in rows if row["who"] == who and row["from_s"] == first]
            mae, inside, width = (
                float(np.mean([row[name] for row in own])) for name in ("mae", "coverage", "width")
            )
            stem = f"soc.k2_lfp.{who}.from_{first // 60}_min"
            figures += [
                {"name": f"{stem}.mae", "value": round(mae, 4), "unit": "fraction", "data": data},
                {"name": f"{stem}.coverage90", "value": round(inside, 3), "unit": "fraction",
                 "data": data},
                {"name": f"{stem}.width90", "value": round(width, 3), "unit": "fraction",
                 "data": data},
            ]  # fmt: skip
            notes.append(
                f"| {who} | {first // 60}-{last // 60} | {100 * mae:.2f} | {100 * inside:.0f} %"
                f" | {100 * width:.1f} |"
            )
    model, _ = cross_identify([every[20], every[40]], CAPACITY_AH, SHAPE)
    of = soc_particle.Filter(model, np.ones(len(model.knot_celsius)), PARTICLE_COUNT)
    spent = step_us(of, entered(every[30], 0, 30))
    figures.append(
        {"name": "soc.particles.us_per_cell_step", "value": round(spent, 1), "unit": "us",
         "data": f"{PARTICLE_COUNT} particles"}
    )  # fmt: skip
    return {"figures": figures, "rows": rows, "notes": notes}
