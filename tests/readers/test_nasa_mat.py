import csv
import os
import subprocess
import sys
import zlib
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from cellwarden.domain import Series
from cellwarden.errors import DataError, DecodeError, UnitError
from cellwarden.readers import read
from cellwarden.readers.mat5 import variables

VECTORS = Path(__file__).parents[1] / "vectors" / "readers"
TABLE = VECTORS / "B0005.parquet"
LABELS = ("time_s", "voltage_V", "current_A", "temperature_C")
FIELDS = ("Time", "Voltage_measured", "Current_measured", "Temperature_measured")


@cache
def operations() -> list[dict[str, object]]:
    """The first operations of B0005, as NASA's MATLAB file nests them."""
    with (VECTORS / "tests.csv").open() as file:
        listed = {int(row["test_id"]): row for row in csv.DictReader(file)
                  if row["battery_id"] == "B0005"}  # fmt: skip
    found: list[dict[str, object]] = []
    with duckdb.connect() as connection:
        numbers = connection.execute(
            f"SELECT DISTINCT test_id FROM '{TABLE}' ORDER BY 1"
        ).fetchall()
        for (number,) in numbers:
            rows = connection.execute(
                f'SELECT time_s, "voltage_V", "current_A", "temperature_C" FROM \'{TABLE}\''
                f" WHERE test_id = {number}"
            ).fetchnumpy()
            row = listed[number]
            start = datetime.fromisoformat(row["start"])
            second = start.second + start.microsecond / 1e6
            data = dict(
                zip(FIELDS, (np.atleast_2d(rows[name]) * 1.0 for name in LABELS), strict=True)
            )
            found.append({
                "type": row["type"], "ambient_temperature": float(row["ambient_C"]),
                "time": np.array([[start.year, start.month, start.day, start.hour, start.minute,
                                   second]], dtype=float),
                "data": data,
            })  # fmt: skip
    return found


def write_mat(
    path: Path, rows: list[dict[str, object]] | None = None, *, packed: bool = True
) -> Path:
    rows = operations() if rows is None else rows
    cycle = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for place, row in enumerate(rows):
        cycle[0, place] = tuple(row.values())
    savemat(path, {"B0005": {"cycle": cycle}}, do_compression=packed)
    return path


@pytest.mark.parametrize("packed", [True, False])
def test_nasas_file_and_the_table_made_from_it_are_one_record(
    tmp_path: Path,
    *,
    packed: bool,
) -> None:
    found, made = read(write_mat(tmp_path / "a.mat", packed=packed)), read(TABLE)
    assert (found.name, found.nominal_capacity_ah) == ("B0005", 2.0)
    assert set(found.columns()) == set(made.columns())
    for name, column in made.columns().items():
        assert found.columns()[name] == pytest.approx(column, abs=1e-3), name


def test_impedance_is_left_out_and_counted(tmp_path: Path) -> None:
    sweep = dict(operations()[0], type="impedance", data={"Re": np.ones((1, 1))})
    series = read(write_mat(tmp_path / "a.mat", [operations()[0], sweep, *operations()[1:]]))
    assert series.step_index is not None
    assert sorted(set(series.step_index)) == [0, 2, 3, 4, 5]
    assert any("1 operations of other kinds" in str(remark) for remark in series.remarks)


def test_a_current_that_is_turned_round_is_refused(tmp_path: Path) -> None:
    def turned(row: dict[str, object]) -> dict[str, object]:
        data = dict(row["data"])  # type: ignore[call-overload]
        return {**row, "data": {**data, "Current_measured": -data["Current_measured"]}}

    with pytest.raises(UnitError, match="not as the data's description states"):
        read(write_mat(tmp_path / "a.mat", [turned(row) for row in operations()]))


def test_a_matlab_file_of_something_else_says_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "other.mat"
    savemat(path, {"prices": np.ones(9), "towns": np.ones(3)})
    with pytest.raises(DecodeError, match="it has prices, towns") as caught:
        read(path)
    assert "CSV" in caught.value.hint


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time", np.ones((1, 3))),
        ("time", np.array([[2008.0, 13, 40, 99, 0, 0]])),
        ("time", np.array([[np.nan, 1, 1, 0, 0, 0]])),
        ("data", {"Time": np.ones((1, 3))}),
        ("data", "nothing"),
    ],
)
def test_an_operation_that_makes_no_sense_is_refused(
    tmp_path: Path, field: str, value: object
) -> None:
    rows = [dict(operations()[0], **{field: value}), *operations()[1:]]
    with pytest.raises(DecodeError, match="operation 0 has no start"):
        read(write_mat(tmp_path / "a.mat", rows))


@pytest.mark.parametrize("kept", [30, 128, 136, 1000, -20])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = write_mat(tmp_path / "a.mat")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DecodeError, match=r"a\.mat") as caught:
        read(path)
    assert caught.value.hint


