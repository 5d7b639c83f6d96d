"""Fleets that meet another batch: frozen, always fitted again, self-learning; detectors' alarms.

    cellwarden bench self_learning [--json] [--quick]

Rules
- A fleet is trained on whole cells of one batch; a fifth of them are anchors. All cells of another
  batch then age side by side. Each cycle is told before anything of it is known; capacity is
  measured every so many cycles alone (`check_cycles`), and these are all the labels there are.
- The errors are of cycles between checks, a mean over cells. `carried` is the last check itself.
- Of a poisoned stream a third of the cells' checks say 0.1 less, from the first on; errors are
  against the truth.
- Settings were chosen on the TJU stream; the others were run with them once.
- Detectors run on errors of training cells left out, in units of their spread. In random order of
  all there is no drift, whatever the cells do; a jump is added to find the delay.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from cellwarden.health import tasks
from cellwarden.health.algorithms import named
from cellwarden.health.drift import Adwin, PageHinkley, adwin, page_hinkley
from cellwarden.health.learner import Prepared, fit_prepared
from cellwarden.health.own_correction import (
    Correction,
    corrected,
    learn_correction,
    update_correction,
)
from cellwarden.health.self_learning import Rules, SelfLearner, begin, step
from cellwarden.health.task import Sample, Task, grouped_folds
from cellwarden.health.tuning import tune

_TOLD_EVERY: Final = 7  # cycles told between checks
_FIT_ROWS: Final = 500
_CANDIDATES: Final = ("ridge", "extra trees", "LightGBM")


@dataclass(frozen=True, slots=True)
class Case:
    """A fleet and what it meets; `first` and `met` pick cells by the start of their names."""

    name: str
    batches: tuple[str, ...]
    first: Callable[[str, int], bool]
    met: Callable[[str, int], bool]
    check_cycles: int


CASES: Final = (
    Case("tju d1 nca, 25 to 45 °C", ("TJU D1_NCA",), lambda n, _: "CY25" in n,
         lambda n, _: "CY45" in n, 30),
    Case("mit, 2017-05-12 to 2017-06-30", ("MIT",), lambda n, _: "2017-05-12" in n,
         lambda n, _: "2017-06-30" in n, 40),
    Case("xjtu, 2C and 3C to R2.5 and R3", ("XJTU 2C", "XJTU 3C", "XJTU R2.5", "XJTU R3"),
         lambda n, _: "C/" in n, lambda n, _: "/R" in n, 40),
    Case("hust, no shift", ("HUST",), lambda _, k: k % 2 == 0, lambda _, k: k % 2 == 1, 150),
)  # fmt: skip


@dataclass(slots=True)
class Mode:
    """One way to go on, with the errors of each cell before and after its own correction."""

    state: SelfLearner
    errors: dict[int, list[float]] = field(default_factory=dict)
    own_errors: dict[int, list[float]] = field(default_factory=dict)


def whole(case: Case) -> tuple[Task, np.ndarray, np.ndarray]:
    """All cells of a case as one task, and the numbers of the first ones and of those met."""
    parts = [tasks.soh(batch) for batch in case.batches]
    columns, names = parts[0].columns, [name for part in parts for name in part.cells]
    offset = np.cumsum([0, *(len(part.cells) for part in parts)])
    order = [[part.columns.index(name) for name in columns] for part in parts]
    task = replace(
        parts[0],
        name=case.name,
        features=np.concatenate([p.features[:, o] for p, o in zip(parts, order, strict=True)]),
        target=np.concatenate([part.target for part in parts]),
        cell=np.concatenate([p.cell + k for p, k in zip(parts, offset, strict=False)]),
        cells=tuple(names),
        folds=(),
        carried={},
    )
    picked = (
        np.array([k for k, name in enumerate(names) if wanted(name, k)])
        for wanted in (case.first, case.met)
    )
    return task, *picked


def _sample(task: Task, cells: np.ndarray, most: int) -> Sample:
    """Rows of cells, evenly thinned."""
    rows = []
    for one in cells:
        own = np.flatnonzero(task.cell == one)
        rows.append(own[np.unique(np.linspace(0, len(own) - 1, most // len(cells)).astype(int))])
    at = np.concatenate(rows)
    return Sample(task.columns, task.features[at], task.target[at], task.cell[at])


def streamed(case: Case, *, poisoned: bool = False) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Errors of each mode on the cells that were met, and those of first cells left out."""
    task, first, met = whole(case)
    bad = np.random.default_rng(17).choice(met, len(met) // 3, replace=False) if poisoned else []
    checked = task.target - 0.1 * np.isin(task.cell, bad)
    anchors, kept = first[::5], np.setdiff1d(first, first[::5])
    sample, anchor = _sample(task, kept, _FIT_ROWS), _sample(task, anchors, _FIT_ROWS // 4)
    tried = [replace(named(one), settings=named(one).settings[-1:]) for one in _CANDIDATES]
    chosen = tune(tried, sample, {}, 0).chosen

    def fit(given: Sample) -> Prepared:
        return fit_prepared(chosen.algorithm, given, chosen.columns, chosen.setting, 0)

    told, measured, cell = _left_out(sample, fit)
    rules = Rules(scale=float(np.std(told - measured)), every=max(len(met), 20))
    prior = learn_correction(told, measured, cell)
    start = begin(sample, anchor, rules, fit)
    modes = {name: Mode(start) for name in ("frozen", "always", "self-learning")}
    carried: dict[int, list[float]] = {}
    _stream((task, checked, case.check_cycles), met, modes, carried, (rules, fit, prior))
    rows = [
        _row(case, name + end, told, mode.state)
        for name, mode in modes.items()
        for end, told in (("", mode.errors), (", own correction", mode.own_errors))
    ]
    rows += [_row(case, "carried", carried, None)]
    for row in rows:
        row |= {"chosen": str(chosen), "case": case.name + ", poisoned" * poisoned}
    return rows, told - measured


def _left_out(
    sample: Sample, fit: Callable[[Sample], Prepared]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cells = np.unique(sample.cell)
    told = np.zeros(len(sample.target))
    for fold in grouped_folds(tuple(map(str, cells)), 5, 0):
        out = np.isin(sample.cell, cells[list(fold.test)])
        told[out] = fit(sample.rows(~out)).predict(sample.features[out]).mean
    return told, sample.target, sample.cell


def _stream(
    given: tuple[Task, np.ndarray, int],
    met: np.ndarray,
    modes: dict[str, Mode],
    carried: dict[int, list[float]],
    way: tuple[Rules, Callable[[Sample], Prepared], Correction],
) -> None:
    """All cells age side by side; labels come at checks, in the order of cells."""
    (task, checked, period), (rules, fit, prior) = given, way
    rows = {int(one): np.flatnonzero(task.cell == one) for one in met}
    for cycle in range(0, max(map(len, rows.values())), period):
        alive = {one: own for one, own in rows.items() if len(own) > cycle}
        at = np.array([own[cycle] for own in alive.values()])
        labels = Sample(task.columns, task.features[at], checked[at], task.cell[at])
        for name, mode in modes.items():
            if name.startswith("self"):
                mode.state, _ = step(mode.state, labels, rules, fit)
            elif name.startswith("always"):
                mode.state = _fitted_again(mode.state, labels, rules, fit)
        for one, own in alive.items():
            between = own[cycle + _TOLD_EVERY : cycle + period : _TOLD_EVERY]
            checks = own[: cycle + 1 : period]
            if not len(between):
                continue
            truth = task.target[between]
            away = np.abs(checked[own[cycle]] - truth)
            carried.setdefault(one, []).extend(away.tolist())
            for mode in modes.values():
                plain, own_told = _told(
                    mode.state.model, task, (checks, checked[checks]), between, prior
                )
                mode.errors.setdefault(one, []).extend(np.abs(plain - truth).tolist())
                mode.own_errors.setdefault(one, []).extend(np.abs(own_told - truth).tolist())


def _told(
    model: Prepared,
    task: Task,
    checks: tuple[np.ndarray, np.ndarray],
    between: np.ndarray,
    prior: Correction,
) -> tuple[np.ndarray, np.ndarray]:
    """What is told of a cell, and with its own correction, learnt again from its checks so far."""
    guess = model.predict(task.features[np.concatenate([between, checks[0]])]).mean
    correction = prior
    for one, truth in zip(guess[len(between) :].tolist(), checks[1].tolist(), strict=True):
        correction = update_correction(correction, one, truth)
    return guess[: len(between)], corrected(correction, guess[: len(between)])[0]


def _fitted_again(
    state: SelfLearner, labels: Sample, rules: Rules, fit: Callable[[Sample], Prepared]
) -> SelfLearner:
    """Every schedule a fit to all, taken unseen: what a script in a cron table does."""
    parts = (state.recent, labels)
    recent = replace(
        labels,
        features=np.concatenate([part.features for part in parts])[-rules.window :],
        target=np.concatenate([part.target for part in parts])[-rules.window :],
        cell=np.concatenate([part.cell for part in parts])[-rules.window :],
    )
    state = replace(state, recent=recent, waiting=state.waiting + len(labels.target))
    if state.waiting < rules.every:
        return state
    both = (state.first, recent)
    sample = replace(
        recent,
        features=np.concatenate([part.features for part in both]),
        target=np.concatenate([part.target for part in both]),
        cell=np.concatenate([part.cell for part in both]),
    )
    return replace(
        state, versions=(*state.versions, fit(sample)), champion=len(state.versions), waiting=0
    )


def _row(
    case: Case, name: str, errors: dict[int, list[float]], state: SelfLearner | None
) -> dict[str, Any]:
    each = np.array([np.mean(one) for one in errors.values()])
    changes = () if state is None else state.changes
    return {
        "part": "stream", "case": case.name, "who": name, "mae": float(each.mean()),
        "worst_cell": float(each.max()), "cell_count": len(each),
        "trial_count": len(changes), "taken_count": sum(c.outcome == "taken" for c in changes),
        "drift_count": sum(c.because == "drift" for c in changes),
        "refused": sorted({c.outcome for c in changes if c.outcome != "taken"}),
    }  # fmt: skip


def detected(name: str, errors: np.ndarray, stream_count: int) -> list[dict[str, Any]]:
    """False alarms in streams without drift and delays after a jump, by detector."""
    unit = (errors - errors.mean()) / errors.std()
    rows = []
    for who in ("ADWIN", "Page-Hinkley"):
        false, missed, early = 0, 0, 0
        delays: dict[float, list[int]] = {}
        for seed in range(stream_count):
            order = np.random.default_rng([3, seed]).permutation(unit)
            false += len(_alarms(order, who))
            for jump in (1.0, 2.0):
                half = len(order) // 2
                values = order + jump * (np.arange(len(order)) >= half)
                found = _alarms(values, who)
                early += any(one < half for one in found)
                late = [one - half for one in found if one >= half]
                missed += not late
                delays.setdefault(jump, []).extend(late[:1])
        for jump, late in delays.items():
            rows.append(
                {
                    "part": "detector", "case": name, "who": who, "jump_std": jump,
                    "false_per_1000": 1000 * false / stream_count / len(unit),
                    "found": len(late) / stream_count,
                    "median_delay": float(np.median(late)) if late else None,
                    "labels": len(unit),
                }
            )  # fmt: skip
    return rows


def _alarms(values: np.ndarray, who: str) -> list[int]:
    window, sums, found = Adwin(), PageHinkley(), []
    for place, value in enumerate(values.tolist()):
        if who == "ADWIN":
            window, alarm = adwin(window, 0.5 + value / 6)
        else:
            sums, alarm = page_hinkley(sums, value)
        if alarm:
            found.append(place)
    return found


def run(*, quick: bool = False, only: int | None = None) -> dict[str, Any]:
    """The figures; of one case `only`, by number."""
    figures, rows = [], []
    for case in CASES[:1] if quick else CASES if only is None else CASES[only : only + 1]:
        told, errors = streamed(case)
        alarms = detected(case.name, errors, 4 if quick else 20)
        worse = [] if case.name.startswith(("xjtu", "mit")) else streamed(case, poisoned=True)[0]
        rows += [*told, *worse, *alarms]
        slug = case.name.split(",")[0].replace(" ", "_")
        for row in (*told, *worse):
            end = ".poisoned" if "poisoned" in row["case"] else ""
            who = row["who"].replace(", ", "_").replace(" ", "_").replace("-", "_")
            figures.append(
                _figure(f"health.self_learning.{slug}{end}.{who}.mae", row["mae"], row["case"])
            )
        for row in alarms[::2]:
            who = row["who"].lower().replace("-", "_")
            name = f"health.drift.{slug}.{who}.false_per_1000"
            figures.append(_figure(name, row["false_per_1000"], "shuffled errors"))
    return {"figures": figures, "rows": rows, "notes": [_line(row) for row in rows]}


def _figure(name: str, value: float, data: str) -> dict[str, Any]:
    return {"name": name, "value": float(f"{value:.4g}"), "unit": "1", "data": data}


def _line(row: dict[str, Any]) -> str:
    told = [f"{key} {_text(value)}" for key, value in row.items() if key != "part"]
    return f"{row['part']}: {', '.join(told)}"


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", type=int)
    print(json.dumps(run(only=parser.parse_args().case)))
