"""Cells made of equations."""

from cellwarden.physics.circuit import Circuit, CircuitState, circuit_of
from cellwarden.physics.config import TwinConfig
from cellwarden.physics.fault import Fault, FaultKind
from cellwarden.physics.twin import Truth, Twin

__all__ = [
    "Circuit",
    "CircuitState",
    "Fault",
    "FaultKind",
    "Truth",
    "Twin",
    "TwinConfig",
    "circuit_of",
]
