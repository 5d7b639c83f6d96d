"""Small portable models for devices: a line from named columns, with an interval."""

import numpy as np

from cellwarden.health.learner import Prepared
from cellwarden.health.portable import Line, Portable
from cellwarden.registry.portable_file import Label


def line(
    columns: tuple[str, ...], weights: list[float], intercept: float, half_width: float = 0.1
) -> Portable:
    """What is told is intercept + weights * columns, within wide bounds."""
    count = len(columns)
    zero, one = np.zeros(count), np.ones(count)
    prepared = Prepared(
        taken=np.arange(count),
        fill=zero,
        low=-1e6 * one,
        high=1e6 * one,
        centre=zero,
        spread=one,
        least=-1e6,
        most=1e6,
        fitted=Line(np.array(weights), intercept),
    )
    return Portable(columns, prepared, half_width=half_width, coverage=0.9)


def label(name: str, kind: str = "other", target: str = "cell voltage") -> Label:
    """A card for it."""
    return Label(name, kind, target, "V")  # type: ignore[arg-type]
