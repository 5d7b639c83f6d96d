"""Every shipped model is small, verified, beats its baselines, and has a page of its card."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from cellwarden import datasets
from cellwarden.cli.shelf import build_models, card_page, list_models, show_model
from cellwarden.errors import DecodeError, SealError, UsageError
from cellwarden.registry.circuits import CIRCUITS, Circuit
from cellwarden.registry.recipes import RECIPES, Recipe, cells_of
from cellwarden.registry.shelf import read_circuit, read_portable, shipped_names
from cellwarden.registry.trial import TRAINING_MEAN, fact, training_marks, try_out

ROOT = Path(__file__).parents[2]
SHIPPED = resources.files("cellwarden.health") / "models"
HERE = datasets.data_folder()
LARGEST_BYTES = 300_000
ALL_BYTES = 1_500_000


def needs(name: str) -> None:
    if not (HERE / name).is_dir():
        pytest.skip(f"{name} is not there: set CELLWARDEN_DATA")


def portable_names() -> list[str]:
    return [one.name for one in RECIPES if one.name in shipped_names()]


def test_all_that_is_listed_has_a_recipe_and_is_small() -> None:
    known = {"soh", *(one.name for one in RECIPES), *(one.name for one in CIRCUITS)}
    assert set(shipped_names()) <= known
    sizes = {name: len((SHIPPED / f"{name}.cbor").read_bytes()) for name in shipped_names()}
    assert max(size for name, size in sizes.items() if name != "soh") < LARGEST_BYTES
    assert sum(size for name, size in sizes.items() if name != "soh") < ALL_BYTES


@pytest.mark.parametrize("name", shipped_names())
def test_a_page_is_that_of_the_shipped_card(name: str) -> None:
    assert (ROOT / "docs" / "models" / f"{name}.md").read_text("utf-8") == card_page(name)


@pytest.mark.parametrize("name", portable_names())
def test_a_shipped_model_beats_every_baseline_on_its_card(name: str) -> None:
    _, label, _ = read_portable(name)
    told: dict[str, dict[str, float]] = {}
    for line, value in label.scores:
        who, where, what = line.split("; ")
        if what == "RMSE":
            told.setdefault(where, {})[who] = value
    assert told
    for where, errors in told.items():
        own = errors.pop("model")
        assert errors, where
        assert own < min(errors.values()), where
    assert all(fact(label, one) for one in ("what", "limits", "how to rebuild", TRAINING_MEAN))
    assert label.sources[0].licence
    assert all(training_marks(label).values())


@pytest.mark.parametrize("one", CIRCUITS)
def test_a_shipped_circuit_beats_counting(one: Circuit) -> None:
    if one.name not in shipped_names():
        pytest.skip(f"{one.name} is not shipped")
    circuit, label, _ = read_circuit(one.name)
    told = {line.split("; ")[0]: value for line, value in label.scores if line.endswith("MAE")}
    assert told["model"] < told["coulomb counting"]
    assert circuit.capacity_ah == one.capacity_ah


def test_a_model_is_not_read_as_a_circuit_and_the_reverse() -> None:
    name = portable_names()[0]
    with pytest.raises(DecodeError):
        read_circuit(name)
    with pytest.raises(DecodeError):
        read_portable("soh")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    name = portable_names()[0]
    content = bytearray((SHIPPED / f"{name}.cbor").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / f"{name}.cbor").write_bytes(content)
    (tmp_path / "SHA256SUMS").write_bytes((SHIPPED / "SHA256SUMS").read_bytes())
    with pytest.raises(SealError):
        read_portable(name, tmp_path)


def test_the_list_has_a_line_a_model_and_a_card_can_be_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    list_models()
    told = capsys.readouterr().out
    assert all(name in told for name in shipped_names())
    show_model("soh")
    assert "state of health" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no model named"):
        show_model("nothing")


@pytest.mark.parametrize("recipe", [one for one in RECIPES if one.data_set != "soh_features"])
def test_a_card_names_the_training_cells_of_its_recipe_by_content(recipe: Recipe) -> None:
    needs(recipe.data_set)
    if recipe.name not in shipped_names():
        pytest.skip(f"{recipe.name} is not shipped")
    model, label, _ = read_portable(recipe.name)
    found = cells_of(recipe, HERE)
    marks = dict(zip(found.task.cells, found.marks, strict=True))
    own = training_marks(label)
    assert own == {name: marks[name] for name in own}
    assert set(marks) - set(own) == {n for n, word in found.split.items() if word == "test"}
    places = [found.task.columns.index(name) for name in model.columns]
    told = model.tell(found.task.features[:, places])[0]
    # What it learnt from it tells better than cells that it has not seen.
    train = np.isin(found.task.cell, [found.task.cells.index(name) for name in own])
    error = np.sqrt(np.mean((told - found.task.target)[train] ** 2))
    nested = next(v for n, v in label.scores if n.startswith("model; training") and "RMSE" in n)
    assert error < nested


def test_there_is_no_model_of_a_strange_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no model nothing"):
        build_models(HERE, tmp_path, ["nothing"], None)


def test_test_cells_of_the_published_split_are_scored_and_training_cells_are_not() -> None:
    needs("soh_features")
    name = "soh-tju-ncm-nca"
    if name not in shipped_names():
        pytest.skip(f"{name} is not shipped")
    model, label, _ = read_portable(name)
    found = cells_of(next(one for one in RECIPES if one.name == name), HERE)
    trial = try_out(model, label, [found])
    assert len(trial.known) == 7
    assert len(trial.cells) == 2
    score = dict(label.scores)["model; test cells (2 cells); RMSE"]
    assert trial.rows[0].rmse == pytest.approx(score, rel=1e-4)
