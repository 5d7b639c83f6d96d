"""What can go wrong with a pack or with its sensors, each with a start and a size.

kind                 size                        acts on
BIAS                 added, in the signal's unit  the reading
DRIFT                added for each hour          the reading
STUCK                -                            the reading stays as it was at the start
DROPOUT              -                            no reading (NaN)
INTERNAL_SHORT       resistance [ohm]             the cell discharges and heats itself
IMBALANCE            state of charge taken [1]    the cell, once
COOLING_LOSS         part of the cooling lost [1] the cell's way to the air
CONTACT_RESISTANCE   resistance [ohm]             the joint beside the cell, its voltage too
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError
from cellwarden.physics.row import AIR_FACTOR, CONTACT_OHM, LEAK_SIEMENS, SOC, Rows

__all__ = ["NEVER", "SIGNALS", "Fault", "FaultKind", "disturb", "unbalance", "wear"]

NEVER: Final = 2**62

SIGNALS: Final = (
    "voltage_volt",
    "current_ampere",
    "cell_voltage_volt",
    "cell_temperature_celsius",
    "ambient_temperature_celsius",
)


class FaultKind(StrEnum):
    """The rows of the table above."""

    BIAS = "bias"
    DRIFT = "drift"
    STUCK = "stuck"
    DROPOUT = "dropout"
    INTERNAL_SHORT = "internal_short"
    IMBALANCE = "imbalance"
    COOLING_LOSS = "cooling_loss"
    CONTACT_RESISTANCE = "contact_resistance"


_SENSOR: Final = (FaultKind.BIAS, FaultKind.DRIFT, FaultKind.STUCK, FaultKind.DROPOUT)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault from `start_second` up to `stop_second` of the twin's time.

    `item` is the cell or the sensor, -1 for all; `signal` is read for sensor faults only.
    """

    kind: FaultKind
    start_second: float
    size: float = 0.0
    item: int = -1
    signal: str = "cell_voltage_volt"
    stop_second: float = float("inf")

    def __post_init__(self) -> None:
        if self.signal not in SIGNALS:
            raise UsageError(
                f"no sensor reads {self.signal!r}", hint=f"Use one of {', '.join(SIGNALS)}."
            )
        if not 0.0 <= self.start_second < self.stop_second:
            raise UsageError(
                "a fault starts at 0 or later and stops after that",
                hint="Check start_second and stop_second.",
            )
        if self.kind in {FaultKind.INTERNAL_SHORT, FaultKind.CONTACT_RESISTANCE} and (
            self.size <= 0.0
        ):
            raise UsageError("a resistance must be above zero", hint="Give its size in ohm.")

    @property
    def on_sensor(self) -> bool:
        """Whether the fault is in the reading and not in the pack."""
        return self.kind in _SENSOR

    def steps(self, period_second: float) -> tuple[int, int]:
        """The first step with the fault and the first without it again."""
        first, last = self.start_second / period_second, self.stop_second / period_second
        # A start that falls on a step up to rounding is on that step.
        return math.ceil(first - 1e-9), math.ceil(last - 1e-9) if math.isfinite(last) else NEVER

    def active(self, step: int, period_second: float) -> bool:
        """Whether the fault is there in a step."""
        first, last = self.steps(period_second)
        return first <= step < last


def _place(fault: Fault) -> slice | int:
    return slice(None) if fault.item < 0 else fault.item


def unbalance(state: Rows, fault: Fault) -> None:
    """Take charge out of the cell, once."""
    state[SOC, _place(fault)] -= fault.size


def wear(cells: Rows, fault: Fault) -> None:
    """Change the cells' constants while the fault is there."""
    where = _place(fault)
    if fault.kind is FaultKind.INTERNAL_SHORT:
        cells[LEAK_SIEMENS, where] += 1.0 / fault.size
    elif fault.kind is FaultKind.COOLING_LOSS:
        cells[AIR_FACTOR, where] *= 1.0 - fault.size
    elif fault.kind is FaultKind.CONTACT_RESISTANCE:
        cells[CONTACT_OHM, where] += fault.size


def disturb(
    readings: Float64[np.ndarray, "time item"],
    fault: Fault,
    test_time_second: Float64[np.ndarray, " time"],
    held: Float64[np.ndarray, " item"],
) -> None:
    """Change the readings of a signal while the sensor is at fault.

    `held` keeps what a stuck sensor showed first; NaN where it has not stuck yet.
    """
    where = _place(fault)
    if fault.kind is FaultKind.BIAS:
        readings[:, where] += fault.size
    elif fault.kind is FaultKind.DROPOUT:
        readings[:, where] = np.nan
    elif fault.kind is FaultKind.DRIFT:
        grown = fault.size * (test_time_second - fault.start_second) / 3600.0
        readings[:, where] += grown[:, None] if fault.item < 0 else grown
    elif fault.kind is FaultKind.STUCK:
        held[:] = np.where(np.isnan(held), readings[0], held)
        readings[:, where] = held[where]
