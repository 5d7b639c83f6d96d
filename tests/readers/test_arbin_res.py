import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import Series
from cellwarden.errors import DataError, DecodeError, UnitError
from cellwarden.readers import arbin_res, guess, read
from cellwarden.readers.jet import open_jet

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
ARBIN = DATA / "cycler_native" / "arbin"
RES = ARBIN / "20160805_test001_45_cc_01.res"
PACKED = ARBIN / "mits7-0.res.gz"
pytestmark = pytest.mark.skipif(
    not RES.exists(), reason="needs cycler_native under CELLWARDEN_DATA"
)
PAGE = 4096


@pytest.fixture(scope="module")
def series() -> Series:
    return read(RES)


def at(path: Path, change: Callable[[bytearray], None]) -> Path:
    content = bytearray(RES.read_bytes())
    change(content)
    path.write_bytes(content)
    return path


def test_the_record_of_mits_4_is_whole(series: Series) -> None:
    assert series.name == "20160805_sic006_45_cc_01-01-003"
    assert len(series) == 10_261
    assert series.nominal_capacity_ah is None
    assert series.test_time_second[[0, -1]] == pytest.approx([300.0104819, 859077.2406335])
    assert series.unix_time_second is not None
    assert series.unix_time_second[0] == 1_470_414_083.0  # 2016-08-05 16:21:23
    for name in (
        "cycle_count",
        "step_index",
        "charging_capacity_ah",
        "discharging_capacity_ah",
        "charging_energy_wh",
        "discharging_energy_wh",
        "internal_resistance_ohm",
    ):
        assert name in series.columns()


def test_the_record_of_mits_7_names_the_cells_capacity() -> None:
    series = read(PACKED)
    assert (series.name, len(series)) == ("kigr_pouch1-01-001", 8)
    assert series.nominal_capacity_ah == 0.003071
    assert series.source == str(PACKED)


def test_positive_current_charges(series: Series) -> None:
    charge = np.gradient(series.charging_capacity_ah, series.test_time_second)
    drawn = np.gradient(series.discharging_capacity_ah, series.test_time_second)
    assert np.median(charge[series.current_ampere > 1e-4]) > 0
    assert np.median(drawn[series.current_ampere < -1e-4]) > 0
    assert np.median(drawn[series.current_ampere > 1e-4]) == 0


def test_the_testers_counters_are_the_integral_of_its_current(series: Series) -> None:
    assert series.cycle_count is not None
    assert series.charging_capacity_ah is not None
    assert series.charging_energy_wh is not None
    for cycle in (2, 3, 10):
        rows = series.cycle_count == cycle
        time, current = series.test_time_second[rows], series.current_ampere[rows]
        inward = np.maximum(current, 0)
        charge = np.trapezoid(inward, time) / 3600
        energy = np.trapezoid(inward * series.voltage_volt[rows], time) / 3600
        assert np.ptp(series.charging_capacity_ah[rows]) == pytest.approx(charge, rel=0.02)
        assert np.ptp(series.charging_energy_wh[rows]) == pytest.approx(energy, rel=0.03)


def test_rows_stand_in_the_order_of_the_tester(series: Series) -> None:
    assert (np.diff(series.test_time_second) > 0).all()
    assert (np.diff(series.cycle_count) >= 0).all()


def test_sensors_that_are_left_out_are_counted(tmp_path: Path) -> None:
    page = open_jet(RES).tables()["Auxiliary_Table"]

    def fill(content: bytearray) -> None:
        content[page * PAGE + 16] = 7

    series = read(at(tmp_path / "sensors.res", fill))
    assert any("7 readings of auxiliary sensors" in str(remark) for remark in series.remarks)


def test_two_tests_in_one_file_are_told_apart(tmp_path: Path) -> None:
    database = open_jet(RES)
    page = database.tables()["Channel_Normal_Table"]
    place = 2 + database.definition(page).columns["Test_ID"].fixed_at
    first_page = int(np.flatnonzero(database.owners == page)[0]) * PAGE

    def split(content: bytearray) -> None:
        rows = int.from_bytes(content[first_page + 12 : first_page + 14], "little")
        for start in np.frombuffer(
            content[first_page + 14 : first_page + 14 + 2 * rows], dtype="<u2"
        ):
            content[first_page + int(start) + place] = 2

    series = read(at(tmp_path / "two.res", split))
    assert len(series) == 10_261
    remark = next(remark for remark in series.remarks if remark.kind == "many_records")
    assert "holds 2 tests" in str(remark)
    assert remark.first_row is not None
    first = remark.first_row - 1
    assert series.test_time_second[first] < series.test_time_second[first - 1]


