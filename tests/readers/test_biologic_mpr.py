import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import Series, Table
from cellwarden.errors import DataError, DecodeError, UnitError
from cellwarden.readers import guess, load, read, read_table

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
BIOLOGIC = DATA / "cycler_native" / "biologic"
EXPORT = BIOLOGIC / "Sample_data_biologic_CA1.txt"
needs_data = pytest.mark.skipif(
    not BIOLOGIC.is_dir(), reason="needs cycler_native under CELLWARDEN_DATA"
)
REST, CONSTANT_CURRENT = 3, 1
PLACES = {2: 405, 3: 406, 11: 1007}
TYPES = {4: "<f8", 6: "<f4", 8: "<f4", 9: "<f4", 13: "<f8", 32: "<f4", 37: "<f4", 38: "<f4",
         131: "<u2", 123: "<f8", 124: "<f8", 467: "<f8", 462: "<f4"}  # fmt: skip


def module(name: str, content: bytes, version: int) -> bytes:
    head = b"MODULE" + name.encode().ljust(10) + name.encode().ljust(25)
    date = version.to_bytes(4, "little") + b"01/02/24"
    if version == 11:
        return head + b"\xff" * 4 + len(content).to_bytes(8, "little") + date + content
    return head + len(content).to_bytes(4, "little") + date + content


def write_mpr(
    path: Path,
    columns: dict[int, np.ndarray],
    *,
    mode: np.ndarray | None = None,
    version: int = 11,
    start_day: float = 45_292.5,
) -> Path:
    """A file as EC-Lab lays it out: 2024-01-01 12:00 unless another day is said."""
    numbers = [*([1, 2, 3, 21, 31, 65] if mode is not None else []), *columns]
    dtype = [("flags", "u1")] if mode is not None else []
    points = np.zeros(
        len(next(iter(columns.values()))), [*dtype, *((str(k), TYPES[k]) for k in columns)]
    )
    if mode is not None:
        points["flags"] = mode | 0b10100
    for number, column in columns.items():
        points[str(number)] = column
    count = len(numbers).to_bytes(2 if version == 11 else 1, "little")
    head = len(points).to_bytes(4, "little") + count + np.array(numbers, "<u2").tobytes()
    log = bytes(0x249) + np.float64(start_day).tobytes() + bytes(100)
    path.write_bytes(
        b"BIO-LOGIC MODULAR FILE\x1a".ljust(48) + bytes(4)
        + module("VMP Set", bytes(600), version)
        + module("VMP data", head.ljust(PLACES[version], b"\0") + points.tobytes(), version)
        + module("VMP LOG", log, version)
    )  # fmt: skip
    return path


def exported() -> dict[str, np.ndarray]:
    """What EC-Lab's own text says of a discharge, column by column."""
    lines = EXPORT.read_text(encoding="latin-1").splitlines()
    first = next(row for row, line in enumerate(lines) if line.startswith("Ns changes"))
    labels = lines[first].split("\t")[:-1]
    rows = np.array([line.split("\t")[: len(labels)] for line in lines[first + 1 :]], dtype=float)
    return dict(zip(labels, rows.T, strict=True))


@needs_data
def test_an_impedance_file_is_a_table_of_spectra() -> None:
    table = load(BIOLOGIC / "PEIS-0.mpr")
    assert isinstance(table, Table)
    assert (table.kind, table.name, len(table)) == ("spectra", "PEIS-0", 60)
    frequency = table["frequency_hertz"]
    assert frequency[[0, -1]] == pytest.approx([10_001, 0.009313226])
    assert (np.diff(frequency) < 0).all()
    with pytest.raises(DataError, match="holds a table of spectra; use read_table"):
        read(BIOLOGIC / "PEIS-0.mpr")
    assert len(read_table(BIOLOGIC / "PEIS-0.mpr")) == 60
    assert "Re(Z)/Ohm" in guess(BIOLOGIC / "PEIS-0.mpr").unused()


