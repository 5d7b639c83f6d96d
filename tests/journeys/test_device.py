"""Controlled packs as processes: orders from their hub, kills, a hub that goes away, a clean end.

One hub and two packs serve all of the module: one is sound, the other too hot until it is killed.
What a test stopped, the next one that needs it starts again.
"""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cellwarden.cli.client import HubClient
from cellwarden.edge.config import open_memory, open_outbox
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

NAME, HOT = "pack-1", "pack-2"


def config(**options: Any) -> DeviceConfig:
    return DeviceConfig(
        PackPart("NMC", 50.0, 12),
        driver=DriverPart(options={"seed": 1, **options}),
        # A busy machine may hold a process up for longer than a device's own may.
        loop=LoopPart(batch_frames=2, flush_second=1.0, silent_second=3.0),
        orders=OrdersPart(poll_second=1.0),
    )


@dataclass
class Packs:
    """A hub and two packs under control."""

    system: System
    notified: Path
    running: "dict[str, tuple[subprocess.Popen[str], Path]]" = field(default_factory=dict)
    boot_count: int = 0

    def start(self, name: str) -> "subprocess.Popen[str]":
        """The pack's process, begun anew where there is none."""
        if name not in self.running or self.running[name][0].poll() is not None:
            # Twice as often as this the service manager hears that the loop lives.
            env = {"NOTIFY_SOCKET": str(self.notified), "WATCHDOG_USEC": "6100000"}
            more = {"env": env} if name == HOT else {}
            self.running[name] = self.system.control(name, **more)
            self.boot_count += name == NAME
        return self.running[name][0]

    def kill(self, name: str) -> None:
        process = self.running[name][0]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def log(self, name: str) -> str:
        return self.running[name][1].read_text()

    def until(self, what: Any, meaning: str, name: str = NAME) -> None:
        """Wait for something while the pack's process lives."""
        process = self.start(name)
        wait_for(lambda: what() or process.poll() is not None, meaning)
        assert process.poll() is None, self.log(name)


@pytest.fixture(scope="module")
def all_packs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Packs, socket.socket]]:
    folder = tmp_path_factory.mktemp("system")
    system = System(folder)
    for name in (NAME, HOT):
        system.enrol(name)
    write_device_config(system.home.device(NAME), config())
    hot = config(ambient_temperature_celsius=72.0, ambient_swing_celsius=0.0)
    write_device_config(system.home.device(HOT), hot)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        made = Packs(system, folder / "notify")
        listener.bind(str(made.notified))
        system.start_hub(up=False)
        made.start(NAME)
        made.start(HOT)
        yield made, listener
    system.close()


@pytest.fixture
def packs(all_packs: tuple[Packs, socket.socket]) -> Packs:
    """Everything, up again where a test has stopped it."""
    packs = all_packs[0]
    if packs.system.hub is None or packs.system.hub.poll() is not None:
        packs.system.start_hub(up=False)
    packs.system.wait_until_up()
    packs.start(NAME)
    return packs


def orders(packs: Packs) -> list[dict[str, Any]]:
    with HubClient(packs.system.home) as client:
        told: list[dict[str, Any]] = client.get(f"/api/batteries/{NAME}/orders").json()["orders"]
        return told


def frame_count(packs: Packs, name: str = NAME) -> int:
    with HubClient(packs.system.home) as client:
        return sum(one["frame_count"] for one in client.fleet() if one["device"] == name)


def standing(packs: Packs, name: str) -> dict[str, Any]:
    with HubClient(packs.system.home) as client:
        found: dict[str, Any] = client.get(f"/api/batteries/{name}").json()
        return found["pack"] or {}


@pytest.mark.timeout(120)
def test_an_order_is_obeyed_and_one_that_loosens_is_refused_by_the_pack_itself(
    packs: Packs,
) -> None:
    packs.until(lambda: frame_count(packs), "the first batch")
    for ampere in ("20", "5000"):
        told = packs.system.cli("order", NAME, "--charge-ampere", ampere, "--hours", "1")
        assert told.returncode == 0, told.stderr

    def states() -> set[str]:
        return {one["state"] for one in orders(packs)}

    packs.until(lambda: states() == {"obeyed", "loosening"}, "both orders to be judged")
    refused = next(one for one in orders(packs) if one["state"] == "loosening")
    assert "the pack itself allows 50" in refused["message"]
    shown = packs.system.cli("orders", NAME)
    assert "obeyed" in shown.stdout
    assert "loosening" in shown.stdout


