"""Battery health by published protocols: every algorithm beside baselines and published figures.

    cellwarden bench health [--quick] [--json]
    python benchmarks/health.py --part MIT     # the rows of one part
    python benchmarks/health.py --soak [MIT HUST]   # run and save the long parts, or these
    python benchmarks/health.py --page         # what the command prints, as benchmarks/health.md

Rules
- Every row is told by what was tuned, fitted and calibrated on other cells (`health.tuning`), the
  baselines on the same folds. A published figure on cells that are not in the folder says so.
- The row `chosen on training cells` is one procedure: a candidate, or a mean of several
  (`health.blend`), picked inside each fold; single algorithms share its cross-validation.
- A part is a process with one thread, two at a time; `cpu_s` is that of tuning, fitting and
  telling, after imports. The parts of `LONG` are told as `make soak` saved them.
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from threadpoolctl import threadpool_limits

from cellwarden import datasets
from cellwarden.cli.bench_parts import Part, Parts, notes
from cellwarden.errors import UsageError
from cellwarden.health import scoring, tasks
from cellwarden.health.algorithms import ALGORITHMS, named
from cellwarden.health.blend import blend
from cellwarden.health.candidates import BESIDE, CHARGE, PULSE, UNTUNED
from cellwarden.health.early_life import CANDIDATES, REPEATS
from cellwarden.health.knee import Knee, find_knee
from cellwarden.health.learner import Algorithm, fit_prepared
from cellwarden.health.scoring import Answer, answered, evaluate, score
from cellwarden.health.task import Sample, Task
from cellwarden.health.tuning import Made, cross, settle, tune

_HEAD: Final = "coverage of 90 % | width | interval score | naive coverage | naive score | CPU s"
PAGE: Final = Path(__file__).with_name("health.md")
CHOSEN: Final = "chosen on training cells"
# Parts that run alone, the longest first, so that the two ends meet.
# CatBoost is large and in no lock, so its rows are saved whatever they take.
BOOSTED: Final = "CatBoost"
BOOSTED_LIFE: Final = "CatBoost, life"
LONG: Final = frozenset({"XJTU", "HUST", BOOSTED, BOOSTED_LIFE})
PARTS: Final = Parts(
    Path(__file__),
    ("XJTU", "HUST", "TJU", "MIT", "severson.primary", "severson.shift", "severson.censored",
     "severson.as_failed", *tasks.PULSE_GROUPS, BOOSTED, BOOSTED_LIFE),
    LONG,
)  # fmt: skip
_CAT: Final = "catboost"
QUICK: Final = ("severson.primary", "severson.shift", "severson.censored", "severson.as_failed")
_MEMBER: Final = re.compile(r"([\d.]+) \(([^;]+); ([^;)]+)")
_SAID: Final = 0.05
_PULSE_LIMITS: Final = {"pulsebat.lmo_10ah": 0.024, "pulsebat.lfp_35ah": 0.052,
                        "pulsebat.nmc_2.1ah": 0.014}  # fmt: skip
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


def evaluated(part: str, *, quick: bool) -> list[dict[str, Any]]:
    """The rows of one part."""
    if part.startswith("severson"):
        return _life_rows(_severson(part), quick=quick)
    if part == BOOSTED_LIFE:
        return _rows_of(tasks.severson(), [one for one in ALGORITHMS if one.needs == _CAT])
    if part == BOOSTED:
        return [row for one in tasks.SOH_BATCHES for row in _beside(tasks.soh(one))]
    if part in tasks.PULSE_GROUPS:
        return _blended_rows([tasks.pulses(part)], PULSE)
    batches = [one for one in tasks.SOH_BATCHES if one.partition(" ")[0] == part]
    return _blended_rows([tasks.soh(one) for one in batches or [part]], CHARGE)


def _severson(part: str) -> Task:
    if part in ("severson.primary", "severson.shift"):
        return tasks.severson() if part == "severson.primary" else tasks.severson_shift()
    return tasks.severson_censored(as_failed=part.endswith("failed"))


def _life_rows(task: Task, *, quick: bool) -> list[dict[str, Any]]:
    if task.name in ("severson.censored", "severson.as_failed"):
        algorithms = [named(one) for one in ("mean", "ridge", "gaussian process", "censored line")]
    elif task.name == "severson.primary" and not quick:
        algorithms = [one for one in ALGORITHMS if one.needs != _CAT]
    else:
        algorithms = [named(one) for one in ("mean", "variance line", *CANDIDATES)]
    rows = _rows_of(task, [one for one in algorithms if not one.missing(task.columns)])
    if task.name in ("severson.primary", "severson.shift"):
        offered = [named(one) for one in CANDIDATES]
        repeats = 2 if quick else REPEATS
        rows.append(_timed(task, CHOSEN, lambda: evaluate(task, offered, repeat_count=repeats)))
    return rows


def _rows_of(task: Task, algorithms: Sequence[Algorithm]) -> list[dict[str, Any]]:
    """A row of each algorithm, tuned on a life's training cells dealt in two ways."""
    _refuse(task, algorithms)
    return [
        _timed(task, one.name, lambda one=one: evaluate(task, [one], repeat_count=2))
        for one in algorithms
    ]


