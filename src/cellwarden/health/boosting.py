"""Boosted trees that are told something beforehand: which way a column works, or which lives go on.

Rules
- `SIGNS` names the columns whose effect physics fixes, all else equal, for any cell of the kind;
  a column that is not named is free. The trees then never go the other way, whatever the rows say.
- A censored life is a least value: the likelihood counts only its chance to be longer.

- CatBoost's trees ask one question a level, so a tree of depth d has 2^d leaves.

Sources: P. F. Barnwal, H. Cho and T. Hocking, J. Comput. Graph. Stat. 31, 1292 (2022), doi
10.1080/10618600.2022.2067548 (accelerated failure times in XGBoost).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from cellwarden.health.learner import Fitted, Setting, Told
from cellwarden.health.portable import Trees
from cellwarden.health.task import Sample
from cellwarden.health.tree_tables import light_trees

__all__ = ["SIGNS", "fit_failure_times", "fit_monotone", "fit_ordered", "fit_ordered_monotone"]

_Table = Float64[np.ndarray, "item column"]

# Column, the direction of its effect, the reason.
_REASONS: Final[tuple[tuple[str, int, str], ...]] = (
    ("cycle_count", -1, "capacity is lost with use and not gained"),
    ("cv_q", -1, "resistance grows, so the upper voltage is met sooner and more is charged there"),
    ("cv_charge_time", -1, "likewise"),
    ("delta_variance_log10_ah2", -1, "the curve moves by what ages: more of it, a shorter life"),
    ("delta_minimum_log10_ah", -1, "likewise"),
    ("delta_mean_log10_ah", -1, "likewise"),
    ("delta_3.3_to_3.2_volt_log10_ah", -1, "likewise"),
    ("delta_3.2_to_3.1_volt_log10_ah", -1, "likewise"),
    ("delta_3.1_to_3.0_volt_log10_ah", -1, "likewise"),
    ("delta_3.0_to_2.8_volt_log10_ah", -1, "likewise"),
    ("delta_2.8_to_2.4_volt_log10_ah", -1, "likewise"),
    ("fade_slope_ah", 1, "a capacity that falls steeply, a shorter life"),
    ("late_fade_slope_ah", 1, "likewise"),
)
SIGNS: Final[Mapping[str, int]] = MappingProxyType({name: sign for name, sign, _ in _REASONS})


@dataclass(frozen=True, slots=True)
class _Monotone:
    model: Any

    def predict(self, features: _Table) -> Told:
        return Told(np.asarray(self.model.predict(features, num_threads=1), dtype=np.float64))

    def body(self) -> Trees:
        """The trees as plain arrays. [unit of the target]"""
        return light_trees(self.model)


@dataclass(frozen=True, slots=True)
class _Ordered:
    """Trees of CatBoost, which are kept in its own form."""

    model: Any

    def predict(self, features: _Table) -> Told:
        told = self.model.predict(np.ascontiguousarray(features), thread_count=1)
        return Told(np.asarray(told, dtype=np.float64).ravel())


@dataclass(frozen=True, slots=True)
class _FailureTimes:
    """Trees that tell the natural logarithm of a time whose logarithm has unit spread."""

    model: Any
    centre: float
    scale: float

    def predict(self, features: _Table) -> Told:
        import xgboost  # noqa: PLC0415  when it is used

        rows = xgboost.DMatrix(features, base_margin=np.zeros(len(features)))
        margin = self.model.predict(rows, output_margin=True)
        return Told(self.centre + self.scale * np.asarray(margin, dtype=np.float64))


def fit_monotone(sample: Sample, setting: Setting, seed: int) -> Fitted:
    """LightGBM whose columns of `SIGNS` work in one direction alone."""
    import lightgbm  # noqa: PLC0415  when it is used

    chosen = {
        "objective": "regression", "num_leaves": int(setting["leaves"]), "learning_rate": 0.05,
        "min_data_in_leaf": max(min(20, len(sample.target) // 10), 2), "deterministic": True,
        "force_row_wise": True, "num_threads": 1, "seed": seed, "verbose": -1,
        "monotone_constraints": [SIGNS.get(name, 0) for name in sample.columns],
        "monotone_constraints_method": "advanced",
    }  # fmt: skip
    data = lightgbm.Dataset(sample.features, label=sample.target)
    return _Monotone(lightgbm.train(chosen, data, num_boost_round=int(setting["rounds"])))


def fit_ordered(sample: Sample, setting: Setting, seed: int) -> Fitted:
    """CatBoost, every column free."""
    return _ordered(sample, setting, seed, {})


def fit_ordered_monotone(sample: Sample, setting: Setting, seed: int) -> Fitted:
    """CatBoost whose columns of `SIGNS` work in one direction alone."""
    signs = {place: SIGNS[name] for place, name in enumerate(sample.columns) if name in SIGNS}
    return _ordered(sample, setting, seed, signs)


def _ordered(sample: Sample, setting: Setting, seed: int, signs: Mapping[int, int]) -> Fitted:
    import catboost  # noqa: PLC0415  when it is used

    more = {"monotone_constraints": dict(signs)} if signs else {}
    model = catboost.CatBoostRegressor(
        iterations=int(setting["rounds"]), depth=int(setting["depth"]), learning_rate=0.05,
        random_seed=seed, thread_count=1, verbose=False, allow_writing_files=False, **more,
    )  # fmt: skip
    return _Ordered(model.fit(np.ascontiguousarray(sample.features), sample.target))


def fit_failure_times(sample: Sample, setting: Setting, seed: int) -> Fitted:
    """XGBoost on the likelihood of lognormal lives of which some are least values.

    `width` is the spread of a life around what the trees tell, over that of all lives.
    """
    import xgboost  # noqa: PLC0415  when it is used

    centre, scale = float(sample.target.mean()), float(sample.target.std()) or 1.0
    low = np.exp((sample.target - centre) / scale)
    high = low if sample.censored is None else np.where(sample.censored, np.inf, low)
    rows = xgboost.DMatrix(
        sample.features,
        label_lower_bound=low,
        label_upper_bound=high,
        base_margin=np.zeros(len(low)),
    )
    chosen = {
        "objective": "survival:aft", "aft_loss_distribution": "normal",
        "aft_loss_distribution_scale": setting["width"], "max_depth": 2, "learning_rate": 0.05,
        "min_child_weight": 0.0, "subsample": 0.8, "nthread": 1, "seed": seed, "verbosity": 0,
    }  # fmt: skip
    model = xgboost.train(chosen, rows, num_boost_round=int(setting["rounds"]))
    return _FailureTimes(model, centre, scale)
