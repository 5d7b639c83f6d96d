from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import FRAME_COLUMNS, Frame, Frames, Series
from cellwarden.errors import DataError, RangeError


def frame(time: float, cells: int = 3, **more: float) -> Frame:
    return Frame(time, 11.1, -1.0, np.full(cells, 3.7), np.full(2, 25.0), **more)


def frames(count: int = 5) -> Frames:
    return Frames.stack([frame(float(index)) for index in range(count)])


def test_stacked_frames_keep_their_values_and_order() -> None:
    stacked = Frames.stack([frame(1.0, ambient_temperature_celsius=20.0), frame(2.0)])
    assert stacked.unix_time_second.tolist() == [1.0, 2.0]
    assert stacked.cell_voltage_volt.shape == (2, 3)
    assert stacked.ambient_temperature_celsius is not None
    assert np.array_equal(stacked.ambient_temperature_celsius, [20.0, np.nan], equal_nan=True)
    assert stacked.humidity_fraction is None


def test_columns_come_in_the_order_of_the_table_and_only_where_there() -> None:
    names = list(frames().columns())
    assert names == [name for name in FRAME_COLUMNS if name in names]
    assert "humidity_fraction" not in names


def test_gaps_times_and_estimates_are_no_readings() -> None:
    run = frames(4)
    assert run.value_count() == 4 * (1 + 1 + 3 + 2)
    volts = run.cell_voltage_volt.copy()
    volts[1:3, 0] = np.nan
    assert replace(run, cell_voltage_volt=volts).value_count() == 4 * 7 - 2
    estimated = replace(run, soc_fraction=np.ones(4, dtype=np.float32))
    assert estimated.value_count() == run.value_count()


@given(st.integers(0, 8), st.integers(0, 8))
def test_rows_are_the_rows_asked_for_and_share_memory(start: int, length: int) -> None:
    run = frames(8)
    part = run.rows(start, start + length)
    assert part.unix_time_second.tolist() == list(range(8))[start : start + length]
    assert len(part) == 0 or np.shares_memory(part.voltage_volt, run.voltage_volt)


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(DataError):
        replace(frames(), current_ampere=np.zeros(4, dtype=np.float32))


@pytest.mark.parametrize("times", [[0.0, 2.0, 1.0], [0.0, np.nan, 1.0], [0.0, 1.0, np.inf]])
def test_time_that_is_missing_or_runs_backwards_is_refused(times: list[float]) -> None:
    with pytest.raises(RangeError):
        replace(frames(3), unix_time_second=np.array(times))


def test_a_repeated_time_stamp_is_kept() -> None:
    assert len(replace(frames(3), unix_time_second=np.array([0.0, 0.0, 1.0]))) == 3


def test_no_frames_or_frames_of_different_packs_cannot_be_stacked() -> None:
    with pytest.raises(DataError):
        Frames.stack([])
    with pytest.raises(DataError):
        Frames.stack([frame(0.0, 3), frame(1.0, 4)])


def series(**more: np.ndarray) -> Series:
    time = np.array([0.0, 2.0, 1.0])
    return Series("cell", time, np.array([3.0, 3.2, 3.1]), np.array([0.0, -2.0, -1.0]), **more)


def test_a_series_becomes_the_frames_of_a_pack_of_one_in_order_of_time() -> None:
    run = series(surface_temperature_celsius=np.array([20.0, 22.0, 21.0])).frames(100.0)
    assert run.unix_time_second.tolist() == [100.0, 101.0, 102.0]
    assert run.cell_voltage_volt[:, 0] == pytest.approx([3.0, 3.1, 3.2])
    assert run.cell_temperature_celsius[:, 0].tolist() == [20.0, 21.0, 22.0]
    assert run.current_ampere.tolist() == [0.0, -1.0, -2.0]


def test_a_series_without_a_thermometer_gives_no_temperatures() -> None:
    assert series().frames().cell_temperature_celsius.shape == (3, 0)


def test_rows_without_a_time_stay_in_the_series_and_out_of_the_frames() -> None:
    clocked = series(unix_time_second=np.array([10.0, np.nan, 11.0]))
    assert len(clocked) == 3
    assert clocked.frames().unix_time_second.tolist() == [10.0, 11.0]


def test_a_series_with_a_short_column_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="cell: column step_index has 2 rows"):
        series(step_index=np.array([1, 2]))
