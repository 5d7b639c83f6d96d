"""Checks of a record's two clocks: the time of the test and the time of day."""

from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import Remark
from cellwarden.readers.block import Block, Tally, times

__all__ = ["Apart", "Clock", "Gaps", "Span"]

_TEST: Final = "test_time_second"
_UNIX: Final = "unix_time_second"
_TITLES: Final = {_TEST: "test time", _UNIX: "clock"}
_GAP_SECOND: Final = 3600.0
_GAP_STEPS: Final = 100.0  # a slow logger's step is no gap
_CLOCK_SLACK: Final = 0.01  # two clocks part by this fraction before it is worth a word
_CLOCK_SLACK_SECOND: Final = 120.0
_YEAR_SECOND: Final = 31_557_600.0
_LONGEST_YEARS: Final = 10.0  # longer than any cell was cycled
# A positive double's leading bits are its size on a logarithmic scale: 32 bins an octave.
_BIN_SHIFT: Final = 47
_LOWEST_BIN: Final = int(np.float64(2.0**-30).view(np.int64)) >> _BIN_SHIFT
_BINS: Final = 32 * 80

_Column = Float64[np.ndarray, " time"]


class Clock:
    """Time stamps that fall or stand still, and rows that are there twice."""

    def __init__(self, name: str) -> None:
        self.needs: tuple[str, ...] = (name, "voltage_volt", "current_ampere")
        self._name = name
        self._back = Tally()
        self._still = Tally()
        self._twice = Tally()
        self._seen = (0.0, 0.0)

    def feed(self, block: Block) -> None:
        """Look at the next block."""
        time = block.linked(self._name)
        step = np.diff(time)
        if not step.size or float(np.min(step)) > 0:
            return
        row = block.linked_row
        known = self._back.count
        at = self._back.add(step < 0, row)
        if at >= 0 and not known:
            self._seen = (float(time[at]), float(time[at + 1]))
        still = np.flatnonzero(step == 0)
        self._still.add(still, row)
        if self._name == _TEST and still.size:
            volt, ampere = block.linked("voltage_volt"), block.linked("current_ampere")
            same = (volt[still] == volt[still + 1]) & (ampere[still] == ampere[still + 1])
            self._twice.add(still[same], row)

    def remarks(self) -> list[Remark]:
        """What was odd."""
        title, found = _TITLES[self._name], []
        back, still, twice = self._back, self._still, self._twice
        if back.first_row is not None:
            text = (
                f"{title} runs backwards {times(back.count)}, first from row {back.first_row} to"
                f" {back.first_row + 1} ({self._seen[0]:.10g} s, then {self._seen[1]:.10g} s)"
            )
            found.append(Remark("backward_time", text, self._name, back.count, back.first_row + 1))
        if still.first_row is not None:
            text = (
                f"{title} stands still {times(still.count)}: a row has the time of the row before,"
                f" first row {still.first_row + 1}"
            )
            found.append(Remark("still_time", text, self._name, still.count, still.first_row + 1))
        if twice.first_row is not None:
            text = (
                f"{twice.count} rows repeat the row before, time, voltage and current,"
                f" first row {twice.first_row + 1}"
            )
            found.append(Remark("repeated_row", text, "", twice.count, twice.first_row + 1))
        return found


class Gaps:
    """Long times without a row, as the test's clock or else the other one tells them."""

    needs: tuple[str, ...] = (_TEST,)

    def __init__(self) -> None:
        self._steps = {name: _Steps() for name in (_TEST, _UNIX)}

    def feed(self, block: Block) -> None:
        """Look at the next block."""
        for name, steps in self._steps.items():
            if name in block.columns:
                steps.feed(np.diff(block.linked(name)), block.linked_row)

    def remarks(self) -> list[Remark]:
        """What was odd; two clocks see the same gap, and the test's own is the finer."""
        for name, steps in self._steps.items():
            found = steps.remark(name)
            if found is not None:
                return [found]
        return []


