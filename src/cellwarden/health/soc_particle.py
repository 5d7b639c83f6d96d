"""State of charge where one voltage fits several charges: a particle filter on the same circuit.

Rules
- A particle is a charge with a current bias, logarithms of capacity and of resistance over the
  model's, and the load that the cell had before it was met. What the circuit itself is off by,
  given all that, is a Gauss-Markov process, so each particle keeps its mean as a Kalman filter
  does and no particle is spent on it (Rao-Blackwell).
- An unknown cell begins with particles evenly over all charge: two stretches of charge that fit
  equally well both stay, until use tells them apart. `stretches` gives them.
- Readings that err alike for minutes count as one, as in `soc_filter`; one reading far off cannot
  kill a particle.
- Once half of the particles carry the weight they are drawn again. Chance comes from a counter in
  the state that begins at `seed`: resumed is the same as uninterrupted.
- The middle 90 % is widened by what it takes to hold on records that the circuit has not seen.

Use it for flat curves (LFP); it takes fifty times the time of `soc_filter`.

Source: N. J. Gordon, D. J. Salmond, A. F. M. Smith, IEE Proc. F 140 (1993) 107,
doi 10.1049/ip-f-2.1993.0015; A. Doucet, N. de Freitas, K. Murphy, S. Russell, "Rao-Blackwellised
particle filtering for dynamic Bayesian networks", UAI 2000, arXiv 1301.3853.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Float64, UInt64

from cellwarden.errors import DataError, UsageError
from cellwarden.health.soc_calibrate import SENSORS, Blind, Sensors, spoil, widening_at_knots
from cellwarden.health.soc_filter import TUNING, Tuning
from cellwarden.health.soc_model import CellModel, Record

__all__ = ["Believed", "Cloud", "Filter", "calibrated", "init", "run", "stretches"]

# Rows of a particle.
SOC, BIAS, LOG_CAPACITY, LOG_OHM, LOAD, DRIFT, WEIGHT = range(7)
# What the particles of a cell have in common; of the load before, what is left in two lags.
FAST, MIDDLE, SLOW, TURN, CELSIUS, SEEN, DRIFT_VARIANCE, MIDDLE_LEFT, SLOW_LEFT = range(9)
_JITTER: Final = (0.002, 0.1)  # of the charge; of what does not change, in its first deviation
_SETTLED_SECOND: Final = 600.0
_THIN: Final = 10
_Z90: Final = 1.6449
_FEWEST: Final = 50


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """The circuit, how many particles a cell has, and how much wider than theirs the band is."""

    model: CellModel
    widening: Float64[np.ndarray, " celsius"]
    particle_count: int = 500
    seed: int = 0
    tuning: Tuning = TUNING

    def __post_init__(self) -> None:
        if self.particle_count < _FEWEST:
            raise UsageError(
                f"{self.particle_count} particles are too few", hint=f"Take {_FEWEST} or more."
            )
        if self.widening.shape != self.model.knot_celsius.shape:
            raise UsageError("a widening for each temperature", hint="Use calibrated().")


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Belief about each cell, and when it was formed."""

    particles: Float64[np.ndarray, "cell 7 particle"]
    shared: Float64[np.ndarray, "cell 9"]
    counter: UInt64[np.ndarray, "cell 1"]
    start: Float64[np.ndarray, "cell 2"]
    clock: Float64[np.ndarray, "2"]


@dataclass(frozen=True, slots=True, eq=False)
class Believed:
    """What the particles say after each row; the truth lies in low..high nine times in ten."""

    soc_fraction: Float64[np.ndarray, "time cell"]
    soc_std_fraction: Float64[np.ndarray, "time cell"]
    low_fraction: Float64[np.ndarray, "time cell"]
    high_fraction: Float64[np.ndarray, "time cell"]
    innovation_volt: Float64[np.ndarray, "time cell"]
    innovation_std_volt: Float64[np.ndarray, "time cell"]


def init(
    of: Filter,
    cell_count: int,
    soc_fraction: float | Float[np.ndarray, " cell"] | None = None,
    *,
    soc_std_fraction: float = 0.05,
    rested: bool = False,
) -> Cloud:
    """Belief before the first row; without `soc_fraction` every charge is as likely.

    Raises:
        UsageError: a charge outside 0..1.
    """
    start = np.full((cell_count, 2), np.nan)
    if soc_fraction is not None:
        start[:, 0], start[:, 1] = soc_fraction, soc_std_fraction
        if not np.all((start[:, 0] >= 0.0) & (start[:, 0] <= 1.0)):
            raise UsageError("no cell can start so", hint="Give soc between 0 and 1.")
    shared = np.zeros((cell_count, 9))
    load = 0.0 if rested else of.model.load_ampere
    shared[:, MIDDLE] = shared[:, SLOW] = load
    shared[:, TURN] = 0.7 * np.sign(load)
    shared[:, CELSIUS] = 25.0
    shared[:, MIDDLE_LEFT] = shared[:, SLOW_LEFT] = 0.0 if rested else 1.0
    counter = np.uint64(of.seed) + np.arange(cell_count, dtype=np.uint64)[:, None]
    return Cloud(
        np.zeros((cell_count, 7, of.particle_count)),
        shared,
        counter * np.uint64(0xD1B54A32D192ED03),  # far from each other
        start,
        np.array([np.nan, 0.0]),
    )


