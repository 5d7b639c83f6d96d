"""From what an algorithm fitted to a portable model of plain arrays.

Rules
- The portable model tells what the original tells; trees to the last bit, the others to rounding.
- What has no plain form here is refused with the reason, never approximated.
- The interval is that of cross-validation without the plus: errors of cells that were left out,
  each cell with the same weight and one share for the new cell (`tuning`), but around the fit to
  all rows, so that the five fits that left cells out need not be carried. It has no
  distribution-free bound; a benchmark counts its coverage on test cells.
- With `flat` a standard deviation is dropped, and the interval is as wide everywhere: the members
  of a process are most of its size.
"""

from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import (
    Estimator,
    FittedLine,
    FittedPair,
    FittedProcess,
    WithSpread,
)
from cellwarden.health.gaussian import GaussianProcess
from cellwarden.health.learner import Fitted, Prepared
from cellwarden.health.portable import Body, Layer, Line, Net, Nets, Pair, Portable, Process, Spread
from cellwarden.health.task import Sample
from cellwarden.health.tree_tables import trees_of
from cellwarden.health.tuning import Tuned

__all__ = ["Plain", "portable"]

_HINT = "Take an algorithm that docs/export.md lists."


@runtime_checkable
class Plain(Protocol):
    """A fitted algorithm that knows its own plain form."""

    def body(self) -> Body:
        """What it knows, as plain arrays."""
        ...


def portable(
    fitted: Tuned | Prepared, sample: Sample, *, coverage: float = 0.9, flat: bool = False
) -> Portable:
    """What was fitted to this sample, as plain arrays. [unit of the target]

    Of a `Tuned` with enough cells for the coverage there is an interval.

    Raises:
        UsageError: it has no plain form, or the sample is not the one it was fitted to.
    """
    whole = fitted.whole if isinstance(fitted, Tuned) else fitted
    if whole.takes_missing:
        raise UsageError("what takes gaps as they are has no plain form", hint=_HINT)
    body = _body(whole.fitted)
    if flat:
        body = _without_spread(body)
    half_width = np.inf
    if isinstance(fitted, Tuned):
        size = _errors(fitted, sample) if flat else fitted.size
        half_width = _reached(size, fitted.weight, coverage)
    enough = bool(np.isfinite(half_width))
    return Portable(
        columns=sample.columns,
        prepared=replace(whole, fitted=body),
        logarithmic=sample.logarithmic,
        half_width=half_width if enough else None,
        coverage=coverage if enough else None,
    )


def _reached(
    size: Float64[np.ndarray, " row"], weight: Float64[np.ndarray, " row"], coverage: float
) -> float:
    """The error at which the weights reach the coverage; infinite where they do not. [its own]"""
    order = np.argsort(size, kind="stable")
    enough = np.flatnonzero(np.cumsum(weight[order]) >= coverage - 1e-9)
    return float(size[order][enough[0]]) if len(enough) else float("inf")


def _errors(tuned: Tuned, sample: Sample) -> Float64[np.ndarray, " row"]:
    """Error of each row by the fit that left its cell out. [unit of the target]"""
    if len(sample.target) != len(tuned.part):
        raise UsageError("not the sample that was tuned on", hint="Give the same sample.")
    size = np.empty(len(tuned.part))
    for place, part in enumerate(tuned.parts):
        out = tuned.part == place
        size[out] = np.abs(part.predict(sample.features[out]).mean - sample.target[out])
    return size


def _body(fitted: Fitted) -> Body:
    if isinstance(fitted, Body):
        return fitted
    told: Body | None = None
    match fitted:
        case Plain():
            told = fitted.body()
        case FittedLine(weights, intercept):
            told = Line(np.asarray(weights, dtype=np.float64), float(intercept))
        case FittedProcess(process):
            told = _process(process)
        case FittedPair(line, process):
            one, other = _body(line), _body(process)
            if isinstance(one, Line) and isinstance(other, Process):
                told = Pair(one, other)
        case WithSpread(model, centre, scale):
            told = _scikit_process(model, centre, scale)
        case Estimator(model):
            told = _estimator(model)
    if told is None:
        raise UsageError(f"{type(fitted).__name__} has no plain form", hint=_HINT)
    return told


