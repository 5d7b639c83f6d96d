"""The tasks that data sets of the catalogue set, by their own protocols.

`severson()` is the life of fast-charged LFP cells on the published split; `soh(batch)` the state of
health of one batch of the PINN4SOH tables, causally: nothing is scaled or filtered by what a test
cell does later; `pulses(group)` that of retired cells from their answer to pulses. The cells of
Severson and of the MIT batch are of one experiment: no task mixes the two.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from cellwarden import datasets
from cellwarden.domain.table import Table
from cellwarden.errors import DataError, UsageError
from cellwarden.health import pulse
from cellwarden.health.causal import AGE, choices, past_columns
from cellwarden.health.early_life import CHOICES, COLUMNS, CURVE_COLUMNS, delta_curve, life_features
from cellwarden.health.task import CURVE, Fold, Task, grouped_folds, leave_one_out

__all__ = [
    "NOMINAL_AH",
    "NOT_FEATURES",
    "PULSE_GROUPS",
    "PULSE_VOLTAGES",
    "SOH_BATCHES",
    "early_life",
    "early_row",
    "pulses",
    "severson",
    "severson_censored",
    "severson_shift",
    "soh",
]

_AH_PER_MICRO: Final = 1e-6
_EARLY_COLUMNS: Final = (*COLUMNS, *CURVE_COLUMNS)
# Protocol of `soh_features` and nominal capacity in Ah, as the sources state it.
NOMINAL_AH: Final = {
    "XJTU 2C": 2.0, "XJTU 3C": 2.0, "XJTU R2.5": 2.0, "XJTU R3": 2.0, "XJTU RW": 2.0,
    "XJTU Sim_satellite": 2.0, "TJU D1_NCA": 3.5, "TJU D2_NCM": 3.5, "TJU D3_NCM_NCA": 2.5,
    "HUST": 1.1, "MIT": 1.1,
}  # fmt: skip
SOH_BATCHES: Final = tuple(NOMINAL_AH)
_FIT_ROWS: Final = 800
_FIT_ROWS_XJTU: Final = 150  # five to eleven cells; more rows of a cell say little more
PULSE_GROUPS: Final = ("LMO_10Ah", "LFP_35Ah", "NMC_2.1Ah")
NOT_FEATURES: Final = frozenset({"batch", "cell", "row", "capacity", "published_split"})
PULSE_VOLTAGES: Final = tuple(f"U{k}" for k in range(1, 22))
_CHARGE: Final = "soc_pct"
_FOLDS: Final = 5
_WATCHED_CYCLES: Final = 800


def severson(data: Path | None = None) -> Task:
    """Cycle life from cycles 2 to 100: fitted on the 41 training cells, tested on the primary 43.

    Raises:
        UsageError: the data is not there.
        DataError: a cell has a life and no curves.
    """
    cells: list[str] = []
    rows: list[list[float]] = []
    life: list[float] = []
    for split in ("train", "primary_test"):
        told = datasets.rows("severson_lfp", split, data=data)
        curves = np.stack([np.asarray(one, dtype=np.float64) for one in told["qd_uAh"]])
        lives = datasets.load("severson_lfp", f"{split}_cycle_life", data)
        if not isinstance(lives, Table):
            raise DataError(f"severson_lfp, {split}: no table", hint="Check the files.")
        for one, cycles in zip(lives["cell"], lives["cycle_life"], strict=True):
            own = told["cell"] == one
            if not own.any():
                raise DataError(
                    f"severson_lfp: no curves of {split}-{one}", hint="Check the files."
                )
            cells.append(f"{split}-{int(one)}")
            rows.append(early_row(told["cycle"][own], curves[own]))
            life.append(float(cycles))
    train = tuple(k for k, name in enumerate(cells) if name.startswith("train"))
    test = tuple(k for k in range(len(cells)) if k not in train)
    return replace(
        early_life("severson.primary", cells, rows, life),
        protocol="published split: 41 training cells, 43 primary test cells",
        folds=(Fold("primary test", train, test),),
    )


def early_row(cycle: np.ndarray, charge_micro_ah: np.ndarray) -> list[float]:
    """What Q(V) of a cell's first hundred cycles tells of its life. [log10 Ah, Ah, 1]"""
    seen = cycle.astype(np.int64), charge_micro_ah * _AH_PER_MICRO
    found = life_features(*seen) | delta_curve(*seen)
    return [found[name] for name in _EARLY_COLUMNS]


def early_life(
    name: str, cells: Sequence[str], rows: Sequence[Sequence[float]], lives: Sequence[float]
) -> Task:
    """A task of lives from rows of `early_row`, one a cell, without folds. [cycles]"""
    return Task(
        name=name,
        unit="cycles",
        target_name="cycle life",
        protocol="",
        columns=_EARLY_COLUMNS,
        features=np.array(rows),
        target=np.array(lives),
        cell=np.arange(len(cells)),
        cells=tuple(cells),
        folds=(),
        logarithmic=True,
        choices={**CHOICES, CURVE: CURVE_COLUMNS},
    )


