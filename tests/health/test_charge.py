import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from cellwarden.domain import CHEMISTRIES, Cell, Frame, Frames, Pack, tiers
from cellwarden.errors import DataError, UsageError
from cellwarden.health import charge
from cellwarden.physics import Fault, FaultKind, Twin, TwinConfig

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
LG = DATA / "lg_hg2" / "drive_1hz.parquet"
UW = DATA / "uw_lipo" / "cycles_1hz.parquet"
DRIVE = TwinConfig(
    "pack-1", series_count=6, duration_second=7200.0, profile="drive", seed=3, soc_fraction=0.9
)


def drive(config: TwinConfig = DRIVE) -> tuple[Frames, np.ndarray]:
    twin = Twin(config)
    frames = twin.read(10**9)
    assert frames is not None
    return frames, twin.truth().soc_fraction


def frame_of(frames: Frames, index: int) -> Frame:
    return Frame(
        float(frames.unix_time_second[index]),
        float(frames.voltage_volt[index]),
        float(frames.current_ampere[index]),
        frames.cell_voltage_volt[index],
        frames.cell_temperature_celsius[index],
    )


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
@pytest.mark.parametrize("profile", ["drive", "cycle"])
def test_the_twins_charge_is_found_within_three_percent(chemistry: str, profile: str) -> None:
    config = replace(DRIVE, chemistry=chemistry, profile=profile)
    frames, true = drive(config)
    _, charges = charge.run(charge.init(config.pack()), frames, config.pack())
    error = charges.soc_fraction[-1] - np.clip(true, 0.0, 1.0)
    assert np.abs(error).max() < 0.03
    assert np.all(np.abs(error) < 3.0 * charges.soc_std_fraction[-1] + 0.01)


@pytest.mark.parametrize("chemistry", ["NMC", "LMO", "Na-ion"])
def test_a_wrong_start_is_corrected_where_the_curve_is_steep(chemistry: str) -> None:
    config = replace(DRIVE, chemistry=chemistry)
    frames, true = drive(config)
    state = charge.init(config.pack(), 0.4, soc_std_fraction=0.2)
    _, charges = charge.run(state, frames, config.pack())
    assert np.abs(charges.soc_fraction[0] - 0.9).min() > 0.4
    assert np.abs(charges.soc_fraction[-1] - np.clip(true, 0.0, 1.0)).max() < 0.03


def test_the_flat_curve_of_lfp_leaves_more_doubt_than_the_steep_one_of_nmc() -> None:
    doubts = {}
    for chemistry in ("LFP", "NMC"):
        config = replace(
            DRIVE, chemistry=chemistry, profile="storage", soc_fraction=0.55, duration_second=1800
        )
        frames, _ = drive(config)
        _, charges = charge.run(charge.init(config.pack()), frames, config.pack())
        doubts[chemistry] = charges.soc_std_fraction[-1].min()
    assert doubts["LFP"] > 3.0 * doubts["NMC"]


def test_an_aged_cell_is_followed_when_its_health_is_told() -> None:
    config = replace(DRIVE, soh_fraction=0.75)
    frames, true = drive(config)
    state = charge.init(config.pack(), soh_fraction=0.75)
    state, charges = charge.run(state, frames, config.pack())
    assert np.abs(charges.soc_fraction[-1] - true).max() < 0.03
    assert np.all(np.exp(state.cells[charge.LOG_OHM]) > 1.1)


def test_the_numpy_step_and_the_compiled_run_agree() -> None:
    config = replace(
        DRIVE,
        faults=(
            Fault(FaultKind.DROPOUT, 50.0, item=1, stop_second=90.0),
            Fault(FaultKind.DROPOUT, 120.0, signal="current_ampere", stop_second=140.0),
            Fault(FaultKind.DROPOUT, 150.0, signal="cell_temperature_celsius", stop_second=160.0),
        ),
    )
    frames, _ = drive(config)
    frames = frames.rows(0, 400)
    gap = frames.unix_time_second.copy()
    gap[300:] += 500.0
    frames = replace(frames, unix_time_second=gap)
    stepped = charge.init(config.pack())
    ran, charges = charge.run(stepped, frames, config.pack())
    for index in range(len(frames)):
        stepped, one = charge.step(stepped, frame_of(frames, index), config.pack())
        row = charges.row(index)
        for name in ("soc_fraction", "soc_std_fraction", "innovation_volt", "innovation_std_volt"):
            left, right = getattr(one, name), getattr(row, name)
            assert np.allclose(left, right, rtol=1e-9, atol=1e-10, equal_nan=True), (index, name)
    assert np.allclose(stepped.cells, ran.cells, rtol=1e-8, atol=1e-10)
    assert np.allclose(stepped.clock, ran.clock)


