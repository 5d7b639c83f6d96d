"""Small networks as plain arrays: fitted with JAX, told with NumPy alone.

Rules
- A network is frozen arrays and the name of its activation, so that it can be written to ONNX or C
  and told where JAX is not.
- Five networks make one prediction. Each stops where its own left-out training cells are told
  best (`health.descent`); the spread is how they differ and how far they erred on those cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError
from cellwarden.health.descent import Weights, descend
from cellwarden.health.learner import Fitted, Setting, Told
from cellwarden.health.portable import Layer, Net, Nets
from cellwarden.health.task import Sample

__all__ = [
    "ACTIVATION",
    "Ensemble",
    "Perceptron",
    "as_perceptron",
    "begin_layers",
    "fit_perceptron",
    "tell_layers",
]

ACTIVATION: Final = "tanh"
_WIDTHS: Final = (32, 32)
# Tables of up to so many columns have one shape, and what is compiled for one serves all.
_COLUMNS: Final = 16

_Table = Float64[np.ndarray, "item column"]


@dataclass(frozen=True, slots=True)
class Perceptron:
    """Layers of weights and biases, `rows @ weight + bias`, the activation between them."""

    layers: tuple[tuple[Float64[np.ndarray, "before after"], Float64[np.ndarray, " after"]], ...]
    activation: str = ACTIVATION

    def __call__(self, features: _Table) -> Float64[np.ndarray, " item"]:
        """A number a row. [1]"""
        flat = tuple(array for layer in self.layers for array in layer)
        return np.asarray(tell_layers(np, flat, features))


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Networks of a target of unit spread; `error` is how far they erred on left-out cells."""

    members: tuple[Callable[[_Table], Float64[np.ndarray, " item"]], ...]
    centre: float
    scale: float
    error: float

    def predict(self, features: _Table) -> Told:
        """The mean of the networks, with a spread. [unit of the target]"""
        told = np.array([one(features) for one in self.members])
        spread = np.sqrt(told.var(axis=0) + self.error**2)
        return Told(self.centre + self.scale * told.mean(axis=0), self.scale * spread)

    def body(self) -> Nets:
        """The networks as plain arrays. [unit of the target]

        Raises:
            UsageError: a member is no perceptron.
        """
        nets = []
        for one in self.members:
            if not isinstance(one, Perceptron):
                raise UsageError("a network of curves has no plain form", hint="Take a perceptron.")
            layers = tuple(
                Layer(weight.astype(np.float64), bias.astype(np.float64))
                for weight, bias in one.layers
            )
            nets.append(Net(layers, one.activation))
        return Nets(tuple(nets), self.centre, self.scale, self.error)


def tell_layers(array: Any, weights: Weights, rows: Any) -> Any:
    """What layers make of rows, with NumPy or with `jax.numpy`. [1]"""
    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    for weight, bias in pairs[:-1]:
        rows = array.tanh(rows @ weight + bias)
    return (rows @ pairs[-1][0] + pairs[-1][1])[:, 0]


def begin_layers(draw: np.random.Generator, widths: tuple[int, ...]) -> Weights:
    """Weights to start from, from the width of the input to that of the answer. [1]"""
    weights: list[np.ndarray] = []
    for before, after in pairwise(widths):
        weights += [draw.normal(size=(before, after)) / np.sqrt(before), np.zeros(after)]
    return tuple(weights)


def fit_perceptron(sample: Sample, setting: Setting, seed: int) -> Fitted:
    """Five multilayer perceptrons; `decay` pulls their weights to zero."""
    count = sample.features.shape[1]
    room = -count % _COLUMNS

    def begin(draw: np.random.Generator) -> Weights:
        first, *others = begin_layers(draw, (count, *_WIDTHS, 1))
        return (np.pad(first, ((0, room), (0, 0))), *others)

    padded = np.pad(sample.features, ((0, 0), (0, room)))
    found = descend(
        tell_layers, begin, padded, sample.target, sample.cell, decay=setting["decay"], seed=seed
    )
    members = tuple(as_perceptron(one, count) for one in found.weights)
    return Ensemble(members, found.centre, found.scale, found.error)


def as_perceptron(weights: Weights, count: int) -> Perceptron:
    """Layers of pairs from one list of arrays, for so many columns."""
    first, *others = weights
    flat = (first[:count], *others)
    return Perceptron(tuple(zip(flat[::2], flat[1::2], strict=True)))
