"""Named failures, faults and attacks on a running system, expected against observed."""

from cellwarden.drills.forger import Attempt, forge

__all__ = ["Attempt", "forge"]
