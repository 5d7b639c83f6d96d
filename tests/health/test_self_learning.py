"""A challenger has to earn its place, and can lose it exactly."""

from dataclasses import replace

import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import named
from cellwarden.health.learner import Prepared, fit_prepared
from cellwarden.health.self_learning import Rules, SelfLearner, begin, step, undo
from cellwarden.health.task import Sample

RULES = Rules(scale=0.01, every=60)


def fit(sample: Sample) -> Prepared:
    return fit_prepared(named("ridge"), sample, sample.columns, {"penalty": 1.0}, 0)


def fleet(seed: int, cells: range, *, shift: float = 0.0) -> Sample:
    """Health told by a feature; of a shifted fleet another, which else stands still, as well."""
    draw = np.random.default_rng(seed)
    cell = np.repeat(np.array(cells), 10)
    features = draw.normal(size=(len(cell), 2)) * [1.0, 1.0 if shift else 0.02]
    target = 0.9 + 0.03 * features[:, 0] + shift * features[:, 1]
    return Sample(("a", "b"), features, target + 0.002 * draw.normal(size=len(cell)), cell)


@pytest.fixture
def start() -> SelfLearner:
    return begin(fleet(0, range(12)), fleet(1, range(100, 106)), RULES, fit)


def run(state: SelfLearner, stream: Sample) -> SelfLearner:
    for rows in np.array_split(np.random.default_rng(9).permutation(len(stream.target)), 6):
        state, _ = step(state, stream.rows(rows), RULES, fit)
    return state


def test_a_shifted_fleet_is_learnt_and_told_better(start: SelfLearner) -> None:
    told = run(start, fleet(2, range(200, 218), shift=0.02))
    assert told.champion > 0
    taken = [one for one in told.changes if one.outcome == "taken"]
    assert taken[0].challenger_error < 0.95 * taken[0].champion_error
    assert taken[0].cell_count >= RULES.fewest_cells


def test_a_fleet_like_the_first_changes_nothing(start: SelfLearner) -> None:
    told = run(start, fleet(3, range(200, 218)))
    assert told.champion == 0
    assert told.changes
    assert all(one.outcome.startswith("refused") for one in told.changes)


def test_undoing_restores_the_model_exactly_and_is_told(start: SelfLearner) -> None:
    after = run(start, fleet(2, range(200, 218), shift=0.02))
    back = after
    while back.champion:
        back = undo(back, RULES)
    new = fleet(5, range(3)).features
    assert back.model is start.model
    assert (back.model.predict(new).mean == start.model.predict(new).mean).all()
    assert back.versions == after.versions  # nothing is deleted
    assert back.changes[: len(after.changes)] == after.changes
    assert back.changes[-1].because == "undone by a person"
    with pytest.raises(UsageError, match="no version before"):
        undo(back, RULES)


@pytest.mark.parametrize("kind", ["garbage", "poisoned third", "all shifted alike"])
def test_poisoned_labels_are_refused(start: SelfLearner, kind: str) -> None:
    stream = fleet(4, range(200, 218))
    draw = np.random.default_rng(8)
    if kind == "garbage":
        stream.target[:] = draw.uniform(0.3, 1.2, len(stream.target))
    elif kind == "poisoned third":
        stream.target[stream.cell % 3 == 0] -= 0.15
    else:
        stream.target[:] -= 0.15
    told = run(start, stream)
    assert told.changes
    assert told.champion == 0


def test_labels_that_cannot_be_are_dropped_and_counted(start: SelfLearner) -> None:
    stream = fleet(4, range(200, 203))
    stream.target[:4] = [np.nan, -1.0, 7.0, np.inf]
    told, _ = step(start, stream, RULES, fit)
    assert told.dropped_count == 4
    assert len(told.recent.target) == 26
    empty, change = step(start, stream.rows(np.arange(4)), RULES, fit)
    assert change is None
    assert empty.recent is start.recent


def test_a_step_leaves_its_state_alone_and_gives_the_same_again(start: SelfLearner) -> None:
    stream = fleet(2, range(200, 218), shift=0.02)
    before = replace(start)
    one, other = (step(start, stream, RULES, fit) for _ in range(2))
    assert start.changes == before.changes == ()
    assert one[1] == other[1]
    assert (one[0].recent.target == other[0].recent.target).all()


def test_cells_that_judge_are_never_learnt_from(start: SelfLearner) -> None:
    seen: list[set[int]] = []

    def spy(sample: Sample) -> Prepared:
        seen.append(set(sample.cell.tolist()))
        return fit(sample)

    _, change = step(start, fleet(2, range(200, 218), shift=0.02), RULES, spy)
    assert change is not None
    assert len(set(range(200, 218)) - seen[0]) == change.cell_count == 6
    assert not seen[0] & set(range(100, 106))
    with pytest.raises(UsageError, match="trained on and judges"):
        begin(fleet(0, range(12)), fleet(1, range(11, 14)), RULES, fit)
