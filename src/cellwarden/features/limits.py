"""Where rest ends, a gap begins and a run turns: numbers that tables of steps and cycles rest on.

Rules
- No absolute ampere, volt or ampere-hour stands here: what the caller leaves open is taken from
  the record's own scale, so a coin cell's microampere count as a pack's hundreds do.
- `settled` gives the numbers back. Whoever wants tables that never change as a record grows
  settles once and hands these numbers in; taken afresh, they follow the record.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Series
from cellwarden.errors import UsageError
from cellwarden.features.flow import Flow, flow, passed

__all__ = ["Limits", "settle", "settled", "turn_ah"]

_REST_PART: Final = 1e-3  # of the largest current: testers err by less of their range
_SMALL_PART: Final = 1e-2  # of the largest current: noise is looked for below it
_NOISE_QUANTILE: Final = 0.99
_NOISE_FACTOR: Final = 1.5  # of that quantile
_FLIPS: Final = 3  # fewer are chance
_GAP_FACTOR: Final = 10.0  # of the interval that 99 of 100 rows with current keep
_GAP_QUANTILE: Final = 0.99
_LEVEL_PART: Final = 2e-3  # of the span of voltage: regulation is better than that
_TURN_NOMINAL_PART: Final = 0.02
_TURN_PART: Final = 0.05  # of the span of the count: below it is regeneration, or a pulse


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as rest, gap, held voltage, turn, pulse; None is taken from the record.

    `rest_ampere`: a current at most that large is rest (a thousandth of the record's largest, or
    half more than the noise that flips about zero, where that is more). `gap_second`: a longer
    interval with current counts as nothing (ten times the interval that 99 % of the rows with
    current keep). `level_volt`: a voltage that moves less is held (0.2 % of the record's span).
    `turn_ah`: the charge that must come back before a run has turned and a cycle may end (2 % of
    nominal capacity, or where that is unknown 5 % of the span of the count). `pulse_second`: a
    current at most that long beside a rest is a pulse. `resistance_second`: the delay at which a
    resistance is read. `steady_fraction`: a current within that of its level is constant.
    """

    rest_ampere: float | None = None
    gap_second: float | None = None
    level_volt: float | None = None
    turn_ah: float | None = None
    pulse_second: float = 60.0
    resistance_second: float = 10.0
    steady_fraction: float = 0.02

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value >= 0:  # NaN is neither
                raise UsageError(
                    f"{name} must be a number of at least zero, not {value}",
                    hint="Leave it out to have it taken from the record.",
                )


def settled(series: Series, limits: Limits | None = None) -> Limits:
    """The limits with every number that was left open taken from the record. [A, s, V, Ah]"""
    rows = flow(series)
    known = settle(rows, limits or Limits())
    if known.turn_ah is not None:
        return known
    return replace(known, turn_ah=turn_ah(rows, known, series.nominal_capacity_ah))


def settle(rows: Flow, limits: Limits) -> Limits:
    """The same for countable rows; `turn_ah`, which few records need, stays as it is. [A, s, V]"""
    size = np.abs(rows.current_ampere)
    rest, gap, level = limits.rest_ampere, limits.gap_second, limits.level_volt
    if rest is None:
        rest = _rest_ampere(rows.current_ampere, size)
    if gap is None:
        gap = _gap_second(rows.interval_second, size, rest)
    if level is None:
        level = _LEVEL_PART * float(np.ptp(rows.voltage_volt)) if len(rows) else 0.0
    return replace(limits, rest_ampere=rest, gap_second=gap, level_volt=level)


def turn_ah(rows: Flow, limits: Limits, nominal_capacity_ah: float | None) -> float:
    """The charge below which a current the other way turns nothing. [Ah]"""
    if nominal_capacity_ah:
        return _TURN_NOMINAL_PART * nominal_capacity_ah
    none = np.empty(0, dtype=np.int64)
    rest, gap = limits.rest_ampere or 0.0, limits.gap_second or np.inf
    net = passed(rows, none, (None, None), rest_ampere=rest, gap_second=gap)
    return _TURN_PART * (float(np.ptp(np.cumsum(net.net_ah))) if len(rows) else 0.0)


def _rest_ampere(
    current: Float64[np.ndarray, " time"], size: Float64[np.ndarray, " time"]
) -> float:
    """The current below which there is only noise. [A]"""
    largest = float(size.max(initial=0.0))
    small = (size < _SMALL_PART * largest) & (size > 0)
    # Noise about zero flips its sign from row to row; a small current that is meant does not.
    flips = np.flatnonzero(small[1:] & small[:-1] & (current[1:] * current[:-1] < 0))
    noise = 0.0
    if len(flips) >= _FLIPS:
        noise = _NOISE_FACTOR * float(np.quantile(size[flips], _NOISE_QUANTILE))
    return float(np.clip(noise, _REST_PART * largest, _SMALL_PART * largest))


def _gap_second(
    interval: Float64[np.ndarray, " time"], size: Float64[np.ndarray, " time"], rest: float
) -> float:
    """The interval that is no interval of this record any more. [s]"""
    moving = size > rest
    flowing = interval[1:][moving[1:] & moving[:-1]]
    flowing = flowing[flowing > 0]
    if len(flowing) == 0:
        return float("inf")
    at = int(_GAP_QUANTILE * (len(flowing) - 1))
    return _GAP_FACTOR * float(np.partition(flowing, at)[at])
