"""The algorithms by name, each with when to use it.

`named("ridge")` gives one, `ALGORITHMS` lists them. scikit-learn, LightGBM and the boosters of the
extra are imported when something is fitted, never before.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError
from cellwarden.health.aging_network import AGING_COLUMNS, fit_aging_network
from cellwarden.health.boosting import (
    fit_failure_times,
    fit_monotone,
    fit_ordered,
    fit_ordered_monotone,
)
from cellwarden.health.curve_network import fit_convolution, fit_recurrence
from cellwarden.health.gaussian import GaussianProcess, fit_gaussian_process
from cellwarden.health.learner import Algorithm, Fitted, Setting, Told
from cellwarden.health.network import fit_perceptron
from cellwarden.health.rocket import fit_rocket
from cellwarden.health.survival import fit_censored_line
from cellwarden.health.task import Sample

__all__ = [
    "ALGORITHMS",
    "Estimator",
    "FittedLine",
    "FittedPair",
    "FittedProcess",
    "WithSpread",
    "named",
]

_Table = Float64[np.ndarray, "item column"]
_PROCESS_ROWS: Final = 400  # of a Gaussian process, whose cost grows as their cube


@dataclass(frozen=True, slots=True)
class FittedLine:
    """A line that was fitted."""

    weights: Float64[np.ndarray, " column"]
    intercept: float

    def predict(self, features: _Table) -> Told:
        """Predictions for prepared rows. [unit of the target]"""
        return Told(np.asarray(features @ self.weights + self.intercept))


@dataclass(frozen=True, slots=True)
class FittedProcess:
    """A Gaussian process that was fitted."""

    process: GaussianProcess

    def predict(self, features: _Table) -> Told:
        """Predictions for prepared rows. [unit of the target]"""
        return Told(*self.process(features))


@dataclass(frozen=True, slots=True)
class _Means:
    """A process of which nobody asks how sure it is: what that takes is not kept."""

    process: GaussianProcess

    def predict(self, features: _Table) -> Told:
        """Predictions for prepared rows. [unit of the target]"""
        return Told(self.process.mean(features))


@dataclass(frozen=True, slots=True)
class FittedPair:
    """The mean of a line and a process; what they differ by is part of the spread."""

    line: Fitted
    process: Fitted

    def predict(self, features: _Table) -> Told:
        """Predictions for prepared rows. [unit of the target]"""
        one, other = self.line.predict(features), self.process.predict(features)
        spread = np.zeros(len(other.mean)) if other.std is None else other.std
        apart = (one.mean - other.mean) / 2
        return Told((one.mean + other.mean) / 2, np.sqrt(spread**2 + apart**2))


@dataclass(frozen=True, slots=True)
class Estimator:
    """A fitted estimator with scikit-learn's face."""

    model: Any

    def predict(self, features: _Table) -> Told:
        """Predictions for prepared rows. [unit of the target]"""
        return Told(np.asarray(self.model.predict(features), dtype=np.float64).ravel())


@dataclass(frozen=True, slots=True)
class WithSpread:
    """A fitted process of scikit-learn on a target of unit spread."""

    model: Any
    centre: float
    scale: float

    def predict(self, features: _Table) -> Told:
        """Predictions for prepared rows. [unit of the target]"""
        mean, std = self.model.predict(features, return_std=True)
        return Told(self.centre + self.scale * mean, self.scale * std)


def _mean(sample: Sample, _: Setting, __: int) -> Fitted:
    return FittedLine(np.zeros(len(sample.columns)), float(sample.target.mean()))


def _ridge(sample: Sample, setting: Setting, _: int) -> Fitted:
    """Ridge; with an emphasis, rows weigh as their value to that power."""
    weight = np.ones(len(sample.target))
    if sample.logarithmic and (power := setting.get("emphasis", 0.0)):
        size = 10.0 ** (power * (sample.target - sample.target.mean()))
        weight = np.asarray(size / size.mean())
    centre = np.average(sample.features, axis=0, weights=weight)
    mean = float(np.average(sample.target, weights=weight))
    away = sample.features - centre
    normal = away.T @ (weight[:, None] * away)
    normal += setting.get("penalty", 0.0) * np.eye(len(centre))
    slope = np.linalg.lstsq(normal, away.T @ (weight * (sample.target - mean)), rcond=None)[0]
    return FittedLine(slope, mean - float(centre @ slope))


