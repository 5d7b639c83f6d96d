"""State of charge on measured drives with faulty sensors and an unknown start; time of a step.

    cellwarden bench soc [--json] [--quick]

LG HG2 (`lg_hg2`): every random drive (Mixed1-8 at six temperatures) is entered at a random second
of its first six tenths, the charge not told. Its current is multiplied by 1 ± 1 % and shifted by
± 50 mA, its voltage shifted by ± 5 mV: uniform draws, one set for each run and draw, from
`numpy.random.default_rng([SEED, draw, crc32 of "ambient/test"])`. Draws: 1, 2, 3 (`--quick`: 1).
Four folds: drives 1 and 5, 2 and 6, 3 and 7, 4 and 8 are left out at every temperature, and all
that is learned comes from the others and from the C/20 curves. Errors count from minute 10 on;
every run and draw has the same weight, so a long run counts no more than a short one. Coulomb
counting starts where the filter starts: from the first voltage. The 1C tests are in no training set
and stand as rows of their own under their measured temperature (two are mislabelled by folder).
"""

import os
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from cellwarden.domain import CHEMISTRIES, Cell, Frames, Pack, tiers
from cellwarden.health import charge, soc_filter
from cellwarden.health.soc_calibrate import spoil
from cellwarden.health.soc_correction import Correction, correct, learn
from cellwarden.health.soc_identify import cross_identify, identify
from cellwarden.health.soc_model import CellModel, Record
from cellwarden.health.soc_power import forecast_volt

_DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[1] / "../shared/data"))
SEED = 20
CAPACITY_AH = 2.78
FOLD_COUNT = 4
SCORED_FROM_SECOND = 600
HORIZONS_SECOND = (2, 10, 30, 60)
WARM_CELSIUS = 25  # where the tighter goal stands
_Z90 = 1.6449


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One test, and where it belongs."""

    name: str
    fold: int  # -1: a 1C test, in no fold
    ambient_celsius: int
    record: Record


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Runs side by side, entered late and read through faulty sensors; NaN after a run's end."""

    names: list[str]
    celsius_group: np.ndarray
    current: np.ndarray
    voltage: np.ndarray
    celsius: np.ndarray
    soc: np.ndarray

    @property
    def seconds(self) -> np.ndarray:
        """Time from entry on. [s]"""
        return np.arange(len(self.soc), dtype=np.float64)


def lg_runs() -> list[Run]:
    """The drives and 1C tests of LG HG2; positive current charges."""
    path = _DATA / "lg_hg2" / "drive_1hz.parquet"
    names = duckdb.execute(
        f"select distinct ambient_C, test from '{path}' order by ambient_C, test"
    ).fetchall()
    runs = []
    for ambient, test in names:
        columns = duckdb.execute(
            f"select time_s, voltage_V, current_A, temperature_C, soc from '{path}'"
            " where ambient_C = ? and test = ? order by time_s",
            [ambient, test],
        ).fetchnumpy()
        record = Record(*(np.asarray(column, dtype=np.float64) for column in columns.values()))
        fold = (int(test[-1]) - 1) % FOLD_COUNT if "Mixed" in test else -1
        warm = int(min((-20, -10, 0, 10, 25, 40), key=_nearest(record.temperature_celsius.mean())))
        runs.append(Run(f"{ambient}/{test}", fold, ambient if fold >= 0 else warm, record))
    return runs


def _nearest(celsius: float) -> Callable[[int], float]:
    return lambda knot: abs(knot - celsius)


def slow_curves() -> list[Record]:
    """The C/20 curves; rows on which the cell rests or is held full are left out."""
    path = _DATA / "lg_hg2" / "c20_ocv.parquet"
    curves = []
    for (ambient,) in duckdb.sql(f"select distinct ambient_C from '{path}' order by 1").fetchall():
        columns = duckdb.execute(
            "select time_s, voltage_V, current_A, temperature_C, 1 + ah / ? as soc"
            f" from '{path}' where ambient_C = ? and abs(current_A) > 0.05"
            " and (current_A < 0 or ah < -0.056) order by time_s",
            [CAPACITY_AH, ambient],
        ).fetchnumpy()
        columns = [np.asarray(column, dtype=np.float64) for column in columns.values()]
        curves.append(Record(*columns, weight=3.0))
    return curves


