import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.health.learner import Prepared
from cellwarden.health.portable import Trees
from cellwarden.registry.tree_layout import LEAF, Layout, lay_out


def stumps(edges: np.ndarray, *, single: bool) -> Trees:
    """A tree of one split for each edge, on one input."""
    count = len(edges)
    at = 3 * np.arange(count)
    left, right, threshold, value = (np.zeros(3 * count) for _ in range(4))
    place = np.arange(3 * count)
    left[:], right[:] = place, place
    left[at], right[at], threshold[at] = at + 1, at + 2, edges
    value[at + 1], value[at + 2] = 1.0, 2.0
    whole = (one.astype(np.int64) for one in (left, right))
    lefts, rights = whole
    return Trees(
        1, at, np.zeros(3 * count, dtype=np.int64), threshold, lefts, rights, value,
        single_inputs=single,
    )  # fmt: skip


def preparation(low: float, high: float, centre: float, spread: float) -> Prepared:
    one = [np.array([x]) for x in (0.0, low, high, centre, spread)]
    return Prepared(np.array([0]), *one, -1.0, 1.0, None)  # type: ignore[arg-type]


def walk(layout: Layout, row: np.ndarray) -> list[float]:
    told = []
    for root in layout.roots.tolist():
        node = root
        while layout.feature[node] != LEAF:
            left = row[layout.feature[node]] <= layout.number[node]
            node = node + 1 if left else int(layout.right[node])
        told.append(float(layout.number[node]))
    return told


@pytest.mark.parametrize("single", [False, True])
@settings(max_examples=60)
@given(
    edges=st.lists(st.floats(-4, 4), min_size=1, max_size=6),
    centre=st.floats(-1e3, 1e3),
    spread=st.floats(1e-6, 1e6),
    reach=st.floats(0.0, 5.0),
    rows=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4),
)
def test_every_number_takes_the_branch_that_its_prepared_value_takes(
    edges: list[float],
    centre: float,
    spread: float,
    reach: float,
    rows: list[float],
    *,
    single: bool,
) -> None:
    trees = stumps(np.array(edges), single=single)
    prepared = preparation(centre - reach * spread, centre + reach * spread, centre, spread)
    layout = lay_out(prepared, trees)
    at = layout.number[layout.feature != LEAF]
    for raw in [*rows, *at.tolist(), *np.nextafter(at, np.inf).tolist(), 1e308, -1e308]:
        if not np.isfinite(raw):
            continue
        inputs = prepared.inputs(np.array([[raw]]))
        if single:
            inputs = inputs.astype(np.float32).astype(np.float64)
        expected = np.where(inputs[0, 0] <= np.array(edges), 1.0, 2.0)
        assert walk(layout, np.array([raw])) == expected.tolist()


def test_a_split_that_all_numbers_pass_on_one_side_is_left_out() -> None:
    trees = stumps(np.array([-9.0, 0.0, 9.0]), single=False)
    layout = lay_out(preparation(-1.0, 1.0, 0.0, 1.0), trees)
    assert layout.feature.tolist() == [LEAF, 0, LEAF, LEAF, LEAF]
    assert layout.number.tolist() == [2.0, 0.0, 1.0, 2.0, 1.0]


def test_a_right_child_stands_behind_the_whole_left_branch() -> None:
    # Two levels: the root's left child splits again.
    trees = Trees(
        2, np.array([0]), np.array([0, 1, 0, 0, 0]), np.array([0.5, 0.25, 0.0, 0.0, 0.0]),
        np.array([1, 3, 2, 3, 4]), np.array([2, 4, 2, 3, 4]), np.array([0.0, 0.0, 7.0, 8.0, 9.0]),
    )  # fmt: skip
    zero, one = np.zeros(2), np.ones(2)
    prepared = Prepared(np.arange(2), zero, -9 * one, 9 * one, zero, one, 0.0, 9.0, trees)
    layout = lay_out(prepared, trees)
    assert layout.feature.tolist() == [0, 1, LEAF, LEAF, LEAF]
    assert layout.right[:2].tolist() == [4, 3]
    for row in ([0.5, 0.25], [0.5, 0.3], [0.6, 0.0]):
        expected = trees.predict(np.array([row])).mean
        assert walk(layout, np.array(row)) == expected.tolist()
