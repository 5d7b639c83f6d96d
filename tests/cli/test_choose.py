"""`choose` shows what it takes for what, compares, and names a winner only where there is one."""

import json
from pathlib import Path

import numpy as np
import pytest

from cellwarden.cli.choose import choose_command, listed
from cellwarden.errors import DataError, UsageError
from cellwarden.health.own_table import Wish


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Ten cells of eight cycles; a voltage tells the health."""
    rng = np.random.default_rng(1)
    lines = ["cell,capacity_ah,rest_volt,operator"]
    for cell in range(10):
        for _ in range(8):
            volt = rng.normal()
            capacity = 2 * (0.9 + 0.02 * volt) + 0.004 * rng.normal()
            lines.append(f"c{cell},{capacity:.6f},{volt:.6f},me")
    path = tmp_path / "own.csv"
    path.write_text("\n".join(lines))
    return path


def test_a_table_is_compared_and_the_winner_named(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "choice.png"
    choose_command([table], "soh", Wish(), ["ridge", "PLSR"], out=picture)
    told = capsys.readouterr().out
    assert "rest_volt" in told
    assert "operator: no numbers" in told
    assert "Take" in told
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_figures_come_as_one_object_and_what_was_taken_goes_to_the_terminal(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choose_command([table], "soh", Wish(nominal_ah=2.0), ["ridge"], as_json=True)
    out, err = capsys.readouterr()
    told = json.loads(out)
    names = {one["name"] for one in told["figures"]}
    assert "choose.soh.own.ridge.rmse" in names
    assert "choose.soh.own.chosen_on_training_cells.mape" in names
    assert told["conclusion"]["algorithm"] == "ridge"
    assert told["rows"][0]["unit"] == "1"
    assert "cells, rows" in err


def test_too_few_cells_and_a_wrong_task_are_refused(table: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.csv"
    short.write_text("\n".join(table.read_text().splitlines()[:17]))
    with pytest.raises(DataError, match="2 cells"):
        choose_command([short], "soh", Wish())
    with pytest.raises(UsageError, match="no task 'soc'"):
        choose_command([table], "soc", Wish())


def test_names_are_split_at_commas_save_one_that_holds_one() -> None:
    assert listed("ridge, gaussian process, ARD,SVR") == ("ridge", "gaussian process, ARD", "SVR")
    assert listed("") == ()
