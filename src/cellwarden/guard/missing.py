"""Readings that are not there, and readings that are only repeated.

Rules
- A gap (NaN) is told as it stands; a column that is None has no sensor and misses nothing.
- A cell or a sensor is stuck when it repeats to the bit for `STUCK_COUNT` rows while the median of
  its siblings moves by `STUCK_VOLT` or `STUCK_CELSIUS`.
- The current is stuck when it repeats while the voltage jumps up and down `REVERSAL_COUNT` times,
  the voltage when it repeats while the current does: a single move can be a regulator at work.
- The whole record is frozen when voltage and current repeat together while the current would have
  moved `FROZEN_FRACTION` of the capacity (told only where a pack is given).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float64

from cellwarden.domain import Pack, Severity, quantity
from cellwarden.guard.episode import Breach
from cellwarden.guard.streak import Streak, extend
from cellwarden.guard.window import SIBLING_COUNT, Window, middle

__all__ = ["Swing", "gaps", "repeats"]

STUCK_COUNT: Final = 30
STUCK_VOLT: Final = 0.05
STUCK_CELSIUS: Final = 5.0
REVERSAL_COUNT: Final = 10
JUMP_VOLT: Final = 0.01
JUMP_C_RATE: Final = 0.2
FROZEN_FRACTION: Final = 0.02
_HOUR: Final = 3600.0

Rows = Float[np.ndarray, "time item"]
Column = Float[np.ndarray, " time"]


@dataclass(frozen=True, slots=True)
class Swing:
    """How often a signal has jumped back, and which way it jumped last."""

    reversal_count: int = 0
    sign: int = 0


def gaps(window: Window) -> Iterator[Breach]:
    """Sensors that gave no reading."""
    new = slice(window.context_count, None)
    for name, column in window.frames.columns().items():
        if not quantity(name).sensed or not column.size:
            continue
        reading = column[new].reshape(len(window.time) - window.context_count, -1)
        broken = np.isnan(reading)
        if broken.any():
            nothing = np.full(broken.shape, np.nan)
            yield Breach(
                kind="missing",
                severity=Severity.WARNING,
                signal=name,
                text="gave no reading",
                time=window.time[new],
                broken=broken,
                reading=reading,
                value=nothing,
                limit=nothing,
                whole=column.ndim == 1,
            )


@dataclass(frozen=True, slots=True)
class _Claim:
    """A column that repeats (`same`) while `mark`, times `scale`, moves by `limit` or more."""

    kind: str
    signal: str
    text: str
    reading: Rows
    same: Bool[np.ndarray, "row item"]
    mark: Float[np.ndarray, " row"]
    limit: float
    scale: Rows | float = 1.0
    unit: str = ""


def repeats(
    window: Window,
    pack: Pack | None,
    streaks: Mapping[str, Streak],
    swings: Mapping[str, Swing],
) -> tuple[list[Breach], dict[str, Streak], dict[str, Swing]]:
    """Sensors that repeat to the bit while others say that something moved."""
    swinging, swing_after = _swinging(window, swings)
    found: list[Breach] = []
    streak_after: dict[str, Streak] = {}
    for claim in (*_stuck(window), *swinging, *_frozen(window, pack)):
        name = f"{claim.text}.{claim.signal}"
        length, marks, streak_after[name] = extend(claim.same, claim.mark, streaks.get(name))
        moved = np.abs(claim.mark[:, None] - marks) * claim.scale
        broken = (length >= STUCK_COUNT) & (moved >= claim.limit)
        if broken.any():
            found.append(_breach(window, claim, broken, moved))
    return found, streak_after, swing_after


def _breach(
    window: Window, claim: _Claim, broken: Bool[np.ndarray, "row item"], moved: Rows
) -> Breach:
    return Breach(
        kind=claim.kind,
        severity=Severity.WARNING,
        signal=claim.signal,
        text=claim.text,
        time=window.time[window.context_count :],
        broken=broken,
        reading=claim.reading,
        value=moved,
        limit=np.full(moved.shape, claim.limit),
        whole=claim.reading.shape[1] == 1 and claim.signal != "cell_temperature_celsius",
        unit=claim.unit,
    )


def _stuck(window: Window) -> Iterator[_Claim]:
    """Each cell and sensor against the median of its siblings."""
    celsius = window.frames.cell_temperature_celsius
    for signal, column, limit in (
        (window.signal, window.volt, STUCK_VOLT),
        ("cell_temperature_celsius", celsius, STUCK_CELSIUS),
    ):
        if column.shape[1] >= SIBLING_COUNT:
            reading = column[window.context_count :]
            yield _Claim(
                kind="stuck",
                signal=signal,
                text="repeats to the bit while its neighbours move",
                reading=reading,
                same=_same(window, column),
                mark=middle(reading),
                limit=limit,
            )


def _swinging(window: Window, swings: Mapping[str, Swing]) -> tuple[list[_Claim], dict[str, Swing]]:
    """Current against voltage and voltage against current."""
    current = window.frames.current_ampere
    volt = window.median_volt  # repeats when every cell does
    claims, after = [], {}
    for signal, column, mover, jump, text in (
        ("current_ampere", current, volt, JUMP_VOLT, "repeats while the voltage swings"),
        (
            "voltage_volt",
            volt,
            current,
            JUMP_C_RATE * window.capacity_ah[1:],
            "repeats while the current swings",
        ),
    ):
        turns, after[signal] = _reversals(window, mover, jump, swings.get(signal, Swing()))
        claims.append(
            _Claim(
                kind="stuck",
                signal=signal,
                text=text,
                reading=column[window.context_count :, None],
                same=_same(window, column[:, None]),
                mark=turns,
                limit=float(REVERSAL_COUNT),
                unit="1",
            )
        )
    return claims, after


def _frozen(window: Window, pack: Pack | None) -> Iterator[_Claim]:
    """The record as a whole, against the charge that its current would have moved."""
    if pack is None:
        return
    current = window.frames.current_ampere[:, None]
    both = _same(window, current) & _same(window, window.volt).all(axis=1, keepdims=True)
    reading = current[window.context_count :]
    yield _Claim(
        kind="frozen",
        signal="current_ampere",
        text="and voltage repeat to the bit while charge should have moved",
        reading=reading,
        same=both,
        mark=window.time[window.context_count :],
        limit=FROZEN_FRACTION * pack.nominal_capacity_ah,
        scale=np.abs(reading) / _HOUR,
        unit="Ah",
    )


def _same(window: Window, column: Rows) -> Bool[np.ndarray, "row item"]:
    """Whether each new row repeats the row before it."""
    start = window.context_count
    if start:
        repeated: Bool[np.ndarray, "row item"] = column[start:] == column[start - 1 : -1]
        return repeated
    same = np.zeros(column.shape, dtype=np.bool_)
    same[1:] = column[1:] == column[:-1]
    return same


def _reversals(
    window: Window, mover: Column, jump: Float64[np.ndarray, " step"] | float, before: Swing
) -> tuple[Float64[np.ndarray, " row"], Swing]:
    """How often the mover has jumped back by each new row. [1]"""
    step = np.diff(mover)
    sign = np.where(np.abs(step) > jump, np.sign(step), 0.0)
    sign = np.concatenate(([0.0], sign))[window.context_count :]
    at = np.flatnonzero(sign)
    way = np.concatenate(([before.sign], sign[at]))
    turned = np.zeros(len(sign))
    turned[at] = way[1:] * way[:-1] < 0
    count = before.reversal_count + np.cumsum(turned)
    return count, Swing(int(count[-1]), int(way[-1]))
