"""A cell about to run away, from what is seen before: voltage that drops, heat that comes, gas.

Rules
- Each sense looks at one thing. One that speaks is a suspicion; two within `KEPT_SECOND` of each
  other mean that a cell is going.
- Voltage: a cell drops further within seconds than its siblings do; with fewer than three cells,
  than the current explains. `DROP_VOLT` is three times the error of a monitor, and the drop must
  also exceed what cells differ by in resistance, taken as 30 % of what they share and half of
  what the current explains. Near empty the curves of cells part by themselves: the sense is deaf.
- Heat: a sensor rises faster than its siblings by `RISE_CELSIUS_PER_SECOND`, three times what the
  highest current of `domain.tiers` does to a cell (5C: 0.17 K/s in `physics.thermal`); or all of
  them by four times that.
- Gas: the volume fraction of vent gas is above `GAS_FRACTION`.
- Slopes are differences of two exponential means, so that only the last value is kept. After a
  gap of more than `GAP_SECOND` they begin anew.

Validity: shown on two indentation tests and on `physics.runaway`; two tests are a demonstration.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

__all__ = [
    "DROP_VOLT",
    "GAS_FRACTION",
    "KEPT_SECOND",
    "RISE_CELSIUS_PER_SECOND",
    "Cells",
    "Slopes",
    "Voices",
    "begin",
    "middle",
    "step",
]

DROP_VOLT: Final = 0.015
RISE_CELSIUS_PER_SECOND: Final = 0.5
GAS_FRACTION: Final = 0.001
KEPT_SECOND: Final = 60.0
GAP_SECOND: Final = 5.0
_VOLT_SECOND: Final = (0.5, 5.0)  # the quick and the slow mean
_HEAT_SECOND: Final = (1.0, 4.0)
_HELD_SECOND: Final = 0.5  # a sense speaks when its sign has stood so long
_SHARED: Final = 0.3
_EXPLAINED: Final = 0.5
_SIBLING_COUNT: Final = 3

Cells = Float[np.ndarray, "*pack cell"]
Sensors = Float[np.ndarray, "*pack sensor"]
Packs = Float[np.ndarray, "*pack"]


@dataclass(frozen=True, slots=True)
class Slopes:
    """What is carried from cycle to cycle: means, and for how long and how long ago each sense."""

    quick_volt: Cells
    slow_volt: Cells
    quick_ampere: Packs
    slow_ampere: Packs
    quick_celsius: Sensors
    slow_celsius: Sensors
    standing_second: Float[np.ndarray, "*pack 3"]
    silent_second: Float[np.ndarray, "*pack 3"]


class Voices(NamedTuple):
    """What was found: senses that speak, and which cell or sensor is the worst of each kind."""

    sense_count: Packs
    drop_volt: Cells
    rise_celsius_per_second: Sensors
    speaking: Bool[np.ndarray, "*pack 3"]


def begin(cell_count: int, sensor_count: int, packs: tuple[int, ...] = ()) -> Slopes:
    """Nothing seen yet."""
    volt, celsius = np.full((*packs, cell_count), np.nan), np.full((*packs, sensor_count), np.nan)
    ampere = np.full(packs, np.nan)
    return Slopes(
        *(volt, volt, ampere, ampere, celsius, celsius),
        np.zeros((*packs, 3)),
        np.full((*packs, 3), np.inf),
    )


def step(
    slopes: Slopes,
    second: float | Packs,
    cell_voltage_volt: Cells,
    cell_temperature_celsius: Sensors,
    *,
    current_ampere: float | Packs,
    gas_fraction: float | Packs,
    ohm: float,
    deaf_below_volt: float,
) -> tuple[Slopes, Voices]:
    """What this cycle says; `second` is the time since the last, `ohm` a cell's resistance."""
    second = np.asarray(second, dtype=np.float64)
    fresh = second > GAP_SECOND
    second = np.where(fresh, 0.0, second)
    amps = np.asarray(current_ampere, dtype=np.float64)
    quick_v, slow_v = _means(
        (slopes.quick_volt, slopes.slow_volt), cell_voltage_volt, second, fresh, _VOLT_SECOND
    )
    quick_a, slow_a = _means(
        (slopes.quick_ampere[..., None], slopes.slow_ampere[..., None]),
        amps[..., None],
        second,
        fresh,
        _VOLT_SECOND,
    )
    quick_t, slow_t = _means(
        (slopes.quick_celsius, slopes.slow_celsius),
        cell_temperature_celsius,
        second,
        fresh,
        _HEAT_SECOND,
    )
    drop, dropped = _drops(quick_v, slow_v, ohm * (slow_a - quick_a), deaf_below_volt)
    rise, risen = _rises(quick_t, slow_t)
    gas = np.asarray(gas_fraction, dtype=np.float64) > GAS_FRACTION
    signs = np.stack([dropped, risen, np.broadcast_to(gas, dropped.shape)], axis=-1)
    tick = second[..., None]
    standing = np.where(signs, slopes.standing_second + tick, 0.0)
    silent = np.where(standing >= _HELD_SECOND, 0.0, slopes.silent_second + tick)
    speaking = silent <= KEPT_SECOND
    after = Slopes(
        quick_v, slow_v, quick_a[..., 0], slow_a[..., 0], quick_t, slow_t, standing, silent
    )
    return after, Voices(speaking.sum(axis=-1).astype(np.float64), drop, rise, speaking)


