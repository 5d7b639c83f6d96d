"""A line through lives of which some are known only to exceed what was seen.

A life is lognormal around a line of the features; a censored row says that it lies above its last
cycle. The likelihood with a ridge penalty is climbed by expectation and maximisation: a censored
life is replaced by its mean above the limit under the present line, the line is fitted, and the
spread takes up what the replaced lives still leave open.

Source: the Tobit model, J. Tobin, Econometrica 26, 24 (1958); moments of the normal law above a
limit: N. L. Johnson, S. Kotz, N. Balakrishnan, Continuous Univariate Distributions 1 (1994), 13.10.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64

__all__ = ["CensoredLine", "fit_censored_line"]

_ROUNDS: Final = 500
_CLOSE: Final = 1e-9
_LEAST_SPREAD: Final = 1e-6


@dataclass(frozen=True, slots=True)
class CensoredLine:
    """Weights, intercept and the spread of a life around the line. [unit of the target]"""

    weights: Float64[np.ndarray, " column"]
    intercept: float
    spread: float

    def __call__(
        self, features: Float64[np.ndarray, "item column"]
    ) -> Float64[np.ndarray, " item"]:
        """The middle of each life. [unit of the target]"""
        return np.asarray(features @ self.weights + self.intercept)


def fit_censored_line(
    features: Float64[np.ndarray, "row column"],
    target: Float64[np.ndarray, " row"],
    censored: Bool[np.ndarray, " row"],
    penalty: float,
) -> CensoredLine:
    """The line of the greatest penalised likelihood. [unit of the target]"""
    centre = features.mean(axis=0)
    away = features - centre
    solve = np.linalg.pinv(away.T @ away + penalty * np.eye(away.shape[1])) @ away.T
    filled, left = target.copy(), np.zeros(len(target))
    spread = max(float(target.std()), _LEAST_SPREAD)
    weights, middle = np.zeros(away.shape[1]), float(target.mean())
    for _ in range(_ROUNDS):
        middle = float(filled.mean())
        weights = solve @ (filled - middle)
        told = middle + away @ weights
        before = spread
        spread = max(float(np.sqrt(np.mean((filled - told) ** 2 + left))), _LEAST_SPREAD)
        if not censored.any():
            break
        mean, variance = _above(told[censored], spread, target[censored])
        moved = float(np.abs(mean - filled[censored]).max())
        filled[censored], left[censored] = mean, variance
        if max(moved, abs(spread - before)) < _CLOSE:
            break
    return CensoredLine(weights, middle - float(centre @ weights), spread)


def _above(
    middle: Float64[np.ndarray, " row"], spread: float, limit: Float64[np.ndarray, " row"]
) -> tuple[Float64[np.ndarray, " row"], Float64[np.ndarray, " row"]]:
    """Mean and variance of a normal law above a limit. [unit, unit²]"""
    from scipy.special import log_ndtr  # noqa: PLC0415  when it is used

    unit = (limit - middle) / spread
    # The density over the chance to lie above, in logarithms: both may be tiny.
    ratio = np.exp(-0.5 * unit**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(-unit))
    variance = np.maximum(1 + unit * ratio - ratio**2, 0.0)
    return middle + spread * ratio, spread**2 * variance
