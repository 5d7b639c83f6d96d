"""State of charge by counting: current summed up, and set right by the voltage after a rest.

Rules
- The doubt grows with the sensor's offset for as long as it is counted, and with its gain for the
  charge moved; both are stated, not learnt.
- After `rest_second` without current the open-circuit voltage gives a second opinion, whose doubt
  is the model's error over the slope of the curve: on a plateau it counts for next to nothing, so
  nothing is reset where nothing is known. The two are weighed by their variances.
- No current, or a gap in time: the charge stays and its doubt grows. No temperature: the last one.

This is what a filter must beat; it needs no circuit but the curve.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Float64

from cellwarden.errors import UsageError
from cellwarden.health.soc_model import OCV, CellModel, at_knots, look_up, observability

__all__ = ["Count", "Counter", "init", "step"]

_GRID: Final = np.linspace(0.0, 1.0, 201)
_UNKNOWN_STD: Final = 0.3
_GAP_SECOND: Final = 60.0
_LOST_RATE: Final = 0.3  # current over capacity that may flow unseen


@dataclass(frozen=True, slots=True)
class Counter:
    """Faults of the current sensor to be reckoned with, and what counts as rest."""

    model: CellModel
    shift_ampere: float = 0.05
    gain_fraction: float = 0.01
    rest_second: float = 1800.0
    still_rate: float = 0.01


@dataclass(frozen=True, slots=True)
class Count:
    """Charge of each cell with its doubt, and since when it rests."""

    soc_fraction: Float64[np.ndarray, " cell"]
    shift_std_fraction: Float64[np.ndarray, " cell"]
    other_std_fraction: Float64[np.ndarray, " cell"]
    rested_second: Float64[np.ndarray, " cell"]
    temperature_celsius: Float64[np.ndarray, " cell"]
    unix_time_second: float

    @property
    def soc_std_fraction(self) -> Float64[np.ndarray, " cell"]:
        """Standard deviation of the charge. [1]"""
        return np.asarray(np.hypot(self.shift_std_fraction, self.other_std_fraction))


def init(cell_count: int, soc_fraction: float = 0.5, *, soc_std_fraction: float = 0.3) -> Count:
    """What is believed before the first row.

    Raises:
        UsageError: a charge outside 0..1.
    """
    if not 0.0 <= soc_fraction <= 1.0:
        raise UsageError("no cell can start so", hint="Give soc between 0 and 1.")
    zero = np.zeros(cell_count)
    start = zero + soc_fraction
    return Count(start, zero, zero + soc_std_fraction, zero, zero + 25.0, float("nan"))


def step(  # noqa: PLR0917  the columns of one row, in their usual order
    of: Counter,
    count: Count,
    unix_time_second: float,
    current_ampere: Float[np.ndarray, " cell"] | float,
    voltage_volt: Float[np.ndarray, " cell"],
    temperature_celsius: Float[np.ndarray, " cell"],
) -> Count:
    """The charge after one row."""
    model = of.model
    second = max(unix_time_second - count.unix_time_second, 0.0)
    second = 0.0 if np.isnan(second) else second
    celsius = np.where(
        np.isfinite(temperature_celsius), temperature_celsius, count.temperature_celsius
    )
    current = np.broadcast_to(np.asarray(current_ampere, dtype=np.float64), celsius.shape)
    lost = ~np.isfinite(current) | (second > _GAP_SECOND)
    hours = second / 3600.0 / model.capacity_ah
    moved = np.where(lost, 0.0, current) * hours
    # An offset goes one way and adds up as it is; what else is doubtful adds up in squares.
    shift = count.shift_std_fraction + of.shift_ampere / np.sqrt(3.0) * hours
    other = np.hypot(count.other_std_fraction, of.gain_fraction / np.sqrt(3.0) * np.abs(moved))
    other = np.where(lost, np.hypot(other, _LOST_RATE * second / 3600.0), other)
    still = np.abs(np.nan_to_num(current, nan=np.inf)) < of.still_rate * model.capacity_ah
    rested = np.where(still & ~lost, count.rested_second + second, 0.0)
    soc = np.clip(count.soc_fraction + moved, 0.0, 1.0)
    shift, other = np.minimum(shift, _UNKNOWN_STD), np.minimum(other, _UNKNOWN_STD)
    known = (rested >= of.rest_second) & np.isfinite(voltage_volt)
    if known.any():
        told, std = _by_voltage(model, voltage_volt, celsius)
        own = shift**2 + other**2
        share = np.where(known, own / (own + std**2), 0.0)
        soc = soc + share * (np.nan_to_num(told) - soc)
        left = np.sqrt(1.0 - share)  # of the doubt, in both its parts
        shift, other = left * shift, left * other
        # One rest is one opinion: it is not heard again before the next.
        rested = np.where(known, -np.inf, rested)
    return Count(soc, shift, other, rested, celsius, unix_time_second)


def _by_voltage(
    model: CellModel, volt: Float[np.ndarray, " cell"], celsius: Float64[np.ndarray, " cell"]
) -> tuple[Float64[np.ndarray, " cell"], Float64[np.ndarray, " cell"]]:
    """What the open-circuit voltage says, and how far to believe it. [1]"""
    told = np.empty(len(celsius))
    for cell, (own, warm) in enumerate(zip(volt.tolist(), celsius.tolist(), strict=True)):
        curve = look_up(model, _GRID, np.full(len(_GRID), warm))[OCV]
        told[cell] = np.interp(own, np.maximum.accumulate(curve), _GRID)
    slope = observability(model, told, celsius) * at_knots(model, model.drift_volt, celsius)
    error = at_knots(model, model.drift_volt, celsius)
    return told, error / np.maximum(slope, 1e-3)
