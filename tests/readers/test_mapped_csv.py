import os
from pathlib import Path

import duckdb
import numpy as np
import pytest

from cellwarden.errors import DataError, UnitError, UsageError
from cellwarden.readers import ColumnMapping, guess, read

VECTORS = Path(__file__).parents[1] / "vectors" / "readers"
DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
NATIVE = DATA / "cycler_native"


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "record.csv"
    path.write_bytes(text.encode(encoding))
    return path


RISING = "".join(f"{second};3,{second:03d};1,5\n" for second in range(0, 900, 10))


@pytest.mark.parametrize(
    "head",
    [
        "Time [s];U[V];I[A]\n",
        "a preamble\nwith; a semicolon\n\nTime/s;Voltage (V);Current (A)\n",
        "time_s;voltage_V;current_A\n\n",
        "Time;Voltage;Current\n[s];[V];[A]\n",
        '"a ""quote"\nat; "the top\nTime (s);Potential (V);I/A\n',
    ],
)
def test_headers_are_found_below_preambles_and_above_rows_of_units(
    tmp_path: Path, head: str
) -> None:
    series = read(write(tmp_path, head + RISING))
    assert len(series) == 90
    assert series.voltage_volt[1] == 3.01
    assert series.current_ampere[0] == 1.5
    assert series.test_time_second[-1] == 890


@pytest.mark.parametrize(
    ("delimiter", "decimal"), [(",", "."), (";", "."), ("\t", "."), ("|", "."), (";", ",")]
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_delimiter_decimal_newline_and_encoding_are_told(
    tmp_path: Path, delimiter: str, decimal: str, newline: str, encoding: str
) -> None:
    lines = ["Time (s),Voltage (mV),Current (mA),Temperature (°C)", "0.5,3100.5,-2.5,20.5"]
    lines += ["1.5,3000.5,-2.5,21.5"]
    marks = str.maketrans({",": delimiter, ".": decimal})
    path = write(tmp_path, newline.join(line.translate(marks) for line in lines), encoding)
    series = read(path)
    assert series.test_time_second.tolist() == [0.5, 1.5]
    assert series.voltage_volt.tolist() == pytest.approx([3.1005, 3.0005])
    assert series.current_ampere.tolist() == pytest.approx([-0.0025, -0.0025])
    assert series.surface_temperature_celsius is not None
    assert series.surface_temperature_celsius.tolist() == [20.5, 21.5]


@pytest.mark.parametrize(
    ("label", "cells", "seconds"),
    [
        ("Time (min)", ("0", "1.5"), (0, 90)),
        ("Run Time (h)", ("0", "0.5"), (0, 1800)),
        ("time/ms", ("0", "500"), (0, 0.5)),
        ("Time", ("00:00:00", "26:03:01.5"), (0, 93781.5)),
        ("Total Time", ("0d 00:00:01.25", "2d 00:00:00.00"), (1.25, 172800)),
    ],
)
def test_times_are_brought_to_seconds(
    tmp_path: Path, label: str, cells: tuple[str, str], seconds: tuple[float, float]
) -> None:
    path = write(tmp_path, f"{label},Volts,Amps\n{cells[0]},3.1,1\n{cells[1]},3.2,1\n")
    assert read(path).test_time_second.tolist() == pytest.approx(list(seconds))


def test_kelvin_and_fahrenheit_become_celsius(tmp_path: Path) -> None:
    path = write(tmp_path, "time_s,Volts,Amps,T1[K],Ambient (F)\n0,3.1,1,300,50\n1,3.2,1,300,50\n")
    series = read(path)
    assert series.surface_temperature_celsius is not None
    assert series.ambient_temperature_celsius is not None
    assert series.surface_temperature_celsius[0] == pytest.approx(26.85)
    assert series.ambient_temperature_celsius[0] == pytest.approx(10.0)


def test_a_capacity_per_gram_is_not_a_capacity(tmp_path: Path) -> None:
    head = "time_s,voltage_V,current_A,Charge Capacity (mAh/g)\n"
    series = read(write(tmp_path, head + "0,3,1,0\n1,3.1,1,5\n"))
    assert series.charging_capacity_ah is None


@pytest.mark.parametrize("sign", [1, -1])
def test_the_sign_is_turned_so_that_positive_charges(tmp_path: Path, sign: int) -> None:
    rows = [f"{s},{3 + s / 100},{sign * 2}\n" for s in range(50)]
    rows += [f"{s},{4 - s / 100},{-sign * 2}\n" for s in range(50, 99)]
    path = write(tmp_path, "time_s,voltage_V,current_A\n" + "".join(rows))
    series = read(path)
    assert (series.current_ampere[:50] == 2).all()
    assert (series.current_ampere[50:] == -2).all()
    assert guess(path).current_sign == sign


def test_a_sign_that_nothing_tells_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, "time_s,voltage_V,current_A\n0,3.7,1\n1,3.7,1\n2,3.7,1\n")
    with pytest.raises(UnitError, match="cannot be told") as caught:
        read(path)
    assert "current_sign" in caught.value.hint
    assert (read(path, mapping=ColumnMapping(current_sign=-1)).current_ampere == -1).all()


