import os
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from cellwarden.domain import Remark, Series
from cellwarden.errors import UnavailableError, UnitError, UsageError
from cellwarden.readers import ColumnMapping, guess, read, write_bdf

VECTORS = Path(__file__).parents[1] / "vectors" / "readers"
DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
BDF = DATA / "cycler_native" / "bdf"


def full_series() -> Series:
    time = np.array([0.0, 10.0, 10.0, 20.0, 30.0])
    return Series(
        name="cell 'one'",
        test_time_second=time,
        voltage_volt=np.array([3.1, 3.2, np.nan, 3.3, 0.1 + 0.2]),
        current_ampere=np.array([0.0, 1.0, 1.0, -1.0, 1e-9]),
        unix_time_second=1.7e9 + time,
        surface_temperature_celsius=np.array([20.0, 21.0, 22.0, 23.0, 24.0]),
        ambient_temperature_celsius=np.full(5, 20.0),
        cycle_count=np.array([1, 1, 1, 2, 2]),
        step_index=np.array([7, 7, 8, 9, 9]),
        charging_capacity_ah=np.array([0.0, 0.1, 0.2, 0.0, 0.0]),
        discharging_capacity_ah=np.array([0.0, 0.0, 0.0, 0.1, 0.2]),
        nominal_capacity_ah=1.1,
        chemistry="LCO",
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_is_written_reads_back_to_the_last_bit(tmp_path: Path, suffix: str) -> None:
    series = full_series()
    path = tmp_path / f"record.bdf.{suffix}"
    write_bdf(series, path)
    again = read(path, mapping=ColumnMapping(current_sign=1))
    assert list(again.columns()) == list(series.columns())
    for name, column in series.columns().items():
        assert np.array_equal(again.columns()[name], column, equal_nan=True), name
        assert again.columns()[name].dtype == column.dtype


def test_parquet_carries_the_cell_and_the_version_with_it(tmp_path: Path) -> None:
    path = tmp_path / "record.parquet"
    write_bdf(full_series(), path)
    again = read(path, mapping=ColumnMapping(current_sign=1))
    assert (again.name, again.chemistry, again.nominal_capacity_ah) == ("cell 'one'", "LCO", 1.1)
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT key, value FROM parquet_kv_metadata(?)", [str(path)]
        ).fetchall()
    assert (b"bdf_version", b"1.2.0") in rows


def test_preferred_labels_of_version_1_2_are_written(tmp_path: Path) -> None:
    path = tmp_path / "record.csv"
    write_bdf(full_series(), path)
    header = path.read_text().splitlines()[0].split(",")
    assert header[:3] == ["Test Time / s", "Voltage / V", "Current / A"]
    assert "Step ID" in header
    assert "Step Index / 1" not in header


def test_a_counter_that_is_reset_is_not_written_as_one_that_never_falls(tmp_path: Path) -> None:
    path = tmp_path / "record.csv"
    write_bdf(full_series(), path)
    header = path.read_text().splitlines()[0].split(",")
    assert "Schedule Charging Capacity / Ah" in header
    assert "Charging Capacity / Ah" not in header
    assert "Discharging Capacity / Ah" in header


def test_bdf_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        write_bdf(full_series(), tmp_path / "no such folder" / "record.csv")
    place = tmp_path / "taken.csv"
    place.mkdir()
    with pytest.raises(UnavailableError):
        write_bdf(full_series(), place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken.csv"]


def test_bdf_is_written_to_no_other_suffix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="CSV or Parquet"):
        write_bdf(full_series(), tmp_path / "record.xlsx")


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("Test Time / s,Voltage / V,Current / A", "0,3,1\n3600,3.6,1\n"),
        ("Test Time / h,Voltage / mV,Current / mA", "0,3000,1000\n1,3600,1000\n"),
        ("test_time_second,voltage_volt,current_ampere", "0,3,1\n3600,3.6,1\n"),
        ("test_time_millisecond,voltage_millivolt,current_ampere", "0,3000,1\n3.6e6,3600,1\n"),
        ("current_ampere,unix_time_second,voltage_volt", "1,1.7e9,3\n1,1700003600,3.6\n"),
    ],
)
def test_both_label_forms_and_older_units_mean_the_same(
    tmp_path: Path, header: str, rows: str
) -> None:
    path = tmp_path / "record.txt"
    path.write_text(f"{header}\n{rows}")
    series = read(path)
    assert guess(path).format == "Battery Data Format"
    assert series.test_time_second.tolist() == [0, 3600]
    assert series.voltage_volt.tolist() == pytest.approx([3, 3.6])
    assert series.current_ampere.tolist() == [1, 1]


