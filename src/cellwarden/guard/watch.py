"""The step: frames in, findings out.

Rules
- The data are never changed and nothing is kept but what the next batch needs; batches of any
  size lead to the same findings (`merge` of what was told, with `pending`).
- Readings are judged at once by bounds, gaps, repeats and spread; steps and spikes when the next
  three rows are there.
- A batch that begins before the last one ended is judged without its context.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cellwarden.domain import Finding, Frames, Pack
from cellwarden.guard import bounds, missing, rate, spike, spread
from cellwarden.guard.episode import Episode, Key, fold, tell
from cellwarden.guard.missing import Swing
from cellwarden.guard.residual import Residual
from cellwarden.guard.streak import Streak
from cellwarden.guard.window import REACH, clean, look

__all__ = ["Watch", "inspect", "pending"]


@dataclass(frozen=True, slots=True)
class Watch:
    """What is carried from batch to batch of one pack; `Watch()` begins."""

    tail: Frames | None = None
    peak_ampere: float = 0.0
    series_count: int = 0
    streaks: Mapping[str, Streak] = field(default_factory=dict)
    swings: Mapping[str, Swing] = field(default_factory=dict)
    episodes: Mapping[Key, Episode] = field(default_factory=dict)


def inspect(frames: Frames, pack: Pack | None, state: Watch) -> tuple[Watch, list[Finding]]:
    """What does not look right in the next frames of a pack.

    A fault gives a finding when it begins and one when it has ended, however long it lasts.
    """
    if not len(frames):
        return state, []
    window, tail, peak = look(
        clean(frames), pack, state.tail, state.peak_ampere, state.series_count
    )
    repeated, repeat_streaks, swings = missing.repeats(window, pack, state.streaks, state.swings)
    different, spread_streaks = spread.differences(window, pack, state.streaks)
    breaches = (
        *bounds.impossible(frames),
        *bounds.tiers(window, pack),
        *missing.gaps(window),
        *rate.jumps(window),
        *spike.spikes(window),
        *repeated,
        *different,
    )
    decided = window.time[max(len(window.time) - REACH - 1, 0)]
    episodes, findings = fold(breaches, state.episodes, float(decided))
    after = Watch(
        tail=tail,
        peak_ampere=peak,
        series_count=window.series_count if window.signal == "voltage_volt" else 0,
        streaks={**repeat_streaks, **spread_streaks},
        swings=swings,
        episodes=episodes,
    )
    return after, findings


def pending(state: Watch | Residual) -> list[Finding]:
    """Each fault that has not ended, as it stands."""
    return [tell(key, episode) for key, episode in sorted(state.episodes.items())]
