"""How wrong the device's clock is, and how sure that is: two states and a handful of numbers.

Rules
- `step` is pure: the clocks' readings are in its input. The steady clock counts from the start of
  the device and never jumps; the wall clock may; a trusted source (the hub's signed answer, NTS, a
  GNSS receiver) tells the time now and then with an uncertainty of its own.
- The error is wall clock less true time. A Kalman filter holds it and its drift; between two words
  of the source both grow uncertain, and before the first nothing is known: NaN.
- Where wall clock and steady clock go apart by more than crystals can, the wall clock was set: a
  jump, found within the cycle and without any source, or within `_ANCHOR_SECOND` where it creeps.
  Backwards is a jump below zero.
- A source that contradicts what is known beyond `_GATE` standard deviations is not believed, until
  it has said the same several times: then it is the clock that is wrong.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["ClockState", "Crystal", "Reckoning", "Sight", "begin", "step"]

_NAN: Final = float("nan")
_GATE: Final = 5.0
_ANCHOR_SECOND: Final = 300.0  # how long the two clocks are compared from one moment
_INSISTENT_COUNT: Final = 3  # as often a contradicting source must agree with itself


@dataclass(frozen=True, slots=True)
class Crystal:
    """What the clock's oscillator can do: a data sheet's numbers.

    `drift_std_ppm` is its tolerance, `wander_ppm_per_root_hour` how fast temperature and age move
    it, `jump_second` what the two clocks may differ by within one cycle.
    """

    drift_std_ppm: float = 20.0
    wander_ppm_per_root_hour: float = 0.2
    highest_drift_ppm: float = 200.0
    jump_second: float = 0.05


@dataclass(frozen=True, slots=True)
class Sight:
    """Both clocks at one moment, and what the source says the time is then, if it said anything."""

    steady_second: float
    wall_second: float
    source_second: float = _NAN
    source_std_second: float = _NAN


@dataclass(frozen=True, slots=True)
class ClockState:
    """What is believed; error in s, drift in s/s, and their covariance."""

    steady_second: float = _NAN
    anchor_steady_second: float = _NAN
    anchor_wall_second: float = _NAN
    error_second: float = _NAN
    drift: float = 0.0
    error_variance: float = math.inf
    covariance: float = 0.0
    drift_variance: float = 0.0
    heard_second: float = _NAN
    doubted_second: float = _NAN
    doubted_count: int = 0


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What is known of the wall clock now.

    `source_age_second` is infinite before the source was first believed.
    """

    error_second: float
    error_std_second: float
    drift_ppm: float
    jump_second: float
    backwards: bool
    source_age_second: float
    source_refused: bool


def begin(crystal: Crystal) -> ClockState:
    """The state of a clock of which only the kind is known."""
    return ClockState(drift_variance=(crystal.drift_std_ppm * 1e-6) ** 2)


def step(crystal: Crystal, state: ClockState, sight: Sight) -> tuple[ClockState, Reckoning]:
    """Take in a moment; the steady clock must not run backwards."""
    state, jump = _advance(crystal, state, sight)
    state, refused = _hear(crystal, state, sight)
    return state, Reckoning(
        state.error_second,
        math.sqrt(state.error_variance),
        state.drift * 1e6,
        jump,
        jump < 0.0,
        math.inf if math.isnan(state.heard_second) else sight.steady_second - state.heard_second,
        refused,
    )


def _advance(crystal: Crystal, state: ClockState, sight: Sight) -> tuple[ClockState, float]:
    """The time that passed, and by how much the wall clock was set in it. [s]"""
    anchored = replace(
        state,
        steady_second=sight.steady_second,
        anchor_steady_second=sight.steady_second,
        anchor_wall_second=sight.wall_second,
    )
    if math.isnan(state.steady_second):
        return anchored, 0.0
    gone = max(sight.steady_second - state.steady_second, 0.0)
    since = sight.steady_second - state.anchor_steady_second
    apart = (sight.wall_second - state.anchor_wall_second) - since
    jump = (
        apart
        if abs(apart) > crystal.jump_second + crystal.highest_drift_ppm * 1e-6 * since
        else 0.0
    )
    stays = not jump and since <= _ANCHOR_SECOND
    seen = replace(state, steady_second=sight.steady_second) if stays else anchored
    wander = (crystal.wander_ppm_per_root_hour * 1e-6) ** 2 / 3600.0
    return replace(
        seen,
        error_second=state.error_second + state.drift * gone + jump,
        error_variance=state.error_variance
        + 2.0 * gone * state.covariance
        + gone**2 * state.drift_variance
        + wander * gone**3 / 3.0
        + (crystal.jump_second**2 if jump else 0.0),
        covariance=state.covariance + gone * state.drift_variance + wander * gone**2 / 2.0,
        drift_variance=state.drift_variance + wander * gone,
    ), jump


def _hear(crystal: Crystal, state: ClockState, sight: Sight) -> tuple[ClockState, bool]:
    """What the source says, if it does; and whether it was refused."""
    if not (math.isfinite(sight.source_second) and sight.source_std_second > 0.0):
        return state, False
    error, variance = sight.wall_second - sight.source_second, sight.source_std_second**2
    heard = replace(state, heard_second=sight.steady_second, doubted_second=_NAN, doubted_count=0)
    if math.isnan(state.error_second):
        return replace(heard, error_second=error, error_variance=variance), False
    surprise, total = error - state.error_second, state.error_variance + variance
    if surprise**2 <= _GATE**2 * total:
        return _update(heard, surprise, total), False
    # Two words of a source agree if the clock could have gone from one to the other.
    same = abs(error - state.doubted_second) <= _GATE * 2.0 * sight.source_std_second
    count = state.doubted_count + 1 if same else 1
    if count < _INSISTENT_COUNT:
        return replace(state, doubted_second=error, doubted_count=count), True
    return replace(
        heard,
        error_second=error,
        error_variance=variance,
        covariance=0.0,
        drift_variance=max(state.drift_variance, (crystal.drift_std_ppm * 1e-6) ** 2),
    ), False


def _update(state: ClockState, surprise: float, total: float) -> ClockState:
    gain, drift_gain = state.error_variance / total, state.covariance / total
    return replace(
        state,
        error_second=state.error_second + gain * surprise,
        drift=state.drift + drift_gain * surprise,
        error_variance=(1.0 - gain) * state.error_variance,
        covariance=(1.0 - gain) * state.covariance,
        drift_variance=state.drift_variance - drift_gain * state.covariance,
    )
