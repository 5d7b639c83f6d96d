from dataclasses import replace

import numpy as np
import pytest

from cellwarden.domain import CLOSED, Command, Contactors, Frame
from cellwarden.edge.drivers import can_table as table
from cellwarden.edge.drivers.can_messages import decode_command, encode_command, encode_pack
from cellwarden.edge.drivers.can_probe import CanProbe
from cellwarden.edge.drivers.line import BusFrame
from cellwarden.edge.drivers.memory import MemoryBus
from cellwarden.edge.drivers.polled import Layout
from cellwarden.errors import DataError, UnavailableError
from edge.carried import frame

LAYOUT = Layout(14, 2)


def probe(*, period: float = 0.1) -> tuple[MemoryBus, CanProbe]:
    bus = MemoryBus(1000.0)
    return bus, CanProbe(bus, LAYOUT, period_second=period)


def without(number: int, shown: Frame, count: int) -> list[BusFrame]:
    return [sent for sent in encode_pack(shown, count) if sent.number != number]


def test_what_is_no_longer_heard_becomes_missing_and_not_old() -> None:
    bus, can = probe()
    bus.say(encode_pack(frame(), 0))
    assert can.sample().current_ampere == pytest.approx(12.3)
    for count in range(1, 8):
        bus.say(without(table.CURRENT.number, frame(), count))
        last = can.sample()
    assert np.isnan(last.current_ampere)
    assert last.voltage_volt == pytest.approx(51.234)


def test_a_sender_that_repeats_itself_is_not_heard_anew() -> None:
    bus, can = probe()
    for _ in range(8):
        bus.say(encode_pack(frame(), 5))
        last = can.sample()
    assert np.isnan(last.current_ampere)
    assert np.isnan(last.voltage_volt)


def test_a_damaged_frame_refreshes_nothing_and_is_counted() -> None:
    bus, can = probe()
    bus.say(encode_pack(frame(), 0))
    can.sample()
    for count in range(1, 8):
        bus.say(
            replace(sent, data=bytes([sent.data[0] ^ 1, *sent.data[1:]]))
            for sent in encode_pack(frame(), count)
        )
        last = can.sample()
    assert can.refused_count > 50
    assert isinstance(can.trouble, DataError)
    assert np.isnan(last.voltage_volt)
    assert np.isnan(last.cell_voltage_volt).all()


def test_a_silent_bus_is_unavailable() -> None:
    _, can = probe(period=6.0)
    with pytest.raises(UnavailableError):
        [can.sample() for _ in range(3)]


def test_others_on_the_bus_are_left_alone() -> None:
    bus, can = probe()
    bus.say([BusFrame(0x123, b"\1\2"), *encode_command(Command(CLOSED, 1.0, 1.0), 0)])
    can.sample()
    assert can.refused_count == 0


def test_another_pack_is_refused() -> None:
    bus, can = probe()
    bus.say(encode_pack(frame(cell_voltage_volt=np.full(13, 3.7)), 0))
    with pytest.raises(DataError, match="13 cells and 2 sensors, not 14 and 2"):
        can.sample()


def test_a_command_arrives_as_it_was_given() -> None:
    bus, can = probe()
    told = Command(
        Contactors(plus_closed=False, minus_closed=True, precharge_closed=True),
        12.5,
        80.0,
        tuple(place % 5 == 0 for place in range(120)),
        0.5,
        58.8,
        40.0,
    )
    can.obey(told)
    heard = decode_command(bus.sent, 120)
    assert heard.contactors == told.contactors
    assert heard.balance == told.balance
    assert heard.charge_voltage_volt == pytest.approx(58.8)
    assert heard.cooling_fraction == 0.5


def test_what_does_not_fit_a_message_is_missing_and_stops_nothing() -> None:
    bus, can = probe()
    volts = np.full(14, 3.7)
    volts[:3] = [-0.2, 7.0, np.inf]
    shown = frame(cell_voltage_volt=volts, current_ampere=1e9, humidity_fraction=2.0)
    bus.say(encode_pack(shown, 0))
    got = can.sample()
    assert list(np.isnan(got.cell_voltage_volt[:4])) == [True, True, True, False]
    assert np.isnan(got.current_ampere)
    assert got.humidity_fraction is None
    assert got.voltage_volt == pytest.approx(51.234)