def test_a_record_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    head = "time_s,voltage_V,current_A,Charge Capacity (Ah)\n"
    rows = "".join(f"{s},{4 - s / 100},2,{s / 10}\n" for s in range(50))
    with pytest.raises(UnitError, match="told both ways"):
        read(write(tmp_path, head + rows))


def test_a_current_without_sign_takes_it_from_the_testers_words(tmp_path: Path) -> None:
    rows = "0,3.0,2,C\n1,3.1,2,C\n2,3.1,0,R\n3,3.0,2,D\n4,2.9,2,D\n"
    series = read(write(tmp_path, "time_s,Volts,Amps,State\n" + rows))
    assert series.current_ampere.tolist() == [2, 2, 0, -2, -2]


def test_rest_alone_needs_no_sign(tmp_path: Path) -> None:
    series = read(write(tmp_path, "time_s,Volts,Amps\n0,3.0,0\n1,3.0,0\n"))
    assert series.current_ampere.tolist() == [0, 0]


def test_faults_of_a_file_are_kept_and_remarked_on(tmp_path: Path) -> None:
    rows = "0,3.0,1\n1,3.1,1\n1,3.1,1\n0.5,3.2,1\n9000,,1\n9001,broken,1\n9002,3.3,1\n"
    series = read(write(tmp_path, "time_s,Volts,Amps\n" + rows))
    assert len(series) == 7
    assert series.test_time_second.tolist() == [0, 1, 1, 0.5, 9000, 9001, 9002]
    assert np.isnan(series.voltage_volt[[4, 5]]).all()
    text = "\n".join(map(str, series.remarks))
    assert "runs backwards once, first from row 3 to 4" in text
    assert "stands still once" in text
    assert "1 gap over 3600 s, the longest 9000 s after row 4" in text
    assert "1 cells of voltage_volt hold no number" in text
    assert "2 of 7 rows carry no voltage_volt" in text


def test_a_file_cut_in_the_middle_of_a_row_keeps_the_rows_before(tmp_path: Path) -> None:
    series = read(write(tmp_path, "time_s,Volts,Amps\n0,3.0,1\n1,3.1,1\n2,3."))
    assert len(series) == 3
    assert np.isnan(series.current_ampere[2])


def test_ragged_rows_and_trailing_delimiters_do_no_harm(tmp_path: Path) -> None:
    rows = "0,3.0,1,\n1,3.1,1,,,,7\n\n2,3.2,1\n"
    assert read(write(tmp_path, "time_s,Volts,Amps,\n" + rows)).voltage_volt.tolist() == [
        3.0,
        3.1,
        3.2,
    ]


def test_quoted_cells_may_hold_the_delimiter(tmp_path: Path) -> None:
    path = write(tmp_path, 'time_s,Volts,Amps\n"0,5","3,0","1,5"\n"1,5","3,1","1,5"\n')
    series = read(path)
    assert series.test_time_second.tolist() == [0.5, 1.5]
    assert series.current_ampere.tolist() == [1.5, 1.5]


def test_a_clock_that_reads_two_ways_is_left_out_until_told(tmp_path: Path) -> None:
    rows = "0,05/06/2021 10:00:00,3.0,1\n60,05/06/2021 10:01:00,3.1,1\n"
    path = write(tmp_path, "time_s,Date Time,Volts,Amps\n" + rows)
    series = read(path)
    assert series.unix_time_second is None
    assert any("date_format can say which" in str(remark) for remark in series.remarks)
    told = read(path, mapping=ColumnMapping(date_format="%d/%m/%Y %H:%M:%S"))
    assert told.unix_time_second is not None
    assert told.unix_time_second.tolist() == [1622887200.0, 1622887260.0]


def test_the_test_time_tells_day_from_month(tmp_path: Path) -> None:
    rows = "0,05/06/2021 10:00:00,3.0,1\n86400,06/06/2021 10:00:00,3.1,1\n"
    series = read(write(tmp_path, "time_s,Date Time,Volts,Amps\n" + rows))
    assert series.unix_time_second is not None
    assert np.diff(series.unix_time_second).tolist() == [86400.0]


