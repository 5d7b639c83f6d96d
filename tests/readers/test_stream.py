import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import Remark, Series
from cellwarden.errors import DataError, UnitError, UsageError
from cellwarden.readers import read, scan, write_bdf

VECTORS = Path(__file__).parents[1] / "vectors" / "readers"
TABLES = ("tests.csv", "wrong_sign.bdf.csv")  # and what no record may be made of
RECORDS = sorted(p for p in VECTORS.iterdir() if p.suffix != ".md" and p.name not in TABLES)


def faulty(path: Path, rows: int = 3000) -> Path:
    """A record with a fault of every kind that a piece's border could hide."""
    second = np.arange(rows, dtype=float)
    second[rows // 2 :] -= 100
    second[rows // 3 :] += 20_000
    current = np.where(np.arange(rows) // 300 % 2 == 0, 1.0, -1.0)
    voltage = 3.5 + 0.2 * np.cumsum(current) / 300 + 0.01 * current
    voltage[700:760] = voltage[700]
    voltage[1501] = 9.0
    voltage[2001] = 0.0
    lines = ["Test Time / s,Voltage / V,Current / A,Charging Capacity / Ah,note"]
    counter = np.cumsum(np.maximum(current, 0)) % 200 / 3600
    for index in range(rows):
        cell = "" if 990 < index < 1010 else f"{voltage[index]:.6f}"
        lines.append(f"{second[index]},{cell},{current[index]},{counter[index]:.7f},x")
    lines[2400] = lines[2400].replace(",x", ",x\n")  # a blank line is no row
    path.write_text("\n".join(lines) + "\n")
    return path


def joined(pieces: list[Series], name: str) -> np.ndarray:
    return np.concatenate([piece.columns()[name] for piece in pieces])


def alone(remarks: tuple[Remark, ...]) -> list[Remark]:
    """Remarks without what is told of whole files only."""
    return [remark for remark in remarks if remark.kind != "many_records"]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faulty(tmp_path_factory.mktemp("stream") / "faulty.csv")


@settings(max_examples=8, deadline=None)
@given(rows=st.integers(150, 4000))
def test_pieces_are_the_record_and_carry_its_remarks(record: Path, rows: int) -> None:
    whole, pieces = read(record), list(scan(record, rows=rows))
    for name, column in whole.columns().items():
        assert np.array_equal(joined(pieces, name), column, equal_nan=True)
    assert max(map(len, pieces)) <= rows
    assert pieces[-1].remarks == whole.remarks
    assert all(piece.remarks == () for piece in pieces[:-1])
    assert {"backward_time", "gap", "missing", "spike", "counter_reset"} <= {
        remark.kind for remark in whole.remarks
    }


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_every_known_format_gives_the_same_in_pieces(path: Path) -> None:
    whole = read(path)
    pieces = list(scan(path, rows=max(len(whole) // 3, 100)))
    for name, column in whole.columns().items():
        found = joined(pieces, name)
        assert np.array_equal(found, column, equal_nan=True)
        assert found.dtype == column.dtype
    assert alone(pieces[-1].remarks) == alone(whole.remarks)
    assert (pieces[0].name, pieces[0].source) == (whole.name, whole.source)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_written_in_pieces_is_what_is_written_at_once(
    tmp_path: Path, record: Path, suffix: str
) -> None:
    one, many = tmp_path / f"one{suffix}", tmp_path / f"many{suffix}"
    write_bdf(read(record), one)
    write_bdf(scan(record, rows=400), many)
    with duckdb.connect() as connection:
        reader = "read_parquet" if suffix == ".parquet" else "read_csv"
        found = [
            connection.execute(f"SELECT * FROM {reader}('{p}')").fetchall() for p in (one, many)
        ]
    assert found[0] == found[1]
    if suffix == ".csv":
        assert one.read_bytes() == many.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([one.name, many.name])


def test_a_record_that_ends_in_a_fault_leaves_no_file(tmp_path: Path, record: Path) -> None:
    def failing() -> Iterator[Series]:
        yield next(scan(record, rows=400))
        raise DataError("it ends here", hint="Look.")

    with pytest.raises(DataError):
        write_bdf(failing(), tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_the_first_piece_settles_the_sign_and_a_wrong_one_is_refused() -> None:
    with pytest.raises(UnitError, match="wrong_sign"):
        next(scan(VECTORS / "wrong_sign.bdf.csv"))


def test_a_piece_of_no_rows_is_the_callers_error(record: Path) -> None:
    with pytest.raises(UsageError):
        scan(record, rows=0)


def test_progress_runs_from_nothing_to_all(record: Path) -> None:
    told: list[float] = []
    list(scan(record, rows=500, progress=told.append))
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_cell_with_a_line_break_in_quotes_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "quoted.csv"
    rows = [f'{i},{3 + i / 1000},1,"step\n{i}"' for i in range(900)]
    path.write_text("time_s,Volts,Amps,note\n" + "\n".join(rows) + "\n")
    assert sum(map(len, scan(path, rows=100))) == len(read(path)) == 900


LIMITED = """
import resource, sys
from cellwarden.readers import scan, write_bdf
write_bdf(scan(sys.argv[1], rows=int(sys.argv[3])), sys.argv[2])
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_maxrss // 1024, round(used.ru_utime + used.ru_stime, 1))
"""


def measured(path: Path, out: Path, rows: int) -> tuple[int, float]:
    """Most memory and the time of a process that writes a record as BDF. [MiB, CPU s]"""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), str(out), str(rows)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    memory, second = done.stdout.split()
    return int(memory), float(second)


def long_csv(path: Path, size: int) -> Path:
    rows = [
        f"{i},{3.6 + 0.3 * np.sin(i / 500):.6f},{np.cos(i / 500):.5f},{25 + i % 7 / 10:.1f}\n"
        for i in range(50_000)
    ]
    body = "".join(rows).encode()
    with path.open("wb") as target:
        target.write(b"Test Time (s),Voltage (V),Current (A),Temperature (C)\n")
        while target.tell() < size:
            target.write(body)
    return path


def test_memory_does_not_grow_with_the_record(tmp_path: Path) -> None:
    small, large = (
        measured(long_csv(tmp_path / f"{size}.csv", size << 20), tmp_path / "out.csv", 50_000)[0]
        for size in (8, 40)
    )
    assert large - small < 50


@pytest.mark.soak
def test_two_gigabytes_are_written_as_bdf_in_less_than_one_of_memory(tmp_path: Path) -> None:
    path = long_csv(tmp_path / "long.csv", 2 << 30)
    memory, second = measured(path, tmp_path / "long.parquet", 1_000_000)
    names = (("memory_mib", memory, "MiB", "<1024"), ("cpu_s", second, "s", ""))
    figures = [
        {"name": f"readers.scan_2gb.{name}", "value": value, "unit": unit, "goal": goal}
        for name, value, unit, goal in names
    ]
    told = {"day": datetime.now(UTC).date().isoformat(), "figures": figures, "rows": []}
    saved = Path(__file__).parents[2] / "benchmarks" / "saved" / "scan.json"
    saved.write_text(json.dumps(told, indent=1) + "\n")
    assert memory < 1024
