"""What the control step asks of a pack."""

from dataclasses import dataclass

__all__ = ["Command"]


@dataclass(frozen=True, slots=True)
class Command:
    """Limits and switches for the next moment; a command may only tighten a limit."""

    contactors_closed: bool
    high_charge_current_ampere: float
    high_discharge_current_ampere: float
    balance: tuple[bool, ...] = ()
    cooling_fraction: float = 0.0
