"""Which feature moved an estimate, and by how much, adding up exactly.

Shapley values against one reference input: over all orders in which the features go from the
reference to the input, the mean of what each adds. Lines, trees and kernels have them in closed
form (`health.anatomy`), whatever the number of columns. Anything else takes the 2^f evaluations of
the definition, so no sampling and no approximation; with more than `MOST_ENUMERATED` columns these
are taken in `groups`, and what is told is exact of the groups, not of the columns inside one.

Rules
- The reference is the training median of each column.
- A prediction is held to the range of the training target. What that took off or added is told
  apart (`held`), so that base, contributions and it add up to the prediction.

Source: L. S. Shapley, "A value for n-person games", Contributions to the Theory of Games II
(1953), 307; "baseline Shapley" of M. Sundararajan and A. Najmi, ICML 2020, arXiv 1908.08474.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import UsageError
from cellwarden.health.anatomy import dissect
from cellwarden.health.learner import Prepared

__all__ = [
    "MOST_ENUMERATED",
    "Attribution",
    "Importance",
    "attribute",
    "column_groups",
    "contributions",
    "importance",
]

MOST_ENUMERATED: Final = 16

_Groups = Sequence[Sequence[int]]


def contributions(
    estimate: Callable[[Float64[np.ndarray, "item feature"]], Float64[np.ndarray, " item"]],
    inputs: Float64[np.ndarray, " feature"],
    reference: Float64[np.ndarray, " feature"],
    groups: _Groups | None = None,
) -> tuple[float, tuple[float, ...]]:
    """The estimate at the reference, and what each feature adds to it. [unit of the estimate]

    With `groups` of places the features of a group move together, and share one number.

    Raises:
        UsageError: there are too many features, or groups, to enumerate.
    """
    moved = [[place] for place in range(len(inputs))] if groups is None else groups
    count = len(moved)
    if count > MOST_ENUMERATED:
        raise UsageError(
            f"{count} features have 2^{count} orders to evaluate",
            hint=f"Give at most {MOST_ENUMERATED} groups of features: see column_groups.",
        )
    subset = np.arange(2**count)
    inside = (subset[:, None] >> np.arange(count)) & 1 == 1
    rows = np.repeat(reference[None, :], len(subset), axis=0)
    for place, group in enumerate(moved):
        at = np.array(group)
        rows[np.ix_(inside[:, place], at)] = inputs[at]
    value = estimate(rows)
    size = inside.sum(axis=1)
    share = np.array([1 / (count * comb(count - 1, k)) for k in range(count)])
    parts = []
    for place in range(count):
        without = subset[~inside[:, place]]
        weight = share[size[without]]
        parts.append(float(weight @ (value[without | (1 << place)] - value[without])))
    return float(value[0]), tuple(parts)


@dataclass(frozen=True, slots=True)
class Attribution:
    """What each of `names` moved the prediction of each row from `base`. [unit of the target]

    `held` is what holding the prediction to the training range added. `method` says how it was
    reached: "parts" (closed form), "orders" (enumerated) or "orders of groups".
    """

    names: tuple[str, ...]
    base: float
    moved: Float64[np.ndarray, "item name"]
    held: Float64[np.ndarray, " item"]
    method: str

    def total(self) -> Float64[np.ndarray, " item"]:
        """Base, contributions and what was held: the prediction. [unit of the target]"""
        return np.asarray(self.base + self.moved.sum(axis=1) + self.held)


def attribute(
    whole: Prepared,
    names: tuple[str, ...],
    features: Float64[np.ndarray, "item every"],
    groups: _Groups | None = None,
) -> Attribution:
    """What each column of a fit moved its predictions for these rows. [unit of the target]

    `names` are those of the columns that it takes. `groups` of their places are used where the fit
    has no closed form.

    Raises:
        UsageError: it has none, too many columns, and no groups are given.
    """
    inputs, usual = whole.inputs(features), (whole.fill - whole.centre) / whole.spread
    if (parts := dissect(whole.fitted, len(names))) is not None:
        raw = whole.fitted.predict(inputs).mean
        base = float(sum(part.predict(usual[None])[0] for part in parts))
        moved = np.array([sum(part.share(row, usual) for part in parts) for row in inputs])
        moved = moved.reshape(len(inputs), len(names))
        held = np.clip(raw, whole.least, whole.most) - raw
        return Attribution(names, base, moved, held, "parts")

    def told(rows: Float64[np.ndarray, "item column"]) -> Float64[np.ndarray, " item"]:
        return np.asarray(np.clip(whole.fitted.predict(rows).mean, whole.least, whole.most))

    if groups is None:
        groups, labels, method = [[k] for k in range(len(names))], names, "orders"
    else:
        labels = tuple(" + ".join(names[k] for k in group) for group in groups)
        method = "orders of groups"
    each = [contributions(told, row, usual, groups) for row in inputs]
    base = float(told(usual[None])[0])
    shared = np.array([parts for _, parts in each]).reshape(len(inputs), len(labels))
    return Attribution(labels, base, shared, np.zeros(len(inputs)), method)


def column_groups(
    features: Float64[np.ndarray, "row column"], most: int = 10
) -> tuple[tuple[int, ...], ...]:
    """Columns that move together on training rows, in at most so many groups. [1]"""
    from scipy.cluster.hierarchy import fcluster, linkage  # noqa: PLC0415  when it is used
    from scipy.spatial.distance import squareform  # noqa: PLC0415  likewise

    count = features.shape[1]
    filled = np.where(np.isfinite(features), features, np.nanmedian(features, axis=0))
    moving = filled.std(axis=0) > 0
    apart = np.ones((count, count))
    apart[np.ix_(moving, moving)] = 1 - np.abs(np.corrcoef(filled[:, moving], rowvar=False))
    np.fill_diagonal(apart, 0.0)
    tree = linkage(squareform(np.clip(apart, 0, 1), checks=False), "average")
    label = fcluster(tree, most, "maxclust")
    return tuple(tuple(np.flatnonzero(label == one).tolist()) for one in np.unique(label))


@dataclass(frozen=True, slots=True)
class Importance:
    """Mean size of contributions: for each cell, and over cells that count alike.

    In the unit of the target.
    """

    names: tuple[str, ...]
    cells: Int64[np.ndarray, " cell"]
    by_cell: Float64[np.ndarray, "cell name"]

    def overall(self) -> Float64[np.ndarray, " name"]:
        """Mean over cells. [unit of the target]"""
        return np.asarray(self.by_cell.mean(axis=0))

    def ranked(self) -> tuple[tuple[str, float], ...]:
        """Names and their means, the largest first. [unit of the target]"""
        told = zip(self.names, self.overall().tolist(), strict=True)
        return tuple(sorted(told, key=lambda pair: -pair[1]))


def importance(told: Attribution, cell: Int64[np.ndarray, " item"]) -> Importance:
    """How much each name matters in all and cell by cell. [unit of the target]"""
    cells, place = np.unique(cell, return_inverse=True)
    size = np.abs(told.moved)
    by_cell = np.array([size[place == k].mean(axis=0) for k in range(len(cells))])
    return Importance(told.names, cells, by_cell)
