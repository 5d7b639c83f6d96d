"""A Gaussian process whose cells differ: one smooth curve for all, and an offset for each cell.

The covariance of two charges is 1 + s² exp(-d²/2l²), plus c² where they belong to one cell, plus
noise on the diagonal. A new cell gets the curve alone; its own offset stays part of what is not
known. Leaving out a whole cell needs no second fit: with K the covariance, the error on its rows
is (K⁻¹)ₖₖ⁻¹ (K⁻¹ y)ₖ.

Source: C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning (MIT Press,
2006), eq. 2.23 and, for one row, eq. 5.12; the block form follows by the inverse of a partitioned
matrix.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["MEAN", "Curve", "Kernel", "fit", "leave_out"]

MEAN: Final = 0.8  # prior mean of SOH; the constant in the covariance lets the data move it


@dataclass(frozen=True, slots=True)
class Kernel:
    """Sizes of the parts: smooth curve and its length, offset of a cell, noise of a row."""

    curve_variance: float
    length: float
    cell_variance: float
    noise_variance: float


@dataclass(frozen=True, slots=True)
class Curve:
    """What a fit leaves: training inputs, one weight each, and the two sizes of the curve."""

    inputs: Float64[np.ndarray, "row feature"]
    weights: Float64[np.ndarray, " row"]
    curve_variance: float
    length: float

    def __call__(self, inputs: Float64[np.ndarray, "item feature"]) -> Float64[np.ndarray, " item"]:
        """The curve at new inputs. [1]"""
        near = _near(inputs, self.inputs, self.curve_variance, self.length)
        # A sum row by row, so that one row gives the same bits alone and among others.
        return np.asarray(MEAN + np.einsum("ij,j->i", near, self.weights))


def fit(
    inputs: Float64[np.ndarray, "row feature"],
    target: Float64[np.ndarray, " row"],
    cell: Int64[np.ndarray, " row"],
    kernel: Kernel,
) -> Curve:
    """The curve that training rows give. [1]"""
    weights = np.linalg.solve(_covariance(inputs, cell, kernel), target - MEAN)
    return Curve(inputs, weights, kernel.curve_variance, kernel.length)


def leave_out(
    inputs: Float64[np.ndarray, "row feature"],
    target: Float64[np.ndarray, " row"],
    cell: Int64[np.ndarray, " row"],
    kernel: Kernel,
) -> Float64[np.ndarray, " row"]:
    """Measured minus estimated on each row by the fit that never saw the row's cell. [1]"""
    inverse = np.linalg.inv(_covariance(inputs, cell, kernel))
    pull = inverse @ (target - MEAN)
    errors = np.empty(len(target))
    for one in np.unique(cell):
        rows = cell == one
        errors[rows] = np.linalg.solve(inverse[np.ix_(rows, rows)], pull[rows])
    return errors


def _covariance(
    inputs: Float64[np.ndarray, "row feature"], cell: Int64[np.ndarray, " row"], kernel: Kernel
) -> Float64[np.ndarray, "row row"]:
    near = _near(inputs, inputs, kernel.curve_variance, kernel.length)
    same = kernel.cell_variance * (cell[:, None] == cell[None, :])
    return np.asarray(near + same + kernel.noise_variance * np.eye(len(inputs)))


def _near(
    one: Float64[np.ndarray, "item feature"],
    other: Float64[np.ndarray, "row feature"],
    curve_variance: float,
    length: float,
) -> Float64[np.ndarray, "item row"]:
    square = ((one[:, None, :] - other[None, :, :]) ** 2).sum(axis=-1)
    return np.asarray(1.0 + curve_variance * np.exp(-square / (2 * length**2)))
