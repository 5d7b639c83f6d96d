"""Tables of several laboratories with the same columns, so that what one taught can serve another.

Rules
- A column is a logarithm where its quantity is positive, so that a cell twice as large is shifted
  and not stretched; a charge is divided by the nominal capacity first.
- Of each charge feature there is the value, `level`, and its difference from the median of the
  cell's own first `REFERENCE_ROWS` rows, `change`. Those rows need no capacity test; they are given
  as `early`, without labels, and are neither learnt from nor tested.
- Nothing of a cell's later rows enters a row.
- `MIT` and the catalogue's `severson_lfp` are one population of cells: `severson_lfp` is not here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.health import tasks
from cellwarden.health.task import Sample

__all__ = ["REFERENCE_ROWS", "Domain", "charges", "pulses", "relative"]

REFERENCE_ROWS: Final = 5
_NOMINAL_AH: Final = {"XJTU": 2.0, "TJU D1": 3.5, "TJU D2": 3.5, "TJU D3": 2.5, "HUST": 1.1,
                      "MIT": 1.1}  # fmt: skip
_PER_CAPACITY: Final = frozenset({"cc_q", "cv_q"})
_POSITIVE: Final = frozenset({
    "cc_q", "cv_q", "cc_charge_time", "cv_charge_time", "voltage_std", "current_std",
    "current_mean", "voltage_slope", "voltage_entropy", "current_entropy",
})  # fmt: skip
_NEGATIVE: Final = frozenset({"current_slope"})
_PULSES: Final = 5  # each with four voltages after the rest voltage U1
_LEAST: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Domain:
    """Cells of one kind from one laboratory; `sample` is labelled, `early` are rows without label.

    `choices` are sets of columns that tuning may take.
    """

    name: str
    sample: Sample
    cells: tuple[str, ...]
    early: Float64[np.ndarray, "first column"]
    early_cell: Int64[np.ndarray, " first"]
    choices: Mapping[str, tuple[str, ...]]


def charges(batch: str, data: Path | None = None) -> Domain:
    """A batch of `tasks.soh`: capacity over nominal from the charge of the same cycle.

    Raises:
        UsageError: there is no such batch, or the data is not there.
    """
    task = tasks.soh(batch, data)
    nominal = next(ah for name, ah in _NOMINAL_AH.items() if batch.startswith(name))
    names = task.choices["charge"]
    values = np.column_stack(
        [_scaled(name, task.features[:, task.columns.index(name)], nominal) for name in names]
    )
    change, first = relative(values, task.cell)
    columns = (*names, *(f"{name}_change" for name in names))
    features = np.hstack([values, change])
    return Domain(
        name=batch,
        sample=Sample(columns, features[~first], task.target[~first], task.cell[~first]),
        cells=task.cells,
        early=features[first],
        early_cell=task.cell[first],
        choices={"level": names, "change": columns[len(names) :], "both": columns},
    )


def pulses(group: str, data: Path | None = None) -> Domain:
    """A group of `tasks.pulses`: what each pulse moves the voltage by, the rest voltage and charge.

    A pulse's current is a multiple of the nominal capacity, so its voltages compare over sizes.
    Retired cells have no first rows: all rows of a cell stand in for them, without label.

    Raises:
        UsageError: there is no such group, or the data is not there.
    """
    task = tasks.pulses(group, data)
    volts = task.features[:, 1:]
    columns, moved = [], []
    for pulse in range(_PULSES):
        rest, start, end = (volts[:, 4 * pulse + k] for k in range(3))
        for name, span in (("start", start - rest), ("end", end - rest), ("slow", end - start)):
            columns.append(f"pulse_{pulse + 1}_{name}")
            moved.append(_log(np.abs(span)))
    level = ("soc_pct", "rest_volt")
    features = np.column_stack([task.features[:, 0], volts[:, 0], *moved])
    return Domain(
        name=group,
        sample=Sample((*level, *columns), features, task.target, task.cell),
        cells=task.cells,
        early=features,
        early_cell=task.cell,
        choices={"pulses": ("soc_pct", *columns), "both": (*level, *columns)},
    )


def relative(
    values: Float64[np.ndarray, "row column"], cell: Int64[np.ndarray, " row"]
) -> tuple[Float64[np.ndarray, "row column"], np.ndarray]:
    """Each row less the median of its cell's first rows, and which rows those are. [1]"""
    change = np.full_like(values, np.nan)
    first = np.zeros(len(cell), dtype=bool)
    for one in np.unique(cell):
        own = np.flatnonzero(cell == one)
        first[own[:REFERENCE_ROWS]] = True
        begun = values[own[:REFERENCE_ROWS]]
        known = np.isfinite(begun).any(axis=0)
        usual = np.full(values.shape[1], np.nan)
        usual[known] = np.nanmedian(np.where(np.isfinite(begun), begun, np.nan)[:, known], axis=0)
        change[own] = values[own] - usual
    return change, first


def _scaled(name: str, value: Float64[np.ndarray, " row"], nominal_ah: float) -> np.ndarray:
    if name in _NEGATIVE:
        return _log(-value)
    if name in _POSITIVE:
        return _log(value / nominal_ah if name in _PER_CAPACITY else value)
    return np.where(np.isfinite(value), value, np.nan)


def _log(value: Float64[np.ndarray, " row"]) -> np.ndarray:
    """Decimal logarithm; missing where the value is not above zero."""
    good = np.isfinite(value) & (value > _LEAST)
    return np.where(good, np.log10(np.where(good, value, 1.0)), np.nan)
