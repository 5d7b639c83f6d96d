"""Files got over real TLS: what is not proved is not kept."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from cellwarden.datasets import DataSet, Part
from cellwarden.datasets.fetch import fetch, fetch_part
from cellwarden.errors import DataError, IdentityError, TrustError, UnavailableError, UsageError
from datasets.conftest import CONTENT, Files
from journeys.disk import small_disk

UNAVAILABLE, WRONG = 6, 3


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["good", "unstated", "moved", "packed", "willing"])
def test_a_file_with_the_right_digest_takes_its_name(
    files: Files, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "deep" / "file.bin"
    told: list[int] = []
    part = files.part(name)
    assert fetch_part(
        part, path, context=files.context, progress=lambda _, count: told.append(count)
    )
    assert path.read_bytes() == CONTENT
    assert left(tmp_path) == ["file.bin"]
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)
    assert not fetch_part(part, path, context=files.context), "it is there already"


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("altered", DataError, "SHA-256"),
        ("long", DataError, "307,201 bytes, not 307,200"),
        ("long_unstated", DataError, "more than 307,200 bytes"),
        ("cut", UnavailableError, "localhost"),
        ("cut_unstated", UnavailableError, "cut short after 306,200 of 307,200 bytes"),
        ("plain", TrustError, "unprotected"),
        ("loop", UnavailableError, "too often"),
        ("nowhere", UnavailableError, "file.bin"),
        ("absent", UnavailableError, "answers 404"),
        ("busy", UnavailableError, "answers 503"),
    ],
)
def test_what_is_not_proved_is_not_kept(
    files: Files, tmp_path: Path, name: str, kind: type[Exception], said: str
) -> None:
    path = tmp_path / "file.bin"
    with pytest.raises(kind, match=said) as caught:
        fetch_part(files.part(name), path, context=files.context)
    assert caught.value.hint  # type: ignore[attr-defined]
    assert left(tmp_path) == []


def test_a_server_whose_certificate_does_not_hold_is_not_believed(
    files: Files, tmp_path: Path
) -> None:
    with pytest.raises(IdentityError, match="certificate of localhost"):
        fetch_part(files.part("good"), tmp_path / "file.bin")
    assert left(tmp_path) == []


def test_without_a_network_it_says_so(files: Files, tmp_path: Path) -> None:
    for host in ("https://nowhere.invalid/file", "https://localhost:9/file"):
        part = msgspec.structs.replace(files.part("good"), address=host)
        with pytest.raises(UnavailableError) as caught:
            fetch_part(part, tmp_path / "file.bin", context=files.context)
        assert "Is there a network?" in caught.value.hint
    assert left(tmp_path) == []


def test_another_file_of_that_name_is_left_alone(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_text("mine")
    with pytest.raises(DataError, match="another file"):
        fetch_part(files.part("good"), path, context=files.context)
    assert path.read_text() == "mine"


def test_what_a_killed_fetch_left_is_cleared_once_it_is_old(files: Files, tmp_path: Path) -> None:
    old, young = tmp_path / ".file.bin.a.fetching", tmp_path / ".file.bin.b.fetching"
    for path in (old, young):
        path.write_text("half")
    os.utime(old, (0, 0))
    fetch_part(files.part("good"), tmp_path / "file.bin", context=files.context)
    assert sorted(left(tmp_path)) == [".file.bin.b.fetching", "file.bin"]


def described(*parts: Part) -> DataSet:
    return DataSet("made", "Made", "A set", "w", "l", "c", "https://localhost/", "here", parts)


def test_a_set_is_fetched_part_by_part_and_says_which_have_no_address(
    files: Files, tmp_path: Path
) -> None:
    bare = msgspec.structs.replace(files.part("good", "bare.bin"), address="")
    known = described(files.part("good", "a/one.bin"), bare)
    got = list(fetch(known, tmp_path, context=files.context))
    assert [(one.part.path, one.state) for one in got] == [
        ("a/one.bin", "fetched"),
        ("bare.bin", "no address"),
    ]
    assert (tmp_path / "made" / "a" / "one.bin").read_bytes() == CONTENT


def test_a_set_without_any_known_digest_names_its_page(files: Files, tmp_path: Path) -> None:
    known = described(msgspec.structs.replace(files.part("good"), address=""))
    with pytest.raises(UsageError, match="no public address") as caught:
        list(fetch(known, tmp_path, context=files.context))
    assert "https://localhost/" in caught.value.hint
    assert "--record" in caught.value.hint
    assert left(tmp_path) == []


def write_catalogue(folder: Path, known: DataSet) -> Path:
    folder.mkdir()
    values = msgspec.to_builtins(known)
    values["parts"] = [{k: v for k, v in one.items() if v is not None} for one in values["parts"]]
    (folder / f"{known.name}.toml").write_bytes(msgspec.toml.encode(values))
    return folder


def start(files: Files, catalogue: Path, to: Path, *inside: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*inside, sys.executable, "-m", "cellwarden", "datasets", "fetch", "made",
         "--to", str(to), "--catalogue", str(catalogue), "--json"],
        env={**os.environ, "SSL_CERT_FILE": str(files.authority)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_fetch_killed_in_the_middle_leaves_nothing_under_the_name(
    files: Files, tmp_path: Path
) -> None:
    files.server.behind.clear()
    catalogue = write_catalogue(tmp_path / "catalogue", described(files.part("slow")))
    target = tmp_path / "data" / "made"
    process = start(files, catalogue, tmp_path / "data")
    try:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size for path in target.glob(".*")):
            assert time.monotonic() < deadline, "no byte was written"
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (target / "file.bin").exists()
    finally:
        process.kill()
        files.server.behind.set()
    again = start(files, catalogue, tmp_path / "data")
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert msgspec.json.decode(out)["parts"][0]["state"] == "fetched"
    assert (target / "file.bin").read_bytes() == CONTENT


def test_a_full_disk_is_said_and_leaves_nothing(files: Files, tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "catalogue", described(files.part("good")))
    folder = tmp_path / "data"
    folder.mkdir()
    with small_disk(folder, 1) as disk:
        disk.fill()
        process = start(files, catalogue, folder, *disk.inside)
        _, err = process.communicate(timeout=60)
        assert process.returncode == UNAVAILABLE, err
        assert "disk is full" in err
        assert "what to do:" in err
        assert left(disk.path) == ["filler"]
        disk.free()
        again = start(files, catalogue, folder, *disk.inside)
        _, err = again.communicate(timeout=60)
        assert again.returncode == 0, err
        assert left(disk.path) == ["file.bin"]


def test_a_wrong_digest_ends_the_command_with_its_own_exit_code(
    files: Files, tmp_path: Path
) -> None:
    catalogue = write_catalogue(tmp_path / "catalogue", described(files.part("altered")))
    process = start(files, catalogue, tmp_path / "data")
    _, err = process.communicate(timeout=60)
    assert process.returncode == WRONG, err
    assert "the address gives another file: SHA-256" in err
    assert left(tmp_path / "data") == []