def _refuse(task: Task, algorithms: Sequence[Algorithm]) -> None:
    if reasons := [f"{one.name} {why}" for one in algorithms if (why := one.missing(task.columns))]:
        raise UsageError("; ".join(reasons), hint='pip install "cellwarden[boosters]"')


def _alone(task: Task, algorithm: Algorithm, columns: tuple[str, ...]) -> Answer:
    samples = [task.training(fold) for fold in task.folds]
    fits = [fit_prepared(algorithm, one, columns, {}, 0) for one in samples]
    errors = [
        float(np.sqrt(np.mean((fitted.predict(one.features).mean - one.target) ** 2)))
        for fitted, one in zip(fits, samples, strict=True)
    ]
    told = zip(fits, errors, strict=True)
    return answered(task, [scoring.Single(algorithm.name, fit, float("nan"), e) for fit, e in told])


def _baselines(task: Task) -> list[dict[str, Any]]:
    """What must be beaten: what age tells, and trees on one charge or on all columns."""
    rows = [_timed(task, "mean", lambda: evaluate(task, [named("mean")]))]
    age = replace(named("cycle index only"), settings=({"leaf": 16},))
    if not age.missing(task.columns):
        rows.append(_timed(task, age.name, lambda: evaluate(task, [age])))
    # Extra trees on all columns are tuned below.
    offered = dict(list(task.choices.items())[:2])
    for one in UNTUNED:
        if one.missing(task.columns):
            continue
        more = {"all columns": task.columns} if one.name == "XGBoost" else {}
        for choice, taken in (offered | more).items():
            who = f"{one.name} untuned, {choice}"
            rows.append(_timed(task, who, lambda o=one, c=taken: _alone(task, o, c)))
    return rows


def _blended_rows(group: list[Task], offered: tuple[Algorithm, ...]) -> list[dict[str, Any]]:
    """The rows of tasks of one kind; where one has no interval, the others' cells give it."""
    rows, means, seconds = [], [], []
    for task in group:
        rows += _baselines(task)
        rows += [_told(task, name, scoring.carried(task, name), 0.0) for name in task.carried]
        crossed = _crossed(task, offered)
        samples = [task.training(fold) for fold in task.folds]
        rows += _single_rows(task, crossed, samples)
        every = [[one for _, each in crossed.values() for one in each[place]]
                 for place in range(len(task.folds))]  # fmt: skip
        start = time.process_time()
        blends = [blend(one, sample, 0) for one, sample in zip(every, samples, strict=True)]
        means.append(answered(task, blends))
        seconds.append(time.process_time() - start + sum(used for used, _ in crossed.values()))
    if len(group) > 1:
        told = scoring.pooled(group, means)
        means = [own if np.isfinite(own.low).all() else other
                 for own, other in zip(means, told, strict=True)]  # fmt: skip
    rows += [_told(task, CHOSEN, answer, used)
             for task, answer, used in zip(group, means, seconds, strict=True)]  # fmt: skip
    if len(group) > 1:
        whole, answer = scoring.together(group, means)
        rows.append(_told(whole, CHOSEN, answer, sum(seconds)))
    return rows


def _beside(task: Task) -> list[dict[str, Any]]:
    """Rows of what has the budget of the others and is in no mean."""
    _refuse(task, BESIDE)
    samples = [task.training(fold) for fold in task.folds]
    return _single_rows(task, _crossed(task, BESIDE), samples)


def _single_rows(
    task: Task, crossed: dict[str, tuple[float, list[Sequence[Any]]]], samples: list[Sample]
) -> list[dict[str, Any]]:
    rows = []
    for name, (used, each) in crossed.items():
        row = _timed(task, name, lambda each=each: _settled(task, each, samples))
        rows.append(row | {"cpu_s": round(row["cpu_s"] + used, 2)})
    return rows


def _settled(task: Task, each: Sequence[Any], samples: list[Sample]) -> Answer:
    pairs = zip(each, samples, strict=True)
    return answered(task, [scoring.Single.of(settle(one, sample, 0)) for one, sample in pairs])


def _crossed(
    task: Task, offered: tuple[Algorithm, ...]
) -> dict[str, tuple[float, list[Sequence[Any]]]]:
    """Of each algorithm the seconds and, for each fold, its candidates."""
    told = {}
    for algorithm in offered:
        start, made = time.process_time(), Made()
        each = [cross([algorithm], task.training(fold), task.choices, 0, made=made)
                for fold in task.folds]  # fmt: skip
        told[algorithm.name] = (time.process_time() - start, each)
    return told


def _timed(task: Task, who: str, told: Callable[[], Answer]) -> dict[str, Any]:
    start = time.process_time()
    return _told(task, who, told(), time.process_time() - start)


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
    with threadpool_limits(1):  # threads that wait for each other count as well
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


