import os
from pathlib import Path

import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.features.partial import charge_end, voltage_windows

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
TABLES = DATA / "soh_features"
TIME = np.arange(0.0, 3601.0, 5.0)
VOLT = 3.6 + 0.6 * TIME / 3600  # rises evenly at 2 A
AMPERE = np.full(len(TIME), 2.0)
EDGES = np.array([3.5, 3.7, 3.8, 4.0, 4.1, 4.3])


def test_each_window_holds_the_charge_time_and_slope_of_a_straight_charge() -> None:
    found = voltage_windows(TIME, VOLT, AMPERE, EDGES, direction="charge", gap_second=10)
    width = np.diff(EDGES)
    inner = slice(1, 4)
    assert found.charge_ah[inner] == pytest.approx(2.0 * width[inner] / 0.6)
    assert found.time_second[inner] == pytest.approx(3600 * width[inner] / 0.6)
    assert found.slope_volt_per_second[inner] == pytest.approx(0.6 / 3600)
    assert found.mean_current_ampere[inner] == pytest.approx(2.0)
    assert found.uncertain_ah[inner] == pytest.approx(2 * 2.0 * 5 / 3600)


def test_a_window_half_seen_is_not_known() -> None:
    found = voltage_windows(TIME, VOLT, AMPERE, EDGES, direction="charge", gap_second=10)
    assert np.isnan(found.charge_ah[[0, 4]]).all()
    assert np.isnan(found.slope_volt_per_second[[0, 4]]).all()


def test_a_discharge_gives_the_same_windows_downwards() -> None:
    up = voltage_windows(TIME, VOLT, AMPERE, EDGES, direction="charge", gap_second=10)
    down = voltage_windows(TIME, VOLT[::-1], -AMPERE, EDGES, direction="discharge", gap_second=10)
    assert down.charge_ah == pytest.approx(up.charge_ah, nan_ok=True)
    assert down.slope_volt_per_second == pytest.approx(-up.slope_volt_per_second, nan_ok=True)
    assert down.mean_current_ampere == pytest.approx(-up.mean_current_ampere, nan_ok=True)


def test_a_dropout_takes_only_the_window_it_lies_in() -> None:
    volt = VOLT.copy()
    volt[(VOLT > 3.85) & (VOLT < 3.9)] = np.nan
    found = voltage_windows(TIME, volt, AMPERE, EDGES, direction="charge", gap_second=60)
    assert np.isnan(found.charge_ah[2])
    assert np.isfinite(found.charge_ah[[1, 3]]).all()
    patient = voltage_windows(TIME, volt, AMPERE, EDGES, direction="charge", gap_second=1e4)
    assert patient.charge_ah[2] == pytest.approx(2.0 * 0.2 / 0.6)


@pytest.mark.parametrize("quantum", [0.001, 0.01, 0.02])
def test_a_coarse_sensor_stays_within_the_uncertainty_told(quantum: float) -> None:
    coarse = np.floor(VOLT / quantum) * quantum
    found = voltage_windows(TIME, coarse, AMPERE, EDGES, direction="charge", gap_second=10)
    true = 2.0 * np.diff(EDGES) / 0.6
    inner = slice(1, 4)
    assert np.all(np.abs(found.charge_ah - true)[inner] <= found.uncertain_ah[inner])
    assert np.all(found.uncertain_ah[inner] >= 2 * 2.0 / 0.6 * quantum * 0.8)


def test_edges_that_do_not_rise_are_refused() -> None:
    for edges in ([3.7], [3.8, 3.7], [3.7, 3.7]):
        with pytest.raises(UsageError, match="rise"):
            voltage_windows(TIME, VOLT, AMPERE, np.array(edges), direction="charge", gap_second=10)


def test_an_empty_charge_has_no_windows_known() -> None:
    none = np.empty(0)
    found = voltage_windows(none, none, none, EDGES, direction="charge", gap_second=10)
    assert np.isnan(found.charge_ah).all()


