"""Files that are not those of the description are found, whatever is wrong with them."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import msgspec
import pytest

from cellwarden.datasets import Column, DataSet, Part, Protocol, Split, catalogue
from cellwarden.datasets.check import Line, check, note_digests
from cellwarden.errors import DataError, UsageError

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
CSV = "cell,capacity_ah\na,1.1\na,1.0\nb,1.2\n"


def described(folder: Path) -> DataSet:
    """A set of a CSV and a Parquet file as they lie in a folder."""
    parts = tuple(
        Part(
            path.name,
            "a table",
            path.stat().st_size,
            hashlib.sha256(path.read_bytes()).hexdigest(),
            row_count=3,
        )
        for path in sorted(folder.iterdir())
    )
    columns = {"cell": Column("cell"), "capacity_*": Column("capacity", "Ah")}
    splits = (
        Split("train", 1, ("a",)),
        Split("validation", 1, ("b",)),
        Split("test", 1, ("c",), held_back=True),
    )
    protocols = tuple(
        Protocol(path, "cell", "how", "nobody", splits, ("cell",), path)
        for path in (part.path for part in parts)
    )
    return DataSet(
        "made", "Made", "A set", "w", "l", "c", "https://example.org/", "here", parts,
        columns=columns, protocols=protocols,
    )  # fmt: skip


def write_parquet(path: Path, rows: str) -> None:
    names = "t(cell, capacity_ah)"
    duckdb.sql(f"COPY (FROM (VALUES {rows}) {names}) TO '{path}' (FORMAT parquet)")


@pytest.fixture
def known(tmp_path: Path) -> DataSet:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "cells.csv").write_text(CSV)
    write_parquet(folder / "cells.parquet", "('a', 1.1), ('a', 1.0), ('b', 1.2)")
    return described(folder)


def states(lines: tuple[Line, ...]) -> dict[str, str]:
    return {line.what: line.state for line in lines}


def test_files_as_described_are_sound(known: DataSet, tmp_path: Path) -> None:
    (tmp_path / "made" / "README.md").write_text("not a part")
    lines = check(known, tmp_path)
    assert set(states(lines).values()) == {"sound"}
    assert len(lines) == 4
    assert not any(line.is_failure for line in lines)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["cells.csv", "cells.parquet"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (flip, "SHA-256"),
        (lambda path: path.write_bytes(path.read_bytes()[:-4]), "bytes, not"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "bytes, not"),
        (lambda path: path.write_bytes(b""), "bytes, not"),
        (lambda path: path.unlink(), "not there"),
    ],
    ids=["flipped", "cut", "other", "empty", "gone"],
)
def test_a_file_that_is_another_is_found_and_the_rest_is_told_of(
    known: DataSet, tmp_path: Path, name: str, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(tmp_path / "made" / name)
    found = {line.what: line for line in check(known, tmp_path)}
    assert found[name].is_failure
    assert said in found[name].said
    other = ({"cells.csv", "cells.parquet"} - {name}).pop()
    assert found[other].state == "sound"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("a", 1), ("b", 1), ("c", 1)], "test is held back and yet in"),
        ([("a", 1), ("a", 1), ("a", 1)], "validation: not in"),
        ([("a", 1), ("b", 1), ("z", 1)], "in no split: z"),
    ],
)
@pytest.mark.usefixtures("known")
def test_members_that_are_not_as_the_protocol_says_are_found(
    tmp_path: Path, rows: list[tuple[str, int]], said: str
) -> None:
    text = "cell,capacity_ah\n" + "".join(f"{cell},{value}\n" for cell, value in rows)
    (tmp_path / "made" / "cells.csv").write_text(text)
    write_parquet(tmp_path / "made" / "cells.parquet", ", ".join(f"('{c}', {v})" for c, v in rows))
    found = {line.what: line for line in check(described(tmp_path / "made"), tmp_path)}
    for name in ("cells.csv", "cells.parquet"):
        assert found[name].state == "sound"
        assert found[f"protocol {name}"].state == "wrong"
        assert said in found[f"protocol {name}"].said


def test_columns_and_rows_are_held_against_the_description(known: DataSet, tmp_path: Path) -> None:
    (tmp_path / "made" / "cells.csv").write_text("cell,colour\na,red\nb,blue\n")
    fresh = described(tmp_path / "made")
    found = {line.what: line for line in check(fresh, tmp_path)}
    assert found["cells.csv"].said == "2 rows, not 3; columns not described: colour"
    (tmp_path / "made" / "cells.csv").write_text("colour\nred\n")
    found = {line.what: line for line in check(known, tmp_path)}
    assert "no columns cell" in found["protocol cells.csv"].said


def test_a_file_beside_them_is_noted_on_request_and_watched_from_then_on(
    known: DataSet, tmp_path: Path
) -> None:
    own = tmp_path / "made" / "raw" / "own.mat"
    own.parent.mkdir()
    own.write_bytes(b"fetched by hand")
    assert states(check(known, tmp_path))["raw/own.mat"] == "unknown"
    noted = note_digests(known, tmp_path)
    assert noted.read_text() == f"{hashlib.sha256(own.read_bytes()).hexdigest()}  raw/own.mat\n"
    assert states(check(known, tmp_path))["raw/own.mat"] == "noted"
    flip(own)
    assert states(check(known, tmp_path))["raw/own.mat"] == "wrong"
    own.unlink()
    assert states(check(known, tmp_path))["raw/own.mat"] == "absent"
    noted.write_text("not what sha256sum writes\n")
    with pytest.raises(DataError, match="SHA256SUMS"):
        check(known, tmp_path)


def test_nothing_to_check_or_to_note_is_a_wrong_call(known: DataSet, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file that the catalogue does not name"):
        note_digests(known, tmp_path)
    elsewhere = msgspec.structs.replace(known, name="elsewhere")
    for ask in (check, note_digests):
        with pytest.raises(UsageError) as caught:
            ask(elsewhere, tmp_path)
        assert "https://example.org/" in caught.value.hint


@pytest.mark.skipif(not (DATA / "vectors").is_dir(), reason="needs the sets of CELLWARDEN_DATA")
@pytest.mark.parametrize("name", catalogue())
def test_the_data_that_the_figures_were_made_with_is_as_described(name: str) -> None:
    lines = check(catalogue()[name], DATA)
    assert {line.what: line.said for line in lines if line.state != "sound"} == {}