SIZED = """
import resource, sys
from cellwarden.errors import DataError
from cellwarden.readers import read
from cellwarden.readers.mat5 import variables
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read(sys.argv[1])
except DataError as error:
    print(error)
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
assert grown < 300, grown
"""


def test_what_unpacks_without_end_is_refused_in_little_memory(tmp_path: Path) -> None:
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(130)) + packer.flush()
    path = write_mat(tmp_path / "a.mat")
    tag = (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little")
    path.write_bytes(path.read_bytes()[:128] + tag + packed)
    done = subprocess.run(
        [sys.executable, "-c", SIZED, str(path)], capture_output=True, text=True, check=False
    )
    assert "unpacks to more than 134,217,728 bytes" in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr


@settings(max_examples=40, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(120, 4000), st.binary(min_size=1, max_size=6)),
        min_size=1,
        max_size=6,
    ),
    packed=st.booleans(),
)
def test_mutated_bytes_give_a_series_or_a_data_error(
    changes: list[tuple[int, bytes]],
    *,
    packed: bool,
) -> None:
    with TemporaryDirectory() as folder:
        path = write_mat(Path(folder) / "mutated.mat", operations()[:2], packed=packed)
        content = bytearray(path.read_bytes())
        for place, piece in changes:
            content[place : place + len(piece)] = piece
        path.write_bytes(content)
        refusal = refusal_of(path)
    assert refusal is None or refusal.hint


def refusal_of(path: Path) -> DataError | None:
    try:
        assert isinstance(read(path), Series)
    except DataError as error:
        return error
    return None


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    path = write_mat(tmp_path / "a.mat")
    path.rename(tmp_path / "a.csv")
    assert len(read(tmp_path / "a.csv")) == len(read(TABLE))


def test_a_file_of_nothing_but_empty_entries_is_refused(tmp_path: Path) -> None:
    path = write_mat(tmp_path / "a.mat")
    empty = (14).to_bytes(8, "little")
    parts = ((6, bytes([1]).ljust(8, b"\0")), (5, (2_000_000).to_bytes(4, "little") * 2), (1, b""))
    inside = b"".join(
        kind.to_bytes(4, "little") + len(part).to_bytes(4, "little") + part for kind, part in parts
    )
    cells = inside + empty * 210_000
    tag = (14).to_bytes(4, "little") + len(cells).to_bytes(4, "little")
    path.write_bytes(path.read_bytes()[:128] + tag + cells)
    with pytest.raises(DecodeError, match="too many entries"):
        read(path)


def test_zeros_behind_a_true_head_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(126) + b"IM")
    os.truncate(path, 1 << 31)
    with pytest.raises(DecodeError, match="an element of type 0"):
        read(path)


def test_either_byte_order_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    for order, mark in (("little", b"IM"), ("big", b"MI")):
        sign = "<" if order == "little" else ">"
        parts = (
            (6, np.array([6, 0], sign + "u4").tobytes()),
            (5, np.array([1, 3], sign + "i4").tobytes()),
            (1, b"numbers\0"),
            (3, np.array([1, -2, 300, 0], sign + "i2").tobytes()),
        )
        tags = ((kind, len(part), part) for kind, part in parts)
        matrix = b"".join(np.array([k, n], sign + "u4").tobytes() + part for k, n, part in tags)
        head = b"MATLAB 5.0 MAT-file".ljust(124) + bytes(2) + mark
        path.write_bytes(head + np.array([14, len(matrix)], sign + "u4").tobytes() + matrix)
        ((name, value),) = variables(path)
        assert name.rstrip("\0") == "numbers"
        assert isinstance(value, np.ndarray)
        assert value.tolist() == [1.0, -2.0, 300.0, 0.0]


def test_numbers_texts_structures_and_cells_are_what_scipy_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    cell = np.empty(2, dtype=object)
    cell[:] = ["été", np.arange(3, dtype=np.int8)]
    savemat(
        path,
        {"small": np.array([1.5, -2.0]), "wide": np.array([2**40, 3]), "word": "charge",
         "unsure": np.array([np.nan, np.inf]), "nested": {"a": 1.0, "b": {"c": "d"}},
         "mixed": cell, "complex": np.array([1 + 2j]), "void": np.zeros((0, 0)),
         "truth": np.array([True, False])},
    )  # fmt: skip
    found = dict(variables(path))
    assert found["small"].tolist() == [1.5, -2.0]
    assert found["wide"].tolist() == [2.0**40, 3.0]
    assert found["word"] == "charge"
    assert np.array_equal(found["unsure"], [np.nan, np.inf], equal_nan=True)
    assert found["nested"][0]["b"][0]["c"] == "d"
    assert found["mixed"][0] == "été"
    assert found["mixed"][1].tolist() == [0, 1, 2]
    assert found["complex"].tolist() == [1.0]
    assert found["void"].tolist() == []
    assert found["truth"].tolist() == [1.0, 0.0]
