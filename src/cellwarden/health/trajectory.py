"""How a cell will fade from here, and its life left, with a band at any age.

    forecaster = learn(histories_of_other_cells, end_of_life_fraction=0.8)
    told = forecaster(history)                                # goes on as it was used
    told = forecaster(history, [Phase(Usage(35.0))])          # is moved to 35 °C
    told.life, told.soh_fraction, told.low_fraction

A cell's curve comes from its own history and the prior of its population (`population`,
`raw_forecast`); what the curves miss may be learnt too (`life_correction`). How often the truth lay
within the raw spread, on training cells left out of the prior, gives the band.

Rules
- Nothing after the last cycle of the history is looked at, nor is the age of the end of life.
- A band is calibrated by cell and by how far through its life the cell is believed to be, which is
  known when it is asked. With fewer training cells there than a coverage needs, none is given.
- A cell that did not reach the end of life is censored: its curve is learnt from, its life is not.
- A curve is learnt and told down to `BELOW` under the end of life; what comes after is another law.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Interval, Life, NotServed
from cellwarden.health.conformal import half_width
from cellwarden.health.fade_law import stress
from cellwarden.health.life import end_of_life
from cellwarden.health.life_correction import Correction, correct, features, fit_correction
from cellwarden.health.population import History, Population, fit_population
from cellwarden.health.raw_forecast import BELOW, FEWEST, Phase, Raw, forecast

__all__ = [
    "AGES",
    "Forecaster",
    "Trajectory",
    "Trial",
    "correction_rows",
    "learn",
    "measured",
    "reach",
    "trials",
]

AGES: Final = (0.25, 0.5, 0.75)  # where the believed share of life lived parts the calibration
_FOLDS: Final = 10
_CORRECTION_FOLDS: Final = 5
_MOMENTS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """The coming state of health with its band, and the life left.

    Low and high are NaN where no band is calibrated; `outside` says that the usage asked for lies
    beyond that of the training cells, where a band promises nothing.
    """

    cycle_count: Float64[np.ndarray, " point"]
    soh_fraction: Float64[np.ndarray, " point"]
    low_fraction: Float64[np.ndarray, " point"]
    high_fraction: Float64[np.ndarray, " point"]
    coverage: float
    life_cycle_count: float
    life: Life | NotServed
    lived_fraction: float
    outside: bool


@dataclass(frozen=True, slots=True, eq=False)
class Forecaster:
    """A population with what its raw spreads are worth, by the share of life lived.

    A correction is a guess at ages younger than those it was learnt from: before
    `youngest_cycle_count`, by which half of the training cells had been asked, `young` answers, the
    curves alone with their own band.
    """

    population: Population
    end_of_life_fraction: float
    coverage: float
    longest_cycle_count: float
    life_factor: tuple[float, ...]
    band_factor: tuple[float, ...]
    stress_span: Float64[np.ndarray, "edge column"]
    correction: Correction | None = None
    young: "Forecaster | None" = None
    youngest_cycle_count: float = 0.0

    def __call__(self, history: History, plan: Sequence[Phase] = ()) -> Trajectory:
        """The forecast from the last cycle of a history on. [1]

        Raises:
            UsageError: the history is too short.
        """
        return self.banded(history, self.raw(history, plan), plan)

    def raw(self, history: History, plan: Sequence[Phase] = ()) -> Raw:
        """What the curves alone say, not yet corrected or calibrated. [1]"""
        return forecast(
            history, self.population, plan,
            end_of_life_fraction=self.end_of_life_fraction,
            longest_cycle_count=self.longest_cycle_count,
        )  # fmt: skip

    def banded(self, history: History, raw: Raw, plan: Sequence[Phase] = ()) -> Trajectory:
        """A raw forecast corrected and with its band. [1]"""
        if self.young is not None and history.cycle_count[-1] < self.youngest_cycle_count:
            return self.young.banded(history, raw, plan)
        if self.correction is not None:
            raw = correct(raw, history, self.correction)
        place = _age(raw.lived)
        now = float(history.cycle_count[-1])
        left = max(float(np.exp(raw.log_life)) - now, 0.0)
        reach_log = self.life_factor[place] * raw.log_life_spread
        life: Life | NotServed = NotServed("too few training cells at this age for the coverage")
        if np.isfinite(reach_log):
            low, high = np.exp(raw.log_life - reach_log) - now, np.exp(raw.log_life + reach_log)
            span = Interval(max(float(low), 0.0), max(float(high) - now, 0.0), self.coverage)
            life = Life(left, span, self.end_of_life_fraction)
        away = self.band_factor[place] * raw.spread_fraction
        away = np.where(np.isfinite(away), away, np.nan)
        return Trajectory(
            raw.cycle_count, raw.soh_fraction, raw.soh_fraction - away, raw.soh_fraction + away,
            self.coverage, left, life, raw.lived, self._outside(history, plan),
        )  # fmt: skip

    def _outside(self, history: History, plan: Sequence[Phase]) -> bool:
        names = self.population.stresses
        asked = np.stack([stress(u, names) for u in (history.usage, *(p.usage for p in plan))])
        low, high = self.stress_span
        return bool(np.any(asked < low - 1e-9) or np.any(asked > high + 1e-9))


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A forecast of a training cell left out of the prior: which cell, what it was told from."""

    cell: int
    seen: History
    raw: Raw
    end_cycle_count: float


