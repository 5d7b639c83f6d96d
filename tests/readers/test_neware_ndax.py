import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import Series
from cellwarden.errors import DataError, DecodeError, UnitError
from cellwarden.readers import guess, read

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
NDAX = DATA / "cycler_native" / "neware" / "20260302_IFE_BTS85_2_9_8_1.ndax"
needs_data = pytest.mark.skipif(
    not NDAX.exists(), reason="needs cycler_native under CELLWARDEN_DATA"
)
BLOCK = 4096
MARK = [("step_milli", "<u4"), ("a", "V1"), ("charge", "<f4"), ("discharge", "<f4"),
        ("energy_in", "<f4"), ("energy_out", "<f4"), ("b", "V8"), ("period_milli", "<i4"),
        ("unix", "<u4"), ("step", "<u4"), ("row", "<u4"), ("unix_milli", "<u2")]  # fmt: skip
STEP = [("cycle", "<u4"), ("step", "<u4"), ("a", "V16"), ("type", "u1")]
READING = [("voltage", "<f4"), ("current", "<f4")]
TAILS = {11: (0, 12), 14: (8, 12), 16: (53, 75), 17: (53, 75)}
FINE = {11, 16}  # versions that count in 0.1 mV, mA, mA·s and mW·s


def ndc(kind: int, version: int, rows: np.ndarray) -> bytes:
    """Rows as Neware lays them out, the last block filled up with rows that are none."""
    count = (BLOCK - 133) // rows.itemsize
    whole = bytes([kind, 0, version]).ljust(BLOCK, b"\0")
    for first in range(0, len(rows), count):
        part = rows[first : first + count]
        held = np.packbits(np.ones(len(part), dtype=np.uint8), bitorder="little").tobytes()
        whole += (bytes(4) + held.ljust(128, b"\0") + part.tobytes()).ljust(BLOCK, b"\xab")
    return whole


def write_ndax(path: Path, *, version: int = 17, turned: bool = False) -> Path:
    """A charge of 10 min and a discharge of 5 min at 1.5 A, a row a second, a mark each 61 rows."""
    direction = np.concatenate([np.ones(600), -np.ones(300)])
    current = 1.5 * direction
    inward, outward = np.cumsum(current.clip(0)) / 3600, np.cumsum((-current).clip(0)) / 3600
    voltage = 3.6 + 0.3 * (inward - outward) + 0.02 * direction
    fine = version in FINE
    readings = np.zeros(900, READING)
    readings["voltage"] = voltage * (1e4 if fine else 1)
    readings["current"] = current * (1e3 if fine else 1) * (-1 if turned else 1)
    mark_tail, step_tail = TAILS[version]
    places = np.unique([*range(0, 900, 61), 600])
    marks = np.zeros(len(places), [*MARK, *([("z", f"V{mark_tail}")] if mark_tail else [])])
    within = np.where(places < 600, places, places - 600)
    marks["step_milli"] = within * 1000
    factor = 3.6e6 if fine else 1.0
    marks["charge"] = np.where(places < 600, inward[places], 0) * factor
    marks["discharge"] = np.where(places < 600, 0, outward[places]) * factor
    marks["period_milli"] = 1000
    marks["unix"] = 1_700_000_000 + places
    marks["step"] = np.where(places < 600, 7, 8)
    marks["row"] = places + 1
    steps = np.zeros(2, [*STEP, ("z", f"V{step_tail}")])
    steps["step"] = [3, 5]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.ndc", ndc(1, version, readings))
        archive.writestr("data_runInfo.ndc", ndc(18, version, marks))
        archive.writestr("data_step.ndc", ndc(7, version, steps))
    return path


