import os
from math import erf
from pathlib import Path

import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.features.curves import Direction
from cellwarden.features.incremental import (
    Smoothing,
    differential_voltage,
    incremental_capacity,
    peak_uncertainty,
    peaks,
    voltage_noise_volt,
)

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
ROUGH = DATA / "cycler_native" / "lab" / "dqdv_cell1_rough.csv"
VOLT = np.linspace(3.0, 4.2, 12001)
GRID = np.linspace(3.0, 4.2, 1201)
CENTRES, WIDTHS, CHARGES, FLOOR = (3.5, 3.8), (0.03, 0.05), (0.8, 1.2), 0.3


def _charge(volt: np.ndarray) -> np.ndarray:
    """Two bells in dQ/dV on a floor, integrated exactly from 3.0 V."""
    total = FLOOR * (volt - 3.0)
    for centre, width, charge in zip(CENTRES, WIDTHS, CHARGES, strict=True):
        law = np.vectorize(lambda v, c=centre, w=width: 0.5 * (1 + erf((v - c) / w / 2**0.5)))
        total += charge * law(volt)
    return total - total[0]


CHARGE = _charge(VOLT)
HEIGHTS = [FLOOR + q / w / (2 * np.pi) ** 0.5 for q, w in zip(CHARGES, WIDTHS, strict=True)]
SAVGOL, GAUSS = Smoothing("savgol", 0.021), Smoothing("gaussian", 0.004)


@pytest.mark.parametrize("smoothing", [SAVGOL, GAUSS], ids=["savgol", "gaussian"])
@pytest.mark.parametrize("direction", ["charge", "discharge"])
def test_known_peaks_are_found_where_they_are(smoothing: Smoothing, direction: Direction) -> None:
    back = -1 if direction == "discharge" else 1
    charge = CHARGE if back == 1 else CHARGE[-1] - CHARGE[::-1]
    slope = incremental_capacity(
        VOLT[::back], charge, GRID, direction=direction, smoothing=smoothing, gap_ah=0.1
    )
    found = peaks(slope, least_prominence=1.0)
    assert found.position == pytest.approx(CENTRES, abs=1e-4)
    assert found.height == pytest.approx(HEIGHTS, rel=0.01)
    assert found.width == pytest.approx(2.3548 * np.array(WIDTHS), rel=0.02)
    floor = FLOOR * np.array([0.63, 0.57])  # up to the valley near 3.63 V, and from it
    assert found.area - floor == pytest.approx(CHARGES, rel=0.02)


def test_areas_add_up_to_the_charge_of_the_curve() -> None:
    slope = incremental_capacity(
        VOLT, CHARGE, GRID, direction="charge", smoothing=SAVGOL, gap_ah=0.1
    )
    assert peaks(slope, least_prominence=1.0).area.sum() == pytest.approx(CHARGE[-1], rel=1e-3)


def test_differential_voltage_is_one_over_incremental_capacity() -> None:
    grid = np.linspace(0.0, CHARGE[-1], 2001)
    found = differential_voltage(
        VOLT, CHARGE, grid, direction="charge", smoothing=Smoothing("savgol", 0.02), gap_ah=0.1
    )
    volt = np.interp(grid, CHARGE, VOLT)
    true = np.full(len(grid), FLOOR)
    for centre, width, charge in zip(CENTRES, WIDTHS, CHARGES, strict=True):
        bell = np.exp(-0.5 * ((volt - centre) / width) ** 2) / width / (2 * np.pi) ** 0.5
        true += charge * bell
    inner = slice(50, -50)
    assert found.values[inner] == pytest.approx(1 / true[inner], rel=0.01)


def test_a_straight_line_keeps_its_slope_under_any_smoothing() -> None:
    for smoothing in (Smoothing("savgol", 0.1, 2), Smoothing("gaussian", 0.05)):
        found = incremental_capacity(
            VOLT, 2.0 * (VOLT - 3.0), GRID, direction="charge", smoothing=smoothing, gap_ah=0.1
        )
        known = np.isfinite(found.values)
        assert found.values[known] == pytest.approx(2.0)
        assert known.sum() > 0.7 * len(GRID)
        assert found.window_count % 2 == 1