def _survival(sample: Sample, setting: Setting, _: int) -> Fitted:
    censored = sample.censored
    if censored is None:
        censored = np.zeros(len(sample.target), dtype=bool)
    line = fit_censored_line(sample.features, sample.target, censored, setting["penalty"])
    return FittedLine(line.weights, line.intercept)


def _process(sample: Sample, setting: Setting, _: int) -> Fitted:
    if len(sample.target) > _PROCESS_ROWS:
        few = np.linspace(0, len(sample.target) - 1, _PROCESS_ROWS).round().astype(np.int64)
        sample = sample.rows(few)
    emphasis = setting.get("emphasis", 0.0) if sample.logarithmic else 0.0
    process = fit_gaussian_process(sample.features, sample.target, emphasis)
    if setting.get("spread", 1.0):
        return FittedProcess(process)
    return _Means(replace(process, roots=np.empty((0, 0, 0))))


def _pair(sample: Sample, setting: Setting, seed: int) -> Fitted:
    line = _ridge(sample, {"penalty": 1.0, "emphasis": setting["line_emphasis"]}, seed)
    return FittedPair(line, _process(sample, setting, seed))


def _ard(sample: Sample, setting: Setting, seed: int) -> Fitted:
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415  when it is used
    from sklearn.gaussian_process import GaussianProcessRegressor  # noqa: PLC0415  likewise
    from sklearn.gaussian_process import kernels as k  # noqa: PLC0415  likewise

    count = sample.features.shape[1]
    kernel = k.ConstantKernel(1.0) * k.RBF(np.full(count, 3.0), (0.3, 100.0))
    kernel += k.WhiteKernel(0.05, (1e-3, 1.0))
    most = min(int(setting["most"]), len(sample.target))
    few = np.linspace(0, len(sample.target) - 1, most).round().astype(np.int64)
    centre, scale = float(sample.target.mean()), float(sample.target.std()) or 1.0
    model = GaussianProcessRegressor(kernel, random_state=seed)
    with warnings.catch_warnings():
        # A length at its bound says that a feature is not used.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(sample.features[few], (sample.target[few] - centre) / scale)
    return WithSpread(model, centre, scale)


def _latent(sample: Sample, setting: Setting, _: int) -> Fitted:
    """Ordinary least squares on the first principal components."""
    count = min(int(setting["components"]), sample.features.shape[1], len(sample.target) - 1)
    axes = np.linalg.svd(sample.features, full_matrices=False)[2]
    scores = np.column_stack([np.ones(len(sample.target)), sample.features @ axes[:count].T])
    weights = np.linalg.lstsq(scores, sample.target, rcond=None)[0]
    return FittedLine(axes[:count].T @ weights[1:], float(weights[0]))


def _partial(sample: Sample, setting: Setting, _: int) -> Fitted:
    from sklearn.cross_decomposition import PLSRegression  # noqa: PLC0415  when it is used

    # More components than directions in which the features differ is an error there.
    most = int(np.linalg.matrix_rank(sample.features - sample.features.mean(axis=0)))
    count = max(min(int(setting["components"]), most), 1)
    return Estimator(PLSRegression(count, scale=False).fit(sample.features, sample.target))


def _sklearn(make: Callable[[Setting, int], Any]) -> Callable[[Sample, Setting, int], Fitted]:
    def fit(sample: Sample, setting: Setting, seed: int) -> Fitted:
        return Estimator(make(setting, seed).fit(sample.features, sample.target))

    return fit


def _elastic(setting: Setting, seed: int) -> Any:
    from sklearn.linear_model import ElasticNet  # noqa: PLC0415  when it is used

    return ElasticNet(
        alpha=setting["penalty"], l1_ratio=0.5, random_state=seed, max_iter=100_000, tol=1e-3
    )


def _vectors(sample: Sample, setting: Setting, _: int) -> Fitted:
    """Support vectors; the width of a bump grows with the number of columns."""
    from sklearn.compose import TransformedTargetRegressor  # noqa: PLC0415  when it is used
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415  likewise
    from sklearn.svm import SVR  # noqa: PLC0415  likewise

    bump = setting["gamma"] / max(len(sample.columns), 1)
    inner = SVR(C=setting["cost"], gamma=bump, epsilon=setting["tube"])
    model = TransformedTargetRegressor(inner, transformer=StandardScaler())
    return Estimator(model.fit(sample.features, sample.target))


