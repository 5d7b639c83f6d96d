import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import QUANTITIES, Series, Table
from cellwarden.errors import DataError, UsageError
from cellwarden.features import Limits, cycles_of, settled, steps
from cellwarden.readers import read
from features.protocol import CAPACITY_AH, RESISTANCE_OHM, Protocol

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the data under CELLWARDEN_DATA")
TEXT = {"step_kind", "cycle_kind"}


def _kinds(table: Table) -> list[str]:
    return [str(kind) for kind in table["step_kind"]]


def _alone(series: Series) -> Series:
    """The record as a logger without a tester's numbers would have written it."""
    return replace(series, cycle_count=None, step_index=None)


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "found"])
def test_each_kind_of_step_is_named(*, numbered: bool) -> None:
    record = Protocol().rest().constant(1.0, 3000.0).taper(4.0, 0.05).rest()
    record.constant(-1.0, 10.0, 11).rest(40.0).constant(-1.0, 2000.0).rest().drive(600).rest()
    series = record.series()
    table = steps(series if numbered else _alone(series))
    assert _kinds(table) == [
        *("rest", "cc_charge", "cv_charge", "rest", "pulse", "rest", "cc_discharge"),
        *("rest", "drive", "rest"),
    ]


def test_constant_current_and_voltage_under_one_number_are_two_steps() -> None:
    series = Protocol().rest().constant(1.0, 3000.0).taper(4.0, 0.05).rest().series()
    assert series.step_index is not None
    one = np.where(series.step_index == 3, 2, series.step_index)
    table = steps(replace(series, step_index=one))
    assert _kinds(table) == ["rest", "cc_charge", "cv_charge", "rest"]
    assert table["step_index"].tolist() == [1, 2, 2, 4]


def test_a_voltage_held_while_discharging_is_told_from_a_taper_that_charges() -> None:
    record = Protocol(soc=0.9).rest().constant(-2.0, 1800.0)
    volt = 3.0 + 1.2 * record.soc - 2.0 * RESISTANCE_OHM
    table = steps(record.taper(volt, -0.1).rest().series())
    assert _kinds(table) == ["rest", "cc_discharge", "cv_discharge", "rest"]


def test_constant_power_is_told_from_constant_current() -> None:
    table = steps(Protocol(soc=0.95).rest().power(-4.0, 5400.0).rest().series())
    assert _kinds(table) == ["rest", "power_discharge", "rest"]


def test_charge_and_energy_of_constant_current_are_exact() -> None:
    table = steps(Protocol().rest().constant(1.5, 1200.0).rest().series())
    begin, end = 3.0 + 1.2 * 0.2, 3.0 + 1.2 * (0.2 + 0.5 / CAPACITY_AH)
    mean_volt = (begin + end) / 2 + 1.5 * RESISTANCE_OHM
    assert table["charging_capacity_ah"][1] == pytest.approx(0.5, rel=1e-12)
    assert table["charging_energy_wh"][1] == pytest.approx(0.5 * mean_volt, rel=1e-9)
    assert table["mean_voltage_volt"][1] == pytest.approx(mean_volt, rel=1e-9)
    assert table["mean_current_ampere"][1] == pytest.approx(1.5, rel=1e-12)
    assert table["duration_second"].tolist() == pytest.approx([600.0, 1200.0, 600.0])
    assert not table["discharging_capacity_ah"].any()


def test_a_taper_of_few_rows_gives_the_charge_of_the_exponential() -> None:
    few = Protocol(soc=0.7).rest().taper(4.0, 0.05, rows=8).rest()
    many = Protocol(soc=0.7).rest().taper(4.0, 0.05, rows=5000).rest()
    exact = (few.soc - 0.7) * CAPACITY_AH
    assert steps(few.series())["charging_capacity_ah"].sum() == pytest.approx(exact, rel=1e-9)
    assert steps(many.series())["charging_capacity_ah"].sum() == pytest.approx(exact, rel=1e-6)


