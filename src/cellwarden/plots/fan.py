"""Voltage against charge, one line a cycle: the picture in which ageing is seen at once."""

from typing import TYPE_CHECKING, Final

import numpy as np

from cellwarden.errors import DataError
from cellwarden.features.curves import Branches
from cellwarden.plots.style import blank, name_ramp, ramp

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["chosen_cycles", "fan"]

_MOST_CURVES: Final = 60  # more than these run together
_WHOLE_FRACTION: Final = 0.3  # of the median curve; less is an aborted cycle


def fan(name: str, taken: Branches, cycles: tuple[int, ...] = ()) -> "Figure":
    """Charges or discharges of a cell, the earliest dark, at most 60 unless `cycles` names them.

    Raises:
        DataError: the record holds no such run.
        UsageError: matplotlib is not installed.
    """
    shown = chosen_cycles(taken, cycles)
    if not len(shown):
        raise DataError(
            f"{name}: no {taken.direction} to draw",
            hint="Choose another direction, or cycles that the record holds.",
        )
    held = int(np.count_nonzero(np.diff(taken.edge) > 0))
    note = f"{held:,} {taken.direction}s" + (f", {len(shown)} drawn" if len(shown) < held else "")
    figure, axes = blank(
        name, f"charge {_PASSED[taken.direction]} / Ah", "terminal voltage / V", note=note
    )
    number = taken.cycle_count[shown]
    span = max(int(number[-1] - number[0]), 1)
    for at in shown:
        voltage, charge = taken.curve(int(at))
        share = (taken.cycle_count[at] - number[0]) / span
        axes.plot(charge, voltage, color=ramp(share), linewidth=0.9)
    name_ramp(figure, axes, "cycle", float(number[0]), float(number[-1]))
    return figure


_PASSED: Final = {"charge": "put in", "discharge": "taken out"}


def chosen_cycles(
    taken: Branches, cycles: tuple[int, ...] = (), *, most: int = _MOST_CURVES
) -> np.ndarray:
    """Places of the curves to draw: those named, or whole ones evenly over life. [1]"""
    capacity = taken.capacity_ah()
    if cycles:
        return np.flatnonzero(np.isin(taken.cycle_count, cycles) & np.isfinite(capacity))
    known = np.isfinite(capacity)
    if not known.any():
        return np.empty(0, dtype=int)
    with np.errstate(invalid="ignore"):
        whole = np.flatnonzero(capacity >= _WHOLE_FRACTION * np.nanmedian(capacity))
    evenly = np.linspace(0, len(whole) - 1, min(len(whole), most)).round().astype(int)
    return np.asarray(whole[np.unique(evenly)])
