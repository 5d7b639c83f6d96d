"""What a fitted algorithm knows, as plain arrays: nothing but NumPy is needed to predict with it.

Rules
- A body (`Line`, `Process`, `Pair`, `Trees`, `Nets`) takes prepared inputs, a `Portable` raw rows.
- Arrays are read-only, finite and of the stated shape; a value that is anything else is refused.
- A child in a tree comes after its parent, so that every walk ends.
- The interval is the prediction and a fixed half-width around it, counted in the body's standard
  deviation where it has one; `conversion` says where the half-width comes from.
"""

import types
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, Final, Union, get_args, get_origin

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import DataError
from cellwarden.health.learner import Prepared, Told

__all__ = [
    "ACTIVATIONS",
    "Body",
    "Layer",
    "Line",
    "Net",
    "Nets",
    "Pair",
    "Portable",
    "Process",
    "Spread",
    "Trees",
]

ACTIVATIONS: Final = ("relu", "tanh")
_AT_A_TIME: Final = 2**20  # places of trees times rows

_Table = Float64[np.ndarray, "item column"]


@dataclass(frozen=True, slots=True)
class Line:
    """A weight for each input. [unit of the target]"""

    weights: Float64[np.ndarray, " column"]
    intercept: float

    def __post_init__(self) -> None:
        _settle(self)

    @property
    def column_count(self) -> int:
        """How many inputs it takes. [1]"""
        return len(self.weights)

    def predict(self, features: _Table) -> Told:
        """Predictions for prepared rows. [unit of the target]"""
        return Told(np.asarray(features @ self.weights + self.intercept))


@dataclass(frozen=True, slots=True)
class Spread:
    """The members of a Gaussian process, from which its standard deviation comes. [1]

    Of each: size of the line, size, length and noise of the bump (`settings`), its chance
    (`weights`), a weight for each row (`duals`) and the inverse root of the covariance (`roots`),
    a lower triangle.
    """

    settings: Float64[np.ndarray, "member setting"]
    weights: Float64[np.ndarray, " member"]
    duals: Float64[np.ndarray, "member row"]
    roots: Float64[np.ndarray, "member row row"]
    emphasis: float
    noise_level: float

    def __post_init__(self) -> None:
        _settle(self)
        count, rows = self.duals.shape
        _agree(self.settings.shape == (count, 4), "four settings for each member")
        _agree(self.weights.shape == (count,), "a weight for each member")
        _agree(self.roots.shape == (count, rows, rows), "a root for each member")
        _agree(not np.triu(self.roots, 1).any(), "roots that are lower triangles")
        _agree(bool((self.settings[:, 2] > 0).all()) and self.noise_level > 0, "positive sizes")

    def around(
        self,
        own: Float64[np.ndarray, " item"],
        line: Float64[np.ndarray, "item row"],
        square: Float64[np.ndarray, "item row"],
        mean: Float64[np.ndarray, " item"],
        scale: float,
    ) -> Float64[np.ndarray, " item"]:
        """Standard deviation around means of unit scale. [unit of the target]"""
        variance = np.zeros(len(mean))
        for (a, b, length, _), chance, dual, root in zip(
            self.settings, self.weights, self.duals, self.roots, strict=True
        ):
            cross = a * line + b * np.exp(-square / (2 * length**2))
            sure = a * own + b - ((cross @ root.T) ** 2).sum(axis=1)
            variance += chance * (np.maximum(sure, 0.0) + (cross @ dual - mean) ** 2)
        quiet = 10.0 ** (self.emphasis * scale * mean) / self.noise_level
        variance += float(self.weights @ self.settings[:, 3]) / quiet
        return np.asarray(scale * np.sqrt(variance))


