"""An installation on free ports whose hub and devices are real processes on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from cellwarden.cli.check import audit_home
from cellwarden.cli.client import HubClient
from cellwarden.cli.home import Home
from cellwarden.domain import Frames
from cellwarden.edge.config import HubAddress, create_device, install_certificate
from cellwarden.edge.source import Source, write_source
from cellwarden.hub import setup as hub_setup
from cellwarden.hub.config import load_config
from cellwarden.hub.rows import read_batches
from cellwarden.hub.store import FileStore, Rows, Store
from cellwarden.physics.twin import Twin, TwinConfig
from cellwarden.trust.identity import Authority, Identity, utc
from cellwarden.trust.keys import FileKeyStore
from cellwarden.wire.audit import Report

PATIENCE_SECOND = 90.0  # how long a slow machine may take for what ought to take a second or two
REFUSAL = ("claimed_device", "peer", "kind", "message")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def twin(name: str, frame_count: int, *, batch_frames: int = 5, **more: Any) -> Source:
    """A small pack of the twin, of so many frames, a second apart."""
    period = more.setdefault("period_second", 1.0)
    live = more.pop("live", False)
    told = {"name": name, "series_count": 3, "duration_second": frame_count * period, **more}
    return Source(twin=told, batch_frames=batch_frames, live=live)


def wait_for(what: Callable[[], Any], meaning: str, second: float = PATIENCE_SECOND) -> Any:
    """The first true answer; fails with what was waited for."""
    end = time.monotonic() + second
    while not (answer := what()):
        assert time.monotonic() < end, f"waited {second:.0f} s in vain for: {meaning}"
        time.sleep(0.02)
    return answer


@dataclass
class Edge:
    """A running edge process and what it has said."""

    process: "subprocess.Popen[str]"
    log: Path
    states: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        with self.process.stdout or sys.stdin as lines:
            self.states.extend(json.loads(line) for line in lines if line.endswith("}\n"))

    def last(self, name: str) -> dict[str, Any]:
        """What a device said last."""
        told = [state for state in list(self.states) if state["device"] == name]
        return told[-1] if told else {"made_count": 0, "sent_count": 0, "trouble": ""}

    def troubles(self, name: str) -> list[str]:
        """What stood in a device's way, in its own words."""
        return [s["trouble"] for s in list(self.states) if s["device"] == name and s["trouble"]]

    def wait(self, second: float = PATIENCE_SECOND) -> int:
        """The exit code, when it has ended by itself."""
        code = self.process.wait(second)
        self._listener.join(5)
        return code

    def said(self) -> str:
        """What it wrote on its error output."""
        return self.log.read_text()

    def kill(self) -> None:
        """Take its power away."""
        self.process.kill()
        self.process.wait()


