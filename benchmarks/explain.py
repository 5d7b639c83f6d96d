"""Explanations of measured cells: they add up, stand noise, hold when use changes, find bad data.

    cellwarden bench explain [--json] [--quick]

Rules
- Cells are whole; what is explained was fitted to training cells and is told of test cells.
- A what-if is checked on cells of the changed use that took no part: one cell of each use is left
  out, each is asked what it would live under each other use, and the cell left out there answers.
- Bad labels are made by a seed: 5 % of the training cells get the labels of another cell (`mixed
  up`), or capacities that are 5 % too high or low (`gain`). Settings of the ranking were chosen on
  the draws [7, 0..13]; the draws here are [11, ...].
"""

import argparse
import json
import time
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np

from cellwarden.domain import NotServed
from cellwarden.health import tasks
from cellwarden.health.algorithms import named
from cellwarden.health.bias import GroupError, errors_by_group
from cellwarden.health.explain import attribute, importance
from cellwarden.health.influence import influence, recall_at
from cellwarden.health.learner import Algorithm, Prepared, fit_prepared
from cellwarden.health.scoring import evaluate
from cellwarden.health.stability import sensor_errors, stability
from cellwarden.health.task import Fold, Sample, Task, grouped_folds
from cellwarden.health.tuning import tune
from cellwarden.health.usage_life import tbsi_life, tju_conditions, tju_life
from cellwarden.health.what_if import what_if

_EXPLAINED: Final = ("ridge", "gaussian process", "SVR", "extra trees", "LightGBM", "XGBoost")
_SHOWN: Final = 40
_USE: Final = {
    "tbsi": ("temperature_celsius",),
    "tju d1 nca": ("temperature_celsius", "charge_rate_per_hour"),
    "tju d2 ncm": ("temperature_celsius", "charge_rate_per_hour"),
}
_ROWS_A_CELL: Final = 8
_CHEMISTRY: Final = {"XJTU": "NMC", "HUST": "LFP", "MIT": "LFP", "TJU D1_NCA": "NCA",
                     "TJU D2_NCM": "NMC", "TJU D3_NCM_NCA": "NMC + NCA"}  # fmt: skip


def figure(name: str, value: float, unit: str, data: str) -> dict[str, Any]:
    """One figure as every benchmark prints it."""
    return {"name": name, "value": float(f"{value:.4g}"), "unit": unit, "data": data}


def _cases() -> list[tuple[Task, tuple[str, ...]]]:
    """Tasks to explain, with the unit of each column that is a reading.

    What is measured, without what the tasks make of it: no points of a curve, no steps between
    voltages, nothing of a cell's past.
    """
    life = _first(tasks.severson(), 14)
    pulse, soh = _first(tasks.pulses("LMO_10Ah"), 22), _first(tasks.soh("TJU D1_NCA"), 17)
    readings = {"voltage_mean": "volt", "voltage_std": "volt"}
    readings |= {"current_mean": "ampere", "current_std": "ampere"}
    return [
        (life, ("",) * len(life.columns)),
        (pulse, ("", *("volt",) * 21)),
        (soh, tuple(readings.get(name, "") for name in soh.columns)),
    ]


def _first(task: Task, count: int) -> Task:
    columns, features = task.columns[:count], task.features[:, :count]
    return replace(task, columns=columns, features=features, choices={})


def explained() -> list[dict[str, Any]]:
    """Additivity, time, stability and what matters most, for each task and algorithm."""
    rows = []
    for task, units in _cases():
        sample, test = task.training(task.folds[0]), task.test_rows(task.folds[0])
        shown = test[np.linspace(0, len(test) - 1, _SHOWN).astype(int)]
        errors = sensor_errors(units, sample.features)
        for name in _EXPLAINED:
            algorithm = named(name)
            if algorithm.missing(task.columns):
                continue
            whole = fit_prepared(algorithm, sample, task.columns, algorithm.settings[0], 0)
            start = time.process_time()
            told = attribute(whole, task.columns, task.features[shown])
            spent = (time.process_time() - start) / len(shown)
            truth = whole.predict(task.features[shown]).mean
            steady = stability(whole, task.columns, task.features[shown], errors, draw_count=4)
            matter = importance(told, task.cell[shown])
            row = {
                "part": "explained", "task": task.name, "who": name,
                "column_count": len(task.columns), "method": told.method,
                "additivity": float(np.abs(told.total() - truth).max()),
                "additivity_pred_contrib": _pred_contrib(whole, task.features[shown], name),
                "ms_a_row": 1e3 * spent, "top": [x for x, _ in matter.ranked()[:3]],
                **asdict(steady),
            }  # fmt: skip
            rows.append(row)
    return rows


