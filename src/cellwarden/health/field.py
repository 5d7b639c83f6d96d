"""State of health from any part of a charge, as telemetry has it.

Rules
- A row is a part of a charge that was really measured, cut anywhere, thinned, rounded and with
  rows lost (`features.segment`), and what the next full discharge of that cell measured.
- The first part of each charge is the whole of it; the others cover 10 to 100 % of the charge that
  passed, evenly drawn. A laboratory has whole charges to learn from; the field need not.
- A part is not served where no window of voltage and no step of a taper was seen whole, where a
  number that was seen lies beyond those of the training cells, or where the interval is wider
  than `WIDEST_FRACTION` on each side: it then says little more than that a cell is a cell.
- What is served has an interval of 80 %, as the shipped model's and for the same reason: with ten
  cells one of 90 % would rest on the worst row of the worst cell.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden import datasets
from cellwarden.domain import Interval, NotServed, Series
from cellwarden.errors import DataError, UsageError
from cellwarden.features import capacities, cut, samples
from cellwarden.features.segment import (
    SEGMENT_COLUMNS,
    TAPER_COLUMNS,
    WINDOW_COLUMNS,
    Logger,
    Segment,
    log,
    part,
    segment_features,
    segment_of,
)
from cellwarden.health.definitions import CAPACITY, Definition, fractions
from cellwarden.health.patterns import PROCESS_ON_KNOWN
from cellwarden.health.task import Fold, Task, leave_one_out
from cellwarden.health.tuning import Tuned

__all__ = [
    "DATA_SETS",
    "PROGRAMMES",
    "WIDEST_FRACTION",
    "Part",
    "Parts",
    "lco",
    "parts_of",
    "refusals",
    "tell",
]

COVERAGE: Final = 0.8
WIDEST_FRACTION: Final = 0.15
DATA_SETS: Final = ("nasa_pcoe", "calce_cs2")
# Cells that went through one programme together, by the numbering of their sources.
PROGRAMMES: Final = {
    "NASA 5-7": ("B0005", "B0006", "B0007"),
    "NASA 25-26": ("B0025", "B0026"),
    "NASA 38": ("B0038",),
    "NASA 42": ("B0042",),
    "CALCE": ("CS2_35", "CS2_36", "CS2_37"),
}
_FEWEST_CHARGES: Final = 20  # of a cell; fewer show no ageing
_CHARGES_A_CELL: Final = 60  # evenly over a cell's life
_PARTS_A_CHARGE: Final = 5
_LEAST_PART: Final = 0.1
_FIT_ROWS: Final = 900
_SHAPE: Final = (*WINDOW_COLUMNS, *TAPER_COLUMNS)
# Where a part begins and ends is nothing that it shares with the same windows of another part.
WINDOW_PROCESS: Final = replace(PROCESS_ON_KNOWN, columns=(*_SHAPE, "rate_per_hour"))


@dataclass(frozen=True, slots=True)
class Parts:
    """A task over parts of charges, and of each row how much of its charge was to be seen.

    `span_volt` is between the first and the last reading.
    """

    task: Task
    seen_fraction: Float64[np.ndarray, " row"]
    span_volt: Float64[np.ndarray, " row"]


@dataclass(frozen=True, slots=True)
class Part:
    """State of health that a part of a charge tells, and by which definition."""

    soh_fraction: float
    interval: Interval
    definition: Definition


@dataclass(frozen=True, slots=True)
class _Rows:
    """Parts of one cell's charges."""

    features: Float64[np.ndarray, "row column"]
    target: Float64[np.ndarray, " row"]
    charge: Int64[np.ndarray, " row"]
    seen: Float64[np.ndarray, " row"]


def lco(
    data: Path | None = None, *, by_programme: bool = False, definition: Definition = CAPACITY
) -> Parts:
    """Parts of charges of the NASA and CALCE cells, one cell, or one programme, left out in turn.

    Raises:
        UsageError: the data is not there.
    """
    records = []
    for name in DATA_SETS:
        for one in datasets.describe(name).parts:
            if one.cell:
                record = datasets.load(name, one.path, data)
                if not isinstance(record, Series):
                    raise DataError(f"{name}, {one.path}: no record", hint="Check the files.")
                records.append(record)
    return parts_of(records, by_programme=by_programme, definition=definition)


def parts_of(
    records: Sequence[Series],
    *,
    logger: Logger | None = None,
    seed: int = 20,
    by_programme: bool = False,
    definition: Definition = CAPACITY,
) -> Parts:
    """A task over parts of these records' charges. [1]

    Raises:
        DataError: fewer than two records hold enough charges before a reference discharge.
        UsageError: a record does not carry its nominal capacity.
    """
    found: dict[str, _Rows] = {}
    for series in records:
        rows = _rows(series, logger or Logger(), seed, definition)
        if rows is not None:
            found[series.name] = rows
    if len(found) < 2:  # noqa: PLR2004  one to learn from, one to test
        raise DataError(
            "no two records hold enough full discharges", hint="Check the files and their cut-offs."
        )
    cells, every = tuple(found), tuple(found.values())
    cell = np.concatenate([np.full(len(rows.target), k) for k, rows in enumerate(every)])
    charge = np.concatenate([rows.charge for rows in every])
    features = np.concatenate([rows.features for rows in every])
    target = np.concatenate([rows.target for rows in every])
    start, stop = (SEGMENT_COLUMNS.index(f"{end}_voltage_volt") for end in ("start", "stop"))
    task = Task(
        name=f"field.lco{'.programme' if by_programme else ''}",
        unit="1",
        target_name=str(definition),
        protocol=f"leave one {'programme' if by_programme else 'cell'} out",
        columns=(*SEGMENT_COLUMNS, "cycle_count"),
        features=np.column_stack([features, charge.astype(np.float64)]),
        target=target,
        cell=cell,
        cells=cells,
        folds=_programmes(cells) if by_programme else leave_one_out(cells),
        choices={"windows": (*_SHAPE, "rate_per_hour"), "all of it": SEGMENT_COLUMNS},
        carried={"first capacity": _first(target, cell, charge)},
        fit_row_count=_FIT_ROWS,
    )
    seen = np.concatenate([rows.seen for rows in every])
    return Parts(task, seen, features[:, stop] - features[:, start])


