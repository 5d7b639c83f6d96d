import os
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import openpyxl
import pytest

from cellwarden.errors import DataError, UnitError
from cellwarden.readers import guess, read

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
CS2 = DATA / "calce_cs2"
needs_data = pytest.mark.skipif(not CS2.is_dir(), reason="needs calce_cs2 under CELLWARDEN_DATA")

HEADER = [
    "Data_Point",
    "Test_Time(s)",
    "Date_Time",
    "Step_Index",
    "Cycle_Index",
    "Current(A)",
    "Voltage(V)",
    "Charge_Capacity(Ah)",
    "Discharge_Capacity(Ah)",
]


def row(index: int, sign: float = 1.0) -> list[Any]:
    day = 40408 + index / 86400
    return [index, index, day, 2, 1, sign * 0.55, 3.5 + index / 1000, index / 6545, 0]


def workbook(path: Path, sheets: dict[str, list[list[Any]]], name: str = "CS2_99") -> Path:
    book = openpyxl.Workbook()
    info = book.active
    assert info is not None
    info.title = "Info"
    info["D1"], info["D2"] = "TEST REPORT", name
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for cells in rows:
            sheet.append(cells)
    book.save(path)
    book.close()
    return path


def test_the_sheets_of_a_channel_are_one_record(tmp_path: Path) -> None:
    first = [HEADER, *(row(i) for i in range(1, 50))]
    second = [HEADER, *(row(i) for i in range(50, 80))]
    path = workbook(tmp_path / "any name.bin", {"Channel_1-008": first, "Channel_1-008_1": second})
    series = read(path)
    assert series.name == "CS2_99"
    assert (series.chemistry, series.nominal_capacity_ah) == ("LCO", 1.1)
    assert series.test_time_second.tolist() == list(range(1, 80))
    assert series.unix_time_second is not None
    assert series.unix_time_second[0] == 1282089601.0  # 2010-08-18 00:00:01
    assert series.cycle_count is not None
    assert series.cycle_count.dtype == np.int64


def test_a_workbook_of_another_cell_says_nothing_of_its_chemistry(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"Channel_1": [HEADER, row(1), row(2)]}, name="K2_01")
    series = read(path)
    assert (series.name, series.chemistry, series.nominal_capacity_ah) == ("K2_01", None, None)


def test_cells_that_are_empty_or_text_are_no_reading(tmp_path: Path) -> None:
    broken = row(2)
    broken[6] = "n/a"
    empty = row(3)
    empty[6] = None
    rows = [HEADER, row(1), broken, empty, row(4)]
    series = read(workbook(tmp_path / "a.xlsx", {"Channel_1": rows}))
    assert np.isnan(series.voltage_volt).tolist() == [False, True, True, False]
    assert any("1 cells of voltage_volt hold no number" in str(text) for text in series.remarks)


def test_a_workbook_whose_current_is_turned_round_is_refused(tmp_path: Path) -> None:
    rows = [HEADER, *(row(i, sign=-1) for i in range(1, 50))]
    with pytest.raises(UnitError, match="not as Arbin testers write it"):
        read(workbook(tmp_path / "a.xlsx", {"Channel_1": rows}))


def test_a_workbook_without_a_channel_says_which_sheets_it_has(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only Info, Sheet1"):
        read(workbook(tmp_path / "a.xlsx", {"Sheet1": [["a", "b"]]}))


def test_sheets_with_different_columns_are_not_joined(tmp_path: Path) -> None:
    sheets = {"Channel_1": [HEADER, row(1)], "Channel_2": [HEADER[:-1], row(2)[:-1]]}
    with pytest.raises(DataError, match="other columns"):
        read(workbook(tmp_path / "a.xlsx", sheets))


def test_an_empty_channel_holds_no_record(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read(workbook(tmp_path / "a.xlsx", {"Channel_1": []}))
    with pytest.raises(DataError):
        read(workbook(tmp_path / "b.xlsx", {"Channel_1": [HEADER]}))


def table(path: Path, *, repeat: bool) -> Path:
    """Two workbooks of three rows each, a day apart, or the second a copy of the first."""
    shift = 0 if repeat else 1
    with duckdb.connect() as connection:
        connection.execute(
            f"""COPY (SELECT (1 + f)::SMALLINT AS file_no, 1::SMALLINT AS file_cycle,
            (1 + f)::SMALLINT AS cycle, 2::SMALLINT AS step,
            TIMESTAMP '2010-08-16 12:00:00' + f * {shift} * INTERVAL 1 DAY
              + i * INTERVAL 10 SECOND AS date_time,
            (i * 10)::FLOAT AS test_time_s, (i * 10)::FLOAT AS step_time_s,
            0.5::FLOAT AS "current_A", (3.5 + i / 100)::FLOAT AS "voltage_V",
            (i / 720)::FLOAT AS "charge_capacity_Ah", 0::FLOAT AS "discharge_capacity_Ah",
            0::FLOAT AS internal_resistance_ohm FROM range(2) a(f), range(1, 4) b(i)
            ORDER BY f, i) TO '{path}' (FORMAT parquet)"""
        )
    return path


def test_joined_workbooks_stand_on_one_time_axis_by_their_clocks(tmp_path: Path) -> None:
    series = read(table(tmp_path / "CS2_01.parquet", repeat=False))
    assert series.test_time_second.tolist() == [10, 20, 30, 86410, 86420, 86430]
    assert series.unix_time_second is not None
    assert np.diff(series.unix_time_second).tolist() == [10, 10, 86380, 10, 10]
    assert any("2 workbooks are joined" in str(remark) for remark in series.remarks)


def test_a_workbook_that_repeats_another_is_kept_and_remarked_on(tmp_path: Path) -> None:
    series = read(table(tmp_path / "CS2_01.parquet", repeat=True))
    assert len(series) == 6
    assert any(
        "workbook 2 repeats workbook 1 row for row (rows 4 to 6)" in str(remark)
        for remark in series.remarks
    )


@needs_data
def test_the_real_table_keeps_its_faults_and_charges_with_positive_current() -> None:
    series = read(CS2 / "CS2_35.parquet")
    assert len(series) == 266_914
    assert (series.chemistry, series.nominal_capacity_ah) == ("LCO", 1.1)
    text = "\n".join(map(str, series.remarks))
    assert "workbook 25 repeats workbook 24 row for row (rows 260932 to 266914)" in text
    assert "clock runs backwards once" in text
    counter = series.charging_capacity_ah
    assert counter is not None
    counted = np.diff(counter) > 0
    assert (series.current_ampere[1:][counted] > 0).mean() > 0.99


@needs_data
def test_the_real_workbook_holds_the_rows_of_the_table() -> None:
    book = read(CS2 / "native" / "CS2_35_8_19_10.xlsx")
    whole = read(CS2 / "CS2_35.parquet")
    assert book.name == "CS2_35"
    assert book.unix_time_second is not None
    assert whole.unix_time_second is not None
    at = int(np.flatnonzero(whole.unix_time_second == book.unix_time_second[0])[0])
    assert len(book) == 383
    same = slice(at, at + len(book))
    assert np.abs(whole.voltage_volt[same] - book.voltage_volt).max() < 1e-4
    assert np.abs(whole.current_ampere[same] - book.current_ampere).max() < 1e-4


@needs_data
def test_a_guess_of_the_workbook_names_units_and_what_stays_behind() -> None:
    found = guess(CS2 / "native" / "CS2_35_8_19_10.xlsx")
    assert found.format == "Arbin workbook"
    assert {column.field: column.unit for column in found.used()}["voltage_volt"] == "V"
    assert "AC_Impedance(Ohm)" in found.unused()
