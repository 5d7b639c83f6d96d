"""The command as it is called: lists, tells, opens, checks; one JSON object for programs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
needs_data = pytest.mark.skipif(
    not (DATA / "eis_lco").is_dir(), reason="needs eis_lco under CELLWARDEN_DATA"
)
USAGE, WRONG = 2, 3


def datasets(*arguments: str, data: Path = DATA, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cellwarden", "datasets", *arguments],
        env={**os.environ, "CELLWARDEN_DATA": str(data), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def test_the_list_names_every_set_and_what_is_here(tmp_path: Path) -> None:
    rows = json.loads(datasets("--json", data=tmp_path))["sets"]
    assert {"severson_lfp", "nasa_pcoe", "vectors"} <= {row["name"] for row in rows}
    assert {row["here_count"] for row in rows} == {0}
    assert "severson_lfp" in datasets(data=tmp_path)


def test_a_set_is_told_with_its_splits_faults_and_what_to_keep_apart() -> None:
    said = datasets("show", "severson_lfp")
    for words in ("train (41)", "secondary_test (40, held back)", "10.1038/s41560", "keep apart"):
        assert words in said
    known = json.loads(datasets("show", "severson_lfp", "--json"))
    assert len(known["protocols"][0]["splits"][1]["members"]) == 43
    assert "NOT by cell" in datasets("show", "uw_lipo")


def test_wrong_calls_say_what_to_do(tmp_path: Path) -> None:
    assert "what to do: There are" in datasets("show", "nothing", code=USAGE)
    assert "Set CELLWARDEN_DATA" in datasets("check", data=tmp_path, code=USAGE)
    assert "Name the set" in datasets("check", "--record", data=tmp_path, code=USAGE)
    assert "Write them after" in datasets("--json", "show", "eis_lco", code=USAGE)
    said = datasets("fetch", "carbon", "--to", str(tmp_path), code=USAGE)
    assert "no public address with a known digest" in said
    assert "https://github.com/mlco2/codecarbon" in said


@needs_data
def test_parts_are_listed_and_one_is_opened() -> None:
    rows = json.loads(datasets("open", "eis_lco", "--json"))["parts"]
    assert [(row["path"], row["row_count"], row["here"]) for row in rows] == [
        ("eis.parquet", 679, True),
        ("frequencies_hz.csv", None, True),
    ]
    assert "679" in datasets("open", "eis_lco")


@pytest.mark.skipif(not (DATA / "nasa_pcoe").is_dir(), reason="needs nasa_pcoe of CELLWARDEN_DATA")
def test_a_part_that_is_a_record_is_opened_as_one() -> None:
    opened = json.loads(datasets("open", "nasa_pcoe", "B0049", "--json"))
    assert opened["name"] == "B0049"
    assert opened["row_count"] == 82_411


@needs_data
def test_a_check_passes_on_the_right_files_and_fails_on_a_changed_one(tmp_path: Path) -> None:
    found = json.loads(datasets("check", "eis_lco", "--json"))["sets"]
    assert [one["sound"] for one in found] == [True]
    shutil.copytree(DATA / "eis_lco", tmp_path / "eis_lco")
    file = tmp_path / "eis_lco" / "frequencies_hz.csv"
    file.chmod(0o600)
    file.write_text(file.read_text().replace("20004.453", "20004.454"))
    said = datasets("check", data=tmp_path, code=WRONG)
    assert "not as described: eis_lco" in said
    assert "severson_lfp" in said, "sets that are not here are named"


@needs_data
def test_files_of_ones_own_are_noted(tmp_path: Path) -> None:
    shutil.copytree(DATA / "eis_lco", tmp_path / "eis_lco")
    (tmp_path / "eis_lco").chmod(0o700)
    (tmp_path / "eis_lco" / "own.zip").write_bytes(b"fetched by hand")
    lines = json.loads(datasets("check", "eis_lco", "--record", "--json", data=tmp_path))
    states = {line["what"]: line["state"] for line in lines["sets"][0]["lines"]}
    assert states["own.zip"] == "noted"
