"""Usable capacity of cells in series, and what of its loss is ageing and what mere imbalance.

Rules
- A pack gives what its first empty cell lets it and takes what its first full cell lets it: usable
  capacity is the least charge that any cell still holds plus the least that any has room for.
- Loss against nominal is ageing, what the smallest cell has lost, plus imbalance, what cells that
  stand at different states of charge cost on top. Balancing gives back the second and no more, so
  a pack whose usable capacity rises after balancing has not grown younger.
- The last axis is the cell; what stands before it may be time or packs.
- From telemetry, a cell's state of charge is read from its voltage at the end of a rest of
  `REST_SECOND`, by the chemistry's open-circuit curve, and its capacity from the charge counted
  between two rests over the change of its state of charge. A pack that is not cycled deep, or a
  chemistry whose curve is flat where it rests, is not served.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import Chemistry, NotServed
from cellwarden.errors import DataError

__all__ = ["Loss", "Rests", "find_rests", "loss_of_pack", "split_loss"]

REST_SECOND: Final = 1500.0  # the slow half of a cell's polarisation is gone by then
_REST_PER_HOUR: Final = 1 / 100  # of nominal
_LEAST_DEPTH: Final = 0.5  # of state of charge between the rests that a capacity is counted over
_FLAT_VOLT: Final = 0.3  # a volt for the whole charge; flatter, a sensor's millivolts are percents
_STEP: Final = 0.01  # of state of charge, around the place where the slope is taken


@dataclass(frozen=True, slots=True)
class Loss:
    """Capacity lost against nominal: the parts add up to `nominal_ah - usable_ah`.

    `recoverable_ah` is what balancing would give back, and equals the loss by imbalance.
    """

    nominal_ah: float
    usable_ah: Float64[np.ndarray, "*pack"]
    ageing_loss_ah: Float64[np.ndarray, "*pack"]
    imbalance_loss_ah: Float64[np.ndarray, "*pack"]

    @property
    def recoverable_ah(self) -> Float64[np.ndarray, "*pack"]:
        """What balancing gives back. [Ah]"""
        return self.imbalance_loss_ah


@dataclass(frozen=True, slots=True)
class Rests:
    """Ends of long rests, oldest first, with the charge that the pack has counted up to each."""

    row: Int64[np.ndarray, " rest"]
    counted_ah: Float64[np.ndarray, " rest"]
    soc_fraction: Float64[np.ndarray, "rest cell"]


def split_loss(
    capacity_ah: Float64[np.ndarray, "*pack cell"],
    soc_fraction: Float64[np.ndarray, "*pack cell"],
    nominal_capacity_ah: float,
) -> Loss:
    """Loss of usable capacity by ageing and by imbalance, from cells at one moment. [Ah]

    Raises:
        DataError: shapes differ, there is no cell, a capacity is not above zero or a state of
            charge is not within 0 and 1.
    """
    if capacity_ah.shape != soc_fraction.shape or not capacity_ah.size:
        raise DataError(
            f"capacities are {capacity_ah.shape}, states of charge {soc_fraction.shape}",
            hint="Give one of each a cell, the cell on the last axis.",
        )
    inside = (capacity_ah > 0) & (soc_fraction >= 0) & (soc_fraction <= 1)
    if not inside.all():
        raise DataError(
            "a cell without a capacity above zero and a charge within 0 and 1",
            hint="Leave packs with a cell that is not known out.",
        )
    held = (soc_fraction * capacity_ah).min(axis=-1)
    room = ((1 - soc_fraction) * capacity_ah).min(axis=-1)
    smallest = capacity_ah.min(axis=-1)
    # Rounding may leave a balanced pack a hair above its smallest cell.
    usable = np.minimum(held + room, smallest)
    return Loss(
        nominal_capacity_ah,
        np.asarray(usable),
        np.asarray(nominal_capacity_ah - smallest),
        np.asarray(smallest - usable),
    )


def find_rests(
    time_second: Float64[np.ndarray, " time"],
    current_ampere: Float64[np.ndarray, " time"],
    cell_voltage_volt: Float64[np.ndarray, "time cell"],
    chemistry: Chemistry,
    nominal_capacity_ah: float,
) -> Rests:
    """States of charge at the end of each long rest, by the chemistry's open-circuit curve. [1]"""
    hours = np.diff(time_second, prepend=time_second[:1]) / 3600
    middle = (current_ampere + np.concatenate([current_ampere[:1], current_ampere[:-1]])) / 2
    counted = np.cumsum(middle * hours)
    idle = np.abs(current_ampere) <= _REST_PER_HOUR * nominal_capacity_ah
    edge = np.diff(np.concatenate([[False], idle, [False]]).astype(np.int64))
    start, stop = np.flatnonzero(edge > 0), np.flatnonzero(edge < 0) - 1
    long = time_second[stop] - time_second[start] >= REST_SECOND
    # A cell without a reading there is not known at that rest.
    rows = stop[long]
    rows = rows[np.isfinite(cell_voltage_volt[rows]).all(axis=1)]
    soc = np.interp(cell_voltage_volt[rows], chemistry.ocv_volt, chemistry.ocv_soc_fraction)
    return Rests(rows, counted[rows], soc.astype(np.float64))


def loss_of_pack(
    time_second: Float64[np.ndarray, " time"],
    current_ampere: Float64[np.ndarray, " time"],
    cell_voltage_volt: Float64[np.ndarray, "time cell"],
    chemistry: Chemistry,
    nominal_capacity_ah: float,
) -> Loss | NotServed:
    """Loss as it stands at the last rest of a pack's telemetry, or why it cannot be told. [Ah]

    Capacities are medians over the pairs of neighbouring rests that lie far enough apart; the
    states of charge are those of the fullest of the last pair, where the open-circuit curve tells
    them best.
    """
    rests = find_rests(
        time_second, current_ampere, cell_voltage_volt, chemistry, nominal_capacity_ah
    )
    depth = np.diff(rests.soc_fraction, axis=0)
    deep = np.flatnonzero((np.abs(depth) >= _LEAST_DEPTH).all(axis=1))
    if not len(deep):
        return NotServed(
            f"no two rests of {REST_SECOND / 60:.0f} min with {_LEAST_DEPTH:.0%} of charge between"
        )
    passed = np.diff(rests.counted_ah)[deep]
    capacity = np.median(passed[:, None] / depth[deep], axis=0)
    pair = rests.soc_fraction[deep[-1] : deep[-1] + 2]
    top = pair[int(np.argmax(pair.mean(axis=1)))]
    if _slope(chemistry, top).min() < _FLAT_VOLT:
        return NotServed("the open-circuit curve is too flat where the cells rest")
    return split_loss(capacity, top, nominal_capacity_ah)


def _slope(
    chemistry: Chemistry, soc_fraction: Float64[np.ndarray, " cell"]
) -> Float64[np.ndarray, " cell"]:
    """Slope of the open-circuit curve. [V]"""
    low, high = np.clip(soc_fraction - _STEP, 0, 1), np.clip(soc_fraction + _STEP, 0, 1)
    curve = chemistry.ocv_soc_fraction, chemistry.ocv_volt
    return np.asarray((np.interp(high, *curve) - np.interp(low, *curve)) / (high - low))
