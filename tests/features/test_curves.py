from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cellwarden.domain import Series
from cellwarden.errors import UsageError
from cellwarden.features.curves import (
    Branches,
    branches,
    charge_curve,
    charge_matrix,
    delta_statistics,
    refuse_artefacts,
    voltage_curve,
    voltage_matrix,
)

GRID = np.linspace(4.1, 2.8, 400)


def _numbered(cell: Any, record: Callable[..., Series], count: int = 3) -> Series:
    parts = [cell.cycle() for _ in range(count)]
    length = [sum(part.shape[1] for part in one) for one in parts]
    series = record([part for one in parts for part in one])
    return replace(series, cycle_count=np.repeat(np.arange(1, count + 1), length))


def test_the_curve_of_a_linear_cell_is_a_line(cell: Any, record: Any) -> None:
    taken = branches(_numbered(cell, record), "discharge")
    found = charge_matrix(taken, np.array([3.5, 3.0]), gap_ah=0.1)
    assert len(taken) == 3
    wanted = 0.5 / 1.2 * cell.capacity_ah
    assert found[:, 1] - found[:, 0] == pytest.approx(wanted, rel=1e-9)
    assert taken.capacity_ah() == pytest.approx(cell.delivered_ah(), rel=0.012)
    assert taken.ended.tolist() == [True, True, False]


def test_charge_is_counted_up_on_a_charge_and_includes_the_taper(cell: Any, record: Any) -> None:
    taken = branches(_numbered(cell, record), "charge", rest_fraction=0.001)
    found = charge_matrix(taken, np.array([3.9, 4.1]), gap_ah=0.1)
    assert found[0, 1] - found[0, 0] == pytest.approx(0.2 / 1.2 * cell.capacity_ah, rel=1e-3)
    assert taken.capacity_ah()[1] == pytest.approx(cell.delivered_ah(), rel=0.01)


def test_voltage_at_a_charge_and_charge_at_a_voltage_undo_each_other(
    cell: Any, record: Any
) -> None:
    taken = branches(_numbered(cell, record), "discharge")
    at = np.array([0.2, 0.7, 1.1])
    volt = voltage_matrix(taken, at, gap_ah=0.1)
    back = charge_matrix(taken, volt[0], gap_ah=0.1)
    assert back[0] == pytest.approx(at, abs=1e-9)


def test_a_gap_is_refused_and_only_there() -> None:
    charge = np.array([0.0, 0.1, 0.2, 0.8, 0.9, 1.0])
    volt = 4.0 - charge
    grid = np.array([3.95, 3.8, 3.5, 3.2, 3.15])
    found = charge_curve(volt, charge, grid, direction="discharge", gap_ah=0.2)
    assert found == pytest.approx(np.array([0.05, 0.2, np.nan, 0.8, 0.85]), nan_ok=True)
    along = voltage_curve(volt, charge, np.array([0.15, 0.5, 0.95]), gap_ah=0.2)
    assert along == pytest.approx(np.array([3.85, np.nan, 3.05]), nan_ok=True)
    whole = charge_curve(volt, charge, grid, direction="discharge", gap_ah=np.inf)
    assert whole == pytest.approx(4.0 - grid)


def test_outside_the_branch_nothing_is_made_up() -> None:
    found = charge_curve(
        np.array([3.5, 3.0]),
        np.array([0.0, 1.0]),
        np.array([3.6, 3.25, 2.9]),
        direction="discharge",
        gap_ah=np.inf,
    )
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == pytest.approx(0.5)


def test_a_pulsed_discharge_with_rests_gives_one_rising_curve() -> None:
    current = np.array([0.0, -1, -1, 0, 0, -1, -1, 0])
    volt = np.array([4.0, 3.9, 3.8, 3.95, 3.95, 3.7, 3.6, 3.75])
    series = Series(
        "cell", np.arange(8) * 3600.0, volt, current, cycle_count=np.ones(8, dtype=np.int64)
    )
    taken = branches(series, "discharge")
    voltage, charge = taken.curve(0)
    assert voltage.tolist() == [4.0, 3.9, 3.8, 3.95, 3.7, 3.6]
    assert charge == pytest.approx([0.0, 0.5, 1.5, 2.0, 2.5, 3.5])


def test_missing_readings_and_a_clock_that_steps_back_do_not_add_charge() -> None:
    time = np.array([0.0, 3600, 1800, 7200, 9000])
    series = Series(
        "cell",
        time,
        np.array([4.0, 3.9, 3.8, np.nan, 3.6]),
        np.full(5, -1.0),
        cycle_count=np.ones(5, dtype=np.int64),
    )
    assert branches(series, "discharge").charge_ah == pytest.approx([0.0, 1.0, 1.0, 3.0])


def test_a_current_of_a_coin_cell_is_no_rest(cell: Any, record: Any) -> None:
    big = _numbered(cell, record)
    small = replace(big, current_ampere=big.current_ampere * 1e-4)
    a, b = branches(big, "discharge"), branches(small, "discharge")
    assert np.array_equal(a.row, b.row)
    assert b.capacity_ah() == pytest.approx(1e-4 * a.capacity_ah())


def test_moments_are_those_of_the_definition() -> None:
    delta = np.array([-0.1, -0.2, -0.05, np.nan, -0.4])
    known = delta[np.isfinite(delta)]
    found = delta_statistics(delta)
    away = known - known.mean()
    assert found.minimum_ah == -0.4
    assert found.variance_ah2 == pytest.approx(np.var(known, ddof=1))
    assert found.skewness_ratio == pytest.approx(np.mean(away**3) / np.std(known) ** 3)
    assert found.kurtosis_ratio == pytest.approx(np.mean(away**4) / np.std(known) ** 4)
    assert found.covered_fraction == 0.8
    assert found.log10()["minimum_log10_ah"] == pytest.approx(np.log10(0.4))