@needs_data
def test_what_a_spectrum_says_twice_agrees() -> None:
    table = read_table(BIOLOGIC / "PEIS-0.mpr")
    impedance = table["impedance_real_ohm"] + 1j * table["impedance_imaginary_ohm"]
    assert np.abs(impedance) == pytest.approx(table["impedance_magnitude_ohm"], rel=1e-6)
    assert np.degrees(np.angle(impedance)) == pytest.approx(table["phase_degree"], abs=1e-4)
    # A cell is capacitive where it diffuses: a negative imaginary part.
    assert (impedance.imag < 0).all()
    assert (np.diff(table["test_time_second"]) > 0).all()


@needs_data
@pytest.mark.parametrize(
    ("name", "rows", "start"), [("GCPL-0", 4, 1_725_284_972.494), ("MB-0", 2, 1_776_074_888.23)]
)
def test_a_rest_is_a_series_without_current(name: str, rows: int, start: float) -> None:
    series = read(BIOLOGIC / f"{name}.mpr")
    assert len(series) == rows
    assert (series.current_ampere == 0).all()
    assert (np.diff(series.test_time_second) > 0).all()
    assert series.unix_time_second is not None
    assert series.unix_time_second[0] == pytest.approx(start, abs=1e-3)
    assert any("no current is stored" in str(remark) for remark in series.remarks)


@needs_data
@pytest.mark.parametrize("version", PLACES)
def test_a_stored_current_and_the_slope_of_the_charge_are_what_the_text_export_says(
    tmp_path: Path, version: int
) -> None:
    text = exported()
    stored = {4: text["time/s"], 6: text["Ecell/V"], 131: text["Ns"]}
    charge = {13: text["(Q-Qo)/mA.h"]}
    mode = np.where(text["Ns"] == 0, REST, CONSTANT_CURRENT).astype(np.uint8)
    with_current = read(
        write_mpr(tmp_path / "a.mpr", stored | charge | {8: text["I/mA"]}, version=version)
    )
    without = read(write_mpr(tmp_path / "b.mpr", stored | charge, mode=mode, version=version))
    assert with_current.current_ampere == pytest.approx(text["I/mA"] / 1000, rel=1e-6)
    flowing = (mode == CONSTANT_CURRENT) & (np.diff(mode, prepend=REST) == 0)
    # A point is stored with nine digits of charge; the slope over a short step has fewer.
    error = np.abs(without.current_ampere - with_current.current_ampere)[flowing]
    assert np.median(error) < 1e-3
    assert (without.current_ampere[mode == REST] == 0).all()
    assert without.step_index is not None
    assert np.array_equal(without.step_index, text["Ns"].astype(int))


@needs_data
def test_positive_current_charges_and_the_counters_are_its_integral(tmp_path: Path) -> None:
    text = exported()
    net = text["Q charge/mA.h"] - text["Q discharge/mA.h"]
    series = read(
        write_mpr(
            tmp_path / "a.mpr",
            {4: text["time/s"], 6: text["Ecell/V"], 8: text["I/mA"], 467: net,
             123: text["Energy charge/W.h"], 124: text["Energy discharge/W.h"],
             462: next(column for label, column in text.items() if label.startswith("Temp"))},
        )
    )  # fmt: skip
    out = -np.trapezoid(np.minimum(series.current_ampere, 0), series.test_time_second) / 3600
    assert series.discharging_capacity_ah is not None
    assert series.discharging_capacity_ah.max() == pytest.approx(out, rel=0.02)
    assert series.charging_capacity_ah is not None
    assert series.charging_capacity_ah.max() == 0
    assert series.discharging_energy_wh is not None
    power = -series.current_ampere * series.voltage_volt
    energy = np.trapezoid(np.maximum(power, 0), series.test_time_second) / 3600
    assert series.discharging_energy_wh.max() == pytest.approx(energy, rel=0.02)
    assert series.surface_temperature_celsius is not None
    assert 20 < series.surface_temperature_celsius.mean() < 25


