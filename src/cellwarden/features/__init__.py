"""Series in, numbers out; pure."""

from cellwarden.features.capacity import Capacities, capacities
from cellwarden.features.charging import Charges, charges
from cellwarden.features.cycles import Runs, Samples, cut, samples
from cellwarden.features.limits import Limits, settled
from cellwarden.features.steps import steps
from cellwarden.features.summary import cycle_table, cycles_of

__all__ = [
    "Capacities",
    "Charges",
    "Limits",
    "Runs",
    "Samples",
    "capacities",
    "charges",
    "cut",
    "cycle_table",
    "cycles_of",
    "samples",
    "settled",
    "steps",
]
