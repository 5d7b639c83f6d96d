"""Few cells of a new kind: what other laboratories' cells save, and what made-up rows add.

    cellwarden bench transfer [--json] [--quick]

Rules
- `PAIRS` and `OURS`, the one method behind the figures, were fixed before any pair of them was run:
  `OURS` has the smallest mean ratio with two target cells on `DEVELOPMENT`, whose targets are in no
  pair. Both lists are printed.
- Every method, and training from scratch, has the same target cells, columns and tested cells
  (`health.transfer_trial`); scratch is the best of ridge, Gaussian process and extra trees with
  their columns and settings, by leaving out cells of those it was given.
- A pair counts as 30 % better where the ratio is at most 0.7; its 95 % interval is beside it.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from cellwarden.errors import UsageError
from cellwarden.health import domains
from cellwarden.health.domains import Domain
from cellwarden.health.transfer import METHODS, SCRATCH
from cellwarden.health.transfer_trial import COUNTS, Errors, ratio, try_pair

OURS: Final = "hierarchical process"
DRAWS: Final = tuple(range(6))
QUICK_DRAWS: Final = (0, 1)
TWO: Final = 2
BETTER: Final = 0.7
_XJTU: Final = ("XJTU 2C", "XJTU 3C", "XJTU R2.5", "XJTU R3", "XJTU RW", "XJTU Sim_satellite")
_TJU: Final = ("TJU D1_NCA", "TJU D2_NCM", "TJU D3_NCM_NCA")


@dataclass(frozen=True, slots=True)
class Pair:
    """Where from and where to."""

    name: str
    sources: tuple[str, ...]
    target: str


PAIRS: Final = (
    Pair("tju_nca_to_tju_ncm", ("TJU D1_NCA",), "TJU D2_NCM"),
    Pair("tju_ncm_to_tju_nca", ("TJU D2_NCM",), "TJU D1_NCA"),
    Pair("xjtu_2c_to_xjtu_3c", ("XJTU 2C",), "XJTU 3C"),
    Pair("xjtu_to_tju_nca", _XJTU, "TJU D1_NCA"),
    Pair("tju_to_xjtu_rw", _TJU, "XJTU RW"),
    Pair("hust_to_mit", ("HUST",), "MIT"),
    Pair("mit_to_hust", ("MIT",), "HUST"),
    Pair("pulsebat_lmo_to_nmc", ("LMO_10Ah",), "NMC_2.1Ah"),
    Pair("pulsebat_nmc_to_lmo", ("NMC_2.1Ah",), "LMO_10Ah"),
    Pair("pulsebat_lfp_to_lmo", ("LFP_35Ah",), "LMO_10Ah"),
)
DEVELOPMENT: Final = (
    Pair("xjtu_2c_3c_to_xjtu_r3", ("XJTU 2C", "XJTU 3C"), "XJTU R3"),
    Pair("xjtu_fixed_to_xjtu_satellite", ("XJTU 2C", "XJTU 3C", "XJTU R2.5"), "XJTU Sim_satellite"),
    Pair("tju_nca_ncm_to_tju_mixed", ("TJU D1_NCA", "TJU D2_NCM"), "TJU D3_NCM_NCA"),
    Pair("lfp_to_tju_mixed", ("HUST", "MIT"), "TJU D3_NCM_NCA"),
    Pair("tju_to_xjtu_r2.5", ("TJU D1_NCA", "TJU D2_NCM"), "XJTU R2.5"),
    Pair("pulsebat_nmc_to_lfp", ("NMC_2.1Ah",), "LFP_35Ah"),
)
_QUICK: Final = ("tju_nca_to_tju_ncm", "pulsebat_nmc_to_lmo")


def load(name: str) -> Domain:
    """A domain by the name of its batch or group."""
    return domains.pulses(name) if name.endswith("Ah") else domains.charges(name)


def tried(pair: Pair, draws: Iterable[int], counts: Iterable[int] = COUNTS) -> list[dict[str, Any]]:
    """A row for each method and count of one pair."""
    errors = try_pair(
        [load(one) for one in pair.sources], load(pair.target), tuple(draws), counts=tuple(counts)
    )
    scratch = {one.count: one for one in errors if one.method == SCRATCH}
    return [_row(pair, one, scratch.get(one.count)) for one in errors]


def _row(pair: Pair, errors: Errors, scratch: Errors | None) -> dict[str, Any]:
    told = {
        "pair": pair.name,
        "method": errors.method,
        "target_cells": errors.count,
        "rmse_fraction": round(float(errors.rmse.mean()), 5),
        "draw_count": len(set(errors.draw.tolist())),
        "tested_cells": len(set(errors.cell.tolist())),
    }
    if scratch is not None and errors.method != SCRATCH:
        found = ratio(errors, scratch)
        told |= {
            "ratio": round(found.value, 3),
            "interval95": [round(found.low, 3), round(found.high, 3)],
            "draws": [round(found.draw_low, 3), round(found.draw_high, 3)],
        }
    return told


def figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ratio of each pair with two target cells, and how many are 30 % better."""
    ours = {
        row["pair"]: row
        for row in rows
        if (row["method"], row["target_cells"]) == (OURS, TWO) and row["part"] == "pair"
    }
    told = [
        {
            "name": f"health.transfer.{name}.two_cells.error_ratio",
            "value": row["ratio"],
            "unit": "1",
            "goal": f"<={BETTER}",
            "interval95": row["interval95"],
            "data": f"{OURS}, {row['tested_cells']} cells tested in {row['draw_count']} draws",
        }
        for name, row in ours.items()
    ]
    better = [row for row in ours.values() if row["ratio"] <= BETTER]
    sure = [row for row in better if row["interval95"][1] <= BETTER]
    for name, found in (("pairs_30_percent_better", better), ("pairs_surely_better", sure)):
        told.append(
            {
                "name": f"health.transfer.{name}",
                "value": len(found),
                "unit": "1",
                "data": f"of {len(ours)} pairs, two target cells, {OURS}",
            }
            | ({"goal": ">=3"} if found is better else {})
        )
    return told


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as text: error by known cells, and what part of scratch's it is."""
    told = []
    for pair in dict.fromkeys(row["pair"] for row in rows):
        own = [row for row in rows if row["pair"] == pair]
        told.append(f"{pair} ({own[0]['part']}), {own[0]['draw_count']} draws: RMSE in % (ratio)")
        for method in (SCRATCH, *(one.name for one in METHODS)):
            cells = [
                f"{row['target_cells']}: {100 * row['rmse_fraction']:.2f}"
                + (f" ({row['ratio']:.2f})" if "ratio" in row else "")
                for row in own
                if row["method"] == method
            ]
            told.append(f"  {method:21} {', '.join(cells)}")
    return told


def run(*, quick: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    every = [*((one, "development") for one in DEVELOPMENT), *((one, "pair") for one in PAIRS)]
    if quick:
        every = [(one, part) for one, part in every if one.name in _QUICK]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda one: _apart(one[0].name, one[1], quick=quick), every))
    rows = [row for part in found for row in part]
    return {"figures": figures(rows), "rows": rows, "notes": lines(rows)}


def _apart(name: str, part: str, *, quick: bool) -> list[dict[str, Any]]:
    """One pair in a process of its own with one thread."""
    alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--pair", name, *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise UsageError(f"{name}: {last}", hint="Run it alone, with --pair.")
    return [row | {"part": part} for row in json.loads(done.stdout)]


def main() -> None:
    """One pair's rows as JSON."""
    parser = argparse.ArgumentParser(description="one pair of the benchmark")
    parser.add_argument("--pair", required=True)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    (pair,) = (one for one in (*PAIRS, *DEVELOPMENT) if one.name == asked.pair)
    draws = QUICK_DRAWS if asked.quick else DRAWS
    counts = (0, TWO) if asked.quick or pair in DEVELOPMENT else COUNTS
    print(json.dumps(tried(pair, draws, counts)))


if __name__ == "__main__":
    main()
