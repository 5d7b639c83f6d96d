import os
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest

from cellwarden.errors import UnitError
from cellwarden.readers import read

VECTORS = Path(__file__).parents[1] / "vectors" / "readers"
DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
NASA = DATA / "nasa_pcoe"
needs_data = pytest.mark.skipif(not NASA.is_dir(), reason="needs nasa_pcoe under CELLWARDEN_DATA")


def test_operations_stand_where_their_starts_put_them() -> None:
    series = read(VECTORS / "B0005.parquet")
    assert series.name == "B0005"
    assert (series.nominal_capacity_ah, series.chemistry) == (2.0, None)
    assert series.step_index is not None
    assert series.cycle_count is not None
    assert series.unix_time_second is not None
    assert series.ambient_temperature_celsius is not None
    assert sorted(set(series.step_index)) == [0, 1, 2, 3, 4]
    cycles = [int(series.cycle_count[series.step_index == k][0]) for k in range(5)]
    assert cycles == [1, 1, 2, 2, 3]
    assert (np.diff(series.test_time_second) >= 0).all()
    # The second operation began 2008-04-02 15:25:41.593, the first 13:08:17.921.
    second = int(np.flatnonzero(series.step_index == 1)[0])
    with duckdb.connect() as connection:
        within = connection.execute(
            "SELECT time_s FROM read_parquet(?) WHERE test_id = 1 LIMIT 1",
            [str(VECTORS / "B0005.parquet")],
        ).fetchall()[0][0]
    assert series.test_time_second[second] == pytest.approx(8243.672 + within)
    assert set(series.ambient_temperature_celsius) == {24.0}


def test_positive_current_charges_in_the_real_operations() -> None:
    series = read(VECTORS / "B0005.parquet")
    assert series.step_index is not None
    for number, sign in ((0, 1), (1, -1), (2, 1), (3, -1)):
        flow = series.current_ampere[series.step_index == number]
        assert sign * np.mean(flow[np.abs(flow) > 0.1]) > 0.5


def test_without_the_list_of_starts_operations_follow_one_another(tmp_path: Path) -> None:
    shutil.copy(VECTORS / "B0005.parquet", tmp_path)
    series = read(tmp_path / "B0005.parquet")
    assert series.unix_time_second is None
    assert series.ambient_temperature_celsius is None
    assert (np.diff(series.test_time_second) >= 0).all()
    assert any("one after the other" in str(remark) for remark in series.remarks)
    assert series.test_time_second[-1] < read(VECTORS / "B0005.parquet").test_time_second[-1]


@pytest.mark.parametrize(
    "listed",
    [
        b"",
        b"\x00\x01\x02\x03" * 100,
        b"something,else\n1,2\n",
        b"battery_id,test_id,type,start,ambient_C\nB0005,0,charge,never,24\n",
        b"battery_id,test_id,type,start,ambient_C\nB0006,0,charge,2008-04-02 13:08:17.9,24\n",
    ],
)
def test_a_list_of_starts_that_is_no_help_is_remarked_on(tmp_path: Path, listed: bytes) -> None:
    shutil.copy(VECTORS / "B0005.parquet", tmp_path)
    (tmp_path / "tests.csv").write_bytes(listed)
    series = read(tmp_path / "B0005.parquet")
    assert series.unix_time_second is None
    assert any("one after the other" in str(remark) for remark in series.remarks)


def test_operations_whose_current_is_turned_round_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "B0005.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            'COPY (SELECT * REPLACE (-"current_A" AS "current_A") FROM'
            f" '{VECTORS / 'B0005.parquet'}') TO '{path}' (FORMAT parquet)"
        )
    with pytest.raises(UnitError, match="not as the data's description states"):
        read(path)


@needs_data
def test_aborted_discharges_and_rests_after_cut_off_are_kept() -> None:
    path = NASA / "B0025.parquet"
    series = read(path)
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchone()
    assert rows is not None
    assert len(series) == rows[0]
    assert series.step_index is not None
    # The record of a discharge goes on after its current has stopped.
    discharge = series.current_ampere[series.step_index == 3]
    assert np.abs(discharge[-1]) < 0.05


@needs_data
def test_missing_readings_stay_missing() -> None:
    series = read(NASA / "B0041.parquet")
    assert np.isnan(series.voltage_volt).sum() == 57
    assert any("57 of 138294 rows carry no voltage_volt" in str(text) for text in series.remarks)


@needs_data
def test_one_cell_may_be_kept_at_several_ambient_temperatures() -> None:
    ambient = read(NASA / "B0042.parquet").ambient_temperature_celsius
    assert ambient is not None
    assert set(ambient) == {4.0, 22.0}