def _adaptive(setting: Setting, seed: int) -> Any:
    from sklearn.ensemble import AdaBoostRegressor  # noqa: PLC0415  when it is used
    from sklearn.tree import DecisionTreeRegressor  # noqa: PLC0415  likewise

    tree = DecisionTreeRegressor(max_depth=int(setting["depth"]))
    return AdaBoostRegressor(tree, n_estimators=50, random_state=seed)


def _forest(kind: str) -> Callable[[Setting, int], Any]:
    def make(setting: Setting, seed: int) -> Any:
        from sklearn import ensemble  # noqa: PLC0415  when it is used
        from sklearn.tree import DecisionTreeRegressor  # noqa: PLC0415  likewise

        leaf = int(setting["leaf"])
        if kind == "bagging":
            tree = DecisionTreeRegressor(min_samples_leaf=leaf)
            return ensemble.BaggingRegressor(tree, n_estimators=50, random_state=seed)
        forest = (
            ensemble.RandomForestRegressor
            if kind == "random forest"
            else ensemble.ExtraTreesRegressor
        )
        return forest(
            n_estimators=50, min_samples_leaf=leaf, max_features=setting.get("share", 0.5),
            random_state=seed, n_jobs=1,
        )  # fmt: skip

    return make


def _light(sample: Sample, setting: Setting, seed: int) -> Fitted:
    import lightgbm  # noqa: PLC0415  when it is used

    chosen = {
        "objective": "regression", "num_leaves": int(setting["leaves"]), "learning_rate": 0.05,
        "min_data_in_leaf": max(min(20, len(sample.target) // 10), 2), "deterministic": True,
        "force_row_wise": True, "num_threads": 1, "seed": seed, "verbose": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(sample.features, label=sample.target)
    return Estimator(lightgbm.train(chosen, data, num_boost_round=int(setting["rounds"])))


def _extreme(setting: Setting, seed: int) -> Any:
    from xgboost import XGBRegressor  # noqa: PLC0415  when it is used

    return XGBRegressor(
        n_estimators=int(setting["rounds"]), max_depth=int(setting["depth"]), learning_rate=0.05,
        subsample=0.8, n_jobs=1, random_state=seed,
    )  # fmt: skip


def _each(name: str, *values: float, **others: float) -> tuple[Setting, ...]:
    return tuple({name: value, **others} for value in values)


_DECAYS: Final = _each("decay", 0.01, 0.3, 1.0, 2.0)
_LEAVES: Final = _each("leaf", 1, 2, 4, 8)
_ROUNDS: Final = tuple({"rounds": r, "depth": d} for r in (100, 300) for d in (2, 4))

ALGORITHMS: Final[tuple[Algorithm, ...]] = (
    Algorithm("mean", "what any model must beat", _mean, baseline=True),
    Algorithm(
        "variance line",
        "early life alone: the one-feature model of Severson et al.",
        _ridge,
        columns=("delta_variance_log10_ah2",),
        baseline=True,
    ),
    Algorithm(
        "cycle index only",
        "shows what age alone tells; a model that does not beat it has measured nothing",
        _sklearn(_forest("extra trees")),
        _each("leaf", 8, 16, 32),
        columns=("cycle_count",),
        baseline=True,
    ),
    Algorithm(
        "ridge",
        "few cells, features that add up",
        _ridge,
        tuple({"penalty": a, "emphasis": p} for a in (1.0, 10.0) for p in (0.0, 1.0)),
    ),
    Algorithm(
        "censored line",
        "lives of which some are known only to exceed what was seen",
        _survival,
        _each("penalty", 0.3, 1.0, 3.0, 10.0),
        takes_censored=True,
    ),
    Algorithm(
        "elastic net",
        "many features of which few matter",
        _sklearn(_elastic),
        _each("penalty", 1e-4, 1e-3, 1e-2, 1e-1),
    ),
    Algorithm("PLSR", "curves: many columns that move together", _partial,
              _each("components", 1, 2, 3, 5)),
    Algorithm("PCR", "as PLSR, when the target is noisy", _latent,
              _each("components", 1, 2, 3, 5)),
    Algorithm(
        "gaussian process",
        "up to a few hundred rows, a smooth law, and a need to know how sure it is",
        _process,
        _each("emphasis", 0.0, 1.0, 2.0),
    ),
    Algorithm(
        "ridge and process",
        "as the process, where a prediction may have to go beyond the training cells",
        _pair,
        tuple({"line_emphasis": a, "emphasis": b} for a in (0.0, 1.0) for b in (0.0, 1.0)),
    ),
    Algorithm("gaussian process, ARD", "as above, with a length for each feature", _ard,
              _each("most", 300)),
    Algorithm(
        "SVR",
        "a few hundred rows with outliers",
        _vectors,
        tuple({"cost": c, "gamma": g, "tube": t} for c, g, t in (
            (10.0, 0.3, 0.03), (100.0, 0.1, 0.03), (10.0, 1.5, 0.03), (1.0, 0.3, 0.1))),
    ),
    Algorithm("AdaBoost", "small tables with steps", _sklearn(_adaptive),
              _each("depth", 2, 3, 4, 6)),
    Algorithm("bagging", "trees that overfit alone", _sklearn(_forest("bagging")), _LEAVES),
    Algorithm("random forest", "mixed cells, little tuning", _sklearn(_forest("random forest")),
              _LEAVES),
    Algorithm("extra trees", "as random forest, smoother and faster",
              _sklearn(_forest("extra trees")),
              tuple({"leaf": n, "share": s} for n in (1, 2) for s in (0.5, 1.0))),
    Algorithm(
        "LightGBM",
        "thousands of rows, mixed cells",
        _light,
        tuple({"rounds": r, "leaves": n} for r in (100, 300) for n in (4, 15)),
    ),
    Algorithm("XGBoost", "as LightGBM", _sklearn(_extreme), _ROUNDS, needs="xgboost"),
    Algorithm("CatBoost", "as LightGBM, with less tuning", fit_ordered, _ROUNDS, needs="catboost"),
    Algorithm(
        "monotone LightGBM",
        "as LightGBM, where a column may work in one direction alone (health.boosting.SIGNS)",
        fit_monotone,
        tuple({"rounds": r, "leaves": n} for r in (100, 300) for n in (4, 15)),
    ),
    Algorithm("monotone CatBoost", "as monotone LightGBM", fit_ordered_monotone, _ROUNDS,
              needs="catboost"),
    Algorithm(
        "survival XGBoost",
        "lives of which some go on, in tables too large or too bent for the censored line",
        fit_failure_times,
        tuple({"rounds": r, "width": w} for r in (100, 300) for w in (0.3, 0.6)),
        needs="xgboost",
        takes_censored=True,
    ),
    Algorithm(
        "perceptron",
        "a smooth law of up to some thousands of rows; five networks tell a spread",
        fit_perceptron,
        _DECAYS,
        needs="jax",
    ),
    Algorithm(
        "aging network",
        "few cells with a known age: the monotone term may help (docs/nets.md)",
        fit_aging_network,
        tuple({"dynamics": a, "monotone": b} for a in (0.0, 1.0) for b in (0.0, 1.0)),
        columns=AGING_COLUMNS,
        needs="jax",
    ),
    Algorithm("ridge, curve", "as ridge, on the points of a curve", _ridge,
              _each("penalty", 0.1, 1.0, 10.0, 100.0), reads_curve=True),
    Algorithm("PLSR, curve", "as PLSR, on the points of a curve", _partial,
              _each("components", 1, 2, 3, 5), reads_curve=True),
    Algorithm("PCR, curve", "as PCR, on the points of a curve", _latent,
              _each("components", 1, 2, 3, 5), reads_curve=True),
    Algorithm(
        "MiniRocket",
        "curves whose shape tells more than any one point; a fit takes a second",
        fit_rocket,
        _each("penalty", 0.1, 1.0, 10.0, 100.0),
        reads_curve=True,
    ),
    Algorithm("convolution network", "curves of some hundred cells, features at places",
              fit_convolution, _DECAYS[::2], needs="jax", reads_curve=True),
    Algorithm("recurrent network", "as the convolution network, where the order of points counts",
              fit_recurrence, _DECAYS[::2], needs="jax", reads_curve=True),
)  # fmt: skip


def named(name: str) -> Algorithm:
    """An algorithm by its name.

    Raises:
        UsageError: there is none of this name.
    """
    for one in ALGORITHMS:
        if one.name == name:
            return one
    raise UsageError(
        f"there is no algorithm {name!r}",
        hint=f"There are {', '.join(one.name for one in ALGORITHMS)}.",
    )
