"""Battery health by published protocols: every algorithm beside baselines and published figures.

    cellwarden bench health [--quick] [--json]
    python benchmarks/health.py --page        # and write benchmarks/health.md

Rules
- Every row is told by what was tuned, fitted and calibrated on other cells (`health.tuning`); the
  baselines run on the same folds. A published figure on cells that are not in the folder says so.
- A task is a process of its own with one thread, two at a time; `cpu_s` is that of tuning, fitting
  and telling, after imports.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from cellwarden import datasets
from cellwarden.errors import UsageError
from cellwarden.health import tasks
from cellwarden.health.algorithms import ALGORITHMS, named
from cellwarden.health.early_life import CANDIDATES, REPEATS
from cellwarden.health.knee import Knee, find_knee
from cellwarden.health.learner import Algorithm
from cellwarden.health.scoring import Answer, carried, evaluate, score
from cellwarden.health.task import Task
from cellwarden.health.tuning import tune

_HEAD: Final = "coverage of 90 % | width | interval score | naive coverage | naive score | CPU s"
PAGE: Final = Path(__file__).with_name("health.md")
CHOSEN: Final = "chosen on training cells"
_SOH_ALGORITHMS: Final = ("mean", "cycle index only", "ridge", "SVR", "extra trees", "LightGBM")
_PULSE_ALGORITHMS: Final = ("mean", "ridge", "PLSR", "SVR", "random forest", "extra trees")
_DIFFERENT: Final = "different cells: those tested here trained there"
_PINN: Final = "PINN4SOH, Wang et al. 2024, its leaky recipe"
_SEVERSON: Final = "Severson et al. 2019"
_BATTERYML: Final = "BatteryML, ICLR 2024, without the shortest-lived cell"
# Task -> who, measure, value, remark; RMSE in cycles, MAPE as a fraction.
PUBLISHED: Final[dict[str, tuple[tuple[str, str, float, str], ...]]] = {
    "severson.primary": (
        (f"variance model, {_SEVERSON}", "rmse", 138, ""),
        (f"discharge model, {_SEVERSON}", "rmse", 91, ""),
        (f"full model, {_SEVERSON}", "rmse", 118, "uses temperature, resistance, charge time"),
        ("PCR on raw ΔQ(V), Attia et al. 2021", "rmse", 97, ""),
        ("PLSR on raw ΔQ(V), Attia et al. 2021", "rmse", 100, ""),
        ("random forest on raw ΔQ(V), Attia et al. 2021", "rmse", 141, ""),
        (f"PCR, {_BATTERYML}", "rmse", 90, ""),
        (f"PLSR, {_BATTERYML}", "rmse", 104, ""),
        (f"CNN, {_BATTERYML}", "rmse", 102, ""),
        (f"LSTM, {_BATTERYML}", "rmse", 119, ""),
    ),
    **{
        f"soh.{batch}": ((_PINN, "mape", value, remark),)
        for batch, value, remark in (
            ("xjtu.2c", 0.0070, _DIFFERENT), ("xjtu.3c", 0.0113, _DIFFERENT),
            ("xjtu.r2.5", 0.0086, _DIFFERENT), ("xjtu.r3", 0.0071, _DIFFERENT),
            ("xjtu.rw", 0.0105, _DIFFERENT), ("xjtu.sim_satellite", 0.0063, _DIFFERENT),
            ("tju.d1_nca", 0.0164, ""), ("tju.d2_ncm", 0.0119, ""), ("tju.d3_ncm_nca", 0.0080, ""),
            ("hust", 0.0078, _DIFFERENT),
            ("mit", 0.0065, "it tests a later batch's cells as well"),
        )
    },
}  # fmt: skip


def evaluated(name: str, *, quick: bool) -> list[dict[str, Any]]:
    """The rows of one task."""
    task = _task(name)
    rows = []
    life = task.name.startswith("severson")
    for algorithm in _algorithms(task, quick=quick):
        if algorithm.missing(task.columns):
            continue
        rows.append(_row(task, algorithm.name, [algorithm], 2 if life else 1))
    if task.name in ("severson.primary", "severson.shift"):
        rows.append(_row(task, CHOSEN, [named(one) for one in CANDIDATES], 2 if quick else REPEATS))
    rows += [_told(task, name, carried(task, name), 0.0) for name in task.carried]
    return rows


def _task(name: str) -> Task:
    if name == "severson.primary":
        return tasks.severson()
    if name == "severson.shift":
        return tasks.severson_shift()
    if name in ("severson.censored", "severson.as_failed"):
        return tasks.severson_censored(as_failed=name.endswith("failed"))
    if name in tasks.PULSE_GROUPS:
        return tasks.pulses(name)
    return tasks.soh(name)


def _algorithms(task: Task, *, quick: bool) -> list[Algorithm]:
    if task.name == "severson.primary" and not quick:
        return list(ALGORITHMS)
    if task.name in ("severson.censored", "severson.as_failed"):
        return [named(one) for one in ("mean", "ridge", "gaussian process", "censored line")]
    if task.name.startswith("severson"):
        return [named(one) for one in ("mean", "variance line", *CANDIDATES)]
    chosen = _PULSE_ALGORITHMS if task.name.startswith("pulsebat") else _SOH_ALGORITHMS
    return [named(one) for one in chosen]


def _row(task: Task, who: str, algorithms: list[Algorithm], repeats: int) -> dict[str, Any]:
    start = time.process_time()
    answer = evaluate(task, algorithms, repeat_count=repeats)
    return _told(task, who, answer, time.process_time() - start)


def _told(task: Task, who: str, answer: Answer, cpu_s: float) -> dict[str, Any]:
    told = asdict(score(task, who, answer))
    told |= {"unit": task.unit, "protocol": task.protocol, "cpu_s": round(cpu_s, 2)}
    if task.name == "severson.primary":
        truth = task.target[answer.row]
        others = truth > truth.min()
        away = (answer.mean - truth)[others]
        told["rmse_without_shortest"] = float(np.sqrt(np.mean(away**2)))
    return {name: _plain(value) for name, value in told.items()}


def _plain(value: object) -> object:
    """A number that JSON has: nothing for none."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value


