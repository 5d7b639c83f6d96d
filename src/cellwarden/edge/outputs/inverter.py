"""What an inverter expects of a battery on CAN: the messages 0x351 to 0x35E as Pylontech has them.

Rules
- Little endian, 11-bit identifiers, once a second. Positive current charges.
- A message whose numbers are not known is not sent: the protocol cannot say "no reading", and an
  inverter that hears nothing stops by itself.
- Limits that are not known are zero; limits are rounded down. Where the contactors are open, both
  currents are zero and neither charging nor discharging is allowed.

Source: the layouts that Pylontech, SMA and Victron inverters share, as published by makers of
battery electronics; identifiers and scales from there, no code.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cellwarden.domain import Reaction
from cellwarden.edge.drivers.field import Field, Kind, decode, encode
from cellwarden.edge.drivers.line import BusFrame
from cellwarden.edge.outputs.view import PackView

__all__ = ["INVERTER_MESSAGES", "InverterMessage", "decode_inverter", "encode_inverter"]


@dataclass(frozen=True, slots=True)
class InverterMessage:
    """One identifier and its fields."""

    number: int
    name: str
    size: int
    fields: tuple[Field, ...]


def _field(
    name: str,
    start: int,
    kind: Kind,
    scale: float = 1.0,
    *,
    low: float = -math.inf,
    high: float = math.inf,
) -> Field:
    return Field(name, start, kind, scale, low=low, high=high, little_endian=True)


_LIMITS: Final = InverterMessage(
    0x351,
    "limits",
    8,
    (
        _field("charge_voltage_volt", 0, "u16", 0.1),
        _field("high_charge_current_ampere", 2, "s16", 0.1, low=0.0),
        _field("high_discharge_current_ampere", 4, "s16", 0.1, low=0.0),
        _field("low_voltage_volt", 6, "u16", 0.1),
    ),
)
_CHARGE: Final = InverterMessage(
    0x355,
    "charge",
    4,
    (
        _field("soc_fraction", 0, "u16", 0.01, low=0.0, high=1.0),
        _field("soh_fraction", 2, "u16", 0.01, low=0.0, high=1.5),
    ),
)
_VALUES: Final = InverterMessage(
    0x356,
    "values",
    6,
    (
        _field("voltage_volt", 0, "s16", 0.01),
        _field("current_ampere", 2, "s16", 0.1),
        _field("mean_temperature_celsius", 4, "s16", 0.1),
    ),
)
_ALARMS: Final = InverterMessage(
    0x359,
    "alarms",
    7,
    (
        _field("alarm_bits", 0, "u16"),
        _field("warning_bits", 2, "u16"),
        _field("module_count", 4, "u8"),
        _field("first_letter", 5, "u8"),
        _field("second_letter", 6, "u8"),
    ),
)
_PERMITS: Final = InverterMessage(
    0x35C, "permits", 2, (_field("permit_bits", 0, "u8"), _field("spare_bits", 1, "u8"))
)
_NAME: Final = InverterMessage(0x35E, "name", 8, ())
INVERTER_MESSAGES: Final = (_LIMITS, _CHARGE, _VALUES, _ALARMS, _PERMITS, _NAME)

# SunSpec event -> bit of the alarms; a warning has the same bit in the next two bytes.
_BITS: Final = {
    "OVER_VOLT": 1,
    "UNDER_VOLT": 2,
    "OVER_TEMP": 3,
    "UNDER_TEMP": 4,
    "OVER_DISCHARGE_CURRENT": 7,
    "OVER_CHARGE_CURRENT": 8,
}
_SYSTEM: Final = 11  # anything else that is the matter
_MAY_CHARGE, _MAY_DISCHARGE = 0x80, 0x40
_SPOKEN: Final = b"PYLON   "


def encode_inverter(view: PackView) -> Iterator[BusFrame]:
    """The messages of one second."""
    said: dict[str, float] = {
        **_limits(view),
        "soc_fraction": view.soc_fraction,
        "soh_fraction": 1.0 if math.isnan(view.soh_fraction) else view.soh_fraction,
        "voltage_volt": view.frame.voltage_volt,
        "current_ampere": view.frame.current_ampere,
        "mean_temperature_celsius": view.mean_temperature_celsius,
        **_alarms(view),
    }
    for message in INVERTER_MESSAGES[:-1]:
        values = {field.name: _fit(field, said[field.name]) for field in message.fields}
        if not any(math.isnan(value) for value in values.values()):
            yield BusFrame(message.number, encode(message.fields, values, message.size))
    yield BusFrame(_NAME.number, _SPOKEN)


def decode_inverter(frame: BusFrame) -> dict[str, float]:
    """What an inverter makes of one of these messages.

    Raises:
        DataError: it is too short, or cannot be.
    """
    message = next((m for m in INVERTER_MESSAGES if m.number == frame.number), None)
    return {} if message is None else decode(message.fields, frame.data)


def _limits(view: PackView) -> dict[str, float]:
    pack, command, allowed = view.pack, view.command, view.allowance
    chemistry = pack.cell.chemistry
    highest = pack.series_count * chemistry.high_voltage_volt
    asked = command.charge_voltage_volt if command else 0.0
    charge = discharge = 0.0
    if allowed is not None and view.contactors_closed:
        charge, discharge = allowed.charge_ampere, allowed.discharge_ampere
        if command is not None:
            charge = min(charge, command.high_charge_current_ampere)
            discharge = min(discharge, command.high_discharge_current_ampere)
    may_not_charge = view.diagnosis.reaction >= Reaction.FORBID_CHARGE
    charge = 0.0 if may_not_charge else charge
    return {
        "charge_voltage_volt": min(asked, highest) if asked > 0 else highest,
        "high_charge_current_ampere": charge,
        "high_discharge_current_ampere": discharge,
        "low_voltage_volt": pack.series_count * chemistry.low_voltage_volt,
        "permit_bits": float((charge > 0) * _MAY_CHARGE + (discharge > 0) * _MAY_DISCHARGE),
        "spare_bits": 0.0,
    }


def _alarms(view: PackView) -> dict[str, float]:
    alarms = warnings = 0
    for event in view.events:
        base = event.removesuffix("_ALARM").removesuffix("_WARNING")
        bit = 1 << _BITS.get(base, _SYSTEM)
        if event.endswith("_WARNING"):
            warnings |= bit
        else:
            alarms |= bit
    return {
        "alarm_bits": float(alarms),
        "warning_bits": float(warnings),
        "module_count": 1.0,
        "first_letter": float(ord("P")),
        "second_letter": float(ord("N")),
    }


def _fit(field: Field, value: float) -> float:
    """Limits rounded to a step towards safety, and to what the field holds."""
    if field.name == "low_voltage_volt":
        return math.ceil(value / field.scale - 1e-6) * field.scale
    if field.name.startswith("high_") or field.name == "charge_voltage_volt":
        return min(math.floor(value / field.scale + 1e-6) * field.scale, 3276.7)
    return field.fit(value)
