"""State of health from impedance: each spectrum beside the first ones of its own cell.

Rules
- Cells differ more when new than one changes over its life, so what is learnt is change: of each
  number against the median of the cell's first `FIRST_COUNT` spectra, of capacity against that of
  its first cycle. Of a spectrum none that came later is used, so this can be done as a cell ages.
- The first capacity of a cell is therefore taken as known. `lco(absolute=True)` does without: it
  tells mAh from the spectrum alone, as the published figures do.
- Numbers of a spectrum: its real and imaginary parts at fixed frequencies, interpolated between
  those measured; ohmic intercept, width and top of the arc, slope of the tail; a fitted circuit.
- A number that a spectrum does not show is NaN; a constant one stays as it is.

Source of the frequencies that tell most (17.8 and 2.16 Hz): Y. Zhang et al., Nature Communications
11, 1706 (2020), doi 10.1038/s41467-020-15235-7.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden import datasets
from cellwarden.domain import Table
from cellwarden.errors import DataError
from cellwarden.features import (
    Spectrum,
    fit_circuit,
    ohmic_intercept,
    semicircle,
    wide_spectra,
)
from cellwarden.health.task import Fold, Task, leave_one_out

__all__ = [
    "CHOICES",
    "COLUMNS",
    "FIRST_COUNT",
    "against_first",
    "lco",
    "spectrum_features",
    "task",
    "task_of",
]

FIRST_COUNT: Final = 3
_HERTZ: Final = (2e4, 2e3, 200.0, 63.0, 17.8, 5.5, 2.16, 0.6, 0.2, 0.05, 0.02)
_TAIL_HERTZ: Final = (0.02, 0.1)
# At the highest frequency the wires outweigh the cell: the imaginary part has the other sign there.
_SPECTRUM: Final = (
    *(f"real_{hertz:g}_hertz_ohm" for hertz in _HERTZ),
    *(f"minus_imaginary_{hertz:g}_hertz_ohm" for hertz in _HERTZ[1:]),
)
_SHAPE: Final = (
    "ohmic_ohm",
    "arc_width_ohm",
    "arc_top_hertz",
    "arc_end_ohm",
    "tail_slope_ohm_per_root_second",
)
_CIRCUIT: Final = (
    "series_ohm",
    "arc_1_ohm",
    "arc_1_second",
    "arc_1_exponent",
    "arc_2_ohm",
    "arc_2_second",
    "arc_2_exponent",
    "warburg_ohm_per_root_second",
)
COLUMNS: Final = (*_SPECTRUM, *_SHAPE, *_CIRCUIT)
CHOICES: Final = {"spectrum": _SPECTRUM, "shape": _SHAPE, "circuit": _CIRCUIT}


def spectrum_features(seen: Spectrum) -> dict[str, float]:
    """The numbers of `COLUMNS`, NaN where the spectrum does not show one. [Ω, Hz, s, 1]"""
    order = np.argsort(seen.frequency_hertz)
    at, size = np.log(seen.frequency_hertz[order]), seen.impedance_ohm[order]
    wanted = np.log(np.array(_HERTZ))
    # The nearest frequencies of a file may lie a rounding beyond the outermost that are asked for.
    inside = (wanted >= at[0] - 0.05) & (wanted <= at[-1] + 0.05) if len(at) else wanted > np.inf
    parts = [
        np.where(inside, np.interp(wanted, at, column), np.nan) if len(at) else wanted * np.nan
        for column in (size.real, -size.imag)
    ]
    parts[1] = parts[1][1:]
    arc = semicircle(seen)
    shape = (
        ohmic_intercept(seen),
        arc.width_ohm,
        arc.top_frequency_hertz,
        arc.end_resistance_ohm,
        _tail(seen),
    )
    return dict(
        zip(COLUMNS, (*np.concatenate(parts).tolist(), *shape, *_circuit(seen)), strict=True)
    )


def against_first(
    numbers: Float64[np.ndarray, "row column"], first_count: int = FIRST_COUNT
) -> Float64[np.ndarray, "row column"]:
    """Each number over the median of one cell's first ones so far, as a logarithm. [1]

    Rows are one cell's in order of time; the first rows are measured against those up to
    themselves. A number that is not above zero tells nothing as a logarithm and is NaN.
    """
    positive = np.where(numbers > 0, numbers, np.nan)
    told = np.full(numbers.shape, np.nan)
    for k in range(len(numbers)):
        start = positive[: min(k + 1, first_count)]
        # A number missing from all first rows stays missing: no later row takes their place.
        known = np.isfinite(start).any(axis=0)
        told[k, known] = np.log(positive[k, known] / np.nanmedian(start[:, known], axis=0))
    return told


def task(
    spectra: Sequence[Spectrum],
    cells: Sequence[str],
    cycle_count: Float64[np.ndarray, " row"],
    capacity_ah: Float64[np.ndarray, " row"],
    *,
    folds: tuple[Fold, ...] | None = None,
    absolute: bool = False,
) -> Task:
    """A task over spectra of cells, rows of a cell in order of time; cells left out in turn.

    Cells are numbered by name in `folds`. With `absolute` the target is mAh, else the capacity
    over that of the cell's first row.

    Raises:
        DataError: a row has no name or no capacity above zero.
    """
    if not len(spectra) == len(cells) == len(cycle_count) == len(capacity_ah):
        raise DataError("rows are not of one length", hint="Give each spectrum its cell and Ah.")
    if not (capacity_ah > 0).all():
        raise DataError("a capacity is not above zero", hint="Leave rows without one out.")
    names, cell = np.unique(np.array(cells), return_inverse=True)
    every = tuple(str(one) for one in names)
    numbers = np.array([list(spectrum_features(one).values()) for one in spectra])
    first = np.empty(len(cell))
    for one in range(len(every)):
        own = np.flatnonzero(cell == one)
        first[own] = capacity_ah[own[0]]
        if not absolute:
            numbers[own] = against_first(numbers[own])
    target = 1000 * capacity_ah if absolute else capacity_ah / first
    carried = 1000 * first if absolute else np.ones(len(cell))
    carried[np.unique(cell, return_index=True)[1]] = np.nan
    return Task(
        name=f"eis.lco{'.absolute' if absolute else ''}",
        unit="mAh" if absolute else "1",
        target_name="capacity" if absolute else "capacity over that of the first cycle",
        protocol="leave one cell out" if folds is None else "given folds",
        columns=(*COLUMNS, "cycle_count"),
        features=np.column_stack([numbers, cycle_count]),
        target=target,
        cell=cell.astype(np.int64),
        cells=every,
        folds=leave_one_out(every) if folds is None else folds,
        choices=CHOICES | {"spectrum and cycle": (*_SPECTRUM, "cycle_count")},
        carried={"first capacity": carried},
    )


def task_of(table: Table, *, absolute: bool = False) -> Task:
    """A task over a table of the form of `eis_lco`, one cell left out in turn.

    Raises:
        DataError: it is no table of spectra.
    """
    # The file holds -Im(Z): an arc lies above the axis there.
    seen = wide_spectra(table, imaginary_sign=-1)
    cells = [f"cell {number:g}" for number in table["cell"].tolist()]
    cycle, milliamp = (table[name].astype(np.float64) for name in ("cycle", "capacity_mAh"))
    return task(seen, cells, cycle, milliamp / 1000, absolute=absolute)


def lco(data: Path | None = None, *, absolute: bool = False) -> Task:
    """Spectra of LCO coin cells, one cell left out in turn.

    Raises:
        UsageError: the data is not there.
        DataError: it is no table of spectra.
    """
    table = datasets.load("eis_lco", "eis.parquet", data)
    if not isinstance(table, Table):
        raise DataError("eis_lco: no table", hint="Check the files.")
    return task_of(table, absolute=absolute)


def _tail(seen: Spectrum) -> float:
    """Slope of -Im(Z) over 1/√ω at the lowest frequencies, diffusion's share. [Ω/√s]"""
    low, high = _TAIL_HERTZ
    rows = (seen.frequency_hertz >= 0.95 * low) & (seen.frequency_hertz <= high)
    if rows.sum() < 3:  # noqa: PLR2004  a line and something to spare
        return float("nan")
    root = (2 * np.pi * seen.frequency_hertz[rows]) ** -0.5
    away = root - root.mean()
    return float(away @ -seen.impedance_ohm.imag[rows] / (away @ away))


def _circuit(seen: Spectrum) -> tuple[float, ...]:
    """Two arcs and diffusion, from one start: neighbouring spectra then end in one minimum."""
    try:
        fit = fit_circuit(seen, arc_count=2, start_count=1)
    except DataError:
        return (float("nan"),) * len(_CIRCUIT)
    return tuple(fit[name][0] for name in _CIRCUIT)
