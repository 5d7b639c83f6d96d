"""Is this the pack, and is it well."""

from cellwarden.guard.episode import merge
from cellwarden.guard.outliers import Extreme, generalised_esd, grubbs, hampel, iqr_fences
from cellwarden.guard.watch import Watch, inspect, pending

__all__ = [
    "Extreme",
    "Watch",
    "generalised_esd",
    "grubbs",
    "hampel",
    "inspect",
    "iqr_fences",
    "merge",
    "pending",
]