def run(  # noqa: PLR0917  the columns of one row, in their usual order
    of: Filter,
    cloud: Cloud,
    unix_time_second: Float[np.ndarray, " time"],
    current_ampere: Float[np.ndarray, "time cell"] | Float[np.ndarray, " time"],
    voltage_volt: Float[np.ndarray, "time cell"],
    temperature_celsius: Float[np.ndarray, "time cell"],
) -> tuple[Cloud, Believed]:
    """The belief after many rows, and what it was after each; compiled.

    Raises:
        DataError: a column has another number of cells or rows.
    """
    from cellwarden.health import soc_particle_kernel  # noqa: PLC0415  numba takes half a second

    expected = (len(unix_time_second), len(cloud.shared))
    current = np.asarray(current_ampere, dtype=np.float64)
    current = current[:, None] if current.ndim == 1 else current
    wide = (expected, (expected[0], 1))
    if (
        voltage_volt.shape != expected
        or temperature_celsius.shape != expected
        or current.shape not in wide
    ):
        raise DataError(f"columns are not {expected}", hint="Give a row a time, a column a cell.")
    model, tuning = of.model, of.tuning
    stds = np.array(
        [
            tuning.bias_rate_std * model.capacity_ah,
            tuning.capacity_std,
            tuning.ohm_std,
            model.load_std_ampere,
        ]
    )
    columns = (
        np.asarray(unix_time_second, dtype=np.float64),
        current,
        np.asarray(voltage_volt, dtype=np.float64),
        np.asarray(temperature_celsius, dtype=np.float64),
    )
    held, out = soc_particle_kernel.run(
        model,
        (cloud.particles, cloud.shared, cloud.counter, cloud.clock),
        columns,
        (of.widening, stds, np.array(_JITTER), cloud.start),
        tuning,
    )
    particles, shared, counter, clock = held
    return Cloud(particles, shared, counter, cloud.start, clock), Believed(*out)


def stretches(cloud: Cloud, cell: int, share: float = 0.9) -> tuple[tuple[float, float], ...]:
    """The stretches of charge that together hold this share of the belief, most likely parts. [1]

    More than one says that the voltage so far fits charges which lie apart.
    """
    bins = 50
    soc, weight = cloud.particles[cell, SOC], cloud.particles[cell, WEIGHT]
    held = np.bincount(np.minimum((soc * bins).astype(np.int64), bins - 1), weight, bins)
    order = np.argsort(-held, kind="stable")
    count = int(np.searchsorted(np.cumsum(held[order]), share * held.sum())) + 1
    taken = np.zeros(bins + 2, dtype=np.int64)
    taken[1 + order[:count]] = 1
    turns = np.diff(taken)
    ends = zip(np.flatnonzero(turns == 1), np.flatnonzero(turns == -1), strict=True)
    return tuple((float(low) / bins, float(high) / bins) for low, high in ends)


def calibrated(
    model: CellModel,
    unseen: Sequence[Blind],
    sensors: Sensors = SENSORS,
    *,
    particle_count: int = 500,
    seed: int = 0,
) -> Filter:
    """A filter whose band holds nine times in ten on records that their circuits have not seen.

    `unseen` are circuits of the same kind, each with records that it was not made from; records
    are entered late and read through sensors as bad as `sensors` says.
    """
    rng = np.random.default_rng(sensors.seed)
    found = []
    for other, records in unseen:
        plain = Filter(other, np.ones(len(other.knot_celsius)), particle_count, seed)
        for record in records:
            for _ in range(sensors.draw_count):
                found += _errors(plain, spoil(record, rng, sensors))
    widening = widening_at_knots(model, found)
    return Filter(model, widening, particle_count, seed)


def _errors(of: Filter, record: Record) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Errors, how far the band reaches on that side over 1.645, mean temperature; or nothing."""
    time = record.unix_time_second - record.unix_time_second[0]
    columns = (record.voltage_volt[:, None], record.temperature_celsius[:, None])
    _, told = run(of, init(of, 1), record.unix_time_second, record.current_ampere, *columns)
    settled = time >= _SETTLED_SECOND
    away = (record.soc_fraction - told.soc_fraction[:, 0])[settled][::_THIN]
    up = (told.high_fraction - told.soc_fraction)[settled, 0][::_THIN]
    down = (told.soc_fraction - told.low_fraction)[settled, 0][::_THIN]
    if not len(away):
        return []
    reach = np.maximum(np.where(away > 0.0, up, down), 1e-4)
    return [(np.abs(away), reach / _Z90, float(record.temperature_celsius.mean()))]
