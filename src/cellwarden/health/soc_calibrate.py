"""How wide the filter's interval must be: measured on records that the circuit has not seen.

Rules
- Each record is entered at random seconds, its charge not told, through sensors as bad as `Sensors`
  says; the draws follow from the seed and nothing else.
- Of a few pairs of constants (how long the model's errors last) the one with the least mean error
  is taken; then the deviation is widened at each temperature until 90 % of the seconds of a record
  lie inside, every record counting the same. The first ten minutes do not count.
- A widening is drawn half way (in its logarithm) to that of all temperatures: a temperature has
  few records.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cellwarden.health import soc_filter
from cellwarden.health.soc_model import CellModel, Record

__all__ = ["SENSORS", "Blind", "Sensors", "calibrate", "spoil", "widening_at_knots"]

# A circuit and records that it was not made from.
Blind = tuple[CellModel, Sequence[Record]]

_SETTLED_SECOND: Final = 600.0
_Z90: Final = 1.6449
_DRIFTS_SECOND: Final = (150.0, 300.0, 600.0)
_CORRELATIONS_SECOND: Final = (100.0, 400.0)
_THIN: Final = 10  # seconds lie so close together that one in ten tells as much


@dataclass(frozen=True, slots=True)
class Sensors:
    """Largest faults of the sensors that the interval must cover."""

    gain_fraction: float = 0.01
    shift_ampere: float = 0.05
    shift_volt: float = 0.005
    draw_count: int = 2
    seed: int = 4


SENSORS: Final = Sensors()


def spoil(record: Record, rng: np.random.Generator, sensors: Sensors = SENSORS) -> Record:
    """The record from a random second of its first six tenths on, through faulty sensors."""
    start = int(rng.uniform(0.0, 0.6) * len(record))
    gain = 1.0 + rng.uniform(-sensors.gain_fraction, sensors.gain_fraction)
    shift = rng.uniform(-sensors.shift_ampere, sensors.shift_ampere)
    volt = rng.uniform(-sensors.shift_volt, sensors.shift_volt)
    return Record(
        record.unix_time_second[start:],
        record.voltage_volt[start:] + volt,
        record.current_ampere[start:] * gain + shift,
        record.temperature_celsius[start:],
        record.soc_fraction[start:],
        record.weight,
    )


def calibrate(
    model: CellModel,
    unseen: Sequence[Blind],
    sensors: Sensors = SENSORS,
) -> CellModel:
    """The model with constants and widening for its filters.

    `unseen` are circuits of the same kind, each with records that it was not made from.
    """
    rng = np.random.default_rng(sensors.seed)
    spoiled = [
        (m, [spoil(r, rng, sensors) for r in records for _ in range(sensors.draw_count)])
        for m, records in unseen
    ]
    best, least = model, np.inf
    for drift in _DRIFTS_SECOND:
        for correlation in _CORRELATIONS_SECOND:
            pairs = [(_lasting(m, drift, correlation), r) for m, r in spoiled]
            error = float(np.mean([e.mean() for e, _, _ in _errors(pairs, "unscented")] or [0.0]))
            if error < least:
                best, least = _lasting(model, drift, correlation), error
    lasting = best.drift_second, best.correlation_second
    pairs = [(_lasting(m, *lasting), r) for m, r in spoiled]
    methods: tuple[soc_filter.Method, ...] = ("extended", "unscented")
    widening = np.stack(
        [widening_at_knots(best, list(_errors(pairs, method))) for method in methods]
    )
    return replace(best, widening=widening)


def _lasting(model: CellModel, drift_second: float, correlation_second: float) -> CellModel:
    return replace(model, drift_second=drift_second, correlation_second=correlation_second)


def _errors(
    pairs: Sequence[tuple[CellModel, Sequence[Record]]], method: soc_filter.Method
) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Of each record: errors, the filter's deviations, mean temperature."""
    for model, records in pairs:
        plain = replace(model, widening=np.ones_like(model.widening))
        for record in records:
            time = record.unix_time_second - record.unix_time_second[0]
            _, told = soc_filter.run(
                plain,
                soc_filter.init(plain, 1),
                record.unix_time_second,
                record.current_ampere,
                record.voltage_volt[:, None],
                record.temperature_celsius[:, None],
                method=method,
            )
            settled = time >= _SETTLED_SECOND
            error = np.abs(told.soc_fraction[settled, 0] - record.soc_fraction[settled])[::_THIN]
            if len(error):
                deviation = told.soc_std_fraction[settled, 0][::_THIN]
                yield error, deviation, float(record.temperature_celsius.mean())


def widening_at_knots(
    model: CellModel, found: Sequence[tuple[np.ndarray, np.ndarray, float]]
) -> np.ndarray:
    """What the deviation must be multiplied by at each knot. [1]"""
    knots = model.knot_celsius
    if not found:
        return np.ones(len(knots))
    ratios = np.concatenate([error / deviation / _Z90 for error, deviation, _ in found])
    weights = np.concatenate([np.full(len(error), 1.0 / len(error)) for error, _, _ in found])
    nearest = [int(np.argmin(np.abs(knots - celsius))) for _, _, celsius in found]
    group = np.repeat(nearest, [len(error) for error, _, _ in found])
    everywhere = _quantile(ratios, weights)
    wide = np.full(len(knots), everywhere)
    for knot in set(nearest):
        here = group == knot
        wide[knot] = np.sqrt(everywhere * _quantile(ratios[here], weights[here]))
    return wide


def _quantile(values: np.ndarray, weights: np.ndarray) -> float:
    """The 0.9 quantile, each value with its weight. [that of the values]"""
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(summed, 0.9 * summed[-1])])