def _pred_contrib(whole: Prepared, features: np.ndarray, name: str) -> float | None:
    """Largest error of LightGBM's own TreeSHAP in adding up."""
    if name != "LightGBM":
        return None
    model, inputs = whole.fitted.model, whole.inputs(features)  # type: ignore[attr-defined]
    parts = np.asarray(model.predict(inputs, pred_contrib=True))
    return float(np.abs(parts.sum(axis=1) - model.predict(inputs)).max())


def asked(draw_count: int) -> list[dict[str, Any]]:
    """What-ifs against cells that lived under the changed use."""
    rows = []
    for name, task in (("tbsi", tbsi_life()), ("tju d1 nca", tju_life("D1_NCA")),
                       ("tju d2 ncm", tju_life("D2_NCM"))):  # fmt: skip
        use, place = np.unique(task.features, axis=0, return_inverse=True)
        known = np.ones(len(task.target), bool) if task.censored is None else ~task.censored
        told: list[tuple[float, float, float, float, float]] = []
        refused = 0
        for draw in range(draw_count):
            rng = np.random.default_rng([5, draw])
            out = [int(rng.choice(np.flatnonzero((place == k) & known))) for k in range(len(use))]
            kept = tuple(k for k in range(len(task.target)) if k not in out)
            sample = task.training(Fold("kept", kept, ()))
            tuned = tune([named("gaussian process")], sample, {}, draw)
            for one in out:
                for other in out:
                    changes = dict(zip(task.columns, task.features[other].tolist(), strict=True))
                    row = task.features[one]
                    given = what_if(tuned, sample, row, changes, use=_USE[name], assigned=True)
                    if one == other:
                        continue
                    if isinstance(given, NotServed):
                        refused += 1
                        continue
                    ends = (given.interval.low, given.interval.high)
                    told.append((given.before, given.after, *ends, task.target[other]))
        before, after, low, high, truth = np.array(told).T
        rows.append(
            {
                "part": "what if", "task": task.name, "asked_count": len(told) + refused,
                "refused_count": refused, "cell_count": int(known.sum()),
                "median_error": float(np.median(np.abs(after - truth) / truth)),
                "median_error_unchanged": float(np.median(np.abs(before - truth) / truth)),
                "coverage90": float(np.mean((low <= truth) & (truth <= high))),
                "uses": len(use),
            }
        )  # fmt: skip
    return rows


def unseen_use() -> list[dict[str, Any]]:
    """TBSI: a whole temperature left out, told from those on both sides."""
    task, rows = tbsi_life(), []
    for celsius in (35.0, 45.0):
        out = task.features[:, 0] == celsius
        sample = task.training(Fold("kept", tuple(np.flatnonzero(~out).tolist()), ()))
        tuned = tune([named("gaussian process")], sample, {}, 0)
        given = what_if(
            tuned, sample, task.features[0], {"temperature_celsius": celsius},
            use=_USE["tbsi"], assigned=True,
        )  # fmt: skip
        truth = float(np.median(task.target[out]))
        row: dict[str, Any] = {"part": "unseen use", "task": f"{task.name}, {celsius:g} °C"}
        if not isinstance(given, NotServed):
            ends = given.interval
            inside = (task.target[out] >= ends.low) & (task.target[out] <= ends.high)
            row |= {"told": given.after, "low": ends.low, "high": ends.high, "true": truth,
                    "inside": float(inside.mean())}  # fmt: skip
        rows.append(row)
    return rows


