from functools import cache
from typing import Any

import numpy as np
import pytest

from cellwarden.errors import DataError, UsageError
from cellwarden.health.soh import SCALES, Fit, Rows, train
from cellwarden.health.training import hold_out, observe, score

CELLS = 6


@cache
def _rows(*, cells: int = CELLS, seed: int = 0) -> Rows:
    """Cells whose window shrinks with SOH, each with its own small offset."""
    draw = np.random.default_rng(seed)
    cell = np.repeat(np.arange(cells), 40)
    soh = np.tile(np.linspace(1.0, 0.6, 40), cells)
    offset = draw.normal(0, 0.01, cells)[cell] + draw.normal(0, 0.005, len(cell))
    columns = {
        "window_fraction": 0.8 * soh + offset,
        "upper_fraction": 0.6 * soh + offset,
        "plateau_fraction": 0.4 * soh,
        "taper_fraction": 0.1 + 0.1 * (1 - soh),
        "taper_hour": 0.2 + 0.4 * (1 - soh) + draw.normal(0, 0.005, len(soh)),
        "rate_per_hour": np.full(len(soh), 0.75),
        "top_voltage_volt": np.full(len(soh), 4.2),
        "temperature_celsius": 25 + draw.normal(0, 1, len(soh)),
    }
    cycle = np.tile(np.arange(1, 41), cells)
    return Rows(tuple(f"c{k}" for k in range(cells)), cell, cycle, soh, columns)


@cache
def _fit() -> Fit:
    return train(_rows(), 0.8)


def test_a_fit_tells_cells_that_it_never_saw() -> None:
    rows = _rows()
    held = hold_out(rows, 0.8)
    told = score("model", rows, held.told, held.within, held.half_width)
    assert told.mae_fraction < 0.02
    assert held.within.mean() > 0.9


def test_the_fold_of_a_cell_does_not_depend_on_that_cell() -> None:
    rows = _rows()
    altered = {name: column.copy() for name, column in rows.columns.items()}
    altered["window_fraction"][rows.cell == 2] += 0.05
    soh = rows.soh_fraction.copy()
    soh[rows.cell == 2] *= 0.5
    other = Rows(rows.cells, rows.cell, rows.cycle_count, soh, altered)
    mine, theirs = hold_out(rows, 0.8).folds["c2"], hold_out(other, 0.8).folds["c2"]
    assert mine.curve.weights.tolist() == theirs.curve.weights.tolist()
    assert (mine.limits, mine.reach, mine.half_width, mine.features) == (
        theirs.limits,
        theirs.reach,
        theirs.half_width,
        theirs.features,
    )


def test_fitting_twice_gives_the_same_bits() -> None:
    assert train(_rows(), 0.8).curve.weights.tolist() == _fit().curve.weights.tolist()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window_fraction", 0.05),
        ("taper_hour", 3.0),
        ("rate_per_hour", 2.0),
        ("top_voltage_volt", 3.6),
        ("temperature_celsius", -5.0),
        ("window_fraction", float("nan")),
    ],
)
def test_a_charge_outside_the_limits_gives_no_number_and_says_which(
    name: str, value: float
) -> None:
    rows = _rows()
    fit = _fit()
    columns = {key: column[19:22].copy() for key, column in rows.columns.items()}
    columns[name][1] = value
    assert np.isfinite(fit.estimate(columns)).tolist() == [True, False, True]
    assert fit.breach(columns, 1).startswith(name)
    assert fit.breach(columns, 0) == ""


def test_an_absent_thermometer_is_no_breach() -> None:
    rows = _rows()
    fit = _fit()
    columns = {key: column[:1].copy() for key, column in rows.columns.items()}
    columns["temperature_celsius"][0] = np.nan
    assert np.isfinite(fit.estimate(columns)[0])


def test_features_each_in_range_but_never_seen_together_give_no_number() -> None:
    rows = _rows()
    fit = _fit()
    columns = {key: column[:1].copy() for key, column in rows.columns.items()}
    fresh, aged = rows.columns["window_fraction"][0], rows.columns["taper_hour"][39]
    columns["window_fraction"][0], columns["taper_hour"][0] = fresh, aged
    columns["taper_fraction"][0] = rows.columns["taper_fraction"][39]
    assert np.isnan(fit.estimate(columns)[0])
    assert "unlike every training charge" in fit.breach(columns, 0)


def test_what_breach_says_in_words_is_what_within_says() -> None:
    rows = _rows()
    fit = _fit()
    draw = np.random.default_rng(3)
    columns = {k: c * draw.normal(1, 0.02, len(c)) for k, c in rows.columns.items()}
    columns["rate_per_hour"] = rows.columns["rate_per_hour"].copy()
    columns["rate_per_hour"][5], columns["window_fraction"][7] = 3.0, np.nan
    columns["temperature_celsius"][9] = np.nan
    words = [fit.breach(columns, at) == "" for at in range(len(rows.cell))]
    assert fit.within(columns).tolist() == words
    assert 0 < sum(words) < len(words)


def test_the_explanation_adds_up_to_the_estimate() -> None:
    rows = _rows()
    fit = _fit()
    told = fit.estimate(rows.columns)
    for at in (0, 20, 39):
        said = fit.explain(rows.columns, at)
        assert said.base + sum(said.contributions) == pytest.approx(told[at], abs=1e-12)
        assert said.values == tuple(float(rows.columns[name][at]) for name in said.features)


def test_too_few_cells_are_refused_or_have_no_finite_interval() -> None:
    with pytest.raises(UsageError):
        train(_rows(cells=2), 0.8)
    assert np.isinf(train(_rows(cells=3), 0.8).half_width)


def test_the_scales_cover_every_feature_that_a_fit_may_choose() -> None:
    assert set(_fit().features) <= set(SCALES)


def test_records_without_full_discharges_teach_nothing(cell: Any, record: Any) -> None:
    with pytest.raises(DataError):
        observe([record(cell.cycle(to_volt=3.2))])