def enter(runs: Sequence[Run], draws: Iterable[int], seed: int = SEED) -> Batch:
    """Each run once a draw, from a random second on, through faulty sensors."""
    parts, names, groups = [], [], []
    for draw in draws:
        for run in runs:
            rng = np.random.default_rng([seed, draw, zlib.crc32(run.name.encode())])
            met = spoil(run.record, rng)
            columns = met.current_ampere, met.voltage_volt, met.temperature_celsius
            parts.append((*columns, met.soc_fraction))
            names.append(run.name)
            groups.append(run.ambient_celsius)
    longest = max(len(part[0]) for part in parts)
    columns = np.full((4, longest, len(parts)), np.nan)
    for cell, part in enumerate(parts):
        for k, column in enumerate(part):
            columns[k, : len(column), cell] = column
    return Batch(names, np.array(groups), *columns)


def counted(batch: Batch, start: np.ndarray) -> np.ndarray:
    """Coulomb counting from the same start. [1]"""
    moved = np.cumsum(np.nan_to_num(batch.current), axis=0) - np.nan_to_num(batch.current[0])
    return np.clip(start + moved / 3600.0 / CAPACITY_AH, 0.0, 1.0)


def generic(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """The filter on the chemistry's typical circuit, which knows nothing of this cell. [1]"""
    chemistry = CHEMISTRIES["NMC"]
    cell = Cell(chemistry, CAPACITY_AH, tiers(chemistry, CAPACITY_AH))
    out = np.full((2, *batch.soc.shape), np.nan)
    for k in range(batch.soc.shape[1]):
        length = int(np.isfinite(batch.soc[:, k]).sum())
        volts, warm = batch.voltage[:length, k : k + 1], batch.celsius[:length, k : k + 1]
        pack = Pack("lg", cell)
        frames = Frames(
            batch.seconds[:length],
            volts[:, 0].astype(np.float32),
            batch.current[:length, k].astype(np.float32),
            volts.astype(np.float32),
            warm.astype(np.float32),
        )
        _, told = charge.run(charge.init(pack), frames, pack)
        out[0, :length, k], out[1, :length, k] = (
            told.soc_fraction[:, 0],
            told.soc_std_fraction[:, 0],
        )
    return out[0], out[1]


def filtered(
    model: CellModel, batch: Batch, method: soc_filter.Method = "extended"
) -> soc_filter.Estimates:
    """The filter on the identified circuit."""
    state = soc_filter.init(model, batch.soc.shape[1])
    columns = (batch.seconds, batch.current, batch.voltage, batch.celsius)
    return soc_filter.run(model, state, *columns, method=method)[1]


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """Of each run and draw: mean error, share of seconds inside the 90 % interval, its width."""

    error: np.ndarray
    inside: np.ndarray
    width: np.ndarray
    celsius_group: np.ndarray
    names: np.ndarray

    def of(self, chosen: np.ndarray) -> "Score":
        """Some of the runs."""
        return Score(*(getattr(self, f)[chosen] for f in self.__slots__))


def judge(batch: Batch, soc: np.ndarray, std: np.ndarray | None = None) -> Score:
    """Errors from minute 10 on."""
    error = np.abs(soc - batch.soc)[SCORED_FROM_SECOND:]
    there = np.isfinite(error)
    blank = np.full(error.shape[1], np.nan)
    inside = width = blank
    if std is not None:
        reach = _Z90 * std[SCORED_FROM_SECOND:]
        inside = np.where(there, error <= reach, 0.0).sum(axis=0) / there.sum(axis=0)
        width = np.nanmean(np.where(there, 2.0 * reach, np.nan), axis=0)
    mean = np.nanmean(error, axis=0)
    return Score(mean, inside, width, batch.celsius_group, np.array(batch.names))


def joined(scores: Sequence[Score]) -> Score:
    """The runs of several folds."""
    return Score(*(np.concatenate([getattr(s, f) for s in scores]) for f in Score.__slots__))


def bootstrap(score: Score) -> tuple[float, float]:
    """The 95 % interval of coverage when runs are drawn again, their draws staying together. [1]"""
    names = np.unique(score.names)
    means = np.array([score.inside[score.names == name].mean() for name in names])
    rng = np.random.default_rng(SEED)
    drawn = means[rng.integers(0, len(means), (2000, len(means)))].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Ahead:
    """The circuit's voltage some seconds ahead, under the current that came, against what came."""

    celsius: int
    horizon_second: int
    error_volt: float
    load_ampere: float


def look_ahead(model: CellModel, batch: Batch) -> list[Ahead]:
    """Every five minutes from minute 10 on, 60 s ahead, no reading coming in meanwhile."""
    state, found = soc_filter.init(model, batch.soc.shape[1]), []
    columns = (batch.seconds, batch.current, batch.voltage, batch.celsius)
    last = 0
    for now in range(SCORED_FROM_SECOND, len(batch.soc) - max(HORIZONS_SECOND), 300):
        state, _ = soc_filter.run(model, state, *(column[last:now] for column in columns))
        # A run that has ended goes on without current; its voltage is missing and not judged.
        coming = np.nan_to_num(batch.current[now : now + max(HORIZONS_SECOND)])
        volts = forecast_volt(model, state, coming)
        last = now
        for horizon in HORIZONS_SECOND:
            error = volts[horizon - 1] - batch.voltage[now + horizon - 1]
            load = batch.current[now : now + horizon].mean(axis=0)
            found += [
                Ahead(
                    int(batch.celsius_group[cell]), horizon, float(error[cell]), float(load[cell])
                )
                for cell in np.flatnonzero(np.isfinite(error))
            ]
    return found


def lg_hg2(draws: Sequence[int]) -> tuple[dict[str, Score], dict[str, float], list[Ahead]]:
    """Scores of each method on runs left out, what learning took [CPU s], voltages ahead."""
    runs, slow = lg_runs(), slow_curves()
    found: dict[str, list[Score]] = {}
    spent, ahead = {"identify": 0.0, "correction": 0.0}, []
    for fold in range(FOLD_COUNT):
        start = time.process_time()
        training = [r.record for r in runs if r.fold not in {fold, -1}] + slow
        model, parts = cross_identify(training, CAPACITY_AH)
        spent["identify"] += (time.process_time() - start) / FOLD_COUNT
        start = time.process_time()
        correction = learn(model, parts)
        spent["correction"] += (time.process_time() - start) / FOLD_COUNT
        kinds = {"": [r for r in runs if r.fold == fold]}
        if fold == 0:  # one circuit is enough for tests that no fold has
            kinds["1C "] = [r for r in runs if r.fold == -1]
        for kind, chosen in kinds.items():
            batch = enter(chosen, draws)
            for name, score in _methods(model, correction, batch):
                found.setdefault(kind + name, []).append(score)
        ahead += look_ahead(model, enter(kinds[""], draws[:1]))
    return {name: joined(scores) for name, scores in found.items()}, spent, ahead


def _methods(model: CellModel, correction: Correction, batch: Batch) -> Iterable[tuple[str, Score]]:
    for method in ("extended", "unscented"):
        told = filtered(model, batch, method)
        yield method, judge(batch, told.soc_fraction, told.soc_std_fraction)
        if method == "unscented":
            yield "coulomb", judge(batch, counted(batch, told.soc_fraction[0]))
            columns = (batch.seconds, batch.current, batch.voltage, batch.celsius)
            yield "learned", judge(batch, *correct(correction, model, told, *columns)[:2])
    yield "generic", judge(batch, *generic(batch))


def uw_batches() -> tuple[list[Record], Batch]:
    """UW LiPo: training records of cycles 1-30, and cycles 31-38 as the drives are entered."""
    path = _DATA / "uw_lipo" / "cycles_1hz.parquet"
    training, tests = [], []
    for rate in (1, 2, 3, 4):
        columns = duckdb.execute(
            "select time_s, voltage_V, -current_A as current_A, temperature_C,"
            f" soc_pct / 100 as soc, cycle from '{path}' where c_rate = ? order by time_s",
            [rate],
        ).fetchnumpy()
        *columns, cycle = (np.asarray(column, dtype=np.float64) for column in columns.values())
        for first in (*range(1, 30, 6), 31, 35):
            last = first + 1 if first < UW_TEST_FROM else first + 3
            part = (cycle >= first) & (cycle <= last)
            record = Record(*(np.ascontiguousarray(column[part]) for column in columns))
            if first < UW_TEST_FROM:
                training.append(record)
            else:
                tests.append(Run(f"{rate}C/{first}", 0, 25, record))
    return training, enter(tests, (1,))


UW_TEST_FROM = 31
UW_CAPACITY_AH = 5.45


def uw_lipo() -> Score:
    """The filter on cells cycled at constant rates; a smoke test."""
    training, batch = uw_batches()
    told = filtered(identify(training, UW_CAPACITY_AH), batch)
    return judge(batch, told.soc_fraction, told.soc_std_fraction)


def fleet_us(cell_count: int = 10_000, row_count: int = 60) -> dict[str, float]:
    """CPU time of one cell and one step, the filter compiled and warm. [us]"""
    runs = [r for r in lg_runs() if r.ambient_celsius == WARM_CELSIUS and r.fold >= 0]
    model = identify([r.record for r in runs] + slow_curves()[4:5], CAPACITY_AH)
    record = runs[0].record
    rng = np.random.default_rng(SEED)
    volts = record.voltage_volt[:row_count, None] + rng.normal(0.0, 0.01, (row_count, cell_count))
    warm = np.full(volts.shape, 25.0) + rng.normal(0.0, 3.0, cell_count)
    current = np.repeat(record.current_ampere[:row_count, None], cell_count, axis=1)
    seconds = np.arange(row_count, dtype=np.float64)
    told = {}
    for method in ("extended", "unscented"):
        state = soc_filter.init(model, cell_count)
        spent = []
        for _ in range(4):
            start = time.process_time()
            soc_filter.run(model, state, seconds, current, volts, warm, method=method)
            spent.append(time.process_time() - start)
        told[method] = min(spent[1:]) / cell_count / row_count * 1e6
    return told


def figure(name: str, value: float, unit: str, data: str, goal: str = "", **more: Any) -> dict:
    """One figure as every benchmark prints it."""
    told = {"name": name, "value": round(value, 5), "unit": unit, "data": data, **more}
    return told | ({"goal": goal} if goal else {})


def run(*, quick: bool = False) -> dict[str, Any]:
    """The figures."""
    draws = (1,) if quick else (1, 2, 3)
    scores, spent, ahead = lg_hg2(draws)
    best = scores["unscented"]
    warm = best.celsius_group == WARM_CELSIUS
    data = f"lg_hg2, {len(best.error)} entries of {len(np.unique(best.names))} drives, seed {SEED}"
    peers = {
        name: round(float(scores[name].error.mean()), 5)
        for name in ("extended", "learned", "coulomb", "generic")
    }
    low, high = bootstrap(best)
    coverage = {"interval95": [round(low, 3), round(high, 3)]}
    lipo, speed = uw_lipo(), fleet_us()
    mae = float(best.error.mean())
    figures = [
        figure("soc.lg_hg2.mae", mae, "1", data, "<=0.020", peers=peers),
        figure("soc.lg_hg2.25c.mae", float(best.error[warm].mean()), "1", data, "<=0.012"),
        figure("soc.lg_hg2.coverage90", float(best.inside.mean()), "1", data, "0.90", **coverage),
        figure("soc.lg_hg2.coverage90.low", low, "1", "95 % bootstrap by run"),
        figure("soc.lg_hg2.coverage90.high", high, "1", "95 % bootstrap by run"),
        figure("soc.lg_hg2.1c.mae", float(scores["1C unscented"].error.mean()), "1", "1C tests"),
        figure("soc.uw_lipo.mae", float(lipo.error.mean()), "1", "uw_lipo, cycles 31-38"),
        figure("soc.filter.us_per_cell_step", speed["unscented"], "us", "10,000 cells", "<=1"),
        figure("soc.filter.extended.us_per_cell_step", speed["extended"], "us", "10,000 cells"),
        figure("soc.identify.cpu_s", spent["identify"], "s", "30 drives, six curves"),
        figure("soc.correction.cpu_s", spent["correction"], "s", "30 drives"),
        *(_forecast_figure(ahead, horizon) for horizon in HORIZONS_SECOND),
    ]
    rows = [row for name, score in scores.items() for row in table(name, score)]
    power = forecast_rows(ahead)
    notes = [*map(line, rows), *map(forecast_line, power)]
    return {"figures": figures, "rows": rows + power, "notes": notes}


def _forecast_figure(ahead: Sequence[Ahead], horizon: int) -> dict[str, Any]:
    error = np.array([a.error_volt for a in ahead if a.horizon_second == horizon])
    value = float(np.sqrt(np.mean(error**2)))
    return figure(f"soc.power.{horizon}s.rmse_volt", value, "V", f"lg_hg2, {len(error)} moments")


def forecast_rows(ahead: Sequence[Ahead]) -> list[dict[str, Any]]:
    """Forecast error at each temperature and horizon."""
    rows = []
    for celsius in sorted({a.celsius for a in ahead}):
        for horizon in HORIZONS_SECOND:
            here = [a for a in ahead if (a.celsius, a.horizon_second) == (celsius, horizon)]
            error = np.array([a.error_volt for a in here])
            rows.append(
                {
                    "method": "forecast",
                    "group": f"{celsius} °C",
                    "horizon_second": horizon,
                    "moment_count": len(here),
                    "rmse_volt": round(float(np.sqrt(np.mean(error**2))), 4),
                    "bias_volt": round(float(error.mean()), 4),
                }
            )
    return rows


def forecast_line(row: dict[str, Any]) -> str:
    """A row as text."""
    rmse, bias = row["rmse_volt"] * 1e3, row["bias_volt"] * 1e3
    head = f"voltage {row['horizon_second']:2} s ahead, {row['group']:6}"
    return f"{head}: RMSE {rmse:.0f} mV, bias {bias:+.0f} mV, {row['moment_count']} moments"


def table(name: str, score: Score) -> list[dict[str, Any]]:
    """A row for all runs and one for each temperature."""
    groups = [("all", np.ones(len(score.error), dtype=bool))]
    groups += [(f"{c} °C", score.celsius_group == c) for c in np.unique(score.celsius_group)]
    rows = []
    for group, chosen in groups:
        part = score.of(chosen)
        rows.append(
            {
                "method": name,
                "group": group,
                "run_count": len(np.unique(part.names)),
                "mae_fraction": round(float(part.error.mean()), 4),
                "worst_run_fraction": round(float(part.error.max()), 4),
                "coverage90": round(float(part.inside.mean()), 3),
                "width90_fraction": round(float(part.width.mean()), 4),
            }
        )
    return rows


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    cover, width = row["coverage90"], row["width90_fraction"]
    tail = "" if np.isnan(cover) else f", 90 % interval holds {cover:.1%}, width {width:.2%}"
    head = f"{row['method']:13} {row['group']:7} {row['run_count']:3} runs"
    return f"{head}: MAE {row['mae_fraction']:.2%}, worst {row['worst_run_fraction']:.2%}{tail}"
