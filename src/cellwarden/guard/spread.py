"""Cells against one another, and their sum against the pack.

Rules
- A cell that stands `CELL_VOLT` from the median of the cells for `STEADY_COUNT` rows is a
  warning; a sensor of temperature likewise at `SENSOR_CELSIUS`.
- A cell that stands more than `WEAK_VOLT` and `WEAK_SIGMA` robust deviations of its siblings
  apart for `WEAK_COUNT` rows is told for information: weak, drifting, or read wrongly.
- The cells must add up to the pack's voltage within `SUM_FRACTION` of it and `SUM_VOLT`.
- Fewer than three items bear no witness against one of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from jaxtyping import Float, Float64

from cellwarden.domain import Pack, Severity
from cellwarden.guard.episode import Breach
from cellwarden.guard.outliers import SIGMA_OF_MAD
from cellwarden.guard.streak import Streak, extend
from cellwarden.guard.window import SIBLING_COUNT, Window, middle

__all__ = ["differences"]

CELL_VOLT: Final = 0.3
SENSOR_CELSIUS: Final = 10.0
STEADY_COUNT: Final = 3
WEAK_VOLT: Final = 0.05
WEAK_SIGMA: Final = 8.0
WEAK_COUNT: Final = 60
SUM_FRACTION: Final = 0.01
SUM_VOLT: Final = 0.02

Rows = Float[np.ndarray, "time item"]


def differences(
    window: Window, pack: Pack | None, streaks: Mapping[str, Streak]
) -> tuple[list[Breach], dict[str, Streak]]:
    """What differs that should agree, once it has for long enough."""
    found: list[Breach] = []
    after: dict[str, Streak] = {}
    for breach, rows in _apart(window, pack):
        name = f"{breach.kind}.{breach.signal}.{breach.severity.name}"
        length, _, after[name] = extend(breach.broken, breach.time, streaks.get(name))
        broken = length >= rows
        if broken.any():
            found.append(replace(breach, broken=broken))
    return found, after


def _apart(window: Window, pack: Pack | None) -> Iterator[tuple[Breach, int]]:
    """Each comparison, row by row, and for how many rows it must fail."""
    new = slice(window.context_count, None)
    time = window.time[new]
    if window.siblings:
        volt = window.volt[new]
        apart = np.abs(volt - window.median_volt[new, None])
        weak = np.fmax(WEAK_VOLT, WEAK_SIGMA * SIGMA_OF_MAD * middle(apart)[:, None])
        signal = window.signal
        yield (
            _breach(time, signal, Severity.WARNING, reading=volt, apart=apart, limit=CELL_VOLT),
            STEADY_COUNT,
        )
        yield (
            _breach(time, signal, Severity.INFO, reading=volt, apart=apart, limit=weak),
            WEAK_COUNT,
        )
    celsius = window.frames.cell_temperature_celsius[new]
    if celsius.shape[1] >= SIBLING_COUNT:
        apart = np.abs(celsius - middle(celsius)[:, None])
        signal = "cell_temperature_celsius"
        yield (
            _breach(
                time, signal, Severity.WARNING, reading=celsius, apart=apart, limit=SENSOR_CELSIUS
            ),
            STEADY_COUNT,
        )
    cells = window.frames.cell_voltage_volt[new]
    if cells.shape[1] and (pack is None or pack.series_count == cells.shape[1]):
        total = window.frames.voltage_volt[new, None]
        apart = np.abs(cells.sum(axis=1, keepdims=True, dtype=np.float64) - total)
        limit = SUM_FRACTION * np.abs(total) + SUM_VOLT
        breach = _breach(
            time, "voltage_volt", Severity.WARNING, reading=total, apart=apart, limit=limit
        )
        yield (
            replace(breach, kind="sum", text="is not the sum of its cells", whole=True),
            STEADY_COUNT,
        )


def _breach(
    time: Float64[np.ndarray, " time"],
    signal: str,
    severity: Severity,
    *,
    reading: Rows,
    apart: Rows,
    limit: Float[np.ndarray, "time #item"] | float,
) -> Breach:
    return Breach(
        kind="spread",
        severity=severity,
        signal=signal,
        text="stands apart from its neighbours",
        time=time,
        broken=apart > limit,
        reading=reading,
        value=apart,
        limit=np.broadcast_to(np.asarray(limit, dtype=np.float64), apart.shape),
    )
