from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import DataError, UsageError
from cellwarden.health import soc_filter
from cellwarden.health.soc_filter import Estimates, Method, State
from cellwarden.health.soc_model import CellModel
from health.soc_cell import cell_model, drive

METHODS: list[Method] = ["extended", "unscented"]
FIELDS = Estimates.__slots__


def told(model: CellModel, seed: int, start: int, method: Method, **faults: float) -> np.ndarray:
    """Charge, its deviation and the true charge over a drive entered late."""
    record = drive(model, seed)
    current = record.current_ampere * faults.get("gain", 1.0) + faults.get("shift", 0.0)
    _, estimates = soc_filter.run(
        model,
        soc_filter.init(model, 1),
        record.unix_time_second[start:],
        current[start:],
        record.voltage_volt[start:, None] + faults.get("volt", 0.0),
        record.temperature_celsius[start:, None],
        method=method,
    )
    columns = estimates.soc_fraction[:, 0], estimates.soc_std_fraction[:, 0]
    return np.stack([*columns, record.soc_fraction[start:]])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("start", [0, 1000, 2500])
def test_a_cell_met_in_use_is_found_through_faulty_sensors(method: Method, start: int) -> None:
    soc, std, true = told(cell_model(), 1, start, method, gain=1.01, shift=0.05, volt=0.005)
    error = np.abs(soc - true)[600:]
    assert error.mean() < 0.015
    assert np.mean(error < 1.645 * std[600:]) > 0.8


def test_a_flat_curve_leaves_the_doubt_that_a_steep_one_takes_away() -> None:
    steep = told(cell_model(), 2, 1000, "unscented")
    flat = told(cell_model(flat=True), 2, 1000, "unscented")
    assert flat[1, 900] > 3.0 * steep[1, 900]
    assert np.mean(np.abs(flat[0] - flat[2])[600:2500] < 2.0 * flat[1, 600:2500]) > 0.8


@pytest.mark.parametrize("method", METHODS)
def test_a_biased_current_is_noticed(method: Method) -> None:
    model = cell_model()
    record = drive(model, 3)
    columns = (record.voltage_volt[:, None], record.temperature_celsius[:, None])
    found = []
    for shift in (-0.05, 0.05):
        state, _ = soc_filter.run(
            model,
            soc_filter.init(model, 1, 0.97, soc_std_fraction=0.02),
            record.unix_time_second,
            record.current_ampere + shift,
            *columns,
            method=method,
        )
        found.append(float(state.cells[soc_filter.BIAS, 0]))
    assert found[1] - found[0] > 0.01
    assert found[0] < 0.0 < found[1]


@st.composite
def recordings(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """A few rows of three cells: repeated times, gaps, missing readings, impossible voltages."""
    count = draw(st.integers(2, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    time = np.cumsum(rng.choice([0.0, 0.5, 1.0, 1.0, 1.0, 60.0, 900.0], count))
    current = rng.normal(-1.0, 3.0, (count, 3))
    volts = rng.normal(3.7, 0.3, (count, 3))
    celsius = rng.normal(12.0, 15.0, (count, 3))
    for column in (current, volts, celsius):
        column[rng.random(column.shape) < draw(st.sampled_from([0.0, 0.1, 0.5]))] = np.nan
    return time, current, volts, celsius


def stepped(
    model: CellModel, state: State, columns: tuple[np.ndarray, ...], method: Method
) -> tuple[State, np.ndarray]:
    rows = []
    for row in zip(*columns, strict=True):
        state, estimate = soc_filter.step(model, state, float(row[0]), *row[1:], method=method)
        rows.append([getattr(estimate, name) for name in FIELDS])
    return state, np.array(rows).transpose(1, 0, 2)


@settings(deadline=None, max_examples=40)
@given(recordings(), st.sampled_from(METHODS), st.sampled_from([0.6, None]))
def test_the_compiled_filter_is_the_numpy_filter(
    columns: tuple[np.ndarray, ...], method: Method, known: float | None
) -> None:
    model = replace(cell_model(), widening=np.array([[1.2, 0.9], [1.1, 0.8]]))
    start = soc_filter.init(model, 3, known)
    before = start.cells.copy()
    state, estimates = soc_filter.run(model, start, *columns, method=method)
    slow_state, rows = stepped(model, start, columns, method)
    assert np.array_equal(start.cells, before)
    for name, row in zip(FIELDS, rows, strict=True):
        np.testing.assert_allclose(getattr(estimates, name), row, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(state.cells, slow_state.cells, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(state.clock, slow_state.clock)


@settings(deadline=None, max_examples=40)
@given(recordings(), st.sampled_from(METHODS), st.data())
def test_resumed_is_uninterrupted_and_charge_stays_between_0_and_1(
    columns: tuple[np.ndarray, ...], method: Method, data: st.DataObject
) -> None:
    model = cell_model()
    cut = data.draw(st.integers(0, len(columns[0])))
    state, whole = soc_filter.run(model, soc_filter.init(model, 3), *columns, method=method)
    middle, _ = soc_filter.run(
        model, soc_filter.init(model, 3), *(c[:cut] for c in columns), method=method
    )
    end, rest = soc_filter.run(model, middle, *(c[cut:] for c in columns), method=method)
    np.testing.assert_array_equal(end.cells, state.cells)
    np.testing.assert_array_equal(rest.soc_fraction, whole.soc_fraction[cut:])
    assert np.all((whole.soc_fraction >= 0.0) & (whole.soc_fraction <= 1.0))
    assert np.all(np.isfinite(whole.soc_std_fraction) & (whole.soc_std_fraction > 0.0))


@pytest.mark.parametrize("method", METHODS)
def test_without_voltage_or_current_the_doubt_grows(method: Method) -> None:
    model = cell_model()
    time, blank = np.arange(600.0), np.full((600, 1), np.nan)
    start = soc_filter.init(model, 1, 0.5, soc_std_fraction=0.02)
    warm = np.full((600, 1), 25.0)
    _, lost = soc_filter.run(model, start, time, blank, blank + 3.7, warm, method=method)
    _, counted = soc_filter.run(model, start, time, blank * 0 - 1.0, blank, warm, method=method)
    assert lost.soc_fraction[-1, 0] == pytest.approx(0.5)
    assert lost.soc_std_fraction[-1, 0] > lost.soc_std_fraction[0, 0]
    still = np.full((600, 1), -1.0)
    _, counted = soc_filter.run(model, start, time, still, blank, warm, method=method)
    assert counted.soc_fraction[-1, 0] == pytest.approx(0.5 - 599 / 3600.0 / 3.0, abs=1e-9)
    assert counted.soc_std_fraction[-1, 0] >= 0.02


def test_a_start_outside_0_to_1_and_columns_that_do_not_fit_are_refused() -> None:
    model = cell_model()
    with pytest.raises(UsageError, match="start"):
        soc_filter.init(model, 1, 1.2)
    state = soc_filter.init(model, 2)
    time, two = np.arange(4.0), np.ones((4, 2))
    with pytest.raises(DataError, match="columns"):
        soc_filter.run(model, state, time, two, two[:, :1], two)
    with pytest.raises(DataError, match="current"):
        soc_filter.run(model, state, time, np.ones((4, 3)), two, two)
