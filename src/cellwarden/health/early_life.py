"""Features of the first hundred cycles that one odd curve cannot move, for a cell's life.

Rules
- Curves that no cell gives are left out. ΔQ(V) is twice the median curve of cycles 55 to 100 minus
  that of 10 to 54, about what the paper takes from cycles 10 and 100 alone: it uses every discharge
  and no single one moves it.
- Skewness enters as it is: its logarithm has a pole where the curve is even, which it often is.
- `CHOICES` are the columns that tuning may take, from the paper's one feature to parts of ΔQ(V).

Source: K. A. Severson et al., Nature Energy 4, 383 (2019), doi 10.1038/s41560-019-0356-8, for
ΔQ(V) and the features of its "variance" and "discharge" models.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import UsageError
from cellwarden.features.curves import delta_statistics, refuse_artefacts

__all__ = [
    "CANDIDATES",
    "CHOICES",
    "COLUMNS",
    "CURVE_COLUMNS",
    "GRID_VOLT",
    "REPEATS",
    "delta_curve",
    "life_features",
]

GRID_VOLT: Final = np.linspace(3.6, 2.0, 1000)
ARTEFACT_AH: Final = 0.005
_EARLY: Final = (10, 54)
_LATE: Final = (55, 100)
_SECOND: Final = (2, 4)
_LATE_HALF: Final = 51
_WINDOWS: Final = ((3.3, 3.2), (3.2, 3.1), (3.1, 3.0), (3.0, 2.8), (2.8, 2.4))
_SMALLEST: Final = 1e-6  # Ah; under it a size is rounding

_DISCHARGE: Final = (
    "delta_variance_log10_ah2",
    "delta_minimum_log10_ah",
    "delta_skewness_ratio",
    "delta_kurtosis_log10_ratio",
    "second_capacity_ah",
    "capacity_rise_ah",
)
_FADE: Final = ("delta_mean_log10_ah", "fade_slope_ah", "late_fade_slope_ah")
_PARTS: Final = tuple(f"delta_{high:.1f}_to_{low:.1f}_volt_log10_ah" for high, low in _WINDOWS)
COLUMNS: Final = (*_DISCHARGE, *_FADE, *_PARTS)
# ΔQ(V) itself: the mean of every ten points of the grid, named by the voltage in their middle.
_TOGETHER: Final = 10
CURVE_COLUMNS: Final = tuple(
    f"delta_{middle:.3f}_volt_ah" for middle in GRID_VOLT.reshape(-1, _TOGETHER).mean(axis=1)
)
# What the life model is chosen from, with this many ways of dealing the cells into folds.
CANDIDATES: Final = (
    "ridge",
    "elastic net",
    "PLSR",
    "PCR",
    "gaussian process",
    "ridge and process",
)
REPEATS: Final = 8
CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "variance": _DISCHARGE[:1],
        "discharge": _DISCHARGE,
        "discharge and fade": (*_DISCHARGE, *_FADE),
        "windows": (
            *_DISCHARGE[:2],
            *_PARTS,
            "second_capacity_ah",
            "capacity_rise_ah",
            "fade_slope_ah",
            "late_fade_slope_ah",
        ),
    }
)


def life_features(
    cycle_count: Int64[np.ndarray, " curve"],
    charge_ah: Float64[np.ndarray, "curve grid"],
    grid_volt: Float64[np.ndarray, " grid"] = GRID_VOLT,
) -> dict[str, float]:
    """The numbers of `COLUMNS` from one cell's Q(V), NaN where it cannot tell. [log10 Ah, Ah, 1]

    `charge_ah` is what was discharged down to each voltage of the falling grid; slopes are a cycle.

    Raises:
        UsageError: the grid does not fall.
    """
    if len(grid_volt) != charge_ah.shape[1] or np.any(np.diff(grid_volt) >= 0):
        raise UsageError("the grid must fall, a voltage a column", hint="Use GRID_VOLT.")
    known = refuse_artefacts(charge_ah, tolerance_ah=ARTEFACT_AH)
    delta = _delta(cycle_count, known)
    moments = delta_statistics(delta)
    capacity = known[:, -1]
    second = float(_median(cycle_count, known[:, -1:], _SECOND)[0])
    highest = float(np.max(capacity[np.isfinite(capacity)], initial=-np.inf))
    told = {
        "delta_variance_log10_ah2": _log(moments.variance_ah2, _SMALLEST**2),
        "delta_minimum_log10_ah": _log(moments.minimum_ah, _SMALLEST),
        "delta_skewness_ratio": moments.skewness_ratio,
        "delta_kurtosis_log10_ratio": _log(moments.kurtosis_ratio, _SMALLEST),
        "second_capacity_ah": second,
        "capacity_rise_ah": highest - second,
        "delta_mean_log10_ah": _log(moments.mean_ah, _SMALLEST),
        "fade_slope_ah": _slope(cycle_count, capacity, _SECOND[0]),
        "late_fade_slope_ah": _slope(cycle_count, capacity, _LATE_HALF),
    }
    for name, (high, low) in zip(_PARTS, _WINDOWS, strict=True):
        part = delta[(grid_volt <= high) & (grid_volt > low)]
        told[name] = _log(float(part.mean()) if len(part) else float("nan"), _SMALLEST)
    return {name: told[name] for name in COLUMNS}


def delta_curve(
    cycle_count: Int64[np.ndarray, " curve"], charge_ah: Float64[np.ndarray, "curve grid"]
) -> dict[str, float]:
    """The numbers of `CURVE_COLUMNS` from one cell's Q(V) on `GRID_VOLT`. [Ah]"""
    delta = _delta(cycle_count, refuse_artefacts(charge_ah, tolerance_ah=ARTEFACT_AH))
    means = delta.reshape(-1, _TOGETHER).mean(axis=1)
    return dict(zip(CURVE_COLUMNS, means.tolist(), strict=True))


def _delta(
    cycle: Int64[np.ndarray, " curve"], known: Float64[np.ndarray, "curve grid"]
) -> Float64[np.ndarray, " grid"]:
    early, late = (_median(cycle, known, span) for span in (_EARLY, _LATE))
    # Half of the span lies between the middles of the halves.
    return np.asarray(2 * (late - early))


def _median(
    cycle: Int64[np.ndarray, " curve"],
    curves: Float64[np.ndarray, "curve grid"],
    span: tuple[int, int],
) -> Float64[np.ndarray, " grid"]:
    """The middle of the curves of some cycles; NaN where there is none. [Ah]"""
    taken = curves[(cycle >= span[0]) & (cycle <= span[1])]
    taken = taken[np.isfinite(taken).all(axis=1)]
    return np.median(taken, axis=0) if len(taken) else np.full(curves.shape[1], np.nan)


def _slope(
    cycle: Int64[np.ndarray, " curve"], capacity: Float64[np.ndarray, " curve"], first: int
) -> float:
    """Slope of the line of least squares from a cycle to the last of the early ones. [Ah]"""
    known = np.isfinite(capacity) & (cycle >= first) & (cycle <= _LATE[1])
    x, y = cycle[known].astype(np.float64), capacity[known]
    if len(x) < 2:  # noqa: PLR2004  a line takes two points
        return float("nan")
    away = x - x.mean()
    return float(away @ y / (away @ away))


def _log(size: float, smallest: float) -> float:
    """Decimal logarithm of a number's size, held above rounding; NaN stays. [log10]"""
    return float(np.log10(np.maximum(np.abs(size), smallest)))
