"""Every file of the public data sets opens as what it is, or is refused with what is wrong.

One row a file: what `load` gives (a record of a cell, or the kind of table) and how many rows.
Formats of single testers have tests of their own, which look inside.
"""

import os
from pathlib import Path

import pytest

from cellwarden.domain import Series, Table
from cellwarden.errors import DataError, UnitError
from cellwarden.readers import KINDS, ColumnMapping, load, read, read_table, records

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
pytestmark = pytest.mark.skipif(
    not (DATA / "calce_cs2").is_dir(), reason="needs the data sets under CELLWARDEN_DATA"
)
OTHER = ("vectors", "held-back.bin", "README.md")

EXPECTED: dict[str, tuple[str, int]] = {
    "abuse_tests/cell_list.xlsx": ("facts", 2),
    "abuse_tests/ornl_abuse.xlsx": ("signals", 21_437),
    "abuse_tests/snl_abuse.xlsx": ("signals", 3_815),
    "attia_fast_charge/closed_loop_predictions.csv": ("labels", 185),
    "attia_fast_charge/policies.csv": ("facts", 224),
    "attia_fast_charge/validation_early_predictions.csv": ("facts", 9),
    "bmw_i3_trips/native/TripA17.csv": ("series", 6_687),
    "bmw_i3_trips/native/TripB34.csv": ("series", 7_338),
    "bmw_i3_trips/trips.csv": ("facts", 46),
    "bmw_i3_trips/trips_1hz.parquet": ("series", 64_213),
    "calce_cs2/CS2_35.parquet": ("series", 266_914),
    "calce_cs2/CS2_36.parquet": ("series", 269_656),
    "calce_cs2/CS2_37.parquet": ("series", 290_998),
    "calce_cs2/cycles.csv": ("cycles", 2_955),
    "calce_cs2/native/CS2_35_8_19_10.xlsx": ("series", 383),
    "carbon/battery_inventory_parameters.csv": ("facts", 290),
    "carbon/grid_intensity_by_country.csv": ("facts", 213),
    "carbon/intensity_by_source.csv": ("facts", 10),
    "citylearn_2022/buildings.csv": ("facts", 10),
    "citylearn_2022/buildings.parquet": ("signals", 87_600),
    "citylearn_2022/site.parquet": ("signals", 8_760),
    "cycler_native/arbin/20160805_test001_45_cc_01.res": ("series", 10_261),
    "cycler_native/arbin/2017-05-09_test-TC-contact_CH33.csv": ("series", 287),
    "cycler_native/arbin/FastCharge_000025_CH8.csv": ("series", 248),
    "cycler_native/arbin/arbin_example.csv": ("series", 2_142),
    "cycler_native/arbin/mits7-0.res.gz": ("series", 8),
    "cycler_native/arbin/sample_data_arbin.csv": ("series", 13),
    "cycler_native/basytec/sample_data_basytec.txt": ("series", 74),
    "cycler_native/batterydata/p492-13-raw.csv": ("series", 2_021),
    "cycler_native/batterydata/p492-13-summary.csv": ("cycles", 267),
    "cycler_native/bdf/DLR__LiLNMO__POCV__25degC__Basytec.bdf.csv": ("series", 17_860),
    "cycler_native/bdf/SINTEF__LiGrR2032__25degC__Landt.bdf.csv": ("series", 25_162),
    "cycler_native/bdf/SINTEF__SLPBA842124HV__Rate_25degC__Neware__Time_Bug.bdf.csv": (
        "series",
        13_086,
    ),
    "cycler_native/bdf/batmo_bdf.csv": ("UnitError", 0),
    "cycler_native/bdf/legacy.bdf.parquet": ("series", 5_000),
    "cycler_native/biologic/GCPL-0.mpr": ("series", 4),
    "cycler_native/biologic/MB-0.mpr": ("series", 2),
    "cycler_native/biologic/PEIS-0.mpr": ("spectra", 60),
    "cycler_native/biologic/Sample_data_biologic_CA1.txt": ("series", 1_397),
    "cycler_native/biologic/Sample_data_biologic_no_header.mpt": ("series", 13),
    "cycler_native/index.csv": ("facts", 36),
    "cycler_native/indigo/indigo_test_sample.h5": ("series", 20_000),
    "cycler_native/lab/dqdv_cell1_rough.csv": ("series", 4_217),
    "cycler_native/lab/hppc_discharge.csv": ("series", 15_838),
    "cycler_native/lab/ici_discharge.csv": ("series", 21_410),
    "cycler_native/landt/SINTEF__LiGrR2032__25degC__Landt.csv": ("series", 25_162),
    "cycler_native/maccor/PreDiag_000229_truncated.034": ("series", 4_061),
    "cycler_native/maccor/PredictionDiagnostics_000109_tztest.010": ("series", 2_165),
    "cycler_native/maccor/maccor_three.txt": ("series", 4_009),
    "cycler_native/maccor/maccor_two.txt": ("series", 214),
    "cycler_native/maccor/sample_data_maccor.csv": ("series", 15),
    "cycler_native/maccor/xTESLADIAG_000038con.078": ("series", 3_873),
    "cycler_native/neware/20260302_IFE_BTS85_2_9_8_1.ndax": ("series", 252_951),
    "cycler_native/neware/neware_uio.csv": ("series", 9_065),
    "cycler_native/novonix/sample_data_novonix.csv": ("series", 207),
    "cycler_native/novonix/test_Nova_Form-CH01-01_short.csv": ("series", 3_942),
    "cycler_native/pec/Test25205.csv": ("series", 489),
    "cycler_native/pec/Test25209.csv": ("UnitError", 0),
    "duty_profiles/climate_hourly_temperature_miami.parquet": ("signals", 8_760),
    "duty_profiles/climate_nsrdb_honolulu.parquet": ("signals", 17_520),
    "duty_profiles/commercial_ev.parquet": ("signals", 2_016),
    "duty_profiles/commercial_pv_bess_nrel.parquet": ("signals", 35_040),
    "duty_profiles/frequency_containment_reserve.parquet": ("signals", 52_560),
    "duty_profiles/personal_ev_combined.parquet": ("signals", 4_164),
    "duty_profiles/residential_pv_bess_ca_mild.parquet": ("signals", 35_040),
    "duty_profiles/residential_pv_bess_germany_aggressive.parquet": ("signals", 52_560),
    "duty_profiles/telecom_backup_power_and_peak_shaving.parquet": ("signals", 11_273),
    "eis_lco/eis.parquet": ("spectra", 679),
    "eis_lco/frequencies_hz.csv": ("facts", 60),
    "epf_prices/be.parquet": ("signals", 17_472),
    "epf_prices/de.parquet": ("signals", 17_472),
    "epf_prices/forecast_errors.csv": ("facts", 9),
    "epf_prices/np.parquet": ("signals", 17_472),
    "failure_databank/calorimetry.parquet": ("facts", 299),
    "lg_hg2/c20_ocv.parquet": ("series", 13_702),
    "lg_hg2/drive_1hz.parquet": ("series", 301_922),
    "lg_hg2/native_digatron/25degC_549_C20DisCh.csv": ("series", 2_423),
    "lg_hg2/native_digatron/25degC_551_Cap_1C.csv": ("series", 397),
    "lg_hg2/native_digatron/n10degC_596_Cap_1C.csv": ("series", 341),
    "lg_hg2/tests.csv": ("facts", 51),
    "mp_electrodes/electrodes.parquet": ("facts", 3_391),
    "nasa_pcoe/B0005.parquet": ("series", 591_458),
    "nasa_pcoe/B0006.parquet": ("series", 591_458),
    "nasa_pcoe/B0007.parquet": ("series", 591_458),
    "nasa_pcoe/B0025.parquet": ("series", 104_120),
    "nasa_pcoe/B0026.parquet": ("series", 104_120),
    "nasa_pcoe/B0029.parquet": ("series", 110_487),
    "nasa_pcoe/B0030.parquet": ("series", 110_487),
    "nasa_pcoe/B0033.parquet": ("series", 406_812),
    "nasa_pcoe/B0038.parquet": ("series", 138_423),
    "nasa_pcoe/B0041.parquet": ("series", 138_294),
    "nasa_pcoe/B0042.parquet": ("series", 277_136),
    "nasa_pcoe/B0045.parquet": ("series", 125_484),
    "nasa_pcoe/B0046.parquet": ("series", 125_484),
    "nasa_pcoe/B0049.parquet": ("series", 82_411),
    "nasa_pcoe/B0053.parquet": ("series", 120_623),
    "nasa_pcoe/B0054.parquet": ("series", 259_288),
    "nasa_pcoe/impedance.parquet": ("spectra", 76_560),
    "nasa_pcoe/tests.csv": ("steps", 5_688),
    "obelix/train.csv": ("facts", 478),
    "obelix/train_cifs.zip": ("DecodeError", 0),
    "pulsebat/features.parquet": ("features", 1_770),
    "reference_cells/k2_lfp_26650_hppc_1hz.parquet": ("series", 288_567),
    "reference_cells/native/1C-Discharge-Bitrode-data.csv": ("facts", 2_287),
    "reference_cells/native/5SOCK220_first_part.lvm.txt": ("series", 3_352),
    "reference_cells/nissan_leaf_lmo_33Ah.parquet": ("series", 70_325),
    "rl_adn_15min/series.parquet": ("signals", 26_208),
    "severson_lfp/primary_test_cycle_life.csv": ("labels", 43),
    "severson_lfp/primary_test_discharge_q.parquet": ("curves", 4_257),
    "severson_lfp/train_cycle_life.csv": ("labels", 41),
    "severson_lfp/train_discharge_q.parquet": ("curves", 4_059),
    "soh_features/cells.csv": ("facts", 318),
    "soh_features/hust.parquet": ("features", 108_774),
    "soh_features/mit.parquet": ("features", 56_458),
    "soh_features/published_results.csv": ("facts", 33),
    "soh_features/tju.parquet": ("features", 57_465),
    "soh_features/xjtu.parquet": ("features", 17_671),
    "tbsi_nmc/capacity.parquet": ("cycles", 28_176),
    "uw_lipo/cycles_1hz.parquet": ("series", 611_264),
}