def fit_seconds() -> float:
    """CPU seconds to choose among settings and fit `ridge and process` on 41 cells, once."""
    task = tasks.severson()
    sample = task.training(task.folds[0])
    start = time.process_time()
    tune([named("ridge and process")], sample, task.choices, 0)
    return time.process_time() - start


def knees(count: int) -> list[dict[str, Any]]:
    """How often the interval of a knee holds it, on made curves, and the knees of real cells."""
    cycle = np.arange(1.0, 601.0)
    clean = 1.1 - 1e-4 * cycle - 6e-4 * np.maximum(cycle - 400, 0)
    draw = np.random.default_rng(7)
    held = []
    for _ in range(count):
        error = np.zeros(len(cycle))
        for at, white in enumerate(0.002 * draw.normal(size=len(cycle))):
            error[at] = 0.6 * error[at - 1] + white
        found = find_knee(cycle, clean + error)
        if isinstance(found, Knee):
            held.append(found.interval.low <= 400 <= found.interval.high)  # noqa: PLR2004  its knee
    table = datasets.load("tbsi_nmc")
    real, widths = 0, []
    for cell in set(table["cell"].tolist()):
        own = table["cell"] == cell
        seen, capacity = table["cycle"][own], table["capacity_Ah"][own]
        found = find_knee(seen.astype(np.float64), capacity.astype(np.float64))
        if isinstance(found, Knee):
            real += 1
            widths.append(found.interval.high - found.interval.low)
    made = f"{count} made curves, neighbouring errors correlated by 0.6, seed 7"
    return [
        {"name": "health.knee.coverage90", "value": round(float(np.mean(held)), 3),
         "unit": "fraction", "data": made},
        {"name": "health.knee.tbsi_nmc.cells", "value": real, "unit": "of 24 cells",
         "data": "capacity a cycle"},
        {"name": "health.knee.tbsi_nmc.width_cycles",
         "value": round(float(np.median(widths)), 1) if widths else 0.0, "unit": "cycles",
         "data": "median width of the 90 % interval"},
    ]  # fmt: skip


def _apart(name: str, *, quick: bool) -> list[dict[str, Any]]:
    """A task in a process of its own."""
    command = [sys.executable, __file__, "--task", name, *(["--quick"] if quick else [])]
    alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise UsageError(f"{name}: {lines[-1] if lines else done.returncode}", hint="Run it alone.")
    return json.loads(done.stdout)["rows"]


