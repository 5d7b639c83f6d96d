"""What the guard says of healthy records, and what it finds of injected faults.

`pytest -s tests/guard/test_trial.py` prints the tables of docs/guard.md.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from cellwarden.domain import (
    Cell,
    CellLimits,
    Chemistry,
    Finding,
    Frames,
    LimitTiers,
    Pack,
)
from cellwarden.guard import Watch, inspect, merge, pending

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("CELLWARDEN_DATA", ROOT / ".." / "shared" / "data"))
FACTS = {
    "bounds",
    "range",
    "missing",
}  # a crossed limit and a gap are there or not; the rest is judgement
NASA = (5, 6, 7, 25, 26, 29, 30, 33, 38, 41, 42, 45, 46, 49, 53, 54)

pytestmark = pytest.mark.skipif(
    not (DATA / "lg_hg2").is_dir(), reason="needs the development data (CELLWARDEN_DATA)"
)


def show(line: str) -> None:
    print(line)  # noqa: T201  the tables are the point


def query(sql: str) -> dict[str, np.ndarray]:
    columns = duckdb.sql(sql.replace("@", str(DATA))).fetchnumpy()
    return {
        name: np.ma.filled(c.astype(np.float64), np.nan) if c.dtype.kind in "fi" else np.asarray(c)
        for name, c in columns.items()
    }


def make_pack(
    capacity_ah: float,
    volts: tuple[float, float],
    celsius: tuple[float, float],
    amperes: tuple[float, float],
    series_count: int = 1,
) -> Pack:
    """A pack whose operating limits are what the record's protocol allows."""

    def tier(volt: float, degree: float, scale: float) -> CellLimits:
        low, high = celsius[0] - degree, celsius[1] + degree
        return CellLimits(
            low_voltage_volt=volts[0] - volt,
            high_voltage_volt=volts[1] + volt,
            low_charge_temperature_celsius=low,
            high_charge_temperature_celsius=high,
            low_discharge_temperature_celsius=low,
            high_discharge_temperature_celsius=high,
            high_charge_current_ampere=amperes[0] * scale,
            high_discharge_current_ampere=amperes[1] * scale,
        )

    chemistry = Chemistry("any", 3.7, *volts, *celsius, *celsius, (0.0, 1.0), volts, ())
    tiers = LimitTiers(tier(0, 0, 1), tier(0.05, 5, 1.1), tier(0.1, 10, 1.2))
    return Pack("trial", Cell(chemistry, capacity_ah, tiers), series_count)


def make_frames(
    second: np.ndarray,
    volt: np.ndarray,
    ampere: np.ndarray,
    celsius: np.ndarray | None,
    cells: np.ndarray | None,
) -> Frames:
    order = np.argsort(second, kind="stable")
    none = np.empty((len(second), 0), np.float32)

    def column(values: np.ndarray) -> np.ndarray:
        return values[order].astype(np.float32)

    return Frames(
        unix_time_second=second[order],
        voltage_volt=column(volt),
        current_ampere=column(ampere),
        cell_voltage_volt=none if cells is None else column(cells),
        cell_temperature_celsius=none if celsius is None else column(celsius),
    )


def drive(ambient: str = "ambient_C >= -20") -> tuple[Frames, Pack]:
    """The LG HG2 drive cycles, a day apart."""
    a = query(
        f"select * from '@/lg_hg2/drive_1hz.parquet' where {ambient} and test <> '557_Cap_1C'"
    )
    label = [f"{c:.0f} {test}" for c, test in zip(a["ambient_C"], a["test"], strict=True)]
    day = np.unique(label, return_inverse=True)[1] * 86400.0
    volt = a["voltage_V"]
    frames = make_frames(
        a["time_s"] + day, volt, a["current_A"], a["temperature_C"][:, None], volt[:, None]
    )
    return frames, make_pack(3.0, (2.5, 4.2), (-25, 60), (6, 20))


