"""The served model of health on testers' records that it has not seen.

Rules
- A training record is known again by its charges (`health.marks`) and not scored.
- Rows are charges whose following discharge measured the capacity; the model is told the charge,
  and one outside its limits gives no number: it counts in `outside`, not in the errors.
- Beside the model stands each cell's first capacity, on the same rows.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cellwarden.domain import Series
from cellwarden.errors import DataError, UsageError
from cellwarden.features import cut, samples
from cellwarden.health import Model
from cellwarden.health.found import Found
from cellwarden.health.marks import recognise
from cellwarden.health.own_table import first_of_each
from cellwarden.health.scoring import Answer, carried, score
from cellwarden.health.soh import SCALES
from cellwarden.health.task import Fold, Task
from cellwarden.health.training import observe
from cellwarden.registry.trial import CellRow, Trial

__all__ = ["try_served"]


def try_served(model: Model, records: Sequence[Series]) -> Trial:
    """The served model on the records that it was not made from. [1]

    Raises:
        UsageError: every record was learnt from, or one does not carry its nominal capacity.
        DataError: no record holds enough full discharges, or no charge lies in the limits.
    """
    again = {one.name: _recognised(model, one) for one in records}
    fresh = [one for one in records if again[one.name] is None]
    if not fresh:
        raise UsageError(
            f"{model.name} learnt from every one of these {len(records)} records",
            hint="Score cells that it has not seen.",
        )
    rows = observe(fresh)
    within = model.full.within(rows.columns)
    if not within.any():
        raise DataError(
            f"no charge lies in the limits of {model.name}", hint="See its card for the limits."
        )
    told = model.full.estimate(rows.columns)
    served = np.flatnonzero(within)
    first = first_of_each(rows.soh_fraction, rows.cell, rows.cycle_count.astype(np.float64))
    task = Task(
        name="soh.records",
        unit="1",
        target_name="capacity over nominal",
        protocol="",
        columns=tuple(SCALES),
        features=np.column_stack([rows.columns[name][served] for name in SCALES]),
        target=rows.soh_fraction[served],
        cell=rows.cell[served],
        cells=rows.cells,
        folds=(Fold("all", (), tuple(range(len(rows.cells)))),),
        carried={"first capacity": first[served]},
    )
    width, none = model.full.half_width, np.full(len(served), np.nan)
    mean = told[served]
    answer = Answer(np.arange(len(served)), mean, mean - width, mean + width, none, none)
    coverage = model.full.coverage
    own = score(task, model.name, answer, coverage)
    known = tuple((name, seen) for name, seen in again.items() if seen is not None)
    short = [one.name for one in fresh if one.name not in rows.cells]
    words = [f"The interval is one of {coverage:.0%}."]
    if known:
        words.append(f"{len(known)} records were learnt from and are not scored.")
    if short:
        words.append(f"Too few full discharges near room temperature: {', '.join(short)}.")
    return Trial(
        found=Found(replace(task, folds=()), "soh", "records", "", {}, ()),
        answer=answer,
        rows=(own, *(score(task, name, carried(task, name)) for name in task.carried)),
        cells=tuple(
            _cell(task, answer, k, float(1 - within[rows.cell == k].mean()))
            for k in range(len(rows.cells))
        ),
        known=known,
        warnings=tuple(words),
    )


def _recognised(model: Model, series: Series) -> str | None:
    if series.nominal_capacity_ah is None:
        raise UsageError(f"{series.name}: nominal capacity not known", hint="Name it: --nominal.")
    taken = samples(series, series.nominal_capacity_ah)
    return recognise(taken, cut(taken), model.marks)


def _cell(task: Task, answer: Answer, cell: int, outside: float) -> CellRow:
    own = task.cell == cell
    truth, none = task.target[own], float("nan")
    if not len(truth):
        return CellRow(task.cells[cell], none, none, none, none, outside, 0)
    away = np.abs(answer.mean[own] - truth)
    inside = (answer.low[own] <= truth) & (truth <= answer.high[own])
    return CellRow(
        cell=task.cells[cell],
        rmse=float(np.sqrt(np.mean(away**2))),
        mae=float(away.mean()),
        mape=float(np.mean(away / truth)),
        coverage=float(inside.mean()),
        outside=outside,
        row_count=len(truth),
    )
