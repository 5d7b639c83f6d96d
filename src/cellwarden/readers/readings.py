"""Checks of what sensors gave: missing, out of range, dropped out, spiked, frozen, made up."""

from typing import Final

import numpy as np
from jaxtyping import Bool

from cellwarden.domain import Remark, quantity
from cellwarden.readers.block import Block, Tally, times

__all__ = ["Frozen", "Jumps", "Lines", "Missing", "Range"]

_LEAP: Final = 0.2  # of the reading before: less is no spike
_NEARLY_ZERO: Final = 0.05  # of the reading before: a drop to less is a drop-out
_LEAST_DROP_VOLT: Final = 0.5
_LEAST_DROP_CELSIUS: Final = 2.0
_ALIKE: Final = 0.05  # neighbours of a spike agree within this fraction
_KELVIN: Final = 150.0  # no cell is this hot in every row
# Of the reading: what a second difference loses in float32, and in a float64 written as text.
_ROUNDING_SINGLE: Final = 2.0**-21
_ROUNDING_DOUBLE: Final = 2.0**-34
_MOVES: Final = 16.0  # roundings a reading must move to be on a slope at all
_LEAST_MOVING: Final = 100
_STRAIGHT_SHARE: Final = 0.2
_FEW_STEPS: Final = 500  # from lowest to highest reading
_LEAST_RUN: Final = 16  # rows; shorter runs of one reading are common
_FROZEN_SHARE: Final = 0.05  # of all charge that came and went: no voltage stays put that long
_MOST_RUNS: Final = 1000


class Missing:
    """Rows without a reading, and the stretches they form."""

    def __init__(self, name: str) -> None:
        self.needs: tuple[str, ...] = (name,)
        self._name = name
        self._rows = 0
        self._gone = Tally()
        self._stretches = 0
        self._open = 0
        self._longest = (0, 0)

    def feed(self, block: Block) -> None:
        """Look at the next block."""
        gone = np.isnan(block.fresh(self._name))
        self._rows += len(gone)
        if not gone.any():
            self._open = 0
            return
        row = block.row + block.lead
        self._gone.add(gone, row)
        starts, stops = _runs(gone)
        lengths = stops - starts
        joined = self._open if gone[0] else 0
        self._stretches += len(starts) - bool(joined)
        lengths[0] += joined
        longest = int(np.argmax(lengths))
        if lengths[longest] > self._longest[0]:
            begun = row + int(starts[longest]) - (joined if longest == 0 else 0)
            self._longest = (int(lengths[longest]), begun)
        self._open = int(lengths[-1]) if gone[-1] else 0

    def remarks(self) -> list[Remark]:
        """What was odd."""
        gone = self._gone
        if gone.first_row is None:
            return []
        text = f"{gone.count} of {self._rows} rows carry no {self._name}"
        if gone.count > 1:
            many = "stretch" if self._stretches == 1 else "stretches"
            text += (
                f", in {self._stretches} {many}, the longest {self._longest[0]}"
                f" row{'s' if self._longest[0] > 1 else ''} from row {self._longest[1]}"
            )
        return [Remark("missing", text, self._name, gone.count, gone.first_row)]


