"""Forecasts of fade: causal, calibrated, and moved by usage as the law says."""

from dataclasses import replace

import numpy as np
import pytest

from cellwarden import datasets
from cellwarden.domain import Life, NotServed
from cellwarden.errors import DataError, UsageError
from cellwarden.health.fade_law import Usage, clocks, fade, slopes, stress
from cellwarden.health.population import History, condition, fit_population, thinned
from cellwarden.health.raw_forecast import Phase, forecast
from cellwarden.health.trajectory import Forecaster, learn, measured, reach, trials
from cellwarden.health.trajectory_rivals import RIVALS

ACTIVATION = 30.0  # kJ/mol


def made(seed: int, celsius: float = 25.0, count: int = 900) -> History:
    """A cell whose line and knee run faster when warm."""
    draw = np.random.default_rng(seed)
    warm = ACTIVATION * stress(Usage(celsius), ("temperature",))[1]
    own = draw.normal(0, 0.1, 5)
    parameters = np.array(
        [1 + 0.05 * own[0], -13 + own[1], -9 + own[2] + warm, -6.7 + own[3] + warm, 0.7]
    )
    cycle = np.arange(1.0, count + 1)
    soh = fade(parameters, clocks(parameters, cycle)) + draw.normal(0, 0.001, count)
    return History(cycle, soh, Usage(celsius), f"made {seed}")


@pytest.fixture(scope="module")
def cells() -> list[History]:
    return [made(seed, celsius) for seed, celsius in enumerate((25.0, 35.0, 45.0) * 4)]


@pytest.fixture(scope="module")
def forecaster(cells: list[History]) -> Forecaster:
    return learn(cells, ("temperature",))


def test_the_slopes_are_those_of_the_curve() -> None:
    at, cycle = np.array([1.0, -13, -9, -6.5, 0.5]), np.array([3.0, 200.0, 700.0])
    for k in range(5):
        up, down = at.copy(), at.copy()
        up[k] += 1e-5
        down[k] -= 1e-5
        rise = fade(up, clocks(up, cycle)) - fade(down, clocks(down, cycle))
        assert slopes(at, cycle)[:, k] == pytest.approx(rise / 2e-5, rel=1e-4, abs=1e-7)


def test_nothing_after_the_last_cycle_moves_a_forecast(forecaster: Forecaster) -> None:
    cell = made(99)
    wild = replace(cell, soh_fraction=np.where(cell.cycle_count > 300, 0.1, cell.soh_fraction))
    one, other = forecaster(cell.until(300)), forecaster(wild.until(300))
    assert one.life_cycle_count == other.life_cycle_count
    assert np.array_equal(one.low_fraction, other.low_fraction)


def test_the_band_holds_most_of_what_came_and_narrows_with_age(forecaster: Forecaster) -> None:
    inside, widths = [], {0.2: [], 0.8: []}
    for seed in range(100, 120):
        cell = made(seed, (25.0, 35.0, 45.0)[seed % 3])
        end = reach(cell, 0.8)
        for share in (0.2, 0.5, 0.8):
            told = forecaster(cell.until(share * end))
            assert isinstance(told.life, Life)
            span = told.life.interval
            inside.append(span.low <= end - told.cycle_count[0] <= span.high)
            if share in widths:
                widths[share].append(span.high - span.low)
    assert np.mean(inside) > 0.8
    assert np.median(widths[0.8]) < 0.7 * np.median(widths[0.2])


def test_a_forecast_beats_the_line_and_the_mean_of_others(
    forecaster: Forecaster, cells: list[History]
) -> None:
    away: dict[str, list[float]] = {"curves": [], "line": [], "mean of others": []}
    for seed in range(100, 112):
        cell = made(seed, (25.0, 35.0, 45.0)[seed % 3])
        end = reach(cell, 0.8)
        seen = cell.until(0.3 * end)
        told = float(seen.cycle_count[-1]) + forecaster(seen).life_cycle_count
        away["curves"].append(abs(told - end))
        for name in ("line", "mean of others"):
            life = RIVALS[name](seen, cells, 0.8, np.array([seen.cycle_count[-1] + 1]))[1]
            away[name].append(abs(life - end))
    assert np.mean(away["curves"]) < 0.5 * np.mean(away["line"])
    assert np.mean(away["curves"]) < np.mean(away["mean of others"])


def test_a_warmer_plan_shortens_the_life_as_the_law_says(forecaster: Forecaster) -> None:
    cell = made(7, 25.0)
    seen = cell.until(200)
    stays, moved = forecaster(seen), forecaster(seen, [Phase(Usage(45.0))])
    rate = np.exp(ACTIVATION * stress(Usage(45.0), ("temperature",))[1])
    # All but a small root runs on clocks that are `rate` times as fast.
    assert moved.life_cycle_count == pytest.approx(stays.life_cycle_count / rate, rel=0.15)
    assert not moved.outside
    assert forecaster(seen, [Phase(Usage(60.0))]).outside


