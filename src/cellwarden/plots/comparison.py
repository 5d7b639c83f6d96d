"""Algorithms compared: the error of each, and what the choice told against what was measured."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from cellwarden.plots.style import INKS, beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["comparison"]


def comparison(
    title: str,
    errors: Mapping[str, float],
    baselines: frozenset[str],
    *,
    measured: Float64[np.ndarray, " row"],
    told: Float64[np.ndarray, " row"],
    low: Float64[np.ndarray, " row"],
    high: Float64[np.ndarray, " row"],
    unit: str,
) -> "Figure":
    """Errors by algorithm on the left, told against measured with the interval on the right. [unit]

    Raises:
        UsageError: matplotlib is not installed.
    """
    suffix = "" if unit == "1" else f" / {unit}"
    figure, left, right = beside(
        title, (f"error (RMSE){suffix}", f"measured{suffix}"), f"told{suffix}"
    )
    _draw_errors(left, errors, baselines)
    order = np.argsort(measured, kind="stable")
    served = np.isfinite(low) & np.isfinite(high)
    if served.all():
        width = np.stack([told - low, high - told])[:, order]
        right.errorbar(
            measured[order], told[order], yerr=np.maximum(width, 0.0), fmt="none",
            ecolor=INKS[5], elinewidth=0.6, alpha=max(0.04, min(0.6, 200 / len(told))),
        )  # fmt: skip
    right.plot(measured, told, ".", color=INKS[0], markersize=3)
    ends = [float(min(measured.min(), told.min())), float(max(measured.max(), told.max()))]
    right.plot(ends, ends, color="#555555", linewidth=0.8)
    right.set_title(
        "whiskers: 90 % interval" if served.all() else "too few cells for an interval",
        loc="right", fontsize=8, fontweight="normal", color="#555555",
    )  # fmt: skip
    return figure


def _draw_errors(axes: "Axes", errors: Mapping[str, float], baselines: frozenset[str]) -> None:
    names = sorted(errors, key=lambda name: -errors[name])
    colours = ["#b5b5b5" if name in baselines else INKS[0] for name in names]
    axes.barh(range(len(names)), [errors[name] for name in names], color=colours, height=0.7)
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="y", visible=False)
    axes.set_title("grey: baselines", loc="right", fontsize=8, fontweight="normal", color="#555555")
