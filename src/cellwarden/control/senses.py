"""A cycle's reading as bare numbers, so that one pack and many packs are the same arithmetic.

Rules
- Every array may have leading axes (packs); the last axis is the cell, the sensor or the chip.
- What is not known is NaN, yes is 1 and no is 0.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from cellwarden.domain import Charge, Contactors, Reading

__all__ = ["Senses", "sensed"]

Number = float | Float[np.ndarray, " pack"]
_NAN = float("nan")


class Senses(NamedTuple):
    """What the evidence is made from; see `domain.Reading` for what each number is."""

    clock_second: Number
    unix_time_second: Number
    voltage_volt: Number
    current_ampere: Number
    cell_voltage_volt: Float[np.ndarray, "*pack cell"]
    cell_temperature_celsius: Float[np.ndarray, "*pack sensor"]
    plus_driven: Number
    minus_driven: Number
    precharge_driven: Number
    frame_error_count: Shaped[np.ndarray, "*pack chip"] | None = None
    reference_volt: Float[np.ndarray, "*pack chip"] | None = None
    monitor_age_second: Float[np.ndarray, "*pack chip"] | None = None
    open_wire: Shaped[np.ndarray, "*pack cell"] | None = None
    broken_link: Number = _NAN
    second_cell_voltage_volt: Float[np.ndarray, "*pack cell"] | None = None
    innovation_volt: Float[np.ndarray, "*pack cell"] | None = None
    innovation_std_volt: Float[np.ndarray, "*pack cell"] | None = None
    link_voltage_volt: Number = _NAN
    second_current_ampere: Number = _NAN
    insulation_ohm: Number = _NAN
    gas_fraction: Number = _NAN
    coolant_temperature_celsius: Number = _NAN
    plus_closed: Number = _NAN
    minus_closed: Number = _NAN
    precharge_closed: Number = _NAN
    interlock_closed: Number = _NAN
    fuse_intact: Number = _NAN
    clock_error_second: Number = _NAN
    memory_intact: Number = _NAN
    authenticated: Number = _NAN
    voltage_age_second: Number = 0.0
    current_age_second: Number = 0.0
    bus_error_count: Number = 0.0
    request_age_second: Number = 0.0
    precharge_failed: Number = 0.0


def sensed(
    reading: Reading,
    driven: Contactors,
    charge: Charge | None = None,
    *,
    precharge_failed: bool = False,
) -> Senses:
    """The numbers of one pack's cycle; `driven` is what its coils have been told last."""
    frame, monitors, inputs = reading.frame, reading.monitors, reading.inputs
    return Senses(
        clock_second=reading.clock_second,
        unix_time_second=frame.unix_time_second,
        voltage_volt=frame.voltage_volt,
        current_ampere=frame.current_ampere,
        cell_voltage_volt=frame.cell_voltage_volt,
        cell_temperature_celsius=frame.cell_temperature_celsius,
        plus_driven=float(driven.plus_closed),
        minus_driven=float(driven.minus_closed),
        precharge_driven=float(driven.precharge_closed),
        frame_error_count=monitors.frame_error_count,
        reference_volt=monitors.reference_volt,
        monitor_age_second=monitors.age_second,
        open_wire=monitors.open_wire,
        broken_link=_NAN if monitors.broken_link is None else float(monitors.broken_link),
        second_cell_voltage_volt=monitors.second_cell_voltage_volt,
        innovation_volt=None if charge is None else charge.innovation_volt,
        innovation_std_volt=None if charge is None else charge.innovation_std_volt,
        link_voltage_volt=inputs.link_voltage_volt,
        second_current_ampere=inputs.second_current_ampere,
        insulation_ohm=inputs.insulation_ohm,
        gas_fraction=inputs.gas_fraction,
        coolant_temperature_celsius=inputs.coolant_temperature_celsius,
        plus_closed=_known(inputs.plus_feedback_closed),
        minus_closed=_known(inputs.minus_feedback_closed),
        precharge_closed=_known(inputs.precharge_feedback_closed),
        interlock_closed=_known(inputs.interlock_closed),
        fuse_intact=_known(inputs.fuse_intact),
        clock_error_second=inputs.clock_error_second,
        memory_intact=_known(inputs.memory_intact),
        authenticated=_known(inputs.authenticated),
        voltage_age_second=inputs.voltage_age_second,
        current_age_second=inputs.current_age_second,
        bus_error_count=float(inputs.bus_error_count),
        request_age_second=inputs.request_age_second,
        precharge_failed=float(precharge_failed),
    )


def _known(yes: bool | None) -> float:  # noqa: FBT001  None is one of its three values
    return _NAN if yes is None else float(yes)
