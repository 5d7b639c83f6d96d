"""What the control step asks of a pack."""

from dataclasses import dataclass
from typing import Final

__all__ = ["CLOSED", "OPEN", "Command", "Contactors"]


@dataclass(frozen=True, slots=True)
class Contactors:
    """Which switches of the pack's power path are driven; the precharge path is beside plus."""

    plus_closed: bool
    minus_closed: bool
    precharge_closed: bool = False

    @property
    def closed(self) -> bool:
        """Whether the whole current may flow."""
        return self.plus_closed and self.minus_closed

    @property
    def any_closed(self) -> bool:
        """Whether any coil is driven."""
        return self.plus_closed or self.minus_closed or self.precharge_closed


OPEN: Final = Contactors(plus_closed=False, minus_closed=False)
CLOSED: Final = Contactors(plus_closed=True, minus_closed=True)


@dataclass(frozen=True, slots=True)
class Command:
    """Limits and switches for the next moment; a command may only tighten a limit.

    Currents are magnitudes, by direction. `charge_voltage_volt` and `charge_current_ampere` are
    what a charger is asked for, zero where the pack does not want to be charged.
    """

    contactors: Contactors
    high_charge_current_ampere: float
    high_discharge_current_ampere: float
    balance: tuple[bool, ...] = ()
    cooling_fraction: float = 0.0
    charge_voltage_volt: float = 0.0
    charge_current_ampere: float = 0.0

    @property
    def contactors_closed(self) -> bool:
        """Whether the whole current may flow."""
        return self.contactors.closed