@pytest.mark.timeout(120)
def test_a_latched_fault_outlives_kill_9_and_the_sound_pack_serves_again(packs: Packs) -> None:
    fault = "discharge_temperature_high_maximum"
    packs.start(HOT)
    packs.until(lambda: standing(packs, HOT).get("mode") == "error", "the fault", HOT)
    assert fault in {one["name"] for one in standing(packs, HOT)["troubles"]}
    packs.until(lambda: frame_count(packs), "the first batch")
    before = frame_count(packs)
    packs.kill(HOT)
    packs.kill(NAME)
    # What was too hot has cooled down meanwhile: nothing but the memory knows of the fault.
    write_device_config(packs.system.home.device(HOT), config())
    killed = time.time()
    packs.start(HOT)
    packs.start(NAME)

    def settled() -> bool:
        told = standing(packs, HOT)
        return told["unix_time_second"] > killed + 1.0 and told["mode"] not in {"init", "opening"}

    packs.until(settled, "the pack after the kill", HOT)
    told = standing(packs, HOT)
    assert told["mode"] == "error"
    assert not told["plus_closed"]
    assert {one["name"] for one in told["troubles"]} == {f"machine.{fault}"}
    assert told["waits_for"] == "an operator's reset"
    packs.until(lambda: frame_count(packs) > before + 2, "more batches after the kill")
    packs.until(lambda: standing(packs, NAME)["mode"] == "connected", "the sound pack to serve")


@pytest.mark.timeout(120)
def test_a_second_process_on_the_same_pack_is_kept_out_and_a_hub_that_goes_away_costs_nothing(
    packs: Packs,
) -> None:
    packs.until(lambda: frame_count(packs), "the first batch")
    before = frame_count(packs)
    packs.system.kill_hub()
    second, log = packs.system.control(NAME)
    assert second.wait(60) == EXIT_CODE[UsageError]
    assert "another process controls" in log.read_text()
    assert packs.start(NAME).poll() is None
    packs.system.start_hub()
    packs.until(lambda: frame_count(packs) > before + 4, "what was read meanwhile")


@pytest.mark.timeout(120)
def test_the_service_manager_hears_that_it_is_ready_that_it_lives_and_that_it_hangs(
    all_packs: tuple[Packs, socket.socket], packs: Packs
) -> None:
    listener = all_packs[1]
    process = packs.start(HOT)
    listener.settimeout(60)
    heard = [listener.recv(100).decode() for _ in range(3)]
    assert heard[0] in {"READY=1", "WATCHDOG=1"}, packs.log(HOT)
    assert "WATCHDOG=1" in heard
    assert set(heard) <= {"READY=1", "WATCHDOG=1", "STOPPING=1"}
    # Stopped from outside as if it hung: nobody hears of it any more.
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    listener.settimeout(0)
    with suppress(BlockingIOError):
        while listener.recv(100):
            pass
    time.sleep(4.0)  # longer than it may be silent
    with pytest.raises(BlockingIOError):
        listener.recv(100)
    # Awake again, loop or watchdog is first: the pack goes on, or is opened and left.
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) in {0, EXIT_CODE[SafetyError]}
    memory = open_memory(packs.system.home.device(HOT))
    assert memory.found.intact
    memory.close()


@pytest.mark.timeout(120)
def test_told_to_stop_it_opens_the_pack_and_no_frame_stands_twice(packs: Packs) -> None:
    packs.until(lambda: frame_count(packs), "the first batch")
    now = time.time()
    packs.until(lambda: standing(packs, NAME)["unix_time_second"] > now, "a batch of this process")
    process = packs.start(NAME)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, packs.log(NAME)
    assert "is open" in packs.log(NAME)
    assert packs.system.stop_hub() == 0
    packs.system.verify()
    rows = packs.system.rows(
        "SELECT count(*), count(DISTINCT unix_time_second), count(DISTINCT boot) FROM sample"
        " JOIN batch USING (leaf_index) WHERE batch.device = ?",
        [NAME],
    )
    count, distinct, boots = rows[0]
    assert count == distinct, "a frame stands twice"
    assert boots == packs.boot_count
    outbox = open_outbox(packs.system.home.device(NAME))
    assert outbox.kept("orders") is not None
    outbox.close()
