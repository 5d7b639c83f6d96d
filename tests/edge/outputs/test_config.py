"""outputs.toml, opened as the edge opens it, behind a watch."""

import socket
from pathlib import Path

import numpy as np
import pytest

from cellwarden.domain import Finding, Frames, Severity
from cellwarden.edge.drivers import Layout
from cellwarden.edge.drivers.can_bus import PythonCanBus
from cellwarden.edge.drivers.modbus import ModbusLine, SunSpecProbe
from cellwarden.edge.outputs.config import open_outputs, read_outputs
from cellwarden.edge.outputs.inverter import decode_inverter
from cellwarden.edge.outputs.view import PackView
from cellwarden.errors import UnavailableError, UsageError
from edge.carried import frame, pack


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def told(folder: Path, text: str) -> Path:
    (folder / "outputs.toml").write_text(text)
    return folder


def watch(frames: Frames, state: bytes) -> tuple[Frames, tuple[Finding, ...], bytes]:
    finding = Finding("bounds", Severity.ALARM, "voltage_volt", 0.0, "too high")
    return frames, (finding,), state + b"."


def test_what_the_watch_saw_is_shown_to_all(tmp_path: Path) -> None:
    port = free_port()
    text = f'[[sunspec]]\nport = {port}\n\n[[can]]\ninterface = "virtual"\nchannel = "outputs"\n'
    folder = told(tmp_path, text + 'profile = "inverter"\n')
    with PythonCanBus("virtual", "outputs") as bus:
        outputs = open_outputs(folder, pack(), "box")
        try:
            watched = outputs.after(watch)
            frames = Frames.stack([frame(current_ampere=-1.0), frame()])
            assert watched(frames, b"a")[2] == b"a."
            with ModbusLine("127.0.0.1", port) as line:
                shown = SunSpecProbe(line, Layout(14, 2), "charge").sample()
            heard = {}
            while (sent := bus.hear(0.05)) is not None:
                heard[sent.number] = decode_inverter(sent)
        finally:
            outputs.close()
    assert shown.current_ampere == pytest.approx(12.3), "the last frame"
    assert heard[0x356]["current_ampere"] == pytest.approx(12.3)
    assert heard[0x359]["alarm_bits"] == 1 << 11
    assert heard[0x351]["high_charge_current_ampere"] == 0.0, "no limit is known"


def test_a_bus_that_fails_stops_neither_the_others_nor_the_watch(tmp_path: Path) -> None:
    class Failing:
        def show(self, view: PackView) -> None:
            raise UnavailableError(f"no way to tell of {view.pack.name}", hint="Mend it.")

        def close(self) -> None:
            return

    outputs = open_outputs(told(tmp_path, f"[[sunspec]]\nport = {free_port()}\n"), pack(), "box")
    try:
        outputs.outputs.insert(0, Failing())
        wild = frame(cell_voltage_volt=np.full(14, -3.0), voltage_volt=-1.0)
        assert outputs.after(watch)(Frames.stack([wild]), b"")[2] == b"."
        assert "no way" in outputs.trouble
    finally:
        outputs.close()


def test_our_own_messages_go_out_too(tmp_path: Path) -> None:
    text = '[[can]]\ninterface = "virtual"\nchannel = "own"\nprofile = "cellwarden"\n'
    with PythonCanBus("virtual", "own") as bus:
        outputs = open_outputs(told(tmp_path, text), pack(), "box")
        try:
            outputs.after(watch)(Frames.stack([frame()]), b"")
            numbers = set()
            while (sent := bus.hear(0.05)) is not None:
                numbers.add(sent.number)
        finally:
            outputs.close()
    assert {0x220, 0x233, 0x234, 0x250, 0x260} <= numbers


def test_nobody_is_told_where_nothing_is_said(tmp_path: Path) -> None:
    outputs = open_outputs(tmp_path, pack(), "box")
    assert outputs.outputs == []
    assert outputs.after(watch) is watch
    assert open_outputs(tmp_path, None, "box").outputs == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[sunspec]]\nhost = "0.0.0.0"\n', "to anybody"),
        ('[[sparkplug]]\nhost = "broker.example"\n', "TLS needs an enrolled device"),
        ('[[sparkplug]]\nhost = "b"\nplain = true\ngroup = "a/b"\n', "topic"),
        ("[[surprise]]\n", "surprise"),
        ('[[can]]\nprofile = "other"\n', "other"),
        ('[[sunspec]]\ncertificate = "/nowhere"\n', "nowhere"),
        ("\xff", "outputs.toml"),
    ],
)
def test_a_line_that_does_not_fit_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "outputs.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=said) as caught:
        open_outputs(tmp_path, pack(), "box")
    assert caught.value.hint


def test_what_was_opened_is_closed_when_another_fails(tmp_path: Path) -> None:
    port = free_port()
    text = f'[[sunspec]]\nport = {port}\n\n[[home_assistant]]\nhost = "broker.example"\n'
    with pytest.raises(UsageError):
        open_outputs(told(tmp_path, text), pack(), "box")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_a_record_of_an_unknown_pack_cannot_be_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pack to show"):
        open_outputs(told(tmp_path, "[[sunspec]]\n"), None, "box")


def test_the_page_shows_an_outputs_file_that_is_understood(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "drivers.md").read_text()
    block = page.split("### `outputs.toml`")[1].split("```toml\n")[1].split("```")[0]
    read = read_outputs(told(tmp_path, block))
    assert (len(read.sunspec), len(read.sparkplug), len(read.can)) == (1, 1, 1)
    assert np.isclose(read.sunspec[0].port, 802)
