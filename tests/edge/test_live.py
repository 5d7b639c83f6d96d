"""The pack that a device's file names answers, and is asked what the file says."""

import pytest

from cellwarden.domain import OPEN, Command, Request
from cellwarden.edge.device_config import DeviceConfig, DriverPart, LoopPart, PackPart
from cellwarden.edge.live import Asking, open_live
from cellwarden.errors import UsageError
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
