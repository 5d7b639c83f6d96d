import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from cellwarden.domain import CLOSED, OPEN, Board, Command, Contactors
from cellwarden.edge.agent import Agent, Sender
from cellwarden.edge.drivers import Driver
from cellwarden.edge.drivers.board import WATCHDOG_SECOND, BoardDriver, BoardFrames
from cellwarden.edge.drivers.disturb import Delay, Drop, Flip, Repeat, When
from cellwarden.edge.drivers.emulated import EmulatedPack, emulate
from cellwarden.edge.outbox import Outbox
from cellwarden.edge.transport import CallTransport
from cellwarden.hub.rows import read_batches
from cellwarden.physics import TwinConfig
from cellwarden.physics.hardware import Hardware, Outside
from cellwarden.physics.path import Damage
from trust.making import NOW, fleet

TWIN = TwinConfig(
    "pack-1", series_count=16, nominal_capacity_ah=50.0, period_second=0.1, seed=3, soc_fraction=0.6
)
PRECHARGE = Command(
    Contactors(plus_closed=False, minus_closed=True, precharge_closed=True), 50.0, 150.0
)
DRIVE = Command(CLOSED, 50.0, 150.0)


@dataclass
class Bench:
    """An emulated pack and its driver."""

    pack: EmulatedPack = field(default_factory=lambda: EmulatedPack(Hardware(TWIN)))
    driver: BoardDriver = field(init=False)

    def __post_init__(self) -> None:
        self.driver = emulate(self.pack)

    def connect(self) -> None:
        for command in (PRECHARGE,) * 8 + (DRIVE,) * 2:
            self.driver.write(command)
            self.driver.read()


def test_a_reading_is_what_the_pack_has_within_what_its_converters_resolve() -> None:
    bench = Bench()
    bench.connect()
    bench.pack.outside = Outside(demand_ampere=-80.0)
    bench.driver.write(DRIVE)
    reading = bench.driver.read()
    given = bench.pack.signals
    assert given is not None
    frame, inputs = reading.frame, reading.inputs
    assert np.allclose(frame.cell_voltage_volt, given.cell_voltage_volt, atol=51e-6)
    assert np.allclose(frame.cell_temperature_celsius, given.sensor_temperature_celsius, atol=0.01)
    assert frame.voltage_volt == pytest.approx(given.voltage_volt, abs=1e-3)
    assert frame.current_ampere == pytest.approx(-80.0, abs=0.2)
    assert inputs.second_current_ampere == pytest.approx(-80.0, abs=0.5)
    assert inputs.link_voltage_volt == pytest.approx(given.link_voltage_volt, abs=1e-3)
    assert inputs.insulation_ohm == pytest.approx(5e6, abs=1000.0)
    assert frame.ambient_temperature_celsius == pytest.approx(
        given.ambient_temperature_celsius, abs=0.01
    )
    assert frame.unix_time_second == TWIN.start_unix_time_second + reading.clock_second
    assert (inputs.plus_feedback_closed, inputs.precharge_feedback_closed) == (True, False)
    assert inputs.interlock_closed
    assert inputs.fuse_intact
    assert math.isnan(inputs.gas_fraction)  # the board has no such sensor
    assert inputs.memory_intact is None
    assert inputs.authenticated is None


def test_a_charging_current_is_positive_in_both_sensors() -> None:
    bench = Bench()
    bench.connect()
    bench.pack.outside = Outside(demand_ampere=30.0)
    bench.driver.write(DRIVE)
    before = bench.pack.truth().soc_fraction.mean()
    reading = bench.driver.read()
    assert reading.frame.current_ampere > 29.0
    assert reading.inputs.second_current_ampere > 29.0
    assert bench.pack.truth().soc_fraction.mean() > before


