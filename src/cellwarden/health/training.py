"""What a model learns from, and how well it does on cells it never saw.

Rules
- A row is a charge and the reference capacity that the next discharge measured.
- Every score of a cell comes from a fit chosen, fitted, limited and calibrated on other cells.
- A cell weighs the same in a score however many cycles it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64

from cellwarden.domain import Series
from cellwarden.errors import DataError, UsageError
from cellwarden.features import capacities, charges, cut, samples
from cellwarden.features.capacity import REFERENCE_CELSIUS
from cellwarden.health.soh import SCALES, Fit, Rows, columns_of, inputs, train

__all__ = ["Held", "Score", "hold_out", "observe", "score"]

_FEWEST_ROWS: Final = 20  # of a cell; fewer show no ageing


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of SOH on cells left out: means over cells, and the largest of any row.

    `coverage` is the share of rows inside the interval, NaN where there is none.
    """

    who: str
    mae_fraction: float
    rmse_fraction: float
    max_fraction: float
    coverage: float
    cell_count: int
    row_count: int


@dataclass(frozen=True, slots=True)
class Held:
    """Each row as told by the fit that never saw its cell.

    `within` says whether that fit would have served the row; `half_width` is that fit's.
    """

    told: Float64[np.ndarray, " row"]
    within: Bool[np.ndarray, " row"]
    half_width: Float64[np.ndarray, " row"]
    folds: dict[str, Fit]


def observe(records: Sequence[Series]) -> Rows:
    """Rows of the records that hold at least `_FEWEST_ROWS` of them.

    Raises:
        DataError: no record holds enough.
        UsageError: a record does not carry its nominal capacity.
    """
    parts = []
    for series in records:
        if series.nominal_capacity_ah is None:
            raise UsageError(
                f"{series.name}: nominal capacity not known", hint="Set it on the series."
            )
        taken = samples(series, series.nominal_capacity_ah)
        runs = cut(taken)
        seen, found = charges(taken, runs), capacities(taken, runs)
        after = np.append(np.where(found.reference, found.capacity_ah, np.nan), np.nan)
        soh = after[np.minimum(seen.run + 1, len(runs))] / taken.nominal_capacity_ah
        columns = columns_of(seen)
        good = np.isfinite(soh) & ~(seen.temperature_celsius < REFERENCE_CELSIUS)
        good &= np.all([np.isfinite(columns[name]) for name in SCALES], axis=0)
        if good.sum() >= _FEWEST_ROWS:
            parts.append((series.name, np.flatnonzero(good), soh[good], columns))
    if not parts:
        raise DataError(
            "no record holds enough full discharges", hint="Check the files and their cut-offs."
        )
    return Rows(
        cells=tuple(name for name, *_ in parts),
        cell=np.concatenate([np.full(len(at), k) for k, (_, at, *_) in enumerate(parts)]),
        cycle_count=np.concatenate([at + 1 for _, at, *_ in parts]),
        soh_fraction=np.concatenate([soh for *_, soh, _ in parts]),
        columns={
            name: np.concatenate([columns[name][at] for _, at, _, columns in parts])
            for name in parts[0][3]
        },
    )


def hold_out(rows: Rows, coverage: float) -> Held:
    """Every cell told by a fit of all the others. [1]"""
    told, width = np.full((2, len(rows.cell)), np.nan)
    within = np.zeros(len(rows.cell), dtype=bool)
    folds = {}
    for place, name in enumerate(rows.cells):
        own = rows.cell == place
        fold = folds[name] = train(rows.take(~own), coverage)
        columns = rows.take(own).columns
        told[own] = fold.curve(inputs(columns, fold.features))
        within[own] = fold.within(columns)
        width[own] = fold.half_width
    return Held(told, within, width, folds)


def score(
    who: str,
    rows: Rows,
    told: Float64[np.ndarray, " row"],
    which: Bool[np.ndarray, " row"],
    half_width: Float64[np.ndarray, " row"] | None = None,
) -> Score:
    """Errors on some of the rows, each cell with the same weight. [1]"""
    error = np.abs(told - rows.soh_fraction)
    cells = [which & (rows.cell == place) for place in range(len(rows.cells))]
    cells = [cell for cell in cells if cell.any()]
    if not cells:
        raise DataError(f"{who}: no rows to score", hint="Give rows of at least one cell.")
    inside = None if half_width is None else error <= half_width
    return Score(
        who=who,
        mae_fraction=float(np.mean([error[cell].mean() for cell in cells])),
        rmse_fraction=float(np.mean([np.sqrt(np.mean(error[cell] ** 2)) for cell in cells])),
        max_fraction=float(error[which].max()),
        coverage=float("nan")
        if inside is None
        else float(np.mean([inside[c].mean() for c in cells])),
        cell_count=len(cells),
        row_count=int(which.sum()),
    )
