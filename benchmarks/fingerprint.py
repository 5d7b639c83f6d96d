"""Are these the cells that were paired? Prints of measured cells, met again and swapped.

    cellwarden bench fingerprint [--json] [--quick]

Rules
- Cells are the retired cells of PulseBat, each measured with one train of pulses at ten states of
  charge. A visit is one state of charge; a return is the same cells at another, 5 to 45 % apart.
- Batteries are split in halves: covariances and limits come from one half, packs are drawn from
  the other, in both directions and over the seeds. The limits ask for 1 % of false alarms.
- `typical` rows are what a device does that has nobody to learn from: the covariances of both kinds
  together, limits from draws of them, both fitted to the paired pack (`fingerprint.fit`). Their
  covariances come from one half of each kind, never from the batteries that are drawn. The tails
  of the draws and the bounds of the fit were chosen on these same data.
- `missed.pack`: all cells are others of the same kind; `missed.cell`: one cell is.
"""

import argparse
import json
from typing import Any, Final

import duckdb
import numpy as np

from cellwarden.datasets import locate
from cellwarden.guard import fingerprint

GROUPS: Final = ("LMO_10Ah", "LFP_35Ah")
SIZES: Final = (4, 8, 16)
_ANSWERS: Final = 4  # steps of the first pulse, out and back: 0.5C both ways
_SEEDS: Final = (1, 2, 3, 4)
_PACKS: Final = 1000
_SMALLEST_VOLT: Final = 1e-4


def visits_of(group: str) -> np.ndarray:
    """Logarithms of the first steps of each battery at each state of charge. [log V]"""
    path = locate("pulsebat")
    volts = ", ".join(f"U{k}" for k in range(1, _ANSWERS + 2))
    table = duckdb.sql(
        f"SELECT battery, soc_pct, {volts} FROM read_parquet(?)"
        ' WHERE "group" = ? ORDER BY battery, soc_pct',
        params=[str(path), group],
    ).fetchnumpy()
    read = np.stack([table[f"U{k}"] for k in range(1, _ANSWERS + 2)], axis=1).astype(np.float64)
    steps = np.log(np.maximum(np.abs(np.diff(read, axis=1)), _SMALLEST_VOLT))
    cells = len(np.unique(table["battery"]))
    found: np.ndarray = steps.reshape(cells, -1, _ANSWERS)
    return found


def _draw(
    prints: fingerprint.Prints,
    visits: np.ndarray,
    count: int,
    random: np.random.Generator,
    *,
    fitted: bool = False,
) -> dict[str, list[bool]]:
    """Whether packs are found alike: the same cells, one cell swapped, all swapped."""
    cells, times, _ = visits.shape
    found: dict[str, list[bool]] = {"same": [], "cell": [], "named": [], "pack": []}
    for _ in range(_PACKS):
        early, late = random.choice(times, 2, replace=False)
        chosen = random.permutation(cells)
        pack, spare = chosen[:count], chosen[count:]
        template = fingerprint.enrol(visits[pack, early])
        scale = fingerprint.fit(prints, template) if fitted else prints
        found["same"].append(fingerprint.compare(scale, template, visits[pack, late]).alike)
        place = int(random.integers(count))
        swapped = pack.copy()
        swapped[place] = spare[0]
        told = fingerprint.compare(scale, template, visits[swapped, late])
        found["cell"].append(told.alike)
        found["named"].append(told.worst_cell == place)
        if len(spare) >= count:
            told = fingerprint.compare(scale, template, visits[spare[:count], late])
            found["pack"].append(told.alike)
    return found


def _row(group: str, count: int, seeds: tuple[int, ...]) -> dict[str, Any]:
    visits = visits_of(group)
    found: dict[str, list[bool]] = {}
    for seed in seeds:
        random = np.random.default_rng([seed, count])
        halves = np.array_split(random.permutation(len(visits)), 2)
        for train, test in (halves, halves[::-1]):
            prints = fingerprint.learn(visits[train], cell_count=count, seed=seed)
            for name, told in _draw(prints, visits[test], count, random).items():
                found.setdefault(name, []).extend(told)
    return _told(group, count, found)


def _typical_rows(count: int, seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """Prints of all kinds together, on batteries of each kind that they have not seen."""
    visits = {group: visits_of(group) for group in GROUPS}
    found: dict[str, dict[str, list[bool]]] = {}
    for seed in seeds:
        random = np.random.default_rng([seed, count])
        halves = {g: np.array_split(random.permutation(len(v)), 2) for g, v in visits.items()}
        for train, test in ((0, 1), (1, 0)):
            learned = [visits[group][halves[group][train]] for group in GROUPS]
            prints = fingerprint.prints_from(*fingerprint.measure(*learned), count, seed=seed)
            for group in GROUPS:
                held_out = visits[group][halves[group][test]]
                if len(held_out) < 2 * count:
                    continue
                told = _draw(prints, held_out, count, random, fitted=True)
                for name, alike in told.items():
                    found.setdefault(group, {}).setdefault(name, []).extend(alike)
    return [_told(f"typical.{group}", count, told) for group, told in found.items()]


def _told(group: str, count: int, found: dict[str, list[bool]]) -> dict[str, Any]:
    share = {name: float(np.mean(told)) if told else float("nan") for name, told in found.items()}
    return {
        "group": group,
        "cells": count,
        "false_alarms": 1.0 - share["same"],
        "missed_cell": share["cell"],
        "named_cell": share["named"],
        "missed_pack": share["pack"],
    }


def run(*, quick: bool = False) -> dict[str, Any]:
    """False alarms and misses of prints, by kind of cell and size of pack."""
    rows = [
        _row(group, count, _SEEDS[:1] if quick else _SEEDS)
        for group in GROUPS
        for count in (SIZES[:2] if quick else SIZES)
        if len(visits_of(group)) // 2 >= 2 * count
    ]
    for count in SIZES[:2] if quick else SIZES:
        rows += _typical_rows(count, _SEEDS[:1] if quick else _SEEDS)
    data = f"pulsebat, halves by battery, seeds {_SEEDS[0]}..{_SEEDS[-1]}"
    figures = [
        {
            "name": f"fingerprint.{row['group'].split('_')[0].lower()}.{row['cells']}.{what}",
            "value": float(f"{row[what]:.4g}"),
            "unit": "1",
            "data": data,
        }
        for row in rows
        for what in ("false_alarms", "missed_cell", "named_cell", "missed_pack")
        if np.isfinite(row[what])
    ]
    return {"figures": figures, "rows": rows}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    print(json.dumps(run(quick=parser.parse_args().quick), indent=2))


if __name__ == "__main__":
    main()