def run(*, quick: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    return _object(PARTS.told(QUICK if quick else None, quick=quick), 20 if quick else 200)


def _object(parts: dict[str, Part], curves: int) -> dict[str, Any]:
    rows = [row for part in parts.values() for row in part.dated()]
    figures = [
        *_figures(rows),
        *knees(curves),
        {
            "name": "health.severson.fit_cpu_s", "value": round(fit_seconds(), 2), "unit": "s",
            "goal": "<=5",
            "data": "41 training cells, ridge and process, four choices, four settings, five folds",
        },
    ]  # fmt: skip
    absent = [
        f"Not run, {one.missing(())}: {one.name}."
        for one in ALGORITHMS
        if one.needs and one.missing(())
    ]
    return {"figures": figures, "rows": rows, "notes": [*_lines(rows), "", *absent, *notes(parts)]}


def _figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The named figures of the rows; those that were asked for with their goals."""
    figures = []
    for row in rows:
        best = row["who"] == CHOSEN
        stem = _stem(row["task"]) if best else f"health.{row['task']}.{_slug(row['who'])}"
        since = f", saved on {row['saved']}" if row.get("saved") else ""
        told = f"{row['protocol']}; seed 0{since}"
        unit = row["unit"]
        if unit == "cycles":
            figure = {"name": f"{stem}.rmse_cycles", "value": round(row["rmse"], 1), "unit": unit}
        else:
            figure = {"name": f"{stem}.mape", "value": round(row["mape"], 5), "unit": "fraction"}
        if best:
            figure |= _goal(row)
        figures.append(figure | {"data": told})
        if row["coverage"] is not None:
            stem = "health.severson" if best and row["task"] == "severson.primary" else stem
            figures.append(
                {"name": f"{stem}.coverage90", "value": round(row["coverage"], 3),
                 "unit": "fraction", "data": told}
                | ({"interval95": [row["coverage_low"], row["coverage_high"]],
                    "goal": "interval95 holds 0.90"} if best else {})
            )  # fmt: skip
    return figures + _beaten(rows)


def _goal(row: dict[str, Any]) -> dict[str, Any]:
    task = row["task"]
    if task == "severson.primary":
        return {"goal": "<=80", "peers": {f"PCR, {_BATTERYML}": 90, _SEVERSON: 91}}
    if task in _PULSE_LIMITS:
        return {"goal": f"<{_PULSE_LIMITS[task]}"}
    return {"peers": {who: value for who, _, value, _ in PUBLISHED.get(task, ())}}


def _stem(task: str) -> str:
    """What a chosen row's figures begin with: `health.xjtu.2c`, `health.pulsebat.lmo`."""
    short = task.partition("_")[0] if task.startswith("pulsebat.") else task.removeprefix("soh.")
    return f"health.{short}"


def _beaten(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """On how many of the batches the chosen row errs less than every tree baseline."""
    names = [f"soh.{one.lower().replace(' ', '.')}" for one in tasks.SOH_BATCHES]
    told = []
    for name, rivals, what in (
        ("rows_beating_baselines",
         ("extra trees untuned, charge", "XGBoost untuned, charge"), "one charge, untuned"),
        ("rows_beating_aged_baselines",
         ("extra trees untuned, charge and age", "XGBoost untuned, charge and age"),
         "one charge and its number, untuned"),
        ("rows_beating_same_columns", ("extra trees", "XGBoost untuned, all columns"),
         "the same causal columns"),
    ):  # fmt: skip
        count = 0
        for task in names:
            own = {row["who"]: row["mape"] for row in rows if row["task"] == task}
            if CHOSEN not in own:
                return []
            count += all(own[CHOSEN] < own.get(one, np.inf) for one in rivals)
        told.append({"name": f"health.soh.{name}", "value": count, "unit": "of 11 batches",
                     "data": f"MAPE against extra trees and XGBoost on {what}"}
                    | ({"goal": ">=10"} if name.endswith("g_baselines") else {}))  # fmt: skip
    return told


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
            if row["who"] == CHOSEN and row["chosen"]:
                lines += ["", f"Chosen: {_said(row['chosen'])}."]
                if "rmse_without_shortest" in row:
                    without = _number(row["rmse_without_shortest"], 1)
                    lines += [f"Without the shortest-lived cell it errs by {without} cycles."]
    return lines


def _said(chosen: list[str]) -> str:
    """What was chosen; of means over many folds, the weight of each algorithm and choice."""
    parts = [found for one in chosen for found in _MEMBER.findall(one)]
    if not parts:
        return " and ".join(chosen)
    weight: dict[str, float] = {}
    for share, algorithm, choice in parts:
        name = f"{algorithm} on {choice}"
        weight[name] = weight.get(name, 0.0) + float(share) / len(chosen)
    ranked = sorted(weight.items(), key=lambda one: -one[1])
    return ", ".join(f"{share:.0%} {name}" for name, share in ranked if share >= _SAID)


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
    parser.add_argument("--part", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--soak", nargs="*")
    given = parser.parse_args()
    if given.soak is not None:
        PARTS.soak(given.soak)
    if given.part:
        print(json.dumps({"rows": evaluated(given.part, quick=given.quick)}))
    elif given.page:
        PAGE.write_text(page(run()), encoding="utf-8")
    elif given.soak is None:
        print(json.dumps(run(quick=given.quick)))
