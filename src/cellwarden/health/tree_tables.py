"""Trees as flat arrays, from the libraries that grow them.

Rules
- A node comes before its children, a tree before the next; a leaf is its own child.
- `x < t`, as XGBoost has it, is `x <= t'` with t' the number of single precision before t.
- LightGBM takes an input of at most 1e-35 for zero: a threshold within that is moved to the end
  that parts the same inputs.
- Inputs are numbers: the preparation has filled what was missing, so no side for it is kept.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cellwarden.errors import UsageError
from cellwarden.health.portable import Trees

__all__ = ["light_trees", "trees_of"]

_LIGHT_ZERO: Final = float(np.float32(1e-35))
_FORESTS: Final = ("RandomForestRegressor", "ExtraTreesRegressor", "BaggingRegressor")


@dataclass(frozen=True, slots=True)
class _Node:
    """A split, or a leaf where `feature` is -1."""

    feature: int = -1
    threshold: float = 0.0
    value: float = 0.0
    left: int = 0
    right: int = 0


def trees_of(model: Any) -> Trees | None:
    """The trees of a fitted model; None where it has none. [unit of the target]

    Raises:
        UsageError: its trees do what arrays of thresholds cannot.
    """
    name = type(model).__name__
    if name == "Booster" and type(model).__module__.startswith("lightgbm"):
        return light_trees(model)
    if name == "XGBRegressor":
        return _extreme(model)
    if name in _FORESTS:
        return _forest(model)
    return None


def light_trees(model: Any) -> Trees:
    """The trees of a LightGBM booster. [unit of the target]

    Raises:
        UsageError: they are no plain sum.
    """
    told = model.dump_model()
    if told["average_output"] or told["num_tree_per_iteration"] != 1:
        raise UsageError("LightGBM trees that are no plain sum", hint="Fit a plain regression.")
    trees = [_light_nodes(one["tree_structure"]) for one in told["tree_info"]]
    return _laid_out(trees, model.num_feature())


def _light_nodes(root: dict[str, Any]) -> list[_Node]:
    nodes: list[_Node] = []

    def walk(node: dict[str, Any]) -> int:
        place = len(nodes)
        nodes.append(_Node(value=float(node.get("leaf_value", 0.0))))
        if "split_feature" in node:
            if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
                raise UsageError("LightGBM splits by category", hint="Give numbers alone.")
            left, right = walk(node["left_child"]), walk(node["right_child"])
            edge = _light_edge(float(node["threshold"]))
            nodes[place] = _Node(int(node["split_feature"]), edge, left=left, right=right)
        return place

    walk(root)
    return nodes


def _light_edge(edge: float) -> float:
    if abs(edge) > _LIGHT_ZERO:
        return edge
    return _LIGHT_ZERO if edge >= 0 else float(np.nextafter(-_LIGHT_ZERO, -np.inf))


def _extreme(model: Any) -> Trees:
    booster = model.get_booster()
    told = json.loads(booster.save_raw("json"))["learner"]
    gbtree = told["gradient_booster"]["model"]
    trees = []
    for tree in gbtree["trees"]:
        if any(tree["split_type"]):
            raise UsageError("XGBoost splits by category", hint="Give numbers alone.")
        edge = np.array(tree["split_conditions"], dtype=np.float32)
        before = np.nextafter(edge, np.float32(-np.inf))
        trees.append(
            _nodes(
                tree["left_children"],
                tree["right_children"],
                tree["split_indices"],
                before.astype(np.float64),
                edge.astype(np.float64),  # of a leaf, its value
            )
        )
    score = np.ravel(json.loads(str(told["learner_model_param"]["base_score"])))
    base = float(np.float32(score[0]))
    count = int(told["learner_model_param"]["num_feature"])
    return _laid_out(trees, count, offset=base, single_inputs=True, single_sum=True)


def _forest(model: Any) -> Trees:
    trees = []
    chosen = getattr(model, "estimators_features_", [None] * len(model.estimators_))
    for one, places in zip(model.estimators_, chosen, strict=True):
        tree = one.tree_
        feature: Any = tree.feature
        if places is not None:
            feature = np.asarray(places)[np.maximum(feature, 0)]  # of a leaf it is negative
        trees.append(
            _nodes(
                tree.children_left,
                tree.children_right,
                feature,
                tree.threshold,
                tree.value[:, 0, 0],
            )
        )
    return _laid_out(trees, model.n_features_in_, divisor=float(len(trees)), single_inputs=True)


def _nodes(
    left: Sequence[int],
    right: Sequence[int],
    feature: Sequence[int],
    threshold: Iterable[float],
    value: Iterable[float],
) -> list[_Node]:
    """Nodes renumbered so that a parent comes before its children."""
    edges, values = list(threshold), list(value)
    nodes: list[_Node] = []

    def walk(old: int) -> int:
        place = len(nodes)
        nodes.append(_Node(value=float(values[old])))
        if left[old] >= 0:
            one, other = walk(int(left[old])), walk(int(right[old]))
            nodes[place] = _Node(int(feature[old]), float(edges[old]), left=one, right=other)
        return place

    walk(0)
    return nodes


def _laid_out(trees: list[list[_Node]], column_count: int, **more: Any) -> Trees:
    starts = np.cumsum([0, *(len(nodes) for nodes in trees)])
    every = [
        (node, start + place, start)
        for nodes, start in zip(trees, starts, strict=False)
        for place, node in enumerate(nodes)
    ]
    return Trees(
        column_count=int(column_count),
        roots=starts[:-1].astype(np.int64),
        feature=np.array([max(node.feature, 0) for node, _, _ in every], dtype=np.int64),
        threshold=np.array([node.threshold for node, _, _ in every]),
        left=np.array([s + n.left if n.feature >= 0 else at for n, at, s in every], dtype=np.int64),
        right=np.array(
            [s + n.right if n.feature >= 0 else at for n, at, s in every], dtype=np.int64
        ),
        value=np.array([node.value for node, _, _ in every]),
        **more,
    )
