"""All parts of a device together, without its hub: they start, they end, and the pack is open."""

import threading
import time
from pathlib import Path

import pytest

from cellwarden.cli.home import Home
from cellwarden.cli.pairing import pair_command
from cellwarden.domain import Command, Reading
from cellwarden.edge.config import open_memory, open_outbox
from cellwarden.edge.controller import Controller
from cellwarden.edge.device_config import (
    DeviceConfig,
    DriverPart,
    LoopPart,
    PackPart,
    read_device_config,
    write_device_config,
)
from cellwarden.edge.drivers.can_bus import PythonCanBus
from cellwarden.edge.live import open_live
from cellwarden.edge.logbook import Logbook
from cellwarden.edge.medium import MemoryMedium
from cellwarden.edge.outputs.inverter import decode_inverter
from cellwarden.edge.pack_identity import CELLS_KEPT
from cellwarden.errors import Error, SealError, UsageError
from edge.live import Recorded

NAME = "pack-1"
CONFIG = DeviceConfig(
    PackPart("NMC", 50.0, 12),
    driver=DriverPart(options={"soc_fraction": 0.5}),
    loop=LoopPart(batch_frames=2, flush_second=1.0, silent_second=2.0),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("home"))
    home.init(device_port=1, page_port=2)  # nobody listens there
    made = home.enrol(NAME)
    write_device_config(made, CONFIG)
    return made


@pytest.fixture
def live(folder: Path) -> Recorded:
    config = read_device_config(folder)
    return Recorded(open_live(config, config.described(NAME)))


def until(what: "list[object]", second: float = 20.0) -> None:
    end = time.monotonic() + second
    while not what:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_device_without_its_hub_serves_keeps_what_it_reads_shows_it_and_opens_when_told(
    folder: Path, live: Recorded
) -> None:
    reports: list[Error] = []
    text = '[[can]]\ninterface = "virtual"\nchannel = "shown"\nprofile = "inverter"\n'
    (folder / "outputs.toml").write_text(text)
    bus = PythonCanBus("virtual", "shown")
    controller = Controller(folder, live, report=reports.append)
    ended = threading.Thread(target=controller.run, daemon=True)
    ended.start()
    end = time.monotonic() + 30
    while controller.outbox.state.sequence < 2:
        assert time.monotonic() < end, reports
        time.sleep(0.05)
    assert controller.loop.state == "connected"
    assert live.last is not None
    assert live.last.contactors.closed
    ampere = 0.0
    while ampere == 0.0:  # an inverter is told once a second
        assert time.monotonic() < end
        sent = bus.hear(0.1)
        if sent is not None and sent.number == 0x351:
            ampere = decode_inverter(sent)["high_charge_current_ampere"]
    bus.close()
    # The hub's word on the time, as the thread of the orders hears it, reaches the cycle.
    controller.desk.clock.witness(time.time() - 30.0, 0.1)
    while not controller.timekeeping.reckoning.error_second > 25.0:
        assert time.monotonic() < end
        time.sleep(0.05)
    until(reports)
    assert "no way to the hub" in str(reports[0])
    with pytest.raises(UsageError, match="another process controls"):
        Controller(folder, live)
    controller.stop()
    ended.join(40)
    assert not ended.is_alive()
    assert not live.last.contactors.any_closed
    outbox = open_outbox(folder)
    assert outbox.waiting_count() >= 2
    outbox.close()
    memory = open_memory(folder)
    assert memory.found.intact
    assert "latched" in memory.state
    memory.close()


def test_a_paired_device_looks_at_how_its_cells_answer(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.init(device_port=1, page_port=2)  # nobody listens there
    folder = home.enrol(NAME)
    write_device_config(folder, CONFIG)
    pair_command(home, NAME, "pack-of-1")
    controller = Controller(folder, Recorded(open_live(CONFIG, CONFIG.described(NAME))))
    ended = threading.Thread(target=controller.run, daemon=True)
    ended.start()
    end = time.monotonic() + 30
    while not controller.outbox.kept(CELLS_KEPT):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert controller.identity.known == ("genuine", "pack-of-1")
    controller.stop()
    ended.join(40)
    assert not ended.is_alive()


def test_a_memory_that_somebody_altered_starts_no_pack(folder: Path, live: Recorded) -> None:
    open_memory(folder).close()
    kept = (folder / "logbook").read_bytes()
    medium = MemoryMedium(len(kept))
    foreign = Logbook(medium, bytes(32))
    foreign.keep("latched", b"nothing at all")
    (folder / "logbook").write_bytes(medium.read())
    with pytest.raises(SealError, match="logbook"):
        Controller(folder, live)
    (folder / "logbook").write_bytes(kept)


def test_a_fault_of_the_program_opens_the_pack_and_is_told(folder: Path, live: Recorded) -> None:
    class Broken(Recorded):
        count = 0

        def read(self) -> Reading:
            self.count += 1
            if self.count > 12:
                raise ZeroDivisionError
            return super().read()

    broken = Broken(live.pack)
    with pytest.raises(ZeroDivisionError):
        Controller(folder, broken).run()
    assert isinstance(broken.last, Command)
    assert not broken.last.contactors.any_closed