def test_the_table_names_every_file_there_is() -> None:
    found = {
        str(path.relative_to(DATA))
        for path in DATA.rglob("*")
        if path.is_file() and not {*path.relative_to(DATA).parts} & {*OTHER}
    }
    assert found - set(EXPECTED) == set()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_opens_as_what_it_is(name: str) -> None:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not under CELLWARDEN_DATA")
    kind, rows = EXPECTED[name]
    if not rows:
        with pytest.raises(DataError) as caught:
            load(path)
        assert type(caught.value).__name__ == kind
        assert path.name in str(caught.value)
        assert caught.value.hint
        return
    content = load(path)
    assert len(content) == rows
    assert isinstance(content, Series) if kind == "series" else content.kind == kind
    assert {remark.kind for remark in content.remarks} <= set(KINDS)


def test_read_says_of_a_table_which_kind_it_is_and_what_to_use() -> None:
    with pytest.raises(DataError, match="holds a table of labels; use read_table"):
        read(DATA / "severson_lfp" / "train_cycle_life.csv")
    with pytest.raises(DataError, match="holds a table of spectra; use read_table"):
        read(DATA / "eis_lco" / "eis.parquet")


@pytest.mark.parametrize(
    ("name", "kind", "column"),
    [
        ("cycler_native/bdf/SINTEF__SLPBA842124HV__Rate_25degC__Neware__Time_Bug.bdf.csv",
         "backward_time", "test_time_second"),
        ("calce_cs2/CS2_35.parquet", "repeated_part", ""),
        ("calce_cs2/CS2_36.parquet", "joined", ""),
        ("severson_lfp/train_discharge_q.parquet", "overshoot", "qd_uAh"),
        ("severson_lfp/primary_test_discharge_q.parquet", "overshoot", "qd_uAh"),
        ("reference_cells/k2_lfp_26650_hppc_1hz.parquet", "dropout", "voltage_volt"),
        ("nasa_pcoe/B0007.parquet", "spike", "voltage_volt"),
        ("bmw_i3_trips/native/TripB34.csv", "frozen", "voltage_volt"),
        ("reference_cells/native/5SOCK220_first_part.lvm.txt", "out_of_range", "current_ampere"),
        ("cycler_native/bdf/DLR__LiLNMO__POCV__25degC__Basytec.bdf.csv",
         "unit_doubt", "test_time_second"),
        ("lg_hg2/c20_ocv.parquet", "repeated_row", ""),
    ],
)  # fmt: skip
def test_a_known_fault_is_noticed(name: str, kind: str, column: str) -> None:
    found = [remark for remark in load(DATA / name).remarks if remark.kind == kind]
    assert [remark.column for remark in found] == [column]
    assert found[0].first_row is None or found[0].first_row > 0


