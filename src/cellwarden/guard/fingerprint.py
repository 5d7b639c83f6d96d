"""Do these cells behave as the cells that were paired did?

Rules
- A pack's print is how its cells differ from their own median in the answers to a step of the
  current (`features.response`). What all cells share (temperature, charge, common ageing) drops
  out; a pack of fewer than `FEWEST_CELLS` has no print.
- Two prints are weighed by a likelihood ratio: the difference as that of one cell met twice,
  against that of two cells. Both covariances, and the limit, are learnt from packs or cells that
  were met several times. The limit lets `false_alarm_fraction` of true returns fail, counted on
  cells whose covariances were fitted without them.
- A swap of some cells shows in the worst cell, a swap of the pack in the sum; a print is like only
  when both hold. Which cell is worst is told.
- Prints drift with age: a print that was found alike is mixed into the template.

Source of the two-covariance likelihood ratio: N. Brümmer, E. de Villiers, "The speaker partitioning
problem", Odyssey 2010, section 4.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError

__all__ = ["FEWEST_CELLS", "Likeness", "Prints", "Template", "compare", "enrol", "follow", "learn"]

FEWEST_CELLS: Final = 3
_MIXED: Final = 0.1  # how much of a print that was alike goes into the template
_RIDGE: Final = 0.05  # of the mean variance: few cells to learn from
_FOLDS: Final = 5

Matrix = Float64[np.ndarray, "answer answer"]
Answers = Float64[np.ndarray, "cell answer"]


@dataclass(frozen=True, slots=True)
class Prints:
    """How far prints of one cell lie apart and of two, and the limits of the scores."""

    same: Matrix
    other: Matrix
    cell_count: int
    sum_limit: float
    worst_limit: float


@dataclass(frozen=True, slots=True)
class Template:
    """The paired pack's print."""

    log_ohm: Answers


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like the template a print is: above both limits it is."""

    alike: bool
    score: float
    limit: float
    worst_cell: int
    worst_score: float
    worst_limit: float


def enrol(log_ohm: Answers) -> Template:
    """The print of a pack when it is paired.

    Raises:
        UsageError: too few cells, or a cell without an answer.
    """
    return Template(_print_of(log_ohm))


def follow(template: Template, log_ohm: Answers) -> Template:
    """The template, moved a little towards a print that was alike."""
    return Template((1.0 - _MIXED) * template.log_ohm + _MIXED * _print_of(log_ohm))


def compare(prints: Prints, template: Template, log_ohm: Answers) -> Likeness:
    """How like the template the answers of a pack are.

    Raises:
        UsageError: another number of cells or answers than the template.
    """
    found = _print_of(log_ohm)
    if found.shape != template.log_ohm.shape:
        raise UsageError(
            f"the template has {template.log_ohm.shape} answers, the pack {found.shape}",
            hint="Pair the pack anew.",
        )
    score = _scale(prints.same, prints.other)(found - template.log_ohm)
    worst = int(np.argmin(score))
    # The limit of the sum was learnt on packs of `cell_count`; the mean is what compares.
    total, least = float(score.mean()), float(score[worst])
    alike = total >= prints.sum_limit and least >= prints.worst_limit
    return Likeness(alike, total, prints.sum_limit, worst, least, prints.worst_limit)


def learn(
    visits: Float64[np.ndarray, "cell visit answer"],
    *,
    cell_count: int,
    seed: int,
    false_alarm_fraction: float = 0.01,
    pack_draw_count: int = 2000,
) -> Prints:
    """What one cell's prints and two cells' differ by, from cells that were met several times.

    Args:
        visits: answers of each cell at each visit, the same conditions for all cells in a visit.
        cell_count: how many cells a pack has.
        seed: of the packs that are drawn.
        false_alarm_fraction: how many true returns may fail.
        pack_draw_count: packs drawn to set the limits.

    Raises:
        UsageError: too few cells or visits.
    """
    cells, times, _ = visits.shape
    if cells < 2 * max(_FOLDS, cell_count) or times < 2:  # noqa: PLR2004  a return needs two
        raise UsageError(
            f"{cells} cells with {times} visits are too few to learn prints from",
            hint=f"Give {2 * max(_FOLDS, cell_count)} cells or more, each met twice or more.",
        )
    visits = visits - np.median(visits, axis=0)
    random = np.random.default_rng(seed)
    fold = random.permutation(cells) % _FOLDS
    totals, leasts = [], []
    for left_out in range(_FOLDS):
        scale = _scale(*_covariances(visits[fold != left_out]))
        pool = np.flatnonzero(fold == left_out)
        for _ in range(pack_draw_count // _FOLDS):
            chosen = random.choice(pool, cell_count, replace=len(pool) < cell_count)
            early, late = np.sort(random.choice(times, 2, replace=False))
            apart = _centred(visits[chosen, late]) - _centred(visits[chosen, early])
            score = scale(apart)
            totals.append(score.mean())
            leasts.append(score.min())
    share = false_alarm_fraction / 2.0  # two tests share the alarms
    same, other = _covariances(visits)
    return Prints(
        same,
        other,
        cell_count,
        float(np.quantile(totals, share)),
        float(np.quantile(leasts, share)),
    )


def _covariances(visits: Float64[np.ndarray, "cell visit answer"]) -> tuple[Matrix, Matrix]:
    cells, times, answers = visits.shape
    first, second = np.triu_indices(times, 1)
    same = (visits[:, second] - visits[:, first]).reshape(-1, answers)
    one, two = np.triu_indices(cells, 1)
    other = (visits[two][:, second] - visits[one][:, first]).reshape(-1, answers)
    return _moment(same), _moment(other)


def _moment(apart: Float64[np.ndarray, "pair answer"]) -> Matrix:
    moment = apart.T @ apart / len(apart)
    ridge = _RIDGE * np.trace(moment) / len(moment)
    found: Matrix = moment + ridge * np.eye(len(moment))
    return found


@dataclass(frozen=True, slots=True)
class _Scale:
    """Log of how much likelier one cell met twice explains a difference than two cells."""

    weight: Matrix
    offset: float

    def __call__(self, apart: Float64[np.ndarray, "cell answer"]) -> Float64[np.ndarray, " cell"]:
        score: Float64[np.ndarray, " cell"] = self.offset + 0.5 * np.einsum(
            "ca,ab,cb->c", apart, self.weight, apart
        )
        return score


def _scale(same: Matrix, other: Matrix) -> _Scale:
    wide, narrow = np.linalg.slogdet(other)[1], np.linalg.slogdet(same)[1]
    return _Scale(np.linalg.inv(other) - np.linalg.inv(same), 0.5 * float(wide - narrow))


def _centred(log_ohm: Answers) -> Answers:
    centred: Answers = log_ohm - np.median(log_ohm, axis=0)
    return centred


def _print_of(log_ohm: Answers) -> Answers:
    if len(log_ohm) < FEWEST_CELLS or not np.all(np.isfinite(log_ohm)):
        raise UsageError(
            "no print: too few cells, or a cell that gave no answer",
            hint=f"A print needs {FEWEST_CELLS} cells and an answer of each; wait for more edges.",
        )
    return _centred(log_ohm)