def test_a_cell_without_readings_is_predicted_with_growing_doubt() -> None:
    fault = Fault(FaultKind.DROPOUT, 1800.0, item=2)
    frames, true = drive(replace(DRIVE, faults=(fault,)))
    _, charges = charge.run(charge.init(DRIVE.pack()), frames, DRIVE.pack())
    doubt = charges.soc_std_fraction[:, 2]
    assert np.all(np.isnan(charges.innovation_volt[1800:, 2]))
    assert np.all(np.isfinite(charges.innovation_std_volt))
    assert np.all(np.diff(doubt[1800:]) >= 0.0)
    assert doubt[-1] > 1.3 * np.delete(charges.soc_std_fraction[-1], 2).max()
    assert abs(charges.soc_fraction[-1, 2] - true[2]) < 0.05


def test_a_missing_current_is_doubt_and_not_zero() -> None:
    fault = Fault(FaultKind.DROPOUT, 600.0, signal="current_ampere", stop_second=900.0)
    frames, _ = drive(replace(DRIVE, faults=(fault,)))
    _, charges = charge.run(charge.init(DRIVE.pack(), 0.9), frames, DRIVE.pack())
    _, known = charge.run(charge.init(DRIVE.pack(), 0.9), drive()[0], DRIVE.pack())
    assert np.all(charges.soc_std_fraction[899] > known.soc_std_fraction[899])


def test_a_gap_in_time_is_doubt() -> None:
    frames, _ = drive()
    time = frames.unix_time_second.copy()
    time[1000:] += 3600.0
    frames = replace(frames, unix_time_second=time)
    _, charges = charge.run(charge.init(DRIVE.pack(), 0.9), frames, DRIVE.pack())
    assert np.all(charges.soc_std_fraction[1000] > 1.5 * charges.soc_std_fraction[999])


def test_a_pack_with_one_sensor_is_served() -> None:
    frames, true = drive()
    frames = replace(frames, cell_temperature_celsius=frames.cell_temperature_celsius[:, :1])
    _, charges = charge.run(charge.init(DRIVE.pack()), frames, DRIVE.pack())
    assert np.abs(charges.soc_fraction[-1] - true).max() < 0.03


def test_a_biased_sensor_shows_in_the_innovation() -> None:
    fault = Fault(FaultKind.BIAS, 3600.0, 0.2, item=4)
    frames, _ = drive(replace(DRIVE, faults=(fault,)))
    _, charges = charge.run(charge.init(DRIVE.pack()), frames, DRIVE.pack())
    ratio = np.abs(charges.innovation_volt / charges.innovation_std_volt)
    assert ratio[3600, 4] > 3.0
    assert ratio[3600, :4].max() < 3.0


def test_the_string_is_empty_with_its_emptiest_and_full_with_its_fullest_cell() -> None:
    usable = charge.usable_fraction(np.array([[0.0, 0.1], [1.0, 0.9], [0.45, 0.55]]))
    assert usable == pytest.approx([0.0, 1.0, 0.5])


def test_annotated_frames_carry_charge_and_doubt() -> None:
    frames, true = drive()
    _, charges = charge.run(charge.init(DRIVE.pack()), frames, DRIVE.pack())
    annotated = charge.annotate(frames, charges)
    assert annotated.soc_fraction is not None
    assert annotated.soc_std_fraction is not None
    assert true.min() - 0.03 < annotated.soc_fraction[-1] < true.max() + 0.03
    assert np.all(annotated.soc_std_fraction > 0.0)


def test_another_number_of_cells_and_an_impossible_start_are_refused() -> None:
    frames, _ = drive()
    with pytest.raises(DataError):
        charge.run(charge.init(replace(DRIVE, series_count=5).pack()), frames, DRIVE.pack())
    with pytest.raises(UsageError):
        charge.init(DRIVE.pack(), 1.2)


