"""What a model must beat, and what else was tried; each told for cells left out.

- mean: the mean SOH of the other cells.
- cycle count only: boosted trees on the place of the charge in the record; they know nothing that
  was measured.
- first check carried forward: the cell's own first measured capacity, as known to a fleet whose
  batteries are checked when new.
- previous discharge: the capacity measured one usable cycle before. It needs a full discharge
  every cycle, which is what the model is there to spare; shown as the floor, not as a gate.
- ridge and boosted trees on all features of the model.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import lightgbm
import numpy as np
from jaxtyping import Float64

from cellwarden.health.soh import SCALES, Rows, inputs

__all__ = ["RIVALS"]

_RIDGE: Final = 1.0
_TREES: Final = MappingProxyType(
    {
        "objective": "regression",
        "num_leaves": 8,
        "learning_rate": 0.05,
        "min_data_in_leaf": 20,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": 0,
        "verbose": -1,
    }
)
_TREE_COUNT: Final = 150

_Table = Float64[np.ndarray, "row feature"]
_Column = Float64[np.ndarray, " row"]
_Learn = Callable[[_Table, _Column, _Column, _Table], _Column]


def _weights(rows: Rows) -> _Column:
    """The same weight for each cell. [1]"""
    count = np.bincount(rows.cell, minlength=len(rows.cells))
    weight = 1 / count[rows.cell]
    return np.asarray(weight / weight.mean())


def _left_out(table: _Table, rows: Rows, learn: _Learn) -> _Column:
    told = np.empty(len(rows.cell))
    for place in range(len(rows.cells)):
        own = rows.cell == place
        rest = rows.take(~own)
        told[own] = learn(table[~own], rest.soh_fraction, _weights(rest), table[own])
    return told


def _average(_: _Table, target: _Column, weight: _Column, new: _Table) -> _Column:
    return np.full(len(new), np.average(target, weights=weight))


def _boost(table: _Table, target: _Column, weight: _Column, new: _Table) -> _Column:
    data = lightgbm.Dataset(table, label=target, weight=weight)
    trees = lightgbm.train(dict(_TREES), data, num_boost_round=_TREE_COUNT)
    return np.asarray(trees.predict(new, num_threads=1), dtype=np.float64)


def _ridge(table: _Table, target: _Column, weight: _Column, new: _Table) -> _Column:
    centre, spread = table.mean(axis=0), table.std(axis=0)

    def squares(values: _Table) -> _Table:
        unit = (values - centre) / spread
        pairs = [unit[:, a] * unit[:, b] for a in range(unit.shape[1]) for b in range(a + 1)]
        return np.column_stack([unit, *pairs])

    design, mean = squares(table), np.average(target, weights=weight)
    normal = design.T @ (weight[:, None] * design) + _RIDGE * np.eye(design.shape[1])
    slope = np.linalg.solve(normal, design.T @ (weight * (target - mean)))
    return np.asarray(mean + squares(new) @ slope)


def _count(rows: Rows) -> _Table:
    return rows.cycle_count[:, None].astype(np.float64)


def _all(rows: Rows) -> _Table:
    return inputs(rows.columns, tuple(SCALES))


def _carried(rows: Rows) -> _Column:
    first = [rows.soh_fraction[rows.cell == place][0] for place in range(len(rows.cells))]
    return np.asarray(np.array(first)[rows.cell])


def _previous(rows: Rows) -> _Column:
    told = np.append(np.nan, rows.soh_fraction[:-1])
    new = np.append(True, np.diff(rows.cell) != 0)
    told[new] = rows.soh_fraction[new]
    return told


# Name, whether the model must beat it, and how it tells each row.
RIVALS: Final[tuple[tuple[str, bool, Callable[[Rows], _Column]], ...]] = (
    ("mean", True, lambda rows: _left_out(_count(rows), rows, _average)),
    ("cycle count only", True, lambda rows: _left_out(_count(rows), rows, _boost)),
    ("first check carried forward", True, _carried),
    ("ridge, squares", False, lambda rows: _left_out(_all(rows), rows, _ridge)),
    ("boosted trees", False, lambda rows: _left_out(_all(rows), rows, _boost)),
    ("previous discharge", False, _previous),
)