class System:
    """One installation; `close` ends every process that it started."""

    def __init__(self, folder: Path, *, home: Home | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.home = home or Home(folder / "home")
        self.password = ""
        if home is None:
            self.password = self.home.init(device_port=free_port(), page_port=free_port()) or ""
        self._temporary = folder / "tmp"
        self._temporary.mkdir(exist_ok=True)
        self.hub: subprocess.Popen[str] | None = None
        self.sources: dict[str, Source] = {}
        self._processes: list[subprocess.Popen[str]] = []

    # --- devices ---------------------------------------------------------------------------

    def enrol(self, name: str, source: Source | None = None) -> Path:
        """A device as the operator enrols it."""
        folder = self.home.enrol(name)
        if source is not None:
            self.reads(name, source)
        return folder

    def enrol_at(
        self, name: str, unix_time_second: float, days: float, authority: Authority | None = None
    ) -> Path:
        """A device whose certificate was issued at another time, or by somebody else."""
        asked = create_device(self.home.device(name), name)
        own = self.home.authority()
        certificate = (authority or own).issue(
            asked, Identity("device", name), utc(unix_time_second), timedelta(days=days)
        )
        address = HubAddress(**hub_setup.hub_address(self.home.hub, load_config(self.home.hub)))
        install_certificate(self.home.device(name), certificate, own.certificate, address)
        return self.home.device(name)

    def reads(self, name: str, source: Source) -> None:
        """Tell a device what to read."""
        self.sources[name] = source
        write_source(self.home.device(name), source)

    def edge(
        self, *names: str, options: Sequence[str] = (), env: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> Edge:  # fmt: skip
        """Devices as one process."""
        log = self.folder / f"edge-{len(self._processes)}.log"
        line = ["edge", *names, "--json", *options]
        return Edge(self._start(line, log, env, inside), log)

    def send_all(self, *names: str, **more: Any) -> Edge:
        """Devices as one process, until all is stored and proved."""
        edge = self.edge(*names, **more)
        assert edge.wait() == 0, edge.said()
        return edge

    def control(
        self, name: str, *, env: Mapping[str, str] | None = None
    ) -> "tuple[subprocess.Popen[str], Path]":
        """A controlled pack as a process, and what it says."""
        log = self.folder / f"device-{len(self._processes)}.log"
        return self._start(["device", "run", name], log, env, ()), log

    # --- the hub ---------------------------------------------------------------------------

    def start_hub(
        self, *, env: Mapping[str, str] | None = None, inside: Sequence[str] = (), up: bool = True
    ) -> "subprocess.Popen[str]":
        """The hub as a process; by default it answers when this returns."""
        self.hub = self._start(["hub"], self.folder / "hub.log", env, inside)
        if up:
            self.wait_until_up()
        return self.hub

    def wait_until_up(self) -> None:
        """The hub answers."""
        hub = self.hub
        assert hub is not None

        def answers() -> bool:
            assert hub.poll() is None, self.hub_said()
            return client.is_up()

        with HubClient(self.home) as client:
            wait_for(answers, "the hub to answer")

    def stop_hub(self) -> int:
        """Stop the hub as the service manager does."""
        assert self.hub is not None
        self.hub.terminate()
        return self.hub.wait(PATIENCE_SECOND)

    def kill_hub(self) -> None:
        """Take the hub's power away."""
        assert self.hub is not None
        self.hub.kill()
        self.hub.wait()

    def hub_said(self) -> str:
        """The hub's log."""
        path = self.folder / "hub.log"
        return path.read_text() if path.exists() else ""

    # --- what there is in the end ----------------------------------------------------------

    def verify(self) -> Report:
        """The whole ledger holds, with what the devices hold of it."""
        report, _ = audit_home(self.home, self.home.trust_roots(), show_progress=False)
        assert report.first_bad is None, report.first_bad
        return report

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The hub's store while the hub is down."""
        key = FileKeyStore(self.home.hub / "keys").get("store")
        store = Store(FileStore(self.home.hub / "store.duckdb", key))
        try:
            yield store
        finally:
            store.close()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """What a query gives while the hub is down."""
        with self.store() as store:
            return store.rows(sql, parameters)

    def refusals(self) -> list[dict[str, str]]:
        """Who was refused and why, while the hub is down."""
        rows = self.rows(f"SELECT {', '.join(REFUSAL)} FROM refusal ORDER BY unix_time_second")
        return [dict(zip(REFUSAL, row, strict=True)) for row in rows]

    def listed(self) -> list[dict[str, Any]]:
        """Who was refused and why, as the running hub shows it."""
        with HubClient(self.home) as client:
            rows: list[dict[str, Any]] = client.get("/api/trust").json()["refused"]
            return rows

    def check_stored(self, *names: str) -> None:
        """The hub's rows of these devices are the frames of their packs: none lost, none twice."""
        with self.store() as store:
            for name in names:
                check_frames(stored_frames(store, name), driven_frames(self.sources[name]))

    def cli(self, *arguments: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        """A command to its end."""
        return subprocess.run(
            [*more.get("inside", ()), *self._line(arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECOND,
            env=_environment(more.get("env")),
        )

    def spills(self) -> list[Path]:
        """Folders for spills and pipes that a hub has made and not removed."""
        return [path for path in self._temporary.iterdir() if path.is_dir()]

    def close(self) -> None:
        """End what still runs."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()

    def _line(self, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "cellwarden", *arguments, "--home", str(self.home.path)]

    def _start(
        self,
        line: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None,
        inside: Sequence[str],
    ) -> "subprocess.Popen[str]":
        with log.open("a") as errors:
            process = subprocess.Popen(
                [*inside, *self._line(line)],
                stdout=subprocess.PIPE if line[0] == "edge" else errors,
                stderr=errors,
                text=True,
                env={**_environment(env), "TMPDIR": str(self._temporary)},
            )
        self._processes.append(process)
        return process


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **(more or {})}


def stored_frames(store: Store, name: str) -> list[Frames]:
    """A device's stored batches, in their order."""
    leaves = [
        row[0]
        for row in store.rows(
            "SELECT leaf_index FROM batch WHERE device = ? ORDER BY sequence", [name]
        )
    ]
    if not leaves:
        return []
    batches = read_batches(store, leaves[0], leaves[-1])
    return [batches[leaf] for leaf in leaves]


def driven_frames(source: Source) -> Frames:
    """All that a device's pack shows, in one piece."""
    config = TwinConfig(**source.twin)
    frames = Twin(config).read(config.frame_count)
    assert frames is not None
    return frames


def check_frames(stored: Sequence[Frames], driven: Frames) -> None:
    """Bit for bit the same measurements, however they were cut into batches."""
    assert stored, "nothing is stored"
    for name in (
        "unix_time_second", "voltage_volt", "current_ampere", "cell_voltage_volt",
        "cell_temperature_celsius",
    ):  # fmt: skip
        together = np.concatenate([getattr(batch, name) for batch in stored])
        wanted = getattr(driven, name)
        assert together.shape == wanted.shape, name
        np.testing.assert_array_equal(together, wanted, err_msg=name)
