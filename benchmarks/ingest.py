"""Values stored and proved per second, edge to hub, with everything on.

Each device is a pack of 100 cells with 100 temperature sensors at 1 Hz, a batch a minute. The edge
signs, seals, keeps (SQLite, fsync) and posts over mutual TLS; the hub verifies, opens, stores
(encrypted DuckDB, fsync), grows the ledger, signs a head and proves the leaf; the edge checks the
proof. Hub and edge are two processes on the machine's cores. A value is one number of one sensor
at one time stamp, counted when the device holds the proof.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cellwarden.cli.client import HubClient
from cellwarden.cli.home import Home
from cellwarden.domain import Command, Frames
from cellwarden.edge.agent import Agent, Sender, keep_sending
from cellwarden.edge.config import open_device, open_outbox, open_transport

_CELLS = 100
_BATCH = 60


@dataclass
class Canned:
    """A driver with its frames in memory: the twin's own cost is not what is measured."""

    batches: list[Frames]
    next: int = 0

    def read(self, _count: int) -> Frames | None:
        """The next batch."""
        if self.next == len(self.batches):
            return None
        self.next += 1
        return self.batches[self.next - 1]

    def position(self) -> bytes:
        """The number of the next batch."""
        return self.next.to_bytes(4, "big")

    def write(self, command: Command) -> None:
        """Hear nothing."""


@dataclass
class Outcome:
    """One run."""

    device_count: int
    batch_count: int
    value_count: int
    wall_s: float
    edge_cpu_s: float
    hub_cpu_s: float
    edge_stage_s: dict[str, float] = field(default_factory=dict)
    hub_stage_s: dict[str, float] = field(default_factory=dict)

    @property
    def values_per_s(self) -> float:
        """The figure."""
        return self.value_count / self.wall_s


def make_frames(batch_count: int, seed: int) -> list[Frames]:
    """A pack as a cell monitor shows it: 0.1 mV and 0.1 K steps, noise of both."""
    rng = np.random.default_rng(seed)
    single = np.float32
    base = 3.6 + 0.01 * rng.standard_normal(_CELLS)
    batches = []
    for number in range(batch_count):
        walk = 1e-4 * np.cumsum(rng.standard_normal((_BATCH, 1)), axis=0)
        noise = 5e-4 * rng.standard_normal((_BATCH, _CELLS))
        volts = (np.round((base + walk + noise) / 1e-4) * 1e-4).astype(single)
        kelvin = (np.round((25 + 0.2 * rng.standard_normal((_BATCH, _CELLS))) / 0.1) * 0.1).astype(
            single
        )
        start = 1.79e9 + 60.0 * number
        batches.append(
            Frames(
                unix_time_second=start + np.arange(_BATCH, dtype=np.float64),
                voltage_volt=volts.sum(axis=1),
                current_ampere=rng.normal(10.0, 0.1, _BATCH).astype(single),
                cell_voltage_volt=volts,
                cell_temperature_celsius=kelvin,
            )
        )
    return batches


@contextmanager
def hub_process(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """The hub as its own process."""
    log = (home.path / "hub.log").open("wb")
    line = [sys.executable, "-m", "cellwarden", "hub", "--home", str(home.path)]
    process = subprocess.Popen(line, stdout=log, stderr=log)
    try:
        with HubClient(home) as client:
            end = time.monotonic() + 60
            while not client.is_up():
                if time.monotonic() > end or process.poll() is not None:
                    raise SystemExit((home.path / "hub.log").read_text())
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def cpu_second(pid: int) -> float:
    """CPU time of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_devices(home: Home, names: Sequence[str], batch_count: int) -> Outcome:
    """Send from these devices to the running hub, two at work at a time."""
    frames = make_frames(batch_count, 7)
    devices = [
        (open_device(home.device(n)), open_outbox(home.device(n)), open_transport(home.device(n)))
        for n in names
    ]
    stages: dict[str, float] = {}
    lock = threading.Lock()
    waiting = list(devices)

    def work() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                device, outbox, transport = waiting.pop()
            agent = Agent(device, Canned(frames), outbox, batch_frames=_BATCH)
            made = threading.Event()

            def make(agent: Agent = agent, made: threading.Event = made) -> None:
                while agent.step():
                    pass
                made.set()

            maker = threading.Thread(target=make)
            maker.start()
            keep_sending(Sender(device, outbox, transport), made.is_set, lambda _error: None)
            maker.join()
            with lock:
                for stage, spent in agent.stage_second.items():
                    stages[stage] = stages.get(stage, 0.0) + spent

    started, cpu = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=work) for _ in range(min(4, len(names)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    for _device, outbox, transport in devices:
        transport.close()
        outbox.close()
    values = sum(batch.value_count() for batch in frames) * len(names)
    return Outcome(len(names), batch_count * len(names), values, wall, cpu, 0.0, stages)


def measure(device_count: int, batch_count: int) -> Outcome:
    """One run on a fresh installation."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.init(device_port=free_port(), page_port=free_port())
        names = [f"pack-{number}" for number in range(device_count)]
        for name in names:
            home.enrol(name)
        with hub_process(home) as hub:
            before = cpu_second(hub.pid)
            outcome = run_devices(home, names, batch_count)
            outcome.hub_cpu_s = cpu_second(hub.pid) - before
            outcome.hub_stage_s = hub_stages(home)
    return outcome


def hub_stages(home: Home) -> dict[str, float]:
    """CPU seconds by stage, as the hub counts them."""
    with HubClient(home) as client:
        text = client.get("/metrics").text
    found = {}
    for line in text.splitlines():
        if line.startswith("cellwarden_stage_seconds_total{"):
            label, value = line.split("} ")
            found[label.split('stage="')[1].rstrip('"')] = float(value)
    return found


def free_port() -> int:
    """A port that nobody has."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def shares(outcome: Outcome) -> dict[str, float]:
    """Share of all CPU per stage."""
    total = outcome.edge_cpu_s + outcome.hub_cpu_s
    edge = {f"edge {stage}": spent for stage, spent in outcome.edge_stage_s.items()}
    edge["edge send and check"] = outcome.edge_cpu_s - sum(edge.values())
    hub = {f"hub {stage}": spent for stage, spent in outcome.hub_stage_s.items()}
    hub["hub TLS, HTTP, verdicts"] = outcome.hub_cpu_s - sum(hub.values())
    return {stage: spent / total for stage, spent in {**edge, **hub}.items()}


def run(*, quick: bool = False) -> dict[str, Any]:
    """All figures, as one object."""
    rows, figures = [], []
    for device_count, batch_count in (
        ((1, 60), (10, 30)) if quick else ((1, 240), (16, 60), (100, 8))
    ):
        outcome = measure(device_count, batch_count)
        rows.append(
            {"devices": device_count, **vars(outcome), "values_per_s": outcome.values_per_s}
        )
        rows[-1]["cpu_share"] = shares(outcome)
        figures.append(
            {
                "name": f"ingest.values_per_s.devices_{device_count}",
                "value": round(outcome.values_per_s),
                "unit": "1/s",
                "data": "generated, seed 7",
            }
        )
    best = max(row["values_per_s"] for row in rows)
    head = {
        "name": "ingest.values_per_s",
        "value": round(best),
        "unit": "1/s",
        "goal": ">=1000000",
        "peers": {"ThingsBoard on 2 cores, as its makers publish": 15000},
        "data": "generated, seed 7",
    }
    return {"figures": [head, *figures], "rows": rows}