def _without_spread(body: Body) -> Body:
    match body:
        case Pair():
            return replace(body, process=replace(body.process, spread=None))
        case Process():
            return replace(body, spread=None)
        case Nets():
            return replace(body, error=None)
    return body


def _process(process: GaussianProcess) -> Process:
    """Members of one length are one bump, and all their lines are one line."""
    line, bump, length, _ = process.settings.T
    lengths = np.unique(length)
    each = (process.weights * bump)[:, None] * process.duals
    return Process(
        inputs=process.inputs,
        stretch=np.ones(process.inputs.shape[1]),
        slope=((process.weights * line) @ process.duals) @ process.inputs,
        lengths=lengths,
        duals=np.stack([each[length == one].sum(axis=0) for one in lengths]),
        centre=float(process.centre),
        scale=float(process.scale),
        spread=Spread(
            settings=process.settings,
            weights=process.weights,
            duals=process.duals,
            roots=np.tril(process.roots),  # above it, what rounding left
            emphasis=float(process.emphasis),
            noise_level=float(process.noise_level),
        ),
    )


def _scikit_process(model: Any, centre: float, scale: float) -> Process:
    """A constant times a bump with a length for each column, and noise."""
    bump, noise = model.kernel_.k1, model.kernel_.k2
    size, length = float(bump.k1.constant_value), np.asarray(bump.k2.length_scale)
    rows = len(model.alpha_)
    stretch = np.broadcast_to(1.0 / length, (model.X_train_.shape[1],)).copy()
    weights = np.asarray(model.alpha_, dtype=np.float64).reshape(1, rows)
    return Process(
        inputs=model.X_train_ * stretch,
        stretch=stretch,
        slope=np.zeros(len(stretch)),
        lengths=np.ones(1),
        duals=size * weights,
        centre=float(centre),
        scale=float(scale),
        spread=Spread(
            settings=np.array([[0.0, size, 1.0, float(noise.noise_level)]]),
            weights=np.ones(1),
            duals=weights,
            roots=np.tril(np.linalg.inv(model.L_))[None],
            emphasis=0.0,
            noise_level=1.0,
        ),
    )


def _estimator(model: Any) -> Body:
    name = type(model).__name__
    if name == "TransformedTargetRegressor":
        scaler = model.transformer_
        centre, scale = float(scaler.mean_[0]), float(scaler.scale_[0])
        inner = type(model.regressor_).__name__
        if inner == "SVR":
            return _vectors(model.regressor_, centre, scale)
        if inner == "MLPRegressor":
            return _net(model.regressor_, centre, scale)
        name = inner
    elif name in ("ElasticNet", "PLSRegression"):
        weights = np.asarray(model.coef_, dtype=np.float64).ravel()
        mean = getattr(model, "_x_mean", np.zeros(len(weights)))
        return Line(weights, float(np.ravel(model.intercept_)[0] - mean @ weights))
    elif (trees := trees_of(model)) is not None:
        return trees
    if name == "AdaBoostRegressor":
        raise UsageError(
            "AdaBoost tells a weighted median of its trees, which is no sum", hint=_HINT
        )
    raise UsageError(f"{name} has no plain form here", hint=_HINT)


def _vectors(model: Any, centre: float, scale: float) -> Process:
    """Support vectors on bumps of the length that gamma is. [unit of the target]"""
    if model.kernel != "rbf":
        raise UsageError(f"support vectors on {model.kernel}", hint="Take the kernel rbf.")
    inputs = np.asarray(model.support_vectors_, dtype=np.float64)
    return Process(
        inputs=inputs,
        stretch=np.ones(inputs.shape[1]),
        slope=np.zeros(inputs.shape[1]),
        lengths=np.array([1.0 / np.sqrt(2.0 * model._gamma)]),  # noqa: SLF001  "scale", as a number
        duals=np.asarray(model.dual_coef_, dtype=np.float64),
        centre=centre + scale * float(model.intercept_[0]),
        scale=scale,
    )


def _net(model: Any, centre: float, scale: float) -> Nets:
    layers = tuple(
        Layer(np.asarray(weight, dtype=np.float64), np.asarray(bias, dtype=np.float64))
        for weight, bias in zip(model.coefs_, model.intercepts_, strict=True)
    )
    return Nets((Net(layers, model.activation),), centre, scale)
