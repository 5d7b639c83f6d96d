"""What one control cycle sees of a pack: its frame and the switches, monitors and senses around it.

Rules
- NaN or None says "no reading": the sensor is not there, or was silent in this cycle. A value is
  never the last one again: a driver that has nothing new says so, and the ages tell since when.
- `clock_second` is the controller's own steady clock; ages and delays are counted on it. The wall
  clock of the frame may jump.
- Arrays run over the cells, the temperature sensors or the monitor chips, in order of the string.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from cellwarden.domain.frame import Frame
from cellwarden.domain.request import Request

__all__ = ["Board", "Inputs", "Monitors", "Reading"]

_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Board:
    """How the electronics of a pack are built; the numbers are those of its data sheets."""

    cells_per_monitor_count: int = 12
    sensors_per_monitor_count: int = 6
    reference_volt: float = 3.0
    link_farad: float = 1.0e-3
    precharge_ohm: float = 50.0
    contactor_break_ampere: float = 20.0
    fuse_ampere: float = 400.0
    has_second_current: bool = True
    has_second_monitor: bool = False
    has_insulation_monitor: bool = True
    has_interlock: bool = True
    has_gas_sensor: bool = False
    has_authentication: bool = True
    period_second: float = 0.1


@dataclass(frozen=True, slots=True)
class Monitors:
    """What the chips that watch the cells say of themselves and of their wires.

    `frame_error_count` counts refused frames (checksum, counter) of each chip in this cycle,
    `reference_volt` is each chip's second reference as read with the first, `age_second` how long
    ago each chip gave its last good reading, `second_cell_voltage_volt` a redundant measurement.
    `broken_link` is the first chip that no longer answers, counted from the controller.
    """

    frame_error_count: Int[np.ndarray, " monitor"]
    reference_volt: Float[np.ndarray, " monitor"]
    age_second: Float[np.ndarray, " monitor"]
    open_wire: Bool[np.ndarray, " cell"]
    second_cell_voltage_volt: Float[np.ndarray, " cell"] | None = None
    broken_link: int | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything around the cells.

    `link_voltage_volt` is the voltage behind the contactors, each `*_feedback_closed` an auxiliary
    contact, `gas_fraction` the volume fraction of vent gas, `clock_error_second` the wall clock
    against its time source, `authenticated` the pack's answer to the last challenge.
    """

    link_voltage_volt: float = _NAN
    second_current_ampere: float = _NAN
    insulation_ohm: float = _NAN
    gas_fraction: float = _NAN
    coolant_temperature_celsius: float = _NAN
    plus_feedback_closed: bool | None = None
    minus_feedback_closed: bool | None = None
    precharge_feedback_closed: bool | None = None
    interlock_closed: bool | None = None
    fuse_intact: bool | None = None
    clock_error_second: float = _NAN
    memory_intact: bool | None = None
    authenticated: bool | None = None
    voltage_age_second: float = 0.0
    current_age_second: float = 0.0
    bus_error_count: int = 0
    request: Request | None = None
    request_age_second: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One control cycle's view of the pack."""

    clock_second: float
    frame: Frame
    monitors: Monitors
    inputs: Inputs
