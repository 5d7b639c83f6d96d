"""Networks that read a curve point after point: a convolution and a recurrence.

Rules
- One function tells with NumPy and, while it is fitted, with `jax.numpy`; what is kept is arrays.
- Both are small: some hundreds to two thousand weights, as curves of tens of cells can bear.

Source of the gated unit: K. Cho et al., EMNLP 2014, arXiv 1406.1078, with the gate on what the
state gives after its weights, as cuDNN has it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError
from cellwarden.health.descent import Tell, Weights, descend
from cellwarden.health.learner import Fitted, Setting
from cellwarden.health.network import Ensemble
from cellwarden.health.task import Sample

__all__ = [
    "CurveNetwork",
    "fit_convolution",
    "fit_recurrence",
    "tell_convolution",
    "tell_recurrence",
]

_TAPS: Final = 5
_STRIDE: Final = 2
_CHANNELS: Final = (8, 16)
_STATE: Final = 16
_MOST_STEPS: Final = 10
_ROUNDS: Final = 32


@dataclass(frozen=True, slots=True)
class CurveNetwork:
    """Weights, and how they tell a number from a curve."""

    tell: Tell
    weights: Weights

    def __call__(self, features: Float64[np.ndarray, "item point"]) -> Float64[np.ndarray, " item"]:
        """A number a curve. [1]"""
        return np.asarray(self.tell(np, self.weights, features))


def tell_convolution(array: Any, weights: Weights, curves: Any) -> Any:
    """Two layers of kernels at every other point, and a line of what they give. [1]"""
    told = curves[:, :, None]
    for weight, bias in (weights[:2], weights[2:4]):
        count = _places(told.shape[1])
        last = _STRIDE * (count - 1) + 1
        taps = [told[:, k : k + last : _STRIDE] for k in range(_TAPS)]
        told = array.maximum(array.concatenate(taps, axis=2) @ weight + bias, 0.0)
    return (told.reshape(len(curves), -1) @ weights[4] + weights[5])[:, 0]


def tell_recurrence(array: Any, weights: Weights, curves: Any) -> Any:
    """A gated state that takes in the curve from its first point to its last. [1]"""
    inward, across, bias, held, out, last = weights
    width = inward.shape[0]
    steps = curves.shape[1] // width
    parts = curves[:, : steps * width].reshape(len(curves), steps, width)
    come = array.moveaxis(parts @ inward + bias, 1, 0)
    size = across.shape[0]

    def step(state: Any, new: Any) -> Any:
        own = state @ across
        reset, update = (
            0.5 + 0.5 * array.tanh((new[:, s] + own[:, s]) / 2)
            for s in (slice(0, size), slice(size, 2 * size))
        )
        fresh = array.tanh(new[:, 2 * size :] + reset * (own[:, 2 * size :] + held))
        return update * state + (1 - update) * fresh

    state = _over(array, step, array.zeros((len(curves), size), dtype=curves.dtype), come)
    return (state @ out + last)[:, 0]


def fit_convolution(sample: Sample, setting: Setting, seed: int) -> Fitted:
    """Five convolutional networks; `decay` pulls their weights to zero.

    Raises:
        UsageError: the curve has too few points.
    """
    length = sample.features.shape[1]
    places = _places(_places(length))
    if places < 1:
        raise UsageError(f"{length} points are too few", hint="Give at least 13.")
    return _fit(tell_convolution, partial(_begin_convolution, places), sample, setting, seed)


def fit_recurrence(sample: Sample, setting: Setting, seed: int) -> Fitted:
    """Five recurrent networks; `decay` pulls their weights to zero."""
    width = -(-sample.features.shape[1] // _MOST_STEPS)
    return _fit(tell_recurrence, partial(_begin_recurrence, width), sample, setting, seed)


def _fit(
    tell: Tell,
    begin: Callable[[np.random.Generator], Weights],
    sample: Sample,
    setting: Setting,
    seed: int,
) -> Fitted:
    found = descend(
        tell,
        begin,
        sample.features,
        sample.target,
        sample.cell,
        decay=setting["decay"],
        seed=seed,
        rounds=_ROUNDS,
    )
    members = tuple(CurveNetwork(tell, one) for one in found.weights)
    return Ensemble(members, found.centre, found.scale, found.error)


def _places(length: int) -> int:
    return (length - _TAPS) // _STRIDE + 1


def _begin_convolution(places: int, draw: np.random.Generator) -> Weights:
    weights: list[np.ndarray] = []
    before = 1
    for after in _CHANNELS:
        weights += [_scaled(draw, _TAPS * before, after, np.sqrt(2)), np.zeros(after)]
        before = after
    return (*weights, _scaled(draw, places * before, 1), np.zeros(1))


def _begin_recurrence(width: int, draw: np.random.Generator) -> Weights:
    return (
        _scaled(draw, width, 3 * _STATE),
        _scaled(draw, _STATE, 3 * _STATE),
        # A state that is kept at first lets the beginning of a curve reach the end.
        np.repeat([0.0, 1.0, 0.0], _STATE),
        np.zeros(_STATE),
        _scaled(draw, _STATE, 1),
        np.zeros(1),
    )


def _scaled(
    draw: np.random.Generator, before: int, after: int, gain: float = 1.0
) -> Float64[np.ndarray, "before after"]:
    return np.asarray(gain * draw.normal(size=(before, after)) / np.sqrt(before))


def _over(array: Any, step: Callable[[Any, Any], Any], state: Any, come: Any) -> Any:
    """The state after all steps; of JAX by its own loop, which is compiled once."""
    if array is np:
        for new in come:
            state = step(state, new)
        return state
    import jax  # noqa: PLC0415  when it is used

    return jax.lax.scan(lambda kept, new: (step(kept, new), None), state, come)[0]
