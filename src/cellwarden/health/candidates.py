"""What a mean of several is chosen from (`health.blend`), for charges and for pulses.

Each algorithm has at most two settings here, so that every choice of columns can be tried inside
every fold; `health.algorithms` has up to four for the tables. `BESIDE` has the same budget and a
row of its own, and is in no mean, which must not need the extra. `UNTUNED` are baselines, trees as
their libraries have them.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from cellwarden.health.algorithms import named
from cellwarden.health.learner import Algorithm, Fitted, Setting, Told
from cellwarden.health.task import Sample

__all__ = ["BESIDE", "CHARGE", "PULSE", "UNTUNED"]


def _with(name: str, *settings: Setting) -> Algorithm:
    return replace(named(name), settings=settings)


CHARGE: Final[tuple[Algorithm, ...]] = (
    _with("ridge", {"penalty": 10.0}),
    _with("SVR", {"cost": 10.0, "gamma": 0.3, "tube": 0.03}),
    _with("gaussian process", {"spread": 0.0}),
    _with("extra trees", {"leaf": 2, "share": 0.3}),
    _with("LightGBM", {"rounds": 300, "leaves": 4}),
)
BESIDE: Final[tuple[Algorithm, ...]] = (_with("CatBoost", {"rounds": 300, "depth": 4}),)
PULSE: Final[tuple[Algorithm, ...]] = (
    _with("ridge", {"penalty": 0.01}, {"penalty": 1.0}),
    _with(
        "SVR",
        {"cost": 10.0, "gamma": 1.5, "tube": 0.03},
        {"cost": 100.0, "gamma": 0.1, "tube": 0.03},
    ),
    _with("gaussian process", {"spread": 0.0}),
    _with("extra trees", {"leaf": 1, "share": 1.0}),
)


@dataclass(frozen=True, slots=True)
class _Trees:
    model: Any

    def predict(self, features: Float64[np.ndarray, "item column"]) -> Told:
        return Told(np.asarray(self.model.predict(features), dtype=np.float64))


def _extra(sample: Sample, _: Setting, seed: int) -> Fitted:
    from sklearn.ensemble import ExtraTreesRegressor  # noqa: PLC0415  when it is used

    model = ExtraTreesRegressor(random_state=seed, n_jobs=1)
    return _Trees(model.fit(sample.features, sample.target))


def _extreme(sample: Sample, _: Setting, seed: int) -> Fitted:
    from xgboost import XGBRegressor  # noqa: PLC0415  when it is used

    model = XGBRegressor(random_state=seed, n_jobs=1)
    return _Trees(model.fit(sample.features, sample.target))


UNTUNED: Final[tuple[Algorithm, ...]] = (
    Algorithm("extra trees", "a baseline", _extra, baseline=True),
    Algorithm("XGBoost", "a baseline", _extreme, needs="xgboost", baseline=True),
)