def test_resistance_is_the_ohmic_one_where_nothing_else_is_there() -> None:
    record = Protocol(soc=0.5).rest().constant(-2.0, 30.0, 31).rest(40.0, 41)
    ohm = steps(record.series())["resistance_ohm"]
    # Ten seconds at 2 A also move the open-circuit voltage by 1.2 V × 2 A × 10 s / 2 Ah.
    moved = 1.2 * 10 / 3600 / CAPACITY_AH
    assert ohm[1] == pytest.approx(RESISTANCE_OHM + moved, rel=1e-9)
    assert ohm[2] == pytest.approx(RESISTANCE_OHM, rel=1e-9)


def test_no_resistance_where_no_row_lies_near_the_delay() -> None:
    record = Protocol(soc=0.5).rest().constant(-2.0, 600.0, 11).rest(600.0, 11).series()
    assert np.isnan(steps(record)["resistance_ohm"]).all()
    assert np.isfinite(steps(record, Limits(resistance_second=60.0))["resistance_ohm"][1:]).all()


def test_no_resistance_where_the_moment_of_the_switch_is_unknown() -> None:
    second = np.arange(0.0, 600.0, 5.0)
    current = np.where(second < 300, 0.0, -2.0)
    series = Series("cell", second, 3.6 + current * RESISTANCE_OHM, current)
    assert np.isnan(steps(series)["resistance_ohm"]).all()
    assert steps(series, Limits(resistance_second=30.0))["resistance_ohm"][1] == pytest.approx(
        RESISTANCE_OHM
    )


def test_a_taper_after_constant_current_has_no_resistance() -> None:
    series = Protocol().rest().constant(1.0, 3000.0).taper(4.0, 0.05, rows=20).rest().series()
    kinds, ohm = _kinds(steps(series)), steps(series)["resistance_ohm"]
    assert np.isnan(ohm[kinds.index("cv_charge")])


def test_no_resistance_across_records_that_were_joined() -> None:
    parts = [
        Protocol(soc=soc).constant(ampere, 60.0, 61).series()
        for soc, ampere in ((0.9, 1.0), (0.2, -2.0))
    ]
    columns = {
        name: np.concatenate([part.columns()[name] for part in parts])
        for name in ("test_time_second", "voltage_volt", "current_ampere")
    }
    table = steps(Series(name="cell", **columns))
    assert len(table) == 2
    assert np.isnan(table["resistance_ohm"]).all()


def test_relaxation_is_measured_with_its_time_constant() -> None:
    second = np.arange(0.0, 3000.0, 2.0)
    current = np.where(second < 600, -1.0, 0.0)
    volt = np.where(second < 600, 3.5, 3.7 - 0.15 * np.exp(-(second - 600) / 120.0))
    table = steps(Series("cell", second, volt, current))
    assert table["relaxation_volt"][1] == pytest.approx(0.15, rel=1e-3)
    assert table["relaxation_time_second"][1] == pytest.approx(120.0, rel=1e-3)
    assert np.isnan(table["relaxation_volt"][0])


@pytest.mark.parametrize("resets", ["never", "with each step"])
def test_a_counter_is_followed_through_its_resets(resets: str) -> None:
    series = Protocol().constant(1.0, 3600.0).rest().constant(-1.0, 1800.0).rest().series()
    hour = np.diff(series.test_time_second, prepend=0.0) / 3600
    put_in = np.cumsum(np.maximum(series.current_ampere, 0) * hour)
    out = np.cumsum(np.maximum(-series.current_ampere, 0) * hour)
    if resets == "with each step":
        assert series.step_index is not None
        first = np.searchsorted(series.step_index, series.step_index)
        put_in, out = put_in - put_in[first], out - out[first]
    told = replace(series, charging_capacity_ah=put_in, discharging_capacity_ah=out)
    table = steps(told)
    assert table["charging_counter_ah"].sum() == pytest.approx(1.0)
    assert table["discharging_counter_ah"].tolist() == pytest.approx([0, 0, 0.5, 0])
    assert table["discharging_capacity_ah"].tolist() == pytest.approx([0, 0, 0.5, 0])


