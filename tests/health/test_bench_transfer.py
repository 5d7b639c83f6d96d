"""The bench of transfer: what was fixed beforehand, and how its figures count."""

from pathlib import Path
from types import ModuleType

import pytest

from cellwarden.cli.bench import load_script
from cellwarden.errors import UsageError
from cellwarden.health import domains

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_script("transfer")


def test_the_method_was_chosen_on_targets_that_no_pair_has(bench: ModuleType) -> None:
    assert not {one.target for one in bench.DEVELOPMENT} & {one.target for one in bench.PAIRS}
    assert all(one.target not in one.sources for one in (*bench.PAIRS, *bench.DEVELOPMENT))


def test_what_is_one_population_with_mit_is_no_domain() -> None:
    with pytest.raises(UsageError, match="no batch"):
        domains.charges("severson_lfp")


def test_a_pair_counts_where_its_ratio_is_at_most_seven_tenths(bench: ModuleType) -> None:
    common = {
        "method": bench.OURS, "target_cells": 2, "part": "pair", "interval95": [0.5, 0.9],
        "tested_cells": 9, "draw_count": 6,
    }  # fmt: skip
    ratios = {"one": 0.7, "two": 0.71, "three": 0.3}
    rows = [common | {"pair": name, "ratio": ratio} for name, ratio in ratios.items()]
    rows.append(rows[2] | {"part": "development"})
    rows.append(rows[2] | {"method": "pooled"})
    figures = {one["name"]: one for one in bench.figures(rows)}
    assert figures["health.transfer.pairs_30_percent_better"]["value"] == 2
    assert figures["health.transfer.two.two_cells.error_ratio"]["value"] == 0.71
    assert figures["health.transfer.young.pairs_30_percent_better"]["value"] == 0


def test_the_page_has_a_row_for_every_pair(bench: ModuleType) -> None:
    page = (ROOT / "docs" / "transfer.md").read_text(encoding="utf-8")
    for pair in bench.PAIRS:
        assert f"\n| `{pair.name}` | " in page
