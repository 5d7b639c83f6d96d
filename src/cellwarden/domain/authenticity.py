"""What is known of the pack that the controller is wired to, and what it may do then."""

from dataclasses import dataclass
from enum import StrEnum

from cellwarden.domain.trouble import Reaction

__all__ = ["Authenticity", "Permission"]


class Authenticity(StrEnum):
    """The outcome of asking a pack who it is and of looking at how it behaves."""

    GENUINE = "genuine"  # the paired pack has answered
    SILENT = "silent"  # no answer: no key, a broken wire, an old pack
    FOREIGN = "foreign"  # an answer that no key of our authority made, or a revoked one
    SWAPPED = "swapped"  # a pack of our authority, but not the paired one
    CLONED = "cloned"  # the paired pack's key has answered elsewhere too
    UNLIKE = "unlike"  # the right key, but cells that behave as other cells


@dataclass(frozen=True, slots=True)
class Permission:
    """What a pack may do: `reaction` for diagnostics, a share of each current that is left."""

    authenticity: Authenticity
    reaction: Reaction
    charge_fraction: float
    discharge_fraction: float
    reason: str
