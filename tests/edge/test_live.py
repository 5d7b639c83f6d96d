"""The pack that a device's file names answers, and is asked what the file says."""

import pytest

from cellwarden.domain import OPEN, Command, Reading, Request
from cellwarden.edge.control_loop import ControlLoop
from cellwarden.edge.device_config import DeviceConfig, DriverPart, LoopPart, PackPart
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