def pooled(rows_a_cell: int) -> Task:
    """All batches of the SOH tables as one task, whole cells left out five-fold."""
    parts = [(batch, tasks.soh(batch)) for batch in tasks.SOH_BATCHES]
    columns = parts[0][1].columns
    features, target, cell, names = [], [], [], []
    for batch, task in parts:
        order = [task.columns.index(name) for name in columns]
        for k, name in enumerate(task.cells):
            own = np.flatnonzero(task.cell == k)
            own = own[np.unique(np.linspace(0, len(own) - 1, rows_a_cell).astype(int))]
            features.append(task.features[np.ix_(own, order)])
            target.append(task.target[own])
            cell.append(np.full(len(own), len(names)))
            names.append(f"{batch}/{name}")
    return Task(
        "soh.pooled", "1", "capacity over nominal", "grouped 5-fold", columns,
        np.concatenate(features), np.concatenate(target), np.concatenate(cell), tuple(names),
        grouped_folds(tuple(names), 5, 0), fit_row_count=4 * len(names),
    )  # fmt: skip


def leaning(*, quick: bool) -> list[dict[str, Any]]:
    """Errors by laboratory, chemistry and temperature, of cells never seen."""
    task = pooled(10 if quick else 40)
    light = replace(named("LightGBM"), settings=({"rounds": 300, "leaves": 15},))
    found = _errors(task, [light])
    batch = [task.cells[k].split("/")[0] for k in found[1]]
    told = {
        "laboratory": [name.split(" ")[0] for name in batch],
        "batch": batch,
        "chemistry": [_CHEMISTRY.get(name, _CHEMISTRY.get(name.split()[0], "")) for name in batch],
        "temperature": [_celsius(task.cells[k]) for k in found[1]],
    }
    rows = [row for by, group in told.items() for row in _by(task, by, *found, group)]
    life = tbsi_life()
    for who in ("mean", "gaussian process"):
        error, cell = _errors(life, [named(who)])
        group = [f"{life.features[k, 0]:g} °C" for k in cell]
        rows += _by(life, f"temperature, {who}", error / life.target[cell], cell, group)
    return rows


def _errors(task: Task, algorithms: list[Algorithm]) -> tuple[np.ndarray, np.ndarray]:
    answer = evaluate(task, algorithms)
    return answer.mean - task.target[answer.row], task.cell[answer.row]


def _celsius(name: str) -> str:
    if "TJU" not in name:
        return "not told"
    return f"{tju_conditions(name.rsplit('/', maxsplit=1)[-1])[0]:g} °C"


def _by(
    task: Task, by: str, error: np.ndarray, cell: np.ndarray, group: list[str]
) -> list[dict[str, Any]]:
    def row(one: GroupError) -> dict[str, Any]:
        told = {"part": "bias", "task": task.name, "by": by, **asdict(one), "biased": one.biased}
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v
                for k, v in told.items()}  # fmt: skip

    return [row(one) for one in errors_by_group(error, cell, group)]


def bad_labels(draw_count: int) -> list[dict[str, Any]]:
    """Share of mislabelled cells within the first tenth, by influence and beside it."""
    rows = []
    for name, sample in _samples():
        cells = np.unique(sample.cell)
        for kind in ("mixed up", "gain"):
            if sample.logarithmic and kind == "gain":
                continue  # 5 % of a life is far less than lives differ by
            told = []
            for draw in range(draw_count):
                rng = np.random.default_rng([11, draw])
                wrong, bad = corrupted(sample, kind, rng)
                orders = (influence(wrong).ranked(), _odd(wrong, cells), _misfit(wrong, cells))
                told.append([recall_at(0.1, order, bad) for order in orders])
            found, odd, misfit = np.mean(told, axis=0).tolist()
            rows.append({"part": "bad labels", "task": name, "kind": kind, "recall_at_10": found,
                         "odd_label": odd, "training_misfit": misfit, "cell_count": len(cells),
                         "draw_count": draw_count})  # fmt: skip
    return rows


