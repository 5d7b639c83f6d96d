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
- A device has one pack to learn from and no time: `typical` gives covariances of measured cells and
  limits from draws of them, `fit` scales both to how far the paired pack's own cells lie apart.
  Cells that are more alike than a tenth of the typical variance are taken as that far apart: what
  warms one cell more than another must not look like another pack.
- Prints drift with age: a print that was found alike is mixed into the template.

Source of the two-covariance likelihood ratio: N. Brümmer, E. de Villiers, "The speaker partitioning
problem", Odyssey 2010, section 4.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError

__all__ = [
    "FEWEST_CELLS",
    "TYPICAL_OTHER",
    "TYPICAL_SAME",
    "Likeness",
    "Prints",
    "Template",
    "compare",
    "enrol",
    "fit",
    "follow",
    "learn",
    "measure",
    "prints_from",
    "typical",
]

FEWEST_CELLS: Final = 3
_MIXED: Final = 0.1  # how much of a print that was alike goes into the template
_RIDGE: Final = 0.05  # of the mean variance: few cells to learn from
_FOLDS: Final = 5
_TAIL: Final = 4.0  # degrees of freedom; with a normal tail one return in ten was doubted
_DRAWN_CELLS: Final = 8192  # at once: a device has little memory
_LEAST_SCALE: Final = 0.1  # of the typical variance
_MOST_SCALE: Final = 4.0

# Mean of the covariances of retired LMO and LFP cells of PulseBat, ten states of charge each: the
# answers to a pulse of 0.5C for 5 s, in the order of `features.response.ANSWERS`. [log² Ω]
# Source of the data: S. Tao et al., Nature Communications 15 (2024),
# doi 10.1038/s41467-024-54454-0.
TYPICAL_SAME: Final = (
    (0.00442, 0.00510, 0.00177, 0.00539),
    (0.00510, 0.09123, 0.00270, 0.10029),
    (0.00177, 0.00270, 0.00447, 0.00255),
    (0.00539, 0.10029, 0.00255, 0.11692),
)
TYPICAL_OTHER: Final = (
    (0.10465, 0.05702, 0.09416, 0.06475),
    (0.05702, 0.16026, 0.05283, 0.17412),
    (0.09416, 0.05283, 0.09753, 0.05977),
    (0.06475, 0.17412, 0.05977, 0.20534),
)

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


def measure(*groups: Float64[np.ndarray, "_ _ answer"]) -> tuple[Matrix, Matrix]:
    """Covariances of returns and of strangers, each kind of cell counted alike."""
    found = [_covariances(visits - np.median(visits, axis=0)) for visits in groups]
    return (
        np.mean([same for same, _ in found], axis=0),
        np.mean([other for _, other in found], axis=0),
    )


def prints_from(
    same: Matrix,
    other: Matrix,
    cell_count: int,
    *,
    seed: int = 1,
    false_alarm_fraction: float = 0.01,
    pack_draw_count: int = 4000,
) -> Prints:
    """Prints whose limits come from draws of the covariances instead of from cells.

    A return is drawn from a Student distribution with the variance of `same` and few degrees of
    freedom: measured returns have heavier tails than a normal one.

    Raises:
        UsageError: too few cells for a print.
    """
    if cell_count < FEWEST_CELLS:
        raise UsageError(
            f"{cell_count} cells have no print", hint=f"A print needs {FEWEST_CELLS} cells."
        )
    random = np.random.default_rng(seed)
    own, back, scale = _root((other - same) / 2.0), _root(same), _scale(same, other)
    block = max(_DRAWN_CELLS // cell_count, 1)
    totals, leasts = [], []
    for begun in range(0, pack_draw_count, block):
        shape = (min(block, pack_draw_count - begun), cell_count, len(same))
        early = random.standard_normal(shape) @ own
        moved = random.standard_normal(shape) @ back
        moved *= np.sqrt((_TAIL - 2.0) / random.chisquare(_TAIL, (*shape[:2], 1)))
        apart = moved - np.median(early + moved, axis=1, keepdims=True)
        apart += np.median(early, axis=1, keepdims=True)
        score = scale(apart.reshape(-1, len(same))).reshape(shape[:2])
        totals.append(score.mean(axis=1))
        leasts.append(score.min(axis=1))
    share = false_alarm_fraction / 2.0  # two tests share the alarms
    return Prints(
        same,
        other,
        cell_count,
        float(np.quantile(np.concatenate(totals), share)),
        float(np.quantile(np.concatenate(leasts), share)),
    )


def typical(cell_count: int) -> Prints:
    """Prints of a pack of which nothing but its number of cells is known.

    Raises:
        UsageError: too few cells for a print.
    """
    return prints_from(np.array(TYPICAL_SAME), np.array(TYPICAL_OTHER), cell_count)


def fit(prints: Prints, template: Template) -> Prints:
    """The prints, both covariances scaled to how far this pack's cells lie apart.

    The limits stay: a score does not change when differences and covariances scale together.
    """
    weight = np.linalg.inv(prints.other / 2.0)
    apart = np.einsum("ca,ab,cb->c", template.log_ohm, weight, template.log_ohm)
    found = float(apart.mean()) / template.log_ohm.shape[1]
    scale = min(max(found, _LEAST_SCALE), _MOST_SCALE)
    return replace(prints, same=scale * prints.same, other=scale * prints.other)


def _root(covariance: Matrix) -> Matrix:
    """A matrix that gives normal numbers this covariance; what is below zero counts as zero."""
    value, vector = np.linalg.eigh(covariance)
    found: Matrix = (vector * np.sqrt(np.maximum(value, 0.0))).T
    return found


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
