import numpy as np
import pytest

from cellwarden.health import descent
from cellwarden.health.descent import MEMBERS, descend
from cellwarden.health.network import begin_layers, tell_layers

DRAW = np.random.default_rng(0)
CELL = np.repeat(np.arange(7), (3, 1, 4, 9, 2, 6, 5))


def test_what_stops_a_network_is_whole_cells_that_it_does_not_learn_from() -> None:
    left = descent._left_out(CELL, DRAW)
    for out in left:
        assert 0 < out.sum() < len(CELL)
        assert not set(CELL[out]) & set(CELL[~out])
        assert set(np.unique(descent._batches(~out, 2, DRAW))) <= set(np.flatnonzero(~out))
    assert left.any(axis=0).all(), "every cell is left out by one"


def test_cells_left_out_weigh_alike_however_many_rows_they_have() -> None:
    weight = descent._by_cell(CELL, CELL >= 3)
    assert np.allclose(np.bincount(CELL, weights=weight), [0, 0, 0, 0.25, 0.25, 0.25, 0.25])


def test_a_network_stops_before_it_learns_what_left_out_cells_deny() -> None:
    pytest.importorskip("jax", reason="the extra deep is not installed")
    draw = np.random.default_rng(1)
    cell = np.repeat(np.arange(10), 6)
    features, target = draw.normal(size=(60, 3)), draw.normal(size=60)
    found = descend(
        tell_layers, lambda draw: begin_layers(draw, (3, 32, 32, 1)), features, target, cell,
        decay=0.0, seed=0,
    )  # fmt: skip
    assert len(found.weights) == MEMBERS
    left = descent._left_out(cell, np.random.default_rng(0))
    unit = (target - found.centre) / found.scale
    squares = [(tell_layers(np, weights, features) - unit) ** 2 for weights in found.weights]
    outside = [each[out].mean() for each, out in zip(squares, left, strict=True)]
    assert found.error == pytest.approx(np.sqrt(np.mean(outside)), rel=1e-4)
    learnt = [each[~out].mean() for each, out in zip(squares, left, strict=True)]
    assert np.median(learnt) > 0.3, "noise is not learnt by heart"
