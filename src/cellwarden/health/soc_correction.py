"""What the filter gets wrong again and again, learned: a ridge regression on top of it.

Rules
- Inputs are what the filter knows at that moment and what it has known: charge, temperature,
  resistance, its own error, and running means of innovation, voltage and current; never the future.
- It learns from records that the circuit under it has not seen, through faulty sensors, and its
  strength and interval are chosen on records that it has not seen either (the same parts again).
  Where it does not help there it is given no weight, and the filter's answer stands.
- A correction never exceeds the filter's own 90 % interval, and 0 and 1 are never left.
- The state is the running means: resumed is the same as uninterrupted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Float64

from cellwarden.health import soc_filter
from cellwarden.health.soc_calibrate import SENSORS, Blind, Sensors, spoil, widening_at_knots
from cellwarden.health.soc_filter import Estimates
from cellwarden.health.soc_model import CellModel, at_knots

__all__ = ["Correction", "correct", "learn"]

_MEAN_SECOND: Final = (60.0, 500.0, 500.0, 500.0)  # innovation twice, voltage, current
_PENALTIES: Final = (30.0, 300.0, 3000.0)
_SETTLED_SECOND: Final = 600.0
_THIN: Final = 30
_Z90: Final = 1.6449
_SHARES: Final = (1.0, 0.5, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """A linear map from the inputs to the filter's error, and the interval that goes with it."""

    centre: Float64[np.ndarray, " input"]
    scale: Float64[np.ndarray, " input"]
    weight: Float64[np.ndarray, " input"]  # the first is the constant
    widening: Float64[np.ndarray, " celsius"]


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    inputs: np.ndarray
    error: np.ndarray
    deviation: np.ndarray
    celsius: float
    part: int


def correct(  # noqa: PLR0917  the columns in their usual order
    correction: Correction,
    model: CellModel,
    estimates: Estimates,
    unix_time_second: Float[np.ndarray, " time"],
    current_ampere: Float[np.ndarray, "time cell"],
    voltage_volt: Float[np.ndarray, "time cell"],
    temperature_celsius: Float[np.ndarray, "time cell"],
    held: Float64[np.ndarray, "5 cell"] | None = None,
) -> tuple[Float64[np.ndarray, "time cell"], Float64[np.ndarray, "time cell"], np.ndarray]:
    """Charge and deviation with what was learned, and what to give back as `held` to go on. [1]"""
    columns = (current_ampere, voltage_volt, temperature_celsius)
    inputs, held = _inputs(model, estimates, unix_time_second, columns, held)
    move = _move(correction, inputs, estimates.soc_std_fraction)
    soc = np.clip(estimates.soc_fraction + move, 0.0, 1.0)
    wide = at_knots(model, correction.widening, np.nan_to_num(temperature_celsius, nan=25.0))
    return soc, estimates.soc_std_fraction * wide, held


def learn(model: CellModel, unseen: Sequence[Blind], sensors: Sensors = SENSORS) -> Correction:
    """The correction for the filter on `model`, from circuits and records they have not seen."""
    samples = _samples(unseen, sensors)
    everything = np.concatenate([s.inputs for s in samples])
    centre, scale = everything.mean(axis=0), np.maximum(everything.std(axis=0), 1e-9)
    best: tuple[float, float, float] = (np.inf, 0.0, _PENALTIES[0])
    for penalty in _PENALTIES:
        blind = {
            part: _ridge([s for s in samples if s.part != part], centre, scale, penalty)
            for part in {s.part for s in samples}
        }
        for share in _SHARES:
            error = np.mean(
                [np.abs(_left(s, blind[s.part], centre, scale, share)).mean() for s in samples]
            )
            best = min(best, (float(error), share, penalty))
    _, share, penalty = best
    blind = {
        part: _ridge([s for s in samples if s.part != part], centre, scale, penalty)
        for part in {s.part for s in samples}
    }
    left = [
        (np.abs(_left(s, blind[s.part], centre, scale, share)), s.deviation, s.celsius)
        for s in samples
    ]
    weight = share * _ridge(samples, centre, scale, penalty)
    return Correction(centre, scale, weight, widening_at_knots(model, left))


