"""`score` takes a model's file and a folder of cells, and gives figures that a program can read."""

import json
from pathlib import Path

import numpy as np
import pytest

from cellwarden.cli.choose import choose_command
from cellwarden.cli.score import score_command
from cellwarden.errors import DataError, UsageError
from cellwarden.health.own_table import Wish


def write(path: Path, names: str, seed: int) -> Path:
    """A cell for each letter, whose health a voltage tells."""
    rng = np.random.default_rng(seed)
    lines = ["cell,soh,rest_volt"]
    for name in names:
        for _ in range(8):
            volt = rng.normal()
            lines.append(f"{name},{0.9 + 0.02 * volt + 0.002 * rng.normal():.6f},{volt:.6f}")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    target = tmp_path / "model.cbor"
    own = write(tmp_path / "cells.csv", "abcdefghij", 1)
    choose_command([own], "soh", Wish(), ["ridge"], save=target)
    return target


def test_new_cells_of_a_folder_are_scored_with_digest_and_training_cells(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "blind"
    folder.mkdir()
    write(folder / "cells.csv", "uvwxyz", 2)
    capsys.readouterr()
    score_command(str(model), folder, "soh", Wish(), as_json=True)
    told = json.loads(capsys.readouterr().out)
    figures = {one["name"]: one for one in told["figures"]}
    assert figures["score.model.rmse"]["value"] < 0.01
    assert len(figures["score.model.coverage90"]["interval95"]) == 2
    assert told["model"]["training_cells"] == list("abcdefghij")
    assert len(told["model"]["sha256"]) == 64
    assert [row["cell"] for row in told["rows"] if row["of"] == "cell"] == list("uvwxyz")
    score_command(str(model), folder, "soh", Wish())
    assert "learnt from 10 cells" in capsys.readouterr().out


def test_the_training_table_itself_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="learnt from every one"):
        score_command(str(model), tmp_path / "cells.csv", "soh", Wish())


def test_a_model_of_another_task_a_name_of_none_and_a_broken_file_are_refused(
    model: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="not life"):
        score_command(str(model), tmp_path, "life", Wish())
    with pytest.raises(UsageError, match="no model named") as caught:
        score_command("nothing", tmp_path, "soh", Wish())
    assert "models list" in caught.value.hint
    broken = tmp_path / "broken.cbor"
    broken.write_bytes(model.read_bytes()[:-7])
    with pytest.raises(DataError):
        score_command(str(broken), tmp_path, "soh", Wish())
