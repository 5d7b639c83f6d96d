import numpy as np

from cellwarden.health.bias import errors_by_group


def _cells(leans: tuple[float, ...], rows: int = 5) -> tuple[np.ndarray, np.ndarray, list[str]]:
    draw = np.random.default_rng(0)
    cell = np.repeat(np.arange(10 * len(leans)), rows)
    error = 0.01 * draw.normal(size=10 * len(leans))[cell] + np.repeat(leans, 10 * rows)
    return error, cell, [f"group {k // 10}" for k in cell]


def test_a_group_that_is_told_too_high_is_found_and_the_others_are_not() -> None:
    told = errors_by_group(*_cells((0.0, 0.03, 0.0)))
    assert [one.biased for one in told] == [False, True, False]
    assert [one.cell_count for one in told] == [10, 10, 10]
    assert 0.02 < told[1].bias < 0.04


def test_two_cells_never_prove_a_bias() -> None:
    (told,) = errors_by_group(np.array([1.0, 1.0]), np.array([0, 1]), ["few", "few"])
    assert told.bias == 1.0
    assert not told.biased


def test_a_cell_with_many_rows_counts_once() -> None:
    error = np.array([1.0] * 90 + [0.0] * 2)
    cell = np.array([0] * 90 + [1] * 2)
    (told,) = errors_by_group(error, cell, ["all"] * 92)
    assert told.bias == 0.5
