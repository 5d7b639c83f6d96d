"""The layouts of the catalogue's sets are known by their columns, whatever cells they hold."""

from pathlib import Path

import duckdb
import numpy as np
import pytest

from cellwarden import datasets
from cellwarden.errors import DataError, UsageError
from cellwarden.health import tasks
from cellwarden.health.found import split
from cellwarden.health.layouts import find
from cellwarden.health.own_table import Wish

HERE = datasets.data_folder()


def real(name: str) -> Path:
    if not (HERE / name).is_dir():
        pytest.skip(f"{name} is not there: set CELLWARDEN_DATA")
    return HERE / name


def fade_csv(folder: Path, lives: tuple[int, ...]) -> Path:
    """Cells that reach 80 % of 1.1 Ah at known cycles; one that does not is cut at 150."""
    lines = ["cell,temperature_C,cycle,capacity_Ah"]
    for number, life in enumerate(lives):
        last = 150 if life > 1000 else life + 20
        lines += [
            f"B{number},{25 + 10 * (number % 2)},{k},{1.1 - 0.22 * (k - 1) / (life - 1) - 1e-9:.9f}"
            for k in range(1, last)
        ]
    path = folder / "capacity.csv"
    path.write_text("\n".join(lines))
    return path


def test_the_folder_of_charge_ends_gives_the_same_rows_as_the_catalogue() -> None:
    (found,) = find([real("soh_features")], "soh", Wish(group="XJTU 2C"))
    task = tasks.soh("XJTU 2C")
    assert len(found.task.cells) == len(task.cells) == 6
    assert np.sort(found.task.target).tolist() == np.sort(task.target).tolist()
    assert found.nominal_ah == 2.0


def test_batches_of_one_beginning_are_found_together() -> None:
    groups = find([real("soh_features") / "xjtu.parquet"], "soh", Wish(group="XJTU"))
    assert [one.group for one in groups][:2] == ["XJTU 2C", "XJTU 3C"]
    with pytest.raises(UsageError, match="no group") as caught:
        find([real("soh_features") / "xjtu.parquet"], "soh", Wish(group="HUST"))
    assert "XJTU RW" in caught.value.hint


def test_a_published_split_in_the_table_is_taken() -> None:
    (found,) = find([real("soh_features") / "tju.parquet"], "soh", Wish(group="TJU D3_NCM_NCA"))
    task, how = split(found)
    assert len(task.folds) == 1
    assert "own split" in how


def test_lives_and_curves_in_two_tables_are_found_by_their_columns(tmp_path: Path) -> None:
    folder = real("severson_lfp")
    curves = folder / "train_discharge_q.parquet"
    target = tmp_path / "secondary_test_discharge_q.parquet"
    duckdb.sql(f"copy (select * from '{curves}' where cell <= 4) to '{target}'")
    with pytest.raises(UsageError, match="no table of the lives"):
        find([tmp_path], "life")
    lives = (folder / "train_cycle_life.csv").read_text().splitlines()[:5]
    (tmp_path / "secondary_test_cycle_life.csv").write_text("\n".join(lives))
    (found,) = find([tmp_path], "life")
    assert found.task.cells == tuple(f"secondary_test-{k}" for k in range(1, 5))
    assert set(found.split.values()) == {"test"}
    whole = tasks.severson()
    at = [whole.cells.index(f"train-{k}") for k in range(1, 5)]
    assert found.task.columns == whole.columns
    assert found.task.features.tolist() == whole.features[at].tolist()


def test_pulses_and_spectra_are_found() -> None:
    groups = find([real("pulsebat")], "soh")
    assert [one.group for one in groups] == ["LMO_10Ah", "LFP_35Ah", "NMC_2.1Ah"] or len(
        groups
    ) == 3
    assert all(not one.task.carried for one in groups)
    (spectra,) = find([real("eis_lco")], "soh")
    assert len(spectra.task.cells) == 4
    assert spectra.task.columns[-1] == "cycle_count"


def test_a_life_is_the_cycle_from_which_capacity_stays_below_and_survivors_are_censored(
    tmp_path: Path,
) -> None:
    (found,) = find([fade_csv(tmp_path, (300, 500, 700, 5000))], "life")
    assert found.task.target[:3].tolist() == pytest.approx([300, 500, 700], abs=3)
    assert found.task.censored is not None
    assert found.task.censored.tolist() == [False, False, False, True]
    folds = split(found)[0].folds
    assert [fold.test for fold in folds] == [(0,), (1,), (2,)]


def test_the_lives_of_tbsi_lie_where_its_description_says() -> None:
    (found,) = find([real("tbsi_nmc")], "life")
    hot = found.task.features[:, 0] == 55
    assert np.median(found.task.target[hot]) == pytest.approx(480, rel=0.1)


def test_a_folder_without_cells_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file"):
        find([tmp_path], "soh")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises((UsageError, DataError)) as caught:
        find([tmp_path], "soh")
    assert caught.value.hint
    with pytest.raises(UsageError, match="is not there"):
        find([tmp_path / "nothing"], "soh")
