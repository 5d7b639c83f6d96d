"""What stands in source.toml for a live device, opened as the edge opens it."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cellwarden.edge.drivers.can_bus import PythonCanBus
from cellwarden.edge.drivers.can_messages import encode_pack
from cellwarden.edge.drivers.capture import Capture, CapturedLine
from cellwarden.edge.drivers.jbd import JbdProbe
from cellwarden.edge.drivers.line import BusFrame
from cellwarden.edge.drivers.memory import JbdBoard
from cellwarden.edge.drivers.polled import Layout
from cellwarden.edge.outputs.modbus import SunSpecServer
from cellwarden.edge.outputs.view import PackView
from cellwarden.edge.source import Opened, open_source, read_source, write_source
from cellwarden.errors import UsageError
from edge.carried import VECTORS, charge_record, frame, pack

PACK = '[pack]\nchemistry = "NMC"\nnominal_capacity_ah = 60\nseries_count = 14\nsensor_count = 2\n'
CAN = f'[can]\ninterface = "virtual"\nchannel = "live"\n{PACK}'
MODBUS = '[modbus]\nhost = "127.0.0.1"\npositive_current = "charge"\n'
SERIAL = f'[serial]\nport = "/dev/none"\n{PACK}'


def folder(path: Path, text: str) -> Path:
    made = path / "box"
    made.mkdir(exist_ok=True)
    (made / "source.toml").write_text(text)
    return made


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Callable[[str], Opened]]:
    """A device's source, closed in the end."""
    with contextlib.ExitStack() as closing:

        def opened(text: str) -> Opened:
            told = folder(tmp_path, text)
            made = open_source(read_source(told), b"", told)
            closing.callback(made.close)
            return made

        yield opened


def test_a_pack_on_can_is_read_and_its_raw_bytes_replay_the_same(
    tmp_path: Path, opening: Callable[[str], Opened]
) -> None:
    raw = tmp_path / "raw"
    opened = opening(f'period_second = 0.2\ncapture = "{raw}"\n{CAN}')
    with PythonCanBus("virtual", "live") as bus:
        for sent in encode_pack(frame(), 1):
            bus.send(sent)
        frames = opened.driver.read(1)
    assert frames is not None
    assert frames.current_ampere[0] == pytest.approx(12.3)
    assert (opened.note.source, opened.note.series_count) == ("can", 14)
    assert opened.pack is not None
    assert opened.pack.name == "box"
    again = opening(f'period_second = 0.2\nreplay = "{raw}"\n{CAN}')
    assert again.note.source == "replay of can"
    replayed = again.driver.read(1)
    assert replayed is not None
    assert np.array_equal(replayed.voltage_volt, frames.voltage_volt)
    assert again.driver.read(1) is None


def test_a_battery_is_read_by_its_makers_dbc(opening: Callable[[str], Opened]) -> None:
    text = CAN.replace("[pack]", f'dbc = "{VECTORS / "foxbms_excerpt.dbc"}"\n[pack]')
    text = text.replace('channel = "live"', 'channel = "dbc"\npositive_current = "discharge"')
    text = text.replace("series_count = 14\nsensor_count = 2", "series_count = 8\nsensor_count = 0")
    text += (
        '[can.signals]\nvoltage = "foxBMS_batteryVoltage"\ncurrent = "foxBMS_packCurrent"\n'
        'cells = "cellVoltage_{:03d}"\ninvalid = "{}_invalidFlag"\n'
    )
    opened = opening(f"period_second = 0.1\n{text}")
    with PythonCanBus("virtual", "dbc") as bus:
        bus.send(BusFrame(546, bytes.fromhex("02e400000003fc18")))
        frames = opened.driver.read(1)
    assert frames is not None
    assert frames.voltage_volt[0] == pytest.approx(18.5)
    assert frames.current_ampere[0] == pytest.approx(10.0), "minus ten there"
    assert frames.cell_voltage_volt.shape == (1, 8)


def test_a_battery_behind_sunspec_is_read_plain_when_that_is_said(
    opening: Callable[[str], Opened],
) -> None:
    server = SunSpecServer(pack(), port=0)
    try:
        server.show(PackView(pack(), frame()))
        opened = opening(f"{MODBUS}port = {server.port}\nplain = true\n{PACK}")
        frames = opened.driver.read(1)
    finally:
        server.close()
    assert frames is not None
    assert frames.current_ampere[0] == pytest.approx(12.3)


def test_tls_needs_an_enrolled_device(tmp_path: Path) -> None:
    told = folder(tmp_path, MODBUS + PACK)
    with pytest.raises(UsageError, match="TLS needs an enrolled device"):
        open_source(read_source(told), b"", told)


def test_a_captured_board_replays_in_its_place(
    tmp_path: Path, opening: Callable[[str], Opened]
) -> None:
    board = JbdBoard(None)
    line = CapturedLine(board, Capture(tmp_path / "raw"))
    for _, shown in charge_record()[:3]:
        board.frame = shown
        JbdProbe(line, Layout(14, 2)).sample()
    driver = opening(f'replay = "{tmp_path / "raw"}"\n{SERIAL}').driver
    started = time.monotonic()
    frames = driver.read(10)
    assert frames is not None
    assert len(frames) == 3
    assert (frames.current_ampere < 0).all()
    assert time.monotonic() - started < 5, "a replay does not wait"
    assert driver.read(1) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CAN.replace(PACK, ""), "needs its pack described"),
        (f'record = "a.csv"\n{CAN}', "more than one thing"),
        (CAN + MODBUS, "more than one thing"),
        (CAN.replace('chemistry = "NMC"', 'chemistry = "XYZ"'), "XYZ"),
        (CAN.replace("series_count = 14", "series_count = 0"), "at least one cell"),
        (MODBUS.replace('"charge"', '"both"') + PACK, "both"),
        (MODBUS.replace('positive_current = "charge"\n', "") + PACK, "positive_current"),
        (SERIAL.replace('port = "/dev/none"', 'port = "x"\nfamily = "daly"'), "daly"),
        (CAN + "surprise = 1\n", "surprise"),
        (CAN.replace("[pack]", 'dbc = "a.dbc"\n[pack]'), "which signals are meant"),
        (f'replay = "/nowhere"\n{SERIAL}', "nowhere"),
    ],
)
def test_a_description_that_does_not_fit_is_refused_in_words(
    tmp_path: Path, text: str, said: str
) -> None:
    told = folder(tmp_path, text)
    with pytest.raises(UsageError, match=said) as caught:
        open_source(read_source(told), b"", told).driver.read(1)
    assert caught.value.hint


def test_a_source_is_written_as_it_is_read(tmp_path: Path) -> None:
    source = read_source(folder(tmp_path, CAN))
    write_source(tmp_path / "box", source)
    assert read_source(tmp_path / "box") == source


def test_the_edge_starts_without_the_extra_libraries() -> None:
    look = (
        "import sys, cellwarden.edge.gateway\n"
        "print(sorted({'can', 'cantools', 'pymodbus', 'paho', 'serial'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_every_source_on_the_page_is_understood(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "drivers.md").read_text()
    part = page.split("### `source.toml`")[1].split("### `outputs.toml`")[0]
    blocks = re.findall(r"```toml\n(.*?)```", part, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        source = read_source(folder(tmp_path, block))
        assert source.pack is not None
        assert [source.can, source.modbus, source.serial].count(None) == 2
