"""A control that does not answer loses its pack; a service manager hears of those that do."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellwarden.domain import CLOSED, Command
from cellwarden.edge.watchdog import SAFE, Guarded, Watchdog, notify
from cellwarden.errors import EXIT_CODE, SafetyError, UnavailableError

SERVING = Command(CLOSED, 50.0, 100.0)


class Recorder:
    """Keeps what is written to it; hangs in `write` where it is told to."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.free = threading.Event()
        self.free.set()
        self.dead = False

    def read(self) -> None:
        raise NotImplementedError

    def write(self, command: Command) -> None:
        if self.dead:
            raise UnavailableError("the pack is silent")
        if command != SAFE:
            self.free.wait(10)
        self.commands.append(command)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The socket that a service manager listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        address = str(tmp_path / "notify")
        listener.bind(address)
        listener.settimeout(5)
        yield address, listener


def waits_for(what: "list[object] | threading.Event", second: float = 5.0) -> None:
    end = time.monotonic() + second
    while not (what.is_set() if isinstance(what, threading.Event) else what):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_loop_that_lives_keeps_its_pack_and_the_manager_hears_of_it() -> None:
    pack, told = Recorder(), []
    guarded = Guarded(pack)  # type: ignore[arg-type]
    dog = Watchdog(guarded, limit_second=0.2, tell_second=0.1, tell=lambda m: not told.append(m))
    dog.start()
    for _ in range(40):
        guarded.write(SERVING)
        dog.beat()
        time.sleep(0.02)
    dog.stop()
    assert not dog.tripped
    assert pack.commands == [SERVING] * 40
    assert set(told) == {"WATCHDOG=1"}
    assert 4 <= len(told) <= 10


def test_a_loop_that_stops_answering_loses_its_pack_within_the_limit() -> None:
    pack, told, tripped = Recorder(), [], threading.Event()
    guarded = Guarded(pack)  # type: ignore[arg-type]
    dog = Watchdog(
        guarded, limit_second=0.2, tell_second=0.05, tell=lambda m: not told.append(m),
        on_trip=lambda _: tripped.set(),
    )  # fmt: skip
    began = time.monotonic()
    dog.start()
    waits_for(tripped)
    assert 0.2 < time.monotonic() - began < 1.0
    assert pack.commands[0] == SAFE
    heard = told.count("WATCHDOG=1")
    time.sleep(0.2)
    assert told.count("WATCHDOG=1") == heard, "the service manager hears no more"
    assert len(pack.commands) > 1, "told again and again"
    with pytest.raises(SafetyError):
        guarded.write(SERVING)
    dog.beat()
    with pytest.raises(SafetyError):
        guarded.write(SERVING)
    dog.stop()
    assert set(pack.commands) == {SAFE}


def test_a_loop_that_hangs_in_the_middle_of_a_write_does_not_keep_the_watchdog_out() -> None:
    pack = Recorder()
    pack.free.clear()
    guarded = Guarded(pack)  # type: ignore[arg-type]
    hanging = threading.Thread(target=lambda: guarded.write(SERVING), daemon=True)
    dog = Watchdog(guarded, limit_second=0.1)
    dog.start()
    hanging.start()
    waits_for(pack.commands)
    assert pack.commands[0] == SAFE
    pack.free.set()  # the write comes through after all
    hanging.join(5)
    time.sleep(0.2)
    dog.stop()
    assert pack.commands[-1] == SAFE, "the last word is the watchdog's"


def test_a_pack_that_does_not_hear_is_told_until_it_does() -> None:
    pack, tripped = Recorder(), threading.Event()
    pack.dead = True
    dog = Watchdog(Guarded(pack), limit_second=0.05, on_trip=lambda _: tripped.set())  # type: ignore[arg-type]
    dog.start()
    time.sleep(0.2)
    assert not tripped.is_set()
    pack.dead = False
    waits_for(tripped)
    dog.stop()
    assert pack.commands[0] == SAFE


