"""One device shows its pack over Modbus with TLS, another reads it there: two processes, one CA."""

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellwarden.edge.source import Source
from journeys.system import System, free_port, wait_for


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    made = System(tmp_path)
    yield made
    made.close()


def test_a_pack_is_read_by_another_device_over_tls(system: System) -> None:
    port = free_port()
    assert system.cli("certify", "rack", "--host", "127.0.0.1").returncode == 0
    told = {"name": "rack", "series_count": 3, "start_unix_time_second": time.time() - 10.0}
    shown = system.enrol("rack", Source(twin=told, batch_frames=1, live=True))
    certificate = system.home.path / "servers" / "rack"
    (shown / "outputs.toml").write_text(
        f'[[sunspec]]\nport = {port}\ncertificate = "{certificate}"\n'
    )
    reading = system.enrol("meter")
    (reading / "source.toml").write_text(
        f'[modbus]\nhost = "127.0.0.1"\nport = {port}\npositive_current = "charge"\n'
        '[pack]\nchemistry = "NMC"\nnominal_capacity_ah = 3\nseries_count = 3\nsensor_count = 3\n'
    )
    edge = system.edge("rack")
    try:
        wait_for(lambda: listens(port), "the server to listen")

        def looked() -> str:
            assert edge.process.poll() is None, edge.said()
            done = system.cli("look", "meter", "--count", "1")
            assert done.returncode == 0, done.stderr
            return done.stdout if "no reading" not in done.stdout else ""

        seen = wait_for(looked, "the pack to be shown")
    finally:
        edge.kill()
    volt = re.search(r"([\d.]+) V .*?([\d.]+) V lowest cell", seen)
    assert volt
    assert float(volt[1]) == pytest.approx(3 * float(volt[2]), abs=0.3)
    gone = system.cli("look", "meter", "--count", "1")
    assert "no reading" in gone.stdout, "what is no longer shown is not shown as old"
    assert "nobody answers" in gone.stdout or "refused" in gone.stdout
