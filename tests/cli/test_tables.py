import csv
import json
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from cellwarden.cli.bench import bench_command
from cellwarden.cli.tables import write_table
from cellwarden.domain import Table
from cellwarden.errors import UnavailableError, UsageError
from cellwarden.features import cycle_table
from cellwarden.readers import read, write_bdf
from features.protocol import Protocol


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    series = Protocol().rest().full_cycle().next_cycle().full_cycle().series()
    path = tmp_path_factory.mktemp("record") / "cell.bdf.csv"
    write_bdf(series, path)
    return path


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "cellwarden", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_cycles_are_printed_and_written_whole(record: Path, tmp_path: Path) -> None:
    out = tmp_path / "cycles.csv"
    ended = _run("cycles", record, "--out", out)
    assert ended.returncode == 0, ended.stderr
    assert "2 cycles" in ended.stdout
    table = cycle_table(read(record))
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(table)
    assert [float(row["charging_capacity_ah"]) for row in rows] == pytest.approx(
        table["charging_capacity_ah"].tolist()
    )
    assert rows[0]["cycle_kind"] == "charge_discharge"


def test_steps_are_one_json_object_without_nan(record: Path) -> None:
    ended = _run("steps", record, "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout, parse_constant=pytest.fail)
    assert told["kind"] == "steps"
    assert told["row_count"] == len(told["columns"]["step_kind"]) > 8
    assert None in told["columns"]["resistance_ohm"]


def test_a_table_survives_parquet(record: Path, tmp_path: Path) -> None:
    table, out = cycle_table(read(record)), tmp_path / "it's.parquet"
    write_table(table, out)
    with duckdb.connect() as connection:
        back = connection.execute("SELECT * FROM read_parquet(?)", [str(out)]).fetchnumpy()
    for name in table:
        assert len(back[name]) == len(table)
    assert np.allclose(back["charging_energy_wh"], table["charging_energy_wh"])


def test_another_suffix_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    ended = _run("cycles", tmp_path / "not there.csv", "--out", tmp_path / "cycles.xlsx")
    assert ended.returncode == 2
    assert "CSV or Parquet" in ended.stderr


def test_a_folder_that_does_not_take_it_is_told(tmp_path: Path) -> None:
    table = Table("cell", "cycles", {"cycle_count": np.arange(3)})
    with pytest.raises(UnavailableError):
        write_table(table, tmp_path / "no folder" / "cycles.csv")


def test_a_benchmark_without_peers_says_so() -> None:
    with pytest.raises(UsageError, match="peers"):
        bench_command("cli", as_json=False, quick=True, peers=True)
