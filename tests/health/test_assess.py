import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellwarden.domain import Frames, Health, NotServed, Series
from cellwarden.errors import UsageError
from cellwarden.health import Verdict, assess
from cellwarden.physics import Twin, TwinConfig
from cellwarden.readers import read
from cellwarden.registry import load

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
NASA, CALCE = DATA / "nasa_pcoe", DATA / "calce_cs2"
needs_nasa = pytest.mark.skipif(not NASA.is_dir(), reason="needs nasa_pcoe under CELLWARDEN_DATA")
needs_calce = pytest.mark.skipif(not CALCE.is_dir(), reason="needs calce_cs2 under CELLWARDEN_DATA")
MODEL = load()


def _stored(frames: Frames, nominal_capacity_ah: float) -> Series:
    """What the hub rebuilds from its store: no counters, no steps, single precision."""
    surface = frames.cell_temperature_celsius
    return Series(
        name="stored",
        test_time_second=frames.unix_time_second - frames.unix_time_second[0],
        unix_time_second=frames.unix_time_second,
        voltage_volt=frames.cell_voltage_volt[:, 0].astype(np.float64),
        current_ampere=frames.current_ampere.astype(np.float64),
        surface_temperature_celsius=(
            surface[:, 0].astype(np.float64) if surface.shape[1] else None
        ),
        nominal_capacity_ah=nominal_capacity_ah,
    )


def _health(verdict: Verdict) -> Health:
    assert isinstance(verdict.health, Health), verdict
    return verdict.health


def _reason(verdict: Verdict) -> str:
    assert isinstance(verdict.health, NotServed), verdict
    return verdict.health.reason


def test_a_cell_that_charges_like_those_in_training_is_served(cell: Any, record: Any) -> None:
    verdict = assess(record(cell.cycle() * 3), MODEL)
    health = _health(verdict)
    assert 0.4 < health.soh_fraction < 1.1
    assert health.interval.low < health.soh_fraction < health.interval.high
    assert health.explanation is not None
    total = health.explanation.base + sum(health.explanation.contributions)
    assert total == pytest.approx(health.soh_fraction, abs=1e-12)
    assert verdict.fold == "full"
    assert len(verdict.fade.cycle_count) == 3
    assert verdict.fade.measured_capacity_ah == pytest.approx(cell.delivered_ah(), rel=0.002)


def test_the_estimate_uses_the_charge_and_no_discharge(cell: Any, record: Any) -> None:
    """The same charge, then discharges of quite different length: the same estimate."""
    full = assess(record(cell.cycle()), MODEL)
    short = assess(record(cell.cycle(to_volt=3.4)), MODEL)
    assert _health(full).soh_fraction == _health(short).soh_fraction
    assert np.isnan(short.fade.measured_capacity_ah[0])


def test_what_comes_later_never_changes_an_earlier_estimate(cell: Any, record: Any) -> None:
    parts = cell.cycle() * 4
    whole = assess(record(parts), MODEL).fade.soh_fraction
    for cycles in (1, 2, 3):
        early = assess(record(parts[: 5 * cycles]), MODEL).fade.soh_fraction
        assert early.tolist() == whole[:cycles].tolist()


def test_the_verdict_names_the_charge_that_it_was_told_from(cell: Any, record: Any) -> None:
    series = record(cell.cycle() * 2)
    used = assess(series, MODEL).used
    assert used is not None
    rows = (series.test_time_second >= used.start_time_second) & (
        series.test_time_second <= used.stop_time_second
    )
    assert used.cycle_count == 2
    assert np.all(series.current_ampere[rows] > 0)


def test_an_old_estimate_is_not_the_present_health(cell: Any, record: Any) -> None:
    late = cell.cycle(start_soc=0.62)
    late[3] = cell.discharge(cell.soc_at(4.2, 0.02), to_volt=3.4)
    assert _health(assess(record(cell.cycle() + late * 9), MODEL)).cycle_count == 1
    assert "begins above 3.9 V" in _reason(assess(record(cell.cycle() + late * 10), MODEL))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chemistry": "NMC"}, "chemistry NMC is outside"),
        ({"nominal_capacity_ah": 50.0}, "nominal capacity 50 Ah is outside"),
        ({"nominal_capacity_ah": None}, "nominal capacity is not known"),
    ],
)
def test_a_cell_outside_the_limits_is_not_served_and_told_why(
    cell: Any, record: Any, change: dict[str, Any], said: str
) -> None:
    verdict = assess(replace(record(cell.cycle()), **change), MODEL)
    assert said in _reason(verdict)
    assert np.all(np.isnan(verdict.fade.soh_fraction))


def test_a_cold_charge_is_not_served(cell: Any, record: Any) -> None:
    series = record(cell.cycle())
    cold = replace(series, surface_temperature_celsius=np.full(len(series), 4.0))
    assert "temperature_celsius 4 is outside" in _reason(assess(cold, MODEL))


