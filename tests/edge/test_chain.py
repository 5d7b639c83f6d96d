from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from cellwarden.edge.drivers import register
from cellwarden.edge.drivers.chain import Chain
from cellwarden.edge.drivers.chips import Chips
from cellwarden.errors import UsageError

CELLS, SENSORS = (12, 12, 12, 5), (6, 6, 6, 5)
VOLTS = 3.0 + 0.01 * np.arange(41)


@dataclass
class Loom:
    """Chips behind a cable that can be cut, with what happens to the bytes on it."""

    chips: Chips = field(default_factory=lambda: Chips(CELLS, SENSORS))
    cut: set[int] = field(default_factory=set)
    alter: Callable[[bytes, bytes], bytes] = lambda _request, reply: reply
    hear: Callable[[bytes], bytes] = lambda request: request

    def exchange(self, request: bytes, reply_byte_count: int, port: int = 0) -> bytes:
        reply = self.chips.answer(self.hear(request), port, self.cut)[:reply_byte_count]
        return self.alter(request, reply)

    def show(self, volts: np.ndarray, *open_wires: tuple[int, int]) -> None:
        wires = np.zeros((len(CELLS), 19), dtype=bool)
        for chip, wire in open_wires:
            wires[chip, wire] = True
        self.chips.show(
            self.chips.cells(np.rint(volts / 1e-4).astype(np.int64)),
            self.chips.sensors(np.full(sum(SENSORS), 30_000)),
            np.array([30_000, 30_010, 29_990, 30_000]),
            wires,
        )


def chain(ports: int = 1) -> tuple[Loom, Chain]:
    loom = Loom()
    loom.show(VOLTS)
    return loom, Chain(loom, CELLS, SENSORS, ports)


def test_a_whole_chain_gives_every_cell_sensor_and_reference() -> None:
    _, driver = chain()
    for _ in range(150):  # the counters go round
        read = driver.measure()
        assert np.allclose(read.cell_voltage_volt, VOLTS, atol=1e-9)
    assert len(read.sensor_ratio) == sum(SENSORS)
    assert read.reference_volt.tolist() == pytest.approx([3.0, 3.001, 2.999, 3.0])
    assert read.frame_error_count.tolist() == [0, 0, 0, 0]
    assert read.broken_link is None
    assert not read.open_wire.any()


@pytest.mark.parametrize("link", [0, 1, 2, 3])
def test_a_broken_link_is_named_and_what_lies_behind_it_has_no_reading(link: int) -> None:
    loom, driver = chain()
    driver.measure()
    loom.cut.add(link)
    read = driver.measure()
    assert read.broken_link == link
    assert np.isnan(read.cell_voltage_volt).tolist() == [cell >= 12 * link for cell in range(41)]
    assert (read.frame_error_count > 0).tolist() == [chip >= link for chip in range(4)]


@pytest.mark.parametrize("link", [0, 1, 2, 3])
def test_with_two_ports_the_chain_is_whole_again_a_cycle_later(link: int) -> None:
    loom, driver = chain(2)
    driver.measure()
    loom.cut.add(link)
    driver.measure()
    for shift in (0.0, 0.1):  # new values arrive, not those from before the break
        loom.show(VOLTS + shift)
        read = driver.measure()
        assert np.allclose(read.cell_voltage_volt, VOLTS + shift, atol=1e-9)
        assert read.frame_error_count.tolist() == [0, 0, 0, 0]
        assert read.broken_link == link
    loom.cut.clear()
    driver.measure()
    read = driver.measure()
    assert read.broken_link is None
    assert read.whole.all()


def test_a_dead_chip_between_two_breaks_is_the_only_one_without_readings() -> None:
    loom, driver = chain(2)
    loom.cut |= {1, 2}
    driver.measure()
    read = driver.measure()
    assert read.broken_link == 1
    assert np.isnan(read.cell_voltage_volt).tolist() == [12 <= cell < 24 for cell in range(41)]


def test_a_flipped_bit_costs_the_frame_it_is_in_and_no_other() -> None:
    loom, driver = chain()
    code = register.CELL_GROUPS[1]

    def flip(request: bytes, reply: bytes) -> bytes:
        if request[:2] != code.to_bytes(2, "big"):
            return reply
        return bytes([reply[0] ^ 0x10]) + reply[1:]

    loom.alter = flip
    read = driver.measure()
    assert np.isnan(read.cell_voltage_volt).tolist() == [3 <= cell < 6 for cell in range(41)]
    assert read.frame_error_count.tolist() == [1, 0, 0, 0]
    loom.alter = lambda _request, reply: reply
    assert driver.measure().whole.all()


