import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import CHEMISTRIES, CLOSED, OPEN, Command, Frames
from cellwarden.errors import DecodeError, UsageError
from cellwarden.physics import Fault, FaultKind, Twin, TwinConfig
from cellwarden.physics import row as rows

SMALL = TwinConfig("pack-1", series_count=4, duration_second=9000.0, seed=5, soc_fraction=0.5)
QUIET = replace(
    SMALL, voltage_noise_volt=0.0, current_noise_fraction=0.0, temperature_noise_celsius=0.0
)


def read_all(config: TwinConfig) -> Frames:
    frames = Twin(config).read(10**9)
    assert frames is not None
    return frames


def command(
    charge: float,
    discharge: float,
    *,
    closed: bool = True,
    balance: tuple[bool, ...] = (),
    cooling: float = 0.0,
) -> Command:
    return Command(CLOSED if closed else OPEN, charge, discharge, balance, cooling)


def same_bits(left: Frames, right: Frames) -> bool:
    columns = right.columns()
    return all(
        np.array_equal(value.view(np.uint8), columns[name].view(np.uint8))
        for name, value in left.columns().items()
    )


def join(parts: list[Frames]) -> Frames:
    names = parts[0].columns()
    return Frames(**{name: np.concatenate([p.columns()[name] for p in parts]) for name in names})


FAULTS = (
    Fault(FaultKind.STUCK, 300.0, item=1, stop_second=900.0),
    Fault(FaultKind.DROPOUT, 200.0, item=0, signal="cell_temperature_celsius"),
    Fault(FaultKind.INTERNAL_SHORT, 1000.0, 5.0, item=2),
    Fault(FaultKind.IMBALANCE, 50.0, 0.1, item=3),
    Fault(FaultKind.DRIFT, 100.0, 0.1, signal="current_ampere"),
)


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=12),
    profile=st.sampled_from(["cycle", "drive", "storage"]),
    seed=st.integers(0, 2**64 - 1),
    period=st.sampled_from([0.1, 1.0, 7.0, 60.0]),
)
def test_pieces_of_any_size_with_a_resume_between_them_are_the_whole_to_the_bit(
    sizes: list[int], profile: str, seed: int, period: float
) -> None:
    config = replace(
        SMALL,
        profile=profile,
        seed=seed,
        period_second=period,
        duration_second=period * sum(sizes),
        faults=FAULTS,
        ageing_factor=100.0,
    )
    twin, parts = Twin(config), []
    for size in sizes:
        part = twin.read(size)
        assert part is not None
        parts.append(part)
        twin = Twin.resume(config, twin.position())
    assert twin.read(1) is None
    assert same_bits(read_all(config), join(parts))


def test_a_command_survives_the_resume() -> None:
    twin = Twin(SMALL)
    twin.write(command(1.0, 2.0, closed=False, balance=(True, False, False, True), cooling=0.5))
    again = Twin.resume(SMALL, twin.position())
    left, right = twin.read(500), again.read(500)
    assert left is not None
    assert right is not None
    assert same_bits(left, right)
    assert np.abs(left.current_ampere).max() < 0.05


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_a_cycle_touches_both_limits_and_never_leaves_them(chemistry: str) -> None:
    config = replace(QUIET, chemistry=chemistry, duration_second=20_000.0)
    frames, kind = read_all(config), CHEMISTRIES[chemistry]
    volts = frames.cell_voltage_volt
    assert abs(volts.min() - kind.low_voltage_volt) < 0.002
    assert abs(volts.max() - kind.high_voltage_volt) < 0.002


def test_a_full_discharge_delivers_the_capacity_of_the_weakest_cell() -> None:
    config = replace(
        QUIET,
        series_count=1,
        soh_fraction=0.85,
        discharge_rate=0.05,
        period_second=10.0,
        duration_second=112_000.0,
    )
    twin = Twin(config)
    frames = twin.read(10**9)
    assert frames is not None
    current = frames.current_ampere.astype(float)
    starts = np.flatnonzero((current[1:] < 0) & (current[:-1] >= 0)) + 1
    stop = starts[-1] + np.argmax(current[starts[-1] :] >= 0)
    delivered = -current[starts[-1] : stop].sum() * config.period_second / 3600.0
    assert abs(delivered / twin.truth().capacity_ah.min() - 1.0) < 0.02
    assert abs(twin.truth().soh_fraction[0] - 0.85) < 0.03