def test_the_service_manager_is_told_over_its_socket(
    manager: tuple[str, socket.socket],
) -> None:
    address, listener = manager
    assert notify("READY=1", address)
    assert listener.recv(100) == b"READY=1"
    assert not notify("READY=1", "")
    assert not notify("READY=1", address + "-gone")


def test_an_abstract_socket_is_told_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = f"cellwarden-{os.getpid()}"
        listener.bind(f"\0{name}")
        listener.settimeout(5)
        assert notify("WATCHDOG=1", f"@{name}")
        assert listener.recv(100) == b"WATCHDOG=1"


_PROCESS = """
import json, os, sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from cellwarden.edge.control_loop import ControlLoop, Settings
from cellwarden.edge.frame_queue import FrameQueue
from cellwarden.edge.inference import ChargeSense, HealthSense, StrangeSense
from cellwarden.edge.journal import Journal
from cellwarden.edge.watchdog import Guarded, Watchdog, notify
from edge.live import Hands, TablePack, closing, pack

class Pipe(TablePack):
    # Readings come while the other end writes bytes; commands go to a file.
    def read(self):
        sys.stdin.buffer.read(1)
        return super().read()
    def write(self, command):
        with open(sys.argv[1], "a") as log:
            closed = command.contactors.closed
            print(json.dumps([time.monotonic(), closed]), file=log, flush=True)

live = Pipe(Hands())
senses = ChargeSense(pack()), HealthSense(pack()), StrangeSense()
guarded = Guarded(live)
def end(silent):
    time.sleep(0.3)
    os._exit(5)
dog = Watchdog(guarded, limit_second=0.5, on_trip=end)
queue = FrameQueue(Journal(Path(sys.argv[1] + ".journal"), bytes(32)))
loop = ControlLoop(live, closing, queue, senses, guarded=guarded, watchdog=dog,
                   settings=Settings(0.02))
dog.start()
notify("READY=1")
loop.run(lambda: True)
"""


def test_a_process_whose_loop_hangs_opens_its_pack_and_ends(
    tmp_path: Path, manager: tuple[str, socket.socket]
) -> None:
    address, listener = manager
    log = tmp_path / "commands"
    process = subprocess.Popen(
        [sys.executable, "-c", _PROCESS, str(log), str(Path(__file__).parents[1])],
        stdin=subprocess.PIPE,
        env={**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "600000"},
    )
    assert process.stdin is not None
    process.stdin.write(bytes(20))
    process.stdin.flush()
    heard = set()
    while "READY=1" not in heard:
        heard.add(listener.recv(100).decode())
    hung = time.monotonic()
    assert process.wait(10) == EXIT_CODE[SafetyError]
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert [closed for _, closed in told[:20]] == [True] * 20
    opened = [at for at, closed in told if not closed]
    assert opened, "nobody opened the pack"
    assert opened[0] - max(told[19][0], hung - 0.1) < 1.0
    assert not told[-1][1]
    process.stdin.close()


class Failing(Recorder):
    """Raises something of its own the first times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times

    def write(self, command: Command) -> None:
        self.left -= 1
        if self.left >= 0:
            raise OSError(5, "Input/output error")
        super().write(command)


def test_a_driver_that_raises_whatever_it_likes_does_not_stop_the_watchdog() -> None:
    pack = Failing(2)
    watchdog = Watchdog(Guarded(pack), limit_second=0.05, tell=lambda _line: True)
    watchdog.start()
    waits_for(pack.commands)
    watchdog.stop()
    assert pack.commands[0] == SAFE


def test_a_command_that_was_on_its_way_is_followed_by_the_safe_one() -> None:
    pack = Recorder()
    pack.free.clear()
    guarded = Guarded(pack)
    writer = threading.Thread(target=guarded.write, args=(SERVING,), daemon=True)
    writer.start()
    time.sleep(0.05)
    guarded.shut_down()
    pack.free.set()
    writer.join(5.0)
    assert pack.commands[-1] == SAFE
