"""Files that hold no record: a plain word and what to do, the right exit code, and others go on."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cellwarden.edge.source import Source
from cellwarden.errors import EXIT_CODE, DataError, Error, UsageError
from journeys.system import Edge, System, twin

GIB = 1 << 30
TEXT = "Unix Time / s,Voltage / V,Current / A\n"


def spoilt(folder: Path) -> dict[str, Path]:
    """Files that somebody might give by mistake, or to do harm."""
    rng = np.random.default_rng(11)
    rows = "".join(f"{1_750_000_000 + n},3.7,-1.0\n" for n in range(100))
    contents: dict[str, bytes] = {
        "empty": b"",
        "blank": b"\n \n\t\n",
        "random": rng.bytes(200_000),
        "zip-cut-short": b"PK\x03\x04" + rng.bytes(5_000),
        "parquet-cut-short": b"PAR1" + rng.bytes(5_000),
        "header-alone": TEXT.encode(),
        "words": (TEXT + "one,two,three\n" * 50).encode(),
        "other-table": b"name,colour\nann,red\nbob,blue\n" * 20,
        "zeros-inside": (TEXT + rows).encode() + bytes(5_000),
        "one-long-line": b"9" * 5_000_000,
    }
    found = {}
    for name, content in contents.items():
        found[name] = folder / f"{name}.csv"
        found[name].write_bytes(content)
    found["folder"] = folder / "folder.csv"
    found["folder"].mkdir()
    found["missing"] = folder / "missing.csv"
    found["pipe"] = folder / "pipe.csv"
    os.mkfifo(found["pipe"])
    for name, head in (("huge-zeros", b""), ("huge-record", (TEXT + rows).encode())):
        found[name] = folder / f"{name}.csv"
        found[name].write_bytes(head)
        os.truncate(found[name], 2 * GIB)  # a sparse file: it takes no room
    return found


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Edge]]:
    """A hub, and one edge process with a device for each of the files and a healthy one."""
    system = System(tmp_path_factory.mktemp("files"))
    files = spoilt(system.folder)
    for name, file in files.items():
        system.enrol(name, Source(record=str(file)))
    system.enrol("healthy", twin("healthy", 100))
    system.start_hub()
    edge = system.edge(*files, "healthy")
    edge.wait()
    yield system, edge
    system.close()


SPOILT = (
    "empty", "blank", "random", "zip-cut-short", "parquet-cut-short", "header-alone", "words",
    "other-table", "zeros-inside", "one-long-line", "folder", "missing", "pipe", "huge-zeros",
    "huge-record",
)  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_a_file_without_a_record_is_named_with_what_is_wrong_and_nothing_of_it_is_sent(
    fed: tuple[System, Edge], name: str
) -> None:
    system, edge = fed
    file = system.sources[name].record
    told = edge.last(name)
    assert told["done"]
    assert told["trouble"].startswith(f"{file}: ")
    assert len(told["trouble"]) > len(file) + 4
    assert told["sent_count"] == 0


def test_the_exit_code_is_that_of_bad_data_and_the_healthy_device_is_stored(
    fed: tuple[System, Edge],
) -> None:
    system, edge = fed
    assert set(system.sources) == {*SPOILT, "healthy"}
    assert edge.process.returncode == EXIT_CODE[DataError]
    assert edge.said().splitlines()[0].startswith("error: ")
    assert "what to do: " in edge.said()
    assert "Traceback" not in edge.said()
    assert system.stop_hub() == 0
    system.check_stored("healthy")
    assert system.rows("SELECT DISTINCT device FROM sample") == [("healthy",)]
    system.verify()


@pytest.mark.parametrize(("name", "kind"), [("empty", DataError), ("missing", UsageError)])
def test_a_single_record_without_a_hub_fails_for_its_own_reason(
    fed: tuple[System, Edge], name: str, kind: type[Error]
) -> None:
    system, _ = fed
    told = system.cli("edge", name, "--record", system.sources[name].record)
    assert told.returncode == EXIT_CODE[kind], told.stderr
    assert "what to do: " in told.stderr


def test_the_main_job_ends_with_the_code_of_the_file_that_it_cannot_read(tmp_path: Path) -> None:
    system = System(tmp_path)
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(TEXT + "".join(f"{1_750_000_000 + n},3.7,-1.0\n" for n in range(100)))
    bad.write_bytes(b"")
    told = system.cli("run", str(good), str(bad), "--once")
    assert told.returncode == EXIT_CODE[DataError], told.stdout + told.stderr
    assert f"{bad}: empty" in told.stderr
    assert "everything holds" in told.stdout
    system.verify()
    assert system.rows("SELECT DISTINCT device FROM sample") == [("good",)]