def run(*, quick: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    names = ["severson.primary", "severson.shift", "severson.censored", "severson.as_failed"]
    if not quick:
        # The longest first, so that the two ends meet.
        names += ["XJTU 3C", "HUST"]
        names += [one for one in tasks.SOH_BATCHES if one not in names] + [*tasks.PULSE_GROUPS]
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda name: _apart(name, quick=quick), names))
    rows = [row for part in parts for row in part]
    seconds = round(fit_seconds(), 2)
    figures = [
        *_figures(rows),
        *knees(20 if quick else 200),
        {
            "name": "health.severson.fit_cpu_s", "value": seconds, "unit": "s", "goal": "<=5",
            "data": "41 training cells, ridge and process, four choices, four settings, five folds",
        },
    ]  # fmt: skip
    absent = [
        f"Not run, {one.missing(())}: {one.name}."
        for one in ALGORITHMS
        if one.needs and one.missing(())
    ]
    return {"figures": figures, "rows": rows, "notes": [*_lines(rows), "", *absent]}


def _figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The named figures of the rows; those that were asked for with their goals."""
    figures = []
    for row in rows:
        best = row["who"] == CHOSEN
        stem = f"health.{row['task']}" + ("" if best else f".{_slug(row['who'])}")
        told = f"{row['protocol']}; seed 0"
        unit = row["unit"]
        if unit == "cycles":
            figure = {"name": f"{stem}.rmse_cycles", "value": round(row["rmse"], 1), "unit": unit}
        else:
            figure = {"name": f"{stem}.mape", "value": round(row["mape"], 5), "unit": "fraction"}
        if best and row["task"] == "severson.primary":
            figure |= {"goal": "<=80", "peers": {f"PCR, {_BATTERYML}": 90, _SEVERSON: 91}}
        figures.append(figure | {"data": told})
        if row["coverage"] is not None:
            figures.append(
                {"name": f"{stem}.coverage90", "value": round(row["coverage"], 3),
                 "unit": "fraction", "data": told}
            )  # fmt: skip
    return figures


def _slug(name: str) -> str:
    return name.lower().replace(",", "").replace(" ", "_")


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    """The page's tables, which are the terminal's notes as well."""
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        first = own[0]
        counts = f"{first['cell_count']} cells, {first['row_count']:,} rows tested"
        lines += ["", f"## {task}: {first['protocol']} ({counts})", ""]
        lines += [
            f"| who | RMSE, {first['unit']} | MAPE, % | R² | {_HEAD} |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [_line(row) for row in sorted(own, key=lambda row: float(row["rmse"]))]
        for who, measure, value, remark in PUBLISHED.get(task, ()):
            cells = (_number(value, 0), "") if measure == "rmse" else ("", _number(100 * value, 2))
            said = f"*{who}*" + (f" ({remark})" if remark else "")
            lines.append(f"| {said} | {cells[0]} | {cells[1]} | | | | | | | |")
        for row in own:
            if row["who"] == CHOSEN:
                lines += ["", f"Chosen: {' and '.join(row['chosen'])}."]
                if "rmse_without_shortest" in row:
                    without = _number(row["rmse_without_shortest"], 1)
                    lines += [f"Without the shortest-lived cell it errs by {without} cycles."]
    return lines


def _line(row: dict[str, Any]) -> str:
    digits = 1 if row["unit"] == "cycles" else 4
    said = _number(row["coverage"], 2)
    if said:
        said += f" ({_number(row['coverage_low'], 2)} to {_number(row['coverage_high'], 2)})"
    cells = (
        row["who"],
        _number(row["rmse"], digits),
        _number(100 * row["mape"], 2),
        _number(row["r2"], 3),
        said,
        _number(row["width"], digits),
        _number(row["interval_score"], digits),
        _number(row["naive_coverage"], 2),
        _number(row["naive_interval_score"], digits),
        _number(row["cpu_s"], 1),
    )
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def page(told: dict[str, Any]) -> str:
    """The saved page."""
    head = [
        "# Battery health, algorithm by algorithm",
        "",
        "Written by `python benchmarks/health.py --page`; `cellwarden bench health` prints the",
        "same. How rows are tuned and scored: [docs/health.md](../docs/health.md).",
        "*Published figures* are in italics, under the rows that were run here.",
    ]
    fit = next(one for one in told["figures"] if one["name"] == "health.severson.fit_cpu_s")
    foot = ["", f"Tuning and fitting once on 41 cells: {fit['value']} CPU s.", "", "## Knees", ""]
    foot += [
        f"- `{one['name']}`: {one['value']} {one['unit']} ({one['data']})"
        for one in told["figures"]
        if one["name"].startswith("health.knee.")
    ]
    foot.append("")
    return "\n".join([*head, *told["notes"], *foot])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    if given.task:
        print(json.dumps({"rows": evaluated(given.task, quick=given.quick)}))
    elif given.page:
        PAGE.write_text(page(run(quick=given.quick)), encoding="utf-8")
    else:
        print(json.dumps(run(quick=given.quick)))