def test_charge_is_conserved() -> None:
    twin = Twin(replace(QUIET, series_count=1, profile="drive"))
    before = twin.truth()
    frames = twin.read(3000)
    assert frames is not None
    moved = frames.current_ampere.astype(float).sum() / 3600.0
    change = (twin.truth().soc_fraction - before.soc_fraction) * before.capacity_ah
    assert abs(change[0] - moved) < 1e-4


def test_open_contactors_stop_the_current_and_limits_bound_it() -> None:
    twin = Twin(QUIET)
    twin.write(command(0.2, 0.7))
    limited = twin.read(8000)
    assert limited is not None
    assert limited.current_ampere.min() == pytest.approx(-0.7)
    twin.write(command(0.2, 0.7, closed=False))
    still = twin.read(100)
    assert still is not None
    assert not still.current_ampere.any()


def test_balancing_lowers_only_the_cells_asked_for() -> None:
    config = replace(QUIET, profile="storage")
    twin, other = Twin(config), Twin(config)
    twin.write(command(1.0, 1.0, balance=(False, True, False, False)))
    twin.read(3600)
    other.read(3600)
    change = other.truth().soc_fraction - twin.truth().soc_fraction
    assert 0.015 < change[1] < 0.03
    assert not change[[0, 2, 3]].any()


def test_cooling_lowers_the_temperature() -> None:
    twin, other = Twin(QUIET), Twin(QUIET)
    twin.write(command(9.0, 9.0, cooling=1.0))
    twin.read(1500)
    other.read(1500)
    assert np.all(twin.truth().temperature_celsius < other.truth().temperature_celsius - 1.0)


def test_age_takes_capacity_and_adds_resistance() -> None:
    twin = Twin(replace(SMALL, duration_second=90_000.0, ageing_factor=50.0))
    before = twin.truth()
    twin.read(10**9)
    after = twin.truth()
    assert np.all(after.capacity_ah < 0.99 * before.capacity_ah)
    assert np.all(after.resistance_ohm > 1.005 * before.resistance_ohm)


@pytest.mark.parametrize("signal", ["cell_voltage_volt", "cell_temperature_celsius"])
def test_a_biased_sensor_is_wrong_and_its_neighbours_are_not(signal: str) -> None:
    fault = Fault(FaultKind.BIAS, 100.0, 0.5, item=2, signal=signal)
    sick = getattr(read_all(replace(SMALL, faults=(fault,))), signal)
    well = getattr(read_all(SMALL), signal)
    assert np.allclose((sick - well)[100:, 2], 0.5, atol=1e-4)
    assert np.array_equal(np.delete(sick, 2, axis=1), np.delete(well, 2, axis=1))
    assert np.array_equal(sick[:100], well[:100])


def test_a_drifting_sensor_drifts_by_the_hour() -> None:
    fault = Fault(FaultKind.DRIFT, 3600.0, 0.010, item=0)
    config = replace(SMALL, duration_second=7300.0)
    gap = (
        read_all(replace(config, faults=(fault,))).cell_voltage_volt
        - read_all(config).cell_voltage_volt
    )
    assert gap[7200, 0] == pytest.approx(0.010, abs=1e-5)
    assert not gap[:3600].any()


def test_a_stuck_sensor_repeats_its_first_value_until_it_is_mended() -> None:
    fault = Fault(FaultKind.STUCK, 1000.0, item=1, stop_second=2000.0)
    volts = read_all(replace(SMALL, faults=(fault,))).cell_voltage_volt[:, 1]
    well = read_all(SMALL).cell_voltage_volt[:, 1]
    assert np.all(volts[1000:2000] == well[1000])
    assert np.array_equal(volts[2000:], well[2000:])


def test_a_dropout_is_no_reading() -> None:
    fault = Fault(FaultKind.DROPOUT, 10.0, signal="current_ampere", stop_second=20.0)
    current = read_all(replace(SMALL, faults=(fault,))).current_ampere
    assert np.flatnonzero(np.isnan(current)).tolist() == list(range(10, 20))


def test_an_internal_short_empties_and_heats_its_cell() -> None:
    fault = Fault(FaultKind.INTERNAL_SHORT, 600.0, 5.0, item=1)
    config = replace(QUIET, profile="storage", faults=(fault,))
    twin = Twin(config)
    twin.read(10**9)
    truth = twin.truth()
    assert truth.soc_fraction[1] < truth.soc_fraction[[0, 2, 3]].min() - 0.4
    assert truth.temperature_celsius[1] == truth.temperature_celsius.max()
    assert truth.faults == (fault,)