def test_a_plan_cut_into_phases_of_one_usage_is_that_usage(forecaster: Forecaster) -> None:
    seen, warm = made(7, 25.0).until(200), Usage(40.0)
    whole = forecaster(seen, [Phase(warm)])
    parts = forecaster(seen, [Phase(warm, 10), Phase(warm, 33.3), Phase(warm)])
    assert parts.life_cycle_count == pytest.approx(whole.life_cycle_count, rel=1e-6)
    assert parts.soh_fraction == pytest.approx(whole.soh_fraction, abs=1e-9)


def test_the_activation_energy_of_made_cells_is_found(cells: list[History]) -> None:
    found = fit_population(cells, ("temperature",))
    lived = np.array([-9.0, -6.7])
    assert found.weights[2:4, 0] == pytest.approx(lived, abs=0.35)
    assert np.average(found.weights[2:4, 1]) == pytest.approx(ACTIVATION, rel=0.2)


def test_cells_that_did_not_fail_are_not_taken_for_failed(cells: list[History]) -> None:
    short = [one.until(150) for one in cells]
    assert all(np.isnan(reach(one, 0.8)) for one in short)
    told = learn(short[:6], ("temperature",))(made(50).until(100))
    assert isinstance(told.life, NotServed)
    assert told.life_cycle_count > 150 - 100


def test_few_cells_give_a_forecast_and_no_band(cells: list[History]) -> None:
    told = learn(cells[:4])(made(50).until(200))
    assert isinstance(told.life, NotServed)
    assert np.isnan(told.low_fraction).all()
    assert np.isfinite(told.soh_fraction).all()


def test_a_correction_learns_what_the_curves_miss(cells: list[History]) -> None:
    told = learn(cells, ("temperature",), corrected=True)(made(60).until(250))
    assert isinstance(told.life, Life)
    assert told.life.interval.low <= told.life_cycle_count <= told.life.interval.high
    end = reach(made(60), 0.8) - 250
    assert told.life_cycle_count == pytest.approx(end, rel=0.25)


def test_before_the_youngest_age_learnt_from_the_curves_answer_alone(cells: list[History]) -> None:
    found = trials(cells, ("temperature",), 0.8)
    both = learn(cells, ("temperature",), corrected=True, found=found)
    alone = learn(cells, ("temperature",), found=found)
    young, old = made(60).until(20), made(60).until(250)
    assert young.cycle_count[-1] < both.youngest_cycle_count < old.cycle_count[-1]
    assert both(young).life == alone(young).life
    assert both(old).life != alone(old).life


def test_gaps_change_little_and_too_few_cycles_are_refused(forecaster: Forecaster) -> None:
    cell = made(7).until(400)
    holes = cell.soh_fraction.copy()
    holes[::3] = np.nan
    told = forecaster(replace(cell, soh_fraction=holes)).life_cycle_count
    assert told == pytest.approx(forecaster(cell).life_cycle_count, rel=0.05)
    with pytest.raises(UsageError, match="too short"):
        forecaster(cell.until(3))
    with pytest.raises(DataError, match="do not rise"):
        replace(cell, cycle_count=cell.cycle_count[::-1].copy())
    with pytest.raises(UsageError, match="no stress"):
        learn([cell, made(8)], ("moon",))
    with pytest.raises(UsageError, match="no cell"):
        Usage(charge_rate=0.0)


def test_a_thinned_history_keeps_its_course() -> None:
    cycle, soh = thinned(made(3, count=907))
    assert len(cycle) <= 41
    assert soh == pytest.approx(np.interp(cycle, *_smooth(made(3, count=907))), abs=0.004)


def _smooth(cell: History) -> tuple[np.ndarray, np.ndarray]:
    kernel = np.ones(15) / 15
    return cell.cycle_count[7:-7], np.convolve(cell.soh_fraction, kernel, "valid")


@pytest.mark.skipif(
    not (datasets.data_folder() / "tbsi_nmc").is_dir(),
    reason="tbsi_nmc is not there: set CELLWARDEN_DATA",
)
def test_measured_cells_left_out_are_told_within_a_fifth_at_half_their_life() -> None:
    table = datasets.load("tbsi_nmc")
    cells = []
    for name in sorted(set(table["cell"].tolist())):
        own = table["cell"] == name
        usage = Usage(float(table["temperature_C"][own][0]))
        soh = table["capacity_Ah"][own].astype(np.float64) / 1.1
        cells.append(History(table["cycle"][own].astype(np.float64), soh, usage, name))
    population = fit_population(cells[1::2], ("temperature",))
    away, missed = [], []
    for cell in cells[::2]:
        end = reach(cell, 0.8)
        seen = cell.until(end / 2)
        raw = forecast(seen, population)
        away.append(abs(np.exp(raw.log_life) - end) / end)
        soh = np.abs(measured(cell, raw.cycle_count) - raw.soh_fraction)
        missed.append(soh[raw.cycle_count < end].max())
        first = condition(seen, population).mode[0]
        assert first == pytest.approx(seen.soh_fraction[0], abs=0.03)
    assert np.mean(away) < 0.2
    assert np.mean(missed) < 0.05