def test_a_file_with_only_a_clock_gets_its_test_time_from_it(tmp_path: Path) -> None:
    rows = "2021-05-06T10:00:00.250Z,3.0,1\n2021-05-06T10:00:01.750Z,3.1,1\n"
    series = read(write(tmp_path, "Timestamp,Volts,Amps\n" + rows))
    assert series.test_time_second.tolist() == pytest.approx([0.0, 1.5])
    assert series.unix_time_second is not None
    assert series.unix_time_second[0] == pytest.approx(1620295200.25)


def test_millivolts_under_a_label_of_volts_are_seen_and_remarked_on(tmp_path: Path) -> None:
    series = read(write(tmp_path, "time_s,Volts,Amps\n0,3600,1\n1,3700,1\n"))
    assert series.voltage_volt.tolist() == pytest.approx([3.6, 3.7])
    assert any("read as mV" in str(remark) for remark in series.remarks)


def test_the_clock_tells_minutes_from_seconds_in_a_real_file() -> None:
    series = read(VECTORS / "maccor_minutes.txt")
    assert series.test_time_second[:3].tolist() == [0, 60, 120]
    assert series.voltage_volt[0] == 0.1377


def test_lines_in_quotes_are_read_in_a_real_file() -> None:
    series = read(VECTORS / "novonix_quoted.csv")
    assert series.voltage_volt[0] == 0.13736417
    assert series.unix_time_second is not None
    assert series.unix_time_second[0] == 1649674687.0


@pytest.mark.parametrize("name", ["arbin.csv", "maccor.078", "novonix.csv"])
def test_positive_current_charges_in_real_charge_records(name: str) -> None:
    series = read(VECTORS / name)
    charging = series.current_ampere > 0.1
    assert charging.sum() > 10
    assert np.diff(series.voltage_volt)[charging[1:] & charging[:-1]].sum() > 0.01
    assert not (series.current_ampere < -0.1).any()


def test_negative_current_discharges_in_a_real_pulse_record() -> None:
    series = read(VECTORS / "lab_pulse.csv")
    assert series.current_ampere.min() < -1e-3
    assert series.voltage_volt[-1] < series.voltage_volt[0]


def test_a_guess_says_what_each_column_becomes_and_why() -> None:
    found = guess(VECTORS / "maccor.078")
    becomes = {column.label: column.field for column in found.used()}
    assert becomes["Test (Sec)"] == "test_time_second"
    assert becomes["Amps"] == "current_ampere"
    assert "Watt-hr" in found.unused()
    assert found.current_sign == 1
    assert "the tester's words +1.00" in found.sign_evidence
    assert found.layout == "utf-8, tab between cells, decimal '.', header in line 2"
    assert all(column.evidence for column in found.columns)


def test_a_mapping_overrides_each_guess(tmp_path: Path) -> None:
    path = write(tmp_path, "x;y;z\n0;3000;5\n1;2900;5\n")
    with pytest.raises(DataError, match="looks like the header"):
        read(path)
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(
        'current_sign = -1\nheader_row = 1\ndelimiter = ";"\nnominal_capacity_ah = 2.5\n'
        'chemistry = "NMC"\n[columns]\ntest_time_second = "x"\nvoltage_volt = "y"\n'
        'current_ampere = "#3"\n[units]\nvoltage_volt = "mV"\ntest_time_second = "h"\n'
    )
    series = read(path, mapping=mapping, name="mine")
    assert series.name == "mine"
    assert series.test_time_second.tolist() == [0, 3600]
    assert series.voltage_volt.tolist() == pytest.approx([3.0, 2.9])
    assert series.current_ampere.tolist() == [-5, -5]
    assert (series.nominal_capacity_ah, series.chemistry) == (2.5, "NMC")


def test_a_file_without_labels_is_read_by_position(tmp_path: Path) -> None:
    path = write(tmp_path, "0,3.0,1\n1,3.1,1\n")
    columns = {"test_time_second": "#1", "voltage_volt": "#2", "current_ampere": "#3"}
    series = read(path, mapping=ColumnMapping(columns=columns, header_row=0))
    assert series.voltage_volt.tolist() == [3.0, 3.1]


def test_a_column_that_is_not_there_is_the_callers_error(tmp_path: Path) -> None:
    path = write(tmp_path, "time_s,Volts,Amps\n0,3.0,1\n")
    with pytest.raises(UsageError, match="no column 'nowhere'"):
        read(path, mapping=ColumnMapping(columns={"step_index": "nowhere"}))


