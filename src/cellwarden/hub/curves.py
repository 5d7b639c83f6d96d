"""A battery's charges and discharges as curves: voltage over charge, and its slope dQ/dV.

Rules
- Of a pack, the mean cell is drawn: its voltage and the current of the string.
- At most `_MOST_CURVES` whole cycles are told, evenly over what is stored; cycles are those that
  the record itself shows, since telemetry carries no cycle number.
"""

from typing import Final

import numpy as np

from cellwarden.domain import Series
from cellwarden.features.curves import Branches, Direction, branches, chosen_curves
from cellwarden.features.incremental import Smoothing, incremental_capacity
from cellwarden.features.numbering import number_cycles
from cellwarden.hub.contract import Curve, Curves
from cellwarden.hub.store import Store

__all__ = ["read_curves"]

_MOST_CURVES: Final = 12
_POINTS: Final = 120
_FRAMES: Final = 2_000_000  # the newest ones; what is held in memory
_GRID_COUNT: Final = 160
_WINDOW_FRACTION: Final = 0.05
_GAP_FRACTION: Final = 0.05


def read_curves(store: Store, device: str, direction: Direction) -> Curves:
    """Some whole charges or discharges of a device, oldest first. [Ah, V, Ah/V]"""
    series = _series(store, device)
    if series is None:
        return Curves(direction=direction, smoothed_volt=None, curves=[])
    taken = branches(number_cycles(series), direction)
    shown = chosen_curves(taken, most=_MOST_CURVES)
    if not len(shown):
        return Curves(direction=direction, smoothed_volt=None, curves=[])
    volts = np.concatenate([taken.curve(int(at))[0] for at in shown])
    low, high = (float(edge) for edge in np.percentile(volts, (0.5, 99.5)))
    if not high > low:
        return Curves(direction=direction, smoothed_volt=None, curves=[])
    grid = np.linspace(low, high, _GRID_COUNT)
    smoothing = Smoothing("savgol", _WINDOW_FRACTION * (high - low))
    told = [_curve(taken, int(at), grid, smoothing) for at in shown]
    return Curves(direction=direction, smoothed_volt=smoothing.width, curves=told)


def _curve(taken: Branches, at: int, grid: np.ndarray, smoothing: Smoothing) -> Curve:
    voltage, charge = taken.curve(at)
    even = np.linspace(0.0, float(charge[-1]), _POINTS)
    slope = incremental_capacity(
        voltage, charge, grid, direction=taken.direction, smoothing=smoothing,
        gap_ah=_GAP_FRACTION * float(charge[-1]),
    )  # fmt: skip
    known = np.isfinite(slope.values)
    return Curve(
        cycle_count=int(taken.cycle_count[at]),
        charge_ah=_rounded(even),
        voltage_volt=_rounded(np.interp(even, charge, voltage)),
        slope_voltage_volt=_rounded(slope.grid[known]),
        slope_ah_per_volt=_rounded(slope.values[known]),
    )


def _rounded(column: np.ndarray) -> list[float]:
    """Five decimals: finer than any cell monitor reads, a third of the bytes."""
    return [float(value) for value in np.round(column, 5)]


def _series(store: Store, device: str) -> Series | None:
    first = store.rows(
        "SELECT min(leaf_index) FROM (SELECT leaf_index,"
        " sum(frame_count) OVER (ORDER BY sequence DESC) AS rows_since FROM batch"
        " WHERE device = ?) WHERE rows_since <= ?",
        [device, _FRAMES],
    )[0][0]
    if first is None:
        return None
    found = store.columns(
        "SELECT unix_time_second, current_ampere, list_avg(cell_voltage_volt) AS voltage_volt"
        " FROM sample WHERE device = ? AND leaf_index >= ? ORDER BY leaf_index, frame_index",
        [device, first],
    )
    columns = {
        name: np.ma.filled(column.astype(np.float64), np.nan) for name, column in found.items()
    }
    time_second = columns["unix_time_second"]
    if not len(time_second):
        return None
    return Series(
        name=device,
        test_time_second=time_second - time_second[0],
        voltage_volt=columns["voltage_volt"],
        current_ampere=columns["current_ampere"],
    )