def _ended(period: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """2 A from 3.6 V to 4.2 V in an hour, then a taper of 600 s to 0.05 A."""
    constant = np.arange(0.0, 3600.0, period)
    taper = np.arange(0.0, 600 * np.log(40) + period, period)
    volt = np.concatenate([3.6 + constant / 6000, np.full(len(taper), 4.2)])
    current = np.concatenate([np.full(len(constant), 2.0), 2.0 * np.exp(-taper / 600)])
    return np.concatenate([constant, 3600 + taper]), volt, current


def _end(period: float = 1.0, **changed: object) -> dict[str, float]:
    time, volt, current = _ended(period)
    wanted = {"top_volt": 4.2, "window_volt": 0.2, "taper_ampere": (0.5, 0.1), "gap_second": 60.0}
    found = charge_end(time, volt, current, **{**wanted, **changed})  # type: ignore[arg-type]
    return {name: getattr(found, name) for name in found.__slots__}


def test_the_sixteen_statistics_are_those_of_a_known_charge() -> None:
    found = _end()
    assert len(found) == 16
    assert found["cc_voltage_mean_volt"] == pytest.approx(4.1, abs=1e-4)
    assert found["cc_voltage_std_volt"] == pytest.approx(0.2 / 12**0.5, rel=1e-3)
    assert found["cc_voltage_kurtosis_ratio"] == pytest.approx(-1.2, abs=1e-3)
    assert found["cc_voltage_skewness_ratio"] == pytest.approx(0.0, abs=1e-6)
    assert found["cc_voltage_slope_volt_per_second"] == pytest.approx(1 / 6000)
    assert found["cc_charge_ah"] == pytest.approx(2.0 * 1200 / 3600, rel=2e-3)
    assert found["cc_time_second"] == pytest.approx(1200, abs=1)
    assert found["cv_time_second"] == pytest.approx(600 * np.log(5), abs=2)
    assert found["cv_charge_ah"] == pytest.approx(600 * 0.4 / 3600, rel=5e-3)
    mean = 0.4 / np.log(5)
    assert found["cv_current_mean_ampere"] == pytest.approx(mean, rel=2e-3)
    assert found["cv_current_skewness_ratio"] > 0.5


def test_entropy_grows_with_the_rows_as_in_the_published_tables() -> None:
    fine, coarse = _end(1.0), _end(10.0)
    assert fine["cc_voltage_entropy_nat"] == pytest.approx(np.log(1201), abs=0.01)
    ratio = fine["cc_voltage_entropy_nat"] - coarse["cc_voltage_entropy_nat"]
    assert ratio == pytest.approx(np.log(10), abs=0.02)


def test_a_charge_that_never_reached_the_top_tells_nothing() -> None:
    assert np.isnan(list(_end(top_volt=4.3).values())).all()


def test_a_charge_that_began_above_the_window_tells_the_taper_alone() -> None:
    found = _end(window_volt=0.7)
    assert np.isnan(found["cc_charge_ah"])
    assert np.isfinite(found["cv_charge_ah"])


def test_a_taper_cut_short_is_not_known() -> None:
    found = _end(taper_ampere=(0.5, 0.01))
    assert np.isnan(found["cv_time_second"])
    assert np.isfinite(found["cc_time_second"])


def test_a_gap_in_a_stretch_takes_that_stretch() -> None:
    time, volt, current = _ended()
    kept = (time < 3000) | (time > 3300)
    found = charge_end(
        time[kept],
        volt[kept],
        current[kept],
        top_volt=4.2,
        window_volt=0.2,
        taper_ampere=(0.5, 0.1),
        gap_second=60,
    )
    assert np.isnan(found.cc_charge_ah)
    assert np.isfinite(found.cv_charge_ah)


def test_the_published_entropies_are_logarithms_of_row_counts() -> None:
    if not TABLES.is_dir():
        pytest.skip("the published tables are not there: set CELLWARDEN_DATA")
    import duckdb

    # Rows of a stretch: e to the entropy. The time between them is then one and the same for the
    # constant current and the taper of a cell, because one tester sampled both.
    row = duckdb.sql(
        "select median(cc_charge_time / exp(voltage_entropy)) as one,"
        " median(cv_charge_time / exp(current_entropy)) as two"
        f" from '{TABLES}/hust.parquet' where isfinite(voltage_entropy)"
    ).fetchone()
    assert row is not None
    assert row[0] == pytest.approx(row[1], rel=0.2)


def test_a_taper_that_began_below_its_range_is_not_whole() -> None:
    assert np.isnan(_end(taper_ampere=(3.0, 0.1))["cv_charge_ah"])


def test_current_the_other_way_takes_nothing_from_a_window() -> None:
    turned = AMPERE.copy()
    turned[300:310] = -50.0  # between 3.85 V and 3.86 V
    plain = voltage_windows(TIME, VOLT, AMPERE, EDGES, direction="charge", gap_second=10)
    found = voltage_windows(TIME, VOLT, turned, EDGES, direction="charge", gap_second=10)
    assert plain.charge_ah[2] - found.charge_ah[2] == pytest.approx(10 * 2.0 * 5 / 3600)