def _samples() -> list[tuple[str, Sample]]:
    life = tasks.severson()
    told = [(life.name, life.training(life.folds[0]).only(tuple(life.choices.values())[-1]))]
    for batch in ("MIT", "TJU D1_NCA", "TJU D2_NCM", "HUST"):
        task = tasks.soh(batch)
        train = tuple(range(len(task.cells))) if batch == "HUST" else task.folds[0].train
        thin = replace(task, fit_row_count=_ROWS_A_CELL * len(train))
        told.append((task.name, thin.training(Fold("all", train, ()))))
    return told


def corrupted(sample: Sample, kind: str, rng: np.random.Generator) -> tuple[Sample, np.ndarray]:
    """The sample with wrong labels of a twentieth of its cells, and which these are."""
    cells = np.unique(sample.cell)
    bad = rng.choice(cells, max(1, round(0.05 * len(cells))), replace=False)
    target = sample.target.copy()
    for one in bad:
        own = np.flatnonzero(sample.cell == one)
        if kind == "gain":
            target[own] *= rng.choice([0.95, 1.05])
        else:
            other = np.flatnonzero(sample.cell == rng.choice(np.setdiff1d(cells, bad)))
            target[own] = sample.target[other[np.minimum(np.arange(len(own)), len(other) - 1)]]
    return replace(sample, target=target), bad


def _odd(sample: Sample, cells: np.ndarray) -> np.ndarray:
    """The naive order: how far a cell's mean label lies from the median of all."""
    mean = np.array([sample.target[sample.cell == one].mean() for one in cells])
    return np.asarray(cells[np.argsort(-np.abs(mean - np.median(mean)), kind="stable")])


def _misfit(sample: Sample, cells: np.ndarray) -> np.ndarray:
    """The other naive order: errors of ridge on the rows that it learnt from."""
    whole = fit_prepared(named("ridge"), sample, sample.columns, {"penalty": 1.0}, 0)
    away = (whole.predict(sample.features).mean - sample.target) ** 2
    size = np.array([away[sample.cell == one].mean() for one in cells])
    return np.asarray(cells[np.argsort(-size, kind="stable")])


def run(*, quick: bool = False) -> dict[str, Any]:
    """The figures."""
    rows = [row for part in PARTS for row in PARTS[part](quick)]
    return {"figures": figures(rows), "rows": rows, "notes": [_line(row) for row in rows]}


PARTS: Final = {
    "explained": lambda _: explained(),
    "what if": lambda quick: asked(1 if quick else 4) + unseen_use(),
    "bias": lambda quick: leaning(quick=quick),
    "bad labels": lambda quick: bad_labels(1 if quick else 10),
}


def figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the rows of all parts say in one number each."""
    seen = [row for row in rows if row["part"] == "explained"]
    whole = [row["additivity"] for row in seen if row["who"] != "XGBoost"]
    told = [
        figure("health.explain.additivity", max(whole), "unit of the target",
               "3 tasks, 5 algorithms"),
        figure("health.explain.ms_a_row", max(r["ms_a_row"] for r in seen), "ms",
               "the slowest of 3 tasks and 6 algorithms, up to 22 columns"),
    ]  # fmt: skip
    for row in rows:
        if row["part"] == "what if":
            data = f"{row['asked_count']} questions of cells left out"
            told += [
                figure(f"health.what_if.{row['task']}.{key}", row[key], "fraction", data)
                for key in ("median_error", "coverage90")
            ]
    for kind, stem in (("mixed up", "recall_at_10"), ("gain", "gain.recall_at_10")):
        own = [row for row in rows if row["part"] == "bad labels" and row["kind"] == kind]
        data = f"{len(own)} sets, {own[0]['draw_count']} draws each"
        told += [
            figure(f"health.influence.{stem}{end}", float(np.mean([r[key] for r in own])),
                   "fraction", data)
            for key, end in (("recall_at_10", ""), ("odd_label", ".odd_label"),
                             ("training_misfit", ".training_misfit"))
        ]  # fmt: skip
    return told


def _line(row: dict[str, Any]) -> str:
    told = [f"{key} {_text(value)}" for key, value in row.items() if key != "part"]
    return f"{row['part']}: {', '.join(told)}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return " > ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=tuple(PARTS), required=True)
    for each in PARTS[parser.parse_args().part](False):  # noqa: FBT003  not quick
        print(json.dumps(each))
