"""A portable model as an ONNX file: preparation, prediction and interval in one graph.

Rules
- All numbers are of double precision, so that the graph tells what Python tells, to rounding; where
  a library adds its trees in single precision (XGBoost), to the rounding of that.
- A row holds just the columns that the model looks at, in the order that the metadata states; what
  is missing is NaN, and filled as in Python.
- Trees have thresholds on raw numbers (`tree_layout`): no rounding can turn a branch.
- Equal models give equal bytes.

Source: ONNX operators, ai.onnx opset 18 and ai.onnx.ml opset 5 (TreeEnsemble).
"""

import json
from typing import Any, Final

import numpy as np

from cellwarden.health.portable import Line, Net, Nets, Pair, Portable, Process, Spread, Trees
from cellwarden.registry.artefact import digest
from cellwarden.registry.portable_file import Label, encode_portable
from cellwarden.registry.tree_layout import LEAF, lay_out

__all__ = ["INPUT", "OPSETS", "OUTPUTS", "encode_onnx"]

INPUT: Final = "features"
OUTPUTS: Final = ("mean", "low", "high")
OPSETS: Final = {"": 18, "ai.onnx.ml": 5}
_IR_VERSION: Final = 10
_SUM: Final = 1  # of the values of all trees
_NOT_ABOVE: Final = 0  # a row goes to the true side where its number is at most the threshold