def test_no_slope_is_told_across_a_gap() -> None:
    hole = (VOLT < 3.6) | (VOLT > 3.7)
    found = incremental_capacity(
        VOLT[hole], CHARGE[hole], GRID, direction="charge", smoothing=GAUSS, gap_ah=0.01
    )
    assert np.isnan(found.values[(GRID > 3.601) & (GRID < 3.699)]).all()
    assert np.isfinite(found.values[(GRID > 3.02) & (GRID < 3.58)]).all()


def test_the_stated_uncertainty_is_the_spread_that_fresh_noise_makes() -> None:
    noise, every = 5e-4, slice(None, None, 12)
    wide = Smoothing("savgol", 0.05)
    first, told = peak_uncertainty(
        VOLT[every],
        CHARGE[every],
        GRID,
        direction="charge",
        smoothing=wide,
        gap_ah=0.1,
        least_prominence=1.0,
        noise_volt=noise,
        repeat_count=60,
        seed=1,
    )
    rng = np.random.default_rng(2)
    seen = []
    for _ in range(60):
        volt = VOLT[every] + noise * rng.standard_normal(len(VOLT[every]))
        slope = incremental_capacity(
            volt, CHARGE[every], GRID, direction="charge", smoothing=wide, gap_ah=0.1
        )
        seen.append(peaks(slope, least_prominence=1.0).position)
    assert len(first) == 2
    assert told.found_fraction == pytest.approx(1.0)
    assert told.position_std == pytest.approx(np.std(seen, axis=0), rel=0.5)
    assert np.all(told.height_std > 0)


def test_noise_is_told_from_the_voltage_itself() -> None:
    rng = np.random.default_rng(3)
    smooth = 3.7 + 0.3 * np.sin(np.linspace(0, 3, 5000))
    assert voltage_noise_volt(smooth) < 1e-6
    noisy = smooth + 1e-3 * rng.standard_normal(5000)
    noisy[2500:] += 0.2  # a jump is no noise
    assert voltage_noise_volt(noisy) == pytest.approx(1e-3, rel=0.05)


def test_a_curve_without_peaks_has_none() -> None:
    slope = incremental_capacity(
        VOLT, VOLT - 3.0, GRID, direction="charge", smoothing=SAVGOL, gap_ah=0.1
    )
    assert len(peaks(slope, least_prominence=0.01)) == 0
    nothing = incremental_capacity(
        VOLT[:1], CHARGE[:1], GRID, direction="charge", smoothing=SAVGOL, gap_ah=0.1
    )
    assert np.isnan(nothing.values).all()
    assert len(peaks(nothing, least_prominence=0.01)) == 0


@pytest.mark.parametrize(
    ("grid", "smoothing", "word"),
    [
        (GRID[::-1], SAVGOL, "even"),
        (GRID**2, SAVGOL, "even"),
        (GRID, Smoothing("savgol", 0.002), "polynomial"),
        (GRID, Smoothing("gaussian", 0.0), "width"),
    ],
)
def test_a_smoothing_that_cannot_be_is_refused(
    grid: np.ndarray, smoothing: Smoothing, word: str
) -> None:
    with pytest.raises(UsageError, match=word):
        incremental_capacity(
            VOLT, CHARGE, grid, direction="charge", smoothing=smoothing, gap_ah=0.1
        )


def test_a_real_graphite_cells_main_peaks_stand_where_they_did_when_the_test_was_written() -> None:
    if not ROUGH.is_file():
        pytest.skip("the laboratory records are not there: set CELLWARDEN_DATA")
    rows = np.genfromtxt(ROUGH, delimiter=",", names=True)
    loaded = rows["Amps"] < -1e-6
    slope = incremental_capacity(
        rows["Volts"][loaded],
        rows["Ah"][loaded],
        np.linspace(3.0, 4.1, 1101),
        direction="discharge",
        smoothing=Smoothing("savgol", 0.03),
        gap_ah=1e-4,
    )
    found = peaks(slope, least_prominence=0.01)
    assert found.position == pytest.approx([3.439, 3.596, 3.732], abs=0.002)


def test_a_peak_between_two_grid_points_is_found_between_them() -> None:
    grid = np.linspace(3.004, 4.184, 119)  # every 10 mV; 3.5 V and 3.8 V lie between points
    slope = incremental_capacity(
        VOLT, CHARGE, grid, direction="charge", smoothing=Smoothing("savgol", 0.05), gap_ah=0.1
    )
    assert peaks(slope, least_prominence=1.0).position == pytest.approx(CENTRES, abs=1e-3)
