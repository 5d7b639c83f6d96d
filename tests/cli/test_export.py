"""Exports through the real command line: the hub runs, or is down."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellwarden.trust.ledger import Checkpoint, NoteKey
from journeys.system import System, twin


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """An installation whose hub runs and has taken in one device."""
    running = System(tmp_path)
    try:
        running.enrol("pack-1", twin("pack-1", 20))
        running.start_hub()
        running.send_all("pack-1")
        yield running
    finally:
        running.close()


def export(system: System, *words: str) -> "subprocess.CompletedProcess[str]":
    return system.cli("export", *words)


def head_in(folder: Path, system: System) -> Checkpoint:
    key = NoteKey.parse(system.home.trust_roots().ledger_key)
    return Checkpoint.open((folder / "checkpoint").read_text(), key)


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_tiles_of_a_running_hub_and_of_its_files_are_the_same(
    system: System, tmp_path: Path
) -> None:
    live, still = tmp_path / "live", tmp_path / "still"
    told = export(system, "tiles", str(live))
    assert told.returncode == 0, told.stderr
    assert "the running hub" in told.stdout
    assert system.stop_hub() == 0
    for folder in (live, still):  # the verdict that a stopping hub may add comes behind
        told = export(system, "tiles", str(folder))
        assert told.returncode == 0, told.stderr
        assert "the hub's files" in told.stdout
    assert head_in(live, system) == head_in(still, system)
    assert head_in(still, system).size >= 6  # hub, device and four batches
    newest, behind = files_in(still), files_in(live)
    assert newest.items() <= behind.items()
    assert {name.rsplit("/", 1)[0] for name in behind} == {
        name.rsplit("/", 1)[0] for name in newest
    }


def test_tiles_are_not_written_on_the_word_of_a_hub_that_is_not_trusted(
    system: System, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    other = System(tmp_path / "other")
    try:
        mine.write_bytes(other.home.trust.read_bytes())
        told = export(system, "tiles", str(tmp_path / "tiles"), "--trust", str(mine))
    finally:
        other.close()
    assert told.returncode == 4, told.stdout
    assert not (tmp_path / "tiles").exists()


def test_a_table_leaves_through_the_running_hub_and_from_its_files(
    system: System, tmp_path: Path
) -> None:
    live, still = tmp_path / "live.csv", tmp_path / "still.csv"
    assert export(system, "pack", str(live)).returncode == 0
    assert system.stop_hub() == 0
    assert export(system, "pack", str(still)).returncode == 0
    assert live.read_text() == still.read_text()
    assert "pack-1" in live.read_text()
    assert live.stat().st_mode & 0o077 == 0


def test_the_ledger_has_no_part_that_is_a_devices(system: System, tmp_path: Path) -> None:
    told = export(system, "tiles", str(tmp_path / "tiles"), "--device", "pack-1")
    assert told.returncode == 2
    assert "not kept by device" in told.stderr
