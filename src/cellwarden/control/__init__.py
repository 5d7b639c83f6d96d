"""What the pack does next: what is wrong with it."""

from cellwarden.control.diagnose import Diagnostics, DiagnosticsState, diagnostics_of
from cellwarden.control.fault_rows import fault_rows
from cellwarden.control.fault_table import FaultRow

__all__ = ["Diagnostics", "DiagnosticsState", "FaultRow", "diagnostics_of", "fault_rows"]
