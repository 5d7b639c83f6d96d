"""Many fixed kernels on a curve, counted, and a line of them: MiniRocket with ridge.

Rules
- The 84 kernels of nine points hold six times -1 and three times 2, so a constant added to a curve
  moves no convolution. Each is spread over the curve by several dilations; every other one reaches
  beyond the ends, where the curve is taken as zero.
- A feature is the share of points at which a convolution exceeds a bias; biases are quantiles of
  the convolutions of training curves. A curve and all training curves enlarged alike give the same
  features.

Source: A. Dempster, D. F. Schmidt, G. I. Webb, "MiniRocket: a very fast (almost) deterministic
transform for time series classification", KDD 2021, doi 10.1145/3447548.3467231, section 3.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import UsageError
from cellwarden.health.learner import Fitted, Setting, Told
from cellwarden.health.task import Sample

__all__ = ["Rocket", "choose_kernels", "fit_rocket"]

_TAPS: Final = 9
_RAISED: Final = np.array(list(combinations(range(_TAPS), 3)))  # where each kernel holds 2
_FEATURES: Final = 1008  # a multiple of the kernels
_GOLDEN: Final = (np.sqrt(5) + 1) / 2
_AT_A_TIME: Final = 200

_Curves = Float64[np.ndarray, "item point"]


@dataclass(frozen=True, slots=True)
class Rocket:
    """Dilations, and the biases of each kernel at each. [unit of the curve]"""

    dilations: tuple[int, ...]
    biases: tuple[Float64[np.ndarray, "kernel bias"], ...]

    def __call__(self, curves: _Curves) -> Float64[np.ndarray, "item feature"]:
        """Share of points at which each convolution exceeds each of its biases. [1]"""
        parts = [
            self._shares(curves[start : start + _AT_A_TIME])
            for start in range(0, len(curves), _AT_A_TIME)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, _FEATURES))

    def _shares(self, curves: _Curves) -> Float64[np.ndarray, "item feature"]:
        told = []
        for place, (dilation, biases) in enumerate(zip(self.dilations, self.biases, strict=True)):
            for kernel, convolved in enumerate(_convolutions(curves, dilation)):
                inside = convolved
                if (place + kernel) % 2:
                    edge = _TAPS // 2 * dilation
                    inside = convolved[:, edge : curves.shape[1] - edge]
                told += [(inside > bias).mean(axis=1) for bias in biases[kernel]]
        return np.stack(told, axis=1)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A line of the kernels' features."""

    rocket: Rocket
    weights: Float64[np.ndarray, " feature"]
    intercept: float

    def predict(self, features: _Curves) -> Told:
        # Not a product of matrices: its rounding depends on how many rows there are.
        told = (self.rocket(features) * self.weights).sum(axis=1)
        return Told(told + self.intercept)


def choose_kernels(curves: _Curves, draw: np.random.Generator) -> Rocket:
    """Dilations by the length of the curves, biases by convolutions of curves drawn among them.

    Raises:
        UsageError: a curve is shorter than a kernel.
    """
    length = curves.shape[1]
    if length < _TAPS:
        raise UsageError(f"{length} points are no curve", hint=f"Give at least {_TAPS}.")
    each = _FEATURES // len(_RAISED)
    furthest = np.log2((length - 1) / (_TAPS - 1))
    spaced = np.floor(2 ** np.linspace(0, furthest, each)).astype(np.int64)
    dilations, counts = np.unique(spaced, return_counts=True)
    biases, seen = [], 0
    for dilation, count in zip(dilations.tolist(), counts.tolist(), strict=True):
        own = np.empty((len(_RAISED), count))
        drawn = curves[draw.integers(0, len(curves), len(_RAISED))]
        for kernel, convolved in enumerate(_convolutions(drawn, dilation)):
            # Quantiles that fill 0 to 1 evenly however many are taken.
            at = (np.arange(seen + 1, seen + count + 1) * _GOLDEN) % 1
            own[kernel] = np.quantile(convolved[kernel], at)
            seen += count
        biases.append(own)
    return Rocket(tuple(dilations.tolist()), tuple(biases))


def fit_rocket(sample: Sample, setting: Setting, seed: int) -> Fitted:
    """Ridge on the features of the kernels, each of unit spread."""
    rocket = choose_kernels(sample.features, np.random.default_rng(seed))
    features = rocket(sample.features)
    centre, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    unit = (features - centre) / spread
    mean = float(sample.target.mean())
    # More features than rows: the small system is that of the rows.
    gram = unit @ unit.T + setting["penalty"] * len(_RAISED) * np.eye(len(unit))
    weights = unit.T @ np.linalg.solve(gram, sample.target - mean) / spread
    return _Counted(rocket, weights, mean - float(centre @ weights))


def _convolutions(curves: _Curves, dilation: int) -> Iterator[Float64[np.ndarray, "item point"]]:
    """Each kernel's convolution, as long as the curve. [unit of the curve]"""
    length, reach = curves.shape[1], _TAPS // 2 * dilation
    wide = np.pad(curves, ((0, 0), (reach, reach)))
    taps = [wide[:, k * dilation : k * dilation + length] for k in range(_TAPS)]
    low = -sum(taps[1:], start=taps[0])
    raised: Int64[np.ndarray, " three"]
    for raised in _RAISED:
        one, two, three = (taps[k] for k in raised)
        yield low + 3 * (one + two + three)
