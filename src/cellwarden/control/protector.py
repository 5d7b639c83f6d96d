"""The hardware protector stays the last line: what Cellwarden may never be set to loosen.

A pack's protector (a chip that opens the contactors by itself) has limits of its own. Cellwarden
acts before it or not at all:
- a configuration whose widest tier lies outside the protector's limits is refused (`check`);
- so is a fault table that would not open the contactors inside them;
- what a step allows in the end is the least of its own limit, the protector's and every order
  (`clamp`), whatever came before.
"""

import math
from typing import Final, NamedTuple

from cellwarden.control.fault_table import FaultRow
from cellwarden.control.signals import Signal
from cellwarden.domain import CellLimits, Pack, Reaction
from cellwarden.errors import UsageError

__all__ = ["check", "clamp"]

_HINT: Final = "The protector stays the last line: put limits inside its own, or on them."


class _Edge(NamedTuple):
    """One limit of the protector and the signal that must open contactors inside it."""

    field: str
    signal: Signal
    low: bool
    by_parallel: bool = False


_S: Final = Signal
_EDGES: Final = (
    _Edge("high_voltage_volt", _S.HIGH_CELL_VOLTAGE, low=False),
    _Edge("low_voltage_volt", _S.LOW_CELL_VOLTAGE, low=True),
    _Edge("high_charge_current_ampere", _S.CHARGE_CURRENT, low=False, by_parallel=True),
    _Edge("high_discharge_current_ampere", _S.DISCHARGE_CURRENT, low=False, by_parallel=True),
    _Edge("high_charge_temperature_celsius", _S.HIGH_CHARGE_TEMPERATURE, low=False),
    _Edge("low_charge_temperature_celsius", _S.LOW_CHARGE_TEMPERATURE, low=True),
    _Edge("high_discharge_temperature_celsius", _S.HIGH_DISCHARGE_TEMPERATURE, low=False),
    _Edge("low_discharge_temperature_celsius", _S.LOW_DISCHARGE_TEMPERATURE, low=True),
)
_ROUNDING: Final = 1e-9


def check(pack: Pack, rows: tuple[FaultRow, ...], protector: CellLimits) -> None:
    """Nothing, where tiers and table stay inside the protector's limits.

    Raises:
        UsageError: a tier or the table reaches beyond the protector.
    """
    if not all(math.isfinite(getattr(protector, edge.field)) for edge in _EDGES):
        raise UsageError(
            "a limit of the protector is no number", hint="Take all from its data sheet."
        )
    if not pack.cell.limits.maximum.within(protector):
        raise UsageError("the maximum tier is wider than the protector's limits", hint=_HINT)
    for edge in _EDGES:
        limit = getattr(protector, edge.field)
        limit *= pack.parallel_count if edge.by_parallel else 1
        if not any(_opens_inside(row, edge, limit) for row in rows):
            raise UsageError(
                f"no row of the fault table opens contactors inside the protector's {edge.field}",
                hint=_HINT,
            )


def _opens_inside(row: FaultRow, edge: _Edge, limit: float) -> bool:
    if (row.signal, row.low, row.reaction) != (edge.signal, edge.low, Reaction.OPEN):
        return False
    return row.limit >= limit - _ROUNDING if edge.low else row.limit <= limit + _ROUNDING


def clamp(wanted: float, *most: float) -> float:
    """The least of what is wanted and what is allowed; at least 0, and 0 for what is no number."""
    least = min(wanted, *most)
    # `min` keeps or drops NaN by its place: each has to be looked at.
    known = not any(math.isnan(value) for value in (wanted, *most))
    return max(least, 0.0) if known else 0.0
