"""Ways to a pack: the seam, and drivers for records, the twin and live devices."""

from cellwarden.edge.drivers.field import Field
from cellwarden.edge.drivers.polled import Layout, PolledDriver
from cellwarden.edge.drivers.replay import ReplayDriver
from cellwarden.edge.drivers.seam import Driver, Live

__all__ = ["Driver", "Field", "Layout", "Live", "PolledDriver", "ReplayDriver"]
