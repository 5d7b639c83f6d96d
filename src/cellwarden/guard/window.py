"""The rows a rule looks at: a batch with the few rows before it, and what all rules ask of them.

Rules
- A number that cannot be true has been told by `bounds` and is a gap from here on.
- Rules that look ahead judge a row once, when its `REACH` next rows are there; the last rows of a
  batch wait in the tail for the next one.
- Where no pack is given, its capacity is taken as a third of the greatest current seen so far:
  smaller than the truth in use, and a small capacity makes the rules lenient.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float, Float64

from cellwarden.domain import Frames, Pack, quantity

__all__ = ["REACH", "SIBLING_COUNT", "Window", "clean", "look", "middle"]

REACH: Final = 3
SIBLING_COUNT: Final = 3  # from this many on, the median is a witness against one of them
_NOMINAL_VOLT: Final = 3.7  # tells a pack's length where nobody states it


@dataclass(frozen=True, slots=True)
class Window:
    """A batch behind its context.

    `volt` is the voltage of each cell, or the pack's divided by its length where cells are not
    read; `signal` says which. `median_volt` is the row's median of it, `capacity_ah` zero as
    long as nothing is known.
    """

    frames: Frames
    context_count: int
    signal: str
    series_count: int
    volt: Float[np.ndarray, "time item"]
    median_volt: Float[np.ndarray, " time"]
    capacity_ah: Float64[np.ndarray, " time"]

    @property
    def time(self) -> Float64[np.ndarray, " time"]:
        """Time of each row, context included. [s]"""
        return self.frames.unix_time_second

    @property
    def siblings(self) -> bool:
        """Whether there are enough cells to judge one by the others."""
        return bool(self.volt.shape[1] >= SIBLING_COUNT)


def clean(frames: Frames) -> Frames:
    """The same rows with gaps where a number cannot be true."""
    mended = {}
    for name, column in frames.columns().items():
        row = quantity(name)
        if row.sensed:
            false = (column < row.low) | (column > row.high)
            if false.any():
                mended[name] = np.where(false, np.float32(np.nan), column)
    return replace(frames, **mended) if mended else frames


def look(
    frames: Frames,
    pack: Pack | None,
    tail: Frames | None = None,
    peak_ampere: float = 0.0,
    series_count: int = 0,
) -> tuple[Window, Frames, float]:
    """A window on clean frames, the tail to keep for the next, the greatest current before it. [A]

    `series_count` is the length found earlier, zero where none was. The tail is dropped where the
    new rows have other columns or an earlier time.
    """
    block = frames if tail is None else _join(tail, frames)
    peak = np.fmax.accumulate(np.fmax(np.abs(block.current_ampere), peak_ampere))
    cells = block.cell_voltage_volt
    if cells.shape[1]:
        signal, volt, length = "cell_voltage_volt", cells, cells.shape[1]
    else:
        length = series_count or _length(block)
        if pack is not None:
            length = pack.series_count
        signal, volt = "voltage_volt", (block.voltage_volt / np.float32(max(length, 1)))[:, None]
    capacity = peak.astype(np.float64) / 3
    if pack is not None:
        capacity = np.full(len(block), pack.nominal_capacity_ah, dtype=np.float64)
    window = Window(
        frames=block,
        context_count=len(block) - len(frames),
        signal=signal,
        series_count=length,
        volt=volt,
        median_volt=middle(volt),
        capacity_ah=capacity,
    )
    keep = max(len(block) - 2 * REACH, 0)
    kept = {name: column[keep:].copy() for name, column in block.columns().items()}
    return window, replace(block, **kept), float(peak[keep - 1]) if keep else peak_ampere


def middle(rows: Float[np.ndarray, "time item"]) -> Float[np.ndarray, " time"]:
    """Median of each row over the readings that are there. [unit of the rows]

    A sort puts gaps last, which is many times faster than `numpy.nanmedian` on wide rows.
    """
    if rows.shape[1] == 1:
        return rows[:, 0]
    if not rows.shape[1]:
        return np.full(len(rows), np.nan, dtype=rows.dtype)
    ranked = np.sort(rows, axis=1)
    count = np.count_nonzero(np.isfinite(rows), axis=1)
    at = np.arange(len(rows))
    low = ranked[at, np.maximum(count - 1, 0) // 2]
    high = ranked[at, np.minimum(count // 2, rows.shape[1] - 1)]
    median: Float[np.ndarray, " time"] = (low + high) / 2
    return median


def _join(tail: Frames, frames: Frames) -> Frames:
    old, new = tail.columns(), frames.columns()
    fits = old.keys() == new.keys() and all(old[n].shape[1:] == new[n].shape[1:] for n in new)
    if not fits or frames.unix_time_second[0] < tail.unix_time_second[-1]:
        return frames
    return replace(frames, **{n: np.concatenate((old[n], new[n])) for n in new})


def _length(block: Frames) -> int:
    """Cells in series, as the first voltage tells; zero before there is one. [1]"""
    read = block.voltage_volt[np.isfinite(block.voltage_volt)]
    return max(1, round(float(abs(read[0])) / _NOMINAL_VOLT)) if len(read) else 0