def siblings(count: int, ambient: str = "ambient_C >= -20") -> tuple[Frames, Pack]:
    """A pack made of the drive cycles: cells that differ in resistance, charge, noise and rounding.

    Resistance by 10 %, open-circuit voltage by 5 mV (one standard deviation); 1 mV noise, 0.1 mV
    and 0.1 °C steps; a temperature sensor for each three cells.
    """
    frames, _ = drive(ambient)
    rng = np.random.default_rng(1)
    shape = (len(frames), count)
    volt = frames.voltage_volt[:, None].astype(np.float64)
    current = frames.current_ampere[:, None].astype(np.float64)
    cells = volt + 0.03 * rng.normal(0, 0.1, count) * current + rng.normal(0, 0.005, count)
    cells = np.round(cells + rng.normal(0, 0.001, shape), 4)
    sensors = (len(frames), max(count // 3, 1))
    celsius = frames.cell_temperature_celsius + rng.normal(0, 0.5, sensors[1])
    celsius = np.round(celsius + rng.normal(0, 0.05, sensors), 1)
    made = make_frames(frames.unix_time_second, cells.sum(axis=1), current[:, 0], celsius, cells)
    full = make_pack(3.0, (2.4, 4.3), (-25, 60), (6, 20))  # a full cell may read a little more
    return made, replace(full, series_count=count)


def healthy() -> Iterator[tuple[str, Frames, Pack]]:
    a = query("select * from '@/bmw_i3_trips/trips_1hz.parquet'")
    day = np.unique(a["trip"], return_inverse=True)[1] * 86400.0
    volt, celsius = a["pack_voltage_V"], a["pack_temperature_C"][:, None]
    frames = make_frames(a["time_s"] + day, volt, a["pack_current_A"], celsius, None)
    yield "BMW i3, 46 trips", frames, make_pack(60, (2.8, 4.2), (-25, 55), (150, 410), 96)
    for number in NASA:
        cell = f"{number:02d}"
        a = query(
            f"select d.*, epoch(t.start::timestamp) as start from '@/nasa_pcoe/B00{cell}.parquet' d"
            f" join '@/nasa_pcoe/tests.csv' t on t.battery_id = 'B00{cell}'"
            " and t.test_id = d.test_id"
        )
        volt, celsius = a["voltage_V"], a["temperature_C"][:, None]
        frames = make_frames(a["start"] + a["time_s"], volt, a["current_A"], celsius, volt[:, None])
        name = "NASA B0005 to B0007" if number < 8 else "NASA, 13 further cells"
        yield name, frames, make_pack(2, (1.7, 4.25), (0, 70), (2, 5))
    for cell in ("35", "36", "37"):
        a = query(f"select *, epoch(date_time) as at from '@/calce_cs2/CS2_{cell}.parquet'")
        volt = a["voltage_V"]
        frames = make_frames(a["at"], volt, a["current_A"], None, volt[:, None])
        yield "CALCE CS2, 3 cells", frames, make_pack(1.1, (2.7, 4.2), (0, 60), (1.1, 1.1))
    yield "LG HG2 drive cycles", *drive()
    yield "12 made of LG HG2", *siblings(12)


def watch(frames: Frames, pack: Pack | None, batch: int = 3600) -> list[Finding]:
    state, told = Watch(), []
    for start in range(0, len(frames), batch):
        state, findings = inspect(frames.rows(start, start + batch), pack, state)
        told += findings
    return merge([*told, *pending(state)])


def observed_day(frames: Frames) -> float:
    gap = np.diff(frames.unix_time_second)
    return float(gap[gap <= 300].sum() / 86400)


@pytest.mark.parametrize("stated", [True, False], ids=["pack given", "no pack"])
def test_healthy_records_stay_quiet(stated: bool) -> None:  # noqa: FBT001  a parameter of pytest
    days: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {}
    messages = []
    for name, frames, pack in healthy():
        found = watch(frames, pack if stated else None)
        days[name] += observed_day(frames)  # type: ignore[assignment]  # a Counter adds floats too
        counts.setdefault(name, Counter()).update(f.kind for f in found)
        messages += [f"{name}: {f.message}" for f in found if f.kind not in FACTS]
    show(
        f"\n| record ({'pack given' if stated else 'no pack'}) | days | bounds | missing"
        " | judged | judged a day | which |"
    )
    for name, count in counts.items():
        judged = {kind: n for kind, n in count.items() if kind not in FACTS}
        total, outside = sum(judged.values()), count["bounds"] + count["range"]
        show(
            f"| {name} | {days[name]:.2f} | {outside} | {count['missing']} | {total}"
            f" | {total / days[name]:.2f} | {judged or ''} |"
        )
    show("\n".join(messages))
    judged_count = {n: sum(v for k, v in c.items() if k not in FACTS) for n, c in counts.items()}
    assert judged_count["LG HG2 drive cycles"] == 0
    assert judged_count["12 made of LG HG2"] == 0
    assert judged_count["CALCE CS2, 3 cells"] == 0
    assert judged_count["NASA, 13 further cells"] <= 0.1 * days["NASA, 13 further cells"]
    assert judged_count["NASA B0005 to B0007"] == 6  # two glitches of the charger, in three cells
    # One trip repeats its readings to the bit for 441 s at 58 km/h; that is no false finding.
    assert counts["BMW i3, 46 trips"] == ({"frozen": 1} if stated else {})


Inject = Callable[[Frames, int, np.random.Generator], Frames]


@dataclass(frozen=True)
class Fault:
    name: str
    signal: str
    inject: Inject
    least: float  # fraction that must be found


def on(name: str, change: Callable[[np.ndarray, int], None]) -> Inject:
    """Change one column, of one item where there are many."""

    def inject(frames: Frames, at: int, rng: np.random.Generator) -> Frames:
        column = getattr(frames, name).copy()
        if column.ndim > 1:
            change(column[:, rng.integers(column.shape[1])], at)
        else:
            change(column, at)
        return replace(frames, **{name: column})

    return inject


def spike(size: float) -> Callable[[np.ndarray, int], None]:
    def change(column: np.ndarray, at: int) -> None:
        column[at] += size

    return change


def offset(size: float) -> Callable[[np.ndarray, int], None]:
    def change(column: np.ndarray, at: int) -> None:
        column[at:] += size

    return change


def scale(factor: float) -> Callable[[np.ndarray, int], None]:
    def change(column: np.ndarray, at: int) -> None:
        column[at:] *= factor

    return change


def ramp(slope: float) -> Callable[[np.ndarray, int], None]:
    def change(column: np.ndarray, at: int) -> None:
        column[at:] += slope * np.arange(len(column) - at)

    return change


def hold(column: np.ndarray, at: int) -> None:
    column[at:] = column[at]


def drop(column: np.ndarray, at: int) -> None:
    column[at : at + 3] = np.nan


def freeze(frames: Frames, at: int, _rng: np.random.Generator) -> Frames:
    columns = {n: c.copy() for n, c in frames.columns().items() if n != "unix_time_second"}
    for column in columns.values():
        column[at:] = column[at]
    return replace(frames, **columns)


def test_a_minute_of_a_hundred_cells_is_quick() -> None:
    frames, pack = siblings(100, "ambient_C = 25")
    state, spent = Watch(), []
    for start in range(0, 12_000, 60):
        begin = time.perf_counter()
        state, _ = inspect(frames.rows(start, start + 60), pack, state)
        spent.append(time.perf_counter() - begin)
    show(f"\n60 frames of 100 cells: {1e3 * float(np.median(spent)):.2f} ms")
    assert state.tail is not None


def hold_all(frames: Frames, at: int, _rng: np.random.Generator) -> Frames:
    volt, cells = frames.voltage_volt.copy(), frames.cell_voltage_volt.copy()
    hold(volt, at)
    hold(cells, at)
    return replace(frames, voltage_volt=volt, cell_voltage_volt=cells)


CELLS, HEAT, PACK, CURRENT = (
    "cell_voltage_volt",
    "cell_temperature_celsius",
    "voltage_volt",
    "current_ampere",
)
PACK_FAULTS = (
    Fault("a cell's reading spikes by 50 mV", CELLS, on(CELLS, spike(0.05)), 0.65),
    Fault("… by 100 mV", CELLS, on(CELLS, spike(0.1)), 0.9),
    Fault("… by 300 mV", CELLS, on(CELLS, spike(0.3)), 0.95),
    Fault("a cell's reading shifts by 50 mV", CELLS, on(CELLS, offset(0.05)), 0.65),
    Fault("… by 100 mV", CELLS, on(CELLS, offset(0.1)), 0.95),
    Fault("a cell's reading drifts by 0.2 mV a second", CELLS, on(CELLS, ramp(0.0002)), 0.9),
    Fault("a cell's reading is stuck", CELLS, on(CELLS, hold), 0.95),
    Fault("a cell gives no reading for 3 s", CELLS, on(CELLS, drop), 1.0),
    Fault("a sensor of temperature spikes by 5 °C", HEAT, on(HEAT, spike(5)), 0.95),
    Fault("… shifts by 12 °C", HEAT, on(HEAT, offset(12)), 0.95),
    Fault("the pack's voltage reads 2 % too much", PACK, on(PACK, scale(1.02)), 1.0),
    Fault("the current spikes by 30 A for 1 s", CURRENT, on(CURRENT, spike(30)), 0.95),
    Fault("the current is stuck", CURRENT, on(CURRENT, hold), 0.85),
    Fault("every reading is frozen", CURRENT, freeze, 0.6),
)
CELL_FAULTS = (
    Fault("the voltage spikes by 100 mV", CELLS, on(CELLS, spike(0.1)), 0.15),
    Fault("… by 300 mV", CELLS, on(CELLS, spike(0.3)), 0.6),
    Fault("… by 1 V", CELLS, on(CELLS, spike(1.0)), 0.95),
    Fault("the voltage shifts by 100 mV", CELLS, on(CELLS, offset(0.1)), 0.2),
    Fault("… by 300 mV", CELLS, on(CELLS, offset(0.3)), 0.6),
    Fault("the voltage is stuck", PACK, hold_all, 0.85),
    Fault("the current is stuck", CURRENT, on(CURRENT, hold), 0.85),
)


@pytest.mark.parametrize(
    ("name", "count", "faults"), [("pack of 12", 12, PACK_FAULTS), ("one cell", 1, CELL_FAULTS)]
)
def test_injected_faults_are_found(name: str, count: int, faults: tuple[Fault, ...]) -> None:
    frames, pack = (
        siblings(count, "ambient_C in (0, 25)") if count > 1 else drive("ambient_C in (0, 25)")
    )
    trials, length, before = 100, 1800, 600
    show(f"\n| {name}: fault | found |")
    for fault in faults:
        rng = np.random.default_rng(7)
        found = 0
        for _ in range(trials):
            while True:
                start = int(rng.integers(len(frames) - length))
                part = frames.rows(start, start + length)
                if part.unix_time_second[-1] - part.unix_time_second[0] == length - 1:
                    break
            harmed = fault.inject(part, before + int(rng.integers(300)), rng)
            told = [f for f in watch(harmed, pack) if f.signal == fault.signal]
            found += bool(told)
        show(f"| {fault.name} | {found} of {trials} |")
        assert found >= fault.least * trials, fault.name
