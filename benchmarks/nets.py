"""Networks, kernels, survival and monotone trees beside what they must beat, on the same folds.

    cellwarden bench nets [--quick] [--json]
    python benchmarks/nets.py --part "MIT" [--who perceptron MiniRocket]     # a part alone

Rules
- Rows are tuned, fitted and scored as those of `cellwarden bench health`: whole cells left out, all
  choices on training cells. What was decided about the networks themselves (width, steps, which
  settings) was decided by cross-validation on training cells too; a test was scored once.
- The ablation fits one network with each term of aging at zero and at one: same first weights,
  batches, steps and cells to stop by, `SEEDS` seeds. `rise_share` is how often the state told for a
  test cell rises from a row to the next, cells in the order of their cycles.
- A part is a process of its own with one thread, two at a time; `cpu_s` is tuning, fitting and
  telling, after imports, what JAX compiles included.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from cellwarden.cli.bench_parts import Parts, notes
from cellwarden.health import tasks
from cellwarden.health.algorithms import ALGORITHMS, named
from cellwarden.health.learner import fit_prepared
from cellwarden.health.scoring import evaluate, score
from cellwarden.health.task import Task

SEEDS: Final = 5
_RIVALS: Final = ("ridge", "gaussian process", "extra trees", "XGBoost")
_CURVES: Final = tuple(one.name for one in ALGORITHMS if one.reads_curve)
_SOH: Final = ("ridge", "extra trees", "XGBoost", "LightGBM", "monotone LightGBM", "perceptron")
WHO: Final[dict[str, tuple[str, ...]]] = {
    "severson.primary": (*_RIVALS, "censored line", "LightGBM", "monotone LightGBM",
                         "survival XGBoost", "perceptron", *_CURVES),
    "severson.censored": (*_RIVALS, "censored line", "survival XGBoost"),
    # The recurrence takes minutes there and was behind the convolution on training cells.
    "LFP_35Ah": ("ridge", "extra trees", "XGBoost", "perceptron", *_CURVES[:-1]),
    "TJU D1_NCA": _SOH,
    "MIT": _SOH,
}  # fmt: skip
_QUICK: Final = ("severson.censored",)
# Strength of the dynamics, of the monotone term.
TERMS: Final = {
    "no term": (0.0, 0.0),
    "dynamics": (1.0, 0.0),
    "monotone": (0.0, 1.0),
    "both terms": (1.0, 1.0),
}
_ABLATION: Final = "ablation "
_ABLATED: Final = ("XJTU 2C", "TJU D1_NCA", "MIT")
PARTS: Final = Parts(Path(__file__), (*WHO, *(_ABLATION + batch for batch in _ABLATED)))


def evaluated(name: str, whose: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rows of one task, or those named."""
    if name.startswith(_ABLATION):
        return ablated(name.removeprefix(_ABLATION))
    task = _task(name)
    rows = []
    for who in whose or WHO[name]:
        algorithm = named(who)
        if algorithm.missing(task.columns, task.choices):
            continue
        start = time.process_time()
        repeats = 2 if task.name.startswith("severson") else 1
        answer = evaluate(task, [algorithm], repeat_count=repeats)
        spent = round(time.process_time() - start, 1)
        told = asdict(score(task, who, answer))
        told |= {"unit": task.unit, "protocol": task.protocol, "cpu_s": spent}
        rows.append({key: _plain(value) for key, value in told.items()})
    return rows


def ablated(batch: str) -> list[dict[str, Any]]:
    """The network with each term at zero and at one, over seeds."""
    task = tasks.soh(batch)
    who = named("aging network")
    if who.missing(task.columns):
        return []
    rows = []
    for said, (dynamics, monotone) in TERMS.items():
        start = time.process_time()
        setting = {"dynamics": dynamics, "monotone": monotone}
        each = [_refitted(task, setting, seed) for seed in range(SEEDS)]
        rows.append(
            {
                "task": f"ablation.{task.name}",
                "who": said,
                "unit": task.unit,
                "protocol": task.protocol,
                "rmse_each": [round(rmse, 6) for rmse, _ in each],
                "rise_share": round(float(np.mean([rise for _, rise in each])), 4),
                "cpu_s": round(time.process_time() - start, 1),
            }
        )
    return rows