class _Steps:
    """Steps of a clock by size, as far as gaps and the usual step need it."""

    def __init__(self) -> None:
        self._sizes: Int64[np.ndarray, " bin"] = np.zeros(_BINS, dtype=np.int64)
        # Of each size of gap: how many, the longest and its row, the row of the first.
        self._long: dict[int, tuple[int, float, int, int]] = {}

    def feed(self, step: _Column, row: int) -> None:
        ahead = step if step.size and step.min() > 0 else step[step > 0]
        if not ahead.size:
            return
        bins = (ahead.view(np.int64) >> _BIN_SHIFT) - _LOWEST_BIN
        self._sizes += np.bincount(np.clip(bins, 0, _BINS - 1), minlength=_BINS)
        for at in np.flatnonzero(step > _GAP_SECOND):
            size = float(step[at])
            index = (int(step[at : at + 1].view(np.int64)[0]) >> _BIN_SHIFT) - _LOWEST_BIN
            count, longest, where, first = self._long.get(index, (0, 0.0, 0, row + int(at)))
            if size > longest:
                longest, where = size, row + int(at)
            self._long[index] = (count + 1, longest, where, first)

    def remark(self, name: str) -> Remark | None:
        whole = np.cumsum(self._sizes)
        if not whole[-1]:
            return None
        middle = _edge(int(np.searchsorted(whole, whole[-1] / 2)))
        limit, least = _GAP_SECOND, 0
        if middle * _GAP_STEPS > _GAP_SECOND:
            least = (int(np.float64(middle * _GAP_STEPS).view(np.int64)) >> _BIN_SHIFT) + 1
            least -= _LOWEST_BIN
            limit = _edge(least)
        kept = [entry for index, entry in self._long.items() if index >= least]
        if not kept:
            return None
        count = sum(entry[0] for entry in kept)
        _, longest, where, _ = max(kept, key=lambda entry: entry[1])
        text = (
            f"{_TITLES[name]} has {count} gap{'s' if count > 1 else ''} over {limit:.0f} s,"
            f" the longest {longest:.0f} s after row {where}"
        )
        return Remark("gap", text, name, count, min(entry[3] for entry in kept))


def _edge(index: int) -> float:
    """The lower edge of a bin of sizes."""
    return float(np.int64((index + _LOWEST_BIN) << _BIN_SHIFT).view(np.float64))


class Apart:
    """Two clocks that span different times."""

    needs: tuple[str, ...] = (_TEST, _UNIX)

    def __init__(self) -> None:
        self._ends: list[tuple[float, float]] = []

    def feed(self, block: Block) -> None:
        """Look at the next block."""
        time, clock = block.fresh(_TEST), block.fresh(_UNIX)
        both = np.flatnonzero(np.isfinite(time + clock))
        if both.size:
            ends = [(float(time[at]), float(clock[at])) for at in (both[0], both[-1])]
            self._ends = [(self._ends or ends)[0], ends[1]]

    def remarks(self) -> list[Remark]:
        """What was odd."""
        if not self._ends:
            return []
        spans = [last - first for first, last in zip(*self._ends, strict=True)]
        apart = abs(spans[0] - spans[1])
        if apart <= max(_CLOCK_SLACK_SECOND, _CLOCK_SLACK * max(map(abs, spans))):
            return []
        text = f"test time spans {spans[0]:.0f} s where the clock spans {spans[1]:.0f} s"
        return [Remark("clocks_apart", text, _TEST)]


class Span:
    """A test longer than any: its time is likely in another unit."""

    needs: tuple[str, ...] = (_TEST,)

    def __init__(self) -> None:
        self._low, self._high = np.inf, -np.inf

    def feed(self, block: Block) -> None:
        """Look at the next block."""
        time = block.fresh(_TEST)
        self._low = min(self._low, float(np.fmin.reduce(time, initial=np.inf)))
        self._high = max(self._high, float(np.fmax.reduce(time, initial=-np.inf)))

    def remarks(self) -> list[Remark]:
        """What was odd."""
        years = (self._high - self._low) / _YEAR_SECOND
        if not years > _LONGEST_YEARS:
            return []
        text = f"test time spans {years:.1f} years: its unit may be another than stated"
        return [Remark("unit_doubt", text, _TEST)]