def test_a_shorted_cell_ends_at_zero_volts_and_stays_finite() -> None:
    fault = Fault(FaultKind.INTERNAL_SHORT, 0.0, 0.2, item=0)
    frames = read_all(replace(SMALL, profile="storage", faults=(fault,)))
    assert np.all(np.isfinite(frames.cell_voltage_volt))
    assert -0.1 < frames.cell_voltage_volt[-1, 0] < 0.5
    assert frames.cell_temperature_celsius.max() < 500.0


def test_imbalance_takes_its_charge_once() -> None:
    config = replace(QUIET, profile="storage")
    well, sick = (
        Twin(config),
        Twin(replace(config, faults=(Fault(FaultKind.IMBALANCE, 60.0, 0.2, item=3),))),
    )
    for twin in (well, sick):
        twin.read(600)
    gap = well.truth().soc_fraction - sick.truth().soc_fraction
    assert np.allclose(gap, [0.0, 0.0, 0.0, 0.2])


def test_lost_cooling_and_a_bad_joint_make_cells_warmer() -> None:
    for fault in (
        Fault(FaultKind.COOLING_LOSS, 0.0, 0.9),
        Fault(FaultKind.CONTACT_RESISTANCE, 0.0, 0.02, item=1),
    ):
        sick, well = Twin(replace(QUIET, faults=(fault,))), Twin(QUIET)
        sick.read(1500)
        well.read(1500)
        warmer = sick.truth().temperature_celsius - well.truth().temperature_celsius
        assert warmer[1] > 0.3


def test_a_bad_joint_shows_in_the_voltage_only_under_current() -> None:
    fault = Fault(FaultKind.CONTACT_RESISTANCE, 100.0, 0.01, item=1)
    sick, well = read_all(replace(QUIET, faults=(fault,))), read_all(QUIET)
    gap = sick.cell_voltage_volt[150] - well.cell_voltage_volt[150]
    assert gap[1] == pytest.approx(-0.03, abs=1e-3)
    assert abs(gap[0]) < 1e-3


def test_the_pack_voltage_is_the_sum_of_its_cells() -> None:
    frames = read_all(QUIET)
    assert np.allclose(frames.cell_voltage_volt.sum(axis=1), frames.voltage_volt, atol=1e-4)


def test_another_seed_is_another_pack() -> None:
    other = read_all(replace(SMALL, seed=6))
    assert not np.array_equal(other.cell_voltage_volt, read_all(SMALL).cell_voltage_volt)


def test_time_begins_where_asked_and_ends() -> None:
    twin = Twin(replace(SMALL, duration_second=10.0))
    frames = twin.read(100)
    assert frames is not None
    assert len(frames) == 10
    assert frames.unix_time_second[0] == SMALL.start_unix_time_second + 1.0
    assert twin.read(1) is None


@settings(max_examples=200)
@given(st.binary(max_size=80))
def test_bytes_that_are_no_position_are_refused(data: bytes) -> None:
    with pytest.raises((DecodeError, UsageError)):
        Twin.resume(SMALL, data)


def test_a_cut_or_foreign_position_is_refused() -> None:
    position = Twin(SMALL).position()
    with pytest.raises(DecodeError):
        Twin.resume(SMALL, position[:-3])
    with pytest.raises(UsageError):
        Twin.resume(replace(SMALL, seed=99), position)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "no spaces allowed"},
        {"chemistry": "Pb"},
        {"period_second": 0.0},
        {"soc_fraction": 1.5},
        {"faults": (Fault(FaultKind.BIAS, 0.0, 0.1, item=4),)},
    ],
)
def test_a_twin_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        replace(SMALL, **change)


def test_a_balance_of_the_wrong_length_and_an_empty_read_are_refused() -> None:
    with pytest.raises(UsageError):
        Twin(SMALL).write(command(1.0, 1.0, balance=(True,)))
    with pytest.raises(UsageError):
        Twin(SMALL).read(0)


def test_naming_the_twin_does_not_load_the_compiler() -> None:
    code = "import sys; from cellwarden.physics import Twin; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_state_rows_are_the_ones_the_kernel_counts() -> None:
    order = (rows.SOC, rows.FAST, rows.SLOW, rows.TEMPERATURE, rows.SOC_SUM)
    assert order == tuple(range(5))
    assert (rows.TEMPERATURE_SUM, rows.THROUGHPUT, rows.LOW_SOC, rows.HIGH_SOC) == (5, 6, 7, 8)