@dataclass(frozen=True, slots=True)
class Process:
    """A line and bumps around rows once seen: a Gaussian process, or support vectors.

    An input times its `stretch` is compared with `inputs`; each of the `lengths` has a weight for
    each row. Without a `spread` no standard deviation is told. [unit of the target]
    """

    inputs: Float64[np.ndarray, "row column"]
    stretch: Float64[np.ndarray, " column"]
    slope: Float64[np.ndarray, " column"]
    lengths: Float64[np.ndarray, " length"]
    duals: Float64[np.ndarray, "length row"]
    centre: float
    scale: float
    spread: Spread | None = None

    def __post_init__(self) -> None:
        _settle(self)
        rows, columns = self.inputs.shape
        _agree(self.stretch.shape == self.slope.shape == (columns,), "a slope for each column")
        _agree(self.duals.shape == (len(self.lengths), rows), "a weight for each row")
        _agree(bool((self.lengths > 0).all()), "positive lengths")
        if self.spread is not None:
            _agree(self.spread.duals.shape[1] == rows, "members of the same rows")

    @property
    def column_count(self) -> int:
        """How many inputs it takes. [1]"""
        return len(self.stretch)

    def predict(self, features: _Table) -> Told:
        """Predictions for prepared rows. [unit of the target]"""
        at = features * self.stretch
        line = at @ self.inputs.T
        own = (at * at).sum(axis=1)
        square = own[:, None] + (self.inputs**2).sum(axis=1)[None, :] - 2 * line
        square = np.maximum(square, 0.0)
        mean = at @ self.slope
        for length, dual in zip(self.lengths, self.duals, strict=True):
            mean = mean + np.exp(-square / (2 * length**2)) @ dual
        told = self.centre + self.scale * mean
        if self.spread is None:
            return Told(told)
        return Told(told, self.spread.around(own, line, square, mean, self.scale))


