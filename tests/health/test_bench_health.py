"""The saved page of `cellwarden bench health` says what the bench says now."""

from pathlib import Path
from types import ModuleType

import pytest

from cellwarden import datasets
from cellwarden.cli.bench import load_script
from cellwarden.health import tasks
from cellwarden.health.algorithms import ALGORITHMS, named
from cellwarden.health.scoring import evaluate, score

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_script("health")


@pytest.fixture(scope="module")
def page() -> str:
    return (BENCHMARKS / "health.md").read_text(encoding="utf-8")


def test_every_task_and_every_algorithm_has_its_row(bench: ModuleType, page: str) -> None:
    for batch in tasks.SOH_BATCHES:
        assert f"## soh.{batch.lower().replace(' ', '.')}: " in page
    for group in tasks.PULSE_GROUPS:
        assert f"## pulsebat.{group.lower()}: " in page
    life = page.partition("## severson.shift")[0]
    for algorithm in ALGORITHMS:
        if not (algorithm.needs or algorithm.missing(("delta_variance_log10_ah2",))):
            assert f"\n| {algorithm.name} | " in life, algorithm.name
    assert f"\n| {bench.CHOSEN} | " in life


def test_every_booster_has_its_row_for_charges_and_for_life(page: str) -> None:
    parts = page.split("\n## ")
    charges = [part for part in parts if part.startswith("soh.") and "together" not in part]
    assert len(charges) == len(tasks.SOH_BATCHES)
    for part in charges:
        for name in ("LightGBM", "XGBoost untuned, all columns", "CatBoost"):
            assert f"\n| {name} | " in part, part[:20]
    (life,) = (part for part in parts if part.startswith("severson.primary"))
    for name in ("LightGBM", "XGBoost", "CatBoost", "monotone LightGBM", "monotone CatBoost"):
        assert f"\n| {name} | " in life


def test_published_figures_stand_beside_and_other_cells_are_called_so(
    bench: ModuleType, page: str
) -> None:
    for task, figures in bench.PUBLISHED.items():
        part = page.partition(f"## {task}: ")[2].partition("\n## ")[0]
        for who, _, _, remark in figures:
            assert f"*{who}*" in part
            assert remark in part
    assert page.count("different cells") == 7


@pytest.mark.skipif(
    not (datasets.data_folder() / "severson_lfp").is_dir(),
    reason="severson_lfp is not there: set CELLWARDEN_DATA",
)
@pytest.mark.parametrize("name", ["mean", "variance line", "ridge", "PCR", "ridge and process"])
def test_the_page_is_what_the_code_gives(page: str, name: str) -> None:
    task = tasks.severson()
    row = score(task, name, evaluate(task, [named(name)], repeat_count=2))
    part = page.partition("## severson.primary")[2].partition("\n## ")[0]
    line = next(one for one in part.splitlines() if one.startswith(f"| {name} | "))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    # A last digit may differ with the linear algebra of the machine.
    assert float(cells[1]) == pytest.approx(row.rmse, abs=0.2)
    assert float(cells[2]) == pytest.approx(100 * row.mape, abs=0.02)
    assert cells[4].startswith(f"{row.coverage:.2f}")