def _samples(unseen: Sequence[Blind], sensors: Sensors) -> list[_Sample]:
    rng = np.random.default_rng(sensors.seed + 1)
    found = []
    for part, (model, records) in enumerate(unseen):
        for record in [r for r in records for _ in range(sensors.draw_count)]:
            met = spoil(record, rng, sensors)
            time = met.unix_time_second
            columns = (
                met.current_ampere[:, None],
                met.voltage_volt[:, None],
                met.temperature_celsius[:, None],
            )
            _, told = soc_filter.run(model, soc_filter.init(model, 1), time, *columns)
            inputs, _ = _inputs(model, told, time, columns, None)
            keep = np.flatnonzero(time - time[0] >= _SETTLED_SECOND)[::_THIN]
            if len(keep):
                error = (met.soc_fraction - told.soc_fraction[:, 0])[keep]
                deviation = told.soc_std_fraction[keep, 0]
                warm = float(met.temperature_celsius.mean())
                found.append(_Sample(inputs[keep, 0], error, deviation, warm, part))
    return found


def _inputs(
    model: CellModel,
    told: Estimates,
    time: np.ndarray,
    columns: tuple[np.ndarray, np.ndarray, np.ndarray],
    held: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Time, cell, input; and the running means with the time they are of."""
    current, volts, celsius = columns
    raw = np.stack([told.innovation_volt, told.innovation_volt, volts, current / model.capacity_ah])
    means, held = _running(raw, time, held)
    warm = (np.nan_to_num(celsius, nan=25.0) - 10.0) / 20.0
    soc, ohm = told.soc_fraction - 0.5, np.log(told.resistance_ratio)
    plain = [soc, told.drift_volt, ohm, *means]
    squares = [soc * soc, soc * ohm, soc * told.drift_volt, warm * warm]
    parts = [np.ones_like(soc), warm, *plain, *(warm * x for x in plain), *squares]
    return np.stack(parts, axis=-1), held


def _running(
    raw: np.ndarray, time: np.ndarray, held: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Exponential means; a missing value leaves them as they are."""
    out = np.empty_like(raw)
    mean = np.nan_to_num(raw[:, 0]) if held is None else held[:4].copy()
    last = time[0] if held is None else held[4, 0]
    for row, now in enumerate(time):
        part = np.exp(-max(now - last, 0.0) / np.array(_MEAN_SECOND))[:, None]
        here = np.where(np.isfinite(raw[:, row]), raw[:, row], mean)
        mean = part * mean + (1.0 - part) * here
        out[:, row], last = mean, now
    return out, np.vstack([mean, np.full((1, mean.shape[1]), last)])


def _ridge(
    samples: Sequence[_Sample], centre: np.ndarray, scale: np.ndarray, penalty: float
) -> np.ndarray:
    """Every record counts the same."""
    size = len(centre)
    normal, right = penalty / 100.0 * np.eye(size), np.zeros(size)
    for sample in samples:
        x = _scaled(sample.inputs, centre, scale)
        normal += x.T @ x / len(x)
        right += x.T @ sample.error / len(x)
    weight: np.ndarray = np.linalg.solve(normal, right)
    return weight


def _scaled(inputs: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    x: np.ndarray = np.clip((inputs - centre) / scale, -4.0, 4.0)
    x[..., 0] = 1.0
    return x


def _move(correction: Correction, inputs: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    x = _scaled(inputs, correction.centre, correction.scale)
    bound = _Z90 * deviation
    move: np.ndarray = np.clip(x @ correction.weight, -bound, bound)
    return move


def _left(
    sample: _Sample, weight: np.ndarray, centre: np.ndarray, scale: np.ndarray, share: float
) -> np.ndarray:
    blank = Correction(centre, scale, share * weight, np.ones(1))
    left: np.ndarray = sample.error - _move(blank, sample.inputs, sample.deviation)
    return left
