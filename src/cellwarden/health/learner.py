"""One face for all that learns: fit(sample, setting, seed) gives what predicts.

Rules
- An algorithm is a value: its name, when to use it, how it fits, the settings that tuning may try.
- Tuning budgets are equal: at most `BUDGET` settings, each tried with every choice of columns.
- Every algorithm gets the same prepared inputs: numbers of training rows say what fills a gap, how
  far a feature may lie outside and what its unit is; no prediction leaves the training range by
  more than `TARGET_MARGIN` of it.
- One that `takes_missing` knows what a missing feature means and gets NaN; for others it is filled.
"""

import importlib.util
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.health.task import CURVE, Sample

__all__ = [
    "BUDGET",
    "Algorithm",
    "Fitted",
    "Prepared",
    "Setting",
    "Told",
    "fit_prepared",
]

BUDGET: Final = 4
_EXTRAS: Final = MappingProxyType({"jax": "deep"})  # of the others: boosters
FEATURE_MARGIN: Final = 0.25  # of the training span, on each side
TARGET_MARGIN: Final = 0.25

Setting = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Told:
    """Predictions; `std` is None where the algorithm has none. [unit of the target]"""

    mean: Float64[np.ndarray, " item"]
    std: Float64[np.ndarray, " item"] | None = None


class Fitted(Protocol):
    """What an algorithm makes of a sample."""

    def predict(self, features: Float64[np.ndarray, "item column"]) -> Told:
        """Predictions for rows never seen. [unit of the target]"""
        ...


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Something that learns; `columns` are all that it looks at, or empty, `needs` a module.

    A `baseline` is there to be beaten. One that `takes_censored` knows what a least value is. One
    that `reads_curve` looks at the points of a curve, all in one unit.
    """

    name: str
    when: str
    fit: Callable[[Sample, Setting, int], Fitted]
    settings: tuple[Setting, ...] = ({},)
    columns: tuple[str, ...] = ()
    needs: str = ""
    baseline: bool = False
    takes_censored: bool = False
    takes_missing: bool = False
    reads_curve: bool = False

    def missing(self, columns: tuple[str, ...], choices: Collection[str] = ()) -> str:
        """Why it cannot be run with these columns and choices of them here; empty where it can."""
        absent = [name for name in self.columns if name not in columns]
        if absent:
            return f"needs {', '.join(absent)}"
        if self.needs and importlib.util.find_spec(self.needs) is None:
            return f"needs {self.needs}: install the extra {_EXTRAS.get(self.needs, 'boosters')}"
        if self.reads_curve and CURVE not in choices:
            return "needs a curve"
        return ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A fit behind the preparation of its inputs; rows of all the task's columns go in.

    `taken` are the places of the columns that it looks at.
    """

    taken: Int64[np.ndarray, " column"]
    fill: Float64[np.ndarray, " column"]
    low: Float64[np.ndarray, " column"]
    high: Float64[np.ndarray, " column"]
    centre: Float64[np.ndarray, " column"]
    spread: Float64[np.ndarray, " column"]
    least: float
    most: float
    fitted: Fitted
    takes_missing: bool = False

    def inputs(
        self, features: Float64[np.ndarray, "item every"]
    ) -> Float64[np.ndarray, "item column"]:
        """Features filled, held to their range and of unit spread. [1]"""
        features = features[:, self.taken]
        gap = np.nan if self.takes_missing else self.fill
        known = np.where(np.isfinite(features), features, gap)
        return np.asarray((np.clip(known, self.low, self.high) - self.centre) / self.spread)

    def predict(self, features: Float64[np.ndarray, "item column"]) -> Told:
        """Predictions, held to the range of the target. [unit of the target]"""
        told = self.fitted.predict(self.inputs(features))
        return Told(np.clip(told.mean, self.least, self.most), told.std)

    def outside(self, features: Float64[np.ndarray, "item column"]) -> Float64[np.ndarray, " item"]:
        """Share of each row's features that are missing or beyond training and its margin. [1]"""
        features = features[:, self.taken]
        known = np.isfinite(features)
        beyond = ~known | (np.where(known, features, self.fill) < self.low)
        beyond |= np.where(known, features, self.fill) > self.high
        return np.asarray(beyond.mean(axis=1))


def fit_prepared(
    algorithm: Algorithm, sample: Sample, columns: tuple[str, ...], setting: Setting, seed: int
) -> Prepared:
    """An algorithm fitted to some columns, with the preparation of its inputs. [unit of the target]

    The result takes rows of all the sample's columns.
    """
    taken = sample.places(columns)
    sample = sample.only(columns)
    if sample.censored is not None and not algorithm.takes_censored:
        sample = replace(sample.rows(~sample.censored), censored=None)
    known = np.where(np.isfinite(sample.features), sample.features, np.nan)
    empty = ~np.isfinite(known).any(axis=0)
    known = np.where(empty, 0.0, known)  # a column without a number says nothing
    fill = np.nanmedian(known, axis=0)
    filled = np.where(np.isfinite(known), known, fill)
    low, high = filled.min(axis=0), filled.max(axis=0)
    margin = FEATURE_MARGIN * (high - low)
    spread = filled.std(axis=0)
    flat = spread <= 1e-12 * np.maximum(np.abs(fill), 1e-300)
    if algorithm.reads_curve:
        # Points of a curve share one unit: apart, what hardly moves would weigh as what does.
        spread = np.full(len(spread), np.sqrt(np.mean(spread**2)))
    centre, spread = filled.mean(axis=0), np.where(flat | (spread == 0), 1.0, spread)
    if algorithm.takes_missing:
        filled = np.where(np.isfinite(sample.features), filled, np.nan)
    inputs = replace(sample, features=(filled - centre) / spread)
    span = TARGET_MARGIN * float(np.ptp(sample.target))
    return Prepared(
        taken=taken,
        fill=fill,
        low=low - margin,
        high=high + margin,
        centre=centre,
        spread=spread,
        least=float(sample.target.min()) - span,
        most=float(sample.target.max()) + span,
        fitted=algorithm.fit(inputs, setting, seed),
        takes_missing=algorithm.takes_missing,
    )
