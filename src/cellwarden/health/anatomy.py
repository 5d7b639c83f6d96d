"""What a fit is made of: lines, boxes of trees, bumps of kernels; each shares its answer exactly.

`dissect` takes a fit apart into a sum of parts. A part knows its exact baseline Shapley values:
over all orders in which features go from a reference to the input, the mean of what each adds. None
of them needs the 2^f evaluations of the definition.

Rules
- A line gives each feature its own term.
- A leaf of a tree is a box. Where only the input is inside in features A and only the reference is
  in features B, its value is shared by the game "all of A and none of B".
- A bump is a product over features, so the integral of its multilinear extension along the diagonal
  is one of a polynomial, which Gauss-Legendre nodes give exactly.
- The parts add up to the fit; what cannot be taken apart gives `None` (AdaBoost, a network).

Source: G. Owen, Management Science 18, P64 (1972), multilinear extension; S. M. Lundberg et al.,
Nature Machine Intelligence 2, 56 (2020), doi 10.1038/s42256-019-0138-9, trees against a reference.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float64

from cellwarden.health.gaussian import GaussianProcess
from cellwarden.health.learner import Fitted

__all__ = ["Boxes", "Bumps", "Line", "Part", "dissect"]

_Row = Float64[np.ndarray, " column"]
_Table = Float64[np.ndarray, "item column"]
_Node = tuple[int, float, int, int, float]  # column, threshold, left, right, value; column -1: leaf


class Part(Protocol):
    """A term of a sum that is a fit."""

    def predict(self, features: _Table) -> Float64[np.ndarray, " item"]:
        """What it adds to the estimate. [unit of the target]"""
        ...

    def share(self, inputs: _Row, reference: _Row) -> _Row:
        """What each column adds on the way from the reference. [unit of the target]"""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """A weighted sum of columns."""

    weights: _Row
    intercept: float

    def predict(self, features: _Table) -> Float64[np.ndarray, " item"]:
        """What it adds to the estimate. [unit of the target]"""
        return np.asarray(features @ self.weights + self.intercept)

    def share(self, inputs: _Row, reference: _Row) -> _Row:
        """What each column adds on the way from the reference. [unit of the target]"""
        return np.asarray(self.weights * (inputs - reference))


@dataclass(frozen=True, slots=True)
class Boxes:
    """Leaves of trees: `low` < input <= `high` in every column adds `value`.

    `single`: inputs are compared as 32-bit numbers, as scikit-learn and XGBoost do.
    """

    low: Float64[np.ndarray, "leaf column"]
    high: Float64[np.ndarray, "leaf column"]
    value: Float64[np.ndarray, " leaf"]
    constant: float = 0.0
    single: bool = False

    def predict(self, features: _Table) -> Float64[np.ndarray, " item"]:
        """What it adds to the estimate. [unit of the target]"""
        told = [self.value @ self._inside(row).all(axis=1) for row in features]
        return np.array(told) + self.constant

    def share(self, inputs: _Row, reference: _Row) -> _Row:
        """What each column adds on the way from the reference. [unit of the target]"""
        at, of = self._inside(inputs), self._inside(reference)
        reached = (at | of).all(axis=1)
        at, of, value = at[reached], of[reached], self.value[reached]
        gains, loses = at & ~of, of & ~at
        a, b = gains.sum(axis=1), loses.sum(axis=1)
        share = _shares(len(inputs))
        return np.asarray((value * share[a, b]) @ gains - (value * share[b, a]) @ loses)

    def _inside(self, row: _Row) -> np.ndarray:
        seen = row.astype(np.float32).astype(np.float64) if self.single else row
        return np.asarray((seen > self.low) & (seen <= self.high))


@dataclass(frozen=True, slots=True)
class Bumps:
    """Gaussian bumps around rows, with a length for each column."""

    centres: Float64[np.ndarray, "row column"]
    heights: Float64[np.ndarray, " row"]
    lengths: _Row
    constant: float = 0.0

    def predict(self, features: _Table) -> Float64[np.ndarray, " item"]:
        """What it adds to the estimate. [unit of the target]"""
        told = [self.heights @ self._factors(row).prod(axis=1) for row in features]
        return np.array(told) + self.constant

    def share(self, inputs: _Row, reference: _Row) -> _Row:
        """What each column adds on the way from the reference. [unit of the target]"""
        start = self._factors(reference)
        change = self._factors(inputs) - start
        nodes, weights = np.polynomial.legendre.leggauss((len(inputs) + 1) // 2)
        shared = np.zeros(len(inputs))
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            shared += weight * (self.heights @ (change * _others(start + node * change)))
        return shared

    def _factors(self, row: _Row) -> Float64[np.ndarray, "row column"]:
        return np.asarray(np.exp(-0.5 * ((row - self.centres) / self.lengths) ** 2))


def _shares(count: int) -> Float64[np.ndarray, "own other"]:
    """What each of a features gets of the game "all of a and none of b". [1]"""
    told = np.zeros((count + 1, count + 1))
    for a in range(1, count + 1):
        for b in range(count + 1 - a):
            told[a, b] = 1 / ((a + b) * comb(a + b - 1, a - 1))
    return told


def _others(factors: Float64[np.ndarray, "row column"]) -> Float64[np.ndarray, "row column"]:
    """Products of all columns but each: without a division, since a factor may be zero. [1]"""
    one = np.ones((len(factors), 1))
    before = np.cumprod(np.hstack([one, factors[:, :-1]]), axis=1)
    after = np.cumprod(np.hstack([one, factors[:, :0:-1]]), axis=1)[:, ::-1]
    return np.asarray(before * after)


def dissect(fitted: Fitted, column_count: int) -> tuple[Part, ...] | None:
    """The parts whose sum a fit is, or none where it is no such sum.

    A fit is known by what it holds, not by its class: a mean of two, a line, a process, or a
    model of scikit-learn, LightGBM or XGBoost.
    """
    if hasattr(fitted, "line") and hasattr(fitted, "process"):
        both = [dissect(one, column_count) for one in (fitted.line, fitted.process)]
        if any(parts is None for parts in both):
            return None
        return tuple(_scaled(part, 0.5) for parts in both for part in parts or ())
    if hasattr(fitted, "weights") and hasattr(fitted, "intercept"):
        return (Line(fitted.weights, fitted.intercept),)
    if isinstance(process := getattr(fitted, "process", None), GaussianProcess):
        return _process(process)
    model = getattr(fitted, "model", None)
    if hasattr(fitted, "centre") and hasattr(fitted, "scale"):
        # Networks, and trees of a time to failure, are scaled as well and have no such sum.
        known = hasattr(model, "kernel_")
        return _relevance(model, fitted.centre, fitted.scale) if known else None
    return _outside(model, column_count)


def _scaled(part: Part, by: float) -> Part:
    if isinstance(part, Line):
        return Line(by * part.weights, by * part.intercept)
    if isinstance(part, Bumps):
        return Bumps(part.centres, by * part.heights, part.lengths, by * part.constant)
    if isinstance(part, Boxes):
        return Boxes(part.low, part.high, by * part.value, by * part.constant, part.single)
    raise TypeError(part)


def _process(process: GaussianProcess) -> tuple[Part, ...]:
    """Members share the training rows: one line in all, bumps of one length together."""
    weight = process.scale * process.weights
    line, bump, length = (process.settings[:, k] for k in (0, 1, 2))
    slope = ((weight * line) @ process.duals) @ process.inputs
    parts: list[Part] = [Line(slope, process.centre)]
    for one in np.unique(length):
        own = length == one
        heights = (weight * bump)[own] @ process.duals[own]
        parts.append(Bumps(process.inputs, heights, np.full(process.inputs.shape[1], one)))
    return tuple(parts)


def _relevance(model: Any, centre: float, scale: float) -> tuple[Part, ...]:
    """scikit-learn's process with the kernel constant × bump + noise."""
    size, shape = model.kernel_.k1.k1.constant_value, model.kernel_.k1.k2.length_scale
    lengths = np.broadcast_to(shape, model.X_train_.shape[1]).astype(np.float64)
    return (Bumps(model.X_train_, scale * size * model.alpha_, lengths, centre),)


