"""What every driver keeps, whatever it is connected by: sign, gaps, order, and no wrong value."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import CLOSED, OPEN, QUANTITIES, Command, Frame, Frames, Series
from cellwarden.edge.drivers import Driver, Layout, PolledDriver, ReplayDriver
from cellwarden.edge.drivers import can_table as table
from cellwarden.edge.drivers.can_messages import decode_frame, encode_pack
from cellwarden.edge.drivers.can_probe import CanProbe
from cellwarden.edge.drivers.capture import Heard, ReplayBus, ReplayLine, read_capture
from cellwarden.edge.drivers.jbd import CELLS, PACK, JbdProbe, decode_answer, question
from cellwarden.edge.drivers.line import BusFrame
from cellwarden.edge.drivers.memory import JbdBoard, MemoryBus, RegisterMap
from cellwarden.edge.drivers.modbus import SunSpecProbe
from cellwarden.edge.outputs.registers import encode_map, powers_of
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import DataError, UnavailableError, UsageError
from cellwarden.physics.twin import Twin, TwinConfig
from edge.carried import WAYS, charge_record, frame, over_can, over_sunspec, pack

LAYOUT = Layout(14, 2)
NUMBERS = [message.number for message in table.MESSAGES]
NAMES = [name for name, _, _ in WAYS]


@pytest.mark.parametrize(("name", "carry", "steps"), WAYS, ids=NAMES)
def test_a_real_charge_is_positive_and_its_discharge_negative(
    name: str, carry: Callable[[Frame], Frame], steps: tuple[float, float, float]
) -> None:
    signs = {-1: 0, 0: 0, 1: 0}
    for ampere, shown in charge_record():
        got = carry(shown)
        assert got.current_ampere == pytest.approx(shown.current_ampere, abs=steps[0]), name
        assert got.voltage_volt == pytest.approx(shown.voltage_volt, abs=steps[1])
        assert got.cell_voltage_volt == pytest.approx(shown.cell_voltage_volt, abs=steps[2])
        assert np.sign(got.current_ampere) == np.sign(ampere)
        signs[int(np.sign(ampere))] += 1
    assert min(signs.values()) >= 4, "the record charges, rests and discharges"


@pytest.mark.parametrize(("name", "carry", "steps"), WAYS, ids=NAMES)
@settings(max_examples=25, deadline=None)
@given(
    told=st.tuples(
        st.floats(-300, 300),
        st.floats(30, 62),
        st.lists(st.floats(0.1, 6.5), min_size=14, max_size=14),
        st.tuples(st.floats(-40, 40), st.floats(40, 120)),
    )
)
def test_what_is_shown_is_what_is_read_to_the_step(
    name: str,
    carry: Callable[[Frame], Frame],
    steps: tuple[float, float, float],
    told: tuple[float, float, list[float], tuple[float, float]],
) -> None:
    ampere, volt, cells, heat = told
    shown = frame(
        voltage_volt=volt,
        current_ampere=ampere,
        cell_voltage_volt=np.array(cells),
        cell_temperature_celsius=np.array(heat),
    )
    got = carry(shown)
    assert got.current_ampere == pytest.approx(ampere, abs=steps[0]), name
    assert got.voltage_volt == pytest.approx(volt, abs=steps[1])
    assert got.cell_voltage_volt == pytest.approx(np.array(cells), abs=steps[2])
    assert got.cell_temperature_celsius == pytest.approx(np.array(heat), abs=0.1)


@pytest.mark.parametrize("carry", [over_can, over_sunspec], ids=["can", "sunspec"])
@given(gaps=st.sets(st.integers(0, 13), min_size=1))
@settings(max_examples=20, deadline=None)
def test_a_missing_reading_stays_missing(carry: Callable[[Frame], Frame], gaps: set[int]) -> None:
    volts = np.full(14, 3.7)
    volts[list(gaps)] = np.nan
    got = carry(frame(cell_voltage_volt=volts, voltage_volt=np.nan, current_ampere=np.nan))
    assert np.array_equal(np.isnan(got.cell_voltage_volt), np.isnan(volts))
    assert np.isnan(got.voltage_volt)
    assert np.isnan(got.current_ampere)


@given(number=st.integers(0, 0x7FF) | st.sampled_from(NUMBERS), data=st.binary(max_size=64))
@settings(max_examples=150, deadline=None)
def test_random_frames_on_the_bus_say_nothing(number: int, data: bytes) -> None:
    if len(data) == 8:
        data = data[:7] + bytes([table.checksum(number, data[:7]) ^ 0xFF])
    with pytest.raises(DataError):
        decode_frame(BusFrame(number, data))


@given(data=st.binary(min_size=7, max_size=7), message=st.sampled_from(table.MESSAGES))
@settings(max_examples=150, deadline=None)
def test_a_sealed_frame_says_what_can_be_or_is_refused(data: bytes, message: table.Message) -> None:
    sealed = table.seal(message.number, data + b"\0")
    try:
        values = decode_frame(BusFrame(message.number, sealed))
    except DataError:
        return
    fields = {field.name: field for field in message.fields}
    if message.item:
        places = [table.indexed(message.item, k, int(values["group_index"])) for k in range(3)]
        fields |= {field.name: field for field in places}
    for name, value in values.items():
        assert np.isnan(value) or fields[name].low - 1e-6 <= value <= fields[name].high + 1e-6
        assert fields[name].number(value) == fields[name].raw(sealed), "nothing is lost or invented"


@given(place=st.integers(0, 63), cycle=st.integers(0, 255))
@settings(max_examples=100, deadline=None)
def test_any_bit_turned_on_the_bus_is_seen(place: int, cycle: int) -> None:
    sent = list(encode_pack(frame(), cycle))[cycle % 12]
    turned = bytearray(sent.data)
    turned[place // 8] ^= 1 << place % 8
    with pytest.raises(DataError):
        decode_frame(BusFrame(sent.number, bytes(turned)))


@given(answer=st.binary(max_size=80), command=st.sampled_from([PACK, CELLS]))
@settings(max_examples=150, deadline=None)
def test_random_answers_of_a_board_are_refused(answer: bytes, command: int) -> None:
    with pytest.raises(DataError):
        decode_answer(command, answer)


KEYS = st.sampled_from(
    [
        question(PACK).hex(),
        question(CELLS).hex(),
        struct.pack(">HH", 40000, 2).hex(),
        *(f"{number:08x}" for number in NUMBERS),
    ]
)
HEARD = st.lists(
    st.builds(
        Heard,
        st.floats(0.0, 100.0),
        KEYS,
        st.none() | st.binary(max_size=60).map(bytes.hex),
    ),
    max_size=12,
)


@pytest.mark.parametrize("kind", ["can", "jbd", "sunspec"])
@given(heard=HEARD)
@settings(max_examples=80, deadline=None)
def test_whatever_was_captured_replays_as_frames_and_gaps_to_an_end(
    kind: str, heard: list[Heard]
) -> None:
    probes = {
        "can": lambda: CanProbe(ReplayBus(heard), LAYOUT, period_second=1.0),
        "jbd": lambda: JbdProbe(ReplayLine(heard), LAYOUT),
        "sunspec": lambda: SunSpecProbe(ReplayLine(heard), LAYOUT, "charge"),
    }
    driver = PolledDriver(probes[kind](), period_second=0.0)
    count = 0
    while (frames := driver.read(50)) is not None:
        count += len(frames)
        assert count < 1000, "a replay ends"
        assert frames.cell_voltage_volt.shape[1] == LAYOUT.cell_count
        for name, column in frames.columns().items():
            low, high = QUANTITIES[name].low, QUANTITIES[name].high
            assert np.all(np.isnan(column) | (column >= low) & (column <= high)), name


@given(data=st.binary(max_size=200))
@settings(max_examples=80, deadline=None)
def test_a_file_that_is_no_capture_is_refused_or_empty(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.capture"
    path.write_bytes(data)
    try:
        assert all(isinstance(heard, Heard) for heard in read_capture(path))
    except DataError:
        return


def registers() -> RegisterMap:
    return RegisterMap(encode_map(PackView(pack(), frame()), powers_of(pack()), 1))


@dataclass
class Garbling:
    """A line whose answers somebody has changed."""

    line: JbdBoard | RegisterMap
    change: Callable[[bytes], bytes]

    def ask(self, request: bytes) -> bytes:
        return self.change(self.line.ask(request))

    def now(self) -> float:
        return self.line.now()

    def close(self) -> None:
        self.line.close()


@given(place=st.integers(0, 300), bit=st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_any_bit_turned_in_a_boards_answer_is_seen(place: int, bit: int) -> None:
    def turn(answer: bytes) -> bytes:
        turned = bytearray(answer)
        turned[place % len(turned)] ^= 1 << bit
        return bytes(turned)

    with pytest.raises(DataError):
        JbdProbe(Garbling(JbdBoard(frame()), turn), LAYOUT).sample()


@given(data=st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_random_registers_are_refused_or_silent(data: bytes) -> None:
    for line in (RegisterMap(data), RegisterMap(b"SunS" + data)):
        with pytest.raises((DataError, UnavailableError)):
            SunSpecProbe(line, LAYOUT, "charge").sample()


@given(place=st.integers(0, 10_000), value=st.integers(0, 0xFFFF))
@settings(max_examples=100, deadline=None)
def test_a_wild_register_gives_a_frame_that_can_be_or_an_error(place: int, value: int) -> None:
    data = bytearray(registers().data)
    struct.pack_into(">H", data, 2 * (place % (len(data) // 2)), value)
    try:
        got = SunSpecProbe(RegisterMap(bytes(data)), LAYOUT, "charge").sample()
    except (DataError, UnavailableError):
        return
    cells = got.cell_voltage_volt
    assert np.all(np.isnan(cells) | (cells >= 0.0) & (cells <= 10.0))
    assert np.isnan(got.voltage_volt) or 0 <= got.voltage_volt <= 2000
    assert np.isnan(got.current_ampere) or abs(got.current_ampere) <= 10_000


def record(count: int = 25) -> Series:
    time_second = np.arange(count, dtype=np.float64)
    return Series(
        name="a",
        test_time_second=time_second,
        unix_time_second=1_750_000_000.0 + time_second,
        voltage_volt=3.7 + 0.001 * time_second,
        current_ampere=np.sin(time_second),
    )


def test_a_recorded_charge_is_read_as_positive() -> None:
    rows = charge_record()
    told = Series(
        name="a",
        test_time_second=np.array([shown.unix_time_second for _, shown in rows]),
        voltage_volt=np.array([shown.voltage_volt for _, shown in rows]),
        current_ampere=np.array([shown.current_ampere for _, shown in rows]),
    )
    frames = ReplayDriver(told).read(len(rows))
    assert frames is not None
    assert np.array_equal(np.sign(frames.current_ampere), np.sign([ampere for ampere, _ in rows]))


def test_a_positive_current_fills_the_twin() -> None:
    twin = Twin(TwinConfig(name="a", soc_fraction=0.3, profile="cycle", ambient_swing_celsius=0.0))
    rose = {-1: 0, 1: 0}
    for _ in range(400):
        before = twin.truth().soc_fraction.mean()
        frames = twin.read(60)
        assert frames is not None
        sign = np.sign(frames.current_ampere)
        if np.all(sign == sign[0]) and abs(frames.current_ampere.mean()) > 0.5:
            rose[int(sign[0])] += 1
            assert np.sign(twin.truth().soc_fraction.mean() - before) == sign[0]
    assert min(rose.values()) > 5


def no_wait(_second: float) -> None:
    return


TWIN = TwinConfig(name="a", chemistry="LFP", series_count=4)


def can_driver() -> Driver:
    bus = MemoryBus(1_750_000_000.0)
    bus.say(encode_pack(frame(), 1))
    return PolledDriver(CanProbe(bus, LAYOUT), period_second=0.0)


DRIVERS: dict[str, Callable[[], Driver]] = {
    "record": lambda: ReplayDriver(record()),
    "twin": lambda: Twin(TWIN),
    "can": can_driver,
    "jbd": lambda: PolledDriver(JbdProbe(JbdBoard(frame()), LAYOUT), wait=no_wait),
    "sunspec": lambda: PolledDriver(
        SunSpecProbe(registers(), LAYOUT, "charge"), period_second=0.0, wait=no_wait
    ),
}


@pytest.mark.parametrize("name", DRIVERS)
@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=6))
@settings(max_examples=15, deadline=None)
def test_frames_come_in_order_and_never_more_than_asked_for(name: str, counts: list[int]) -> None:
    driver = DRIVERS[name]()
    last = -np.inf
    widths = set()
    for count in counts:
        frames = driver.read(count)
        if frames is None:
            assert driver.read(1) is None, "what has ended stays ended"
            return
        assert isinstance(frames, Frames)
        assert 1 <= len(frames) <= count
        assert frames.unix_time_second[0] >= last
        last = float(frames.unix_time_second[-1])
        widths.add((frames.cell_voltage_volt.shape[1], frames.cell_temperature_celsius.shape[1]))
    assert len(widths) == 1, "cells and sensors do not come and go"


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_resumes_where_its_position_says(name: str) -> None:
    driver = DRIVERS[name]()
    driver.read(5)
    place = driver.position()
    assert isinstance(place, bytes)
    if name == "record":
        again: Driver = ReplayDriver(record(), place)
    elif name == "twin":
        again = Twin.resume(TWIN, place)
    else:
        assert place == b"", "a live device cannot be read a second time"
        return
    one, other = driver.read(3), again.read(3)
    assert one is not None
    assert other is not None
    assert np.array_equal(one.voltage_volt, other.voltage_volt)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_command_is_obeyed_or_refused_but_never_changes_what_was_read(name: str) -> None:
    driver = DRIVERS[name]()
    before = driver.read(2)
    assert before is not None
    kept = before.voltage_volt.copy()
    for contactors in (OPEN, CLOSED):
        try:
            driver.write(Command(contactors, 1.0, 1.0))
        except UsageError:
            assert name in {"jbd", "sunspec"}
    assert np.array_equal(before.voltage_volt, kept, equal_nan=True)


def test_a_board_is_asked_for_two_things_only() -> None:
    asked = []

    def note(answer: bytes) -> bytes:
        asked.append(answer[1])
        return answer

    JbdProbe(Garbling(JbdBoard(frame()), note), LAYOUT).sample()
    assert asked == [PACK, CELLS]
    assert question(PACK) == bytes.fromhex("dda50300fffd77"), "a read, as the protocol has it"
