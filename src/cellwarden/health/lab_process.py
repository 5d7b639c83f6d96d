"""A Gaussian process with a law that all laboratories share, one of each, and one of each cell.

The covariance of two rows is k(x, x')·(1 + lab·[same laboratory] + cell·[same cell]), with
k(x, x') = 1 + a·x·x'/p + b·exp(-|x - x'|²/(2l²p)) over p columns, plus noise. It is the closed form
of a hierarchical prior: coefficients of a laboratory lie around shared ones, those of a cell around
its laboratory's. How far cells differ is learnt from many source cells, so that one target cell
is not believed for all of its kind; how far laboratories differ, from source and target together.

Settings are those of the largest marginal likelihood on a fixed grid, the overall scale being
given by the data in closed form; a fit has no random start.

Source: C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning (MIT Press,
2006), eq. 2.23, 2.24 and 2.30; A. Gelman et al., Bayesian Data Analysis (3rd ed., 2013), chapter 15
(hierarchical linear models).
"""

from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64
from scipy.linalg import solve_triangular

__all__ = ["Known", "LabProcess", "Law", "fit_lab_process", "fit_law"]

# Line, bump, length of the bump.
_SHAPES: Final = (
    (0.3, 0.0, 1.0), (1.0, 0.0, 1.0), (1.0, 0.3, 1.0), (1.0, 0.3, 2.0), (1.0, 1.0, 1.0),
    (1.0, 1.0, 2.0), (0.3, 1.0, 1.0),
)  # fmt: skip
_CELLS: Final = (0.01, 0.03, 0.1, 0.3, 1.0)
_NOISES: Final = (1e-4, 1e-3, 1e-2)
_LABS: Final = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_LEAST_SCALE: Final = 1e-12  # of a target that is the same on every row
_EVIDENCE_ROWS: Final = 240
_USUAL_LAB: Final = 1.0  # until a second laboratory has been seen

_Rows = Float64[np.ndarray, "row column"]


@dataclass(frozen=True, slots=True)
class Known:
    """Rows to learn from, features and target of about unit spread. [1]"""

    features: _Rows
    target: Float64[np.ndarray, " row"]
    lab: Int64[np.ndarray, " row"]
    cell: Int64[np.ndarray, " row"]


@dataclass(frozen=True, slots=True)
class Law:
    """Settings of the covariance; all but the lengths are in units of the shared constant. [1]"""

    line: float = 1.0
    bump: float = 0.0
    length: float = 1.0
    lab: float = 1.0
    cell: float = 0.1
    noise: float = 1e-3

    def covariance(self, one: _Rows, other: _Rows) -> Float64[np.ndarray, "row other"]:
        """Of the shared law between rows. [1]"""
        told = 1.0 + self.line * (one @ other.T) / one.shape[1]
        if self.bump:
            square = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
            told += self.bump * np.exp(
                -np.maximum(square, 0.0) / (2 * self.length**2 * one.shape[1])
            )
        return np.asarray(told)

    def between(
        self, shared: Float64[np.ndarray, "row row"], known: Known
    ) -> Float64[np.ndarray, "row row"]:
        """Of all three laws between rows that were learnt from, noise included. [1]"""
        more = self.lab * (known.lab[:, None] == known.lab)
        more = more + self.cell * (known.cell[:, None] == known.cell)
        return np.asarray(shared * (1.0 + more) + self.noise * np.eye(len(more)))


@dataclass(frozen=True, slots=True)
class LabProcess:
    """The process given its rows, for new cells of one laboratory. [unit of the target]"""

    law: Law
    inputs: _Rows
    near: Float64[np.ndarray, " row"]
    root: Float64[np.ndarray, "row row"]
    dual: Float64[np.ndarray, " row"]
    centre: float
    variance: float

    def __call__(
        self, features: Float64[np.ndarray, "item column"]
    ) -> tuple[Float64[np.ndarray, " item"], Float64[np.ndarray, " item"]]:
        """Mean and standard deviation of what would be measured. [unit of the target]"""
        cross = self.law.covariance(features, self.inputs) * self.near
        law = self.law
        own = 1.0 + law.line * (features**2).mean(axis=1) + law.bump
        own = own * (1.0 + law.lab + law.cell) + law.noise
        sure = own - (solve_triangular(self.root, cross.T, lower=True) ** 2).sum(axis=0)
        return self.centre + cross @ self.dual, np.sqrt(self.variance * np.maximum(sure, 1e-12))


def fit_law(known: Known, *, bumps: bool = True) -> Law:
    """The most likely settings; that of laboratories is a usual one where there is one alone. [1]

    Without `bumps` the law is a line.
    """
    known = _few(known)
    labs = (_USUAL_LAB,) if len(np.unique(known.lab)) == 1 else _LABS[1::2]
    best, most = Law(), -np.inf
    for (line, bump, length), one in product(_SHAPES, labs):
        if bump and not bumps:
            continue
        law = Law(line, bump, length, one)
        shared = law.covariance(known.features, known.features)
        for own, noise in product(_CELLS, _NOISES):
            law = replace(law, cell=own, noise=noise)
            if (found := _evidence(law.between(shared, known), known.target)) > most:
                best, most = law, found
    return best


def fit_lab_process(law: Law, known: Known, here: int) -> LabProcess:
    """The process for laboratory `here`, its weight against the shared law chosen by evidence.

    Without a row from there the law's own weight stays. [unit of the target]
    """
    centre = float(known.target.mean())
    shared = law.covariance(known.features, known.features)
    if (known.lab == here).any():
        tried = [replace(law, lab=one) for one in _LABS]
        law = max(tried, key=lambda one: _evidence(one.between(shared, known), known.target))
    root = np.linalg.cholesky(law.between(shared, known))
    half = solve_triangular(root, known.target - centre, lower=True)
    return LabProcess(
        law=law,
        inputs=known.features,
        near=1.0 + law.lab * (known.lab == here),
        root=root,
        dual=solve_triangular(root.T, half),
        centre=centre,
        variance=float(half @ half) / len(half),
    )


def _few(known: Known) -> Known:
    """Rows enough to tell settings apart, cheap enough to try them all."""
    at = np.linspace(0, len(known.target) - 1, min(_EVIDENCE_ROWS, len(known.target)))
    at = np.unique(at.round().astype(np.int64))
    return Known(known.features[at], known.target[at], known.lab[at], known.cell[at])


def _evidence(
    covariance: Float64[np.ndarray, "row row"], target: Float64[np.ndarray, " row"]
) -> float:
    """Logarithm of the marginal likelihood at the best overall scale, but for a constant. [1]"""
    root = np.linalg.cholesky(covariance)
    half = solve_triangular(root, target - target.mean(), lower=True, check_finite=False)
    count = len(target)
    scale = max(float(half @ half) / count, _LEAST_SCALE)
    return float(-0.5 * count * np.log(scale) - np.log(np.diag(root)).sum())