@pytest.mark.parametrize("part", [0.0, 0.3, 1.0])
def test_a_counter_tells_when_the_current_was_switched(part: float) -> None:
    second = np.arange(0.0, 200.0, 10.0)
    current = np.where(second < 100, 0.0, 2.0)
    counted = np.maximum(second - 100 + 10 * part, 0) * 2.0 / 3600
    series = Series(
        *("cell", second, 3.6 + 0.05 * current, current),
        charging_capacity_ah=np.where(current > 0, counted, 0.0),
        discharging_capacity_ah=np.zeros(len(second)),
    )
    table = steps(series)
    assert table["charging_capacity_ah"].tolist() == pytest.approx([0.0, counted[-1]])
    silent = steps(replace(series, charging_capacity_ah=None))
    assert silent["charging_capacity_ah"][1] == pytest.approx((90 + 5) * 2.0 / 3600)


def test_what_flowed_before_the_first_row_counts_where_the_counter_shows_it() -> None:
    second = np.arange(1.0, 21.0) * 10.0
    series = Series(
        *("cell", second, np.full(20, 3.7), np.full(20, 1.8)),
        charging_capacity_ah=second * 1.8 / 3600,
        discharging_capacity_ah=np.zeros(20),
    )
    table = steps(series)
    assert table["charging_capacity_ah"][0] == pytest.approx(0.1)
    assert (table["start_test_time_second"][0], table["duration_second"][0]) == (0.0, 200.0)
    assert steps(replace(series, charging_capacity_ah=second + 5))["duration_second"][0] == 190.0


def test_a_current_that_turns_round_between_rows_is_counted_both_ways() -> None:
    second, current = np.arange(4.0) * 3600, np.array([1.0, -3.0, 1.0, 1.0])
    series = Series("cell", second, np.full(4, 3.7), current)
    table = steps(series, Limits(rest_ampere=0.0, gap_second=1e9, turn_ah=100.0))
    together = table["charging_capacity_ah"].sum() - table["discharging_capacity_ah"].sum()
    assert together == pytest.approx(-1.0)


def test_a_gap_counts_as_nothing_and_is_told() -> None:
    record = Protocol().constant(1.0, 1800.0, 181).series()
    later = np.where(np.arange(181) >= 90, 86_400.0, 0.0)
    table = steps(replace(record, test_time_second=record.test_time_second + later))
    assert table["charging_capacity_ah"].sum() == pytest.approx(0.5 * 179 / 180)
    assert table["gap_count"].sum() == 1
    assert [remark.kind for remark in table.remarks if remark.kind == "gap"] == ["gap"]


def test_rows_without_a_reading_are_left_out_and_counted() -> None:
    series = Protocol().constant(1.0, 1800.0, 181).rest().series()
    current = series.current_ampere.copy()
    current[50:55] = np.nan
    table = steps(replace(series, current_ampere=current))
    assert table["charging_capacity_ah"].sum() == pytest.approx(0.5)
    assert [remark.count for remark in table.remarks if remark.kind == "left_out"] == [5]


def test_a_clock_that_runs_backwards_is_replaced_by_the_calendar() -> None:
    series = Protocol().full_cycle().next_cycle().full_cycle().series()
    right = steps(series)
    half = len(series) // 2
    time = series.test_time_second.copy()
    time[half:] -= time[half]
    calendar = 1.7e9 + series.test_time_second
    mended = steps(replace(series, test_time_second=time, unix_time_second=calendar))
    assert np.allclose(mended["charging_capacity_ah"], right["charging_capacity_ah"], rtol=1e-6)
    assert "calendar" in {remark.kind for remark in mended.remarks}
    broken = steps(replace(series, test_time_second=time))
    assert "backward_time" in {remark.kind for remark in broken.remarks}


@pytest.mark.parametrize("scale", [1e-6, 1.0, 300.0])
def test_a_coin_cell_and_a_pack_give_the_same_steps(scale: float) -> None:
    record = Protocol(scale=scale).rest().full_cycle().series()
    table, plain = steps(_alone(record)), steps(_alone(Protocol().rest().full_cycle().series()))
    assert _kinds(table) == _kinds(plain)
    for name in ("charging_capacity_ah", "discharging_capacity_ah"):
        assert np.allclose(table[name], scale * plain[name], rtol=1e-9)


