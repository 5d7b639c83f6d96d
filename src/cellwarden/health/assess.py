"""From the record of a cell to a verdict.

Rules
- The estimate at cycle n looks at the charge of cycle n and at nothing after it.
- Health comes from the last charge that lies inside the limits, and not from one older than
  `FRESH_COUNT` charges: an old number is not the present health.
- A record recognised as that of a training cell is told by the fit that never saw the cell.
- What cannot be told says why.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Health, Life, NotServed, Series
from cellwarden.domain.chemistry import CHEMISTRIES
from cellwarden.features import Charges, Runs, Samples, capacities, charges, cut, samples
from cellwarden.health.life import END_OF_LIFE_FRACTION
from cellwarden.health.marks import recognise
from cellwarden.health.model import FULL, Model
from cellwarden.health.soh import Columns, Fit, columns_of
from cellwarden.health.verdict import Fade, Forecast, Used, Verdict

__all__ = ["FRESH_COUNT", "assess"]

FRESH_COUNT: Final = 10
_FORECAST_COUNT: Final = 50  # points of a forecast
_BELOW_TOP_VOLT: Final = 0.05  # a charge that came this close to the top voltage was full


@dataclass(frozen=True, slots=True)
class _Record:
    """A record cut into runs, with the numbers of each charge."""

    taken: Samples
    runs: Runs
    charges: Charges
    columns: Columns


def assess(series: Series, model: Model, *, nominal_capacity_ah: float | None = None) -> Verdict:
    """Health and life of a cell, with the fade so far.

    `nominal_capacity_ah` stands in where the record does not carry it.

    Raises:
        UsageError: the nominal capacity is not a positive number.
    """
    nominal = series.nominal_capacity_ah if nominal_capacity_ah is None else nominal_capacity_ah
    if nominal is None:
        return _without_nominal(series, model)
    taken = samples(series, nominal)
    runs = cut(taken)
    seen = charges(taken, runs)
    record = _Record(taken, runs, seen, columns_of(seen))
    fold = recognise(taken, runs, model.marks) or FULL
    fit = model.fit(fold)
    refusal = _outside(series, model, fit, nominal)
    told = np.full(len(seen), np.nan) if refusal else fit.estimate(record.columns)
    fade = _fade(record, told, fit, _measured(series, model, record))
    health, used = _health(record, told, fit, refusal)
    life, forecast = _life(model, fade, health)
    return Verdict(
        name=series.name,
        nominal_capacity_ah=nominal,
        health=health,
        life=life,
        fade=fade,
        forecast=forecast,
        model_name=model.name,
        model_digest=model.digest,
        fold=fold,
        used=used,
    )


def _without_nominal(series: Series, model: Model) -> Verdict:
    """The verdict on a record whose nominal capacity nobody stated."""
    reason = NotServed("the nominal capacity is not known; give it from the data sheet")
    none = np.empty(0)
    return Verdict(
        name=series.name,
        nominal_capacity_ah=None,
        health=reason,
        life=reason,
        fade=Fade(np.empty(0, dtype=np.int64), none, none, none, none, none),
        forecast=None,
        model_name=model.name,
        model_digest=model.digest,
        fold=FULL,
        used=None,
    )


def _outside(series: Series, model: Model, fit: Fit, nominal: float) -> str:
    """Why the model does not speak of such a cell at all; empty where it does."""
    if not np.isfinite(fit.half_width):
        return f"{fit.cell_count} training cells are too few for {fit.coverage:.0%} coverage"
    if series.chemistry is not None and series.chemistry not in model.chemistries:
        known = ", ".join(model.chemistries) or "none stated"
        return f"chemistry {series.chemistry} is outside that of the training cells ({known})"
    if not model.nominal.low <= nominal <= model.nominal.high:
        return (
            f"nominal capacity {nominal:.4g} Ah is outside {model.nominal.low:.4g} to"
            f" {model.nominal.high:.4g} Ah, the range of the training cells"
        )
    return ""


def _measured(series: Series, model: Model, record: _Record) -> Float64[np.ndarray, " run"]:
    """Capacity by each full discharge at moderate rate and temperature, else NaN. [Ah]"""
    chemistry = CHEMISTRIES.get(series.chemistry or "")
    if chemistry is None or chemistry.name in model.chemistries:
        found = capacities(record.taken, record.runs)  # the very definition that the model learnt
    else:
        found = capacities(
            record.taken,
            record.runs,
            empty_voltage_volt=chemistry.low_voltage_volt,
            full_voltage_volt=chemistry.high_voltage_volt - _BELOW_TOP_VOLT,
        )
    return np.where(found.reference, found.capacity_ah, np.nan)


def _fade(
    record: _Record,
    told: Float64[np.ndarray, " charge"],
    fit: Fit,
    measured: Float64[np.ndarray, " run"],
) -> Fade:
    """What each charge told, and what the discharge after it measured. [1, s, Ah]"""
    run = record.charges.run
    after = np.append(measured, np.nan)[np.minimum(run + 1, len(measured))]
    return Fade(
        cycle_count=np.arange(1, len(run) + 1),
        time_second=record.taken.time_second[record.runs.stop[run] - 1],
        measured_capacity_ah=after,
        soh_fraction=told,
        low=np.maximum(told - fit.half_width, 0.0),
        high=told + fit.half_width,
    )


def _health(
    record: _Record, told: Float64[np.ndarray, " charge"], fit: Fit, refusal: str
) -> tuple[Health | NotServed, Used | None]:
    """Health from the last charge that tells it, with the rows that it came from."""
    count = len(told)
    if refusal:
        return NotServed(refusal), None
    if count == 0:
        return NotServed("the record holds no charge of at least 2 % of nominal"), None
    recent = np.arange(max(count - FRESH_COUNT, 0), count)
    usable = recent[np.isfinite(told[recent])]
    if len(usable) == 0:
        reason = fit.breach(record.columns, count - 1)
        of = f"the last {len(recent)} charges" if len(recent) > 1 else "the only charge"
        return NotServed(f"none of {of} can be read; the latest because {reason}"), None
    at = int(usable[-1])
    soh = float(told[at])
    run = record.charges.run[at]
    first, last = int(record.runs.start[run]), int(record.runs.stop[run]) - 1
    time = record.taken.time_second
    health = Health(soh, fit.interval(soh), at + 1, fit.explain(record.columns, at))
    return health, Used(at + 1, float(time[first]), float(time[last]))


def _life(
    model: Model, fade: Fade, health: Health | NotServed
) -> tuple[Life | NotServed, Forecast | None]:
    """Life and the line that leads there; where either cannot be told, why."""
    end = END_OF_LIFE_FRACTION
    if isinstance(model.life, NotServed):
        return model.life, None
    if isinstance(health, NotServed):
        return NotServed(f"no health to tell it from: {health.reason}"), None
    if health.soh_fraction < end:
        return NotServed(f"health is already below {end:.0%} of nominal"), None
    life = model.life(fade.cycle_count, fade.soh_fraction)
    return life, None if isinstance(life, NotServed) else _forecast(life, health)


def _forecast(life: Life, health: Health) -> Forecast:
    """Straight lines from the present health to the end of life, and to both its bounds."""
    ahead = np.linspace(0, np.ceil(life.interval.high), _FORECAST_COUNT).round().astype(np.int64)
    fall = health.soh_fraction - life.end_of_life_fraction

    def line(cycles: float) -> Float64[np.ndarray, " cycle"]:
        left = health.soh_fraction - fall * ahead / max(cycles, 1.0)
        return np.asarray(np.maximum(left, 0.0))

    return Forecast(
        cycle_count=health.cycle_count + ahead,
        soh_fraction=line(life.life_cycle_count),
        low=line(life.interval.low),
        high=line(life.interval.high),
    )
