"""Incremental capacity dQ/dV over voltage, one line a cycle: peaks that shrink and move."""

from typing import TYPE_CHECKING, Final

import numpy as np

from cellwarden.errors import DataError
from cellwarden.features.curves import Branches, chosen_curves
from cellwarden.features.incremental import Smoothing, incremental_capacity
from cellwarden.plots.style import MOST_CURVES, blank, name_ramp, ramp

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["incremental"]

_GRID_COUNT: Final = 400
_WINDOW_FRACTION: Final = 0.03  # of the voltage span; narrower follows the noise of most testers
_GAP_FRACTION: Final = 0.05  # of the capacity; a longer step between two rows tells no slope
_SHOWN_PERCENT: Final = 99.5  # of the slopes; a taper at constant voltage has no end


def incremental(
    name: str, taken: Branches, cycles: tuple[int, ...] = (), *, width_volt: float | None = None
) -> "Figure":
    """dQ/dV of charges or discharges of a cell, the earliest dark, smoothing stated. [Ah/V]

    `width_volt` is the window of the Savitzky-Golay filter; without it, 3 % of the voltage span.

    Raises:
        DataError: the record holds no such run.
        UsageError: the window does not fit, or matplotlib is not installed.
    """
    shown = chosen_curves(taken, cycles, most=MOST_CURVES)
    if not len(shown):
        raise DataError(
            f"{name}: no {taken.direction} to draw",
            hint="Choose another direction, or cycles that the record holds.",
        )
    rows = np.concatenate([np.arange(taken.edge[k], taken.edge[k + 1]) for k in shown])
    low, high = np.percentile(taken.voltage_volt[rows], (0.5, 99.5))
    grid = np.linspace(low, high, _GRID_COUNT)
    smoothing = Smoothing("savgol", width_volt or _WINDOW_FRACTION * float(high - low))
    note = f"{taken.direction}, smoothed over {1e3 * smoothing.width:.3g} mV"
    figure, axes = blank(name, "terminal voltage / V", "dQ/dV / Ah/V", note=note)
    number = taken.cycle_count[shown]
    span = max(int(number[-1] - number[0]), 1)
    drawn = []
    for at in shown:
        voltage, charge = taken.curve(int(at))
        slope = incremental_capacity(
            voltage, charge, grid, direction=taken.direction, smoothing=smoothing,
            gap_ah=_GAP_FRACTION * float(charge[-1]),
        )  # fmt: skip
        share = (taken.cycle_count[at] - number[0]) / span
        axes.plot(slope.grid, slope.values, color=ramp(share), linewidth=0.9)
        drawn.append(slope.values)
    values = np.concatenate(drawn)
    if np.isfinite(values).any():
        axes.set_ylim(0, 1.1 * float(np.nanpercentile(values, _SHOWN_PERCENT)))
    name_ramp(figure, axes, "cycle", float(number[0]), float(number[-1]))
    return figure