def test_a_chip_that_missed_the_command_to_convert_shows_nothing_old() -> None:
    loom, driver = chain()
    driver.measure()
    convert = register.command(register.ADCV)
    loom.hear = lambda request: b"\x00" + request[1:] if request == convert else request
    loom.show(VOLTS + 0.1)
    read = driver.measure()  # every chip still holds what was there before
    assert np.isnan(read.cell_voltage_volt).all()
    assert read.frame_error_count.min() > 0
    loom.hear = lambda request: request
    assert np.allclose(driver.measure().cell_voltage_volt, VOLTS + 0.1, atol=1e-9)


def test_the_answers_of_an_earlier_cycle_are_refused_as_often_as_they_come() -> None:
    loom, driver = chain()
    kept: dict[bytes, bytes] = {}
    loom.alter = kept.setdefault
    assert driver.measure().whole.all()
    for _ in range(3):
        read = driver.measure()
        assert np.isnan(read.cell_voltage_volt).all()
        assert not read.whole.any()


def test_a_chip_that_was_reset_is_refused_once() -> None:
    loom, driver = chain()
    driver.measure()
    loom.chips.answer(register.command(register.RESET_COUNTER), 0, set())
    assert not driver.measure().whole.any()
    assert driver.measure().whole.all()


@pytest.mark.parametrize(
    ("wire", "cells"), [(0, [0]), (1, [0, 1]), (7, [6, 7]), (11, [10, 11]), (12, [11])]
)
@pytest.mark.parametrize("chip", [0, 2])
def test_an_open_sense_wire_is_found_with_the_cells_that_it_spoils(
    chip: int, wire: int, cells: list[int]
) -> None:
    loom, driver = chain()
    loom.show(VOLTS, (chip, wire))
    driver.test_wires()
    read = driver.measure()
    spoilt = [12 * chip + cell for cell in cells]
    assert np.flatnonzero(read.open_wire).tolist() == spoilt
    assert np.flatnonzero(np.isnan(read.cell_voltage_volt)).tolist() == spoilt
    loom.show(VOLTS)
    driver.test_wires()
    assert not driver.measure().open_wire.any()


def test_a_cell_without_voltage_is_read_as_that_and_not_taken_for_an_open_wire() -> None:
    loom, driver = chain()
    for cell in (0, 5, 11, 40):
        dead = VOLTS.copy()
        dead[cell] = 0.0
        loom.show(dead)
        driver.test_wires()
        read = driver.measure()
        assert not read.open_wire.any()
        assert read.cell_voltage_volt[cell] == 0.0


def test_the_top_wire_of_a_chip_with_few_cells_is_tested_too() -> None:
    loom, driver = chain()
    loom.show(VOLTS, (3, 5))
    driver.test_wires()
    assert np.flatnonzero(driver.measure().open_wire).tolist() == [40]


def test_a_chip_that_is_silent_during_the_test_keeps_what_was_found() -> None:
    loom, driver = chain()
    loom.show(VOLTS, (3, 2))
    driver.test_wires()
    loom.show(VOLTS)
    loom.cut.add(2)
    driver.test_wires()
    assert np.flatnonzero(driver.measure().open_wire).tolist() == [37, 38]


def test_converters_give_their_pattern_and_a_silent_chip_does_not_pass() -> None:
    loom, driver = chain()
    assert driver.test_converters().all()
    loom.cut.add(3)
    assert driver.test_converters().tolist() == [True, True, True, False]


@pytest.mark.parametrize("port", [0, 1])
def test_bleeders_are_those_that_were_asked_for_from_either_end(port: int) -> None:
    loom, driver = chain(2)
    if port:
        loom.cut.add(0)  # everything is reached from the far end
        driver.measure()
    wanted = np.arange(41) % 3 == 1
    driver.balance(wanted)
    assert loom.chips.bleeding.tolist() == wanted.tolist()


def test_a_chip_cannot_have_more_inputs_than_there_are() -> None:
    for cells, sensors in (((19,), (0,)), ((12,), (10,)), ((), ())):
        with pytest.raises(UsageError):
            Chain(Loom(), cells, sensors)
