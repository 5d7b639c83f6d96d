"""Series in, numbers out; pure."""

from cellwarden.features.capacity import Capacities, capacities
from cellwarden.features.charging import Charges, charges
from cellwarden.features.cycles import Runs, Samples, cut, samples

__all__ = ["Capacities", "Charges", "Runs", "Samples", "capacities", "charges", "cut", "samples"]
