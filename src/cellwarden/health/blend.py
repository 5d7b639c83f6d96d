"""A mean of several candidates, chosen together by what they told of training cells left out.

Rules
- Candidates were crossed on the same sample, each row told by a fit that never saw its cell. The
  best of each algorithm is a member; more are taken one at a time, with replacement, each the one
  that makes the mean err least on those rows, up to `ROUNDS`, so that a weight is a count. No cell
  under test has a part in it.
- The error is the mean absolute one, cells weighing alike: a mean that is told off by a few rows
  far out would be chosen for those.
- Candidates that err more than `_WORST` times the best alone are not offered: with few cells they
  would be taken by luck.
- The interval lies around the mean, by the errors of the mean on the cells left out, in units that
  grow with how far the members differ. Cells weigh alike and one share belongs to the new cell, so
  too few cells give none (`health.conformal`).

Source: R. Caruana et al., "Ensemble selection from libraries of models", ICML 2004, doi
10.1145/1015330.1015432.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError
from cellwarden.health.learner import Prepared, Told, fit_prepared
from cellwarden.health.task import Sample
from cellwarden.health.tuning import Candidate, Crossed, by_cell

__all__ = ["ROUNDS", "Blend", "blend"]

ROUNDS: Final = 10
_WORST: Final = 1.5
_LEAST: Final = 1e-12  # an error that is none is no unit

_Rows = Float64[np.ndarray, " row"]


@dataclass(frozen=True, slots=True)
class Blend:
    """Fitted members with their weights; `size` are errors left out, in units, rising.

    `mass` is the weight of the cells up to each size, `usual` the median size of an error of the
    mean when left out, `error` their root mean square, `training_error` that on what was learnt.
    """

    members: tuple[tuple[Candidate, float, Prepared], ...]
    size: _Rows
    mass: _Rows
    usual: float
    error: float
    training_error: float

    @property
    def chosen(self) -> str:
        """The members and their weights on one line."""
        return " + ".join(f"{weight:.1f} ({one})" for one, weight, _ in self.members)

    def predict(self, features: Float64[np.ndarray, "item column"]) -> Told:
        """The mean of the members, and the unit of its interval. [unit of the target]"""
        told = np.stack([fitted.predict(features).mean for *_, fitted in self.members])
        weight = np.array([weight for _, weight, _ in self.members])
        mean = weight @ told
        return Told(mean, _unit(weight @ (told - mean) ** 2, self.usual))

    def interval(
        self, features: Float64[np.ndarray, "item column"], coverage: float
    ) -> tuple[Float64[np.ndarray, " item"], Float64[np.ndarray, " item"]]:
        """Where the truth lies, with about the stated chance. [unit of the target]

        Raises:
            UsageError: the coverage is none.
        """
        if not 0 < coverage < 1:
            raise UsageError(
                f"coverage must lie between 0 and 1, not {coverage}", hint="Give for example 0.9."
            )
        told = self.predict(features)
        at = int(np.searchsorted(self.mass, coverage - 1e-9))
        times = self.size[at] if at < len(self.size) else np.inf
        away = times * (np.ones(len(told.mean)) if told.std is None else told.std)
        return told.mean - away, told.mean + away


def blend(crossed: Sequence[Crossed], sample: Sample, seed: int) -> Blend:
    """The members that together told cells left out best, fitted to all. [unit of the target]

    Raises:
        UsageError: nothing was crossed, or some rows are censored.
    """
    if not crossed:
        raise UsageError(
            "no algorithm can be run on these columns", hint="See Algorithm.missing for the reason."
        )
    if sample.censored is not None:
        raise UsageError("a mean of censored rows is not known", hint="Use health.tuning.tune.")
    least = min(one.candidate.error for one in crossed)
    offered = [one for one in crossed if one.candidate.error <= _WORST * least]
    told = np.stack([one.told for one in offered])
    _, place = np.unique(sample.cell, return_inverse=True)
    share = 1 / np.bincount(place)[place] / (place.max() + 1)
    weight = _counts(told - sample.target, share, _first(offered)) / ROUNDS
    mean = weight @ told
    error = float(np.sqrt(share @ (mean - sample.target) ** 2))
    usual = max(float(np.median(np.abs(mean - sample.target))), _LEAST)
    size = np.abs(mean - sample.target) / _unit(weight @ (told - mean) ** 2, usual)
    order = np.argsort(size, kind="stable")
    members = tuple(
        (one.candidate, float(w),
         fit_prepared(one.candidate.algorithm, sample, one.candidate.columns,
                      one.candidate.setting, seed))
        for one, w in zip(offered, weight, strict=True) if w
    )  # fmt: skip
    learnt = sum(w * fitted.predict(sample.features).mean for _, w, fitted in members)
    return Blend(
        members=members,
        size=size[order],
        mass=np.cumsum(by_cell(sample.cell)[order]),
        usual=usual,
        error=error,
        training_error=float(np.sqrt(np.mean((learnt - sample.target) ** 2))),
    )


def _first(offered: Sequence[Crossed]) -> list[int]:
    """Where the best candidate of each algorithm is. [1]"""
    best: dict[str, int] = {}
    for place, one in enumerate(offered):
        name = one.candidate.algorithm.name
        if name not in best or one.candidate.error < offered[best[name]].candidate.error:
            best[name] = place
    return list(best.values())[:ROUNDS]


def _counts(
    away: Float64[np.ndarray, "candidate row"], share: _Rows, first: list[int]
) -> Float64[np.ndarray, " candidate"]:
    """How often each candidate is taken, `ROUNDS` in all. [1]"""
    counts = np.zeros(len(away))
    counts[first] = 1
    total = away[first].sum(axis=0)
    for taken in range(len(first) + 1, ROUNDS + 1):
        best = int(np.argmin(np.abs((total + away) / taken) @ share))
        counts[best] += 1
        total += away[best]
    return counts


def _unit(spread: Float64[np.ndarray, " item"], usual: float) -> Float64[np.ndarray, " item"]:
    """The unit of an error: what is usual, more where the members differ. [unit of the target]"""
    return np.asarray(np.sqrt(usual**2 + spread))