def test_a_silent_board_is_no_reading_that_grows_older_and_never_the_last_one() -> None:
    bench = Bench()
    bench.connect()
    bench.pack.wire.append(Drop("board"))
    for age in (0.1, 0.2, 0.3):
        bench.driver.write(DRIVE)
        reading = bench.driver.read()
        inputs = reading.inputs
        assert math.isnan(reading.frame.voltage_volt)
        assert math.isnan(reading.frame.current_ampere)
        assert math.isnan(inputs.link_voltage_volt)
        assert inputs.plus_feedback_closed is None
        assert inputs.interlock_closed is None
        assert inputs.voltage_age_second == pytest.approx(age)
        assert inputs.current_age_second == pytest.approx(age)
        assert np.isfinite(reading.frame.cell_voltage_volt).all()


def test_a_frame_that_comes_again_or_is_spoilt_is_refused_and_counted() -> None:
    for spoil in (Repeat("board", When(1.0)), Flip("board", (40,), When(1.0))):
        bench = Bench()
        bench.connect()
        bench.pack.wire.append(spoil)
        bench.driver.read()
        reading = bench.driver.read()
        assert reading.inputs.bus_error_count == 2
        assert math.isnan(reading.frame.current_ampere)


@pytest.mark.parametrize("cycles", [1, 3])
def test_frames_that_are_held_up_on_the_way_show_their_age(cycles: int) -> None:
    bench = Bench()
    bench.connect()
    bench.pack.wire.append(Delay("board", 2 * cycles))  # two frames a cycle
    ages = []
    for _ in range(cycles + 4):
        bench.driver.write(DRIVE)
        reading = bench.driver.read()
        ages.append(reading.inputs.voltage_age_second)
    assert np.isfinite(reading.frame.voltage_volt)
    assert reading.inputs.bus_error_count == 0
    assert ages[-1] == pytest.approx(0.1 * cycles)
    bench.pack.wire.clear()
    for _ in range(2):
        bench.driver.write(DRIVE)
        reading = bench.driver.read()
    assert reading.inputs.voltage_age_second == 0.0


def test_a_board_that_does_not_hear_its_orders_grows_old_while_it_goes_on_reporting() -> None:
    bench = Bench()
    bench.connect()
    bench.pack.wire.append(Drop("order"))
    for age in (0.1, 0.2, 0.3):
        bench.driver.write(DRIVE)
        reading = bench.driver.read()
        assert reading.inputs.current_age_second == pytest.approx(age)
        assert np.isfinite(reading.frame.current_ampere)


def test_an_order_that_was_lost_before_the_first_reading_ages_from_there() -> None:
    bench = Bench()
    bench.pack.wire.append(Drop("order"))
    bench.driver.write(DRIVE)
    ages = [bench.driver.read().inputs.current_age_second for _ in range(2)]
    assert ages == pytest.approx([0.0, 0.1])


def test_hundreds_of_orders_are_all_heard() -> None:
    bench = Bench()
    for _ in range(600):
        bench.driver.write(DRIVE)
        assert bench.driver.read().inputs.current_age_second == 0.0


@pytest.mark.parametrize("count", [1, 6, 7, 8, 14, 15, 22, 49, 70])
def test_answers_of_a_chain_that_are_held_up_are_never_believed(count: int) -> None:
    # Seven answers are a cycle's, fifteen those of a cycle in which sense wires are tested.
    bench = Bench()
    bench.driver.read()
    late = Delay("chain", count)
    bench.pack.wire.append(late)
    for _ in range(70):
        reading = bench.driver.read()
        assert np.isnan(reading.frame.cell_voltage_volt).all()
        assert np.isnan(reading.frame.cell_temperature_celsius).all()
        assert reading.monitors.frame_error_count.min() > 0
    bench.pack.wire.clear()
    bench.driver.read()
    assert bench.driver.read().monitors.frame_error_count.tolist() == [0, 0]


