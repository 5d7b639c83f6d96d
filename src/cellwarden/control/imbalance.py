"""How much charge each cell has too much, told apart from cells that merely hold less.

    room = (p - s) Q,  excess = largest room of all cells - room

p is the charge at which cells are to stand level, s a cell's charge, Q its capacity.

Rules
- Cells of unequal capacity can stand level at one charge only: at the top, unless the maker of the
  pack chooses another. There an aged cell has no excess at any charge, though its voltage leaves
  the others' as soon as the pack is discharged; that difference is age, and no bleeding mends it.
- The error of an excess is that of charge and of capacity: sd² = (Q sd_s)² + ((p - s) sd_Q)², its
  own and that of the cell with the largest room. So a capacity that is not known leaves the excess
  open until the pack comes near p.
- From a voltage after a rest the charge follows by the chemistry's curve, and its error is how far
  the error of sensor and rest moves it there: on a flat curve it says nothing, and shows it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Charge, Chemistry, Condition

__all__ = ["Excess", "charge_at_rest", "excess_of", "level_of"]

_CAPACITY_STD: Final = 0.02  # of the label, where no error of the capacity is stated
_BLIND_STD: Final = 0.1  # of the label, where the capacity is not known
_BLIND: Final = 0.9  # of the label, likewise
_REST_STD_VOLT: Final = 0.003  # sensor, rest and cells that differ

Cells = Float64[np.ndarray, " cell"]


@dataclass(frozen=True, slots=True, eq=False)
class Excess:
    """Charge that each cell has more than the one with the largest room, and its error."""

    charge_ah: Cells
    std_ah: Cells
    room_ah: Cells


def excess_of(
    charge: Charge, condition: Condition | None, nominal_capacity_ah: float, level_fraction: float
) -> Excess:
    """Excess of each cell; NaN where its charge is not known. [Ah]"""
    soc, doubt = charge.soc_fraction, charge.soc_std_fraction
    capacity, unsure = _capacity(condition, nominal_capacity_ah, len(soc))
    room = (level_fraction - soc) * capacity
    std = np.hypot(capacity * doubt, (level_fraction - soc) * unsure)
    known = np.isfinite(room) & np.isfinite(std)
    room = np.where(known, room, np.nan)
    if not known.any():
        return Excess(room, std, room)
    at = int(np.nanargmax(room))
    total = np.hypot(std, std[at])
    total[at] = 0.0
    return Excess(room[at] - room, total, room)


def _capacity(condition: Condition | None, nominal: float, count: int) -> tuple[Cells, Cells]:
    if condition is None or len(condition.capacity_ah) != count:
        return np.full(count, _BLIND * nominal), np.full(count, _BLIND_STD * nominal)
    capacity, std = condition.capacity_ah, condition.capacity_std_ah
    known = np.isfinite(capacity) & (capacity > 0.0)
    stated = np.full(count, _CAPACITY_STD * nominal) if std is None else std
    sure = known & np.isfinite(stated)
    return (
        np.where(known, capacity, _BLIND * nominal),
        np.where(sure, stated, _BLIND_STD * nominal),
    )


def charge_at_rest(chemistry: Chemistry, unix_time_second: float, cell_volt: Cells) -> Charge:
    """Charge by the open-circuit curve after a long rest, with its error. [1]"""
    grid, curve = chemistry.ocv_soc_fraction, chemistry.ocv_volt
    low, soc, high = (
        np.interp(cell_volt + off, curve, grid)  # NaN stays NaN
        for off in (-_REST_STD_VOLT, 0.0, _REST_STD_VOLT)
    )
    zero = np.zeros(len(soc))
    return Charge(unix_time_second, soc, np.maximum(high - soc, soc - low), zero, zero)


def level_of(room_ah: Cells, efficiency_fraction: float) -> float:
    """The room at which all cells stand when charge is carried at that efficiency. [Ah]"""
    low, high = float(np.nanmin(room_ah)), float(np.nanmax(room_ah))
    for _ in range(50):
        middle = 0.5 * (low + high)
        needed = np.nansum(np.maximum(room_ah - middle, 0.0))
        given = np.nansum(np.maximum(middle - room_ah, 0.0))
        low, high = (middle, high) if needed > efficiency_fraction * given else (low, middle)
    return 0.5 * (low + high)
