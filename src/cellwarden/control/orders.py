"""What others ask of a pack, as what it leaves of the pack's own limits; it never adds anything.

Others are whoever gives orders from far away (`Ordered`), the regime of daily use that the pack has
learnt (`Regime`), and what a pack may do of which it is not known whether it is the right one
(`Permission`).

Rules
- Bounds of current and power become a `Ceiling`, one more rule among those of `control.limits`.
- Outside an ordered window of charge the pack is no longer charged above, no longer discharged
  below. A charge that nobody knows is on both wrong sides of a window that was given.
- Who is at the pack decides whether contactors may close. A request from far away can turn it
  down (to standby or balancing) or have a pack that serves charged, and nothing else. Service and
  a reset are the business of who is at the pack.
- A regime's window says nothing where the charge is not known: it is for comfort, not for safety.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cellwarden.domain import (
    FREE,
    Ceiling,
    Charge,
    Ordered,
    Pack,
    Permission,
    Reaction,
    Reading,
    Request,
    Trouble,
)
from cellwarden.domain.regime import Regime

__all__ = [
    "ASKED_NOTHING",
    "FOREIGN",
    "Terms",
    "ceiling_of",
    "ceilings_of",
    "cooling_of",
    "listen",
    "troubles_of",
]

FOREIGN: Final = "pack_"  # begins the name of a trouble with the pack's identity
_COOLING_KELVIN: Final = 10.0
_OWN: Final = frozenset({Request.SERVICE, Request.RESET})


def ceiling_of(ordered: Ordered, charge: Charge | None) -> Ceiling | None:
    """What the orders leave; None where they hold nothing back. [A, W]"""
    if ordered == FREE:
        return None
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


@dataclass(frozen=True, slots=True)
class Terms:
    """What others ask for at this moment; `ready_unix_second` is by when the pack is wanted."""

    ordered: Ordered = FREE
    regime: Regime | None = None
    permission: Permission | None = None
    ready_unix_second: float | None = None


ASKED_NOTHING: Final = Terms()


def ceilings_of(terms: Terms, pack: Pack, charge: Charge | None) -> tuple[Ceiling, ...]:
    """All that holds currents back from outside. [A, W]"""
    found = [ceiling_of(terms.ordered, charge)]
    if terms.regime is not None:
        found.append(_regime(terms.regime, pack, charge))
    return tuple(ceiling for ceiling in found if ceiling is not None)


def _regime(regime: Regime, pack: Pack, charge: Charge | None) -> Ceiling:
    low, high = _soc(charge)
    ampere = regime.charge_rate_per_hour * pack.nominal_capacity_ah
    return Ceiling(
        "regime",
        0.0 if high >= regime.high_soc_fraction < 1.0 else ampere,
        0.0 if low <= regime.low_soc_fraction else float("inf"),
    )


def troubles_of(terms: Terms, clock_second: float) -> tuple[Trouble, ...]:
    """What a pack that is not the right one is held for."""
    told = terms.permission
    if told is None or told.reaction is Reaction.RECORD:
        return ()
    opens = clock_second if told.reaction is Reaction.OPEN else float("inf")
    return (
        Trouble(
            f"{FOREIGN}{told.authenticity}",
            told.reaction,
            clock_second,
            value=1.0,
            limit=0.0,
            opens_second=opens,
        ),
    )


def cooling_of(terms: Terms, reading: Reading) -> float:
    """The cooling that the regime asks for: all of it ten kelvin above its begin. [1]"""
    celsius = reading.frame.cell_temperature_celsius
    if terms.regime is None or not np.isfinite(celsius).any():
        return 0.0
    above = float(np.nanmax(celsius)) - terms.regime.cooling_temperature_celsius
    return min(max(above / _COOLING_KELVIN, 0.0), 1.0)


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
