"""CPU time of features on 500 cycles of 1,000 rows, and the published figures they give again.

    cellwarden bench features [--json] [--quick]

The record is the file of `arbin_csv.py`, read once; times are CPU milliseconds of the process
(user and system), warm, the median of several runs. Peers were measured on the same work in
November 2026 on 2 cores (BatteryML, commit of 2024-12-18; its first call takes 9.6 s more).
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cellwarden.cli.bench import load_script
from cellwarden.domain import Series
from cellwarden.features.curves import branches, charge_matrix
from cellwarden.features.early import (
    DISCHARGE_MODEL,
    VARIANCE_MODEL,
    EarlyFeatures,
    early_features,
    early_from_curves,
)
from cellwarden.features.impedance import (
    Spectrum,
    circuit_impedance,
    fit_circuit,
    kramers_kronig,
)
from cellwarden.features.incremental import Smoothing, incremental_capacity, peaks
from cellwarden.features.usage import rainflow
from cellwarden.readers import read

_DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[1] / "../shared/data"))
_GRID = np.linspace(4.15, 2.75, 1000)
_GAP_AH = 0.05
_MEASURED = "measured 2026-11"
# Root mean square error in cycles and mean percentage error, Table 1 of the paper.
_PAPER = {
    ("variance", "train"): (103, 14.1),
    ("variance", "primary_test"): (138, 14.7),
    ("discharge", "train"): (76, 9.8),
    ("discharge", "primary_test"): (91, 13.0),
}


def record(cycles: int) -> Series:
    """The generated record, through the reader."""
    arbin = load_script("arbin_csv")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.csv"
        arbin.write_arbin_csv(path, cycles=cycles)
        return read(path)


def cpu_ms(work: Callable[[], object], runs: int) -> float:
    """Median CPU time of one run, after one that warms up."""
    work()
    spent = []
    for _ in range(runs):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return 1e3 * statistics.median(spent)


def _figure(name: str, value: float, unit: str, data: str, **more: object) -> dict[str, Any]:
    return {"name": f"features.{name}", "value": value, "unit": unit, "data": data, **more}


def speed(series: Series, runs: int, data: str) -> list[dict[str, Any]]:
    """The figures of the record."""

    def early() -> EarlyFeatures:
        return early_features(series, _GRID, gap_ah=_GAP_AH, resistance_delay_second=1.0)

    def matrix() -> np.ndarray:
        return charge_matrix(branches(series, "discharge"), _GRID, gap_ah=_GAP_AH)

    taken = branches(series, "discharge")
    volt, charge = taken.curve(0)

    def slope() -> object:
        told = incremental_capacity(
            volt,
            charge,
            np.linspace(2.75, 4.15, 1000),
            direction="discharge",
            smoothing=Smoothing("savgol", 0.03),
            gap_ah=_GAP_AH,
        )
        return peaks(told, least_prominence=0.1)

    peer = f"BatteryML, {_MEASURED}"
    return [
        _figure(
            "early12.cpu_ms", round(cpu_ms(early, runs), 2), "ms", data, goal="<=10",
            peers={peer: 75.0},
        ),
        _figure(
            "vq500.cpu_ms", round(cpu_ms(matrix, runs), 1), "ms", data, goal="<=50",
            peers={peer: 500.0},
        ),
        _figure("peaks.cpu_ms", round(cpu_ms(slope, runs), 2), "ms", "one discharge of it"),
    ]  # fmt: skip


def other_speed(runs: int) -> list[dict[str, Any]]:
    """Rainflow of a year a minute, and one spectrum."""
    year = np.cumsum(np.random.default_rng(7).normal(size=525_600)) * 1e-3
    hertz = np.geomspace(1e4, 1e-2, 60)
    made = np.array([0.02, 1e-7, 0.01, 1e-3, 0.9, 0.03, 0.2, 0.85, 0.002])
    exact = circuit_impedance(made, hertz, arc_count=2)
    noise = np.random.default_rng(7).normal(scale=1e-3, size=(2, 60))
    spectrum = Spectrum(hertz, exact * (1 + noise[0] + 1j * noise[1]))
    few = max(runs // 4, 1)
    return [
        _figure(
            "rainflow_year.cpu_ms",
            round(cpu_ms(lambda: rainflow(year), few), 1),
            "ms",
            "525,600 readings, a random walk, seed 7",
        ),
        _figure(
            "kramers_kronig.cpu_ms",
            round(cpu_ms(lambda: kramers_kronig(spectrum), few), 2),
            "ms",
            "60 points, seed 7",
        ),
        _figure(
            "circuit_fit.cpu_ms",
            round(cpu_ms(lambda: fit_circuit(spectrum, arc_count=2), few), 1),
            "ms",
            "60 points, two arcs, eight starts, seed 7",
        ),
    ]


def published(folder: Path) -> list[dict[str, Any]]:
    """Errors of lines in log life through features of the published curves, beside the paper's."""
    import duckdb

    told: dict[str, tuple[list[EarlyFeatures], np.ndarray]] = {}
    for split in ("train", "primary_test"):
        rows = duckdb.sql(
            f"select cell, cycle, qd_uAh from '{folder}/{split}_discharge_q.parquet'"
            " order by cell, cycle"
        ).fetchall()
        cell = np.array([row[0] for row in rows])
        cycle = np.array([row[1] for row in rows], dtype=np.int64)
        charge = np.array([row[2] for row in rows], dtype=np.float64) / 1e6
        lives = np.genfromtxt(folder / f"{split}_cycle_life.csv", delimiter=",", names=True)
        features = [
            early_from_curves(cycle[cell == one], charge[cell == one], artefact_ah=0.005)
            for one in lives["cell"]
        ]
        told[split] = features, lives["cycle_life"]
    figures = []
    for model, names in (("variance", VARIANCE_MODEL), ("discharge", DISCHARGE_MODEL)):
        predict = _line(_design(told["train"][0], names), np.log10(told["train"][1]))
        for split, (features, life) in told.items():
            away = 10 ** predict(_design(features, names)) - life
            values = float(np.sqrt(np.mean(away**2))), float(100 * np.mean(np.abs(away) / life))
            for unit, value, paper in zip(
                ("cycles", "percent"), values, _PAPER[model, split], strict=True
            ):
                figures.append(
                    _figure(
                        f"severson_{model}.{split}_{unit}",
                        round(value, 1),
                        unit,
                        "published curves, ridge, penalty by leaving one out",
                        peers={"Severson et al. 2019": paper},
                    )
                )
    return figures


