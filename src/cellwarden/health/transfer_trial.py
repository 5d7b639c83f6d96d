"""What transfer saves: target cells drawn again and again, every method on the same ones.

Rules
- A draw deals the target's cells by a seed: up to `POOL` of them (never more than half) may be
  learnt from, the others are tested. With n cells known, the first n of the pool are; so a draw's
  test cells are the same for every count, every method and for training from scratch.
- Rows without label come from the pool alone, never from a cell that is tested.
- The error of a cell is the root mean square over its rows, that of a method the mean over test
  cells and draws, so every cell counts alike.
- A ratio is that mean over the one from scratch on the same cells; its interval draws test cells
  again, all draws of a cell staying together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import UsageError
from cellwarden.health.domains import Domain
from cellwarden.health.learner import Fitted
from cellwarden.health.task import Sample
from cellwarden.health.transfer import METHODS, SCRATCH, Method, from_scratch, learn, thin

__all__ = ["COUNTS", "POOL", "Errors", "Ratio", "deal", "ratio", "try_pair"]

# Known cells, and in how many draws: most where the question is.
COUNTS: Final = MappingProxyType({0: 3, 1: 3, 2: 6, 5: 1, 10: 1})
POOL: Final = 10
_TEST_CELLS: Final = 24  # of a draw at most
_TEST_ROWS: Final = 40  # of a cell, evenly over its life
_EARLY_ROWS: Final = 300
_BOOTSTRAPS: Final = 2000


@dataclass(frozen=True, slots=True)
class Errors:
    """One method with one count of known cells: errors by draw and test cell. [unit]"""

    method: str
    count: int
    draw: Int64[np.ndarray, " error"]
    cell: Int64[np.ndarray, " error"]
    rmse: Float64[np.ndarray, " error"]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Error over another's on the same cells, the middle 95 % over cells, the range over draws."""

    value: float
    low: float
    high: float
    draw_low: float
    draw_high: float


def deal(target: Domain, draw: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the cells that may be learnt from, in order, and of those tested. [1]

    Raises:
        UsageError: there are fewer than two cells.
    """
    cells = np.unique(target.sample.cell)
    if len(cells) < 2:  # noqa: PLR2004  one to learn from, one to test
        raise UsageError(f"{target.name}: one cell", hint="Take a target of two cells or more.")
    order = np.random.default_rng([seed, draw]).permutation(cells)
    known = min(POOL, len(cells) // 2)
    return order[:known], order[known : known + _TEST_CELLS]


def try_pair(
    sources: Sequence[Domain],
    target: Domain,
    counts: Mapping[int, int] = COUNTS,
    *,
    methods: Sequence[Method] = METHODS,
    life_fraction: float = 1.0,
    seed: int = 0,
) -> list[Errors]:
    """Errors of all methods and of training from scratch, on the same draws. [unit]

    `counts` says in how many draws each count of known cells is tried, `life_fraction` how much of
    the rows of a known cell has been seen: below one, cells that are still young.

    Raises:
        UsageError: the target is among the sources, or nothing of a life is known.
    """
    if not 0 < life_fraction <= 1:
        raise UsageError(
            f"a part of a life lies between 0 and 1, not {life_fraction}", hint="Give 1 for all."
        )
    if target.name in {one.name for one in sources}:
        raise UsageError(f"{target.name} is its own source", hint="Leave it out of the sources.")
    known = learn(
        [one.sample for one in sources], [one.early for one in sources], sources[0].choices, seed
    )
    found: dict[tuple[str, int], list[tuple[int, int, float]]] = {}
    for draw in range(max(counts.values())):
        pool, test = deal(target, draw, seed)
        tested = thin(_of(target, test), _TEST_ROWS * len(test))
        early = target.early[np.isin(target.early_cell, pool)]
        early = early[np.unique(np.linspace(0, len(early) - 1, _EARLY_ROWS).round().astype(int))]
        for count, most in counts.items():
            if count > len(pool) or draw >= most:
                continue
            mine = _begun(_of(target, pool[:count]), life_fraction)
            fits: dict[str, Fitted] = {
                one.name: one.fit(known, mine, early) for one in methods if count >= one.least_cells
            }
            if count:
                fits[SCRATCH] = from_scratch(mine, target.choices, seed)
            for name, fit in fits.items():
                away = fit.predict(tested.features).mean - tested.target
                found.setdefault((name, count), []).extend(
                    (draw, int(one), float(np.sqrt(np.mean(away[tested.cell == one] ** 2))))
                    for one in test
                )
    return [
        Errors(name, count, *(np.array(column) for column in zip(*rows, strict=True)))
        for (name, count), rows in found.items()
    ]


def ratio(ours: Errors, theirs: Errors, seed: int = 0) -> Ratio:
    """Our error over theirs on the same draws and cells. [1]"""
    names, place = np.unique(ours.cell, return_inverse=True)
    sums = np.array([np.bincount(place, weights=one.rmse) for one in (ours, theirs)])
    drawn = np.random.default_rng(seed).integers(0, len(names), (_BOOTSTRAPS, len(names)))
    again = sums[0][drawn].sum(axis=1) / sums[1][drawn].sum(axis=1)
    low, high = np.quantile(again, [0.025, 0.975])
    by_draw = [
        float(ours.rmse[ours.draw == one].mean() / theirs.rmse[theirs.draw == one].mean())
        for one in np.unique(ours.draw)
    ]
    value = float(ours.rmse.mean() / theirs.rmse.mean())
    return Ratio(value, float(low), float(high), min(by_draw), max(by_draw))


def _of(target: Domain, cells: np.ndarray) -> Sample:
    return target.sample.rows(np.isin(target.sample.cell, cells))


def _begun(sample: Sample, life_fraction: float) -> Sample:
    """The first rows of each cell."""
    kept = np.zeros(len(sample.cell), dtype=bool)
    for one in np.unique(sample.cell):
        own = np.flatnonzero(sample.cell == one)
        kept[own[: int(np.ceil(life_fraction * len(own)))]] = True
    return sample.rows(kept)