def test_positive_current_charges_in_a_real_bdf_record() -> None:
    series = read(VECTORS / "legacy.bdf.parquet")
    charging = series.current_ampere > 5e-5
    assert charging.sum() > 100
    rise = np.diff(series.voltage_volt)[charging[1:] & charging[:-1]].sum()
    assert rise > 1.0
    assert series.unix_time_second is not None
    assert series.unix_time_second[0] == pytest.approx(1719933538.046)


def test_a_clock_fault_is_remarked_on_and_left_as_it_is() -> None:
    series = read(VECTORS / "time_bug.bdf.csv")
    assert np.diff(series.test_time_second).min() < 0
    assert any("runs backwards once, first from row 23 to 24" in str(r) for r in series.remarks)


def test_a_bdf_record_with_the_wrong_sign_is_refused_until_a_person_says_so() -> None:
    path = VECTORS / "wrong_sign.bdf.csv"
    with pytest.raises(UnitError, match="not as BDF states") as caught:
        read(path)
    assert "current_sign" in caught.value.hint
    found = guess(path)
    assert any("not as BDF states" in doubt for doubt in found.doubts)
    turned = read(path, mapping=ColumnMapping(current_sign=-1))
    assert (turned.current_ampere < 0).all()
    assert turned.discharging_capacity_ah is not None
    assert turned.discharging_capacity_ah[-1] > 0


def test_rest_has_no_negative_zero(tmp_path: Path) -> None:
    path = tmp_path / "rest.csv"
    path.write_text("test_time_second,voltage_volt,current_ampere\n0,3,-0.0\n1,3,0\n")
    assert not np.signbit(read(path).current_ampere).any()


@pytest.mark.skipif(not BDF.is_dir(), reason="needs cycler_native under CELLWARDEN_DATA")
def test_every_public_bdf_sample_is_read_or_refused_for_its_sign() -> None:
    rows = {path.name: path for path in sorted(BDF.iterdir())}
    assert len(rows) == 5
    with pytest.raises(UnitError):
        read(rows.pop("batmo_bdf.csv"))
    read_rows = {name: read(path) for name, path in rows.items()}
    bug = next(series for name, series in read_rows.items() if "Time_Bug" in name)
    assert any("test time runs backwards 19 times" in str(remark) for remark in bug.remarks)
    dlr = next(series for name, series in read_rows.items() if name.startswith("DLR"))
    assert any("its unit may be another" in str(remark) for remark in dlr.remarks)


@pytest.mark.skipif(not BDF.is_dir(), reason="needs cycler_native under CELLWARDEN_DATA")
def test_one_record_in_two_formats_gives_the_same_numbers() -> None:
    name = "SINTEF__LiGrR2032__25degC__Landt"
    bdf = read(BDF / f"{name}.bdf.csv")
    tester = read(BDF.parent / "landt" / f"{name}.csv")
    for column in ("test_time_second", "voltage_volt", "current_ampere", "charging_capacity_ah"):
        assert np.array_equal(bdf.columns()[column], tester.columns()[column]), column


def test_a_series_shows_itself_in_one_line_and_as_a_table() -> None:
    series = replace(full_series(), name="<b>", remarks=(Remark("note", "a & b"),))
    assert repr(series) == ("<Series <b>: 5 rows, 0.008333 h, 0.3 to 3.3 V, -1 to 1 A, 1 remark>")
    assert "&lt;b&gt;" in series._repr_html_()
    assert "a &amp; b" in series._repr_html_()
