"""Made-up rows to learn from beside the measured ones: bent rows of real cells, cells of the twin.

Rules
- Only training rows go in. A made-up row has the number of the cell it was made from, so leaving
  that cell out of tuning leaves it out too.
- Everything follows from the seed, and the measured rows are left as they are.
- `twin_rows` simulates cells by `cellwarden.physics` and reads their charges by the same code as
  real records (`training.observe`): nothing is told to the learner that a charge does not show.

Whether it helps is measured, not assumed: see docs/transfer.md.

Source: H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018 (here between rows
of one cell alone).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Series
from cellwarden.health.domains import Domain, relative
from cellwarden.health.soh import SCALES, Rows, inputs
from cellwarden.health.task import Sample
from cellwarden.health.training import observe
from cellwarden.physics import twin
from cellwarden.physics.config import TwinConfig

__all__ = ["AUGMENTATIONS", "Augmentation", "domain_of", "joined", "twin_rows"]

_NEIGHBOURS: Final = 5  # rows of a cell on each side
_OFFSET: Final = 0.3  # of the spread between cells
_WARP: Final = 0.3  # spread of the logarithm of the exponent
_HOUR: Final = 3600.0
_PERIOD_SECOND: Final = 20.0
_AGEING_FACTOR: Final = 10.0  # some eighty cycles from new to seven tenths


@dataclass(frozen=True, slots=True)
class Augmentation:
    """A way to make rows of the rows of a sample, as many as it has."""

    name: str
    when: str
    make: Callable[[Sample, np.random.Generator], Sample]


def joined(one: Sample, other: Sample) -> Sample:
    """Rows of both, cell numbers as they are."""
    return replace(
        one,
        features=np.concatenate([one.features, other.features]),
        target=np.concatenate([one.target, other.target]),
        cell=np.concatenate([one.cell, other.cell]),
    )


def _noisy(sample: Sample, rng: np.random.Generator) -> Sample:
    """Each feature moved by as much as it jumps from one cycle to the next."""
    size = np.zeros(len(sample.columns))
    jumps = [
        np.abs(own[1:-1] - (own[2:] + own[:-2]) / 2)
        for own in (sample.features[sample.cell == one] for one in np.unique(sample.cell))
        if len(own) > 2  # noqa: PLR2004  a row between two
    ]
    if jumps:
        every = np.concatenate(jumps)
        known = np.isfinite(every).any(axis=0)
        # Of normal noise the median of |x - (y + z)/2| is 0.6745·√1.5 standard deviations.
        size[known] = np.nanmedian(every[:, known], axis=0) / (0.6745 * np.sqrt(1.5))
    moved = sample.features + size * rng.normal(size=sample.features.shape)
    return replace(sample, features=moved)


def _mixed(sample: Sample, rng: np.random.Generator) -> Sample:
    """Each row and one of its cell's neighbours in time, mixed by a random weight."""
    other = np.arange(len(sample.cell))
    for one in np.unique(sample.cell):
        own = np.flatnonzero(sample.cell == one)
        step = rng.integers(-_NEIGHBOURS, _NEIGHBOURS + 1, len(own))
        other[own] = own[np.clip(np.arange(len(own)) + step, 0, len(own) - 1)]
    weight = rng.beta(0.4, 0.4, len(sample.cell))
    mixed = weight[:, None] * sample.features + (1 - weight[:, None]) * sample.features[other]
    target = weight * sample.target + (1 - weight) * sample.target[other]
    return replace(sample, features=mixed, target=target)


def _offset(sample: Sample, rng: np.random.Generator) -> Sample:
    """Each cell as another of its kind: its features moved, those of a logarithm thus scaled."""
    names, place = np.unique(sample.cell, return_inverse=True)
    means = np.array([_mean(sample.features[place == k]) for k in range(len(names))])
    away = means - _mean(means)
    spread = np.sqrt(_mean(away**2)) * np.sqrt(len(names) / max(len(names) - 1, 1))
    moved = _OFFSET * np.where(np.isfinite(spread), spread, 0.0)
    return replace(sample, features=sample.features + moved * rng.normal(size=means.shape)[place])