def _refitted(task: Task, setting: dict[str, float], seed: int) -> tuple[float, float]:
    """Error on the rows that are tested, and share of steps at which the state told rises."""
    who = named("aging network")
    squares, rises = [], []
    for fold in task.folds:
        fitted = fit_prepared(who, task.training(fold), who.columns, setting, seed)
        rows = task.test_rows(fold)
        told = fitted.predict(task.features[rows]).mean
        squares.append((told - task.target[rows]) ** 2)
        order = np.lexsort((task.features[rows, task.columns.index("cycle_count")],
                            task.cell[rows]))  # fmt: skip
        same = np.diff(task.cell[rows][order]) == 0
        rises.append(np.diff(told[order])[same] > 0)
    return float(np.sqrt(np.mean(np.concatenate(squares)))), float(np.concatenate(rises).mean())


def _task(name: str) -> Task:
    if name == "severson.primary":
        return tasks.severson()
    if name == "severson.censored":
        return tasks.severson_censored()
    return tasks.pulses(name) if name in tasks.PULSE_GROUPS else tasks.soh(name)


def _plain(value: object) -> object:
    """A number that JSON has: nothing for none."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value


def run(*, quick: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    parts = PARTS.told(_QUICK if quick else None, quick=quick)
    rows = [row for part in parts.values() for row in part.dated()]
    absent = [
        f"Not run, {one.missing((), ('curve',))}: {one.name}."
        for one in ALGORITHMS
        if one.needs and not one.columns and one.missing((), ("curve",))
    ]
    return {
        "figures": _figures(rows),
        "rows": rows,
        "notes": [*_lines(rows), "", *absent, *notes(parts)],
    }


def _figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    figures = []
    for row in rows:
        stem = f"nets.{row['task']}.{row['who'].lower().replace(',', '').replace(' ', '_')}"
        if "rmse_each" in row:
            value, name = float(np.mean(row["rmse_each"])), f"{stem}.rmse"
            digits, data = 5, f"{row['protocol']}; {SEEDS} seeds"
        elif row["unit"] == "cycles":
            value, name, digits = row["rmse"], f"{stem}.rmse_cycles", 1
            data = f"{row['protocol']}; seed 0"
        else:
            value, name, digits = row["rmse"], f"{stem}.rmse", 5
            data = f"{row['protocol']}; seed 0"
        data += f", saved on {row['saved']}" if row.get("saved") else ""
        figures.append(
            {"name": name, "value": round(value, digits), "unit": row["unit"], "data": data}
        )
    return figures


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    """The tables of the terminal and of docs/nets.md."""
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        lines += ["", f"### {task}: {own[0]['protocol']}", ""]
        if "rmse_each" in own[0]:
            lines += ["| terms | RMSE, mean (least to most) | against none | rises | CPU s |",
                      "|---|---|---|---|---|"]  # fmt: skip
            none = np.array(own[0]["rmse_each"])
            lines += [_ablation_line(row, none) for row in own]
            continue
        unit = own[0]["unit"]
        lines += [f"| who | RMSE, {unit} | MAPE, % | coverage of 90 % | width | CPU s |",
                  "|---|---|---|---|---|---|"]  # fmt: skip
        lines += [_line(row) for row in sorted(own, key=lambda row: float(row["rmse"]))]
    return lines


def _line(row: dict[str, Any]) -> str:
    digits = 1 if row["unit"] == "cycles" else 4
    cover = "" if row["coverage"] is None else f"{row['coverage']:.2f}"
    width = "" if row["width"] is None else f"{row['width']:.{digits}f}"
    told = (row["who"], f"{row['rmse']:.{digits}f}", f"{100 * row['mape']:.2f}", cover, width,
            f"{row['cpu_s']:.1f}")  # fmt: skip
    return f"| {' | '.join(told)} |"


def _ablation_line(row: dict[str, Any], none: np.ndarray) -> str:
    each = np.array(row["rmse_each"])
    away = each / none - 1
    against = ""
    if away.any():
        error = away.std(ddof=1) / np.sqrt(len(away))
        against = f"{100 * away.mean():+.1f} % ± {100 * error:.1f}"
    told = (row["who"], f"{each.mean():.5f} ({each.min():.5f} to {each.max():.5f})", against,
            f"{100 * row['rise_share']:.0f} %", f"{row['cpu_s']:.1f}")  # fmt: skip
    return f"| {' | '.join(told)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", default="")
    parser.add_argument("--who", nargs="*", default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--soak", nargs="*")
    given = parser.parse_args()
    if given.soak is not None:
        PARTS.soak(given.soak)
    elif given.part:
        print(json.dumps({"rows": evaluated(given.part, given.who)}))
    else:
        print(json.dumps(run(quick=given.quick)))