def learn(
    histories: Sequence[History],
    stresses: tuple[str, ...] = (),
    *,
    end_of_life_fraction: float = 0.8,
    coverage: float = 0.9,
    corrected: bool = False,
    found: Sequence[Trial] | None = None,
) -> Forecaster:
    """A forecaster from whole histories of other cells, calibrated on each left out in turn. [1]

    With `corrected` what the curves miss of a life is learnt too (`life_correction`); `found` are
    trials already made of these very histories, else they are made.

    Raises:
        UsageError: there are fewer than two cells, or a stress has no such name.
    """
    found = trials(histories, stresses, end_of_life_fraction) if found is None else found
    correction, young, youngest = None, None, 0.0
    if corrected:
        correction = fit_correction(*correction_rows(found))
        young = learn(histories, stresses, end_of_life_fraction=end_of_life_fraction,
                      coverage=coverage, found=found)  # fmt: skip
        first: dict[int, float] = {}
        for one in found:
            first.setdefault(one.cell, float(one.seen.cycle_count[-1]))
        youngest = float(np.median(list(first.values())))
    lives, bands = _errors(_corrected(found) if corrected else found, histories)
    span = np.stack([stress(one.usage, stresses) for one in histories])
    return Forecaster(
        fit_population([_cut(one, end_of_life_fraction) for one in histories], stresses),
        end_of_life_fraction,
        coverage,
        max(float(one.cycle_count[-1]) for one in histories),
        tuple(half_width(errors, coverage) for errors in lives),
        tuple(half_width(errors, coverage) for errors in bands),
        np.stack([span.min(axis=0), span.max(axis=0)]),
        correction,
        young,
        youngest,
    )


def trials(
    histories: Sequence[History], stresses: tuple[str, ...], end_of_life_fraction: float
) -> list[Trial]:
    """Forecasts at moments of each cell by the prior of cells of other folds. [1]"""
    found, folds = [], min(_FOLDS, len(histories))
    longest = max(float(one.cycle_count[-1]) for one in histories)
    for fold in range(folds if len(histories) > 2 else 0):  # noqa: PLR2004  two must be left
        rest = [one for place, one in enumerate(histories) if place % folds != fold]
        population = fit_population([_cut(one, end_of_life_fraction) for one in rest], stresses)
        for place in range(fold, len(histories), folds):
            one = histories[place]
            end = reach(one, end_of_life_fraction)
            last = end if np.isfinite(end) else float(one.cycle_count[-1])
            for share in _MOMENTS:
                seen = one.until(share * last)
                if np.isfinite(seen.soh_fraction).sum() < FEWEST:
                    continue
                raw = forecast(
                    seen, population, end_of_life_fraction=end_of_life_fraction,
                    longest_cycle_count=longest,
                )  # fmt: skip
                found.append(Trial(place, seen, raw, end))
    return found


def reach(history: History, fraction: float) -> float:
    """The cycle at which a smoothed history first lies below a fraction; NaN where never. [1]"""
    known = np.isfinite(history.soh_fraction)
    cycle = history.cycle_count[known].astype(np.int64)
    found = end_of_life(cycle, history.soh_fraction[known], fraction)
    return float("nan") if found is None else float(found)


def measured(
    history: History, cycle: Float64[np.ndarray, " point"]
) -> Float64[np.ndarray, " point"]:
    """What was measured at these cycles; NaN after the record. [1]"""
    known = np.isfinite(history.soh_fraction)
    told = np.interp(cycle, history.cycle_count[known], history.soh_fraction[known])
    return np.asarray(np.where(cycle <= history.cycle_count[-1], told, np.nan))


def correction_rows(
    found: Sequence[Trial],
) -> tuple[list[Float64[np.ndarray, " column"]], list[float]]:
    """Features and the logarithm of what was missed, of trials whose life is known. [1]"""
    known = [one for one in found if np.isfinite(one.end_cycle_count)]
    told = [features(one.seen, one.raw) for one in known]
    return told, [float(np.log(one.end_cycle_count)) - one.raw.log_life for one in known]


def _corrected(found: Sequence[Trial]) -> list[Trial]:
    """The trials as corrected by what was learnt from other cells. [1]"""
    told = []
    for fold in range(_CORRECTION_FOLDS):
        rest = [one for one in found if one.cell % _CORRECTION_FOLDS != fold]
        correction = fit_correction(*correction_rows(rest))
        told += [
            replace(one, raw=correct(one.raw, one.seen, correction))
            for one in found
            if one.cell % _CORRECTION_FOLDS == fold
        ]
    return told


def _errors(
    found: Sequence[Trial], histories: Sequence[History]
) -> tuple[list[list[np.ndarray]], list[list[np.ndarray]]]:
    """Of each age and cell, the errors of lives and of bands in raw spreads. [1]"""
    lives: list[list[list[float]]] = [[[] for _ in histories] for _ in range(len(AGES) + 1)]
    bands: list[list[list[float]]] = [[[] for _ in histories] for _ in range(len(AGES) + 1)]
    for one in found:
        age, raw = _age(one.raw.lived), one.raw
        if np.isfinite(one.end_cycle_count):
            away = abs(np.log(one.end_cycle_count) - raw.log_life)
            lives[age][one.cell].append(float(away) / raw.log_life_spread)
        truth = measured(histories[one.cell], raw.cycle_count)
        miss = np.abs(truth - raw.soh_fraction) / raw.spread_fraction
        bands[age][one.cell] += miss[np.isfinite(miss)].tolist()
    return [[np.array(c) for c in age] for age in lives], [
        [np.array(c) for c in age] for age in bands
    ]


def _cut(history: History, fraction: float) -> History:
    end = reach(history, fraction - BELOW)
    return history if np.isnan(end) else history.until(end)


def _age(lived: float) -> int:
    return int(np.searchsorted(AGES, lived, side="right"))
