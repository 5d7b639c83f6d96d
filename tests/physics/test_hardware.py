from dataclasses import replace

import numpy as np
import pytest

from cellwarden.domain import CLOSED, OPEN, Board, Command, Contactors
from cellwarden.physics import Fault, FaultKind, TwinConfig
from cellwarden.physics.hardware import (
    Hardware,
    HardwareState,
    Outside,
    Signals,
    chips,
    sensor_cells,
    start,
    step,
)
from cellwarden.physics.path import Damage

CONFIG = TwinConfig(
    "pack-1", series_count=16, nominal_capacity_ah=50.0, period_second=0.1, seed=3, soc_fraction=0.6
)
HARDWARE = Hardware(CONFIG)
REST = Command(OPEN, 0.0, 0.0)
PRECHARGE = Command(
    Contactors(plus_closed=False, minus_closed=True, precharge_closed=True), 50.0, 150.0
)
DRIVE = Command(CLOSED, 50.0, 150.0)


def run(
    state: HardwareState,
    command: Command,
    outside: Outside,
    count: int,
    hardware: Hardware = HARDWARE,
) -> tuple[HardwareState, list[Signals]]:
    given = []
    for _ in range(count):
        state, one = step(hardware, state, command, outside)
        given.append(one)
    return state, given


def connected(hardware: Hardware = HARDWARE) -> HardwareState:
    state, _ = run(start(hardware), PRECHARGE, Outside(), 10, hardware)
    state, _ = run(state, DRIVE, Outside(), 2, hardware)
    return state


def test_the_same_state_and_command_give_the_same_signals() -> None:
    for left, right in zip(
        *(run(start(HARDWARE), PRECHARGE, Outside(), 5)[1] for _ in range(2)), strict=True
    ):
        assert left.link_voltage_volt == right.link_voltage_volt
        assert np.array_equal(left.cell_voltage_volt, right.cell_voltage_volt)


def test_current_flows_when_closed_and_its_charge_comes_out_of_the_cells() -> None:
    state = connected()
    before = state.twin.row[0].copy()
    state, given = run(state, DRIVE, Outside(demand_ampere=-100.0), 100)
    assert np.mean([one.current_ampere for one in given]) == pytest.approx(-100.0, rel=1e-3)
    assert np.mean([one.second_current_ampere for one in given]) == pytest.approx(-100.0, rel=1e-2)
    spent = (before - state.twin.row[0]) * 50.0
    assert np.allclose(spent, 100.0 * 10.0 / 3600.0, rtol=0.05)
    state, given = run(state, REST, Outside(demand_ampere=-100.0), 3)
    assert abs(given[-1].current_ampere) < 0.5


def test_a_load_that_obeys_keeps_to_the_limits_and_another_does_not() -> None:
    for obeys, expected in ((True, -150.0), (False, -400.0)):
        _, given = run(connected(), DRIVE, Outside(demand_ampere=-400.0, obeys=obeys), 3)
        assert given[-1].current_ampere == pytest.approx(expected, rel=0.01)


def test_a_source_that_nobody_controls_drives_cells_beyond_their_limit() -> None:
    hardware = replace(HARDWARE, twin=replace(CONFIG, soc_fraction=0.995))
    outside = Outside(demand_ampere=50.0, obeys=False)
    _, given = run(connected(hardware), DRIVE, outside, 400, hardware)
    assert given[-1].cell_voltage_volt.max() > 4.25


def test_a_charger_gives_current_first_and_then_voltage() -> None:
    hardware = replace(HARDWARE, twin=replace(CONFIG, soc_fraction=0.9, period_second=1.0))
    limit = 16 * 4.15
    command = replace(DRIVE, charge_voltage_volt=limit, charge_current_ampere=25.0)
    state = connected(hardware)
    outside = Outside(charger_connected=True)
    state, given = run(state, command, outside, 1500, hardware)
    amperes = np.array([one.current_ampere for one in given])
    volts = np.array([one.voltage_volt for one in given])
    assert amperes[:20].mean() == pytest.approx(25.0, rel=0.01)
    assert volts.max() < limit + 0.1
    assert 0.5 < amperes[-10:].mean() < 15.0
    assert volts[-10:].mean() == pytest.approx(limit, abs=0.05)


def test_damage_shows_in_the_signals() -> None:
    damage = Damage(
        insulation_ohm=50_000.0,
        interlock_open=True,
        gas_per_second=0.01,
        second_current_ampere=7.0,
        lost_sensors=frozenset({3}),
        open_wires=frozenset({(1, 2)}),
        reference_error_fraction=((0, 0.01),),
        false_feedback=frozenset({"plus"}),
    )
    before = run(start(HARDWARE), REST, Outside(), 1)[1][0]
    _, given = run(start(HARDWARE), REST, Outside(damage=damage), 300)
    after = given[-1]
    assert before.interlock_closed
    assert not after.interlock_closed
    assert after.insulation_ohm == pytest.approx(50_000.0, rel=0.01)
    assert given[1].insulation_ohm > 2 * after.insulation_ohm  # a monitor takes seconds
    assert after.gas_fraction > 0.1 > before.gas_fraction
    assert after.second_current_ampere == pytest.approx(7.0, abs=0.5)
    assert np.isnan(after.sensor_temperature_celsius[3])
    assert after.open_wire[1, 2]
    assert after.reference_gain.tolist() == [1.01, 1.0]
    assert after.plus_feedback_closed
    assert not after.minus_feedback_closed


def test_bleeders_that_hang_empty_their_cell_and_a_stopped_pump_warms_the_pack() -> None:
    damage = Damage(bleeding=frozenset({5}), pump_stopped=True)
    slow = replace(HARDWARE, twin=replace(CONFIG, period_second=10.0, soc_spread_fraction=0.0))
    cooled = replace(DRIVE, cooling_fraction=1.0)
    outside = Outside(demand_ampere=-100.0)
    well, _ = run(connected(slow), cooled, outside, 60, slow)
    ill, _ = run(connected(slow), cooled, replace(outside, damage=damage), 60, slow)
    lost = well.twin.row[0] - ill.twin.row[0]
    assert lost[5] > 0.002
    assert np.abs(np.delete(lost, 5)).max() < 0.1 * lost[5]
    assert ill.twin.row[3].mean() > well.twin.row[3].mean() + 1.0


def test_a_cell_that_shorts_and_heats_up_vents_and_the_others_do_not() -> None:
    short = Fault(FaultKind.INTERNAL_SHORT, 0.0, 0.01, item=4)
    hardware = replace(HARDWARE, twin=replace(CONFIG, period_second=1.0, faults=(short,)))
    state, given = run(start(hardware), REST, Outside(), 200, hardware)
    hottest = [one.sensor_temperature_celsius.max() for one in given]
    gas = np.array([one.gas_fraction for one in given])
    assert hottest[-1] > hardware.vent_temperature_celsius > hottest[0]
    assert np.argmax(state.twin.row[3]) == 4
    begun = int(np.argmax(gas > 0.0))
    assert gas[-1] > 0.01
    assert hottest[begun - 2] < hardware.vent_temperature_celsius < hottest[begun + 1]


def test_chips_and_sensors_cover_the_string() -> None:
    board = Board()
    assert chips(board, 200) == (12,) * 16 + (8,)
    assert chips(board, 12) == (12,)
    placed = sensor_cells(board, 30)
    assert placed.tolist() == sorted(set(placed.tolist()))
    assert placed[-1] < 30
    assert len(placed) == 18
    assert len(sensor_cells(board, 3)) == 3