@pytest.mark.parametrize(
    ("name", "column", "count", "chosen", "rows"),
    [
        ("lg_hg2/drive_1hz.parquet", "test", 51, "589_Mixed1", 6731),
        ("lg_hg2/c20_ocv.parquet", "ambient_C", 6, "25", None),
        ("bmw_i3_trips/trips_1hz.parquet", "trip", 46, "TripA01", 1009),
        ("uw_lipo/cycles_1hz.parquet", "c_rate", 4, "1", 271_291),
        ("reference_cells/k2_lfp_26650_hppc_1hz.parquet", "set_C", 4, "20", 72_140),
        ("reference_cells/nissan_leaf_lmo_33Ah.parquet", "test", 7, "discharge_1C", 2287),
    ],
)
def test_one_record_of_several_is_clean(
    name: str, column: str, count: int, chosen: str, rows: int | None
) -> None:
    whole = read(DATA / name)
    remark = next(remark for remark in whole.remarks if remark.kind == "many_records")
    assert (remark.column, remark.count) == (column, count)
    assert len(records(DATA / name)) == count
    one = read(DATA / name, record=chosen)
    assert len(one) == (rows or len(one)) < len(whole)
    assert not {"many_records", "backward_time"} & {remark.kind for remark in one.remarks}


def test_all_records_together_are_the_whole() -> None:
    path = DATA / "lg_hg2" / "drive_1hz.parquet"
    assert sum(len(read(path, record=name)) for name in records(path)) == len(read(path))


def test_a_record_refused_for_its_sign_says_so_with_all_else_and_is_read_when_told() -> None:
    path = DATA / "cycler_native" / "pec" / "Test25209.csv"
    with pytest.raises(UnitError, match="sign of the current cannot be told") as caught:
        read(path)
    assert "date_format can say which" in str(caught.value)
    assert "rows carry no surface_temperature_celsius" in str(caught.value)
    assert "--current-sign" in caught.value.hint
    assert len(read(path, mapping=ColumnMapping(current_sign=1))) == 281


def test_a_record_is_a_table_of_signals_too() -> None:
    table = read_table(DATA / "bmw_i3_trips" / "trips_1hz.parquet")
    assert isinstance(table, Table)
    assert table.kind == "signals"
    assert "speed_kmh" in table
    assert len(table) == 64_213
