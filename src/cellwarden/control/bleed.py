"""Which bleed resistors close now: never two neighbours, never hotter than the chip stands.

Rules
- Cells share sense wires with their neighbours, so even and odd cells bleed in turns, and each turn
  ends with a moment in which none bleeds and voltages are true. Where only one of both has anything
  to bleed, it has every turn.
- A chip bleeds as many cells at once as keep it below its limit if they bled for ever; those with
  the most to lose come first. The hottest sensor stands for the board. No sensor, no bleeding.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from cellwarden.errors import UsageError

__all__ = ["Bleed", "Turn", "bleed_hours", "choose", "turn_of"]

Cells = Float64[np.ndarray, " cell"]


@dataclass(frozen=True, slots=True)
class Bleed:
    """The resistors, their turns, and the heat that a chip stands.

    Raises:
        UsageError: a resistance, a turn or a count that is none.
    """

    ohm: float = 33.0
    turn_second: float = 10.0
    quiet_second: float = 1.0
    cells_per_chip_count: int = 12
    chip_kelvin_per_watt: float = 30.0
    high_chip_celsius: float = 85.0
    high_cell_celsius: float = 45.0
    low_volt: float = 2.5

    def __post_init__(self) -> None:
        if not (
            self.ohm > 0.0
            and 0.0 <= self.quiet_second < self.turn_second
            and self.cells_per_chip_count >= 1
            and self.chip_kelvin_per_watt > 0.0
        ):
            raise UsageError(
                "bleeding needs a resistance, a turn longer than its quiet end, and chips",
                hint="Check ohm, turn_second, quiet_second, cells_per_chip_count.",
            )

    @property
    def duty_fraction(self) -> float:
        """Part of a turn in which cells bleed. [1]"""
        return 1.0 - self.quiet_second / self.turn_second


@dataclass(frozen=True, slots=True)
class Turn:
    """The running number of a turn, and whether its quiet end has come."""

    index: int
    quiet: bool


def turn_of(bleed: Bleed, clock_second: float) -> Turn:
    """The turn at a moment of the controller's clock."""
    index = int(clock_second // bleed.turn_second)
    gone = clock_second - index * bleed.turn_second
    return Turn(index, gone >= bleed.turn_second - bleed.quiet_second)


def choose(
    bleed: Bleed, debt_ah: Cells, cell_volt: Cells, hottest_celsius: float, turn: Turn
) -> Bool[np.ndarray, " cell"]:
    """Cells that bleed in a turn."""
    wants = (debt_ah > 0.0) & (cell_volt >= bleed.low_volt)  # false where not read
    even = np.arange(len(debt_ah)) % 2 == 0
    if (wants & even).any() and (wants & ~even).any():
        wants &= even if turn.index % 2 == 0 else ~even
    elif wants.any():
        wants &= even if (wants & even).any() else ~even
    chips = _by_chip(bleed, np.where(wants, debt_ah, -np.inf))
    rank = np.argsort(np.argsort(-chips, axis=1, kind="stable"), axis=1)
    fits = rank < _counts(bleed, cell_volt, hottest_celsius)[:, None]
    chosen: np.ndarray = fits.ravel()[: len(debt_ah)] & wants
    return chosen


def _counts(bleed: Bleed, cell_volt: Cells, hottest_celsius: float) -> np.ndarray:
    """Cells that each chip may bleed at once."""
    chips = _by_chip(bleed, np.where(np.isfinite(cell_volt), cell_volt, 0.0))
    if not hottest_celsius <= bleed.high_cell_celsius:  # false where no sensor is read
        return np.zeros(len(chips))
    watt = (bleed.high_chip_celsius - hottest_celsius) / bleed.chip_kelvin_per_watt
    each = np.maximum(chips.max(axis=1), 1e-3) ** 2 / bleed.ohm
    counts: np.ndarray = np.floor(watt / each)
    return counts


def _by_chip(bleed: Bleed, values: Cells) -> Float64[np.ndarray, "chip cell"]:
    width = bleed.cells_per_chip_count
    count = -(-len(values) // width)
    padded = np.full(count * width, -np.inf)
    padded[: len(values)] = values
    return padded.reshape(count, width)


def bleed_hours(bleed: Bleed, debt_ah: Cells, cell_volt: Cells, hottest_celsius: float) -> float:
    """Time until nothing is left to bleed; infinite where nothing may bleed. [h]

    Each side's chips work through the larger of their slowest cell and of all cells over those that
    fit at once; turns alternate while both sides have work, so their times add up.
    """
    due = np.maximum(np.nan_to_num(debt_ah), 0.0)
    volt = np.where(np.isfinite(cell_volt), cell_volt, np.inf)
    hours = np.where(due > 0.0, due * bleed.ohm / np.maximum(volt, 1e-3), 0.0)
    counts = _counts(bleed, cell_volt, hottest_celsius)
    total = 0.0
    for side in (0, 1):
        own = np.where(np.arange(len(due)) % 2 == side, hours, 0.0)
        chips = np.maximum(_by_chip(bleed, own), 0.0)
        if not chips.any():
            continue
        if (counts[chips.any(axis=1)] < 1.0).any():
            return float("inf")
        spread = chips.sum(axis=1) / np.maximum(counts, 1.0)
        total += float(np.maximum(chips.max(axis=1), spread).max())
    return total / bleed.duty_fraction
