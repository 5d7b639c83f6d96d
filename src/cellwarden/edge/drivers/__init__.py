"""Ways to a pack: the seam, and drivers for records and for the twin."""

from cellwarden.edge.drivers.replay import ReplayDriver
from cellwarden.edge.drivers.seam import Driver, Live

__all__ = ["Driver", "Live", "ReplayDriver"]