def _means(
    means: tuple[np.ndarray, np.ndarray],
    now: np.ndarray,
    second: np.ndarray,
    fresh: np.ndarray,
    times: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Both exponential means after this reading; a missing one leaves them, the first sets them."""
    unread = np.isnan(now)

    def follow(mean: np.ndarray, time: float) -> np.ndarray:
        share = -np.expm1(-second / time)[..., None]
        moved = np.where(fresh[..., None] | np.isnan(mean), now, mean + share * (now - mean))
        return np.where(unread, mean, moved)

    return follow(means[0], times[0]), follow(means[1], times[1])


def middle(values: np.ndarray) -> np.ndarray:
    """Median over the last axis without the missing ones, which are rare."""
    if np.isnan(values).any():
        counted = ~np.isnan(values).all(axis=-1, keepdims=True)
        return np.nanmedian(np.where(counted, values, 0.0), axis=-1, keepdims=True)
    high = values.shape[-1] // 2
    low = high - 1 + values.shape[-1] % 2
    parted = np.partition(values, (low, high), axis=-1)  # a tenth of the time of `median`
    return np.asarray(0.5 * (parted[..., low : low + 1] + parted[..., high : high + 1]))


def _drops(
    quick: np.ndarray, slow: np.ndarray, by_current: np.ndarray, deaf: float
) -> tuple[np.ndarray, np.ndarray]:
    """How far each cell has dropped beyond what is common, and whether one is a sign. [V]"""
    drop = slow - quick
    common = middle(drop) if drop.shape[-1] >= _SIBLING_COUNT else by_current
    beyond = drop - common
    allowed = DROP_VOLT + _SHARED * np.abs(common) + _EXPLAINED * np.abs(by_current)
    return beyond, ((beyond > allowed) & (slow > deaf)).any(axis=-1)


def _rises(quick: np.ndarray, slow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How fast each sensor rises, and whether one is a sign. [K/s]"""
    rise = (quick - slow) / (_HEAT_SECOND[1] - _HEAT_SECOND[0])
    # Siblings that cool do not make a steady sensor rise.
    common = np.maximum(middle(rise), 0.0) if rise.shape[-1] >= _SIBLING_COUNT else 0.0
    alone = rise - common > RISE_CELSIUS_PER_SECOND
    return rise, (alone | (rise > 4.0 * RISE_CELSIUS_PER_SECOND)).any(axis=-1)