def _design(features: list[EarlyFeatures], names: tuple[str, ...]) -> np.ndarray:
    return np.array([[one.columns()[name] for name in names] for one in features])


def _line(design: np.ndarray, target: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Ridge on standardised features; the penalty leaves one training cell out, none for one."""
    mean, std = design.mean(axis=0), design.std(axis=0)
    scaled = np.column_stack([np.ones(len(design)), (design - mean) / std])
    best = (np.inf, np.zeros(scaled.shape[1]))
    for penalty in 10.0 ** np.arange(-3, 3.1, 0.25) if design.shape[1] > 1 else (0.0,):
        damped = np.diag([0.0] + [penalty] * design.shape[1])
        solve = np.linalg.solve(scaled.T @ scaled + damped, scaled.T)
        left = (target - scaled @ (solve @ target)) / (1 - np.diag(scaled @ solve))
        best = min(best, (float(left @ left), solve @ target), key=lambda pair: pair[0])
    weights = best[1]
    return lambda rows: weights[0] + ((rows - mean) / std) @ weights[1:]


def run(*, quick: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    cycles, runs = (120, 5) if quick else (500, 25)
    data = f"generated, seed 7, {cycles} cycles of 1,000 rows"
    series = record(cycles)
    figures = [*speed(series, runs, data), *other_speed(runs)]
    notes = []
    folder = _DATA / "severson_lfp"
    if folder.is_dir():
        figures += published(folder)
    else:
        notes.append("The published curves are not there: set CELLWARDEN_DATA.")
    early = early_features(series, _GRID, gap_ah=_GAP_AH, resistance_delay_second=1.0)
    return {"figures": figures, "rows": [early.columns()], "notes": notes}
