"""`cellwarden bench field` makes its tables and figures of the rows that its parts give."""

from pathlib import Path
from types import ModuleType

import pytest

from cellwarden.cli.bench import load_script

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_script("field")


def test_the_twins_imbalance_is_told_within_a_few_hundredths_of_an_ampere_hour(
    bench: ModuleType,
) -> None:
    rows = bench.simulated()
    told = [row for row in rows if "imbalance_ah" in row]
    assert len(told) >= len(bench.IMBALANCES)
    for row in told:
        assert row["imbalance_ah"] == pytest.approx(row["true_imbalance_ah"], abs=0.02)
    (figure,) = bench.figures(rows)
    assert figure["name"] == "field.imbalance.nmc.largest_error"
    table = "\n".join(bench.lines(rows))
    assert "simulated" in table
    assert "too flat" in table


def test_a_score_without_an_interval_has_no_figure_of_its_coverage(bench: ModuleType) -> None:
    row = {
        "kind": "score", "task": "field.lco", "who": "first capacity", "protocol": "leave one out",
        "mae": 0.1, "rmse": 0.2, "r2": 0.5, "coverage90": None, "width": None,
        "cell_count": 3, "row_count": 9, "cpu_s": 0.0,
    }  # fmt: skip
    names = [one["name"] for one in bench.figures([row, *bench.simulated()])]
    assert "field.lco.first_capacity.mae" in names
    assert not any("coverage" in name for name in names)
    assert "| first capacity | 10.0 | 20.0 | 0.50 |  |  | 0 |" in bench.lines([row])


def test_a_part_that_is_not_there_is_a_wrong_call(bench: ModuleType) -> None:
    with pytest.raises(bench.UsageError, match="no part"):
        bench.worked("weather", quick=True)