def _outside(model: Any, column_count: int) -> tuple[Part, ...] | None:
    """Models of other packages, by what they hold once fitted."""
    if hasattr(model, "regressor_") and hasattr(model.regressor_, "support_vectors_"):
        return _vectors(model)
    if hasattr(model, "coef_"):
        start = float(np.ravel(model.predict(np.zeros((1, column_count))))[0])
        slope = np.ravel(model.predict(np.eye(column_count))) - start
        return (Line(slope.astype(np.float64), start),)
    if hasattr(model, "dump_model"):
        trees = model.dump_model()["tree_info"]
        nodes = [_light_nodes(tree["tree_structure"]) for tree in trees]
        return (_boxes(nodes, column_count, 1.0, single=False),)
    if hasattr(model, "get_booster"):
        return (_extreme(model, column_count),)
    # A weighted median of trees (AdaBoost) is no sum of them.
    if hasattr(model, "estimators_") and not hasattr(model, "estimator_weights_"):
        nodes = [_forest_nodes(tree.tree_) for tree in model.estimators_]
        return (_boxes(nodes, column_count, 1 / len(nodes), single=True),)
    return None


def _vectors(model: Any) -> tuple[Part, ...]:
    """Support vectors on a standardised target."""
    inner, scaler = model.regressor_, model.transformer_
    scale, mean = float(scaler.scale_[0]), float(scaler.mean_[0])
    vectors = np.asarray(inner.support_vectors_, dtype=np.float64)
    lengths = np.full(vectors.shape[1], 1 / np.sqrt(2 * inner.gamma))
    heights = scale * np.ravel(inner.dual_coef_)
    return (Bumps(vectors, heights, lengths, mean + scale * float(inner.intercept_[0])),)


