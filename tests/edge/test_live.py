"""The pack that a device's file names answers, and is asked what the file says."""

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from cellwarden.domain import FREE, OPEN, Command, Reading, Request
from cellwarden.edge.control_loop import ControlLoop
from cellwarden.edge.device_config import Described, DeviceConfig, DriverPart, LoopPart, PackPart
from cellwarden.edge.drivers.can_bus import PythonCanBus
from cellwarden.edge.drivers.can_messages import decode_command
from cellwarden.edge.drivers.can_pack import encode_reading, encode_request
from cellwarden.edge.drivers.seam import Live
from cellwarden.edge.inference import senses
from cellwarden.edge.live import Asking, open_live
from cellwarden.edge.models import Models
from cellwarden.edge.watchdog import SAFE
from cellwarden.errors import UnavailableError, UsageError
from edge.live import Hands, TablePack

PACK = PackPart("LFP", 100.0, 16)


def test_an_emulated_pack_answers_with_its_cells_and_its_clock_goes_on() -> None:
    config = DeviceConfig(PACK, driver=DriverPart(request="standby"), loop=LoopPart(0.05))
    live = open_live(config, config.described("pack-1"))
    first, second = live.read(), live.read()
    assert len(first.frame.cell_voltage_volt) == 16
    assert 16 * 3.0 < first.frame.voltage_volt < 16 * 3.6
    assert second.frame.unix_time_second - first.frame.unix_time_second == pytest.approx(0.05)
    assert first.inputs.request is Request.STANDBY
    assert first.inputs.request_age_second == 0.0
    live.write(Command(OPEN, 0.0, 0.0))


def test_who_asks_at_the_pack_is_heard_before_the_file() -> None:
    own = TablePack(Hands())  # its inputs ask to connect
    told = Asking(own, Request.STANDBY).read()
    assert told.inputs.request is Request.CONNECT
    Asking(own, Request.STANDBY).write(Command(OPEN, 0.0, 0.0))
    assert own.last == Command(OPEN, 0.0, 0.0)


def test_options_that_no_twin_has_are_refused() -> None:
    config = DeviceConfig(PACK, driver=DriverPart(options={"wings": 2}))
    with pytest.raises(UsageError, match=r"driver\.options"):
        open_live(config, config.described("pack-1"))


class _Silent:
    """A pack that falls silent when it is told to."""

    def __init__(self, pack: Live) -> None:
        self.pack, self.silent = pack, False
        self.written: list[Command] = []

    def read(self) -> Reading:
        reading = self.pack.read()
        if self.silent:
            raise UnavailableError("the bus is down", hint="Look at its plug.")
        return reading

    def write(self, command: Command) -> None:
        self.written.append(command)
        self.pack.write(command)


class _Nowhere:
    def put(self, *_: object, **__: object) -> None:
        pass


def test_a_pack_that_was_opened_for_its_silence_precharges_again() -> None:
    config = DeviceConfig(
        PackPart("NMC", 50.0, 12), driver=DriverPart(options={"soc_fraction": 0.5})
    )
    told = config.described("pack-1")
    pack, now = _Silent(open_live(config, told)), [0.0]
    loop = ControlLoop(
        pack,
        told.control,
        _Nowhere(),  # type: ignore[arg-type]  frames are not looked at
        senses(told.pack, Models()),
        reopen=told.control.opened,
        steady=lambda: now[0],
    )

    def cycle(count: int) -> None:
        for _ in range(count):
            now[0] += 0.1
            loop.cycle()

    cycle(40)
    assert loop.state == "connected"
    pack.silent = True
    cycle(20)
    assert pack.written[-1] == SAFE
    pack.silent = False
    pack.written.clear()
    cycle(40)
    assert loop.state == "connected"
    first = next(one.contactors for one in pack.written if one.contactors.any_closed)
    assert not first.plus_closed
    assert any(one.contactors.precharge_closed for one in pack.written)


CAN = {"interface": "virtual", "sensor_count": 6}


class Board:
    """The pack's own electronics on the other end of the bus: it sends readings, hears orders."""

    def __init__(self, channel: str, options: dict[str, object]) -> None:
        config = DeviceConfig(PackPart("NMC", 50.0, 12), driver=DriverPart(options=options))
        told = config.described("pack-1")
        self.pack = open_live(config, told).pack
        self.bus = PythonCanBus("virtual", channel)
        self.count = 0

    def turn(self, request: Request | None) -> Command | None:
        self.count += 1
        for sent in encode_reading(self.pack.read(), self.count):
            self.bus.send(sent)
        if request is not None:
            self.bus.send(encode_request(request, self.count))
        heard = []
        while (one := self.bus.hear(0.0)) is not None:
            heard.append(one)
        if not heard:
            return None
        command = decode_command(heard, 12)
        self.pack.write(command)
        return command


@pytest.fixture
def on_can(request: pytest.FixtureRequest) -> Iterator[tuple[Board, Asking, Described]]:
    channel = request.node.name
    config = DeviceConfig(
        PackPart("NMC", 50.0, 12),
        driver=DriverPart("can", options={**CAN, "channel": channel}),
    )
    board = Board(channel, {})
    told = config.described("pack-1")
    with closing(open_live(config, told)) as live:
        yield board, live, told
    board.bus.close()


def turns(
    parts: tuple[Board, Asking, Described], until: str, request: Request | None
) -> tuple[list[str], Command]:
    """Cycles of both sides in real time: the electronics send, the control decides and orders."""
    board, live, told = parts
    states = [""]
    end = time.monotonic() + 15.0
    while states[-1] != until:
        assert time.monotonic() < end, states
        board.turn(request)
        decision = told.control(live.read(), None, FREE)
        live.write(decision.command)
        states.append(decision.state)
        time.sleep(0.02)
    command = board.turn(request)
    assert command is not None
    return states, command


def test_a_pack_on_a_can_bus_is_controlled_when_its_bus_asks(
    on_can: tuple[Board, Asking, Described],
) -> None:
    _, live, told = on_can
    _, command = turns(on_can, "connected", Request.CONNECT)
    assert command.contactors.closed
    assert command.high_discharge_current_ampere > 0.0
    # Who asked falls silent: the pack opens in a ramp, and nobody asks in their place.
    states, command = turns(on_can, "standby", None)
    assert "opening" in states
    assert not command.contactors.any_closed
    # The whole pack falls silent: that is no reading.
    live.read()
    time.sleep(told.settings.silent_second + 0.1)
    with pytest.raises(UnavailableError, match="silent"):
        live.read()


def test_a_can_packs_options_are_checked_before_anything_is_opened() -> None:
    for options, match in (
        ({"interface": "virtual"}, "sensor_count"),
        ({**CAN, "wings": 2}, "wings"),
        ({**CAN, "bitrate": "fast"}, "bitrate"),
    ):
        config = DeviceConfig(PACK, driver=DriverPart("can", options=options))
        with pytest.raises(UsageError, match=match):
            open_live(config, config.described("pack-1"))


def test_an_interface_that_is_not_there_is_unavailable() -> None:
    options = {"interface": "socketcan", "channel": "nosuch0", "sensor_count": 2}
    config = DeviceConfig(PACK, driver=DriverPart("can", options=options))
    with pytest.raises(UnavailableError):
        open_live(config, config.described("pack-1"))
