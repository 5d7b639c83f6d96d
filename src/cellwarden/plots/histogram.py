"""How often a quantity has which value: by time for a record, by rows for a table."""

from typing import TYPE_CHECKING, Final

import numpy as np

from cellwarden.domain import QUANTITIES, Series, Table
from cellwarden.errors import DataError, UsageError
from cellwarden.plots.style import INKS, blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["histogram"]

_LONGEST_STEPS: Final = 100.0  # times the usual step: beyond it nobody knows what the cell did
_MOST_BINS: Final = 80
_SHORT_HOUR: Final = 3.0  # a record so short is told in minutes


def histogram(held: Series | Table, column: str) -> "Figure":
    """Distribution of one column; hours at each value for a record, rows for a table. [h or 1]

    A gap of more than a hundred usual steps counts for nothing.

    Raises:
        UsageError: there is no such column of numbers.
        DataError: it has no number.
    """
    columns = held.columns() if isinstance(held, Series) else held.columns
    numbers = [name for name, values in columns.items() if values.dtype.kind in "fiub"]
    if column not in numbers:
        raise UsageError(
            f"{held.name} has no numbers named {column}", hint=f"It has {', '.join(numbers)}."
        )
    values = np.asarray(columns[column], dtype=float)
    weight = _hours(held) if isinstance(held, Series) else np.ones(len(values))
    there = np.isfinite(values) & (weight > 0)
    if not there.any():
        raise DataError(f"{held.name}: {column} has no number", hint="Choose another column.")
    values, weight = values[there], weight[there]
    up = "rows"
    if isinstance(held, Series):
        up, weight = (
            ("time / h", weight) if weight.sum() > _SHORT_HOUR else ("time / min", 60 * weight)
        )
    figure, axes = blank(f"{held.name}: {_titled(column)}", _titled(column), up)
    axes.hist(values, bins=_bins(values), weights=weight, color=INKS[0], linewidth=0)
    middle = _weighted_median(values, weight)
    axes.axvline(middle, color=INKS[1], linewidth=1.2)
    axes.annotate(
        f" median {middle:.4g}", (middle, 1.0), xycoords=("data", "axes fraction"),
        va="top", color=INKS[1], fontsize=8.5,
    )  # fmt: skip
    return figure


def _hours(series: Series) -> np.ndarray:
    """Time that each row stands for: up to the next one, gaps left out. [h]"""
    step = np.diff(series.test_time_second)
    ahead = step[step > 0]
    if not ahead.size:
        return np.zeros(len(series))
    known = (step > 0) & (step <= _LONGEST_STEPS * float(np.median(ahead)))
    return np.append(np.where(known, step, 0.0), 0.0) / 3600


def _bins(values: np.ndarray) -> int | list[float]:
    """Whole numbers get a bar each; others as many bins as tell them apart."""
    low, high = float(values.min()), float(values.max())
    if np.all(values == np.round(values)) and high - low < _MOST_BINS:
        return [float(edge) for edge in np.arange(low - 0.5, high + 1.0)]
    if high == low:
        return 1
    edges = np.histogram_bin_edges(values, bins="fd")
    return min(len(edges) - 1, _MOST_BINS) or 1


def _weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    order = np.argsort(values)
    passed = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(passed, passed[-1] / 2)])


def _titled(column: str) -> str:
    row = QUANTITIES.get(column)
    if row is None:
        return column
    return column if row.unit == "1" else f"{row.meaning.split(',')[0]} / {row.unit}"
