"""What every wire of a pack keeps: bytes come back, spoilt ones are refused, nothing breaks."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cellwarden.domain import OPEN, Board, Command
from cellwarden.edge.drivers import register
from cellwarden.edge.drivers.board import BoardDriver, Ports, Wiring
from cellwarden.edge.drivers.chain import Chain
from cellwarden.edge.drivers.disturb import Delay, Drop, Flip, Repeat, When
from cellwarden.edge.drivers.emulated import EmulatedPack, emulate
from cellwarden.edge.drivers.signals import ANALOGUE, ORDER, SWITCHES, receive
from cellwarden.errors import DataError, UnavailableError
from cellwarden.physics import TwinConfig
from cellwarden.physics.hardware import Hardware

LAYOUTS = (ANALOGUE, SWITCHES, ORDER)
CODES = sorted(register.READS)
_REST = ANALOGUE.byte_count - 1


@dataclass
class Noise:
    """Wires on which anything may come."""

    replies: list[bytes]
    frames: list[bytes] = field(default_factory=list)
    second: float = 0.0
    asked: int = 0

    def exchange(self, request: bytes, reply_byte_count: int, port: int = 0) -> bytes:
        assert request
        assert port in {0, 1}
        self.asked += 1
        return self.replies[self.asked % len(self.replies)] if reply_byte_count else b""

    def receive(self) -> list[bytes]:
        return self.frames

    def send(self, frame: bytes) -> None:
        assert len(frame) == ORDER.byte_count

    def tick(self) -> float:
        self.second += 0.1
        return self.second

    def wall(self) -> float:
        return self.second


@given(
    data=st.data(),
    code=st.sampled_from(CODES),
    chips=st.integers(1, 20),
)
def test_register_groups_come_back_from_their_frames(
    data: st.DataObject, code: int, chips: int
) -> None:
    words = st.lists(st.integers(0, 65_535), min_size=3, max_size=3)
    values = np.array(data.draw(st.lists(words, min_size=chips, max_size=chips)))
    counter = np.array(data.draw(st.lists(st.integers(0, 1023), min_size=chips, max_size=chips)))
    sent = register.frames(code, values.astype(np.uint16), counter).tobytes()
    assert len(sent) == chips * register.FRAME_BYTES
    read = register.check([code], [sent], chips)
    assert read.whole.all()
    assert np.array_equal(read.values[0], values)
    assert np.array_equal(read.counter[0], counter)


@pytest.mark.parametrize("code", CODES)
@given(
    values=st.lists(st.integers(0, 65_535), min_size=3, max_size=3), counter=st.integers(0, 1023)
)
@settings(max_examples=5, deadline=None)
def test_a_frame_with_any_one_or_two_bits_inverted_is_refused(
    code: int, values: list[int], counter: int
) -> None:
    sent = register.frames(code, np.array([values], dtype=np.uint16), np.array([counter]))[0]
    bits = np.eye(8 * len(sent), dtype=np.uint8)
    first, second = np.triu_indices(len(bits))
    spoilt = np.where((first == second)[:, None], bits[first], bits[first] | bits[second])
    rows = sent ^ np.packbits(spoilt, axis=1)
    assert not register.check([code], [rows.tobytes()], len(rows)).whole.any()
    assert register.check([code], [sent.tobytes()], 1).whole.all()


@given(
    code=st.sampled_from(CODES),
    start=st.integers(0, 79),
    pattern=st.integers(1, 2**15 - 1),
    values=st.lists(st.integers(0, 65_535), min_size=3, max_size=3),
)
def test_a_burst_of_up_to_fifteen_bits_is_refused(
    code: int, start: int, pattern: int, values: list[int]
) -> None:
    sent = register.frames(code, np.array([values], dtype=np.uint16), np.array([9]))[0].tobytes()
    whole = int.from_bytes(sent, "big")
    spoilt = whole ^ (pattern << start) % (1 << 8 * len(sent))
    if spoilt != whole:
        read = register.check([code], [spoilt.to_bytes(len(sent), "big")], 1)
        assert not read.whole.any()


@given(data=st.data())
def test_a_board_frame_with_any_one_bit_inverted_is_refused(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(LAYOUTS))
    codes = {one.name: data.draw(st.integers(*one.range)) for one in layout.fields}
    frame = layout.encode(codes, data.draw(st.integers(0, 255)))
    for bit in range(8 * len(frame)):
        spoilt = bytearray(frame)
        spoilt[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DataError):
            receive(bytes(spoilt), LAYOUTS)


@given(st.binary(max_size=64))
def test_random_bytes_give_a_data_error_and_nothing_else(message: bytes) -> None:
    for read in (lambda: receive(message, LAYOUTS), lambda: register.parse_command(message)):
        with pytest.raises(DataError):
            read()


@given(st.lists(st.binary(max_size=80), min_size=1, max_size=8))
@settings(deadline=None)
def test_a_chain_that_hears_noise_gives_no_reading_and_goes_on(replies: list[bytes]) -> None:
    chain = Chain(Noise(replies), (12, 5), (6, 5), 2)
    for _ in range(3):
        chain.test_wires()
        read = chain.measure()
        assert np.isnan(read.cell_voltage_volt).all()
        assert np.isnan(read.sensor_ratio).all()
        assert read.frame_error_count.min() > 0
        assert not read.open_wire.any()
        assert not chain.test_converters().any()


DISTURBED = st.one_of(
    st.builds(
        Flip,
        st.sampled_from(["chain", "second_chain", "board", "order"]),
        st.lists(st.integers(0, 300), min_size=1, max_size=2, unique=True).map(tuple),
        st.builds(When, st.floats(0.0, 1.0), st.floats(1.0, 2.0)),
        st.one_of(st.none(), st.sampled_from(sorted(register.READS | register.COUNTED))),
    ),
    st.builds(
        Drop,
        st.sampled_from(["chain", "second_chain", "board", "order"]),
        st.builds(When, st.floats(0.0, 1.0), st.floats(1.0, 2.0)),
        st.one_of(st.none(), st.sampled_from(sorted(register.READS))),
    ),
    st.builds(
        Repeat,
        st.sampled_from(["chain", "second_chain", "board"]),
        st.builds(When, st.floats(0.0, 1.0), st.floats(1.0, 2.0)),
    ),
    st.builds(
        lambda count, when: Delay("chain", count, when),
        st.integers(1, 12),
        st.builds(When, st.floats(0.0, 1.0), st.floats(1.0, 2.0)),
    ),
)


@given(
    wire=st.lists(DISTURBED, min_size=1, max_size=4),
    cuts=st.dictionaries(st.integers(0, 20), st.sets(st.integers(0, 2), max_size=2), max_size=4),
)
@example(
    wire=[
        Drop("chain", When(0.0, 1.0)),
        Repeat("board", When(0.0, 2.0)),
        Drop("board", When(0.0, 1.0)),
    ],
    cuts={},
)
@settings(max_examples=40, deadline=None)
def test_whatever_the_wires_do_a_reading_is_this_cycles_or_none(
    wire: list[Any], cuts: dict[int, set[int]]
) -> None:
    twin = TwinConfig("pack-1", series_count=26, nominal_capacity_ah=50.0, period_second=0.1)
    pack = EmulatedPack(Hardware(twin, Board(has_second_monitor=True)))
    driver = emulate(pack)
    pack.wire += wire
    for cycle in range(24):
        pack.cut_links.clear()
        pack.cut_links.update(cuts.get(cycle // 2, set()))
        driver.write(Command(OPEN, 0.0, 0.0))
        reading, given = driver.read(), pack.signals
        assert given is not None
        pairs = (
            (reading.frame.cell_voltage_volt, given.cell_voltage_volt, 51e-6),
            (reading.monitors.second_cell_voltage_volt, given.second_cell_voltage_volt, 51e-6),
            (reading.frame.cell_temperature_celsius, given.sensor_temperature_celsius, 0.01),
            (reading.frame.current_ampere, given.current_ampere, 0.51e-3),
            (reading.inputs.link_voltage_volt, given.link_voltage_volt, 0.51e-3),
        )
        for shown, true, step in pairs:
            off = np.abs(np.asarray(shown, dtype=float) - true)
            assert np.all(np.isnan(off) | (off <= step))
        assert not reading.monitors.open_wire.any()
    assert np.isfinite(reading.frame.cell_voltage_volt).all() or pack.cut_links
    assert reading.inputs.current_age_second == 0.0


class Dead:
    """A bus and a line whose hardware does not serve."""

    def exchange(self, request: bytes, reply_byte_count: int, port: int = 0) -> bytes:
        del request, reply_byte_count, port
        raise UnavailableError("no such device", hint="Plug it in.")

    def receive(self) -> list[bytes]:
        raise UnavailableError("no such device", hint="Plug it in.")

    def send(self, frame: bytes) -> None:
        raise UnavailableError("no such device", hint=f"Plug it in and send {len(frame)} bytes.")


def test_hardware_that_does_not_serve_is_silence_and_not_the_end_of_reading() -> None:
    dead, clock = Dead(), Noise([])
    driver = BoardDriver(Wiring(16, Board()), Ports(dead, dead, clock.tick, clock.wall))
    for _ in range(2):
        reading = driver.read()
        assert np.isnan(reading.frame.cell_voltage_volt).all()
        assert reading.monitors.broken_link == 0
        assert reading.inputs.bus_error_count == 1
        assert reading.inputs.interlock_closed is None


@given(
    replies=st.lists(st.binary(max_size=80), min_size=1, max_size=4),
    frames=st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.binary(min_size=_REST, max_size=_REST).map(lambda tail: b"\x21" + tail),
        ),
        max_size=4,
    ),
)
@settings(deadline=None)
def test_a_driver_that_hears_noise_gives_no_reading_and_counts_it(
    replies: list[bytes], frames: list[bytes]
) -> None:
    noise = Noise(replies, frames)
    driver = BoardDriver(Wiring(16, Board()), Ports(noise, noise, noise.tick, noise.wall))
    for cycle in range(3):
        reading = driver.read()
        assert np.isnan(reading.frame.current_ampere)
        assert np.isnan(reading.frame.cell_voltage_volt).all()
        assert reading.inputs.bus_error_count == len(frames)
        assert reading.inputs.current_age_second == pytest.approx(0.1 * cycle)
        assert reading.inputs.plus_feedback_closed is None
