"""A fixed cycle without drift: when the next one is due, and what came late.

Rules
- Cycle n is due at start + n * period, however long the ones before took.
- A cycle that ends after the next one was due is an overrun. What was missed is not made up for:
  the next cycle is the next one that is still ahead, in step with the first.
"""

import math
from dataclasses import dataclass

__all__ = ["Pace"]


@dataclass(slots=True)
class Pace:
    """Counts cycles on a steady clock; times are that clock's. [s]"""

    period_second: float
    start_second: float
    cycle_count: int = 0
    overrun_count: int = 0
    missed_count: int = 0
    longest_second: float = 0.0
    _index: int = 0

    @property
    def due_second(self) -> float:
        """When the next cycle begins. [s]"""
        return self.start_second + self._index * self.period_second

    def end(self, began_second: float, now_second: float) -> float:
        """A cycle has ended: how long to wait for the next one. [s]"""
        self.cycle_count += 1
        self.longest_second = max(self.longest_second, now_second - began_second)
        self._index += 1
        if now_second > self.due_second:
            self.overrun_count += 1
            ahead = math.ceil((now_second - self.start_second) / self.period_second)
            self.missed_count += ahead - self._index
            self._index = ahead
        return max(self.due_second - now_second, 0.0)

    def take(self) -> "Pace":
        """The counts since they were taken last, which begin anew."""
        told = Pace(
            self.period_second,
            self.start_second,
            self.cycle_count,
            self.overrun_count,
            self.missed_count,
            self.longest_second,
        )
        self.cycle_count = self.overrun_count = self.missed_count = 0
        self.longest_second = 0.0
        return told