def test_a_chain_that_falls_silent_ages_chip_by_chip() -> None:
    bench = Bench()
    bench.driver = emulate(bench.pack, port_count=1)
    bench.connect()
    bench.pack.cut_links.add(1)
    for age in (0.1, 0.2):
        reading = bench.driver.read()
        assert reading.monitors.broken_link == 1
        assert reading.monitors.age_second.tolist() == pytest.approx([0.0, age])
        assert np.isnan(reading.frame.cell_voltage_volt).tolist() == [False] * 12 + [True] * 4


def test_a_chain_broken_from_the_start_ages_from_the_start() -> None:
    bench = Bench()
    bench.pack.cut_links.add(0)
    bench.driver = emulate(bench.pack, port_count=1)
    first, second = bench.driver.read(), bench.driver.read()
    assert first.monitors.age_second.tolist() == [0.0, 0.0]
    assert second.monitors.age_second.tolist() == pytest.approx([0.1, 0.1])


def test_a_command_reaches_coils_bleeders_and_charger() -> None:
    bench = Bench()
    bench.connect()
    charge = replace(
        DRIVE,
        charge_voltage_volt=66.0,
        charge_current_ampere=20.0,
        balance=tuple(cell == 13 for cell in range(16)),
    )
    bench.pack.outside = Outside(charger_connected=True)
    for _ in range(3):
        bench.driver.write(charge)
        reading = bench.driver.read()
    assert reading.frame.current_ampere == pytest.approx(20.0, abs=0.2)
    felt = bench.pack.state.twin.command
    assert felt is not None
    assert felt.balance == charge.balance
    bench.driver.write(Command(OPEN, 0.0, 0.0))
    reading = bench.driver.read()
    assert reading.inputs.plus_feedback_closed is False
    assert not bench.pack.contactors_really_closed


def test_a_board_that_hears_nothing_opens_by_itself_and_one_that_does_stays_closed() -> None:
    bench = Bench()
    bench.connect()
    for _ in range(20):
        bench.driver.write(DRIVE)
        bench.driver.read()
    assert bench.pack.contactors_really_closed
    quiet = 0.0
    while bench.pack.contactors_really_closed:
        before = bench.pack.second
        bench.driver.read()
        quiet += bench.pack.second - before
    assert WATCHDOG_SECOND < quiet < WATCHDOG_SECOND + 0.3


def test_orders_that_are_spoilt_or_repeated_do_not_keep_a_board_closed() -> None:
    for spoil in (Flip("order", (20,)), Repeat("order", When(0.5)), Drop("order")):
        bench = Bench()
        bench.connect()
        bench.pack.wire.append(spoil)
        for _ in range(12):
            bench.driver.write(DRIVE)
            bench.driver.read()
        assert not bench.pack.contactors_really_closed


def test_what_is_not_fitted_is_not_read() -> None:
    board = Board(has_second_current=False, has_insulation_monitor=False, has_interlock=False)
    inputs = Bench(EmulatedPack(Hardware(TWIN, board))).driver.read().inputs
    assert math.isnan(inputs.second_current_ampere)
    assert math.isnan(inputs.insulation_ohm)
    assert inputs.interlock_closed is None


def test_a_second_monitor_reads_the_same_cells_by_itself() -> None:
    board = Board(has_second_monitor=True, has_gas_sensor=True)
    reading = Bench(EmulatedPack(Hardware(TWIN, board))).driver.read()
    second = reading.monitors.second_cell_voltage_volt
    assert second is not None
    assert np.allclose(second, reading.frame.cell_voltage_volt, atol=0.02)
    assert not np.array_equal(second, reading.frame.cell_voltage_volt)
    assert reading.inputs.gas_fraction == 0.0


