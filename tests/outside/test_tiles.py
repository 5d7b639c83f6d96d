"""The ledger's files, read and checked by Go's transparency log, which shares no line with ours."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellwarden.hub.audit import StoreView
from cellwarden.hub.tiles import write_tiles
from trust.making import Running, fleet, frames

pytestmark = pytest.mark.outside

SOURCE = Path(__file__).parent / "tiles" / "main.go"
# Where Debian puts Go libraries; elsewhere GOPATH may name another place.
GO_PATH = os.environ.get("GOPATH") or "/usr/share/gocode"


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built once."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go here; `apt-get install golang-go golang-golang-x-mod-dev` brings it")
    if not (Path(GO_PATH) / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("no golang.org/x/mod here; golang-golang-x-mod-dev brings it")
    folder = tmp_path_factory.mktemp("go")
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": GO_PATH,
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
    }
    program = folder / "verifier"
    built = subprocess.run(
        [go, "build", "-o", str(program), str(SOURCE)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return program


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Running]:
    with fleet().open(tmp_path) as running:
        yield running


def fill(hub: Running, count: int) -> None:
    """Enrol a device and store so many batches of it."""
    maker = fleet().maker(f"pack-{hub.ledger.tree.size}")
    hub.send(maker, *(maker.next(frames(1, cells=1, sensors=1)) for _ in range(count)))


def project(hub: Running, folder: Path) -> Path:
    write_tiles(StoreView(hub.store), fleet().note_key, folder)
    return folder


def judge(verifier: Path, folder: Path, *older: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(verifier), str(folder), fleet().note_key.text(), *map(str, older)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_go_finds_every_entry_in_the_head_and_the_older_head_in_the_newer(
    verifier: Path, hub: Running, tmp_path: Path
) -> None:
    folder, older = tmp_path / "tiles", tmp_path / "older"
    for count in (3, 250, 2, 300):
        fill(hub, count)
        project(hub, folder)
        told = judge(verifier, folder, *([older] if older.exists() else []))
        assert told.returncode == 0, told.stderr
        assert f"{hub.ledger.tree.size} entries hold" in told.stdout
        shutil.copy(folder / "checkpoint", older)
    assert hub.ledger.tree.size == 559


def test_go_refuses_what_was_changed(verifier: Path, hub: Running, tmp_path: Path) -> None:
    fill(hub, 300)
    folder = project(hub, tmp_path / "tiles")
    assert judge(verifier, folder).returncode == 0
    for name in (
        "checkpoint",
        "tile/0/000",
        "tile/0/001.p/45",
        "tile/1/000.p/1",
        "tile/entries/000",
    ):
        data = (folder / name).read_bytes()
        middle = len(data) // 2
        changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        (folder / name).write_bytes(changed)
        assert judge(verifier, folder).returncode != 0, name
        (folder / name).write_bytes(data)
    assert judge(verifier, folder).returncode == 0


def test_go_refuses_a_head_of_another_history(verifier: Path, hub: Running, tmp_path: Path) -> None:
    fill(hub, 5)
    folder = project(hub, tmp_path / "tiles")
    other = tmp_path / "other"
    other.mkdir()
    with fleet().open(other) as second:
        fill(second, 3)
        forked = project(second, tmp_path / "forked")
    told = judge(verifier, folder, forked / "checkpoint")
    assert told.returncode != 0
    assert "consistency" in told.stderr
