"""Checks of a tester's own counters: charge, energy and cycles."""

from typing import Final

import numpy as np

from cellwarden.domain import Remark
from cellwarden.readers.block import Block, Tally, times

__all__ = ["Charge", "Resets"]

_WAYS: Final = (("charging_capacity_ah", 1.0), ("discharging_capacity_ah", -1.0))
_APART: Final = 0.25  # of the greater charge; rows too sparse for the current differ less
_LEAST_SHARE: Final = 0.05  # of all charge: less of one way is noise
_LONGEST_STEP_SECOND: Final = 3600.0  # across a gap the current is not known


class Resets:
    """Counters that fall: charge and energy begin anew, a cycle number should not."""

    def __init__(self, name: str) -> None:
        self.needs: tuple[str, ...] = (name,)
        self._name = name
        self._falls = Tally()

    def feed(self, block: Block) -> None:
        """Look at the next block."""
        step = np.diff(block.linked(self._name))
        if step.size and not np.min(step) >= 0:
            self._falls.add(step < 0, block.linked_row + 1)

    def remarks(self) -> list[Remark]:
        """What was odd."""
        falls = self._falls
        if falls.first_row is None:
            return []
        kind = "backward_cycle" if self._name == "cycle_count" else "counter_reset"
        text = f"{self._name} falls {times(falls.count)}, first in row {falls.first_row}"
        return [Remark(kind, text, self._name, falls.count, falls.first_row)]


class Charge:
    """Charge as the tester counted it against charge as its current tells it."""

    needs: tuple[str, ...] = ("test_time_second", "current_ampere")

    def __init__(self) -> None:
        self._counted = dict.fromkeys((name for name, _ in _WAYS), 0.0)
        self._flowed = dict.fromkeys(self._counted, 0.0)
        self._unsure = dict.fromkeys(self._counted, 0.0)

    def feed(self, block: Block) -> None:
        """Look at the next block."""
        present = [(name, way) for name, way in _WAYS if name in block.columns]
        if not present:
            return
        hours = np.diff(block.linked("test_time_second")) / 3600.0
        hours = np.where((hours > 0) & (hours * 3600.0 <= _LONGEST_STEP_SECOND), hours, 0.0)
        current = np.nan_to_num(block.linked("current_ampere"))
        for name, way in present:
            flow = np.maximum(way * current, 0.0)
            ends = (flow[:-1] * hours, flow[1:] * hours)
            rise = np.diff(block.linked(name))
            rise = np.where((rise > 0) & (hours > 0), rise, 0.0)
            self._counted[name] += float(np.sum(rise))
            self._flowed[name] += float(np.sum(ends[0] + ends[1])) / 2
            # Between two rows the current may have been either; both bound what flowed.
            self._unsure[name] += float(np.sum(np.abs(ends[0] - ends[1]))) / 2

    def remarks(self) -> list[Remark]:
        """What was odd."""
        whole = sum(self._flowed.values()) + sum(self._counted.values())
        found = []
        for name, counted in self._counted.items():
            flowed, unsure = self._flowed[name], self._unsure[name]
            if not counted or max(counted, flowed) < _LEAST_SHARE * whole:
                continue
            if abs(counted - flowed) - unsure > _APART * max(counted, flowed):
                text = (
                    f"{name} counts {counted:.4g} Ah where the current gives {flowed:.4g} Ah:"
                    " a unit may be another than stated"
                )
                found.append(Remark("charge_apart", text, name))
        return found
