"""A Gaussian process of lines and bumps, averaged over its settings by their evidence.

The covariance of two rows is a·x·x' + b·exp(-|x - x'|²/2l²), plus noise on the diagonal. No single
setting is picked: each on a fixed grid weighs by its marginal likelihood, so few cells give a wide
answer rather than an over-sure one, and a fit has no random start.

With an emphasis p a row of a logarithmic target has noise that falls as its value to the power p:
an error of a long life costs more, as it does in cycles (p = 2) or half-way to it (p = 1).

Source: C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning (MIT Press,
2006), eq. 2.23 to 2.25 and 2.30; averaging over a grid: section 5.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from jaxtyping import Float64

__all__ = ["GaussianProcess", "fit_gaussian_process", "joint_covariance"]

# Line, bump, length of the bump, noise; of a target and of features of unit spread.
_GRID: Final = tuple(
    product(
        (0.03, 0.1, 0.3, 1.0), (0.03, 0.1, 0.3, 1.0), (1.0, 2.0, 4.0, 8.0), (0.01, 0.03, 0.06, 0.12)
    )
)
_EVIDENCE_ROWS: Final = 120  # enough to tell the settings apart, cheap enough to try them all
_AT_A_TIME: Final = 4096
_LEAST_WEIGHT: Final = 1e-3
_MOST_MEMBERS: Final = 64
_MOST_MEMBERS_OF_MANY_ROWS: Final = 6


@dataclass(frozen=True, slots=True)
class GaussianProcess:
    """Fitted members with their weights; `scale` and `centre` are those of the target."""

    inputs: Float64[np.ndarray, "row column"]
    settings: Float64[np.ndarray, "member setting"]
    weights: Float64[np.ndarray, " member"]
    duals: Float64[np.ndarray, "member row"]
    roots: Float64[np.ndarray, "member row row"]
    centre: float
    scale: float
    emphasis: float
    noise_level: float

    def __call__(
        self, features: Float64[np.ndarray, "item column"]
    ) -> tuple[Float64[np.ndarray, " item"], Float64[np.ndarray, " item"]]:
        """Mean and standard deviation of what would be measured. [unit of the target]"""
        line, square = _products(features, self.inputs)
        own = (features * features).sum(axis=1)
        means, spreads = [], []
        for (a, b, length, _), dual, root in zip(
            self.settings, self.duals, self.roots, strict=True
        ):
            cross = a * line + b * np.exp(-square / (2 * length**2))
            means.append(cross @ dual)
            spreads.append(a * own + b - ((cross @ root.T) ** 2).sum(axis=1))
        told, sure = np.array(means), np.maximum(np.array(spreads), 0.0)
        mean = self.weights @ told
        learnt = self.centre + self.scale * mean
        quiet = 10.0 ** (self.emphasis * (learnt - self.centre)) / self.noise_level
        noise = float(self.weights @ self.settings[:, 3]) / quiet
        variance = self.weights @ (sure + (told - mean) ** 2) + noise
        return learnt, self.scale * np.sqrt(variance)

    def mean(self, features: Float64[np.ndarray, "item column"]) -> Float64[np.ndarray, " item"]:
        """The mean alone, which takes no roots. [unit of the target]"""
        told = np.empty(len(features))
        for start in range(0, len(features), _AT_A_TIME):
            line, square = _products(features[start : start + _AT_A_TIME], self.inputs)
            means = [
                (a * line + b * np.exp(-square / (2 * length**2))) @ dual
                for (a, b, length, _), dual in zip(self.settings, self.duals, strict=True)
            ]
            told[start : start + _AT_A_TIME] = self.weights @ np.array(means)
        return np.asarray(self.centre + self.scale * told)


def fit_gaussian_process(
    features: Float64[np.ndarray, "row column"],
    target: Float64[np.ndarray, " row"],
    emphasis: float = 0.0,
) -> GaussianProcess:
    """The process given these rows; features of about unit spread. [unit of the target]"""
    from scipy.linalg.lapack import dtrtri  # noqa: PLC0415  when it is used

    raw = 10.0 ** (emphasis * (target - target.mean()))
    weight = raw / raw.mean()
    centre = float(np.average(target, weights=weight))
    scale = float(target.std()) or 1.0
    unit = (target - centre) / scale
    few = np.unique(
        np.linspace(0, len(unit) - 1, min(_EVIDENCE_ROWS, len(unit))).round().astype(np.int64)
    )
    grid = np.array(_GRID)
    evidence = _evidence(features[few], unit[few], weight[few], grid)
    chance = np.exp(evidence - evidence.max())
    chance /= chance.sum()
    most = _MOST_MEMBERS if len(few) == len(unit) else _MOST_MEMBERS_OF_MANY_ROWS
    kept = np.argsort(-chance, kind="stable")[:most]
    kept = kept[chance[kept] > _LEAST_WEIGHT]
    line, square = _products(features, features)
    roots = np.empty((len(kept), len(unit), len(unit)))
    for place, (a, b, length, noise) in enumerate(grid[kept]):
        covariance = a * line + b * np.exp(-square / (2 * length**2)) + np.diag(noise / weight)
        roots[place] = dtrtri(np.linalg.cholesky(covariance), lower=1)[0]
    return GaussianProcess(
        inputs=features,
        settings=grid[kept],
        weights=chance[kept] / chance[kept].sum(),
        duals=np.stack([root.T @ (root @ unit) for root in roots]),
        roots=roots,
        centre=centre,
        scale=scale,
        emphasis=emphasis,
        # 10^(p(y - centre)) over this is the weight that the row would have had
        noise_level=float(np.mean(10.0 ** (emphasis * (target - centre)))),
    )


def joint_covariance(
    features: Float64[np.ndarray, "row column"], setting: Float64[np.ndarray, " setting"]
) -> Float64[np.ndarray, "row row"]:
    """Covariance of rows, noise included, of a target of unit spread. [1]"""
    line, square = _products(features, features)
    a, b, length, noise = setting
    return np.asarray(
        a * line + b * np.exp(-square / (2 * length**2)) + noise * np.eye(len(features))
    )


def _evidence(
    features: Float64[np.ndarray, "row column"],
    unit: Float64[np.ndarray, " row"],
    weight: Float64[np.ndarray, " row"],
    grid: Float64[np.ndarray, "setting number"],
) -> Float64[np.ndarray, " setting"]:
    """Logarithm of the marginal likelihood of each setting, but for a constant. [1]"""
    line, square = _products(features, features)
    bumps = {length: np.exp(-square / (2 * length**2)) for length in np.unique(grid[:, 2])}
    if np.ptp(weight) == 0:
        return _even_evidence(line, bumps, unit, grid)
    told = np.empty(len(grid))
    for place, (a, b, length, noise) in enumerate(grid):
        root = np.linalg.cholesky(a * line + b * bumps[length] + np.diag(noise / weight))
        away = np.linalg.solve(root, unit)
        told[place] = -0.5 * float(away @ away) - float(np.log(np.diag(root)).sum())
    return told


def _even_evidence(
    line: Float64[np.ndarray, "row row"],
    bumps: Mapping[float, Float64[np.ndarray, "row row"]],
    unit: Float64[np.ndarray, " row"],
    grid: Float64[np.ndarray, "setting number"],
) -> Float64[np.ndarray, " setting"]:
    """The same where rows weigh alike: one spectrum serves all scales and noises of a shape. [1]"""
    told = np.empty(len(grid))
    shape = np.column_stack([np.round(grid[:, 0] / grid[:, 1], 9), grid[:, 2]])
    for ratio, length in np.unique(shape, axis=0):
        own = (shape == (ratio, length)).all(axis=1)
        size, axes = np.linalg.eigh(ratio * line + bumps[length])
        spectrum = np.outer(grid[own, 1], np.maximum(size, 0)) + grid[own, 3, None]
        told[own] = -0.5 * (((unit @ axes) ** 2 / spectrum).sum(axis=1)
                            + np.log(spectrum).sum(axis=1))  # fmt: skip
    return told


def _products(
    one: Float64[np.ndarray, "item column"], other: Float64[np.ndarray, "row column"]
) -> tuple[Float64[np.ndarray, "item row"], Float64[np.ndarray, "item row"]]:
    """Products and squared distances of rows. [1]"""
    line = one @ other.T
    square = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2 * line
    return line, np.maximum(square, 0.0)
