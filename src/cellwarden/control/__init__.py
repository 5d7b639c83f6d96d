"""What the pack does next: its state machine, what is wrong with it, and what it is allowed."""

from cellwarden.control.diagnose import Diagnostics, DiagnosticsState, diagnostics_of
from cellwarden.control.fault_rows import fault_rows
from cellwarden.control.fault_table import FaultRow
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
    "Diagnostics",
    "DiagnosticsState",
    "Event",
    "FaultRow",
    "MachineConfig",
    "MachineState",
    "Mode",
    "Move",
    "Ruling",
    "Situation",
    "Target",
    "diagnostics_of",
    "fault_rows",
    "machine_of",
    "situation_of",
]