@needs_data
def test_a_current_that_is_turned_round_is_refused(tmp_path: Path) -> None:
    text = exported()
    flowing = text["I/mA"] < -800
    current = np.where(np.arange(400) // 50 % 2, 900.0, -900.0)
    voltage = np.resize(text["Ecell/V"][flowing], 400) - current * 1e-4
    columns = {4: np.arange(400.0), 6: voltage, 8: current}
    with pytest.raises(UnitError, match="not as BioLogic testers write it"):
        read(write_mpr(tmp_path / "a.mpr", columns))
    # A counter that falls with the current bears it out and proves nothing.
    charge = np.cumsum(current) / 3600
    with pytest.raises(UnitError, match="told both ways"):
        read(write_mpr(tmp_path / "a.mpr", columns | {467: charge}))


def test_points_without_a_frequency_are_no_part_of_a_spectrum(tmp_path: Path) -> None:
    frequency = np.array([0.0, 1000.0, 100.0, 10.0])
    path = write_mpr(tmp_path / "a.mpr", {32: frequency, 37: frequency * 0 + 2, 38: frequency})
    table = read_table(path)
    assert table["frequency_hertz"].tolist() == [1000.0, 100.0, 10.0]
    assert table["impedance_imaginary_ohm"].tolist() == [-1000.0, -100.0, -10.0]
    assert any("1 points have no frequency" in str(remark) for remark in table.remarks)


def test_a_third_electrode_is_remarked_on(tmp_path: Path) -> None:
    columns = {4: np.arange(9.0), 6: np.full(9, 3.6), 9: np.full(9, 0.1), 8: np.zeros(9)}
    series = read(write_mpr(tmp_path / "a.mpr", columns))
    assert any("working electrode alone" in str(remark) for remark in series.remarks)
    assert series.voltage_volt == pytest.approx(3.6)


def test_a_start_that_is_no_date_gives_no_clock(tmp_path: Path) -> None:
    time = np.arange(9.0)
    columns = {4: time, 6: 3.6 + 0 * time, 8: 0 * time}
    for day in (0.0, 1e300, np.nan, -np.inf):
        path = write_mpr(tmp_path / "a.mpr", columns, start_day=day)
        assert read(path).unix_time_second is None
    found = read(write_mpr(tmp_path / "a.mpr", columns)).unix_time_second
    assert found is not None
    assert found[0] == 1_704_110_400  # 2024-01-01 12:00


def test_a_version_and_a_column_that_are_not_known_are_named(tmp_path: Path) -> None:
    path = write_mpr(tmp_path / "a.mpr", {4: np.arange(3.0), 6: np.ones(3)}, version=3)
    whole = path.read_bytes()
    at = whole.find(b"VMP data") + 35
    path.write_bytes(whole[: at + 4] + b"\x07" + whole[at + 5 :])
    with pytest.raises(DecodeError, match="version 7 of its points is not known") as caught:
        read(path)
    assert ".mpt" in caught.value.hint
    path.write_bytes(whole.replace(b"\x02\x04\x00\x06\x00", b"\x02\x04\x00\xe7\x03", 1))
    with pytest.raises(DecodeError, match="column 999 is not known"):
        read(path)


@needs_data
@pytest.mark.parametrize("name", ["PEIS-0", "GCPL-0", "MB-0"])
def test_a_file_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    whole = (BIOLOGIC / f"{name}.mpr").read_bytes()
    for kept in (30, 60, 7000, whole.find(b"VMP data") + 500, len(whole) - 5):
        path = tmp_path / "cut.mpr"
        path.write_bytes(whole[:kept])
        with pytest.raises(DecodeError, match=r"cut\.mpr") as caught:
            read(path)
        assert caught.value.hint


@needs_data
@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["PEIS-0", "GCPL-0", "MB-0"]),
    changes=st.lists(
        st.tuples(st.integers(-80, 600), st.binary(min_size=1, max_size=6)), min_size=1, max_size=6
    ),
    anywhere=st.lists(st.tuples(st.integers(0, 16_000), st.binary(max_size=6)), max_size=4),
)
def test_mutated_bytes_give_a_record_or_a_data_error(
    name: str, changes: list[tuple[int, bytes]], anywhere: list[tuple[int, bytes]]
) -> None:
    content = bytearray((BIOLOGIC / f"{name}.mpr").read_bytes())
    data = content.find(b"VMP data")
    for place, piece in [*((data + at, piece) for at, piece in changes), *anywhere]:
        content[place : place + len(piece)] = piece
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mutated.mpr"
        path.write_bytes(content)
        try:
            assert isinstance(load(path), Series | Table)
        except DataError as error:
            refusal = error
        else:
            return
    assert refusal.hint
