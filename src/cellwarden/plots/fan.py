"""Voltage against charge, one line a cycle: the picture in which ageing is seen at once."""

from typing import TYPE_CHECKING, Final

import numpy as np

from cellwarden.errors import DataError
from cellwarden.features.curves import Branches, chosen_curves
from cellwarden.plots.style import MOST_CURVES, blank, name_ramp, ramp

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["fan"]


def fan(name: str, taken: Branches, cycles: tuple[int, ...] = ()) -> "Figure":
    """Charges or discharges of a cell, the earliest dark, at most 60 unless `cycles` names them.

    Raises:
        DataError: the record holds no such run.
        UsageError: matplotlib is not installed.
    """
    shown = chosen_curves(taken, cycles, most=MOST_CURVES)
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
