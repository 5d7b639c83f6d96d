"""A controlled pack as a process: orders from its hub, kills, a hub that goes away, a clean end."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cellwarden.cli.client import HubClient
from cellwarden.edge.config import open_outbox
from cellwarden.edge.device_config import (
    DeviceConfig,
    DriverPart,
    LoopPart,
    OrdersPart,
    PackPart,
    write_device_config,
)
from cellwarden.errors import EXIT_CODE, SafetyError, UsageError
from journeys.system import System, wait_for

NAME = "pack-1"
CONFIG = DeviceConfig(
    PackPart("NMC", 50.0, 12),
    driver=DriverPart(options={"seed": 1}),
    # A busy machine may hold a process up for longer than a device's own may.
    loop=LoopPart(batch_frames=2, flush_second=1.0, silent_second=3.0),
    orders=OrdersPart(poll_second=1.0),
)


@pytest.fixture
def ready(system: System) -> Iterator[System]:
    """A hub that runs, and a pack that could."""
    system.enrol(NAME)
    write_device_config(system.home.device(NAME), CONFIG)
    system.start_hub()
    yield system
    system.close()


def orders(system: System) -> list[dict[str, Any]]:
    with HubClient(system.home) as client:
        told: list[dict[str, Any]] = client.get(f"/api/batteries/{NAME}/orders").json()["orders"]
        return told


def frame_count(system: System) -> int:
    with HubClient(system.home) as client:
        return sum(one["frame_count"] for one in client.fleet())


@pytest.mark.timeout(240)
def test_orders_reach_a_running_pack_and_outlive_its_kills(ready: System) -> None:
    process, log = ready.control(NAME)
    wait_for(lambda: frame_count(ready) or process.poll(), "the first batch")
    assert process.poll() is None, log.read_text()
    told = ready.cli("order", NAME, "--charge-ampere", "20", "--hours", "1")
    assert told.returncode == 0, told.stderr
    wait_for(lambda: orders(ready)[0]["state"] == "obeyed", "the order to be obeyed")
    before = frame_count(ready)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again, log = ready.control(NAME)
    wait_for(lambda: frame_count(ready) > before + 2 or again.poll(), "more batches after the kill")
    assert again.poll() is None, log.read_text()
    # A second process on the same pack is kept out.
    second, second_log = ready.control(NAME)
    assert second.wait(60) == EXIT_CODE[UsageError]
    assert "another process controls" in second_log.read_text()
    # What loosens is refused by the pack itself, and its word reaches the hub's pages.
    told = ready.cli("order", NAME, "--charge-ampere", "5000")
    assert told.returncode == 0, told.stderr
    wait_for(lambda: orders(ready)[0]["state"] == "loosening", "the refusal")
    assert "the pack itself allows 50" in orders(ready)[0]["message"]
    shown = ready.cli("orders", NAME)
    assert "obeyed" in shown.stdout
    assert "loosening" in shown.stdout
    # The hub goes away for a while: the pack goes on, and brings what it read.
    ready.kill_hub()
    time.sleep(4)
    assert again.poll() is None
    before = time.time()
    ready.start_hub()
    wait_for(lambda: frame_count(ready) > 20, "what was read meanwhile")
    again.send_signal(signal.SIGTERM)
    assert again.wait(30) == 0, log.read_text()
    assert "is open" in log.read_text()
    assert ready.stop_hub() == 0
    ready.verify()
    rows = ready.rows(
        "SELECT count(*), count(DISTINCT unix_time_second), count(DISTINCT boot) FROM sample"
        " JOIN batch USING (leaf_index)"
    )
    count, distinct, boots = rows[0]
    assert count == distinct, "a frame stands twice"
    assert boots == 2
    outbox = open_outbox(ready.home.device(NAME))
    assert outbox.kept("orders") is not None
    outbox.close()


@pytest.mark.timeout(120)
def test_the_service_manager_hears_that_it_is_ready_that_it_lives_and_that_it_stops(
    system: System, tmp_path: Path
) -> None:
    system.enrol(NAME)
    write_device_config(system.home.device(NAME), CONFIG)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        address = str(tmp_path / "notify")
        listener.bind(address)
        listener.settimeout(60)
        env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "7000000"}
        process, log = system.control(NAME, env=env)
        heard = [listener.recv(100).decode() for _ in range(4)]
        assert heard[0] == "READY=1", log.read_text()
        assert heard[1:] == ["WATCHDOG=1"] * 3
        # Stopped from outside as if it hung: nobody hears of it any more.
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        listener.settimeout(0)
        with suppress(BlockingIOError):
            while listener.recv(100):
                pass
        time.sleep(5.0)
        with pytest.raises(BlockingIOError):
            listener.recv(100)
        # Awake again, loop or watchdog is first: the pack goes on, or is opened and left.
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in {0, EXIT_CODE[SafetyError]}
