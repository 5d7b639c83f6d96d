"""State of health from the upper half of one charge: fitting, limits, estimate.

Rules
- SOH is what a full discharge at moderate rate and temperature would deliver, over nominal
  capacity (`features.capacity`); the estimate uses one charge and nothing after it.
- Scales are fixed numbers of the size of each feature's spread, so nothing is fitted to data
  before a cell is left out.
- Features, kernel, weights, limits and interval of a fit come from its training cells alone: the
  shape with the smallest error over training cells left out in turn is taken.
- Outside the limits of its training data a fit gives no number.
"""

from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.domain import Explanation, Interval
from cellwarden.errors import UsageError
from cellwarden.features import Charges
from cellwarden.health.conformal import half_width
from cellwarden.health.explain import contributions
from cellwarden.health.kernel import Curve, Kernel, fit, leave_out

__all__ = [
    "CONDITIONS",
    "SCALES",
    "Columns",
    "Fit",
    "Limit",
    "Rows",
    "Shape",
    "columns_of",
    "inputs",
    "train",
]

# Scale of each feature; the time constant is taken as a logarithm, because it multiplies.
SCALES: Final = {
    "window_fraction": 0.1,
    "upper_fraction": 0.1,
    "plateau_fraction": 0.15,
    "taper_fraction": 0.05,
    "taper_hour": 0.4,
}
_LOGARITHMIC: Final = frozenset({"taper_hour"})
# What must lie within training but is no feature; an absent thermometer is no breach.
CONDITIONS: Final = ("rate_per_hour", "top_voltage_volt", "temperature_celsius")
MAY_BE_ABSENT: Final = frozenset({"temperature_celsius"})
_NO_TAPER: Final = "the charge has no taper from 0.4 to 0.1 of nominal"
_NO_PLATEAU: Final = "the charge does not run from below 3.9 V to 4.1 V without a gap"
_UNKNOWN: Final = {
    "window_fraction": "the charge begins above 3.9 V from a cell not known to be empty, stops"
    " before its taper is down to 0.1 of nominal, or has a gap",
    "upper_fraction": "the charge begins above 4.0 V, stops before its taper, or has a gap",
    "plateau_fraction": _NO_PLATEAU,
    "taper_fraction": _NO_TAPER,
    "taper_hour": _NO_TAPER,
    "rate_per_hour": _NO_PLATEAU,
}
_FEATURE_SETS: Final = (
    ("window_fraction", "taper_hour"),
    ("window_fraction", "taper_fraction", "taper_hour"),
    ("window_fraction", "upper_fraction", "taper_fraction", "taper_hour"),
    ("plateau_fraction", "window_fraction", "taper_hour"),
)
_KERNELS: Final = tuple(
    Kernel(curve, length, cell, noise)
    for curve, length, cell, noise in product(
        (0.01, 0.03, 0.1), (1.0, 2.0, 4.0), (1e-5, 1e-3), (1e-4, 1e-3)
    )
)
_ROWS_A_CELL: Final = 30  # evenly over a cell's life; more rows of one cell say little more
_TAIL: Final = 0.005  # of training rows on each side, left out of the limits
# Of the charges of a cell; a cell has as few as 28, and one of them may be a disturbed record.
_NEAR: Final = 0.95
_MARGIN: Final = 0.05  # of the span, added to the limits on each side
# What two good sensors may differ by, added where the span in training is smaller than that.
_SENSOR: Final = {"top_voltage_volt": 0.01, "temperature_celsius": 2.0}

# The numbers of each charge by name.
Columns = dict[str, Float64[np.ndarray, " charge"]]


@dataclass(frozen=True, slots=True)
class Shape:
    """A choice that is made on training cells: features and kernel."""

    features: tuple[str, ...]
    kernel: Kernel


