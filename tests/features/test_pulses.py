import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cellwarden.domain import Series
from cellwarden.errors import UsageError
from cellwarden.features.pulses import find_interruptions, find_pulses

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
LAB = DATA / "cycler_native" / "lab"
LEAF = DATA / "reference_cells" / "nissan_leaf_lmo_33Ah.parquet"
OHMIC, ARC, TAU = 0.02, 0.01, 5.0


def _circuit(current: np.ndarray, period: float = 0.1) -> Series:
    """R0 + (R1 || C1) on 3.7 V, solved exactly between rows of constant current."""
    arc = np.zeros(len(current))
    keep = np.exp(-period / TAU)
    for k in range(1, len(current)):
        arc[k] = keep * arc[k - 1] + ARC * (1 - keep) * current[k - 1]
    time = np.arange(len(current)) * period
    return Series("cell", time, 3.7 + OHMIC * current + arc, current)


def _train() -> Series:
    rest, out, into = np.zeros(600), np.full(101, -2.0), np.full(101, 1.5)
    return _circuit(np.concatenate([rest, out, rest, into, rest, np.full(2000, -1.0), rest]))


def test_pulses_give_the_resistances_of_the_circuit() -> None:
    found = find_pulses(
        _train(), delay_second=(0.0, 5.0, 10.0), rest_ampere=0.01, longest_second=30
    )
    assert found.current_ampere.tolist() == [-2.0, 1.5]
    assert found.ohmic_ohm == pytest.approx(OHMIC)
    wanted = ARC * (1 - np.exp(-np.array([0.0, 5.0, 10.0]) / TAU))
    assert found.polarisation_ohm == pytest.approx(np.stack([wanted, wanted]), abs=2e-5)
    assert found.duration_second == pytest.approx(10.0)
    assert found.edge_second == pytest.approx(0.1)


def test_a_delay_the_pulse_did_not_reach_is_not_known() -> None:
    found = find_pulses(_train(), delay_second=(9.9, 10.1), rest_ampere=0.01, longest_second=30)
    assert np.isfinite(found.resistance_ohm[:, 0]).all()
    assert np.isnan(found.resistance_ohm[:, 1]).all()


def test_state_of_charge_falls_by_what_each_pulse_took() -> None:
    found = find_pulses(
        _train(),
        delay_second=(1.0,),
        rest_ampere=0.01,
        longest_second=30,
        capacity_ah=1.0,
        first_soc_fraction=0.5,
    )
    assert found.soc_fraction[0] == 0.5
    assert found.soc_fraction[1] == pytest.approx(0.5 - 2.0 * 10.1 / 3600)


def test_a_pulse_counts_only_after_enough_rest_and_once_it_is_over() -> None:
    series = _train()
    few = find_pulses(
        series,
        delay_second=(1.0,),
        rest_ampere=0.01,
        longest_second=30,
        shortest_rest_second=100,
    )
    assert len(few) == 0
    cut = Series(
        "cell",
        series.test_time_second[:650],
        series.voltage_volt[:650],
        series.current_ampere[:650],
    )
    assert len(find_pulses(cut, delay_second=(1.0,), rest_ampere=0.01, longest_second=30)) == 0


def test_a_step_from_the_other_direction_is_neither_pulse_nor_pause() -> None:
    rest = np.zeros(50)
    straight = np.r_[rest, np.full(900, 1.0), np.full(50, -2.0), rest, np.full(900, 1.0)]
    found = find_pulses(_circuit(straight), delay_second=(1.0,), rest_ampere=0.1, longest_second=30)
    assert len(found) == 0
    assert (
        len(
            find_interruptions(
                _circuit(straight), rest_ampere=0.1, longest_second=30, fit_second=(1, 5)
            )
        )
        == 0
    )


def test_missing_readings_inside_a_pulse_are_passed_over() -> None:
    series = _train()
    volt = series.voltage_volt.copy()
    volt[620:640] = np.nan
    found = find_pulses(
        replace(series, voltage_volt=volt), delay_second=(5.0,), rest_ampere=0.01, longest_second=30
    )
    assert found.resistance_ohm[0, 0] == pytest.approx(OHMIC + ARC * (1 - np.exp(-1)), abs=2e-5)