def lg_test(name: str) -> tuple[Frames, np.ndarray]:
    """One test of the LG HG2 set; its README: negative current discharges, as ours."""
    rows: dict[str, Any] = duckdb.execute(
        "select time_s, voltage_V, current_A, temperature_C, soc from read_parquet(?)"
        " where test = ? order by time_s",
        [str(LG), name],
    ).fetchnumpy()
    volts = rows["voltage_V"].astype(np.float32)
    frames = Frames(
        rows["time_s"].astype(np.float64),
        volts,
        rows["current_A"].astype(np.float32),
        volts[:, None],
        rows["temperature_C"].astype(np.float32)[:, None],
    )
    return frames, rows["soc"].astype(np.float64)


@pytest.mark.skipif(not LG.exists(), reason="needs lg_hg2 under CELLWARDEN_DATA")
def test_the_charge_of_the_lg_cell_is_found_by_temperature(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Mixed1 shaped the constants of NMC and the tuning, so it is left out here.

    The reference is the tester's counter over the measured 2.78 Ah; the label says 3.0 Ah.
    """
    tests = duckdb.execute(
        "select distinct ambient_C, test from read_parquet(?)"
        " where test like '%Mixed%' and test not like '%Mixed1' order by all",
        [str(LG)],
    ).fetchall()
    nmc = CHEMISTRIES["NMC"]
    pack = Pack("lg", Cell(nmc, 3.0, tiers(nmc, 3.0)))
    errors: dict[tuple[int, str], list[float]] = {}
    inside: dict[tuple[int, str], list[float]] = {}
    for ambient, test in tests:
        frames, true = lg_test(test)
        for begin in ("first voltage", "half"):
            soc = None if begin == "first voltage" else 0.5
            state = charge.init(pack, soc, soc_std_fraction=0.3, soh_fraction=2.78 / 3.0)
            _, charges = charge.run(state, frames, pack)
            late = slice(0 if soc is None else 1200, None)
            error = np.abs(charges.soc_fraction[late, 0] - true[late])
            errors.setdefault((ambient, begin), []).append(float(error.mean()))
            within = error < 2.0 * charges.soc_std_fraction[late, 0]
            inside.setdefault((ambient, begin), []).append(float(within.mean()))
    with capsys.disabled():
        for key in sorted(errors):
            mean, share = np.mean(errors[key]), np.mean(inside[key])
            print(  # noqa: T201  the figure is the point
                f"\nlg_hg2 {key[0]:4d} °C, begun at {key[1]}: MAE {100 * mean:.2f} % of SOC,"
                f" {100 * share:.0f} % of the time within two std, {len(errors[key])} tests",
                end="",
            )
    for begin in ("first voltage", "half"):
        assert np.mean(errors[25, begin]) < 0.01
        assert np.mean(errors[10, begin]) < 0.025
        assert np.mean(errors[-20, begin]) < 0.12


@pytest.mark.skipif(not UW.exists(), reason="needs uw_lipo under CELLWARDEN_DATA")
def test_the_charge_of_a_cell_no_constant_came_from_is_found_within_eight_percent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A pouch cell of unstated chemistry, taken for LCO; the set's README: discharge is positive.

    Its own reference calls 0 what 3.0 V under load is, which the curve of LCO does not.
    """
    kind = CHEMISTRIES["LCO"]
    pack = Pack("uw", Cell(kind, 5.45, tiers(kind, 5.45)))
    for rate in (1, 2, 3, 4):
        rows: dict[str, Any] = duckdb.execute(
            "select time_s, voltage_V, -current_A as ampere, temperature_C, soc_pct"
            " from read_parquet(?) where c_rate = ? and cycle = 3 order by time_s",
            [str(UW), rate],
        ).fetchnumpy()
        volts = rows["voltage_V"].astype(np.float32)
        frames = Frames(
            rows["time_s"].astype(np.float64),
            volts,
            rows["ampere"].astype(np.float32),
            volts[:, None],
            rows["temperature_C"].astype(np.float32)[:, None],
        )
        _, charges = charge.run(charge.init(pack), frames, pack)
        error = np.abs(charges.soc_fraction[:, 0] - rows["soc_pct"] / 100.0)
        within = np.mean(error < 2.0 * charges.soc_std_fraction[:, 0])
        with capsys.disabled():
            print(  # noqa: T201  the figure is the point
                f"\nuw_lipo {rate}C: MAE {100 * error.mean():.2f} % of SOC,"
                f" {100 * within:.0f} % of the time within two std",
                end="",
            )
        assert error.mean() < 0.08