@dataclass(frozen=True, slots=True)
class Limit:
    """The range of one number in training."""

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rows:
    """Charges whose following discharge measured the capacity: what is learnt from and scored on.

    `columns` holds each number of `Charges` by name; `cycle_count` the place of the charge in
    its cell's record, from 1.
    """

    cells: tuple[str, ...]
    cell: Int64[np.ndarray, " row"]
    cycle_count: Int64[np.ndarray, " row"]
    soh_fraction: Float64[np.ndarray, " row"]
    columns: dict[str, Float64[np.ndarray, " row"]]

    def take(self, which: Bool[np.ndarray, " row"] | Int64[np.ndarray, " item"]) -> "Rows":
        """Some of the rows."""
        return Rows(
            self.cells,
            self.cell[which],
            self.cycle_count[which],
            self.soh_fraction[which],
            {name: column[which] for name, column in self.columns.items()},
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted curve with its limits and the half-width of its interval.

    `reach` is how far the charges of a training cell lie from all other training cells, in the
    scaled inputs; a charge farther than that from every training charge is like none of them.
    """

    features: tuple[str, ...]
    curve: Curve
    reference: Float64[np.ndarray, " feature"]
    limits: tuple[Limit, ...]
    reach: float
    half_width: float
    coverage: float
    cell_count: int

    def estimate(self, columns: Columns) -> Float64[np.ndarray, " charge"]:
        """State of health that each charge tells; NaN outside the limits. [1]"""
        within = self.within(columns)
        told = np.full(len(within), np.nan)
        told[within] = self.curve(inputs(columns, self.features)[within])
        return told

    def within(self, columns: Columns) -> Bool[np.ndarray, " charge"]:
        """Whether each charge lies inside the limits of training. [1]"""
        away = _distance(inputs(columns, self.features), self.curve.inputs)
        inside = away <= self.reach  # NaN, a feature that is not known, is not
        for limit in self.limits:
            value = columns[limit.name]
            absent = np.isnan(value) if limit.name in MAY_BE_ABSENT else False
            inside &= ((value >= limit.low) & (value <= limit.high)) | absent
        return np.asarray(inside)

    def breach(self, columns: Columns, at: int) -> str:
        """Why a charge lies outside the limits, in words; empty where it lies inside."""
        for limit in self.limits:
            value = float(columns[limit.name][at])
            if np.isnan(value) and limit.name not in MAY_BE_ABSENT:
                return f"{limit.name} is not known: {_UNKNOWN[limit.name]}"
            if value < limit.low or value > limit.high:
                return (
                    f"{limit.name} {value:.4g} is outside {limit.low:.4g} to {limit.high:.4g},"
                    " the range of the training cells"
                )
        one = {name: columns[name][at : at + 1] for name in self.features}
        away = _distance(inputs(one, self.features), self.curve.inputs)[0]
        if away > self.reach:
            return f"its features together are unlike every training charge ({away:.2f} away)"
        return ""

    def interval(self, soh_fraction: float) -> Interval:
        """Where the true state of health lies. [1]"""
        low = max(soh_fraction - self.half_width, 0.0)
        return Interval(low, max(soh_fraction + self.half_width, low), self.coverage)

    def explain(self, columns: Columns, at: int) -> Explanation:
        """What each feature adds to the estimate of the mean training charge. [1]"""
        one = {name: columns[name][at : at + 1] for name in self.features}
        base, parts = contributions(self.curve, inputs(one, self.features)[0], self.reference)
        values = tuple(float(columns[name][at]) for name in self.features)
        return Explanation(base, self.features, values, parts)


def inputs(columns: Columns, features: tuple[str, ...]) -> Float64[np.ndarray, "charge feature"]:
    """Features on their fixed scales. [1]"""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack(
            [
                (np.log(columns[name]) if name in _LOGARITHMIC else columns[name]) / SCALES[name]
                for name in features
            ],
            axis=1,
        )


def columns_of(charges: Charges) -> Columns:
    """The numbers of each charge that estimates and limits look at, by name. [1, h, 1/h, °C, V]"""
    return {name: getattr(charges, name) for name in (*SCALES, *CONDITIONS)}


def train(rows: Rows, coverage: float) -> Fit:
    """The best shape on these cells, fitted, with limits and interval. [1]

    Raises:
        UsageError: fewer than three cells, so no choice can be checked on a cell left out.
    """
    if len(np.unique(rows.cell)) < 3:  # noqa: PLR2004  one left out, two to fit
        raise UsageError("fewer than three training cells", hint="Give more cells.")
    few = _thin(rows)
    shape, errors = _choose(few)
    scaled = inputs(few.columns, shape.features)
    curve = fit(scaled, few.soh_fraction, few.cell, shape.kernel)
    present = np.unique(few.cell)
    return Fit(
        features=shape.features,
        curve=curve,
        reference=np.mean([scaled[few.cell == one].mean(axis=0) for one in present], axis=0),
        limits=_limits(rows, shape.features),
        reach=_reach(inputs(rows.columns, shape.features), rows.cell, scaled, few.cell),
        half_width=half_width([errors[few.cell == one] for one in present], coverage),
        coverage=coverage,
        cell_count=len(present),
    )


def _reach(
    every: Float64[np.ndarray, "row feature"],
    every_cell: Int64[np.ndarray, " row"],
    kept: Float64[np.ndarray, "item feature"],
    kept_cell: Int64[np.ndarray, " item"],
) -> float:
    """How far the charges of one training cell lie from those kept of the others, at most. [1]"""
    away = [
        np.quantile(_distance(every[every_cell == one], kept[kept_cell != one]), _NEAR)
        for one in np.unique(every_cell)
    ]
    return float(max(away))


def _thin(rows: Rows) -> Rows:
    """At most `_ROWS_A_CELL` rows of each cell, evenly over its life."""
    kept = []
    for one in np.unique(rows.cell):
        own = np.flatnonzero(rows.cell == one)
        count = min(_ROWS_A_CELL, len(own))
        kept.append(own[np.unique(np.linspace(0, len(own) - 1, count).round().astype(np.int64))])
    return rows.take(np.concatenate(kept))


def _choose(rows: Rows) -> tuple[Shape, Float64[np.ndarray, " row"]]:
    """The shape with the smallest mean error of a cell left out, and its errors. [1]"""
    best: tuple[float, Shape, Float64[np.ndarray, " row"]] | None = None
    for features, kernel in product(_FEATURE_SETS, _KERNELS):
        scaled = inputs(rows.columns, features)
        errors = leave_out(scaled, rows.soh_fraction, rows.cell, kernel)
        score = float(
            np.mean([np.sqrt(np.mean(errors[rows.cell == c] ** 2)) for c in np.unique(rows.cell)])
        )
        if best is None or score < best[0]:
            best = (score, Shape(features, kernel), errors)
    assert best is not None  # noqa: S101  the lists of shapes are not empty
    return best[1], best[2]


def _limits(rows: Rows, features: tuple[str, ...]) -> tuple[Limit, ...]:
    found = []
    for name in (*features, *CONDITIONS):
        known = rows.columns[name][np.isfinite(rows.columns[name])]
        if len(known):
            low, high = np.quantile(known, [_TAIL, 1 - _TAIL])
            margin = max(_MARGIN * (high - low), _SENSOR.get(name, 0.0))
            found.append(Limit(name, float(low - margin), float(high + margin)))
    return tuple(found)


def _distance(
    one: Float64[np.ndarray, "item feature"], other: Float64[np.ndarray, "row feature"]
) -> Float64[np.ndarray, " item"]:
    """Distance from each item to the nearest row, in the scaled inputs. [1]"""
    square = ((one[:, None, :] - other[None, :, :]) ** 2).sum(axis=-1)
    return np.asarray(np.sqrt(square.min(axis=1)))
