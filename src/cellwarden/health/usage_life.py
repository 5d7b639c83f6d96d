"""Tasks on how use decides life: cells that experiments put to several temperatures and rates.

The target is a life in cycles, the columns are what a user sets and nothing that was measured
later, so that a model of them may be asked `what_if`.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from cellwarden import datasets
from cellwarden.errors import DataError
from cellwarden.health.task import Task, leave_one_out

__all__ = ["TJU_LIFE", "tbsi_life", "tju_conditions", "tju_life"]

_TBSI_END_AH: Final = 0.88
# Part of the TJU tables and 80 % of its nominal capacity in Ah.
TJU_LIFE: Final = {"D1_NCA": 2.8, "D2_NCM": 2.8, "D3_NCM_NCA": 2.0}
_TJU_NAME: Final = re.compile(r"CY(\d+)-(\d+)_(\d+)-")
_SMOOTHED: Final = 5


def tbsi_life(data: Path | None = None) -> Task:
    """Cycles to 0.88 Ah from the temperature alone, each of 24 cells left out in turn.

    Raises:
        UsageError: the data is not there.
    """
    table = datasets.rows("tbsi_nmc", "train", data=data)
    names = tuple(np.unique(table["cell"].astype(str)).tolist())
    life, warm = [], []
    for name in names:
        own = table["cell"] == name
        life.append(_life(table["capacity_Ah"][own].astype(np.float64), _TBSI_END_AH))
        warm.append([float(table["temperature_C"][own][0])])
    return _task("tbsi_nmc.life", ("temperature_celsius",), names, warm, life)


def tju_life(kind: str, data: Path | None = None) -> Task:
    """Cycles to 80 % of nominal from temperature and charge rate; cells that ended above: censored.

    Raises:
        UsageError: the data is not there.
        DataError: a cell's name does not tell its use.
    """
    use, life, names = [], [], []
    for split in ("train", "test"):
        table = datasets.rows("soh_features", split, f"TJU {kind}", data)
        for name in np.unique(table["cell"].astype(str)).tolist():
            own = table["cell"] == name
            names.append(name)
            use.append(list(tju_conditions(name))[:2])
            life.append(_life(table["capacity"][own].astype(np.float64), TJU_LIFE[kind]))
    columns = ("temperature_celsius", "charge_rate_per_hour")
    return _task(f"tju.{kind.lower()}.life", columns, tuple(names), use, life)


def tju_conditions(name: str) -> tuple[float, float, float]:
    """Temperature, charge and discharge rate of a TJU cell, by its name. [°C, 1/h, 1/h]

    Raises:
        DataError: the name does not tell them.
    """
    found = _TJU_NAME.match(name)
    if found is None:
        raise DataError(f"{name} does not tell how the cell was used", hint="Check the files.")
    celsius, charge, discharge = found.groups()
    rate = {"025": 0.25, "05": 0.5}.get(charge)
    return float(celsius), float(charge) if rate is None else rate, float(discharge)


def _life(capacity_ah: np.ndarray, end_ah: float) -> tuple[float, bool]:
    """First cycle at which the running median lies below the end, or the last one seen. [1]"""
    windows = np.lib.stride_tricks.sliding_window_view(capacity_ah, _SMOOTHED)
    below = np.flatnonzero(np.median(windows, axis=1) < end_ah)
    if len(below) == 0:
        return float(len(capacity_ah)), False
    return float(below[0] + _SMOOTHED // 2 + 1), True


def _task(
    name: str,
    columns: tuple[str, ...],
    names: tuple[str, ...],
    use: list[list[float]],
    life: list[tuple[float, bool]],
) -> Task:
    censored = np.array([not failed for _, failed in life])
    tested = np.flatnonzero(~censored)
    told = Task(
        name=name,
        unit="cycles",
        target_name="cycle life",
        protocol="leave one out",
        columns=columns,
        features=np.array(use),
        target=np.array([cycles for cycles, _ in life]),
        cell=np.arange(len(names)),
        cells=names,
        folds=(),
        logarithmic=True,
        censored=censored if censored.any() else None,
    )
    return replace(told, folds=tuple(leave_one_out(names)[k] for k in tested.tolist()))