def _warped(sample: Sample, rng: np.random.Generator) -> Sample:
    """Each cell's way through its life run at another pace: what it was at u comes at u to a power.

    A count of cycles stays that of the place, so the cell has aged faster or slower.
    """
    features, target = sample.features.copy(), sample.target.copy()
    counted = [k for k, name in enumerate(sample.columns) if name == "cycle_count"]
    for one in np.unique(sample.cell):
        own = np.flatnonzero(sample.cell == one)
        at = np.linspace(0.0, 1.0, len(own)) ** np.exp(_WARP * rng.normal()) * (len(own) - 1)
        low = np.minimum(at.astype(np.int64), max(len(own) - 2, 0))
        high = np.minimum(low + 1, len(own) - 1)
        part = at - low
        for source, made in ((sample.features, features), (sample.target, target)):
            first, then = source[own[low]], source[own[high]]
            weight = part if source.ndim == 1 else part[:, None]
            made[own] = first + weight * (then - first)
    features[:, counted] = sample.features[:, counted]
    return replace(sample, features=features, target=target)


def _mean(values: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, " column"]:
    """Column means of what is known; NaN where nothing is. [1]"""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


AUGMENTATIONS: Final = (
    Augmentation("noise", "features jump from cycle to cycle", _noisy),
    Augmentation("mixup", "few rows a cell", _mixed),
    Augmentation("offset", "few cells that differ in size or resistance", _offset),
    Augmentation("time warp", "cells that age at different pace", _warped),
)


def twin_rows(
    chemistry: str,
    nominal_capacity_ah: float,
    rates: Sequence[tuple[float, float]],
    seed: int,
    *,
    cycle_count: int = 40,
) -> Rows:
    """Charges of simulated cells as they age, one cell for each pair of rates. [1]

    `rates` are charge and discharge current over nominal capacity, 1/h. Cells differ in size (3 %)
    and in resistance (30 %), by the seed.
    """
    return observe(
        [
            _simulated(chemistry, nominal_capacity_ah, pair, seed * 1000 + k, cycle_count)
            for k, pair in enumerate(rates)
        ]
    )


def _simulated(
    chemistry: str, nominal_ah: float, rates: tuple[float, float], seed: int, cycle_count: int
) -> Series:
    charge, discharge = rates
    cycle_hour = 1.25 / charge + 1.0 / discharge + 1.0  # the taper and two rests included
    config = TwinConfig(
        f"twin-{seed}",
        chemistry,
        nominal_capacity_ah=nominal_ah,
        period_second=_PERIOD_SECOND,
        duration_second=cycle_count * cycle_hour * _HOUR,
        seed=seed,
        charge_rate=charge,
        discharge_rate=discharge,
        rest_second=_HOUR / 4,
        ageing_factor=_AGEING_FACTOR,
        capacity_spread_fraction=0.03,
        resistance_spread_fraction=0.3,
    )
    _, frames = twin.step(config, twin.start(config), config.frame_count)
    return Series(
        name=config.name,
        test_time_second=frames.unix_time_second - config.start_unix_time_second,
        voltage_volt=frames.cell_voltage_volt[:, 0].astype(np.float64),
        current_ampere=frames.current_ampere.astype(np.float64),
        surface_temperature_celsius=frames.cell_temperature_celsius[:, 0].astype(np.float64),
        nominal_capacity_ah=nominal_ah,
        chemistry=chemistry,
    )


def domain_of(name: str, rows: Rows) -> Domain:
    """Rows of charges, measured or simulated, as a laboratory that transfer learns from or for."""
    columns = tuple(SCALES)
    features = inputs(rows.columns, columns)
    _, first = relative(features, rows.cell)
    return Domain(
        name=name,
        sample=Sample(columns, features[~first], rows.soh_fraction[~first], rows.cell[~first]),
        cells=rows.cells,
        early=features[first],
        early_cell=rows.cell[first],
        choices={"charge": columns},
    )
