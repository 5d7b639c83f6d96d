"""Capacity over cycles, with the coulombic efficiency below it."""

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cellwarden.domain import Table
from cellwarden.errors import DataError
from cellwarden.plots.style import INKS, blank, stacked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["fade"]

_WHOLE_FRACTION: Final = 0.6  # of what its neighbours gave; less was aborted, and is drawn pale
_NEIGHBOURS: Final = 11
_END_OF_LIFE: Final = 0.8  # of nominal, as most data sheets and papers have it
_SPREAD_PERCENT: Final = (2.0, 98.0)  # of the efficiencies; aborted cycles lie far outside


def fade(cycles: Table, nominal_capacity_ah: float | None = None) -> "Figure":
    """Discharge capacity of each cycle; 80 % of nominal is marked where nominal is known. [Ah]

    Raises:
        DataError: no cycle of the table has a discharge.
        UsageError: matplotlib is not installed.
    """
    number = np.asarray(cycles["cycle_count"], dtype=float)
    capacity = np.asarray(cycles["discharging_capacity_ah"], dtype=float)
    there = np.isfinite(capacity) & (capacity > 0)
    if not there.any():
        raise DataError(
            f"{cycles.name}: no cycle with a discharge", hint="Open a record that was cycled."
        )
    note = f"{int(there.sum()):,} discharges"
    efficiency = _efficiency_percent(cycles)
    if np.isfinite(efficiency).sum() > 1:
        figure, axes, below = stacked(
            cycles.name, "cycle", ("capacity / Ah", "efficiency / %"), note=note
        )
        _draw_efficiency(below, number, efficiency)
    else:
        figure, axes = blank(cycles.name, "cycle", "capacity / Ah", note=note)
    whole = there.copy()
    whole[there] = capacity[there] >= _WHOLE_FRACTION * _usual(capacity[there])
    axes.plot(number[whole], capacity[whole], ".", color=INKS[0], markersize=3.5)
    rest = there & ~whole
    axes.plot(number[rest], capacity[rest], ".", color="#b5b5b5", markersize=3)
    if nominal_capacity_ah is not None:
        level = _END_OF_LIFE * nominal_capacity_ah
        axes.axhline(level, color=INKS[1], linewidth=1, linestyle=(0, (5, 4)))
        axes.annotate(
            f"80 % of {nominal_capacity_ah:g} Ah", (1.0, level),
            xycoords=("axes fraction", "data"), ha="right", va="bottom",
            fontsize=8, color=INKS[1],
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    return figure


def _usual(capacity: np.ndarray) -> np.ndarray:
    """Median of the cycles around each. [Ah]"""
    reach = min(_NEIGHBOURS, len(capacity)) // 2
    padded = np.pad(capacity, reach, mode="reflect" if len(capacity) > reach else "edge")
    return np.asarray(np.median(sliding_window_view(padded, 2 * reach + 1), axis=1))


def _efficiency_percent(cycles: Table) -> np.ndarray:
    name = "coulombic_efficiency_fraction"
    if name not in cycles:
        return np.full(len(cycles), np.nan)
    return 100 * np.asarray(cycles[name], dtype=float)


def _draw_efficiency(axes: "Axes", number: np.ndarray, percent: np.ndarray) -> None:
    there = np.isfinite(percent)
    axes.plot(number[there], percent[there], ".", color=INKS[2], markersize=2.5)
    low, high = np.percentile(percent[there], _SPREAD_PERCENT)
    air = max(0.15 * (high - low), 0.2)
    axes.set_ylim(low - air, high + air)
