"""A reading over the bus, as a control cycle gets it."""

import time
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import CLOSED, Board, Command, Inputs, Monitors, Reading, Request
from cellwarden.edge.drivers.can_bus import PythonCanBus
from cellwarden.edge.drivers.can_messages import decode_command
from cellwarden.edge.drivers.can_pack import CanPack, encode_reading, encode_request
from cellwarden.edge.drivers.memory import MemoryBus
from cellwarden.edge.drivers.polled import Layout
from cellwarden.errors import DataError, UnavailableError
from edge.carried import frame

LAYOUT = Layout(14, 2)
BOARD = Board(has_second_monitor=True)
MAYBE = st.sampled_from([None, True, False])
STATES = [field.name for field in fields(Inputs) if "bool | None" in str(field.type)]


def monitors(**changed: object) -> Monitors:
    told: dict[str, object] = {
        "frame_error_count": np.array([0, 3]),
        "reference_volt": np.array([3.0012, np.nan]),
        "age_second": np.array([0.02, 0.5]),
        "open_wire": np.arange(14) % 5 == 2,
        "second_cell_voltage_volt": 3.65 + 0.0012 * np.arange(14),
        "broken_link": 1,
    }
    return Monitors(**{**told, **changed})  # type: ignore[arg-type]


def reading(inputs: Inputs | None = None, **changed: object) -> Reading:
    return Reading(0.0, frame(), monitors(**changed), inputs or Inputs())


def pack(board: Board = BOARD) -> tuple[MemoryBus, CanPack]:
    bus = MemoryBus(1000.0)
    return bus, CanPack(bus, LAYOUT, board, steady=lambda: 77.0)


def test_everything_that_a_cycle_looks_at_arrives() -> None:
    bus, can = pack()
    inputs = Inputs(
        link_voltage_volt=50.9,
        second_current_ampere=12.1,
        insulation_ohm=512_000.0,
        gas_fraction=0.0021,
        coolant_temperature_celsius=-12.5,
        plus_feedback_closed=True,
        minus_feedback_closed=False,
        interlock_closed=True,
        memory_intact=False,
        clock_error_second=-1.25,
    )
    bus.say([*encode_reading(reading(inputs), 1), encode_request(Request.CHARGE, 1)])
    got = can.read()
    assert got.clock_second == 77.0
    assert got.frame.current_ampere == pytest.approx(12.3)
    for name in ("link_voltage_volt", "second_current_ampere", "insulation_ohm", "gas_fraction"):
        assert getattr(got.inputs, name) == pytest.approx(getattr(inputs, name)), name
    assert got.inputs.coolant_temperature_celsius == pytest.approx(-12.5)
    assert got.inputs.clock_error_second == pytest.approx(-1.25)
    assert got.inputs.request is Request.CHARGE
    assert got.inputs.bus_error_count == 0
    sent = monitors()
    assert np.array_equal(got.monitors.open_wire, sent.open_wire)
    assert np.array_equal(got.monitors.frame_error_count, sent.frame_error_count)
    assert got.monitors.reference_volt == pytest.approx(sent.reference_volt, nan_ok=True)
    assert got.monitors.age_second == pytest.approx(sent.age_second)
    assert got.monitors.broken_link == 1
    assert got.monitors.second_cell_voltage_volt == pytest.approx(sent.second_cell_voltage_volt)


@given(states=st.fixed_dictionaries(dict.fromkeys(STATES, MAYBE)), link=st.booleans())
@settings(max_examples=40, deadline=None)
def test_open_closed_and_not_known_stay_apart(
    states: dict[str, bool | None], *, link: bool
) -> None:
    assert len(states) == 7
    bus, can = pack()
    inputs = Inputs(**states, link_voltage_volt=1.0 if link else np.nan)  # type: ignore[arg-type]
    bus.say(encode_reading(reading(inputs, broken_link=None), 1))
    got = can.read()
    assert {name: getattr(got.inputs, name) for name in STATES} == states
    assert np.isnan(got.inputs.link_voltage_volt) == (not link)
    assert got.monitors.broken_link is None


def test_what_is_stale_is_not_known_and_its_age_grows() -> None:
    bus, can = pack()
    inputs = Inputs(plus_feedback_closed=True, link_voltage_volt=50.0)
    bus.say([*encode_reading(reading(inputs), 0), encode_request(Request.CONNECT, 0)])
    can.read()
    bus.unix_time_second += 0.45
    assert can.read().inputs.request is Request.CONNECT
    for count in range(1, 8):
        bus.unix_time_second += 0.1
        alive = encode_reading(reading(Inputs()), count)
        bus.say(sent for sent in alive if sent.number in {0x220, 0x225})
        got = can.read()
    assert got.inputs.request is None
    assert got.inputs.plus_feedback_closed is None
    assert np.isnan(got.inputs.link_voltage_volt)
    assert np.isnan(got.frame.cell_voltage_volt).all()
    assert got.inputs.voltage_age_second == pytest.approx(1.15)
    assert got.inputs.current_age_second == pytest.approx(1.15)
    assert got.inputs.request_age_second == pytest.approx(1.15)
    assert np.isfinite(got.monitors.age_second).all()


def test_a_silent_pack_is_unavailable_and_another_pack_is_refused() -> None:
    bus, can = pack()
    bus.say(encode_reading(reading(), 1))
    can.read()
    bus.unix_time_second += 0.6
    with pytest.raises(UnavailableError, match="silent"):
        can.read()
    bus.say(encode_reading(replace(reading(), frame=frame(cell_voltage_volt=np.ones(20))), 2))
    with pytest.raises(DataError, match="20 cells"):
        can.read()


def test_damaged_frames_are_counted_in_their_cycle() -> None:
    bus, can = pack()
    bus.say(encode_reading(reading(), 1))
    can.read()
    bad = [replace(sent, data=b"\1" + sent.data[1:]) for sent in encode_reading(reading(), 2)][:2]
    bus.say(bad)
    assert can.read().inputs.bus_error_count == 2
    assert can.read().inputs.bus_error_count == 0


def test_a_cycle_never_waits_even_where_the_bus_babbles() -> None:
    with PythonCanBus("virtual", "pack") as one, PythonCanBus("virtual", "pack") as other:
        can = CanPack(one, LAYOUT, BOARD)
        for sent in encode_reading(reading(), 1):
            other.send(sent)
        can.read()
        began = time.monotonic()
        for _ in range(20):
            can.read()
            can.write(Command(CLOSED, 5.0, 5.0))
        assert time.monotonic() - began < 2.0
        heard = []
        while len(heard) < 2:
            sent_back = other.hear(1.0)
            assert sent_back is not None
            heard.append(sent_back)
        assert decode_command(heard, 14).high_charge_current_ampere == pytest.approx(5.0)
