"""Groups of measured cells against conditions that grouping never saw; grades of retired cells.

    cellwarden bench groups [--json] [--quick]

Rules
- Traits are made of capacity, and of the charge at constant voltage where it was recorded. Of
  laboratory, batch, temperature and rate grouping sees nothing; the adjusted Rand index tells how
  well the groups agree with them (0: as by chance, 1: the same). Cells unlike any count as a group.
- Retired cells are graded by health told from pulses, whole batteries left out; the grade by the
  measured capacity stands beside. `graded_too_high` is the share that a buyer would complain about.
"""

from typing import Any, Final

import numpy as np
from sklearn.metrics import adjusted_rand_score

from cellwarden import datasets
from cellwarden.domain import Interval
from cellwarden.health import tasks
from cellwarden.health.algorithms import named
from cellwarden.health.groups import UNLIKE_ANY, Grouping, find_groups
from cellwarden.health.scoring import evaluate
from cellwarden.health.second_life import GRADES, grade
from cellwarden.health.task import Task
from cellwarden.health.traits import TRAITS, traits
from cellwarden.health.usage_life import tju_conditions

_NAMES: Final = tuple(TRAITS)
_FIRST_CYCLES: Final = 100
_FEWEST_CYCLES: Final = 24


def _figure(name: str, value: float, data: str) -> dict[str, Any]:
    return {"name": name, "value": float(f"{value:.4g}"), "unit": "1", "data": data}


def _histories(task: Task) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, health and share of charge at constant voltage of each cell, cycle by cycle."""
    told = []
    cc, cv = (task.features[:, task.columns.index(name)] for name in ("cc_q", "cv_q"))
    for k, name in enumerate(task.cells):
        own = task.cell == k
        if own.sum() >= _FEWEST_CYCLES:
            whole = np.where(cc[own] + cv[own] > 0, cc[own] + cv[own], np.nan)
            told.append((name, task.target[own], cv[own] / whole))
    return told


def fleets() -> dict[str, tuple[list[tuple[str, np.ndarray, np.ndarray | None]], list[str]]]:
    """Histories of each fleet, and the condition of each cell that grouping does not see."""
    every = {batch: _histories(tasks.soh(batch)) for batch in tasks.SOH_BATCHES}
    table = datasets.rows("tbsi_nmc", "train")
    warm, fade = [], []
    for name in np.unique(table["cell"].astype(str)).tolist():
        own = table["cell"] == name
        fade.append((name, table["capacity_Ah"][own].astype(np.float64) / 1.1, None))
        warm.append(f"{int(table['temperature_C'][own][0])} °C")
    xjtu = [(batch, one) for batch in every if batch.startswith("XJTU") for one in every[batch]]
    whole = [(batch, one) for batch, cells in every.items() for one in cells]
    told: dict[str, Any] = {
        "tbsi nmc: temperature": (fade, warm),
        "mit: batch": (every["MIT"], [one[0].split("/")[1] for one in every["MIT"]]),
        "xjtu: protocol": ([one for _, one in xjtu], [batch for batch, _ in xjtu]),
        "all: laboratory": ([one for _, one in whole], [batch.split()[0] for batch, _ in whole]),
        "all: batch": ([one for _, one in whole], [batch for batch, _ in whole]),
    }
    for kind in ("TJU D1_NCA", "TJU D2_NCM"):
        use = [tju_conditions(one[0].split("/")[-1]) for one in every[kind]]
        names = [f"{celsius:g} °C, {charge:g}C" for celsius, charge, _ in use]
        told[f"{kind.lower().replace('_', ' ')}: temperature and rate"] = (every[kind], names)
    return told


def grouped(name: str, cells: list[Any], labels: list[str], first: int | None) -> dict[str, Any]:
    """One fleet, grouped by its whole histories or by their first cycles."""
    rows = np.array(
        [traits(soh[:first], None if share is None else share[:first]) for _, soh, share in cells]
    )
    told = find_groups(rows, _NAMES)
    return {
        "part": "groups", "fleet": name, "seen": "all" if first is None else f"{first} cycles",
        "rand_index": float(adjusted_rand_score(labels, told.member)),
        "group_count": len(told.groups), "condition_count": len(set(labels)),
        "unlike_any": float(np.mean(told.member == UNLIKE_ANY)), "way": told.way,
        "stability": told.stability, "cell_count": len(cells), "names": _named(told),
    }  # fmt: skip


def _named(told: Grouping) -> list[str]:
    return [
        f"{one.name} ({one.cell_count}: {', '.join(p.action for p in one.policies)})"
        for one in told.groups
    ]


def graded(group: str) -> dict[str, Any]:
    """Grades of retired cells from pulses, against those by measured capacity."""
    task = tasks.pulses(group)
    answer = evaluate(task, [named("ridge")])
    letters = [letter for letter, *_ in GRADES]
    told, best, asked = [], [], []
    for mean, low, high in zip(answer.mean, answer.low, answer.high, strict=True):
        one = grade(float(mean), Interval(float(low), float(high), 0.9))
        told.append(letters.index(one.letter))
        asked.append(not one.certain)
        best.append(letters.index(grade(float(mean), Interval(mean, mean, 0.9)).letter))
    truth = [
        letters.index(grade(float(x), Interval(x, x, 0.9)).letter) for x in task.target[answer.row]
    ]
    own, guess, true = (np.array(one) for one in (told, best, truth))
    return {
        "part": "second life", "fleet": task.name, "row_count": len(own),
        "same_grade": float(np.mean(own == true)), "graded_too_high": float(np.mean(own < true)),
        "same_by_best_guess": float(np.mean(guess == true)),
        "too_high_by_best_guess": float(np.mean(guess < true)),
        "test_asked": float(np.mean(asked)),
    }  # fmt: skip


def run(*, quick: bool = False) -> dict[str, Any]:
    """The figures."""
    rows, figures = [], []
    for name, (cells, labels) in fleets().items():
        if quick and not name.startswith(("tbsi", "xjtu")):
            continue
        row = grouped(name, cells, labels, None)
        rows.append(row)
        slug = name.replace(": ", ".").replace(" ", "_")
        data = f"{row['cell_count']} cells, {row['condition_count']} conditions"
        figures.append(_figure(f"health.groups.{slug}.rand_index", row["rand_index"], data))
        if not name.startswith("all"):
            long = [k for k, one in enumerate(cells) if len(one[1]) >= _FIRST_CYCLES]
            early = [cells[k] for k in long], [labels[k] for k in long]
            rows.append(grouped(name, *early, _FIRST_CYCLES))
    for group in tasks.PULSE_GROUPS[:1] if quick else tasks.PULSE_GROUPS[:2]:
        row = graded(group)
        rows.append(row)
        figures += [
            _figure(f"health.second_life.{group.lower()}.{key}", row[key], "pulses")
            for key in ("graded_too_high", "too_high_by_best_guess")
        ]
    return {"figures": figures, "rows": rows, "notes": [_line(row) for row in rows]}


def _line(row: dict[str, Any]) -> str:
    told = [f"{key} {_text(value)}" for key, value in row.items() if key != "part"]
    return f"{row['part']}: {', '.join(told)}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
