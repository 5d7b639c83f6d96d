"""Workbooks of Excel 97, built byte by byte: nothing maintained writes them any more."""

import os
import subprocess
import sys
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import Series
from cellwarden.errors import DataError, DecodeError
from cellwarden.readers import load, read, read_table

pytest.importorskip("xlrd", reason="needs the extra cyclers")

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
MODERN = DATA / "calce_cs2" / "native" / "CS2_35_8_19_10.xlsx"
SECTOR = 512
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
LABELS = ["Data_Point", "Test_Time(s)", "Date_Time", "Current(A)", "Voltage(V)",
          "Charge_Capacity(Ah)", "Discharge_Capacity(Ah)", "Cycle_Index"]  # fmt: skip

Cells = list[list[float | str | None]]


def record(number: int, content: bytes) -> bytes:
    return pack("<HH", number, len(content)) + content


def begin(kind: int) -> bytes:
    return record(0x809, pack("<HHHHII", 0x600, kind, 0, 0, 0, 0))


def stream(sheets: dict[str, Cells]) -> bytes:
    """A workbook stream of Excel 97: globals, then a stream a sheet."""
    bodies = []
    for rows in sheets.values():
        body = begin(0x10)
        for row, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                place = pack("<HHH", row, column, 0)
                if isinstance(cell, str):
                    text = cell.encode("latin-1")
                    body += record(0x204, place + pack("<HB", len(text), 0) + text)
                elif cell is not None:
                    body += record(0x203, place + pack("<d", cell))
        bodies.append(body + record(0x0A, b""))

    def head(places: list[int]) -> bytes:
        found = begin(0x05)
        for place, name in zip(places, sheets, strict=True):
            text = name.encode("latin-1")
            found += record(0x85, pack("<IHBB", place, 0, len(text), 0) + text)
        return found + record(0x0A, b"")

    places, at = [], len(head([0] * len(sheets)))
    for body in bodies:
        places.append(at)
        at += len(body)
    return head(places) + b"".join(bodies)


def compound(content: bytes) -> bytes:
    """One stream called Workbook in a compound file; sector 0 holds the directory."""
    content = content.ljust(4096, b"\0")
    content += bytes(-len(content) % SECTOR)
    count = len(content) // SECTOR
    tables = -(-(count + 2) // 127)
    chain = [END, *range(2, count + 1), END, *[FAT] * tables]
    fat = b"".join(pack("<I", entry) for entry in chain)
    fat += pack("<I", FREE) * (tables * 128 - len(chain))

    def entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
        text = (name + "\0").encode("utf-16-le")
        links = pack("<III", FREE, FREE, child)
        return (text.ljust(64, b"\0") + pack("<HBB", len(text), kind, 1) + links + bytes(36)
                + pack("<III", start, size, 0))  # fmt: skip

    root = entry("Root Entry", 5, 1, END, 0) + entry("Workbook", 2, FREE, 1, len(content))
    head = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    head += bytes(10) + pack("<IIIIIIII", tables, 0, 0, 4096, END, 0, END, 0)
    head += b"".join(pack("<I", count + 1 + k) for k in range(tables)).ljust(436, b"\xff")
    return head + root.ljust(SECTOR, b"\0") + content + fat


def charge(first: int, rows: int) -> Cells:
    """A charge at 1.1 A, a row a second, then as long a discharge."""
    found: Cells = []
    for row in range(first, first + rows):
        inward = min(row, 60) * 1.1 / 3600
        outward = max(row - 60, 0) * 1.1 / 3600
        current = 1.1 if row <= 60 else -1.1
        voltage = 3.7 + 20 * (inward - outward) + 0.02 * current
        found.append(
            [row + 1.0, float(row), 40_000.5 + row / 86_400, current, voltage, inward, outward, 1.0]
        )
    return found


def write_xls(path: Path) -> Path:
    sheets: dict[str, Cells] = {
        "Info": [["TEST REPORT"], ["CS2_33"]],
        "Channel_1-005": [list(LABELS), *charge(0, 70)],
        "Channel_1-005_2": [list(LABELS), *charge(70, 50)],
        "Statistics_1-005": [["Cycle_Index"], [1.0]],
    }
    path.write_bytes(compound(stream(sheets)))
    return path


def test_a_record_over_several_sheets_reads_like_a_workbook_of_today(tmp_path: Path) -> None:
    series = read(write_xls(tmp_path / "a.xls"))
    assert (series.name, series.nominal_capacity_ah, series.chemistry) == ("CS2_33", 1.1, "LCO")
    assert len(series) == 120
    assert series.test_time_second.tolist() == [float(row) for row in range(120)]
    assert series.current_ampere[[0, -1]].tolist() == [1.1, -1.1]
    assert series.unix_time_second is not None
    assert series.unix_time_second[0] == 1_246_881_600  # 2009-07-06 12:00
    assert series.charging_capacity_ah is not None
    assert series.charging_capacity_ah.max() == pytest.approx(60 * 1.1 / 3600)


@pytest.mark.skipif(not MODERN.exists(), reason="needs calce_cs2 under CELLWARDEN_DATA")
def test_the_same_cells_in_both_formats_are_one_record(tmp_path: Path) -> None:
    from cellwarden.readers.workbook import open_workbook

    with open_workbook(MODERN) as book:
        sheets: dict[str, Cells] = {name: list(book.rows(name)) for name in book.sheets}
    path = tmp_path / "a.xls"
    path.write_bytes(compound(stream(sheets)))
    old, new = read(path), read(MODERN)
    assert old.name == new.name
    for name, column in new.columns().items():
        assert old.columns()[name] == pytest.approx(column, nan_ok=True), name


def test_a_workbook_without_a_record_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "a.xls"
    rows: Cells = [["city", "price", "note"], ["Oslo", 1.0, "x"], ["Rome", 2.5, None]]
    path.write_bytes(compound(stream({"Prices": rows})))
    table = read_table(path)
    assert list(table) == ["city", "price", "note"]
    assert table["price"].tolist() == [1.0, 2.5]
    assert repr(load(path)) == repr(table)


@pytest.mark.parametrize("kept", [8, 512, 600, 3000])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = write_xls(tmp_path / "a.xls")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DecodeError, match=r"a\.xls: no sound workbook") as caught:
        read(path)
    assert caught.value.hint


WITHOUT = """
import sys
sys.modules["xlrd"] = None  # as where it is not installed
from cellwarden.errors import UsageError
from cellwarden.readers import read
try:
    read(sys.argv[1])
except UsageError as error:
    print(error.hint)
"""


def test_without_xlrd_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(write_xls(tmp_path / "a.xls"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "pip install 'cellwarden[cyclers]'" in done.stdout, done.stderr


@settings(max_examples=40, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 14_000), st.binary(min_size=1, max_size=6)), min_size=1, max_size=6
    ),
    structure=st.lists(st.tuples(st.integers(0, 1100), st.binary(min_size=1, max_size=4))),
)
def test_mutated_bytes_give_a_series_or_a_data_error(
    changes: list[tuple[int, bytes]], structure: list[tuple[int, bytes]]
) -> None:
    with TemporaryDirectory() as folder:
        path = write_xls(Path(folder) / "mutated.xls")
        content = bytearray(path.read_bytes())
        for place, piece in [*changes, *structure]:
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