def severson_shift(data: Path | None = None) -> Task:
    """The training cells alone, learnt from one part and tested on another kind of cell.

    By number the first 20 lived 559 to 2,160 cycles and the last 21 lived 300 to 527, so either
    part lies almost wholly outside the other: what a model does where it was not trained.
    """
    whole = severson(data)
    train = whole.folds[0].train
    long, short = train[:20], train[20:]
    return replace(
        whole,
        name="severson.shift",
        protocol="training cells: long-lived from short-lived and the reverse",
        folds=(Fold("long from short", short, long), Fold("short from long", long, short)),
    )


def severson_censored(data: Path | None = None, *, as_failed: bool = False) -> Task:
    """The published split as if the training cells had been watched for 800 cycles alone.

    Those that lived longer are censored there or, as some toolkits have it, taken as failed.
    """
    whole = severson(data)
    train = np.isin(whole.cell, whole.folds[0].train)
    over = train & (whole.target > _WATCHED_CYCLES)
    return replace(
        whole,
        name=f"severson.{'as_failed' if as_failed else 'censored'}",
        protocol=f"published split, training cells watched for {_WATCHED_CYCLES} cycles",
        target=np.where(over, float(_WATCHED_CYCLES), whole.target),
        censored=None if as_failed else over,
    )


def soh(batch: str, data: Path | None = None) -> Task:
    """Capacity over nominal from the last part of the charge of the same cycle.

    The published split where its test cells are in the folder; of XJTU, where they are held back,
    each other cell is left out in turn, and of HUST a fifth of them.

    Raises:
        UsageError: there is no such batch, or the data is not there.
    """
    if batch not in SOH_BATCHES:
        raise UsageError(f"there is no batch {batch}", hint=f"There are {', '.join(SOH_BATCHES)}.")
    protocol = datasets.describe("soh_features").protocol(batch)
    here = [one.name for one in protocol.splits if not one.held_back]
    parts = [(split, datasets.rows("soh_features", split, batch, data)) for split in here]
    names = [
        f"{split}/{first}/{second}"
        for split, table in parts
        for first, second in zip(table["batch"].tolist(), table["cell"].tolist(), strict=True)
    ]
    cells, cell = np.unique(names, return_inverse=True)
    every = tuple(str(one) for one in cells)
    if "test" in here:
        told = "published split"
        train = tuple(k for k, name in enumerate(every) if name.startswith("train/"))
        test = tuple(k for k in range(len(every)) if k not in train)
        folds: tuple[Fold, ...] = (Fold("test", train, test),)
    elif batch == "HUST":
        told, folds = "training cells, grouped 5-fold", grouped_folds(every, _FOLDS, seed=0)
    else:
        told, folds = "training cells, leave one out", leave_one_out(every)
    chosen = tuple(name for name in parts[0][1] if name not in NOT_FEATURES)
    columns = {name: np.concatenate([table[name] for _, table in parts]) for name in
               (*chosen, "row", "capacity")}  # fmt: skip
    target = columns["capacity"].astype(np.float64) / NOMINAL_AH[batch]
    measured = np.column_stack([columns[name].astype(np.float64) for name in chosen])
    past, told_by_past = past_columns(chosen, measured, cell.astype(np.int64))
    return Task(
        name=f"soh.{batch.lower().replace(' ', '.')}",
        unit="1",
        target_name="capacity over nominal",
        protocol=told,
        columns=(*chosen, AGE, *past),
        features=np.column_stack([measured, columns["row"].astype(np.float64), told_by_past]),
        target=target,
        cell=cell.astype(np.int64),
        cells=every,
        folds=folds,
        choices=choices(chosen),
        carried={"first capacity": _first(target, cell)},
        fit_row_count=_FIT_ROWS_XJTU if batch.startswith("XJTU") else _FIT_ROWS,
    )


def pulses(group: str, data: Path | None = None) -> Task:
    """Capacity over nominal from voltages during pulses, whole batteries left out five-fold.

    Raises:
        UsageError: there is no such group, or the data is not there.
    """
    table = datasets.rows("pulsebat", group, "by battery", data)
    cells, cell = np.unique(table["battery"].astype(str), return_inverse=True)
    voltage = np.column_stack([table[name].astype(np.float64) for name in PULSE_VOLTAGES])
    every = tuple(str(one) for one in cells)
    return Task(
        name=f"pulsebat.{group.lower()}",
        unit="1",
        target_name="capacity over nominal",
        protocol="whole batteries, grouped 5-fold",
        columns=(_CHARGE, *pulse.COLUMNS),
        features=np.column_stack([table[_CHARGE].astype(np.float64), pulse.pulse_columns(voltage)]),
        target=table["soh"].astype(np.float64),
        cell=cell.astype(np.int64),
        cells=every,
        folds=grouped_folds(every, _FOLDS, seed=0),
        choices={**pulse.choices(_CHARGE), CURVE: PULSE_VOLTAGES},
        fit_row_count=_FIT_ROWS,
    )


def _first(target: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Each cell's first value on all its rows but that one. [unit of the target]"""
    told = np.full(len(target), np.nan)
    for one in np.unique(cell):
        own = np.flatnonzero(cell == one)
        told[own[1:]] = target[own[0]]
    return told
