"""Trees as a small machine walks them: thresholds on raw numbers, a left child right behind.

Rules
- Preparation and rounding never turn the order of two numbers round, so for each threshold there is
  a largest raw number that still goes left. It is found to the last bit and put in its place: the
  walk is the same for every number, and no input need be clipped, scaled or rounded.
- A split that every number passes on one side is left out.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.health.learner import Prepared
from cellwarden.health.portable import Trees

__all__ = ["LEAF", "Layout", "lay_out"]

LEAF: Final = -1
_MOST: Final = np.finfo(np.float64).max


@dataclass(frozen=True, slots=True)
class Layout:
    """Nodes of all trees; `number` is a threshold, or the value where `feature` is `LEAF`.

    The left child of a node is the next one, the right child stands in `right`.
    """

    roots: Int64[np.ndarray, " tree"]
    feature: Int64[np.ndarray, " node"]
    number: Float64[np.ndarray, " node"]
    right: Int64[np.ndarray, " node"]


def lay_out(prepared: Prepared, trees: Trees) -> Layout:
    """The trees behind this preparation, on raw numbers. [unit of the target]"""
    edge, passes = _raw(prepared, trees)
    roots: list[int] = []
    feature: list[int] = []
    number: list[float] = []
    right: list[int] = []
    for root in trees.roots.tolist():
        roots.append(len(feature))
        todo = [(root, -1)]  # a node, and the place whose right child it is
        while todo:
            node, parent = todo.pop()
            while trees.left[node] != node and passes[node] != 0:
                node = int(trees.left[node] if passes[node] > 0 else trees.right[node])
            place = len(feature)
            if parent >= 0:
                right[parent] = place
            leaf = trees.left[node] == node
            feature.append(LEAF if leaf else int(trees.feature[node]))
            number.append(float(trees.value[node] if leaf else edge[node]))
            right.append(place)
            if not leaf:
                todo += [(int(trees.right[node]), place), (int(trees.left[node]), -1)]
    return Layout(np.array(roots), np.array(feature), np.array(number), np.array(right))


def _raw(
    prepared: Prepared, trees: Trees
) -> tuple[Float64[np.ndarray, " node"], Int64[np.ndarray, " node"]]:
    """The largest number that goes left at each node; 1, -1: all numbers go left, right. [unit]"""
    count = len(trees.feature)
    least, most = np.full(count, -_MOST), np.full(count, _MOST)
    passes = _goes_left(prepared, trees, most) * 1 - ~_goes_left(prepared, trees, least) * 1
    low, high = _rank(least), _rank(most)
    while True:
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        if np.array_equal(middle, low):
            break
        left = _goes_left(prepared, trees, _unrank(middle))
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return _unrank(low), passes


def _goes_left(
    prepared: Prepared, trees: Trees, raw: Float64[np.ndarray, " node"]
) -> Bool[np.ndarray, " node"]:
    """Whether a number goes left at its node, by the very steps of the preparation."""
    of = trees.feature
    held = np.clip(raw, prepared.low[of], prepared.high[of])
    told = (held - prepared.centre[of]) / prepared.spread[of]
    if trees.single_inputs:
        told = told.astype(np.float32).astype(np.float64)
    return np.asarray(told <= trees.threshold)


def _rank(number: Float64[np.ndarray, " node"]) -> Int64[np.ndarray, " node"]:
    """The place of a number among all of double precision; the order stays. [1]"""
    bits = number.view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)


def _unrank(rank: Int64[np.ndarray, " node"]) -> Float64[np.ndarray, " node"]:
    return np.where(rank < 0, np.int64(-(2**63)) - rank, rank).view(np.float64)
