"""Few cells of a new kind: what other laboratories' cells save, and what made-up rows add.

    cellwarden bench transfer [--json] [--quick]
    python benchmarks/transfer.py --part "pair hust_to_mit"   # the rows of one part
    python benchmarks/transfer.py --soak     # run and save the long parts

Rules
- `PAIRS` and `OURS`, the one method behind the figures, were fixed before any pair was run: of the
  methods that use a source, `OURS` has the smallest mean ratio with two target cells on
  `DEVELOPMENT`, whose targets are in no pair. Both lists are printed.
- Every method, and training from scratch, has the same target cells, columns and tested cells
  (`health.transfer_trial`); scratch is the best of ridge, Gaussian process and extra trees with
  their columns and settings, by leaving out cells of those it was given.
- A pair counts as 30 % better where the ratio is at most 0.7; its 95 % interval is beside it.
- `TWIN` has the simulated cells of `health.augment` for a source and real cells for a target, so
  "from scratch" is real rows alone, "source only" made-up ones alone and "pooled" both. Bent rows
  (`BENT`) are added to those of three cells, tuned as the rows without them.
- `young` knows of its two target cells the first 30 % of their rows alone, and tests the others
  over their whole lives. This setting was added after the pairs had been scored with whole lives.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from cellwarden import datasets
from cellwarden.cli.bench_parts import Parts, notes
from cellwarden.health import augment, domains
from cellwarden.health.domains import Domain
from cellwarden.health.training import observe
from cellwarden.health.transfer import LEARNERS, METHODS, SCRATCH, thin
from cellwarden.health.transfer_trial import COUNTS, Errors, deal, ratio, try_pair
from cellwarden.health.tuning import tune
from cellwarden.readers import read

OURS: Final = "hierarchical process"
DRAWS: Final = 6  # with two cells, as `COUNTS` has
DEVELOPMENT_DRAWS: Final = 3
QUICK_DRAWS: Final = 2
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
# Of the life of a known cell, where cells are still young; and what is tried there.
YOUNG: Final = 0.3
_YOUNG_METHODS: Final = frozenset({OURS, "pooled", "process, no source", "net, tuned further"})
TWIN: Final = Pair("twin_to_nasa_calce", ("twin",), "NASA and CALCE")
# Charge and discharge current over nominal capacity, about as the two laboratories drew them.
_TWIN_RATES: Final = ((0.75, 1.0), (0.75, 1.0), (0.75, 1.0), (0.5, 1.0), (0.5, 1.0), (0.5, 0.5),
                      (0.5, 0.5), (0.75, 0.5))  # fmt: skip
BENT: Final = ("XJTU 3C", "TJU D2_NCM")
_BENT_CELLS: Final = 3
_BENT_ROWS: Final = 120
_BENT_LEARNERS: Final = tuple(one for one in LEARNERS if one.name in {"ridge", "extra trees"})
# Kind and name of each part; of the kinds `pair` alone counts for the goal.
EVERY: Final = (
    *(("pair", one.name) for one in PAIRS),
    *(("development", one.name) for one in DEVELOPMENT),
    *(("young", one.name) for one in PAIRS if "pulsebat" not in one.name),
    ("twin", TWIN.name),
    *(("bent rows", one) for one in BENT),
)
PARTS: Final = Parts(Path(__file__), tuple(f"{kind} {name}" for kind, name in EVERY))
_QUICK: Final = ("tju_nca_to_tju_ncm", "pulsebat_nmc_to_lmo")


def load(name: str) -> Domain:
    """A domain by the name of its batch or group."""
    if name == "twin":
        return augment.domain_of(name, augment.twin_rows("LCO", 2.0, _TWIN_RATES, seed=1))
    if name == TWIN.target:
        records = [
            read(datasets.locate(one, part.path))
            for one in ("nasa_pcoe", "calce_cs2")
            for part in datasets.describe(one).parts
            if part.cell
        ]
        return augment.domain_of(name, observe(records))
    return domains.pulses(name) if name.endswith("Ah") else domains.charges(name)


def tried(
    pair: Pair, counts: Mapping[int, int] = COUNTS, *, young: bool = False
) -> list[dict[str, Any]]:
    """A row for each method and count of one pair."""
    errors = try_pair(
        [load(one) for one in pair.sources],
        load(pair.target),
        counts,
        methods=[one for one in METHODS if not young or one.name in _YOUNG_METHODS],
        life_fraction=YOUNG if young else 1.0,
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
    if scratch is not None and errors is not scratch:
        found = ratio(errors, scratch)
        told |= {
            "ratio": round(found.value, 3),
            "interval95": [round(found.low, 3), round(found.high, 3)],
            "draws": [round(found.draw_low, 3), round(found.draw_high, 3)],
        }
    return told


def bent(batch: str, draws: Iterable[int]) -> list[dict[str, Any]]:
    """A row for each way to bend the rows of three cells of a batch, and one without any."""
    domain = load(batch)
    found: dict[str, list[tuple[int, int, float]]] = {}
    for draw in draws:
        pool, test = deal(domain, draw, 0)
        full = domain.sample.rows(np.isin(domain.sample.cell, pool[:_BENT_CELLS]))
        tested = domain.sample.rows(np.isin(domain.sample.cell, test))
        rng = np.random.default_rng(draw)
        samples = {"none": thin(full, _BENT_ROWS)}
        for one in augment.AUGMENTATIONS:
            made = thin(one.make(full, rng), _BENT_ROWS)
            samples[one.name] = augment.joined(samples["none"], made)
        for name, sample in samples.items():
            fit = tune(_BENT_LEARNERS, sample, {"both": sample.columns}, draw)
            away = fit.predict(tested.features).mean - tested.target
            found.setdefault(name, []).extend(
                (draw, int(one), float(np.sqrt(np.mean(away[tested.cell == one] ** 2))))
                for one in test
            )
    errors = [
        Errors(name, _BENT_CELLS, *(np.array(column) for column in zip(*told, strict=True)))
        for name, told in found.items()
    ]
    return [_row(Pair(f"bent_{batch}", (), batch), one, errors[0]) for one in errors]


def figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ratio of each pair with two target cells, and how many are 30 % better."""
    told = []
    for part, cells, count in (
        ("pair", "two_cells", "pairs_30_percent_better"),
        ("young", "two_young_cells", "young.pairs_30_percent_better"),
    ):
        ours = [
            row
            for row in rows
            if (row["part"], row["method"], row["target_cells"]) == (part, OURS, TWO)
        ]
        told += [
            {
                "name": f"health.transfer.{row['pair']}.{cells}.error_ratio",
                "value": row["ratio"],
                "unit": "1",
                "interval95": row["interval95"],
                "data": f"{OURS}, {row['tested_cells']} cells tested in {row['draw_count']} draws",
            }
            | ({"goal": f"<={BETTER}"} if part == "pair" else {})
            for row in ours
        ]
        told.append(
            {
                "name": f"health.transfer.{count}",
                "value": sum(row["ratio"] <= BETTER for row in ours),
                "unit": "1",
                "data": f"of {len(ours)} pairs, {cells.replace('_', ' ')}, {OURS}",
            }
            | ({"goal": ">=3"} if part == "pair" else {})
        )
    return told


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as text: error by known cells, and what part of scratch's it is."""
    told = []
    for part, pair in dict.fromkeys((row["part"], row["pair"]) for row in rows):
        own = [row for row in rows if (row["part"], row["pair"]) == (part, pair)]
        told.append(f"{pair} ({part}): known cells: RMSE in % (ratio to scratch)")
        for method in dict.fromkeys(row["method"] for row in own):
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
    names = [f"{kind} {name}" for kind, name in EVERY if not quick or name in _QUICK]
    parts = PARTS.told(names, quick=quick)
    rows = [row for part in parts.values() for row in part.dated()]
    return {"figures": figures(rows), "rows": rows, "notes": [*lines(rows), *notes(parts)]}


def worked(kind: str, name: str, *, quick: bool) -> list[dict[str, Any]]:
    """The rows of one part."""
    if kind == "bent rows":
        found = bent(name, range(QUICK_DRAWS if quick else DRAWS))
    else:
        (pair,) = (one for one in (*PAIRS, *DEVELOPMENT, TWIN) if one.name == name)
        most = DRAWS if kind == "young" else DEVELOPMENT_DRAWS
        counts: Mapping[int, int] = {TWO: QUICK_DRAWS if quick else most}
        if kind in ("pair", "twin") and not quick:
            counts = COUNTS
        found = tried(pair, counts, young=kind == "young")
    return [row | {"part": kind} for row in found]


def _part(name: str, quick: bool) -> list[dict[str, Any]]:  # noqa: FBT001  as `Parts.main` calls
    return worked(*EVERY[PARTS.names.index(name)], quick=quick)


if __name__ == "__main__":
    PARTS.main(_part, lambda quick: run(quick=quick))
