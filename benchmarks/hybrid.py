"""Forecasts of fade and life with a band, the effect of usage, laws of wear, electrodes, particles.

    cellwarden bench hybrid [--json] [--quick]
    python benchmarks/hybrid.py --part HUST    # the rows of one part
    python benchmarks/hybrid.py --soak      # run and save the long parts

Trajectories: of each group a fifth of the cells is left out in turn (order by seed 0); the prior,
its calibration and what is learnt come from the others. A cell left out is asked at 20, 40, 60 and
80 % of its life (of its record where it did not reach the end) and at fixed cycles. Errors of the
life left are over cells that reached the end; coverage is the share of cells inside, that of the
band the mean over cells of the share of later measurements inside. Ends of life: 0.88 Ah for
`tbsi_nmc`; 80 % of nominal for TJU; 85 % for XJTU, HUST and MIT, whose records stop about 80 %.

- curves: the fade law with its population's prior, nothing else.
- process alone: a Gaussian process that tells a life from a cell's own history, no law.
- hybrid: the curves, and a process for what they miss.

Usage: of `tbsi_nmc` one temperature is left out whole. Voltages: LG HG2 drives at 0 to 40 °C, two
drives of each temperature left out, then one temperature after the other whole; no voltage is told.
`--quick`: one group, no laws of wear, no voltages. Each part is a process with one thread, two run
at a time; the long ones are told as `make soak` saved them.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from cellwarden import datasets
from cellwarden.cli.bench_parts import Parts, notes
from cellwarden.domain import Table
from cellwarden.errors import DataError
from cellwarden.health.electrodes import NAMES, Balance, fit_balance, slow_curve
from cellwarden.health.fade_law import Usage
from cellwarden.health.life_correction import (
    FEATURES,
    OWN_COUNT,
    Correction,
    features,
    fit_correction,
)
from cellwarden.health.population import History, Population, fit_population
from cellwarden.health.raw_forecast import FEWEST, Phase, forecast
from cellwarden.health.trajectory import (
    Forecaster,
    correction_rows,
    learn,
    measured,
    reach,
    trials,
)
from cellwarden.health.trajectory_rivals import RIVALS
from cellwarden.health.voltage_hybrid import Drive, fit_particles, learn_missed, particle_volt
from cellwarden.health.wear import Term, WearFit, fit_wear
from cellwarden.physics.ocp import graphite_siox, nmc811
from cellwarden.physics.particle import full, lg_m50
from cellwarden.physics.particle_kernel import run as run_particles

SEED: Final = 0
FOLDS: Final = 5
SHARES: Final = (0.2, 0.4, 0.6, 0.8)
FIXED: Final = (50, 100, 200, 400)
FLOWS: Final = 0.1  # A; less is rest
# Part of `soh_features`, batches, nominal capacity [Ah], end of life [1].
GROUPS: Final = {
    "TBSI NMC": ("tbsi", (), 1.1, 0.8),
    "XJTU": ("xjtu", (), 2.0, 0.85),
    "TJU NCA": ("tju", ("D1_NCA_battery",), 3.5, 0.8),
    "TJU NCM": ("tju", ("D2_NCM_battery",), 3.5, 0.8),
    "HUST": ("hust", (), 1.1, 0.85),
    "MIT": ("mit", (), 1.1, 0.85),
}
_STRESSES: Final = {
    "TBSI NMC": ("temperature",),
    "TJU NCA": ("temperature", "charge_rate"),
    "TJU NCM": ("temperature",),
}


def cells_of(group: str) -> list[History]:
    """Whole histories of a group, each with what its name tells of its usage."""
    part, batches, nominal, _ = GROUPS[group]
    if part == "tbsi":
        table = _table("tbsi_nmc", None)
        name, cycle, ah = table["cell"], table["cycle"], table["capacity_Ah"]
        usages = {n: Usage(float(c)) for n, c in zip(name, table["temperature_C"], strict=True)}
    else:
        table = _table("soh_features", part)
        chosen = np.isin(table["batch"], batches) if batches else np.ones(len(table), bool)
        table = table.rows(chosen)
        name = np.array([f"{b}/{c}" for b, c in zip(table["batch"], table["cell"], strict=True)])
        cycle, ah = table["row"] + 1, table["capacity"]
        usages = {one: _usage(one) for one in np.unique(name)}
    told = []
    for one in np.unique(name):
        own = np.flatnonzero(name == one)
        own = own[np.argsort(cycle[own])]
        soh = ah[own].astype(np.float64) / nominal
        told.append(History(cycle[own].astype(np.float64), soh, usages[one], str(one)))
    return told


def _table(name: str, part: str | None) -> Table:
    table = datasets.load(name, part) if part else datasets.load(name)
    if not isinstance(table, Table):
        raise DataError(f"{name} is no table", hint="Check the files.")
    return table


def _usage(name: str) -> Usage:
    """TJU names its cells by °C, charge rate and discharge rate: CY25-05_1 is 25 °C, 0.5C, 1C."""
    found = re.search(r"CY(\d+)-(\d+)_(\d+)", name)
    if not found:
        return Usage()
    rate = {"025": 0.25, "05": 0.5, "1": 1.0}[found[2]]
    return Usage(float(found[1]), rate, float(found[3]))


@dataclass(frozen=True, slots=True)
class Asked:
    """One forecast of one method: where it stood, what it told and what came."""

    group: str
    age: str
    method: str
    cell: str
    left: float
    told: float
    inside: float
    width: float
    soh_rmse: float
    band_inside: float


@dataclass(frozen=True, slots=True)
class Fold:
    """What was learnt from the cells that were not left out."""

    group: str
    train: list[History]
    end: float
    forecasters: dict[str, Forecaster]
    alone: Correction


def trajectories(group: str) -> list[Asked]:
    """Every cell of a group left out, asked at every age, by every method."""
    cells, end = cells_of(group), GROUPS[group][3]
    order = np.random.default_rng(SEED).permutation(len(cells))
    found: list[Asked] = []
    for place in range(FOLDS):
        test = set(order[place::FOLDS].tolist())
        fold = _learnt(group, [cells[k] for k in order if k not in test], end)
        for k in sorted(test):
            life = reach(cells[k], end)
            last = life if np.isfinite(life) else float(cells[k].cycle_count[-1])
            ages = [(f"{share:.0%}", share * last) for share in SHARES]
            ages += [(f"cycle {at}", float(at)) for at in FIXED if at < 0.95 * last]
            for age, at in ages:
                seen = cells[k].until(at)
                if len(seen.cycle_count) >= FEWEST:
                    found += _asked(fold, age, cells[k], seen)
    return found


def _learnt(group: str, train: list[History], end: float) -> Fold:
    stresses = _STRESSES.get(group, ())
    found = trials(train, stresses, end)
    told, missed = correction_rows(found)
    lives = [
        miss + float(row[FEATURES.index("log_curve_life")])
        for row, miss in zip(told, missed, strict=True)
    ]
    forecasters = {
        "curves": learn(train, stresses, end_of_life_fraction=end, found=found),
        "hybrid": learn(train, stresses, end_of_life_fraction=end, found=found, corrected=True),
    }
    return Fold(group, train, end, forecasters, fit_correction(told, lives, OWN_COUNT))


def _asked(fold: Fold, age: str, cell: History, seen: History) -> list[Asked]:
    now, life, none = float(seen.cycle_count[-1]), reach(cell, fold.end), float("nan")
    last = life if np.isfinite(life) else float(cell.cycle_count[-1])
    later = cell.cycle_count[(cell.cycle_count > now) & (cell.cycle_count <= last)]
    truth, found = measured(cell, later), []
    known = np.isfinite(truth)
    later, truth = later[known], truth[known]
    raw = fold.forecasters["curves"].raw(seen)
    for name, forecaster in fold.forecasters.items():
        told = forecaster.banded(seen, raw)  # of one population
        low, soh, high = (
            np.interp(later, told.cycle_count, one)
            for one in (told.low_fraction, told.soh_fraction, told.high_fraction)
        )
        band = none if np.isnan(low[0]) else float(np.mean((low <= truth) & (truth <= high)))
        span, inside, width = getattr(told.life, "interval", None), none, none
        if span is not None and np.isfinite(life):
            inside, width = float(span.low <= life - now <= span.high), span.high - span.low
        rmse = float(np.sqrt(np.mean((soh - truth) ** 2)))
        found.append(Asked(fold.group, age, name, cell.name, life - now, told.life_cycle_count,
                           inside, width, rmse, band))  # fmt: skip
    alone = max(float(np.exp(fold.alone(features(seen, raw)[None])[0])) - now, 0.0)
    found.append(Asked(fold.group, age, "process alone", cell.name, life - now, alone,
                       none, none, none, none))  # fmt: skip
    for name, rival in RIVALS.items():
        soh, all_life = rival(seen, fold.train, fold.end, later)
        rmse = float(np.sqrt(np.mean((soh - truth) ** 2)))
        found.append(Asked(fold.group, age, name, cell.name, life - now, all_life - now,
                           none, none, rmse, none))  # fmt: skip
    return found


def trajectory_rows(found: Sequence[Asked]) -> list[dict[str, Any]]:
    """A row for each group, age and method."""
    keys = dict.fromkeys((one.group, one.age, one.method) for one in found)
    rows = []
    for group, age, method in keys:
        here = [one for one in found if (one.group, one.age, one.method) == (group, age, method)]
        failed = [one for one in here if np.isfinite(one.left)]
        away = np.array([one.told - one.left for one in failed])
        left = np.array([one.left for one in failed])
        rows.append({
            "kind": "trajectory", "group": group, "age": age, "method": method,
            "cell_count": len(here), "failed_count": len(failed),
            "life_rmse_cycles": _round(np.sqrt(np.mean(away**2)), 1),
            "life_mape": _round(np.mean(np.abs(away) / np.maximum(left, 1)), 3),
            "life_coverage90": _mean([one.inside for one in failed]),
            "life_width_cycles": _mean([one.width for one in failed], 1),
            "soh_rmse": _mean([one.soh_rmse for one in here], 4),
            "band_coverage90": _mean([one.band_inside for one in here]),
        })  # fmt: skip
    return rows


def _mean(values: Sequence[float], digits: int = 3) -> float | None:
    known = [one for one in values if np.isfinite(one)]
    return _round(float(np.mean(known)), digits) if known else None


def _round(value: float, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def usage() -> list[dict[str, Any]]:
    """One temperature of `tbsi_nmc` left out whole: its cells told by the others, early on.

    Told its temperature, or not; and as a plan: cells of the next temperature, seen for 50 cycles
    there, then moved, against the mean measured life of the cells of the left-out temperature.
    """
    cells, end = cells_of("TBSI NMC"), GROUPS["TBSI NMC"][3]
    warm = sorted({one.usage.temperature_celsius for one in cells})
    rows = []
    for out in warm:
        own = [one for one in cells if one.usage.temperature_celsius == out]
        rest = [one for one in cells if one.usage.temperature_celsius != out]
        kept = [one.until(np.nan_to_num(reach(one, end - 0.05), nan=1e9)) for one in rest]
        lives = np.array([reach(one, end) for one in own])
        for name, stresses in (("told", ("temperature",)), ("not told", ())):
            population = fit_population(kept, stresses)
            for at in (50, 100, 200):
                told = np.array([_life(one.until(at), population, end) for one in own])
                rows.append(_usage_row(out, f"{name}, seen {at} cycles", told, lives))
            if stresses:
                near = min((w for w in warm if w != out), key=lambda w: (abs(w - out), w))
                from_there = [one for one in rest if one.usage.temperature_celsius == near]
                plan = [Phase(Usage(out))]
                told = np.array([_life(c.until(50), population, end, plan) for c in from_there])
                rows.append(_usage_row(out, f"moved from {near:.0f} °C at cycle 50", told,
                                       np.full(len(told), lives.mean())))  # fmt: skip
    return rows


def _life(seen: History, population: Population, end: float, plan: Sequence[Phase] = ()) -> float:
    return float(np.exp(forecast(seen, population, plan, end_of_life_fraction=end).log_life))


def _usage_row(out: float, how: str, told: np.ndarray, lives: np.ndarray) -> dict[str, Any]:
    return {
        "kind": "usage", "left_out_celsius": out, "how": how, "cell_count": len(told),
        "mean_life_cycles": round(float(lives.mean()), 0),
        "told_mean_cycles": round(float(told.mean()), 0),
        "life_mape": round(float(np.mean(np.abs(told - lives) / lives)), 3),
    }  # fmt: skip


def wear() -> list[dict[str, Any]]:
    """Laws of wear fitted to groups, with what the data tell."""
    by_use, warm = Term("cycle"), ("temperature", "charge_rate")
    laws = {
        ("TBSI NMC", "one term by cycles"): (by_use,),
        ("TBSI NMC", "two terms by cycles"): (by_use, by_use),
        ("TBSI NMC", "a term by days, one by cycles"): (Term("day"), by_use),
        ("TJU NCA", "one term by cycles"): (Term("cycle", warm),),
        ("TJU NCM", "one term by cycles"): (by_use,),
    }
    return [
        row
        for (group, law), terms in laws.items()
        for row in _wear_rows(group, law, fit_wear(cells_of(group), terms))
    ]


def _wear_rows(group: str, law: str, fit: WearFit) -> list[dict[str, Any]]:
    return [
        {
            "kind": "wear", "group": group, "law": law, "number": one.name,
            "value": round(one.value, 3), "std": round(one.std, 3),
            "low90": _round(one.low, 3), "high90": _round(one.high, 3), "told": one.told,
            "rmse": round(fit.rmse_fraction, 4), "clocks_alike": fit.clocks_alike,
            "condition_number": float(f"{fit.condition_number:.3g}"),
        }
        for one in fit.numbers
    ]  # fmt: skip


def published() -> list[dict[str, Any]]:
    """NASA and CALCE cells, each told from two others at the cycles where published work starts."""
    sets = {  # table, name, capacity [Ah], the least that is no aborted test [Ah], nominal [Ah]
        "NASA": ("nasa_pcoe/tests", "battery_id", "capacity_Ah", 0.5, 2.0,
                 ("B0005", "B0006", "B0007"), 16),
        "CALCE": ("calce_cs2/cycles", "cell", "discharge_Ah_integrated", 0.1, 1.1,
                  ("CS2_35", "CS2_36", "CS2_37"), 64),
    }  # fmt: skip
    rows = []
    for group, (table, key, column, least, nominal, names, at) in sets.items():
        path = datasets.data_folder() / f"{table}.csv"
        told = duckdb.execute(
            f"select {key}, {column} from '{path}' where {column} > ?", [least]
        ).fetchnumpy()
        cells = []
        for name in names:
            ah = np.asarray(told[column], dtype=np.float64)[told[key] == name]
            cells.append(History(np.arange(1.0, len(ah) + 1), ah / nominal, name=name))
        for cell in cells:
            life, end = reach(cell, 0.7), 0.7
            rest = [one for one in cells if one is not cell]
            kept = [one.until(np.nan_to_num(reach(one, end - 0.05), nan=1e9)) for one in rest]
            said = _life(cell.until(at), fit_population(kept), end)
            away = abs(said - life) / (life - at) if np.isfinite(life) else float("nan")
            rows.append({"kind": "published", "group": group, "cell": cell.name, "from_cycle": at,
                         "life_cycles": _round(life, 0), "told_cycles": _round(said, 0),
                         "relative_error": _round(away, 3)})  # fmt: skip
    return rows


def c20_curve(celsius: float) -> tuple[np.ndarray, np.ndarray]:
    """Charge out since full and the mean of the slow discharge and the charge after it. [Ah, V]"""
    path = datasets.data_folder() / "lg_hg2" / "c20_ocv.parquet"
    told = duckdb.execute(
        f"select time_s, voltage_V, current_A from '{path}' where ambient_C = ? order by time_s",
        [int(celsius)],
    ).fetchnumpy()
    seconds, volts, ampere = (np.asarray(one, dtype=np.float64) for one in told.values())
    down, up = np.flatnonzero(ampere < -FLOWS), np.flatnonzero(ampere > FLOWS)
    down = down[down < up.min()]
    up = up[up > down.max()]
    jumps = np.flatnonzero(np.diff(up) > 5)  # noqa: PLR2004  a rest parts the charges
    up = up[: jumps[0] + 1] if len(jumps) else up
    parts = []
    for part in (down, up):
        hours = np.diff(seconds[part], prepend=seconds[part[0]]) / 3600
        parts += [np.cumsum(np.abs(ampere[part]) * hours), volts[part]]
    return slow_curve(*parts)


def drives() -> dict[str, Drive]:
    """The random drives at 0 to 40 °C; each begins with a full cell."""
    path = datasets.data_folder() / "lg_hg2" / "drive_1hz.parquet"
    told = duckdb.execute(
        f"select ambient_C, test, time_s, current_A, voltage_V, temperature_C from '{path}'"
        " where test like '%Mixed%' and ambient_C >= 0 order by ambient_C, test, time_s"
    ).fetchnumpy()
    names = np.array([f"{a}/{b}" for a, b in zip(told["ambient_C"], told["test"], strict=True)])
    columns = [np.asarray(told[name], dtype=np.float64) for name in list(told)[2:]]
    return {
        str(name): Drive(*(np.ascontiguousarray(one[names == name]) for one in columns))
        for name in np.unique(names)
    }


def voltages() -> list[dict[str, Any]]:
    """The voltage of drives left out from current and temperature alone, by three models."""
    every = drives()
    balance = fit_balance(*c20_curve(25.0), nmc811, graphite_siox, 3.0)
    splits = {"drives 1 and 5": [one for one in every if one[-1] in {"1", "5"}]}
    for celsius in ("0", "10", "25", "40"):
        splits[f"{celsius} °C"] = [one for one in every if one.split("/")[0] == celsius]
    rows = []
    for name, out in splits.items():
        rest = [one for key, one in every.items() if key not in out]
        cell = fit_particles(rest[:: max(len(rest) // 6, 1)], balance, (nmc811, graphite_siox))
        both, trees = learn_missed(cell, rest), learn_missed(cell, rest, particles=False)
        told = {"particles": lambda one, cell=cell: particle_volt(cell, one),
                "trees": lambda one, cell=cell, trees=trees: trees(cell, one),
                "both": lambda one, cell=cell, both=both: both(cell, one)}  # fmt: skip
        errors = {
            f"{how}_rmse_mv": round(1e3 * float(np.mean([
                np.sqrt(np.mean((say(every[key]) - every[key].voltage_volt) ** 2)) for key in out
            ])), 1)
            for how, say in told.items()
        }  # fmt: skip
        rows.append({"kind": "voltage", "left_out": name, "drive_count": len(out), **errors})
    return rows


def speed_ns() -> float:
    """CPU time of one cell and one second of the particles, compiled and warm. [ns]"""
    cell, seconds = lg_m50(), np.arange(0.0, 20_000.0)
    here, warm = np.full(len(seconds), -0.5), np.full(len(seconds), 25.0)
    spent = []
    for _ in range(4):
        start = time.process_time()
        run_particles(cell, full(cell), seconds, here, warm)
        spent.append(time.process_time() - start)
    return min(spent[1:]) / len(seconds) * 1e9


WINDOWS: Final = ((0.0, 1.0), (0.0, 0.8), (0.1, 0.9), (0.2, 0.8), (0.3, 0.7), (0.0, 0.5))


def electrodes() -> list[dict[str, Any]]:
    """The LG HG2 cell: at three temperatures, and at 25 °C from parts of the curve."""
    rows = []
    for celsius in (10.0, 25.0, 40.0):
        charge, volts = c20_curve(celsius)
        for low, high in WINDOWS if celsius == 25 else WINDOWS[:1]:  # noqa: PLR2004  °C
            part = (charge >= low * charge[-1]) & (charge <= high * charge[-1])
            balance = fit_balance(charge[part], volts[part], nmc811, graphite_siox, 3.0)
            rows.append(_balance_row(celsius, low, high, balance))
    return rows


def _balance_row(celsius: float, low: float, high: float, balance: Balance) -> dict[str, Any]:
    return {
        "kind": "electrodes", "celsius": celsius, "window": f"{low:.0%}..{high:.0%} out",
        "rmse_mv": round(balance.rmse_volt * 1e3, 2), "told": balance.told,
        "condition_number": float(f"{balance.condition_number:.2g}"),
        **{
            name: [round(one.value, 3), _round(one.low, 3), _round(one.high, 3), one.told]
            for name, one in ((name, balance.numbers[name]) for name in NAMES)
        },
    }  # fmt: skip


def figure(name: str, value: Any, unit: str, data: str) -> dict[str, Any]:
    """One figure as every benchmark prints it."""
    return {"name": name, "value": value, "unit": unit, "data": data}


_OTHER: Final = {"usage": usage, "published": published, "electrodes": electrodes, "wear": wear,
                 "voltages": voltages}  # fmt: skip
PARTS: Final = Parts(Path(__file__), (*GROUPS, *_OTHER))
_QUICK: Final = ("TBSI NMC", "usage", "published", "electrodes")


def worked(part: str) -> list[dict[str, Any]]:
    """The rows of one part: the forecasts of a group, or another kind of rows."""
    return _OTHER[part]() if part in _OTHER else trajectory_rows(trajectories(part))


def run(*, quick: bool = False) -> dict[str, Any]:
    """The figures."""
    parts = PARTS.told(_QUICK if quick else None, quick=quick)
    rows = [row for part in parts.values() for row in part.dated()]
    figures = [
        figure(
            f"hybrid.{row['group'].lower().replace(' ', '_')}.{row['method']}.{key}",
            row[key], unit, f"{row['failed_count']} cells at {row['age']} of their life",
        )
        for row in rows
        if row["kind"] == "trajectory" and row["age"] == "40%"
        and row["method"] in {"curves", "hybrid"}
        for key, unit in (("life_rmse_cycles", "cycles"), ("life_mape", "1"),
                          ("life_coverage90", "1"), ("soh_rmse", "1"))
    ]  # fmt: skip
    figures.append(figure("hybrid.particle.ns_per_step", round(speed_ns()), "ns", "20 shells"))
    return {"figures": figures, "rows": rows, "notes": [*map(line, rows), *notes(parts)]}


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    if row["kind"] == "trajectory":
        head = f"{row['group']:8} {row['age']:9} {row['method']:14} {row['failed_count']:2} cells"
        return (
            f"{head}: life RMSE {row['life_rmse_cycles']} MAPE {row['life_mape']}"
            f" inside {row['life_coverage90']} width {row['life_width_cycles']};"
            f" SOH RMSE {row['soh_rmse']} inside {row['band_coverage90']}"
        )
    return "; ".join(f"{key} {value}" for key, value in row.items())


if __name__ == "__main__":
    PARTS.main(lambda part, _: worked(part), lambda quick: run(quick=quick))
