"""Thinning keeps every peak, every pause, and invents nothing."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import Frames
from cellwarden.hub.service import Hub
from cellwarden.hub.signals import read_signals
from hub.fleet import NOW, Clock, installation, open_hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    running = open_hub(tmp_path_factory.mktemp("signals"), Clock())
    yield running
    running.close()


def _send(hub: Hub, device: str, *parts: Frames) -> None:
    maker = installation().maker(device)
    bodies = [maker.next(part).encode() for part in parts]
    ack, refusal = hub.ingest.submit(bodies, maker.peer).result(30)
    assert ack is not None, refusal


def _frames(times: np.ndarray, volts: np.ndarray, cells: np.ndarray) -> Frames:
    return Frames(
        unix_time_second=times,
        voltage_volt=volts.astype(np.float32),
        current_ampere=-volts.astype(np.float32),
        cell_voltage_volt=cells.astype(np.float32),
        cell_temperature_celsius=np.full((len(times), 1), np.nan, dtype=np.float32),
    )


@pytest.fixture(scope="module")
def noisy(hub: Hub) -> Frames:
    numbers = np.random.default_rng(3)
    count = 5000
    volts = numbers.normal(50, 1, count)
    volts[numbers.random(count) < 0.05] = np.nan
    cells = numbers.normal(3.6, 0.1, (count, 3))
    cells[numbers.random((count, 3)) < 0.05] = np.nan
    frames = _frames(NOW + np.arange(count) * 2.0, volts, cells)
    _send(hub, "noisy", *(frames.rows(start, start + 500) for start in range(0, count, 500)))
    return frames


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 4999), st.integers(1, 5000), st.integers(2, 2000))
def test_no_peak_is_lost_and_no_value_is_invented(
    hub: Hub, noisy: Frames, first: int, count: int, points: int
) -> None:
    rows = slice(first, first + count)
    times = noisy.unix_time_second[rows]
    told = read_signals(hub.store, "noisy", times[0], times[-1], points)
    assert len(told.unix_time_second) <= max(points, 2)
    assert told.unix_time_second == sorted(told.unix_time_second)
    assert (told.unix_time_second[0], told.unix_time_second[-1]) == (times[0], times[-1])
    for line, column in (
        (told.voltage_volt, noisy.voltage_volt[rows]),
        (told.current_ampere, noisy.current_ampere[rows]),
    ):
        known = column[np.isfinite(column)]
        shown = np.array(line, dtype=np.float64)
        shown = shown[np.isfinite(shown)]
        assert set(shown.tolist()) <= set(known.astype(np.float64).tolist())
        if len(known):
            assert (shown.min(), shown.max()) == (known.min(), known.max())
    cells = noisy.cell_voltage_volt[rows]
    known = cells[np.isfinite(cells)]
    if len(known):
        assert np.nanmin(told.cell_voltage_low_volt) == known.min()
        assert np.nanmax(told.cell_voltage_high_volt) == known.max()
    assert not np.isfinite(np.array(told.cell_temperature_high_celsius)).any()


def test_few_rows_come_as_they_are(hub: Hub, noisy: Frames) -> None:
    told = read_signals(hub.store, "noisy", None, None, 20_000)
    np.testing.assert_array_equal(told.unix_time_second, noisy.unix_time_second)
    np.testing.assert_array_equal(np.array(told.voltage_volt, np.float32), noisy.voltage_volt)
    lows = np.nanmin(
        np.where(np.isnan(noisy.cell_voltage_volt), np.inf, noisy.cell_voltage_volt), 1
    )
    lows[np.isinf(lows)] = np.nan
    np.testing.assert_array_equal(np.array(told.cell_voltage_low_volt, np.float32), lows)


def test_lowest_and_highest_come_in_the_order_in_which_they_occurred(hub: Hub) -> None:
    count = 1000
    rising = np.arange(count, dtype=np.float64)
    _send(hub, "rising", _frames(NOW + rising, rising, rising[:, None]))
    told = read_signals(hub.store, "rising", None, None, 50)
    assert told.voltage_volt == sorted(told.voltage_volt)
    assert told.current_ampere == sorted(told.current_ampere, reverse=True)


@pytest.mark.parametrize("points", [40, 10_000])
def test_where_the_record_pauses_a_point_of_nothing_says_so(hub: Hub, points: int) -> None:
    device = f"pausing-{points}"
    at = np.arange(100, dtype=np.float64)
    parts = [_frames(NOW + start + at, at, at[:, None]) for start in (0.0, 5000.0)]
    _send(hub, device, *parts)
    told = read_signals(hub.store, device, None, None, points)
    empty = [n for n, volt in enumerate(told.voltage_volt) if volt is None or np.isnan(volt)]
    assert len(empty) == 1
    before, after = told.unix_time_second[empty[0] - 1], told.unix_time_second[empty[0] + 1]
    assert (before, after) == (NOW + 99, NOW + 5000)


def test_a_time_without_rows_gives_empty_lines(hub: Hub, noisy: Frames) -> None:
    before = float(noisy.unix_time_second[0])
    for start, stop in ((0.0, before - 1), (before + 0.5, before + 1.5), (1e12, None)):
        told = read_signals(hub.store, "noisy", start, stop, 100)
        assert told.unix_time_second == []
        assert told.voltage_volt == []
    assert read_signals(hub.store, "nobody", None, None, 100).unix_time_second == []


def test_one_moment_is_one_point(hub: Hub) -> None:
    one = np.array([NOW])
    _send(hub, "single", _frames(one, np.array([50.0]), np.array([[3.6]])))
    told = read_signals(hub.store, "single", None, None, 2)
    assert (told.unix_time_second, told.voltage_volt) == ([NOW], [50.0])


def test_many_rows_at_one_moment_do_not_divide_by_zero(hub: Hub) -> None:
    same = np.full(50, NOW)
    _send(hub, "stuck", _frames(same, np.arange(50.0), np.ones((50, 1))))
    told = read_signals(hub.store, "stuck", None, None, 10)
    assert told.unix_time_second == [NOW]
