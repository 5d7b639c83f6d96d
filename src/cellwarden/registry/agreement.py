"""Whether an exported model tells what the portable model tells, on rows drawn by a seed."""

from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import DataError
from cellwarden.health.portable import Portable, Trees

__all__ = ["agree", "difference", "draw_rows", "tolerance", "with_onnx"]

_BEYOND: Final = 0.2  # of the span of a column, on each side of what is let in
_MISSING: Final = 0.05
_ROUNDING: Final = 1e-9
_SINGLE: Final = 1e-5  # hundreds of trees added up in single precision, in two orders


def draw_rows(model: Portable, count: int, seed: int) -> Float64[np.ndarray, "row column"]:
    """Rows of the columns it looks at, within training, beyond it and with gaps. [unit of each]"""
    draw = np.random.default_rng(seed)
    own = model.prepared
    span = own.high - own.low
    shape = (count, len(span))
    rows = draw.uniform(own.low - _BEYOND * span, own.high + _BEYOND * span, shape)
    rows[draw.random(shape) < _MISSING] = np.nan
    return rows


def tolerance(model: Portable, *, onnx: bool) -> float:
    """How far an export may lie from Python, relative. [1]

    A runtime of ONNX adds trees in an order of its own, which shows where the sum is of single
    precision; the C files keep the order.
    """
    single = isinstance(model.body, Trees) and model.body.single_sum
    return _SINGLE if onnx and single else _ROUNDING


def difference(
    model: Portable,
    told: Float64[np.ndarray, "told row"],
    features: Float64[np.ndarray, "row column"],
) -> float:
    """The largest difference from Python, relative to the value or to the target's span. [1]"""
    expected = np.array(model.trimmed().tell(features))
    own = model.prepared
    floor = 0.0 if model.logarithmic else own.most - own.least
    size = np.maximum(np.maximum(np.abs(expected), floor), np.finfo(np.float64).tiny)
    return float((np.abs(told - expected) / size).max(initial=0.0))


def agree(
    model: Portable,
    told: Float64[np.ndarray, "told row"],
    features: Float64[np.ndarray, "row column"],
    *,
    onnx: bool,
) -> float:
    """The largest relative difference from Python, where it is within the tolerance. [1]

    Raises:
        DataError: it is not.
    """
    found, most = difference(model, told, features), tolerance(model, onnx=onnx)
    if not found <= most:
        raise DataError(
            f"the export differs from Python by {found:.1e}, more than {most:.0e}",
            hint="Do not use it; report the model.",
        )
    return found


def with_onnx(
    content: bytes, features: Float64[np.ndarray, "row column"]
) -> Float64[np.ndarray, "told row"]:
    """What ONNX Runtime tells of each row. [unit of the target]"""
    import onnxruntime  # noqa: PLC0415  an extra, when it is used

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    told = session.run(None, {session.get_inputs()[0].name: features})
    return np.concatenate(told, axis=1).T
