"""Real records give features without a warning, and those that can be checked are right."""

import os
from pathlib import Path

import numpy as np
import pytest

from cellwarden import features
from cellwarden.domain import Series
from cellwarden.errors import Error
from cellwarden.readers import load

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
NATIVE, NASA, CALCE = DATA / "cycler_native", DATA / "nasa_pcoe", DATA / "calce_cs2"
pytestmark = pytest.mark.skipif(
    not NATIVE.is_dir(), reason="the real records are not there: set CELLWARDEN_DATA"
)


def _look(series: Series) -> None:
    """Ask for everything; warnings are errors."""
    columns = series.test_time_second, series.voltage_volt, series.current_ampere
    known = series.voltage_volt[np.isfinite(series.voltage_volt)]
    low, high = float(known.min()), float(known.max()) + 0.01
    largest = float(np.nanmax(np.abs(series.current_ampere)))
    grid = np.linspace(low, high, 200)
    if series.cycle_count is not None:
        for way in ("charge", "discharge"):
            taken = features.branches(series, way)
            matrix = features.charge_matrix(taken, grid, gap_ah=np.inf)
            inside = matrix[np.isfinite(matrix)]
            assert np.all(inside >= 0)
            assert np.all(inside <= np.nanmax(np.r_[taken.capacity_ah(), 0.0]))
        features.early_features(series, grid, gap_ah=np.inf, resistance_delay_second=1.0)
    pulses = features.find_pulses(
        series, delay_second=(1.0,), rest_ampere=0.01 * largest, longest_second=60.0
    )
    assert np.all(np.abs(pulses.current_ampere) > 0)
    features.find_interruptions(
        series, rest_ampere=0.01 * largest, longest_second=60.0, fit_second=(1.0, 5.0)
    )
    windows = features.voltage_windows(
        *columns, np.linspace(low, high, 4), direction="charge", gap_second=600.0
    )
    assert not np.any(windows.charge_ah < 0)
    features.charge_end(
        *columns,
        top_volt=high - 0.02,
        window_volt=0.2,
        taper_ampere=(largest / 2, largest / 10),
        gap_second=600.0,
    )
    rain = features.rainflow(series.voltage_volt)
    travelled = np.abs(np.diff(known)).sum()
    assert 2 * (rain.span * rain.count).sum() == pytest.approx(travelled, rel=1e-9)


def test_every_testers_record_gives_its_features_without_a_warning() -> None:
    seen = 0
    for path in sorted(NATIVE.glob("*/*")):
        try:
            held = load(path)
        except Error:
            continue  # what a reader refuses is the readers' test
        if isinstance(held, Series) and np.isfinite(held.current_ampere).any():
            _look(held)
            seen += 1
    assert seen >= 30


def test_nasas_own_capacities_are_the_charge_of_each_branch() -> None:
    import duckdb

    series = load(NASA / "B0005.parquet")
    assert isinstance(series, Series)
    found = features.branches(series, "discharge").capacity_ah()[:50]
    told = duckdb.sql(
        f"select capacity_Ah from '{NASA}/tests.csv'"
        " where battery_id = 'B0005' and type = 'discharge' order by test_id limit 50"
    ).fetchnumpy()["capacity_Ah"]
    away = np.abs(found / np.asarray(told, dtype=np.float64) - 1)
    # Discharge 31 begins with a reading of -4.5 A at 8.4 V, and 78 minutes without any.
    assert np.flatnonzero(away > 1e-4).tolist() == [30]
    assert away[30] < 3e-3


def test_a_cell_without_a_thermometer_tells_eleven_features() -> None:
    path = CALCE / "CS2_35.parquet"
    if not path.is_file():
        pytest.skip("the CALCE records are not there: set CELLWARDEN_DATA")
    series = load(path)
    assert isinstance(series, Series)
    found = features.early_features(
        series, np.linspace(4.1, 2.75, 500), gap_ah=0.05, resistance_delay_second=30.0
    )
    missing = [name for name, value in found.columns().items() if np.isnan(value)]
    assert missing == ["temperature_integral_celsius_hour"]
    assert found.second_capacity_ah == pytest.approx(1.133, abs=0.001)
    assert found.fade_slope_ah < 0


def test_a_biologic_spectrum_passes_kramers_kronig() -> None:
    table = load(NATIVE / "biologic" / "PEIS-0.mpr")
    assert not isinstance(table, Series)
    sweeps = features.long_spectra(
        table,
        frequency_column="frequency_hertz",
        real_column="impedance_real_ohm",
        imaginary_column="impedance_imaginary_ohm",
        imaginary_sign=1,
        sweep_columns=("cycle_count",),
    )
    spectra = [spectrum for _, spectrum in sweeps]
    assert [len(spectrum) for spectrum in spectra] == [60]
    assert features.kramers_kronig(spectra[0]).rms_fraction < 0.01
