"""Orders from outside, applied to what the pack decides by itself: never more, often less.

Rules
- An order makes nothing close that was not asked closed at the pack: standby and balancing open,
  charging takes the place of serving alone. Service and a reset are the pack's own affair.
- Currents are the smaller of both; a planned power is a current at the voltage of now, and where
  no voltage is read, none. Outside the window of charge that direction is shut.
- Nothing else of a command changes.
"""

from dataclasses import replace
from math import isfinite

from cellwarden.domain import FREE, Charge, Command, Ordered, Reading, Request
from cellwarden.wire.obedience import REMOTE_REQUESTS

__all__ = ["asked", "tightened"]

_OWN = frozenset({Request.SERVICE, Request.RESET})


def asked(reading: Reading, ordered: Ordered) -> Reading:
    """The reading with what is asked for after orders."""
    own, wished = reading.inputs.request, ordered.request
    if wished not in REMOTE_REQUESTS or own in _OWN:
        return reading
    if wished is Request.CHARGE and own is not Request.CONNECT:
        return reading
    if own is None and wished is not Request.STANDBY:
        return reading  # nobody at the pack asks for anything: its master is lost
    inputs = replace(reading.inputs, request=wished)
    return replace(reading, inputs=inputs)


def tightened(
    command: Command, ordered: Ordered, reading: Reading | None, soc: Charge | None
) -> Command:
    """The command within all bounds that are in force."""
    if ordered == FREE:
        return command
    curb = ordered.curb
    volt = reading.frame.voltage_volt if reading is not None else float("nan")
    charge = min(
        command.high_charge_current_ampere,
        curb.high_charge_current_ampere,
        _current(ordered.charge_watt, volt),
    )
    discharge = min(
        command.high_discharge_current_ampere,
        curb.high_discharge_current_ampere,
        _current(ordered.discharge_watt, volt),
    )
    if curb.high_soc_fraction < 1.0 and not _below(soc, curb.high_soc_fraction):
        charge = 0.0
    if curb.low_soc_fraction > 0.0 and not _above(soc, curb.low_soc_fraction):
        discharge = 0.0
    wanted = min(command.charge_current_ampere, charge)
    return replace(
        command,
        high_charge_current_ampere=charge,
        high_discharge_current_ampere=discharge,
        charge_current_ampere=wanted,
    )


def _current(watt: float, volt: float) -> float:
    """The current of a power. [A]"""
    if not isfinite(watt):
        return float("inf")
    return watt / volt if volt > 0.0 else 0.0


def _below(soc: Charge | None, limit: float) -> bool:
    """Whether every cell is known to be below; what is not known is not."""
    return soc is not None and bool((soc.soc_fraction < limit).all())


def _above(soc: Charge | None, limit: float) -> bool:
    return soc is not None and bool((soc.soc_fraction > limit).all())