def _boxes(trees: Sequence[list[_Node]], column_count: int, by: float, *, single: bool) -> Boxes:
    low, high, value = [], [], []
    for nodes in trees:
        least, most = np.full(column_count, -np.inf), np.full(column_count, np.inf)
        waiting = [(0, least, most)]
        while waiting:
            place, least, most = waiting.pop()
            column, threshold, left, right, told = nodes[place]
            if column < 0:
                low.append(least)
                high.append(most)
                value.append(by * told)
                continue
            below, above = most.copy(), least.copy()
            below[column] = min(below[column], threshold)
            above[column] = max(above[column], threshold)
            waiting += [(left, least, below), (right, above, most)]
    return Boxes(np.array(low), np.array(high), np.array(value), single=single)


def _forest_nodes(tree: Any) -> list[_Node]:
    return [
        (int(column), float(threshold), int(left), int(right), float(value))
        for column, threshold, left, right, value in zip(
            tree.feature, tree.threshold, tree.children_left, tree.children_right,
            tree.value[:, 0, 0], strict=True,
        )
    ]  # fmt: skip


def _light_nodes(root: dict[str, Any]) -> list[_Node]:
    nodes: list[_Node] = []

    def put(node: dict[str, Any]) -> int:
        place = len(nodes)
        if "leaf_value" in node:
            nodes.append((-1, 0.0, 0, 0, float(node["leaf_value"])))
            return place
        nodes.append((-1, 0.0, 0, 0, 0.0))
        left, right = put(node["left_child"]), put(node["right_child"])
        nodes[place] = (int(node["split_feature"]), float(node["threshold"]), left, right, 0.0)
        return place

    put(root)
    return nodes


def _extreme(model: Any, column_count: int) -> Boxes:
    """XGBoost sends an input below the threshold to the left, and one that equals it right."""
    booster = model.get_booster()
    nodes = [_extreme_nodes(json.loads(tree)) for tree in booster.get_dump(dump_format="json")]
    boxes = _boxes(nodes, column_count, 1.0, single=True)
    # What all trees start from is told in several ways by version; the first row tells it as well.
    start = np.zeros((1, column_count))
    constant = float(model.predict(start)[0]) - float(boxes.predict(start)[0])
    return Boxes(boxes.low, boxes.high, boxes.value, constant, single=True)


def _extreme_nodes(root: dict[str, Any]) -> list[_Node]:
    nodes: list[_Node] = []

    def put(node: dict[str, Any]) -> int:
        place = len(nodes)
        if "leaf" in node:
            nodes.append((-1, 0.0, 0, 0, float(node["leaf"])))
            return place
        nodes.append((-1, 0.0, 0, 0, 0.0))
        children = {child["nodeid"]: child for child in node["children"]}
        left, right = put(children[node["yes"]]), put(children[node["no"]])
        below = np.nextafter(np.float32(node["split_condition"]), np.float32(-np.inf))
        column = int(str(node["split"]).removeprefix("f"))
        nodes[place] = (column, float(below), left, right, 0.0)
        return place

    put(root)
    return nodes