def test_two_equal_curves_have_no_logarithm() -> None:
    logs = delta_statistics(np.zeros(5)).log10()
    assert all(np.isnan(value) for value in logs.values())


def test_a_spline_that_swung_out_is_refused_whole() -> None:
    good = np.linspace(0.0, 1.0, 5)
    swung, low = good.copy(), good - 0.2
    swung[3] = 40.0
    kept = refuse_artefacts(np.stack([good, swung, low]), tolerance_ah=0.01)
    assert np.array_equal(kept[0], good)
    assert np.isnan(kept[1:]).all()


def test_a_record_without_cycles_is_told_what_to_do(cell: Any, record: Any) -> None:
    with pytest.raises(UsageError, match="no cycle numbers") as told:
        branches(record(cell.cycle()), "discharge")
    assert "replace" in told.value.hint


@pytest.mark.parametrize("grid", [[], [1.0, 1.0], [1.0, 3.0, 2.0], [np.nan, 1.0]])
def test_a_grid_that_turns_is_refused(grid: list[float]) -> None:
    with pytest.raises(UsageError, match="throughout"):
        voltage_curve(np.ones(2), np.arange(2.0), np.array(grid), gap_ah=1.0)


def test_an_empty_record_gives_no_curves() -> None:
    none = np.empty(0)
    empty = Series("cell", none, none, none, cycle_count=np.empty(0, dtype=np.int64))
    taken = branches(empty, "charge")
    assert isinstance(taken, Branches)
    assert charge_matrix(taken, GRID, gap_ah=1.0).shape == (0, len(GRID))


def test_cycles_without_that_direction_have_no_curve(cell: Any, record: Any) -> None:
    series = _numbered(cell, record, 2)
    charging = replace(series, current_ampere=np.abs(series.current_ampere))
    taken = branches(charging, "discharge")
    assert np.isnan(taken.capacity_ah()).all()
    assert np.isnan(charge_matrix(taken, GRID, gap_ah=1.0)).all()


def test_a_blip_inside_a_charge_is_no_part_of_the_discharge() -> None:
    """A tester's glitch at the begin of a charge must not eat the upper half of Q(V)."""
    charge_ampere = np.r_[0.0, -4.0, np.full(60, 1.0), 0.0]
    discharge_ampere = np.r_[np.full(60, -1.0), 0.0]
    current = np.r_[charge_ampere, discharge_ampere]
    voltage = np.r_[3.9, 3.4, np.linspace(3.3, 4.2, 60), 4.2, np.linspace(4.1, 3.0, 60), 3.2]
    time = np.r_[0.0, 2.0, 4.0 + 60.0 * np.arange(len(current) - 2)]
    series = Series("glitch", time, voltage, current, cycle_count=np.ones(len(time), dtype=int))
    taken = branches(series, "discharge")
    assert taken.voltage_volt[0] == pytest.approx(4.2)
    assert taken.capacity_ah()[0] == pytest.approx(1.0, abs=0.02)


def test_pulses_of_the_other_sign_leave_a_branch_whole() -> None:
    """Regeneration of a per cent of the charge, ten times, is no end of the discharge."""
    leg = np.r_[np.full(60, -1.0), np.full(1, 0.6)]
    current = np.tile(leg, 10)
    voltage = np.linspace(4.1, 3.0, len(current)) + 0.02 * (current > 0)
    time = 60.0 * np.arange(len(current))
    series = Series("drive", time, voltage, current, cycle_count=np.ones(len(time), dtype=int))
    taken = branches(series, "discharge")
    assert taken.capacity_ah()[0] == pytest.approx(10.0, rel=0.01)


def test_of_two_equal_discharges_in_a_cycle_one_is_the_branch() -> None:
    """Two of them as one curve would show twice the capacity."""
    once = np.r_[0.0, np.full(30, -1.0), 0.0, np.full(30, 1.0)]
    volt = np.r_[4.2, np.linspace(4.1, 3.0, 30), 3.2, np.linspace(3.3, 4.2, 30)]
    current, voltage = np.tile(once, 2), np.tile(volt, 2)
    time = 60.0 * np.arange(len(current))
    series = Series("twice", time, voltage, current, cycle_count=np.ones(len(time), dtype=int))
    taken = branches(series, "discharge")
    assert taken.capacity_ah() == pytest.approx(0.5, rel=0.03)
    assert np.ptp(taken.row) < len(once)


def test_regeneration_within_a_drive_stays_inside_the_branch() -> None:
    current = np.tile(np.r_[np.full(20, -2.0), 1.0], 10)
    time = 60.0 * np.arange(len(current))
    voltage = 4.0 - 0.01 * np.arange(len(current)) + 0.05 * (current > 0)
    series = Series("drive", time, voltage, current, cycle_count=np.ones(len(time), dtype=int))
    taken = branches(series, "discharge")
    assert taken.capacity_ah() == pytest.approx(10 * 20 * 2 / 60, rel=0.06)


def test_a_direction_that_is_none_is_refused(cell: Any, record: Any) -> None:
    with pytest.raises(UsageError, match="no direction"):
        branches(_numbered(cell, record), "sideways")  # type: ignore[arg-type]


def test_a_row_of_the_cycle_before_is_no_part_of_a_curve() -> None:
    current = np.tile(np.r_[np.full(10, -1.0), np.full(10, 1.0)], 2)
    time = 60.0 * np.arange(40)
    cycle = np.repeat([1, 2], 20)
    series = Series("cell", time, 3.5 + 0.01 * current, current, cycle_count=cycle)
    taken = branches(series, "discharge")
    assert taken.row.tolist() == [*range(10), *range(20, 30)]