def _runs(held: Bool[np.ndarray, " row"]) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of True start, and where each has ended."""
    edge = np.flatnonzero(np.diff(held.view(np.int8), prepend=0, append=0))
    return edge[::2], edge[1::2]


class Range:
    """Readings outside what can be true, and columns whose size speaks for another unit."""

    def __init__(self, name: str) -> None:
        self.needs: tuple[str, ...] = (name,)
        self._name = name
        self._wild = Tally()
        self._worst = 0.0
        self._low = np.inf

    def feed(self, block: Block) -> None:
        """Look at the next block."""
        values, limits = block.fresh(self._name), quantity(self._name)
        low = float(np.fmin.reduce(values, initial=np.inf))
        high = float(np.fmax.reduce(values, initial=-np.inf))
        self._low = min(self._low, low)
        if low >= limits.low and high <= limits.high:
            return
        wild = (values < limits.low) | (values > limits.high)
        at = self._wild.add(wild, block.row + block.lead)
        if at >= 0 and self._wild.count == np.count_nonzero(wild):
            self._worst = float(values[at])

    def remarks(self) -> list[Remark]:
        """What was odd."""
        found, limits, wild = [], quantity(self._name), self._wild
        if wild.first_row is not None:
            reading = "reading lies" if wild.count == 1 else "readings lie"
            text = (
                f"{wild.count} {reading} outside {limits.low:g} to {limits.high:g} in {self._name},"
                f" first {self._worst:g} in row {wild.first_row}"
            )
            found.append(Remark("out_of_range", text, self._name, wild.count, wild.first_row))
        if self._name.endswith("_celsius") and _KELVIN < self._low < np.inf:
            text = f"{self._name} is never below {self._low:.5g}: it may be in kelvin"
            found.append(Remark("unit_doubt", text, self._name))
        return found


class Jumps:
    """Readings that drop to nothing, and single ones far from both neighbours."""

    def __init__(self, name: str) -> None:
        self.needs: tuple[str, ...] = (name, "test_time_second")
        self._name = name
        self._volts = name.endswith("_volt")
        self._least = _LEAST_DROP_VOLT if self._volts else _LEAST_DROP_CELSIUS
        self._drops = Tally()
        self._spikes = Tally()
        self._seen = 0.0

    def feed(self, block: Block) -> None:
        """Look at the next block."""
        values = block.columns[self._name]
        before, now = values[:-1], values[1:]
        leap = np.flatnonzero(
            np.abs(now - before) > np.maximum(_LEAP * np.abs(before), self._least)
        )
        if not leap.size:
            return
        # Where time runs back another record begins: its first reading owes nothing to the last.
        time = block.columns["test_time_second"]
        leap = leap[~(time[leap + 1] < time[leap])]
        old, new = values[leap], values[leap + 1]
        # The first leap of the lead was the last one of the block before.
        fresh = leap + 1 >= block.lead
        gone = np.abs(new) < _NEARLY_ZERO * np.abs(old) if self._volts else new == 0
        gone &= np.abs(old) > self._least
        self._drops.add(leap[gone & fresh] + 1, block.row)
        # A spike needs the row after it, so the last row waits for the next block.
        inner = ~gone & (leap + 2 < len(values)) & (leap + 1 >= block.lead - 1)
        at = leap[inner] + 1
        left, right = values[at - 1], values[at + 1]
        alone = np.abs(right - left) <= _ALIKE * np.abs(values[at] - left)
        # Back from a drop-out is no spike.
        first = self._spikes.add(at[alone & (np.abs(left) > _NEARLY_ZERO)], block.row)
        if first >= 0 and self._spikes.first_row == block.row + first:
            self._seen = float(values[first])

    def remarks(self) -> list[Remark]:
        """What was odd."""
        found, drops, spikes = [], self._drops, self._spikes
        if drops.first_row is not None:
            text = (
                f"{self._name} drops to zero {times(drops.count)}, first in row {drops.first_row}"
            )
            found.append(Remark("dropout", text, self._name, drops.count, drops.first_row))
        if spikes.first_row is not None:
            text = (
                f"{self._name} leaps for a single row {times(spikes.count)},"
                f" first to {self._seen:.5g} in row {spikes.first_row}"
            )
            found.append(Remark("spike", text, self._name, spikes.count, spikes.first_row))
        return found


class Lines:
    """Readings on straight lines, which no sensor gives, or in few steps, which some do."""

    def __init__(self, name: str) -> None:
        self.needs: tuple[str, ...] = (name,)
        self._name = name
        self._straight = Tally()
        self._moving = 0
        self._finest = np.inf
        self._low, self._high = np.inf, -np.inf
        self._share = 0.0

    def feed(self, block: Block) -> None:
        """Look at the next block."""
        values = block.columns[self._name]
        if not self._share:
            single = np.array_equal(values.astype(np.float32), values, equal_nan=True)
            self._share = _ROUNDING_SINGLE if single else _ROUNDING_DOUBLE
        self._low = min(self._low, float(np.fmin.reduce(values, initial=np.inf)))
        self._high = max(self._high, float(np.fmax.reduce(values, initial=-np.inf)))
        step = np.diff(values)
        size = np.abs(step)
        rounding = self._share * max(abs(self._low), abs(self._high))
        self._finest = min(self._finest, float(np.min(size, where=size > rounding, initial=np.inf)))
        moves = size > _MOVES * rounding
        self._moving += int(np.count_nonzero(moves[max(block.lead - 1, 0) :]))
        straight = (np.abs(np.diff(step)) <= rounding) & moves[1:]
        self._straight.add(straight, block.row + 1)

    def remarks(self) -> list[Remark]:
        """What was odd."""
        if self._moving < _LEAST_MOVING:
            return []
        wide = self._high - self._low
        rounding = self._share * max(abs(self._low), abs(self._high))
        if self._finest * _FEW_STEPS > wide:
            text = f"{self._name} comes in steps of {self._finest:.2g}"
            return [Remark("coarse", text, self._name)]
        # Readings rounded to a grid lie on lines by chance.
        if self._finest > _MOVES * rounding:
            return []
        straight = self._straight
        if straight.count < _STRAIGHT_SHARE * self._moving:
            return []
        text = (
            f"{self._name} lies on straight lines in {straight.count} of {self._moving} rows that"
            f" move, first in row {straight.first_row}: it looks interpolated"
        )
        return [Remark("interpolated", text, self._name, straight.count, straight.first_row)]


class Frozen:
    """Voltage, current and temperature bit by bit the same while charge flows."""

    needs: tuple[str, ...] = ("test_time_second", "voltage_volt", "current_ampere")
    _others: tuple[str, ...] = ("surface_temperature_celsius",)

    def __init__(self) -> None:
        self._open: tuple[int, float] | None = None  # row and time at which a run began
        self._charge = self._low = self._high = 0.0
        self._held: list[tuple[float, int, int]] = []  # charge, rows, first row

    def feed(self, block: Block) -> None:
        """Look at the next block."""
        time, current = block.linked("test_time_second"), block.linked("current_ampere")
        step = np.diff(time)
        flow = np.where(step > 0, step, 0.0) * current[1:]
        charge = self._charge + np.cumsum(np.nan_to_num(flow))
        if charge.size:
            self._charge = float(charge[-1])
            self._low = min(self._low, float(charge.min()))
            self._high = max(self._high, float(charge.max()))
        same = (np.diff(block.linked("voltage_volt")) == 0) & (np.diff(current) == 0)
        same &= current[1:] != 0
        for name in self._others:
            if name in block.columns:
                same &= np.diff(block.linked(name)) == 0
        self._collect(same, time, np.abs(current), block.linked_row)

    def _collect(
        self, same: Bool[np.ndarray, " step"], time: np.ndarray, size: np.ndarray, row: int
    ) -> None:
        starts, stops = _runs(same)
        if self._open is not None and not (len(starts) and starts[0] == 0):
            self._open = None
        keep = stops - starts >= _LEAST_RUN
        keep[:1] |= self._open is not None
        if len(stops) and stops[-1] == len(same):
            keep[-1] = True
        begun_before, self._open = self._open, None
        for start, stop in zip(starts[keep], stops[keep], strict=True):
            first, begun = row + int(start), float(time[start])
            if start == 0 and begun_before is not None:
                first, begun = begun_before
            rows = row + int(stop) - first
            if rows >= _LEAST_RUN:
                charge = float(size[stop]) * (float(time[stop]) - begun)
                # A run that goes on was noted at its first part: the longer one replaces it.
                self._held = [held for held in self._held if held[2] != first]
                self._held.append((charge, rows, first))
            if stop == len(same):
                self._open = (first, begun)
        if len(self._held) > _MOST_RUNS:
            self._held = sorted(self._held)[-_MOST_RUNS:]

    def remarks(self) -> list[Remark]:
        """What was odd."""
        least = _FROZEN_SHARE * (self._high - self._low)
        found = sorted((held for held in self._held if held[0] > least > 0), key=lambda h: h[2])
        if not found:
            return []
        longest = max(found, key=lambda held: held[1])
        text = (
            f"readings are frozen while charge flows in {len(found)}"
            f" stretch{'es' if len(found) > 1 else ''}, the longest {longest[1]} rows"
            f" from row {longest[2]}"
        )
        return [Remark("frozen", text, "voltage_volt", len(found), found[0][2])]
