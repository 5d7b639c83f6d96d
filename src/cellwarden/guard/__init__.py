"""Is this the pack, and is it well."""

from cellwarden.guard.episode import merge
from cellwarden.guard.outliers import Extreme, generalised_esd, grubbs, hampel, iqr_fences
from cellwarden.guard.residual import Innovations, Residual, inspect_charge
from cellwarden.guard.watch import Watch, inspect, pending

__all__ = [
    "Extreme",
    "Innovations",
    "Residual",
    "Watch",
    "generalised_esd",
    "grubbs",
    "hampel",
    "inspect",
    "inspect_charge",
    "iqr_fences",
    "merge",
    "pending",
]
