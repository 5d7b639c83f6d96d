"""One frame goes the whole way; on that way nothing secret and nothing readable lies about."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cellwarden.edge.config import open_outbox
from cellwarden.edge.source import Source
from cellwarden.trust.keys import FileKeyStore
from journeys.system import System, driven_frames, stored_frames, twin

MARKER_VOLT = np.float32(3.1415927)  # its four bytes stand for every plaintext


def record(path: Path, row_count: int = 400) -> Path:
    """A battery file whose every voltage is the marker."""
    time = np.arange(row_count)
    rows = "\n".join(f"{1_750_000_000 + t},{MARKER_VOLT},{-1.5 if t else 0.0}" for t in time)
    path.write_text("Unix Time / s,Voltage / V,Current / A\n" + rows + "\n")
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A hub that has one frame of one device and a record of another; it still runs."""
    system = System(tmp_path_factory.mktemp("frame"))
    system.enrol("one", twin("one", 1))
    marked = record(system.folder / "marked.csv")
    system.enrol("marked")
    system.sources["marked"] = Source(record=str(marked))
    system.start_hub()
    system.send_all("one")
    system.send_all("marked", options=["--record", str(marked)])
    yield system
    system.close()


def test_one_frame_is_signed_sent_stored_and_verified(ran: System) -> None:
    told = ran.cli("verify")
    assert told.returncode == 0, told.stderr
    assert "everything holds" in told.stdout
    outbox = open_outbox(ran.home.device("one"))
    ack = outbox.last_ack()
    outbox.close()
    assert ack is not None
    assert ack.sequence == 1
    assert ran.verify().frame_count == 401


def test_neither_command_line_nor_environment_nor_log_holds_a_secret(ran: System) -> None:
    assert ran.hub is not None
    process = Path("/proc") / str(ran.hub.pid)
    if not process.exists():
        pytest.skip("this system shows no /proc")
    seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    for log in ran.folder.glob("*.log"):
        seen += log.read_bytes()
    for secret in _secrets(ran):
        assert secret not in seen
        assert secret.hex().encode() not in seen.lower()


def test_nothing_at_rest_can_be_read_without_a_key(ran: System) -> None:
    volts = MARKER_VOLT.tobytes() * 4
    looked = []
    for file in _at_rest(ran):
        content = file.read_bytes()
        looked.append(file.name)
        assert volts not in content, file
        assert str(MARKER_VOLT).encode() not in content, file
        assert MARKER_VOLT.astype("<f8").tobytes() * 4 not in content, file
        for secret in _secrets(ran):
            assert secret not in content, file
    assert {"store.duckdb", "outbox.sqlite", "identity.wrapped"} <= set(looked)
    assert any(name.endswith(".wal") for name in looked), "the log that is written first"


def test_what_is_stored_is_what_was_read(ran: System) -> None:
    assert ran.stop_hub() == 0
    with ran.store() as store:
        (frame,) = stored_frames(store, "one")
        volts = np.concatenate([b.voltage_volt for b in stored_frames(store, "marked")])
    assert frame.voltage_volt.tobytes() == driven_frames(ran.sources["one"]).voltage_volt.tobytes()
    assert len(volts) == 400
    assert (volts == MARKER_VOLT).all()
    ran.verify()
    ran.start_hub()


def _secrets(system: System) -> list[bytes]:
    """The first administrator's password, every key, and the keys' master keys."""
    found = [system.password.encode()]
    assert len(found[0]) > 8
    for folder in system.home.path.rglob("keys"):
        keys = FileKeyStore(folder)
        found += [keys.get(path.stem) for path in folder.glob("*.wrapped")]
        found.append((folder / "master.key").read_bytes())
    assert len(found) >= 10
    return found


def _at_rest(system: System) -> list[Path]:
    """Every file of hub and devices, but the master keys, which are the secret."""
    return [
        path
        for folder in (system.home.hub, system.home.path / "edge", system.home.path / "authority")
        for path in folder.rglob("*")
        if path.is_file() and path.name != "master.key"
    ]
