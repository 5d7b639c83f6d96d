"""What must hold of every feature whatever the record."""

from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cellwarden.domain import Series
from cellwarden.features.curves import branches, charge_matrix, delta_statistics, voltage_matrix
from cellwarden.features.early import EarlyCycles, early_features
from cellwarden.features.impedance import (
    Spectrum,
    fit_circuit,
    kramers_kronig,
    ohmic_intercept,
    semicircle,
)
from cellwarden.features.incremental import Smoothing, incremental_capacity, peaks
from cellwarden.features.partial import charge_end, voltage_windows
from cellwarden.features.pulses import find_interruptions, find_pulses
from cellwarden.features.usage import Rain, Usage, UsageBins, finish, pour, rainflow, record_usage

WILD = (np.nan, np.inf, -np.inf, 0.0, 1e30, -1e30, 5e-324)
GRID_VOLT, GRID_AH = np.linspace(4.2, 2.6, 40), np.linspace(0.0, 1.0, 30)
CYCLES = EarlyCycles(second=1, early=2, late=3, charge_mean_count=2)
BINS = UsageBins(np.array([20.0, 30.0]), np.array([0.5]), np.array([-1.0, 0.0, 1.0]))


@st.composite
def records(draw: st.DrawFn, *, wild: bool = True) -> Series:
    """Cycles with noise, pauses, and (if wild) readings that no sensor should give."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, points = draw(st.integers(1, 6)), draw(st.integers(2, 60))
    length = count * 2 * points
    phase = np.tile(np.r_[np.linspace(0, 1, points), np.linspace(1, 0, points)], count)
    way = np.tile(np.repeat([1.0, -1.0], points), count)
    current = way * rng.choice([0.0, 1.0, 1.0, 2.0], length)
    columns = {
        "test_time_second": np.cumsum(rng.choice([1.0, 10.0, 60.0], length)),
        "voltage_volt": 3.0 + phase + 0.05 * current + rng.normal(0, 1e-3, length),
        "current_ampere": current,
        "surface_temperature_celsius": 25 + rng.normal(0, 3, length),
    }
    if wild:
        for name in draw(st.lists(st.sampled_from(sorted(columns)), max_size=4)):
            start = int(rng.integers(length))
            stop = draw(st.sampled_from([start + 1, start + 5, length]))
            columns[name][start:stop] = draw(st.sampled_from(WILD))
    cycle = np.repeat(np.arange(1, count + 1), 2 * points)
    return Series("cell", cycle_count=cycle, **columns)


def numbers(series: Series, *, complete: bool = False) -> dict[str, np.ndarray]:
    """Everything that these modules say of a record."""
    found: dict[str, np.ndarray] = {}
    for way in ("charge", "discharge"):
        taken = branches(series, way)  # type: ignore[arg-type]
        found[f"{way} capacity"] = taken.capacity_ah()
        found[f"{way} Q(V)"] = charge_matrix(taken, GRID_VOLT, gap_ah=0.5)
        found[f"{way} V(Q)"] = voltage_matrix(taken, GRID_AH, gap_ah=0.5)
    early = early_features(
        series,
        GRID_VOLT,
        gap_ah=0.5,
        resistance_delay_second=0.0,
        cycles=CYCLES,
        record_complete=complete,
    )
    found["early"] = np.array(list(asdict(early).values()))
    pulse = find_pulses(series, delay_second=(1.0,), rest_ampere=0.1, longest_second=120)
    pause = find_interruptions(series, rest_ampere=0.1, longest_second=120, fit_second=(1, 60))
    found["pulse"] = np.column_stack([pulse.start, pulse.ohmic_ohm, pulse.resistance_ohm])
    found["pause"] = np.column_stack([pause.start, pause.resistance_ohm])
    columns = series.test_time_second, series.voltage_volt, series.current_ampere
    windows = voltage_windows(
        *columns, np.array([3.2, 3.5, 3.8]), direction="charge", gap_second=120
    )
    found["windows"] = np.stack([windows.charge_ah, windows.time_second])
    end = charge_end(
        *columns, top_volt=3.9, window_volt=0.3, taper_ampere=(1.5, 0.5), gap_second=120
    )
    found["end"] = np.array(list(asdict(end).values()))
    return found


@given(records())
@settings(max_examples=60)
def test_wild_readings_crash_nothing_and_the_record_stays_as_it_was(series: Series) -> None:
    before = {name: column.copy() for name, column in series.columns().items()}
    numbers(series)
    for name, column in series.columns().items():
        assert np.array_equal(column, before[name], equal_nan=True)


@given(records(wild=False), st.data())
@settings(max_examples=60)
def test_rows_that_come_later_change_no_finished_cycle(series: Series, data: st.DataObject) -> None:
    stop = data.draw(st.integers(1, len(series)))
    part = replace(series, **{name: column[:stop] for name, column in series.columns().items()})
    early, whole = numbers(part), numbers(series)
    done = int(branches(part, "charge").ended.sum())
    for name in ("charge capacity", "discharge capacity", "charge Q(V)", "discharge V(Q)"):
        assert np.array_equal(early[name][:done], whole[name][:done], equal_nan=True)
    for name in ("pulse", "pause"):  # what was found stays found, to the bit
        assert np.array_equal(early[name], whole[name][: len(early[name])], equal_nan=True)
    known = np.isfinite(early["early"][:-1])
    assert np.array_equal(early["early"][:-1][known], whole["early"][:-1][known])
    for name in ("windows", "end"):
        known = np.isfinite(early[name])
        assert np.array_equal(early[name][known], whole[name][known])


@given(records(wild=False), st.sampled_from([2.0**-12, 0.5, 4.0, 256.0]))
@settings(max_examples=30)
def test_twice_the_current_is_twice_the_charge(series: Series, scale: float) -> None:
    scaled = replace(series, current_ampere=series.current_ampere * scale)
    a, b = branches(series, "discharge"), branches(scaled, "discharge")
    assert np.array_equal(a.row, b.row)
    assert np.array_equal(a.charge_ah * scale, b.charge_ah)
    first = charge_matrix(a, GRID_VOLT, gap_ah=0.5)
    second = charge_matrix(b, GRID_VOLT, gap_ah=0.5 * scale)
    assert np.array_equal(first * scale, second, equal_nan=True)


@given(records(wild=False))
@settings(max_examples=30)
def test_charge_over_voltage_is_monotone_and_within_the_branch(series: Series) -> None:
    taken = branches(series, "discharge")
    for row, capacity in zip(
        charge_matrix(taken, GRID_VOLT, gap_ah=np.inf), taken.capacity_ah(), strict=True
    ):
        known = row[np.isfinite(row)]
        assert np.all(np.diff(known) >= 0)
        if len(known):
            assert known.min() >= 0
            assert known.max() <= capacity


def _first_reached(voltage: np.ndarray, charge: np.ndarray, level: float, gap_ah: float) -> float:
    """Q(V) of one discharge and one level, row by row: the slow twin of `charge_matrix`."""
    low = 0
    for row in range(len(voltage)):
        if voltage[row] == level and (row == 0 or voltage[row] < voltage[:row].min()):
            return float(charge[row])
        if row and voltage[row] < voltage[low]:
            if voltage[low] > level > voltage[row]:
                if np.any(np.diff(charge[low : row + 1]) > gap_ah):
                    return float("nan")
                part = (voltage[low] - level) / (voltage[low] - voltage[row])
                return float(charge[low] + part * (charge[row] - charge[low]))
            low = row
    return float("nan")


@given(records(wild=False), st.sampled_from([0.001, 0.01, 1.0]))
@settings(max_examples=30)
def test_the_matrix_is_its_slow_twin(series: Series, gap_ah: float) -> None:
    coarse = replace(series, voltage_volt=np.round(series.voltage_volt, 2))
    taken = branches(coarse, "discharge")
    grid = GRID_VOLT[::3]
    fast = charge_matrix(taken, grid, gap_ah=gap_ah)
    slow = [
        [_first_reached(*taken.curve(k), level, gap_ah) for level in grid.tolist()]
        for k in range(len(taken))
    ]
    assert fast == pytest.approx(np.array(slow).reshape(fast.shape), nan_ok=True, abs=1e-12)


@given(hnp.arrays(np.float64, st.integers(0, 50), elements=st.floats(-2, 2)), st.floats(-1, 1))
def test_moments_know_no_order_and_move_with_their_curve(delta: np.ndarray, shift: float) -> None:
    told, turned = delta_statistics(delta), delta_statistics(delta[::-1])
    assert asdict(told) == pytest.approx(asdict(turned), rel=1e-6, abs=1e-12, nan_ok=True)
    moved = delta_statistics(delta + shift)
    assert moved.variance_ah2 == pytest.approx(told.variance_ah2, rel=1e-6, abs=1e-12, nan_ok=True)


@given(hnp.arrays(np.float64, st.integers(0, 80), elements=st.floats(-5, 5)), st.data())
@settings(max_examples=60)
def test_a_slope_takes_whatever_curve_it_is_given(voltage: np.ndarray, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["savgol", "gaussian"]))
    charge = np.linspace(0.0, 1.0, len(voltage))
    slope = incremental_capacity(
        voltage,
        charge,
        np.linspace(-2.0, 2.0, 81),
        direction="charge",
        smoothing=Smoothing(kind, 0.5),  # type: ignore[arg-type]
        gap_ah=0.2,
    )
    found = peaks(slope, least_prominence=0.1)
    assert np.all(np.diff(found.position) > 0)
    assert np.all(found.prominence >= 0.1)


READINGS = hnp.arrays(
    np.float64,
    st.integers(0, 60),
    elements=st.one_of(st.floats(-3, 3), st.sampled_from([np.nan, 0.0, 1.0])),
)


@given(READINGS, st.lists(st.integers(0, 60), max_size=4))
def test_rainflow_resumed_is_rainflow_uninterrupted(values: np.ndarray, cuts: list[int]) -> None:
    whole_state, whole = pour(Rain(), values)
    state, parts = Rain(), []
    for piece in np.split(values, sorted(min(cut, len(values)) for cut in cuts)):
        state, closed = pour(state, piece)
        parts.append(closed)
    assert state == whole_state or np.isnan(state.last)
    for name in ("span", "mean", "count", "start", "stop"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(joined, getattr(whole, name))
    assert np.array_equal(finish(state).span, finish(whole_state).span)


@given(READINGS)
def test_rainflow_keeps_every_rise_and_fall(values: np.ndarray) -> None:
    found = rainflow(values)
    known = values[np.isfinite(values)]
    total = np.abs(np.diff(known)).sum()
    assert 2 * (found.span * found.count).sum() == pytest.approx(total, abs=1e-9)
    if len(found):
        assert found.span.max() == pytest.approx(np.ptp(known))
        assert set(found.count.tolist()) <= {0.5, 1.0}


@given(records(), st.lists(st.integers(0, 300), max_size=4))
@settings(max_examples=60)
def test_usage_resumed_is_usage_uninterrupted_to_the_bit(series: Series, cuts: list[int]) -> None:
    start = Usage(BINS, capacity_ah=1.0, gap_second=30.0)

    def after(usage: Usage, rows: slice) -> Usage:
        return record_usage(
            usage,
            series.test_time_second[rows],
            series.current_ampere[rows],
            voltage_volt=series.voltage_volt[rows],
            temperature_celsius=(
                None
                if series.surface_temperature_celsius is None
                else series.surface_temperature_celsius[rows]
            ),
        )

    whole, parts = after(start, slice(None)), start
    edges = sorted({0, len(series), *(min(cut, len(series)) for cut in cuts)})
    for a, b in pairwise(edges):
        parts = after(parts, slice(a, b))
    for name in Usage.__slots__:
        if name not in ("bins", "last"):
            assert np.array_equal(getattr(parts, name), getattr(whole, name), equal_nan=True), name
    assert np.array_equal(parts.last, whole.last, equal_nan=True)


@given(
    hnp.arrays(np.float64, 20, elements=st.floats(-1, 1)),
    hnp.arrays(np.float64, 20, elements=st.floats(-1, 1)),
)
@settings(max_examples=40)
def test_any_spectrum_is_judged_without_a_crash_and_scale_changes_nothing(
    real: np.ndarray, imaginary: np.ndarray
) -> None:
    hertz = np.geomspace(1e3, 1e-1, 20)
    whole = real + 1j * imaginary + 1.1
    first, second = Spectrum(hertz, whole), Spectrum(hertz, 4 * whole)
    assert kramers_kronig(first, most_elements=6).rms_fraction == pytest.approx(
        kramers_kronig(second, most_elements=6).rms_fraction, rel=1e-3, abs=1e-9
    )
    assert ohmic_intercept(second) == pytest.approx(4 * ohmic_intercept(first), nan_ok=True)
    assert semicircle(second).width_ohm == pytest.approx(
        4 * semicircle(first).width_ohm, nan_ok=True
    )


@given(
    hnp.arrays(np.float64, 9, elements=st.one_of(st.floats(1e-3, 1e4), st.sampled_from(WILD))),
    hnp.arrays(np.float64, (2, 9), elements=st.one_of(st.floats(-1, 1), st.sampled_from(WILD))),
)
@settings(max_examples=60)
def test_points_that_no_instrument_gives_are_passed_over(
    hertz: np.ndarray, parts: np.ndarray
) -> None:
    whole = np.empty(9, dtype=np.complex128)
    whole.real, whole.imag = parts
    spectrum = Spectrum(hertz, whole)
    kramers_kronig(spectrum)
    semicircle(spectrum)
    if len(spectrum) > 3:
        fit = fit_circuit(spectrum, arc_count=1, start_count=1)
        assert np.isfinite(fit.values).all()
