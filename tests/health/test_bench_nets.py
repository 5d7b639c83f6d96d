"""What `cellwarden bench nets` runs and how it tells it."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cellwarden.cli.bench import load_script
from cellwarden.health.algorithms import ALGORITHMS, named

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PAGE = Path(__file__).parents[2] / "docs" / "nets.md"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_script("nets")


def test_every_name_is_an_algorithm_and_every_reader_of_curves_is_run(bench: ModuleType) -> None:
    assert all(named(who) for own in bench.WHO.values() for who in own)
    for one in ALGORITHMS:
        if one.reads_curve:
            assert one.name in bench.WHO["severson.primary"]


def test_a_term_is_held_against_the_same_seeds_without_it(bench: ModuleType) -> None:
    row = {"who": "dynamics", "rmse_each": [0.011, 0.0242], "rise_share": 0.25, "cpu_s": 1.0}
    line = bench._ablation_line(row, np.array([0.010, 0.022]))
    assert "| +10.0 % ± 0.0 |" in line
    assert "25 %" in line
    alone = bench._ablation_line(row, np.array(row["rmse_each"]))
    assert "±" not in alone


def test_every_row_of_the_page_is_one_that_the_bench_runs(bench: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    names = {name.lower().replace(" ", "."): own for name, own in bench.WHO.items()}
    names |= {
        f"ablation.soh.{one.lower().replace(' ', '.')}": bench.TERMS for one in bench._ABLATED
    }
    found = 0
    for part in page.split("\n### ")[1:]:
        title = part.split(":")[0]
        own = names[max((name for name in names if title.endswith(name)), key=len)]
        rows = [line for line in part.splitlines() if line.startswith("| ")][1:]
        found += len(rows)
        assert all(line.split("|")[1].strip() in own for line in rows), title
    assert found > 20
