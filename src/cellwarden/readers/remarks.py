"""What a record shows and a reader leaves as it is, noticed in one pass over its rows.

Rules
- Rows may come in any pieces: they are looked at in blocks of `_BLOCK` rows counted from the
  first, so that a record read in parts gets the very remarks it gets when read at once.
- What is kept between blocks is bounded, however long the record.
"""

from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Remark
from cellwarden.readers.block import Block, Check
from cellwarden.readers.clocks import Apart, Clock, Gaps, Span
from cellwarden.readers.counters import Charge, Resets
from cellwarden.readers.readings import Frozen, Jumps, Lines, Missing, Range

__all__ = ["Watch", "observe"]

_BLOCK: Final = 1 << 16
_LEAD: Final = 2  # rows of the block before that a second difference needs

_Column = Float64[np.ndarray, " time"]


class Watch:
    """Looks at rows as they come; `close` says what was odd."""

    def __init__(self, *, block: int = _BLOCK) -> None:
        self.block = block
        self._checks: list[Check] = []
        self._waiting: dict[str, _Column] = {}
        self._lead = 0
        self._row = 1

    def feed(self, columns: dict[str, _Column]) -> None:
        """Take further rows of the same columns, in units of `Series`; positive current charges."""
        if not self._checks:
            self._checks = _checks(columns)
            joined = columns
        elif len(next(iter(self._waiting.values()))):
            joined = {n: np.concatenate((self._waiting[n], c)) for n, c in columns.items()}
        else:
            joined = columns
        count = len(joined["test_time_second"])
        start = 0
        while count - start - self._lead >= self.block:
            self._look(joined, start, start + self._lead + self.block)
            start += self.block + self._lead - _LEAD
            self._lead = _LEAD
        # A copy: the rows behind it must not be kept in memory.
        self._waiting = {name: column[start:].copy() for name, column in joined.items()}

    def _look(self, columns: dict[str, _Column], start: int, stop: int) -> None:
        cut = {name: column[start:stop] for name, column in columns.items()}
        block = Block(cut, self._row - self._lead, self._lead)
        # Numbers at the edge of what a double holds are remarked on, not warned of.
        with np.errstate(over="ignore", invalid="ignore"):
            for check in self._checks:
                check.feed(block)
        self._row += stop - start - self._lead

    def close(self) -> tuple[Remark, ...]:
        """All that was odd; rows count from 1."""
        rest = len(self._waiting.get("test_time_second", ()))
        if rest > self._lead:
            self._look(self._waiting, 0, rest)
        self._waiting = {}
        return tuple(remark for check in self._checks for remark in check.remarks())


def _checks(columns: dict[str, _Column]) -> list[Check]:
    names = tuple(columns)
    found: list[Check] = [Clock(name) for name in ("test_time_second", "unix_time_second")]
    found += [Gaps(), Apart(), Span()]
    found += [Range(name) for name in names]
    found += [Missing(name) for name in names]
    found += [Jumps(name) for name in names if name.endswith(("_volt", "_celsius"))]
    found += [Lines("voltage_volt"), Frozen(), Charge()]
    found += [Resets(name) for name in names if name.endswith(("_ah", "_wh", "cycle_count"))]
    return [check for check in found if set(check.needs) <= set(names)]


def observe(columns: dict[str, _Column]) -> tuple[Remark, ...]:
    """One remark for each thing that is odd in a whole record; rows count from 1."""
    watch = Watch()
    watch.feed(columns)
    return watch.close()