def test_interruptions_give_the_line_in_the_root_of_time() -> None:
    current = np.concatenate([np.tile(np.r_[np.full(3000, -1.0), np.zeros(100)], 3), [-1.0, -1.0]])
    time = np.arange(len(current)) * 0.1
    since = np.zeros(len(current))
    for k in range(1, len(current)):
        since[k] = since[k - 1] + 0.1 if current[k] == 0 else 0.0
    volt = 3.7 + current * 0.03 + np.where(current == 0, 0.002 * np.sqrt(since), 0.0)
    found = find_interruptions(
        Series("cell", time, volt, current), rest_ampere=0.01, longest_second=20, fit_second=(1, 5)
    )
    assert len(found) == 3
    assert found.resistance_ohm == pytest.approx(0.03)
    assert found.diffusion_ohm_per_root_second == pytest.approx(0.002)
    assert found.resistance_std_ohm == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("bad", [-1.0, float("nan")])
def test_a_threshold_that_is_no_size_is_refused(bad: float) -> None:
    with pytest.raises(UsageError, match="rest_ampere"):
        find_pulses(_train(), delay_second=(1.0,), rest_ampere=bad, longest_second=1)


@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_record_too_short_for_a_pulse_has_none(length: int) -> None:
    series = Series("cell", np.arange(float(length)), np.ones(length), np.arange(float(length)))
    found = find_pulses(series, delay_second=(1.0,), rest_ampere=0.1, longest_second=10)
    assert found.resistance_ohm.shape == (0, 1)
    assert (
        len(find_interruptions(series, rest_ampere=0.1, longest_second=9, fit_second=(1, 5))) == 0
    )


# Real cells


def _lab(name: str, columns: str) -> Series:
    if not LAB.is_dir():
        pytest.skip("the laboratory records are not there: set CELLWARDEN_DATA")
    import duckdb

    rows = duckdb.sql(f"select {columns} from '{LAB / name}'").fetchnumpy()
    return Series("cell", *(np.asarray(rows[n], dtype=np.float64) for n in columns.split(",")))


def test_the_laboratorys_hppc_holds_nine_pulses_each_way() -> None:
    series = _lab("hppc_discharge.csv", "Seconds,Volts,Amps")
    found = find_pulses(
        series,
        delay_second=(10.0,),
        rest_ampere=1e-5,
        longest_second=60,
        capacity_ah=3.2e-3,
        first_soc_fraction=1.0,
    )
    discharge = found.current_ampere < 0
    assert discharge.tolist() == [True, False] * 9
    assert found.duration_second[discharge] == pytest.approx(30.0, abs=0.01)
    assert np.all(np.diff(found.soc_fraction) < 0)
    # Both ways see the same ohmic resistance, and it rises towards empty.
    assert found.ohmic_ohm[discharge] == pytest.approx(found.ohmic_ohm[~discharge], rel=0.03)
    assert found.ohmic_ohm[-1] > 1.7 * found.ohmic_ohm[0]
    assert found.ohmic_ohm[0] == pytest.approx(16.846, abs=0.001)


def test_the_laboratorys_interruptions_are_found_and_fitted() -> None:
    series = _lab("ici_discharge.csv", "Seconds,Volts,Amps")
    found = find_interruptions(series, rest_ampere=1e-5, longest_second=20, fit_second=(1, 5))
    assert len(found) == 131
    assert found.resistance_ohm[0] == pytest.approx(0.4473, abs=1e-3)
    assert np.all(found.diffusion_ohm_per_root_second > 0)
    share = found.diffusion_std_ohm_per_root_second / found.diffusion_ohm_per_root_second
    assert np.median(share) < 0.02


def test_a_warmer_leaf_cell_resists_less() -> None:
    if not LEAF.is_file():
        pytest.skip("the reference cells are not there: set CELLWARDEN_DATA")
    import duckdb

    middle = []
    for celsius in (10, 25, 40):
        rows = duckdb.sql(
            f"select time_s, voltage_V, current_A from '{LEAF}' where test = 'hppc_{celsius}C'"
        ).fetchnumpy()
        series = Series(
            "leaf",
            *(np.asarray(rows[n], dtype=np.float64) for n in ("time_s", "voltage_V", "current_A")),
        )
        found = find_pulses(series, delay_second=(2.0,), rest_ampere=0.05, longest_second=60)
        both = found.current_ampere < 0, found.current_ampere > 0
        assert [int(way.sum()) for way in both] >= [10, 10]
        middle.append(float(np.median(found.resistance_ohm[both[0], 0])))
    assert middle == sorted(middle, reverse=True)
    assert middle[1] == pytest.approx(1.73e-3, abs=0.05e-3)
