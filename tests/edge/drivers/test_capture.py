import os
from pathlib import Path

import numpy as np
import pytest

from cellwarden.domain import Frames
from cellwarden.edge.drivers import Layout, PolledDriver
from cellwarden.edge.drivers.can_messages import encode_pack
from cellwarden.edge.drivers.can_probe import CanProbe
from cellwarden.edge.drivers.capture import (
    Capture,
    CapturedBus,
    CapturedLine,
    ReplayBus,
    ReplayLine,
    read_capture,
)
from cellwarden.edge.drivers.jbd import JbdProbe
from cellwarden.edge.drivers.memory import JbdBoard, MemoryBus
from cellwarden.errors import DecodeError, UnavailableError, UsageError
from edge.carried import charge_record, frame

LAYOUT = Layout(14, 2)


def same(one: Frames, other: Frames) -> None:
    for name, column in one.columns().items():
        assert np.array_equal(column, other.columns()[name], equal_nan=True), name


def test_a_captured_board_replays_to_the_bit_and_ends(tmp_path: Path) -> None:
    board = JbdBoard(None)
    line = CapturedLine(board, Capture(tmp_path / "raw"))
    driver = PolledDriver(JbdProbe(line, LAYOUT), period_second=0.0)
    seen = []
    for _, shown in charge_record()[:6]:
        board.frame = shown
        seen.append(driver.read(1))
    board.frame = None
    driver.read(1)
    replay = JbdProbe(ReplayLine(read_capture(tmp_path / "raw")), LAYOUT)
    again = PolledDriver(replay, period_second=0.0)
    for frames in seen:
        got = again.read(1)
        assert frames is not None
        assert got is not None
        same(frames, got)
    silent = again.read(5)
    assert silent is not None
    assert np.isnan(silent.voltage_volt).all(), "silence is replayed too"
    assert again.read(1) is None


def test_a_captured_bus_replays_its_frames_at_their_time(tmp_path: Path) -> None:
    bus = MemoryBus(1000.0)
    taken = CapturedBus(bus, Capture(tmp_path / "raw"))
    live = PolledDriver(CanProbe(taken, LAYOUT, period_second=0.1), period_second=0.0)
    seen = []
    for count in range(5):
        bus.say(encode_pack(frame(current_ampere=float(count)), count))
        seen.append(live.read(1))
    replay = ReplayBus(read_capture(tmp_path / "raw"))
    again = PolledDriver(CanProbe(replay, LAYOUT, period_second=0.1), period_second=0.0)
    got = again.read(9)
    assert got is not None
    assert list(got.current_ampere) == pytest.approx([0, 1, 2, 3, 4])
    assert again.read(1) is None
    for one, other in zip(seen, got.current_ampere, strict=True):
        assert one is not None
        assert one.current_ampere[0] == other


def test_a_capture_never_outgrows_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    capture = Capture(path, limit_bytes=4000)
    for count in range(500):
        capture.add(float(count), b"key", bytes(20))
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 4000
    kept = [heard.t for heard in read_capture(path)]
    assert kept[-1] == 499.0
    assert kept == sorted(kept)
    assert len(kept) > 10, "the newest are kept"


def test_a_capture_goes_on_where_the_process_before_stopped(tmp_path: Path) -> None:
    Capture(tmp_path / "raw").add(1.0, b"a", b"b")
    Capture(tmp_path / "raw").add(2.0, b"a", None)
    assert [(heard.t, heard.data) for heard in read_capture(tmp_path / "raw")] == [
        (1.0, "62"),
        (2.0, None),
    ]


def test_a_line_cut_off_by_a_power_loss_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    Capture(path).add(1.0, b"a", b"b")
    whole = path.stat().st_size
    Capture(path).add(2.0, b"a", b"b")
    os.truncate(path, whole + 9)
    assert [heard.t for heard in read_capture(path)] == [1.0]


@pytest.mark.parametrize("text", [b"{}\n", b"\xff\n", b'{"t":1,"key":"zz","data":null}\n', b"\n"])
def test_a_file_that_is_no_capture_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "raw"
    path.write_bytes(text)
    with pytest.raises(DecodeError, match="line 1"):
        list(read_capture(path))


def test_a_capture_that_is_not_there_or_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        list(read_capture(tmp_path / "none"))
    with pytest.raises(UnavailableError):
        Capture(tmp_path / "no" / "folder").add(1.0, b"", b"")