@dataclass(frozen=True, slots=True)
class Pair:
    """The mean of a line and a process; what they differ by is part of the spread."""

    line: Line
    process: Process

    def __post_init__(self) -> None:
        _settle(self)
        _agree(self.line.column_count == self.process.column_count, "the same columns")

    @property
    def column_count(self) -> int:
        """How many inputs it takes. [1]"""
        return self.line.column_count

    def predict(self, features: _Table) -> Told:
        """Predictions for prepared rows. [unit of the target]"""
        one, other = self.line.predict(features), self.process.predict(features)
        mean = (one.mean + other.mean) / 2
        if other.std is None:
            return Told(mean)
        return Told(mean, np.sqrt(other.std**2 + ((one.mean - other.mean) / 2) ** 2))


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees laid out one after the other; a row goes left where its input is at most `threshold`.

    `roots` are the places of the first nodes. A leaf is its own child, on both sides, and has a
    `value`. The answer is `offset` plus the values in their order, over `divisor`; inputs, and the
    sum, are rounded to single precision where the library that grew the trees does so.
    [unit of the target]
    """

    column_count: int
    roots: Int64[np.ndarray, " tree"]
    feature: Int64[np.ndarray, " node"]
    threshold: Float64[np.ndarray, " node"]
    left: Int64[np.ndarray, " node"]
    right: Int64[np.ndarray, " node"]
    value: Float64[np.ndarray, " node"]
    offset: float = 0.0
    divisor: float = 1.0
    single_inputs: bool = False
    single_sum: bool = False

    def __post_init__(self) -> None:
        _settle(self)
        count = len(self.feature)
        parts = (self.threshold, self.left, self.right, self.value)
        _agree(all(len(part) == count for part in parts), "arrays of one length")
        _agree(bool(((self.feature >= 0) & (self.feature < self.column_count)).all()), "inputs")
        starts = np.append(self.roots, count)
        _agree(
            len(self.roots) > 0 and starts[0] == 0 and bool((np.diff(starts) > 0).all()), "roots"
        )
        place = np.arange(count)
        ends = np.repeat(starts[1:], np.diff(starts))
        leaf = (self.left == place) & (self.right == place)
        nearer, farther = np.minimum(self.left, self.right), np.maximum(self.left, self.right)
        inner = (nearer > place) & (farther < ends)
        _agree(bool((leaf | inner).all()), "children after their parents")
        children = np.concatenate([self.left[~leaf], self.right[~leaf], self.roots])
        _agree(np.array_equal(np.sort(children), place), "one parent for each node")
        _agree(self.divisor > 0, "a positive divisor")

    @property
    def leaf(self) -> np.ndarray:
        """Whether each node is one. [1]"""
        return np.asarray(self.left == np.arange(len(self.left)))

    def predict(self, features: _Table) -> Told:
        """Predictions for prepared rows. [unit of the target]"""
        if self.single_inputs:
            features = features.astype(np.float32).astype(np.float64)
        step = max(_AT_A_TIME // len(self.roots), 1)
        parts = [self._sum(features[k : k + step]) for k in range(0, len(features), step)]
        return Told(np.concatenate(parts) / self.divisor if parts else np.empty(0))

    def _sum(self, features: _Table) -> Float64[np.ndarray, " item"]:
        rows = np.arange(len(features))
        node = np.repeat(self.roots[:, None], len(features), axis=1)
        while True:
            goes_left = features[rows, self.feature[node]] <= self.threshold[node]
            child = np.where(goes_left, self.left[node], self.right[node])
            if np.array_equal(child, node):
                break
            node = child
        kind = np.float32 if self.single_sum else np.float64
        told = self.value[node].astype(kind)
        # One after the other, in the trees' order: a sum in pairs would round in another way.
        first = np.full((1, len(features)), self.offset, dtype=kind)
        total = np.add.accumulate(np.concatenate([first, told]), axis=0, dtype=kind)[-1]
        return np.asarray(total, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Layer:
    """Weights and biases of a layer. [1]"""

    weight: Float64[np.ndarray, "input output"]
    bias: Float64[np.ndarray, " output"]

    def __post_init__(self) -> None:
        _settle(self)
        _agree(self.weight.shape[1:] == self.bias.shape, "a bias for each output")


@dataclass(frozen=True, slots=True)
class Net:
    """Layers with an activation between them; the last tells one number. [1]"""

    layers: tuple[Layer, ...]
    activation: str

    def __post_init__(self) -> None:
        _settle(self)
        _agree(self.activation in ACTIVATIONS, f"an activation of {', '.join(ACTIVATIONS)}")
        widths = [layer.weight.shape for layer in self.layers]
        _agree(bool(widths) and widths[-1][1] == 1, "one output")
        _agree(all(one[1] == other[0] for one, other in pairwise(widths)), "layers that fit")

    def __call__(self, features: _Table) -> Float64[np.ndarray, " item"]:
        """A number a row. [1]"""
        told = features
        for layer in self.layers[:-1]:
            told = told @ layer.weight + layer.bias
            told = np.tanh(told) if self.activation == "tanh" else np.maximum(told, 0.0)
        last = self.layers[-1]
        return np.asarray((told @ last.weight + last.bias)[:, 0])


@dataclass(frozen=True, slots=True)
class Nets:
    """The mean of networks of a target of unit spread. [unit of the target]

    `error` is how far they erred on rows left out; with it, and how they differ, there is a
    standard deviation.
    """

    members: tuple[Net, ...]
    centre: float
    scale: float
    error: float | None = None

    def __post_init__(self) -> None:
        _settle(self)
        counts = {one.layers[0].weight.shape[0] for one in self.members}
        _agree(len(counts) == 1, "networks of the same columns")

    @property
    def column_count(self) -> int:
        """How many inputs it takes. [1]"""
        return int(self.members[0].layers[0].weight.shape[0])

    def predict(self, features: _Table) -> Told:
        """Predictions for prepared rows. [unit of the target]"""
        told = np.array([one(features) for one in self.members])
        mean = self.centre + self.scale * told.mean(axis=0)
        if self.error is None:
            return Told(mean)
        return Told(mean, self.scale * np.sqrt(told.var(axis=0) + self.error**2))


Body = Line | Process | Pair | Trees | Nets


@dataclass(frozen=True, slots=True)
class Portable:
    """A body behind its preparation, with the names of all columns that go in.

    `half_width` is None where there is no interval; it counts standard deviations where the body
    has them, else it is on the scale that is learnt. Of a `logarithmic` target that is the decimal
    logarithm, which `tell` takes back.
    """

    columns: tuple[str, ...]
    prepared: Prepared
    logarithmic: bool = False
    half_width: float | None = None
    coverage: float | None = None

    def __post_init__(self) -> None:
        _settle(self)
        _settle(self.prepared)
        own = self.prepared
        count = len(own.taken)
        _agree(isinstance(own.fitted, Body), "a body of plain arrays")
        _agree(getattr(own.fitted, "column_count", -1) == count > 0, "a body of the columns taken")
        parts = (own.fill, own.low, own.high, own.centre, own.spread)
        _agree(all(len(part) == count for part in parts), "a preparation of each column taken")
        _agree(len(set(self.columns)) == len(self.columns), "names that differ")
        inside = (own.taken >= 0) & (own.taken < len(self.columns))
        _agree(bool(inside.all()), "columns that are there")
        _agree(bool((own.spread > 0).all()) and bool((own.low <= own.high).all()), "true ranges")
        _agree(own.least <= own.most, "a true range of the target")
        _agree((self.half_width is None) == (self.coverage is None), "a coverage and a half-width")
        _agree(not own.takes_missing, "gaps that are filled")
        _agree(self.half_width is None or self.half_width >= 0, "a half-width of at least 0")
        _agree(self.coverage is None or 0 < self.coverage < 1, "a coverage between 0 and 1")

    @property
    def body(self) -> Body:
        """What is behind the preparation."""
        body = self.prepared.fitted
        assert isinstance(body, Body)  # noqa: S101  checked when it was made
        return body

    def predict(self, features: _Table) -> Told:
        """Predictions on the scale that is learnt. [unit of the target, or its logarithm]"""
        return self.prepared.predict(features)

    def interval(
        self, features: _Table
    ) -> tuple[Float64[np.ndarray, " item"], Float64[np.ndarray, " item"]] | None:
        """Low and high on the scale that is learnt; None: it has none. [unit of the target]"""
        if self.half_width is None:
            return None
        told = self.predict(features)
        away = self.half_width * (np.ones(len(told.mean)) if told.std is None else told.std)
        return told.mean - away, told.mean + away

    def tell(self, features: _Table) -> tuple[Float64[np.ndarray, " item"], ...]:
        """Prediction and, where there is an interval, low and high. [unit of the target]"""
        every = (self.predict(features).mean, *(self.interval(features) or ()))
        return tuple(10.0**one if self.logarithmic else one for one in every)

    def trimmed(self) -> "Portable":
        """The same, of rows that hold just the columns that it looks at."""
        taken = self.prepared.taken
        return replace(
            self,
            columns=tuple(self.columns[k] for k in taken),
            prepared=replace(self.prepared, taken=np.arange(len(taken))),
        )


def _settle(value: Any) -> None:
    """Put read-only copies of arrays into a new value.

    Raises:
        DataError: a part is of another kind than stated, or is not finite.
    """
    for one in fields(value):
        part = getattr(value, one.name)
        _agree(_is(part, one.type), f"{one.name} of the stated kind")
        if isinstance(part, np.ndarray):
            _agree(bool(np.isfinite(part).all()), f"finite {one.name}")
            if part.flags.writeable:
                part = part.copy()
                part.flags.writeable = False
                object.__setattr__(value, one.name, part)
        elif isinstance(part, float):
            _agree(bool(np.isfinite(part)), f"finite {one.name}")


def _is(part: object, stated: Any) -> bool:
    if get_origin(stated) in (Union, types.UnionType):
        return any(_is(part, one) for one in get_args(stated))
    if get_origin(stated) is tuple:
        return isinstance(part, tuple) and all(_is(one, get_args(stated)[0]) for one in part)
    if stated is int:
        return type(part) is int
    if getattr(stated, "_is_protocol", False):
        return True  # a `Fitted`; what a portable model may have there it looks at itself
    return isinstance(part, stated)


def _agree(holds: bool, wanted: str) -> None:  # noqa: FBT001  the claim itself
    if not holds:
        raise DataError(f"a portable model needs {wanted}", hint="Make it with `portable`.")
