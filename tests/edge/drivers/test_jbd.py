import math
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from cellwarden.edge.drivers import Layout
from cellwarden.edge.drivers.capture import Heard, ReplayLine
from cellwarden.edge.drivers.jbd import CELLS, PACK, JbdProbe, encode_answer, question
from cellwarden.edge.drivers.memory import JbdBoard
from cellwarden.edge.drivers.serial_line import SerialLine
from cellwarden.errors import DataError, DecodeError, UnavailableError
from edge.carried import VECTORS, frame


def recorded() -> ReplayLine:
    rows = [row.split() for row in (VECTORS / "jbd_frames.txt").read_text().splitlines()]
    asked = {"03": question(PACK), "04": question(CELLS)}
    return ReplayLine([Heard(5.0, asked[kind].hex(), data) for kind, data in rows])


def test_a_recorded_board_that_discharges_has_a_negative_current() -> None:
    shown = JbdProbe(recorded(), Layout(4, 3)).sample()
    assert shown.current_ampere == pytest.approx(-2.87)
    assert shown.voltage_volt == pytest.approx(15.6)
    assert shown.cell_voltage_volt == pytest.approx([3.43, 3.425, 3.432, 3.417])
    assert shown.cell_temperature_celsius == pytest.approx([22.4, 22.3, 21.7])
    assert shown.unix_time_second == 5.0


def test_another_pack_is_refused() -> None:
    with pytest.raises(DataError, match="4 cells and 3 sensors, not 16 and 3"):
        JbdProbe(recorded(), Layout(16, 3)).sample()


def test_a_board_that_says_error_is_not_believed() -> None:
    class Failing(JbdBoard):
        def ask(self, request: bytes) -> bytes:
            body = bytes([0x80, 0])
            sum_ = (-sum(body) & 0xFFFF).to_bytes(2, "big")
            return bytes([0xDD, request[2]]) + body + sum_ + b"\x77"

    with pytest.raises(DecodeError, match="status 128"):
        JbdProbe(Failing(frame()), Layout(14, 2)).sample()


def test_fewer_sensors_than_promised_are_refused() -> None:
    class Cut(JbdBoard):
        def ask(self, request: bytes) -> bytes:
            data = super().ask(request)[4:-3]
            return encode_answer(request[2], data[:-2] if request[2] == PACK else data)

    with pytest.raises(DecodeError, match="fewer sensors"):
        JbdProbe(Cut(frame()), Layout(14, 2)).sample()


@pytest.fixture
def server() -> Iterator[tuple[str, JbdBoard]]:
    """A board behind a serial server."""
    board = JbdBoard(frame())
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            with peer:
                while asked := peer.recv(64):
                    if board.frame is not None:
                        peer.sendall(b"\x00\x13noise" + board.ask(asked))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"socket://127.0.0.1:{listening.getsockname()[1]}", board
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(5)


def test_a_serial_server_is_read_through_noise(server: tuple[str, JbdBoard]) -> None:
    address, _ = server
    with SerialLine(address, timeout_second=2.0) as line:
        shown = JbdProbe(line, Layout(14, 2)).sample()
        assert shown.current_ampere == pytest.approx(12.3)
        assert np.isfinite(shown.cell_voltage_volt).all()
        assert math.isfinite(shown.unix_time_second)


def test_a_silent_board_is_unavailable(server: tuple[str, JbdBoard]) -> None:
    address, board = server
    board.frame = None
    with SerialLine(address, timeout_second=0.1) as line, pytest.raises(UnavailableError):
        JbdProbe(line, Layout(14, 2)).sample()


def test_a_port_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(UnavailableError):
        SerialLine("/dev/no-such-port").ask(b"")