def test_a_reference_that_drifts_shows_in_the_second_and_moves_the_cells() -> None:
    bench = Bench()
    good = bench.driver.read()
    bench.pack.outside = Outside(damage=Damage(reference_error_fraction=((0, 0.01),)))
    bad = bench.driver.read()
    assert good.monitors.reference_volt.tolist() == pytest.approx([3.0, 3.0])
    assert bad.monitors.reference_volt.tolist() == pytest.approx([3.0 / 1.01, 3.0], abs=1e-4)
    ratio = bad.frame.cell_voltage_volt / good.frame.cell_voltage_volt
    assert ratio[:12] == pytest.approx(1.0 / 1.01, abs=0.002)
    assert ratio[12:] == pytest.approx(1.0, abs=0.002)


@pytest.mark.parametrize(("error", "read"), [(0.01, True), (0.05, False), (-0.05, False)])
def test_a_board_whose_reference_is_off_gives_no_volts_and_amperes(
    *, error: float, read: bool
) -> None:
    bench = Bench()
    bench.driver.read()
    bench.pack.outside = Outside(damage=Damage(board_reference_error_fraction=error))
    reading = bench.driver.read()
    inputs = reading.inputs
    for value in (
        reading.frame.voltage_volt,
        reading.frame.current_ampere,
        inputs.link_voltage_volt,
        inputs.second_current_ampere,
    ):
        assert math.isfinite(value) == read
    assert inputs.voltage_age_second == pytest.approx(0.0 if read else 0.1)
    assert inputs.coolant_temperature_celsius == pytest.approx(29.0, abs=0.5)  # a ratio
    assert inputs.plus_feedback_closed is False


def test_an_open_wire_and_a_lost_sensor_are_named_and_not_read() -> None:
    bench = Bench()
    bench.pack.outside = Outside(
        damage=Damage(open_wires=frozenset({(1, 2)}), lost_sensors=frozenset({4}))
    )
    reading = bench.driver.read()
    assert np.flatnonzero(reading.monitors.open_wire).tolist() == [13, 14]
    assert np.flatnonzero(np.isnan(reading.frame.cell_temperature_celsius)).tolist() == [4]
    assert bench.driver.sensor_cells[4] == 8


def test_converters_pass_their_self_test() -> None:
    assert Bench().driver.test_converters().tolist() == [True, True]


def test_the_pack_has_the_face_that_the_agent_reads() -> None:
    driver: Driver = BoardFrames(Bench().driver)
    driver.write(Command(OPEN, 0.0, 0.0))
    frames = driver.read(5)
    assert frames is not None
    assert len(frames) == 5
    assert frames.cell_voltage_volt.shape == (5, 16)
    assert np.all(np.diff(frames.unix_time_second) > 0.0)
    assert driver.position() == b""


def test_what_the_agent_reads_of_the_wires_is_what_the_hub_stores(tmp_path: Path) -> None:
    maker = fleet().maker("pack-1")
    device = maker.device(fleet().note_key)
    bench = Bench(EmulatedPack(Hardware(replace(TWIN, start_unix_time_second=NOW - 1000.0))))
    bench.pack.wire.append(Flip("board", (40,), When(0.25, 0.35)))
    outbox = Outbox(tmp_path / "outbox.sqlite", bytes(32))
    agent = Agent(device, BoardFrames(bench.driver), outbox, batch_frames=5)
    with fleet().open(tmp_path) as hub:
        assert agent.step()
        sender = Sender(
            device, outbox, CallTransport(lambda bodies: hub.send_bytes(maker, *bodies))
        )
        assert sender.step() == 1
        (leaf,) = hub.store.rows("SELECT leaf_index FROM batch WHERE device = 'pack-1'")[0]
        frames = read_batches(hub.store, leaf, leaf)[leaf]
    outbox.close()
    assert frames.cell_voltage_volt.shape == (5, 16)
    given = bench.pack.signals
    assert given is not None
    assert np.allclose(frames.cell_voltage_volt[-1], given.cell_voltage_volt, atol=51e-6)
    assert np.isnan(frames.current_ampere).tolist() == [False, False, True, False, False]