def swap(path: Path, name: str, change: Callable[[bytes], bytes | None]) -> None:
    """Write one file of an archive anew; None takes it out."""
    with zipfile.ZipFile(path) as archive:
        files = {item: archive.read(item) for item in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for item, content in files.items():
            changed = change(content) if item == name else content
            if changed is not None:
                archive.writestr(item, changed)


@pytest.fixture(scope="module")
def series() -> Series:
    return read(NDAX)


@needs_data
def test_the_real_record_is_whole(series: Series) -> None:
    assert (len(series), series.name) == (252_951, "20260302_IFE_BTS85_2_9_8_1")
    assert series.nominal_capacity_ah == 1.26
    assert series.test_time_second[[0, -1]].tolist() == [0.0, 252_946.0]
    assert (np.diff(series.test_time_second) >= 0).all()
    assert series.step_index is not None
    assert series.step_count is not None
    assert sorted(set(series.step_index)) == sorted(set(series.step_count)) == [1, 2, 3, 4, 5]
    assert guess(NDAX).format == "Neware .ndax"


@needs_data
def test_the_clock_is_the_start_that_the_file_names_and_never_runs_back(series: Series) -> None:
    # TestInfo.xml: 2026-02-27 11:17:33 in Norway, one hour ahead of UTC.
    assert series.unix_time_second is not None
    assert int(series.unix_time_second[0]) == 1_772_187_453
    assert (np.diff(series.unix_time_second) >= 0).all()


@needs_data
def test_the_testers_counters_are_the_integral_of_its_current(series: Series) -> None:
    assert series.charging_capacity_ah is not None
    assert series.charging_energy_wh is not None
    for step in (4, 5):
        rows = series.step_count == step
        time, current = series.test_time_second[rows], series.current_ampere[rows]
        charge = np.trapezoid(current, time) / 3600
        energy = np.trapezoid(current * series.voltage_volt[rows], time) / 3600
        assert np.ptp(series.charging_capacity_ah[rows]) == pytest.approx(charge, rel=1e-3)
        assert np.ptp(series.charging_energy_wh[rows]) == pytest.approx(energy, rel=1e-3)
        assert (np.diff(series.charging_capacity_ah[rows]) >= 0).all()


@needs_data
def test_the_sensor_of_temperature_is_the_cells_and_others_are_named(series: Series) -> None:
    surface = series.surface_temperature_celsius
    assert surface is not None
    assert 25 < surface.min() < surface.max() < 27
    assert any("144 of kind 102, 1 of kind 1122" in str(remark) for remark in series.remarks)


@pytest.mark.parametrize("version", TAILS)
def test_each_version_gives_the_same_record(tmp_path: Path, version: int) -> None:
    series = read(write_ndax(tmp_path / "a.ndax", version=version))
    assert len(series) == 900
    assert series.current_ampere[:600] == pytest.approx(1.5)
    assert series.current_ampere[600:] == pytest.approx(-1.5)
    assert series.voltage_volt.max() == pytest.approx(3.695, abs=1e-3)
    assert series.charging_capacity_ah is not None
    assert series.discharging_capacity_ah is not None
    assert series.charging_capacity_ah.max() == pytest.approx(0.25, rel=1e-3)
    assert series.discharging_capacity_ah.max() == pytest.approx(0.125, rel=5e-3)
    assert series.test_time_second[[0, 599, 600, 899]].tolist() == [0, 599, 599, 898]
    assert series.unix_time_second is not None
    assert series.unix_time_second[-1] == 1_700_000_899
    assert series.step_index is not None
    assert series.step_index[[0, -1]].tolist() == [3, 5]
    assert series.cycle_count is not None
    assert set(series.cycle_count) == {1}


def test_rows_before_the_first_mark_have_no_time(tmp_path: Path) -> None:
    path = write_ndax(tmp_path / "a.ndax")

    def without_first(content: bytes) -> bytes:
        return content[: BLOCK + 4] + bytes([content[BLOCK + 4] & 0xFE]) + content[BLOCK + 5 :]

    swap(path, "data_runInfo.ndc", without_first)
    series = read(path)
    assert np.isnan(series.test_time_second[:61]).all()
    assert np.isfinite(series.test_time_second[61:]).all()
    assert series.cycle_count is None
    assert any("carry no test_time_second" in str(remark) for remark in series.remarks)


def test_a_current_that_is_turned_round_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match="not as Neware testers write it"):
        read(write_ndax(tmp_path / "a.ndax", turned=True))


