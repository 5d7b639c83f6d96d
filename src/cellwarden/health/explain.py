"""Which feature moved an estimate, and by how much, adding up exactly.

Shapley values against one reference input: over all orders in which the features go from the
reference to the input, the mean of what each adds. With f features that is 2^f evaluations, so
no sampling and no approximation.

Source: L. S. Shapley, "A value for n-person games", Contributions to the Theory of Games II
(1953), 307; "baseline Shapley" of M. Sundararajan and A. Najmi, ICML 2020, arXiv 1908.08474.
"""

from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError

__all__ = ["contributions"]

_MOST: Final = 20  # a million evaluations


def contributions(
    estimate: Callable[[Float64[np.ndarray, "item feature"]], Float64[np.ndarray, " item"]],
    inputs: Float64[np.ndarray, " feature"],
    reference: Float64[np.ndarray, " feature"],
) -> tuple[float, tuple[float, ...]]:
    """The estimate at the reference, and what each feature adds to it. [unit of the estimate]

    Raises:
        UsageError: there are too many features.
    """
    count = len(inputs)
    if count > _MOST:
        raise UsageError(
            f"{count} features are too many to tell apart exactly",
            hint=f"Explain a model of at most {_MOST} columns.",
        )
    places = range(count)
    subsets = [set(s) for size in range(count + 1) for s in combinations(places, size)]
    rows = np.array([[inputs[f] if f in s else reference[f] for f in places] for s in subsets])
    value = dict(zip(map(frozenset, subsets), estimate(rows).tolist(), strict=True))
    parts = []
    for feature in places:
        without = [frozenset(s) for s in subsets if feature not in s]
        parts.append(
            sum(
                (value[s | {feature}] - value[s]) / (count * comb(count - 1, len(s)))
                for s in without
            )
        )
    return value[frozenset()], tuple(parts)