def test_wildcards_and_quotes_in_a_path_mean_themselves(tmp_path: Path) -> None:
    folder = tmp_path / "it's [a] *"
    folder.mkdir()
    (folder / "b?.csv").write_text("time_s,Volts,Amps\n0,3.0,0\n")
    (folder / "bx.csv").write_text("time_s,Volts,Amps\n0,9.0,0\n1,9.0,0\n")
    assert read(folder / "b?.csv").voltage_volt.tolist() == [3.0]


def test_an_old_code_page_far_below_a_plain_head_does_no_harm(tmp_path: Path) -> None:
    rows = "".join(f"{second},3.0,0,fine\n" for second in range(30_000)).encode()
    path = tmp_path / "record.csv"
    path.write_bytes(b"time_s,Volts,Amps,note\n" + rows + "30000,3.0,0,25 °C\n".encode("cp1252"))
    assert len(read(path)) == 30_001


def test_a_parquet_table_may_hold_words_decimals_and_dates_as_text(tmp_path: Path) -> None:
    path = tmp_path / "record.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"""COPY (SELECT '2021-05-06 10:00:0' || i AS "Date Time", i::UTINYINT AS time_s,
            (3 + i / 10)::DECIMAL(9, 4) AS "Volts", 1 AS "Amps", ['x'] AS other,
            CASE WHEN i < 2 THEN 'CC_CHG' ELSE 'CC_DCH' END AS "State"
            FROM range(4) t(i)) TO '{path}' (FORMAT parquet)"""
        )
    series = read(path)
    assert series.voltage_volt.tolist() == pytest.approx([3.0, 3.1, 3.2, 3.3])
    assert series.current_ampere.tolist() == [1, 1, -1, -1]
    assert series.unix_time_second is not None
    assert series.unix_time_second[0] == 1620295200.0
    assert "other" in guess(path).unused()


def test_a_count_that_is_not_whole_is_left_out_with_a_remark(tmp_path: Path) -> None:
    series = read(write(tmp_path, "time_s,Volts,Amps,Cycle,Step\n0,3,0,1,1\n1,3,0,1.5,\n"))
    assert series.cycle_count is None
    assert series.step_index is None
    assert sum("is not a whole number" in str(remark) for remark in series.remarks) == 2


REAL = {
    "arbin/2017-05-09_test-TC-contact_CH33.csv": 287,
    "arbin/arbin_example.csv": 2142,
    "arbin/sample_data_arbin.csv": 13,
    "basytec/sample_data_basytec.txt": 74,
    "batterydata/p492-13-raw.csv": 2021,
    "biologic/Sample_data_biologic_CA1.txt": 1397,
    "biologic/Sample_data_biologic_no_header.mpt": 13,
    "lab/dqdv_cell1_rough.csv": 4217,
    "lab/hppc_discharge.csv": 15838,
    "lab/ici_discharge.csv": 21410,
    "landt/SINTEF__LiGrR2032__25degC__Landt.csv": 25162,
    "maccor/maccor_three.txt": 4009,
    "maccor/sample_data_maccor.csv": 15,
    "maccor/xTESLADIAG_000038con.078": 3873,
    "neware/neware_uio.csv": 9065,
    "novonix/sample_data_novonix.csv": 207,
    "novonix/test_Nova_Form-CH01-01_short.csv": 3942,
}


@pytest.mark.skipif(not NATIVE.is_dir(), reason="needs cycler_native under CELLWARDEN_DATA")
@pytest.mark.parametrize(("name", "rows"), REAL.items())
def test_real_exports_of_many_testers_are_read_without_a_mapping(name: str, rows: int) -> None:
    series = read(NATIVE / name)
    assert len(series) == rows
    middle = np.nanmedian(series.voltage_volt)
    assert 0.05 < middle < 5.0
    if series.charging_capacity_ah is not None and np.ptp(series.charging_capacity_ah) > 1e-3:
        grown = np.diff(series.charging_capacity_ah) > 0
        assert series.current_ampere[1:][grown].mean() > 0


@pytest.mark.skipif(not NATIVE.is_dir(), reason="needs cycler_native under CELLWARDEN_DATA")
def test_a_summer_time_fault_of_a_tester_is_remarked_on() -> None:
    series = read(NATIVE / "maccor" / "PredictionDiagnostics_000109_tztest.010")
    assert any("clock runs backwards once" in str(remark) for remark in series.remarks)


@pytest.mark.skipif(not (DATA / "uw_lipo").is_dir(), reason="needs uw_lipo under CELLWARDEN_DATA")
def test_a_parquet_table_that_calls_discharge_positive_is_turned() -> None:
    series = read(DATA / "uw_lipo" / "cycles_1hz.parquet")
    first = slice(0, 60)
    assert (series.current_ampere[first] < -5).all()
    assert series.voltage_volt[59] < series.voltage_volt[0]
