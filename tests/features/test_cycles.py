from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import Series
from cellwarden.errors import UsageError
from cellwarden.features import Runs, cut, samples

NOMINAL = 2.0


def _series(current: list[float], period: float = 10.0) -> Series:
    time = np.arange(len(current)) * period
    return Series("cell", time, np.full(len(current), 3.7), np.array(current))


def _runs(current: list[float], period: float = 10.0) -> Runs:
    return cut(samples(_series(current, period), NOMINAL))


def test_a_charge_and_a_discharge_are_two_runs_of_the_right_charge(cell: Any, record: Any) -> None:
    runs = cut(samples(record(cell.cycle()), NOMINAL))
    assert runs.charges.tolist() == [True, False]
    assert runs.passed_ah[1] == pytest.approx(
        cell.delivered_ah(), abs=0.03
    )  # it goes a little below 2.7 V
    assert runs.ended.tolist() == [True, False]


def test_pulses_and_short_pauses_stay_in_one_discharge() -> None:
    pulses = ([-4.0, -4.0] + [0.0] * 2) * 60
    assert cut(samples(_series([0.0, *pulses, 0.0]), NOMINAL)).charges.tolist() == [False]


def test_regeneration_in_a_drive_cycle_is_no_charge() -> None:
    drive = ([-3.0] * 20 + [2.0] * 3) * 20
    assert _runs([0.0, *drive, 0.0]).charges.tolist() == [False]


def test_an_aborted_discharge_is_a_run_of_its_own() -> None:
    current = [1.0] * 200 + [0.0] * 5 + [-2.0] * 20 + [0.0] * 5 + [1.0] * 200 + [0.0]
    runs = _runs(current)
    assert runs.charges.tolist() == [True, False, True]
    assert runs.passed_ah[1] == pytest.approx(2.0 * 200 / 3600, rel=0.05)


def test_noise_of_the_sensor_at_rest_neither_begins_nor_ends_a_run() -> None:
    blip = [0.0] * 30 + [-0.02] + [0.0] * 30
    runs = _runs([*blip, *([-2.0] * 100), *blip])
    assert runs.start.tolist() == [61]
    assert runs.stop.tolist() == [161]


def test_a_record_that_runs_on_into_rest_gives_the_same_charge() -> None:
    short = _runs([0.0, *([-2.0] * 300), 0.0])
    long = _runs([0.0, *([-2.0] * 300), *([0.003] * 5000)])
    assert long.passed_ah == pytest.approx(short.passed_ah, rel=1e-4)


def test_missing_and_impossible_readings_are_left_out(cell: Any, record: Any) -> None:
    whole = record(cell.cycle())
    voltage, current = whole.voltage_volt.copy(), whole.current_ampere.copy()
    voltage[200], voltage[300], current[400] = np.nan, 8.39, np.nan
    holed = samples(replace(whole, voltage_volt=voltage, current_ampere=current), NOMINAL)
    assert len(holed) == len(whole) - 3
    runs, intact = cut(holed), cut(samples(whole, NOMINAL))
    assert runs.passed_ah == pytest.approx(intact.passed_ah, rel=1e-3)


def test_rows_out_of_order_and_repeated_rows_change_nothing(cell: Any, record: Any) -> None:
    whole = record(cell.cycle())
    order = np.concatenate([np.arange(100), [99, 98], np.arange(100, len(whole))])
    shuffled = Series(
        "cell",
        whole.test_time_second[order],
        whole.voltage_volt[order],
        whole.current_ampere[order],
    )
    assert cut(samples(shuffled, NOMINAL)).passed_ah.tolist() == (
        cut(samples(whole, NOMINAL)).passed_ah.tolist()
    )


def test_a_gap_under_current_counts_as_nothing_and_marks_the_run() -> None:
    current = np.array([0.0] + [-2.0] * 100 + [0.0])
    time = np.arange(102) * 10.0
    time[50:] += 3600
    runs = cut(samples(Series("cell", time, np.full(102, 3.7), current), NOMINAL))
    assert runs.has_gap.tolist() == [True]
    assert runs.passed_ah[0] == pytest.approx(2.0 * 990 / 3600)


def test_a_gap_at_rest_is_no_gap() -> None:
    current = np.array([0.0] + [-2.0] * 50 + [0.0] * 4 + [-2.0] * 50 + [0.0])
    time = np.arange(len(current)) * 10.0
    time[53:] += 36_000
    runs = cut(samples(Series("cell", time, np.full(len(current), 3.7), current), NOMINAL))
    assert runs.has_gap.tolist() == [False]


def test_a_longer_record_never_changes_the_runs_that_had_ended(cell: Any, record: Any) -> None:
    parts = cell.cycle() + cell.cycle(start_soc=0.4)
    whole = record(parts)
    runs = cut(samples(whole, NOMINAL))
    for stop in range(100, len(whole), 97):
        columns = {name: c[:stop] for name, c in whole.columns().items()}
        early = cut(samples(replace(whole, **columns), NOMINAL))
        ended = int(early.ended.sum())
        assert early.start[:ended].tolist() == runs.start[:ended].tolist()
        assert early.stop[:ended].tolist() == runs.stop[:ended].tolist()


def test_an_empty_record_and_a_record_at_rest_have_no_runs() -> None:
    assert len(_runs([])) == 0
    assert len(_runs([0.0] * 50)) == 0


@pytest.mark.parametrize("nominal", [0.0, -1.0, float("nan"), float("inf")])
def test_a_nominal_capacity_that_cannot_be_is_refused(nominal: float) -> None:
    with pytest.raises(UsageError):
        samples(_series([1.0, 1.0]), nominal)


@given(
    st.lists(
        st.floats(-6, 6) | st.just(float("nan")) | st.sampled_from([0.0, 0.004, -0.004]),
        max_size=300,
    ),
    st.sampled_from([1.0, 30.0, 400.0]),
)
def test_runs_are_in_order_do_not_overlap_and_alternate(
    current: list[float], period: float
) -> None:
    runs = _runs(current, period)
    assert np.all(runs.stop > runs.start)
    assert np.all(runs.start[1:] >= runs.stop[:-1])
    assert np.all(runs.charges[1:] != runs.charges[:-1])
    assert np.all(runs.passed_ah >= 0)
