"""A pack shown on CAN: our own messages, or those that inverters expect.

A CAN bus has no identity and no encryption: it is for the wires inside one cabinet.
"""

from typing import Final, Literal

import numpy as np

from cellwarden.edge.drivers.can_messages import encode_pack
from cellwarden.edge.drivers.line import Bus
from cellwarden.edge.outputs.inverter import encode_inverter
from cellwarden.edge.outputs.view import PackView

__all__ = ["CanOutput", "Profile"]

Profile = Literal["cellwarden", "inverter"]
_INVERTER_SECOND: Final = 1.0


class CanOutput:
    """Sends each view as frames; an inverter's at most once a second."""

    def __init__(self, bus: Bus, profile: Profile = "cellwarden") -> None:
        self._bus = bus
        self._profile = profile
        self._count = 0
        self._sent_second = -np.inf

    def show(self, view: PackView) -> None:
        """Send what this view says.

        Raises:
            UnavailableError: the bus is down.
        """
        if self._profile == "inverter":
            if self._bus.now() - self._sent_second >= _INVERTER_SECOND:
                self._sent_second = self._bus.now()
                for frame in encode_inverter(view):
                    self._bus.send(frame)
            return
        allowed = view.allowance
        for frame in encode_pack(
            view.frame,
            self._count,
            contactors=view.command.contactors if view.command else None,
            estimates={
                "soc_fraction": view.soc_fraction,
                "soc_std_fraction": view.soc_std_fraction,
                "soh_fraction": view.soh_fraction,
            },
            limits=(allowed.charge_ampere, allowed.discharge_ampere)
            if allowed
            else (np.nan, np.nan),
        ):
            self._bus.send(frame)
        self._count += 1

    def close(self) -> None:
        """Leave the bus."""
        self._bus.close()
