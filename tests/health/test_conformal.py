import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.errors import UsageError
from cellwarden.health.conformal import half_width, needed_cells


@pytest.mark.parametrize(("coverage", "cells"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19)])
def test_the_cells_that_a_coverage_needs(coverage: float, cells: int) -> None:
    assert needed_cells(coverage) == cells
    one = [np.array([0.01])]
    assert math.isinf(half_width(one * (cells - 1), coverage))
    assert half_width(one * cells, coverage) == 0.01


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, float("nan")])
def test_a_coverage_that_cannot_be_is_refused(coverage: float) -> None:
    with pytest.raises(UsageError):
        needed_cells(coverage)


def test_a_cell_with_many_rows_weighs_no_more_than_one_with_few() -> None:
    few = [np.full(3, 0.05), np.full(3, 0.05), np.full(3, 0.05), np.full(3, 0.01)]
    many = [*few[:3], np.full(10_000, 0.01)]
    assert half_width(few, 0.8) == half_width(many, 0.8) == 0.05


def test_a_cell_without_rows_does_not_count() -> None:
    errors = [np.array([0.01])] * 3 + [np.empty(0)]
    assert math.isinf(half_width(errors, 0.8))


@given(
    st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=6), min_size=9, max_size=15),
    st.sampled_from([0.5, 0.8, 0.9]),
)
def test_at_least_the_stated_share_of_the_cells_rows_lie_inside(
    errors: list[list[float]], coverage: float
) -> None:
    cells = [np.array(cell) for cell in errors]
    width = half_width(cells, coverage)
    inside = np.mean([np.mean(np.abs(cell) <= width) for cell in cells])
    assert inside >= coverage


def test_new_cells_are_covered_as_stated_though_each_has_its_own_error() -> None:
    draw = np.random.default_rng(0)
    found = []
    for _ in range(2000):
        offset = draw.standard_t(3, size=11)
        cells = [o + 0.2 * draw.normal(size=draw.integers(1, 30)) for o in offset]
        found.append(np.mean(np.abs(cells[-1]) <= half_width(cells[:-1], 0.8)))
    assert 0.8 <= np.mean(found) < 0.9
