"""Orders from far away, as what they leave of the pack's own limits; they never add anything.

Rules
- Bounds of current and power become a `Ceiling`, one more rule among those of `control.limits`.
- Outside an ordered window of charge the pack is no longer charged above, no longer discharged
  below. A charge that nobody knows is on both wrong sides of a window that was given.
- Who is at the pack decides whether contactors may close. A request from far away can turn it
  down (to standby or balancing) or have a pack that serves charged, and nothing else. Service and
  a reset are the business of who is at the pack.
- What a ceiling leaves of the charger's request is taken from that request as well.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from cellwarden.domain import Ceiling, Charge, Ordered, Reading, Request

__all__ = ["ceiling_of", "listen"]

_OWN: Final = frozenset({Request.SERVICE, Request.RESET})


def ceiling_of(ordered: Ordered, charge: Charge | None) -> Ceiling | None:
    """What the orders leave; None where they hold nothing back. [A, W]"""
    curb = ordered.curb
    ceiling = Ceiling(
        "remote",
        charge_ampere=curb.high_charge_current_ampere,
        discharge_ampere=curb.high_discharge_current_ampere,
        charge_watt=ordered.charge_watt,
        discharge_watt=ordered.discharge_watt,
    )
    low, high = _soc(charge)
    if curb.high_soc_fraction < 1.0 and not high < curb.high_soc_fraction:
        ceiling = replace(ceiling, charge_ampere=0.0)
    if curb.low_soc_fraction > 0.0 and not low > curb.low_soc_fraction:
        ceiling = replace(ceiling, discharge_ampere=0.0)
    return None if ceiling == Ceiling("remote") else ceiling


def _soc(charge: Charge | None) -> tuple[float, float]:
    """Lowest and highest of the cells; NaN where one is not known."""
    if charge is None or not len(charge.soc_fraction):
        return float("nan"), float("nan")
    return float(np.min(charge.soc_fraction)), float(np.max(charge.soc_fraction))


def listen(ordered: Ordered, reading: Reading) -> Reading:
    """The reading with what was asked at the pack, as far as it is not turned down from afar."""
    wished, here = ordered.request, reading.inputs.request
    if wished is None or here in _OWN or not _turns_down(wished, here):
        return reading
    return replace(reading, inputs=replace(reading.inputs, request=wished))


def _turns_down(wished: Request, here: Request | None) -> bool:
    if wished is Request.STANDBY:
        return True
    if wished is Request.BALANCE:
        return here is not None  # else the master at the pack is lost
    return wished is Request.CHARGE and here is Request.CONNECT