class _Graph:
    """Nodes and constants as they are added; a name is made for each."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._kept: dict[bytes, str] = {}

    def add(self, operator: str, *inputs: object, domain: str = "", **attributes: Any) -> str:
        """The name of what an operator gives; numbers and arrays among its inputs are constants."""
        from onnx import helper  # noqa: PLC0415  an extra, when it is used

        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        told = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [told], domain=domain, **attributes))
        return told

    def constant(self, value: object) -> str:
        """The name of an array of double precision, or of whole numbers as they are."""
        from onnx import numpy_helper  # noqa: PLC0415  likewise

        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(np.float64)
        key = str((array.dtype, array.shape)).encode() + array.tobytes()
        if key not in self._kept:
            self._kept[key] = f"constant_{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(array, self._kept[key]))
        return self._kept[key]

    def square_sum(self, rows: str) -> str:
        """The sum of the squares of each row, as a column."""
        return self.add("ReduceSumSquare", rows, np.array([1]), keepdims=1)


def encode_onnx(model: Portable, label: Label) -> bytes:
    """The ONNX file of a portable model: `features` in; `mean`, and `low` and `high`, out. [bytes]

    Raises:
        UsageError: the label does not fit the model.
    """
    from onnx import TensorProto, helper  # noqa: PLC0415  an extra, when it is used

    content = encode_portable(model, label)
    units = dict(zip(model.columns, label.column_units, strict=False))
    model = model.trimmed()
    graph = _Graph()
    told = _outputs(graph, model)
    for name, made in zip(OUTPUTS, told, strict=False):
        graph.nodes.append(helper.make_node("Identity", [made], [name]))
    rows = helper.make_tensor_value_info(INPUT, TensorProto.DOUBLE, ["row", len(model.columns)])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["row", 1])
        for name, _ in zip(OUTPUTS, told, strict=False)
    ]
    whole = helper.make_model(
        helper.make_graph(graph.nodes, "model", [rows], outputs, graph.constants),
        opset_imports=[helper.make_opsetid(name, version) for name, version in OPSETS.items()],
        ir_version=_IR_VERSION,
        producer_name="cellwarden",
        doc_string=f"{label.name}: {label.target} [{label.unit}]",
    )
    told_of = {
        "columns": json.dumps(model.columns),
        "column_units": json.dumps([units.get(name, "") for name in model.columns]),
        "coverage": json.dumps(model.coverage),
        "licence": label.licence,
        "portable_sha256": digest(content),
        "target": label.target,
        "unit": label.unit,
    }
    helper.set_model_props(whole, told_of)
    return bytes(whole.SerializeToString(deterministic=True))


def _outputs(graph: _Graph, model: Portable) -> list[str]:
    """Names of the prediction and, where there is an interval, of low and high."""
    own = model.prepared
    missing = graph.add("IsNaN", graph.add("Sub", INPUT, INPUT))  # of an infinite number too
    filled = graph.add("Where", missing, own.fill[None, :], INPUT)
    std: str | None = None
    if isinstance(own.fitted, Trees):
        mean = _trees(graph, model, own.fitted, filled)
    else:
        held = graph.add("Min", graph.add("Max", filled, own.low), own.high)
        inputs = graph.add("Div", graph.add("Sub", held, own.centre), own.spread)
        mean, std = _body(graph, model.body, inputs)
    mean = graph.add("Min", graph.add("Max", mean, own.least), own.most)
    told = [mean]
    if model.half_width is not None:
        away = graph.constant(model.half_width)
        away = graph.add("Mul", std, away) if std else away
        told += [graph.add("Sub", mean, away), graph.add("Add", mean, away)]
    return [graph.add("Pow", 10.0, one) for one in told] if model.logarithmic else told


def _body(graph: _Graph, body: object, inputs: str) -> tuple[str, str | None]:
    """Names of the mean and of the standard deviation, where there is one."""
    match body:
        case Line():
            weights = body.weights[:, None]
            return graph.add("Gemm", inputs, weights, np.array([body.intercept])), None
        case Process():
            return _process(graph, body, inputs)
        case Pair():
            (one, _), (other, std) = (
                _body(graph, part, inputs) for part in (body.line, body.process)
            )
            mean = graph.add("Mul", graph.add("Add", one, other), 0.5)
            if std is None:
                return mean, None
            apart = graph.add("Mul", graph.add("Sub", one, other), 0.5)
            squares = (graph.add("Mul", part, part) for part in (std, apart))
            return mean, graph.add("Sqrt", graph.add("Add", *squares))
        case Nets():
            return _nets(graph, body, inputs)
    raise AssertionError(body)  # trees have their own way, from raw numbers


def _process(graph: _Graph, body: Process, inputs: str) -> tuple[str, str | None]:
    at = graph.add("Mul", inputs, body.stretch)
    own = graph.square_sum(at)
    seen = (body.inputs**2).sum(axis=1)
    apart = graph.add("Gemm", at, body.inputs.T, seen, alpha=-2.0)
    square = graph.add("Max", graph.add("Add", apart, own), 0.0)
    mean = graph.add("MatMul", at, body.slope[:, None])
    for length, dual in zip(body.lengths, body.duals, strict=True):
        bump = graph.add("Exp", graph.add("Mul", square, -1 / (2 * length**2)))
        mean = graph.add("Add", mean, graph.add("MatMul", bump, dual[:, None]))
    told = graph.add("Add", graph.add("Mul", mean, body.scale), body.centre)
    if body.spread is None:
        return told, None
    line = graph.add("MatMul", at, body.inputs.T)
    return told, _spread(graph, body.spread, body.scale, (own, line, square, mean))


def _spread(graph: _Graph, spread: Spread, scale: float, parts: tuple[str, str, str, str]) -> str:
    own, line, square, mean = parts
    bumps = {
        length: graph.add("Exp", graph.add("Mul", square, -1 / (2 * length**2)))
        for length in np.unique(spread.settings[:, 2]).tolist()
    }
    quiet = graph.add("Pow", 10.0, graph.add("Mul", mean, spread.emphasis * scale))
    noise = float(spread.weights @ spread.settings[:, 3]) * spread.noise_level
    variance = graph.add("Div", noise, quiet)
    for (a, b, length, _), chance, dual, root in zip(
        spread.settings.tolist(), spread.weights, spread.duals, spread.roots, strict=True
    ):
        bump = graph.add("Mul", bumps[length], b)
        cross = graph.add("Add", graph.add("Mul", line, a), bump) if a else bump
        known = graph.square_sum(graph.add("MatMul", cross, root.T))
        prior = graph.add("Add", graph.add("Mul", own, a), b)
        sure = graph.add("Max", graph.add("Sub", prior, known), 0.0)
        away = graph.add("Sub", graph.add("MatMul", cross, dual[:, None]), mean)
        both = graph.add("Add", sure, graph.add("Mul", away, away))
        variance = graph.add("Add", variance, graph.add("Mul", both, chance))
    return graph.add("Mul", graph.add("Sqrt", variance), scale)


def _nets(graph: _Graph, body: Nets, inputs: str) -> tuple[str, str | None]:
    every = [_net(graph, one, inputs) for one in body.members]
    joined = graph.add("Concat", *every, axis=1) if len(every) > 1 else every[0]
    mean = graph.add("ReduceMean", joined, np.array([1]), keepdims=1)
    told = graph.add("Add", graph.add("Mul", mean, body.scale), body.centre)
    if body.error is None:
        return told, None
    away = graph.square_sum(graph.add("Sub", joined, mean))
    variance = graph.add("Add", graph.add("Div", away, float(len(every))), body.error**2)
    return told, graph.add("Mul", graph.add("Sqrt", variance), body.scale)


def _net(graph: _Graph, net: Net, told: str) -> str:
    for layer in net.layers[:-1]:
        told = graph.add("Gemm", told, layer.weight, layer.bias)
        told = graph.add("Tanh" if net.activation == "tanh" else "Relu", told)
    return graph.add("Gemm", told, net.layers[-1].weight, net.layers[-1].bias)


def _trees(graph: _Graph, model: Portable, trees: Trees, filled: str) -> str:
    from onnx import numpy_helper  # noqa: PLC0415  an extra, when it is used

    own = lay_out(model.prepared, trees)
    leaf = own.feature == LEAF
    # Splits and leaves are numbered apart. A tree of one leaf needs a split: both sides are it.
    bare = own.roots[leaf[own.roots]]
    split = ~leaf
    split[bare] = True
    place = np.where(leaf, np.cumsum(leaf), np.cumsum(split)) - 1
    left, right = np.arange(len(leaf)) + 1, own.right.copy()
    left[bare] = right[bare] = bare
    left, right = left[split], right[split]
    number = np.where(leaf, 0.0, own.number)[split]
    total = graph.add(
        "TreeEnsemble",
        filled,
        domain="ai.onnx.ml",
        aggregate_function=_SUM,
        n_targets=1,
        tree_roots=(np.cumsum(split) - 1)[own.roots].tolist(),
        nodes_featureids=np.maximum(own.feature, 0)[split].tolist(),
        nodes_splits=numpy_helper.from_array(number),
        nodes_modes=numpy_helper.from_array(np.full(len(left), _NOT_ABOVE, dtype=np.uint8)),
        nodes_truenodeids=place[left].tolist(),
        nodes_trueleafs=leaf[left].astype(int).tolist(),
        nodes_falsenodeids=place[right].tolist(),
        nodes_falseleafs=leaf[right].astype(int).tolist(),
        leaf_targetids=[0] * int(leaf.sum()),
        leaf_weights=numpy_helper.from_array(own.number[leaf]),
    )
    return graph.add("Div", graph.add("Add", total, trees.offset), trees.divisor)
