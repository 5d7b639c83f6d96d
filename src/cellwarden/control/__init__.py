"""What the pack does next: its state machine, and what it is allowed."""

from cellwarden.control.machine_state import (
    MachineConfig,
    MachineState,
    Move,
    Ruling,
    machine_of,
)
from cellwarden.control.mode import TABLE, Event, Mode, Target
from cellwarden.control.situation import Situation, situation_of

__all__ = [
    "TABLE",
    "Event",
    "MachineConfig",
    "MachineState",
    "Mode",
    "Move",
    "Ruling",
    "Situation",
    "Target",
    "machine_of",
    "situation_of",
]
