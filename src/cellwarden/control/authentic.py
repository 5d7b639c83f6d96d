"""What a pack may do that has or has not shown who it is.

Rules
- Contactors that are closed are never opened for a doubt about identity: a vehicle on the road
  keeps its power, reduced. The doubt decides at the next closing.
- Charging puts energy into cells that nobody vouches for, so it is the first thing that ends.
- An unknown pack gets `LIMP_FRACTION` of its discharge current, for `LIMP_SECOND` of connected
  time at the most, enough to reach a workshop; then it is not closed again.
- What is allowed only shrinks until the paired pack answers again or a technician pairs anew.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from cellwarden.domain import Allowance, Authenticity, Permission, Reaction, Restraint

__all__ = ["LIMP_FRACTION", "LIMP_SECOND", "Doubt", "permit", "tighten"]

LIMP_FRACTION: Final = 0.3
LIMP_SECOND: Final = 3600.0

_CLOSE: Final = Reaction.FORBID_CLOSE
_CHARGE: Final = Reaction.FORBID_CHARGE
_TABLE: Final = MappingProxyType(
    {
        row.authenticity: row
        for row in (
            Permission(Authenticity.GENUINE, Reaction.RECORD, 1.0, 1.0, "the paired pack"),
            Permission(
                Authenticity.SILENT, _CHARGE, 0.0, LIMP_FRACTION, "the pack does not say who it is"
            ),
            Permission(
                Authenticity.FOREIGN, _CLOSE, 0.0, LIMP_FRACTION, "not a pack of this authority"
            ),
            Permission(
                Authenticity.SWAPPED,
                _CHARGE,
                0.0,
                LIMP_FRACTION,
                "another pack than the paired one",
            ),
            Permission(
                Authenticity.CLONED, _CLOSE, 0.0, LIMP_FRACTION, "the pack's key answers twice"
            ),
            Permission(
                Authenticity.UNLIKE,
                _CHARGE,
                0.0,
                LIMP_FRACTION,
                "the pack's key, but cells that behave as others",
            ),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Doubt:
    """How long the pack has been in use without having shown who it is, by the clock of use."""

    authenticity: Authenticity = Authenticity.GENUINE
    connected_second: float = 0.0


def permit(
    doubt: Doubt, authenticity: Authenticity, elapsed_second: float, *, closed: bool
) -> tuple[Doubt, Permission]:
    """What the pack may do now; `elapsed_second` has passed since the last call."""
    if authenticity is Authenticity.GENUINE:
        return Doubt(), _TABLE[authenticity]
    used = doubt.connected_second + (elapsed_second if closed else 0.0)
    found = _TABLE[authenticity]
    if used >= LIMP_SECOND:
        found = replace(found, reaction=_CLOSE, reason=f"{found.reason}, for too long")
    return Doubt(authenticity, used), found


def tighten(allowance: Allowance, permission: Permission) -> Allowance:
    """The allowance, held back by what the pack may do; never more than it was."""
    if permission.charge_fraction >= 1.0 and permission.discharge_fraction >= 1.0:
        return allowance
    charge, discharge = permission.charge_fraction, permission.discharge_fraction

    def by(ampere: float, fraction: float) -> Restraint:
        return Restraint(f"authenticity: {permission.reason}", ampere * fraction, fraction)

    return replace(
        allowance,
        charge_ampere=allowance.charge_ampere * charge,
        charge_watt=allowance.charge_watt * charge,
        discharge_ampere=allowance.discharge_ampere * discharge,
        discharge_watt=allowance.discharge_watt * discharge,
        charge_by=(*allowance.charge_by, by(allowance.charge_ampere, charge)),
        discharge_by=(*allowance.discharge_by, by(allowance.discharge_ampere, discharge)),
    )