def test_a_guess_tells_each_column() -> None:
    found = guess(RES)
    assert found.format == "Arbin .res database"
    assert found.current_sign == 1
    assert "AC_Impedance" in found.unused()
    assert {column.label for column in found.used()} >= {"Test_Time", "Voltage", "DateTime"}


def test_a_current_that_is_turned_round_is_refused(tmp_path: Path) -> None:
    database = open_jet(RES)
    page = database.tables()["Channel_Normal_Table"]
    place = 2 + database.definition(page).columns["Current"].fixed_at

    def turn(content: bytearray) -> None:
        for begin in np.flatnonzero(database.owners == page) * PAGE:
            rows = int.from_bytes(content[begin + 12 : begin + 14], "little")
            starts = np.frombuffer(content[begin + 14 : begin + 14 + 2 * rows], dtype="<u2")
            for start in starts:
                content[begin + start + place + 3] ^= 0x80

    with pytest.raises(UnitError, match="not as Arbin testers write it"):
        read(at(tmp_path / "turned.res", turn))


@pytest.mark.parametrize("kept", [15, 20, PAGE, 50 * PAGE, 200 * PAGE, 300 * PAGE + 99])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.res"
    path.write_bytes(RES.read_bytes()[:kept])
    with pytest.raises(DecodeError, match=r"cut\.res") as caught:
        read(path)
    assert caught.value.hint


def test_an_older_jet_database_is_named(tmp_path: Path) -> None:
    def age(content: bytearray) -> None:
        content[0x14] = 0

    with pytest.raises(DecodeError, match="Jet 3"):
        read(at(tmp_path / "old.res", age))


def test_a_database_of_something_else_says_what_is_in_it(tmp_path: Path) -> None:
    name = "Channel_Normal_Table"

    def rename(content: bytearray) -> None:
        for text in (name.encode("latin-1"), name.encode("utf-16-le")):
            place = content.find(text)
            while place >= 0:
                content[place] = ord("X")
                place = content.find(text, place)

    with pytest.raises(DecodeError, match=r"without Channel_Normal_Table; it has .*Global_Table"):
        read(at(tmp_path / "other.res", rename))


SIZED = """
import resource, sys
from cellwarden.errors import DataError
from cellwarden.readers import read
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read(sys.argv[1])
except DataError as error:
    print(type(error).__name__)
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
assert grown < 100, grown
"""


def test_a_quarter_gigabyte_behind_a_true_head_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.res"
    path.write_bytes(RES.read_bytes()[: 30 * PAGE])
    os.truncate(path, 1 << 28)
    done = subprocess.run(
        [sys.executable, "-c", SIZED, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "DecodeError"), done.stderr


@settings(max_examples=40, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 398), st.integers(0, PAGE - 8), st.binary(max_size=8)), max_size=8
    ),
    definitions=st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=4))),
)
def test_mutated_bytes_give_a_series_or_a_data_error(
    changes: list[tuple[int, int, bytes]], definitions: list[tuple[int, bytes]]
) -> None:
    content = bytearray(RES.read_bytes())
    for page, place, piece in changes:
        begin = page * PAGE + place
        content[begin : begin + len(piece)] = piece
    tables = [page for page in range(0, len(content), PAGE) if content[page] == 2]
    for place, piece in definitions:
        # Where the layout stands, a random byte seldom falls.
        begin = tables[place % len(tables)] + place
        content[begin : begin + len(piece)] = piece
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mutated.res"
        path.write_bytes(content)
        try:
            assert isinstance(read(path), Series)
        except DataError as error:
            refusal = error
        else:
            return
    assert refusal.hint


def test_a_clock_beyond_all_numbers_is_infinite_and_raises_no_warning() -> None:
    told = arbin_res._converted(arbin_res._CLOCK, np.array([1e308, 40_000.0]))
    assert np.isinf(told[0])
    assert np.isfinite(told[1])
