"""A fleet's model that learns from its own capacity checks, and can be put back.

`step(state, labels, rules, fit)` takes labels that came in, gives the next state and what changed.

Rules
- Labels that cannot be (no number, beyond `least`..`most`) are dropped and counted.
- A challenger is fitted when ADWIN finds that the champion's errors changed, or `every` labels
  came. It learns from the first training cells and recent labels, but for a third of the recent
  cells, dealt anew each time.
- It is taken only if it errs less than the champion on that third: paired by cell, at least
  `fewest_cells`, by `margin` of the champion's error, and by more than chance (one-sided 95 %).
- It must also err at most `slack` times as much as the first champion on `anchor` cells, which
  nobody can relabel: labels that are wrong alike everywhere are refused there.
- The detector's window starts with the champion's errors on anchor cells, so that a fleet which
  differs from the first label on is noticed.
- Every trial is a `Change` in the history, with its numbers; `undo` goes back to the model before
  exactly. Nothing is deleted.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import UsageError
from cellwarden.health.drift import Adwin, adwin
from cellwarden.health.learner import Prepared
from cellwarden.health.task import Sample

__all__ = ["Change", "Rules", "SelfLearner", "begin", "step", "undo"]

_DEALT = 3
_USUAL_ERRORS = 6  # from end to end of what ADWIN sees; what is beyond counts as the end
_Fit = Callable[[Sample], Prepared]


@dataclass(frozen=True, slots=True)
class Rules:
    """When a challenger is fitted and when it is taken; `scale` is the usual size of an error."""

    scale: float
    every: int = 200
    fewest_cells: int = 4
    margin: float = 0.05
    slack: float = 1.25
    least: float = 0.2
    most: float = 1.3
    window: int = 600
    delta: float = 0.002


@dataclass(frozen=True, slots=True)
class Change:
    """One trial or undoing: why it came, what became of it, and the errors that decided.

    `taken` is the version that serves afterwards. Errors are means over held-back cells.
    """

    because: str
    outcome: str
    taken: int
    champion_error: float = float("nan")
    challenger_error: float = float("nan")
    anchor_error: float = float("nan")
    cell_count: int = 0


@dataclass(frozen=True, slots=True)
class SelfLearner:
    """The versions so far, which serves, what it was before, and the labels seen lately."""

    versions: tuple[Prepared, ...]
    parents: tuple[int, ...]
    champion: int
    first: Sample
    anchor: Sample
    recent: Sample
    arrived: tuple[int, ...] = ()
    detector: Adwin = field(default_factory=Adwin)
    waiting: int = 0
    trial_count: int = 0
    dropped_count: int = 0
    changes: tuple[Change, ...] = ()

    @property
    def model(self) -> Prepared:
        """The version that serves."""
        return self.versions[self.champion]


def begin(first: Sample, anchor: Sample, rules: Rules, fit: _Fit) -> SelfLearner:
    """The first champion, fitted to `first`; `anchor` are other cells, kept to judge.

    Raises:
        UsageError: a cell is in both.
    """
    if np.isin(first.cell, anchor.cell).any():
        raise UsageError("a cell is trained on and judges", hint="Split by whole cells.")
    nothing = first.rows(np.zeros(len(first.target), dtype=bool))
    model = fit(first)
    watched, _ = _watched(Adwin(), model, anchor, rules)
    return SelfLearner((model,), (0,), 0, first, anchor, nothing, detector=watched)


def step(
    state: SelfLearner, labels: Sample, rules: Rules, fit: _Fit
) -> tuple[SelfLearner, Change | None]:
    """The state after some labels, and the trial that they caused, if any."""
    good = np.isfinite(labels.target) & (labels.target >= rules.least)
    good &= labels.target <= rules.most
    state = replace(state, dropped_count=state.dropped_count + int((~good).sum()))
    labels = labels.rows(good)
    if not len(labels.target):
        return state, None
    detector, drifted = _watched(state.detector, state.model, labels, rules)
    new = [one for one in dict.fromkeys(labels.cell.tolist()) if one not in state.arrived]
    state = replace(
        state,
        detector=detector,
        recent=_latest(state.recent, labels, rules.window),
        arrived=(*state.arrived, *new),
        waiting=state.waiting + len(labels.target),
    )
    if not drifted and state.waiting < rules.every:
        return state, None
    return _trial(state, "drift" if drifted else "schedule", rules, fit)


def undo(state: SelfLearner, rules: Rules) -> SelfLearner:
    """The version before the one that serves; the history says so.

    Raises:
        UsageError: it is the first.
    """
    if state.champion == 0:
        raise UsageError("there is no version before the first", hint="Nothing was changed yet.")
    back = state.parents[state.champion]
    change = Change("undone by a person", f"version {state.champion} withdrawn", back)
    watched, _ = _watched(Adwin(), state.versions[back], state.anchor, rules)
    return replace(
        state, champion=back, detector=watched, waiting=0, changes=(*state.changes, change)
    )


def _trial(state: SelfLearner, because: str, rules: Rules, fit: _Fit) -> tuple[SelfLearner, Change]:
    order = {one: place for place, one in enumerate(state.arrived)}
    place = np.array([order[one] for one in state.recent.cell.tolist()])
    out = (place + state.trial_count) % _DEALT == 0
    held, learnt = state.recent.rows(out), state.recent.rows(~out)
    challenger = fit(_together(state.first, learnt))
    old, new = (_by_cell(model, held) for model in (state.model, challenger))
    first, anchored = (
        float(_by_cell(model, state.anchor).mean()) for model in (state.versions[0], challenger)
    )
    outcome = _judged(old - new, float(old.sum()) / max(len(old), 1), rules)
    if outcome == "taken" and anchored > rules.slack * first:
        outcome = "refused: worse on the anchor cells"
    version = state.champion
    if outcome == "taken":
        version = len(state.versions)
        state = replace(
            state,
            versions=(*state.versions, challenger),
            parents=(*state.parents, state.champion),
            champion=version,
            detector=_watched(Adwin(), challenger, state.anchor, rules)[0],
        )
    before, after = (float(one.mean()) if len(one) else np.nan for one in (old, new))
    change = Change(because, outcome, version, before, after, anchored, len(old))
    told = replace(
        state, waiting=0, trial_count=state.trial_count + 1, changes=(*state.changes, change)
    )
    return told, change


def _judged(gain: Float64[np.ndarray, " cell"], error: float, rules: Rules) -> str:
    from scipy.special import stdtrit  # noqa: PLC0415  when it is used

    if len(gain) < rules.fewest_cells:
        return f"refused: {len(gain)} held-back cells are too few"
    if gain.mean() < rules.margin * error:
        return "refused: not better by the margin"
    chance = float(stdtrit(len(gain) - 1, 0.95) * gain.std(ddof=1) / np.sqrt(len(gain)))
    return "taken" if gain.mean() > chance else "refused: may be better by chance"


def _watched(detector: Adwin, model: Prepared, labels: Sample, rules: Rules) -> tuple[Adwin, bool]:
    drifted = False
    for error in _errors(model, labels) / rules.scale:
        detector, cut = adwin(detector, 0.5 + float(error) / _USUAL_ERRORS, rules.delta)
        drifted |= cut
    return detector, drifted


def _errors(model: Prepared, labels: Sample) -> Float64[np.ndarray, " row"]:
    return np.asarray(model.predict(labels.features).mean - labels.target)


def _by_cell(model: Prepared, labels: Sample) -> Float64[np.ndarray, " cell"]:
    """Mean size of the errors of each cell. [unit of the target]"""
    _, place = np.unique(labels.cell, return_inverse=True)
    size = np.abs(_errors(model, labels))
    return np.asarray(np.bincount(place, weights=size) / np.bincount(place))


def _latest(old: Sample, new: Sample, most: int) -> Sample:
    whole = _together(old, new)
    kept: Int64[np.ndarray, " row"] = np.arange(max(len(whole.target) - most, 0), len(whole.target))
    return whole.rows(kept)


def _together(one: Sample, other: Sample) -> Sample:
    return replace(
        one,
        features=np.concatenate([one.features, other.features]),
        target=np.concatenate([one.target, other.target]),
        cell=np.concatenate([one.cell, other.cell]),
    )