def test_a_faster_charge_than_any_in_training_is_not_served(make_cell: Any, record: Any) -> None:
    fast = make_cell(charge_ampere=4.0, resistance_ohm=0.12)
    assert "is outside" in _reason(assess(record(fast.cycle()), MODEL))


@pytest.mark.parametrize("row_count", [0, 1, 2, 50])
def test_a_record_without_a_charge_says_so(cell: Any, record: Any, row_count: int) -> None:
    series = record([cell.rest(600, 3.7)[:, :row_count]])
    assert "holds no charge" in _reason(assess(series, MODEL))


def test_missing_readings_throughout_are_survived(cell: Any, record: Any) -> None:
    series = record(cell.cycle() * 2)
    holes = np.random.default_rng(0).random(len(series)) < 0.05
    voltage = np.where(holes, np.nan, series.voltage_volt)
    whole, holed = assess(series, MODEL), assess(replace(series, voltage_volt=voltage), MODEL)
    assert _health(holed).soh_fraction == pytest.approx(_health(whole).soh_fraction, abs=0.01)
    silent = replace(series, voltage_volt=np.full(len(series), np.nan))
    assert isinstance(assess(silent, MODEL).health, NotServed)


def test_a_nominal_capacity_that_cannot_be_is_an_error(cell: Any, record: Any) -> None:
    with pytest.raises(UsageError):
        assess(record(cell.cycle()), MODEL, nominal_capacity_ah=-2.0)


def test_a_model_with_too_few_cells_for_its_coverage_serves_nothing(cell: Any, record: Any) -> None:
    few = replace(MODEL, full=replace(MODEL.full, half_width=float("inf"), cell_count=3))
    assert "3 training cells are too few" in _reason(assess(record(cell.cycle()), few))


def test_the_printed_verdict_names_health_model_and_fold(cell: Any, record: Any) -> None:
    text = str(assess(record(cell.cycle()), MODEL))
    assert "of nominal" in text
    assert MODEL.digest[:12] in text
    assert "fitted on all training cells" in text


def _twin_frames(chemistry: str) -> Iterator[Frames]:
    twin = Twin(
        TwinConfig(
            "t", chemistry, nominal_capacity_ah=2.0, period_second=10.0, duration_second=172_800.0
        )
    )
    while (frames := twin.read(5000)) is not None:
        yield frames


@pytest.mark.parametrize("chemistry", ["NMC", "LFP", "LCO"])
def test_a_twin_is_unlike_the_training_cells_and_is_told_so(chemistry: str) -> None:
    parts = [_stored(frames, 2.0) for frames in _twin_frames(chemistry)]
    columns = {n: np.concatenate([p.columns()[n] for p in parts]) for n in parts[0].columns()}
    series = replace(parts[0], **columns, chemistry=chemistry)
    verdict = assess(series, MODEL)
    assert "outside" in _reason(verdict)
    assert np.nanmax(verdict.fade.measured_capacity_ah) > 1.5


@needs_nasa
@pytest.mark.parametrize("name", ["B0005", "B0029", "B0042"])
def test_stored_frames_give_the_verdict_of_the_file(name: str) -> None:
    series = read(NASA / f"{name}.parquet")
    filed, stored = (assess(s, MODEL) for s in (series, _stored(series.frames(), 2.0)))
    assert stored.fold == filed.fold
    for column in ("soh_fraction", "measured_capacity_ah"):
        assert getattr(stored.fade, column) == pytest.approx(
            getattr(filed.fade, column), abs=1e-5, nan_ok=True
        )


@needs_nasa
def test_a_training_cell_is_told_by_the_fit_that_never_saw_it_wherever_its_record_begins() -> None:
    series = read(NASA / "B0005.parquet")
    assert assess(series, MODEL).fold == "B0005"
    late = {name: column[300_000:] for name, column in series.columns().items()}
    verdict = assess(replace(series, **late), MODEL)
    assert verdict.fold == "B0005"
    assert "never saw B0005" in str(verdict)


@needs_nasa
def test_a_cell_that_was_not_in_training_is_told_by_the_full_fit() -> None:
    assert assess(read(NASA / "B0029.parquet"), MODEL).fold == "full"


@needs_nasa
def test_cold_cells_are_not_served() -> None:
    for name in ("B0041", "B0045", "B0053"):
        verdict = assess(read(NASA / f"{name}.parquet"), MODEL)
        assert isinstance(verdict.health, NotServed)
        assert np.all(np.isnan(verdict.fade.measured_capacity_ah))


@needs_calce
def test_out_of_fold_estimates_follow_the_measured_fade_of_a_whole_life() -> None:
    fade = assess(read(CALCE / "CS2_35.parquet"), MODEL).fade
    both = np.isfinite(fade.soh_fraction) & np.isfinite(fade.measured_capacity_ah)
    error = np.abs(fade.soh_fraction[both] - fade.measured_capacity_ah[both] / 1.1)
    assert both.sum() > 800
    assert error.mean() < 0.025
    assert np.mean(error <= fade.high[both] - fade.soh_fraction[both]) > 0.7