@pytest.mark.parametrize("name", ["data_runInfo.ndc", "data_step.ndc"])
def test_an_archive_without_one_of_its_files_names_it(tmp_path: Path, name: str) -> None:
    path = write_ndax(tmp_path / "a.ndax")
    swap(path, name, lambda _: None)
    with pytest.raises(DecodeError, match=f"{name} is not in it"):
        read(path)


def test_a_version_that_is_not_known_is_named(tmp_path: Path) -> None:
    path = write_ndax(tmp_path / "a.ndax")
    swap(path, "data.ndc", lambda content: content[:2] + b"\x05" + content[3:])
    with pytest.raises(DecodeError, match="version 5 is not known") as caught:
        read(path)
    assert "BTSDA" in caught.value.hint


def test_a_part_cut_short_is_refused(tmp_path: Path) -> None:
    path = write_ndax(tmp_path / "a.ndax")
    for name in ("data.ndc", "data_runInfo.ndc", "data_step.ndc"):
        cut = Path(shutil.copy(path, tmp_path / "cut.ndax"))
        swap(cut, name, lambda content: content[:-100])
        with pytest.raises(DecodeError, match="no whole file"):
            read(cut)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DecodeError, match="no sound zip"):
        read(path)


def test_a_part_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    path = write_ndax(tmp_path / "a.ndax")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Step.xml", bytes(17 << 20))
    assert path.stat().st_size < 200_000
    with pytest.raises(DataError, match=r"Step\.xml unpacks to more than 16,777,216 bytes"):
        read(path)


def test_a_schedule_that_declares_entities_is_refused(tmp_path: Path) -> None:
    path = write_ndax(tmp_path / "a.ndax")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("Step.xml", '<!DOCTYPE x [<!ENTITY a "aaaa">]><root>&a;</root>')
    with pytest.raises(DecodeError, match="document type"):
        read(path)


@pytest.mark.parametrize("value", ["", "0", "-5", "1e9", "٣", "9" * 400])
def test_an_odd_capacity_in_the_schedule_does_no_harm(tmp_path: Path, value: str) -> None:
    path = write_ndax(tmp_path / "a.ndax")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("Step.xml", f'<root><MultCap Value="{value}"/></root>'.encode())
    nominal = read(path).nominal_capacity_ah
    assert nominal is None or nominal > 0


PARTS = ("data.ndc", "data_runInfo.ndc", "data_step.ndc")


@settings(max_examples=40, deadline=None)
@given(
    part=st.sampled_from(PARTS),
    version=st.sampled_from(sorted(TAILS)),
    changes=st.lists(
        st.tuples(st.integers(0, 2 * BLOCK - 8), st.binary(min_size=1, max_size=8)), max_size=12
    ),
    archived=st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=4))),
)
def test_mutated_bytes_give_a_series_or_a_data_error(
    part: str, version: int, changes: list[tuple[int, bytes]], archived: list[tuple[int, bytes]]
) -> None:
    def mutate(content: bytes) -> bytes:
        found = bytearray(content)
        for place, piece in changes:
            found[place : place + len(piece)] = piece
        return bytes(found)

    with TemporaryDirectory() as folder:
        path = write_ndax(Path(folder) / "mutated.ndax", version=version)
        swap(path, part, mutate)
        content = bytearray(path.read_bytes())
        for place, piece in archived:
            content[-place : len(content) - place + len(piece)] = piece
        path.write_bytes(content or b"PK\x03\x04")
        try:
            assert isinstance(read(path), Series)
        except DataError as error:
            refusal = error
        else:
            return
    assert refusal.hint
