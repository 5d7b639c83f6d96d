"""What a train of current pulses tells of a cell, from the voltages before and after each edge.

Rules
- The voltages alternate: rest, then for each pulse its start and end, the start and end of the rest
  after it. Their steps are the ohmic parts (at an edge of the current) and the polarisation and
  relaxation (between edges), each proportional to a resistance at its rate.
- A resistance changes by a share of itself, so steps are offered as logarithms too.
- `choices` says which columns go together; each has the state of charge that the cell was set to.

Source: S. Tao et al., Nature Communications 15 (2024), doi 10.1038/s41467-024-54454-0, for the
train of pulses.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from jaxtyping import Float64

__all__ = ["COLUMNS", "choices", "pulse_columns"]

_VOLTAGES: Final = tuple(f"U{k}" for k in range(1, 22))
_STEPS: Final = tuple(f"step_{k - 1}_{k}_volt" for k in range(2, 22))
_SIZES: Final = tuple(f"step_{k - 1}_{k}_log_volt" for k in range(2, 22))
_SMALLEST_VOLT: Final = 1e-4
COLUMNS: Final = (*_VOLTAGES, *_STEPS, *_SIZES)


def choices(charge: str) -> Mapping[str, tuple[str, ...]]:
    """Which columns to offer together; `charge` names the one of the state of charge."""
    return {
        "voltages": (charge, *_VOLTAGES),
        "steps": (charge, _VOLTAGES[0], *_STEPS),
        "sizes of steps": (charge, _VOLTAGES[0], *_SIZES),
    }


def pulse_columns(
    voltage_volt: Float64[np.ndarray, "row 21"],
) -> Float64[np.ndarray, "row column"]:
    """The values of `COLUMNS` from the voltages U1 to U21. [V, log V]"""
    steps = np.diff(voltage_volt, axis=1)
    sizes = np.log(np.maximum(np.abs(steps), _SMALLEST_VOLT))
    return np.hstack([voltage_volt, steps, sizes])