@given(
    st.lists(
        st.tuples(st.floats(-3, 3), st.floats(30, 3000)),
        min_size=1,
        max_size=12,
    )
)
def test_steps_hold_all_that_flowed(parts: list[tuple[float, float]]) -> None:
    record = Protocol(soc=0.5)
    for ampere, second in parts:
        record.constant(ampere, second)
    series = record.series()
    table = steps(series, Limits(rest_ampere=0.0, gap_second=1e9))
    expected = sum(max(ampere, 0.0) * second for ampere, second in parts) / 3600
    assert table["charging_capacity_ah"].sum() == pytest.approx(expected, abs=1e-9)
    assert table["start_row_index"][0] == 0
    assert table["stop_row_index"][-1] == len(series)
    assert (table["start_row_index"][1:] == table["stop_row_index"][:-1]).all()
    assert (table["charging_capacity_ah"] >= 0).all()
    assert (table["discharging_capacity_ah"] >= 0).all()


@given(st.integers(2, 400), st.integers(0, 2**32 - 1))
def test_any_numbers_at_all_give_a_table_and_leave_the_record_alone(rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    odd = np.array([0.0, np.nan, 1e-300, -1e300, 3.7, np.inf])
    columns = [np.where(rng.random(rows) < 0.1, rng.choice(odd, rows), rng.normal(size=rows))]
    columns += [np.where(rng.random(rows) < 0.1, rng.choice(odd, rows), rng.normal(size=rows))]
    time = np.cumsum(rng.choice([0.0, 1.0, 10.0, -5.0], rows))
    series = Series("cell", time, *columns, cycle_count=rng.integers(0, 3, rows))
    before = {name: column.copy() for name, column in series.columns().items()}
    with np.errstate(all="ignore"):
        table = steps(series)
        cycles_of(table)
    for name, column in series.columns().items():
        assert np.array_equal(column, before[name], equal_nan=True)


def test_no_rows_give_no_steps() -> None:
    nothing = np.empty(0)
    table = steps(Series("cell", nothing, nothing, nothing))
    assert (len(table), len(cycles_of(table))) == (0, 0)


def test_limits_are_taken_from_the_record_and_given_back() -> None:
    series = Protocol().rest().full_cycle().series()
    known = settled(series)
    assert known.rest_ampere == pytest.approx(1e-3 * np.abs(series.current_ampere).max())
    assert settled(series, known) == known
    assert steps(series, known)["charging_capacity_ah"].tolist() == (
        steps(series)["charging_capacity_ah"].tolist()
    )


@pytest.mark.parametrize("wrong", [-1.0, float("nan")])
def test_a_limit_below_zero_or_unknown_is_refused(wrong: float) -> None:
    with pytest.raises(UsageError):
        Limits(rest_ampere=wrong)


def test_noise_at_rest_is_no_current() -> None:
    series = Protocol().rest(rows=500).constant(1.0, 3000.0).rest(rows=500).series()
    noisy = series.current_ampere + 2e-3 * np.random.default_rng(1).standard_normal(len(series))
    assert _kinds(steps(replace(_alone(series), current_ampere=noisy))) == [
        "rest",
        "cc_charge",
        "rest",
    ]


def test_every_column_has_its_row_in_the_table_of_quantities() -> None:
    series = replace(
        Protocol().full_cycle().series(),
        unix_time_second=1.7e9 + Protocol().full_cycle().series().test_time_second,
    )
    warm = replace(series, surface_temperature_celsius=np.full(len(series), 25.0))
    for table in (steps(warm), cycles_of(steps(warm))):
        assert set(table) - TEXT <= set(QUANTITIES)


def _records() -> list[Path]:
    """Every file that might be a record; vectors of cryptography and the sealed part are none."""
    apart = {".md", ".bin", ".json"}
    return sorted(
        path
        for path in DATA.rglob("*")
        if path.is_file() and path.suffix not in apart and "vectors" not in path.parts
    )


@needs_data
@pytest.mark.timeout(180)
def test_every_record_at_hand_gives_its_tables_without_a_warning() -> None:
    seen = 0
    for path in _records():
        try:
            series = read(path)
        except (DataError, UsageError):  # a reader may want an extra that is not there
            continue
        with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
            warnings.simplefilter("error")
            table = steps(series)
            cycles = cycles_of(table)
        assert len(table) >= len(cycles) > 0, path
        assert table["stop_row_index"][-1] <= len(series), path
        assert (table["start_row_index"][1:] >= table["stop_row_index"][:-1]).all(), path
        seen += 1
    assert seen > 40
