import gzip
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
from cellwarden.readers import guess, read

h5py = pytest.importorskip("h5py", reason="needs the extra cyclers")

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
INDIGO = DATA / "cycler_native" / "indigo" / "indigo_test_sample.h5"
needs_data = pytest.mark.skipif(
    not INDIGO.exists(), reason="needs cycler_native under CELLWARDEN_DATA"
)
LABELS = (b"time_s", b"cell_voltage_v", b"cell_current_a", b"cell_coulomb_count_c")


def write_frame(path: Path, change: Callable[[object], None] | None = None) -> Path:
    """A frame as pandas lays it out: a charge of 10 min at 1 A, then a discharge as long."""
    time = np.arange(1200.0)
    current = np.where(time < 600, 1.0, -1.0)
    voltage = 3.6 + np.minimum(time, 1200 - time) * 5e-4 + 0.02 * current
    count = np.concatenate([np.cumsum(current[:600]), np.cumsum(current[600:])])
    with h5py.File(path, "w") as file:
        group = file.create_group("time_series_data")
        group.attrs["nblocks"] = 1
        group["block0_items"] = np.array(LABELS)
        group["block0_values"] = np.stack([time, voltage, current, count], axis=1)
        if change is not None:
            change(group)
    return path


@pytest.fixture(scope="module")
def series() -> Series:
    return read(INDIGO)


@needs_data
def test_the_real_record_is_whole(series: Series) -> None:
    assert (series.name, len(series)) == ("cell_452", 20_000)
    assert series.test_time_second[[0, -1]] == pytest.approx([31.532, 504_899.97], abs=0.01)
    assert series.unix_time_second is not None
    assert series.unix_time_second[0] == pytest.approx(1_570_746_395.468, abs=1e-3)
    assert (np.diff(series.test_time_second) > 0).all()
    assert series.cycle_count is not None
    assert (series.cycle_count.max(), series.surface_temperature_celsius is not None) == (84, True)
    assert guess(INDIGO).format == "Indigo HDF5"


@needs_data
def test_positive_current_charges_and_the_counters_are_its_integral(series: Series) -> None:
    assert series.charging_capacity_ah is not None
    assert series.discharging_capacity_ah is not None
    assert series.charging_energy_wh is not None
    rows = series.step_count == 2
    time, current = series.test_time_second[rows], series.current_ampere[rows]
    charge = np.trapezoid(current, time) / 3600
    energy = np.trapezoid(current * series.voltage_volt[rows], time) / 3600
    assert charge > 15
    assert series.voltage_volt[rows][-1] - series.voltage_volt[rows][0] > 1
    assert np.ptp(series.charging_capacity_ah[rows]) == pytest.approx(charge, rel=0.01)
    assert np.ptp(series.charging_energy_wh[rows]) == pytest.approx(energy, rel=0.01)
    drawn = series.step_count == 1
    inward = -np.trapezoid(series.current_ampere[drawn], series.test_time_second[drawn]) / 3600
    assert series.discharging_capacity_ah[drawn].max() == pytest.approx(inward, rel=0.01)


def test_a_frame_as_pandas_writes_it_is_read(tmp_path: Path) -> None:
    series = read(write_frame(tmp_path / "a.h5"))
    assert (series.name, len(series)) == ("a", 1200)
    assert series.charging_capacity_ah is not None
    assert series.charging_capacity_ah.max() == pytest.approx(600 / 3600)


def test_a_current_that_is_turned_round_is_refused(tmp_path: Path) -> None:
    def turn(group: object) -> None:
        values = group["block0_values"][()]  # type: ignore[index]
        values[:, 2:] *= -1
        group["block0_values"][()] = values  # type: ignore[index]

    with pytest.raises(UnitError, match="told both ways"):
        read(write_frame(tmp_path / "a.h5", turn))


def test_an_hdf5_file_of_something_else_says_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["voltage"] = np.arange(9.0)
        file["weather"] = np.arange(9.0)
    with pytest.raises(
        DecodeError, match="without time_series_data; it has voltage, weather"
    ) as caught:
        read(path)
    assert "CSV" in caught.value.hint


def test_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    def rename(group: object) -> None:
        group["block0_items"][2] = b"cell_power_w"  # type: ignore[index]

    with pytest.raises(DecodeError, match="without cell_current_a"):
        read(write_frame(tmp_path / "a.h5", rename))


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(1200 * 4 * 8))
    other = write_frame(tmp_path / "other.h5")

    def store_outside(group: object) -> None:
        del group["block0_values"]  # type: ignore[attr-defined]
        group.create_dataset(  # type: ignore[attr-defined]
            "block0_values", (1200, 4), "f8", external=[(str(secret), 0, 38_400)]
        )

    def link_outside(group: object) -> None:
        del group["block0_values"]  # type: ignore[attr-defined]
        target = h5py.ExternalLink(str(other), "/time_series_data/block0_values")
        group["block0_values"] = target  # type: ignore[index]

    def map_outside(group: object) -> None:
        del group["block0_values"]  # type: ignore[attr-defined]
        layout = h5py.VirtualLayout((1200, 4), "f8")
        layout[...] = h5py.VirtualSource(
            str(other), "/time_series_data/block0_values", shape=(1200, 4)
        )
        group.create_virtual_dataset("block0_values", layout)  # type: ignore[attr-defined]

    for change in (store_outside, link_outside, map_outside):
        with pytest.raises(DecodeError, match=r"points to another file|without block0_values"):
            read(write_frame(tmp_path / "a.h5", change))


def test_a_claim_of_endless_rows_is_refused_before_they_are_read(tmp_path: Path) -> None:
    def claim(group: object) -> None:
        del group["block0_values"]  # type: ignore[attr-defined]
        group.create_dataset(  # type: ignore[attr-defined]
            "block0_values", (1 << 40, 4), "f8", chunks=(1 << 10, 4)
        )

    with pytest.raises(DataError, match="more than 10,000,000 rows"):
        read(write_frame(tmp_path / "a.h5", claim))


@pytest.mark.parametrize("kept", [8, 100, 2000, 20_000])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = write_frame(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DecodeError, match=r"a\.h5") as caught:
        read(path)
    assert caught.value.hint


WITHOUT = """
import sys
sys.modules["h5py"] = None  # as where it is not installed
from cellwarden.errors import UsageError
from cellwarden.readers import read
try:
    read(sys.argv[1])
except UsageError as error:
    print(error.hint)
"""


def test_without_h5py_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(write_frame(tmp_path / "a.h5"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "pip install 'cellwarden[cyclers]'" in done.stdout, done.stderr


def test_a_packed_file_reads_as_the_file_in_it(tmp_path: Path) -> None:
    path = write_frame(tmp_path / "a.h5")
    packed = tmp_path / "b.h5.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert len(read(packed)) == 1200
    assert read(packed).source == str(packed)


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 12_000), st.binary(min_size=1, max_size=8)),
        min_size=1,
        max_size=6,
    ),
    kept=st.integers(40_000, 60_000),
)
def test_mutated_bytes_give_a_series_or_a_data_error(
    changes: list[tuple[int, bytes]], kept: int
) -> None:
    with TemporaryDirectory() as folder:
        path = write_frame(Path(folder) / "mutated.h5")
        content = bytearray(path.read_bytes()[:kept])
        for place, piece in changes:
            content[place : place + len(piece)] = piece
        path.write_bytes(content)
        try:
            assert isinstance(read(path), Series)
        except DataError as error:
            refusal = error
        else:
            return
    assert refusal.hint
