"""The loop's control is the pure cycle, with the pack's own bounds under every order."""

from dataclasses import replace

import pytest

from cellwarden.domain import FREE, Curb, Ordered, Request
from cellwarden.edge.carryover import Carryover
from cellwarden.edge.control_loop import Decision
from cellwarden.edge.device_config import Described, DeviceConfig, DriverPart, PackPart
from cellwarden.edge.live import Asking, open_live
from cellwarden.edge.logbook import Logbook
from cellwarden.edge.medium import MemoryMedium
from cellwarden.errors import UsageError
from edge.test_device_config import PROTECTOR, pack

KEY = bytes(range(32))


def run(
    config: DeviceConfig, count: int, ordered: Ordered = FREE
) -> tuple[Described, list[Decision]]:
    told = config.described("pack-1")
    live, decisions = open_live(config, told), []
    for _ in range(count):
        decision = told.control(live.read(), None, ordered)
        live.write(decision.command)
        decisions.append(decision)
    return told, decisions


def test_a_pack_connects_and_each_change_of_mode_is_told_once() -> None:
    described, decisions = run(DeviceConfig(PackPart("NMC", 50.0, 12)), 30)
    assert decisions[-1].state == "connected"
    assert decisions[-1].command.contactors.closed
    status = described.control.standing.take()
    assert status is not None
    assert len(status.moves) == sum(decision.changed for decision in decisions)
    assert ("precharge", "connected") in [(one.source, one.target) for one in status.moves]
    assert status.mode == "connected"
    again = described.control.standing.take()
    assert again is not None
    assert again.moves == ()


def test_the_packs_own_bounds_hold_under_every_order() -> None:
    config = pack(high_charge_current_ampere=3.0, high_soc_fraction=0.8)
    for ordered, charge, discharge in (
        (FREE, 3.0, 150.0),
        (Ordered(Curb(40.0, 40.0)), 3.0, 40.0),
        (Ordered(Curb(1.0)), 1.0, 150.0),
    ):
        _, decisions = run(config, 30, ordered)
        for decision in decisions:
            assert decision.command.high_charge_current_ampere <= charge
            assert decision.command.high_discharge_current_ampere <= discharge


def test_a_protector_that_is_tighter_than_the_table_is_refused() -> None:
    DeviceConfig(PackPart("NMC", 50.0, 12), PROTECTOR).described("pack-1")
    tight = type(PROTECTOR)(**{**_fields(PROTECTOR), "high_voltage_volt": 4.2})
    with pytest.raises(UsageError, match="protector"):
        DeviceConfig(PackPart("NMC", 50.0, 12), tight).described("pack-1")


def _fields(part: object) -> dict[str, float]:
    return {name: getattr(part, name) for name in part.__struct_fields__}  # type: ignore[attr-defined]


HOT = DeviceConfig(
    PackPart("NMC", 50.0, 12),
    driver=DriverPart(options={"ambient_temperature_celsius": 72.0, "ambient_swing_celsius": 0.0}),
)
SOUND = DeviceConfig(PackPart("NMC", 50.0, 12))


def carried(config: DeviceConfig, carryover: Carryover, count: int = 60) -> list[Decision]:
    """A run of a device that keeps what it must."""
    told = config.described("pack-1")
    told.control.carryover = carryover
    live, decisions = open_live(config, told), []
    for _ in range(count):
        decision = told.control(live.read(), None, FREE)
        live.write(decision.command)
        carryover.settle()
        decisions.append(decision)
    return decisions


def test_a_restart_clears_no_latched_fault_and_a_reset_does() -> None:
    disk = MemoryMedium(Logbook.byte_count())
    first = carried(HOT, Carryover(Logbook(disk, KEY), 12), 90)
    assert first[-1].state == "error"
    for cut in (1, 2):  # a second restart forgets nothing either
        disk.cut_power(cut)
        again = Carryover(Logbook(disk, KEY), 12)
        assert "discharge_temperature_high_maximum" in again.found.latched
        decisions = carried(SOUND, again)
        assert decisions[-1].state == "error"
        assert not any(one.command.contactors.any_closed for one in decisions)
        names = [trouble.name for trouble in decisions[-1].troubles]
        assert "machine.discharge_temperature_high_maximum" in names
        assert len(names) == len(set(names))
    told = SOUND.described("pack-1")
    told.control.carryover = again = Carryover(Logbook(disk, KEY), 12)
    live = open_live(SOUND, told)
    for count in range(60):
        asked = Request.RESET if count == 20 else Request.STANDBY
        decision = told.control(Asking(live.pack, asked).read(), None, FREE)
        live.write(decision.command)
        again.settle()
    assert decision.state == "standby"
    disk.cut_power(3)
    assert Carryover(Logbook(disk, KEY), 12).found.latched == ()


def test_a_memory_with_a_hole_keeps_the_pack_open_until_a_person_resets_it() -> None:
    disk = MemoryMedium(Logbook.byte_count())
    book = Logbook(disk, KEY)
    places = []
    for number in range(3):
        places.append(len(disk.read().rstrip(b"\0")))
        book.record("event", b"number %d" % number)
    disk.flip(8 * (places[1] + 40))
    told = SOUND.described("pack-1")
    told.control.carryover = carryover = Carryover(Logbook(disk, KEY), 12)
    live = open_live(SOUND, told)
    states = []
    for count in range(330):
        # The first reset acknowledges the memory, the second ends the fault that was there for it.
        asked = Request.RESET if count in {120, 200} else Request.STANDBY
        if count > 230:
            asked = Request.CONNECT
        decision = told.control(Asking(live.pack, asked).read(), None, FREE)
        live.write(decision.command)
        carryover.settle()
        states.append(decision.state)
        if count == 100:
            assert "memory_damaged" in {trouble.name for trouble in decision.troubles}
    assert states[119] == "error"
    assert states[-1] == "connected"


def test_what_is_known_of_the_clock_is_a_reading_and_the_worse_of_two_counts() -> None:
    told = SOUND.described("pack-1")
    told.control.clock_error = lambda: 5.0
    live = open_live(SOUND, told)
    for _ in range(20):
        decision = told.control(live.read(), None, FREE)
    assert "clock_error" in {trouble.name for trouble in decision.troubles}
    told = SOUND.described("pack-1")
    for _ in range(20):
        reading = live.read()
        inputs = replace(reading.inputs, clock_error_second=-9.0)
        decision = told.control(replace(reading, inputs=inputs), None, FREE)
    assert "clock_error" in {trouble.name for trouble in decision.troubles}