def refusals(
    tuned: Tuned,
    features: Float64[np.ndarray, "item column"],
    half_width: Float64[np.ndarray, " item"],
) -> list[str]:
    """Why each row is not served; empty where it is. Columns are those of the task."""
    fit = tuned.whole
    own = features[:, fit.taken]
    beyond = (own < fit.low) | (own > fit.high)  # NaN, not seen, is not
    shape = np.isfinite(features[:, [SEGMENT_COLUMNS.index(name) for name in _SHAPE]])
    told = []
    for k in range(len(features)):
        if not shape[k].any():
            told.append("no window of voltage and no step of a taper was seen whole")
        elif beyond[k].any():
            at = int(np.flatnonzero(beyond[k])[0])
            name = tuned.chosen.columns[at]
            told.append(
                f"{name} {own[k, at]:.4g} is outside {fit.low[at]:.4g} to {fit.high[at]:.4g},"
                " the range of the training cells"
            )
        elif not half_width[k] <= WIDEST_FRACTION:
            told.append(f"it says too little: state of health to ±{half_width[k]:.2f}")
        else:
            told.append("")
    return told


def tell(
    tuned: Tuned, seen: Segment, *, coverage: float = COVERAGE, definition: Definition = CAPACITY
) -> Part | NotServed:
    """State of health from a part of a charge, or why not. [1]

    `tuned` learnt from the rows of `parts_of`, by the same definition.
    """
    told = segment_features(seen)
    row = np.array([[*(told[name] for name in SEGMENT_COLUMNS), np.nan]])
    low, high = tuned.interval(row, coverage)
    if reason := refusals(tuned, row, (high - low) / 2)[0]:
        return NotServed(reason)
    soh = float(tuned.predict(row).mean[0])
    interval = Interval(max(min(float(low[0]), soh), 0.0), max(float(high[0]), soh), coverage)
    return Part(soh, interval, definition)


def _rows(series: Series, logger: Logger, seed: int, definition: Definition) -> _Rows | None:
    if series.nominal_capacity_ah is None:
        raise UsageError(f"{series.name}: nominal capacity not known", hint="Set it on the series.")
    taken = samples(series, series.nominal_capacity_ah)
    runs = cut(taken)
    after = fractions(definition, capacities(taken, runs), taken.nominal_capacity_ah)
    followed = np.flatnonzero(runs.charges[:-1] & np.isfinite(after[1:]))
    if len(followed) < _FEWEST_CHARGES:
        return None
    few = np.linspace(0, len(followed) - 1, min(_CHARGES_A_CELL, len(followed)))
    features, target, charge, seen = [], [], [], []
    for run in followed[few.round().astype(np.int64)]:
        whole = segment_of(taken, runs, int(run))
        for number in range(_PARTS_A_CHARGE):
            key = (seed, zlib.crc32(series.name.encode()), int(run), number)
            draw = np.random.default_rng(key)
            width = 1.0 if number == 0 else float(draw.uniform(_LEAST_PART, 1.0))
            begin = float(draw.uniform(0.0, 1.0 - width))
            told = segment_features(log(part(whole, begin, begin + width), logger, (*key, 1)))
            features.append([told[name] for name in SEGMENT_COLUMNS])
            target.append(after[run + 1])
            charge.append(int(runs.charges[: run + 1].sum()))
            seen.append(width)
    return _Rows(np.array(features), np.array(target), np.array(charge), np.array(seen))


def _programmes(cells: tuple[str, ...]) -> tuple[Fold, ...]:
    """A fold for each programme that has cells here.

    Raises:
        UsageError: a cell is of no known programme.
    """
    known = {cell for members in PROGRAMMES.values() for cell in members}
    if lost := set(cells) - known:
        raise UsageError(f"{min(lost)} is of no known programme", hint="Leave one cell out.")
    folds = []
    for name, members in PROGRAMMES.items():
        test = tuple(k for k, cell in enumerate(cells) if cell in members)
        if test:
            train = tuple(k for k in range(len(cells)) if k not in test)
            folds.append(Fold(f"without {name}", train, test))
    return tuple(folds)


def _first(
    target: Float64[np.ndarray, " row"],
    cell: Int64[np.ndarray, " row"],
    charge: Int64[np.ndarray, " row"],
) -> Float64[np.ndarray, " row"]:
    """Each cell's first value on all rows but those of its first charge. [unit of the target]"""
    told = np.full(len(target), np.nan)
    for one in np.unique(cell):
        own = np.flatnonzero(cell == one)
        later = own[charge[own] > charge[own].min()]
        told[later] = target[own[0]]
    return told
