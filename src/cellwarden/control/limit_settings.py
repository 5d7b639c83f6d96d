"""The constants of a pack's limits, and what the limits are told beside the reading."""

from dataclasses import dataclass, field

from cellwarden.control.curves import Curves, curves_of
from cellwarden.control.prospect import Prospect, prospect_of
from cellwarden.control.recovery import Recovery
from cellwarden.domain import Capability, Ceiling, Charge, Condition, Diagnosis, Pack

__all__ = ["Known", "Limits", "limits_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """The constants of a pack's limits."""

    pack: Pack
    curves: Curves
    prospect: Prospect
    recovery: Recovery = field(default_factory=Recovery)
    horizon_index: int = 1  # of `prospect.horizon_second`, for which a limit must hold
    patience_second: float = 1.0
    cool_second: float = 600.0
    stale_second: float = 60.0
    derate_fraction: float = 0.5
    limp_fraction: float = 0.1
    doubt_fraction: float = 0.5
    soc_std_count: float = 2.0
    cooling_hysteresis_celsius: float = 3.0


def limits_of(pack: Pack) -> Limits:
    """Limits of a pack from its cell's tiers and chemistry."""
    return Limits(pack, curves_of(pack.cell), prospect_of(pack))


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What others worked out or ask for; None says that nobody works it out."""

    charge: Charge | None = None
    condition: Condition | None = None
    capability: Capability | None = None
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    ceilings: tuple[Ceiling, ...] = ()
