"""What a fleet's model errs by on one battery, learnt from its few capacity checks.

A battery's error is a bias plus a slope in what it has faded. How far both differ from battery to
battery is learnt from training cells left out, so that the first check is believed as far as it
deserves; a step forgets a little, since a battery changes.

Source: R. E. Kalman, J. Basic Eng. 82, 35 (1960), doi 10.1115/1.3662552.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["Correction", "corrected", "learn_correction", "update_correction"]


@dataclass(frozen=True, slots=True)
class Correction:
    """Bias and slope with their covariance, the noise of a check and what a step forgets."""

    mean: Float64[np.ndarray, "2"]
    covariance: Float64[np.ndarray, "2 2"]
    noise: float
    walk: Float64[np.ndarray, "2 2"]


def learn_correction(
    told: Float64[np.ndarray, " row"],
    measured: Float64[np.ndarray, " row"],
    cell: Int64[np.ndarray, " row"],
    forgotten: float = 0.2,
) -> Correction:
    """What is known of a new battery before its first check, from cells that were left out.

    A check forgets `forgotten` of the variance between batteries.
    """
    found, left = [], []
    for one in np.unique(cell):
        own = cell == one
        row = _regressors(told[own])
        # A touch of ridge: a cell that never faded tells no slope.
        slope = np.linalg.solve(row.T @ row + 1e-2 * np.eye(2), row.T @ (measured - told)[own])
        found.append(slope)
        left.append(float(np.mean(((measured - told)[own] - row @ slope) ** 2)))
    each = np.array(found)
    centre = each.mean(axis=0)
    spread = (each - centre).T @ (each - centre) / max(len(each) - 1, 1) + 1e-10 * np.eye(2)
    return Correction(centre, spread, max(float(np.mean(left)), 1e-10), forgotten * spread)


def update_correction(state: Correction, told: float, measured: float) -> Correction:
    """After one capacity check; one that is no number changes nothing. [unit of the target]"""
    if not np.isfinite([told, measured]).all():
        return state
    row = _regressors(np.array([told]))[0]
    wide = state.covariance + state.walk
    gain = wide @ row / (row @ wide @ row + state.noise)
    mean = state.mean + gain * (measured - told - row @ state.mean)
    return Correction(mean, wide - np.outer(gain, row @ wide), state.noise, state.walk)


def corrected(
    state: Correction, told: Float64[np.ndarray, " item"]
) -> tuple[Float64[np.ndarray, " item"], Float64[np.ndarray, " item"]]:
    """Estimates of this battery and the standard deviation of what was added. [unit]"""
    row = _regressors(told)
    spread = np.einsum("ij,jk,ik->i", row, state.covariance, row)
    return told + row @ state.mean, np.sqrt(np.maximum(spread, 0.0))


def _regressors(told: Float64[np.ndarray, " item"]) -> Float64[np.ndarray, "item 2"]:
    return np.column_stack([np.ones(len(told)), 1.0 - told])
