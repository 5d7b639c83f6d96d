"""What a charge gets from its own past never depends on what comes later."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import DataError
from cellwarden.health.algorithms import named
from cellwarden.health.blend import blend
from cellwarden.health.causal import AGE, choices, past_columns
from cellwarden.health.task import Sample
from cellwarden.health.tuning import cross

NAMES = ("cc_q", "voltage_mean")


def charges(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 1.5, size=(count, len(NAMES)))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(0, 299), st.integers(0, 9))
def test_a_later_charge_never_moves_an_earlier_row(count: int, cut: int, seed: int) -> None:
    cut = min(cut, count)
    features, cell = charges(count, seed), np.zeros(count, dtype=np.int64)
    moved = features.copy()
    moved[cut:] = np.random.default_rng(seed + 1).choice([np.inf, np.nan, -3.0, 7.0])
    before, after = (past_columns(NAMES, one, cell)[1] for one in (features, moved))
    assert np.array_equal(before[:cut], after[:cut])
    alone = past_columns(NAMES, features[:cut], cell[:cut])[1]
    assert np.array_equal(alone, before[:cut])


def test_another_cell_never_moves_a_row() -> None:
    features = charges(60)
    cell = np.arange(60, dtype=np.int64) % 2
    moved = np.where(cell[:, None] == 1, 100.0, features)
    before, after = (past_columns(NAMES, one, cell)[1] for one in (features, moved))
    assert np.array_equal(before[cell == 0], after[cell == 0])


def test_one_odd_charge_or_one_without_a_number_is_smoothed_away() -> None:
    features = np.ones((40, 2))
    features[20], features[25] = 50.0, np.inf
    names, values = past_columns(NAMES, features, np.zeros(40, dtype=np.int64))
    smooth = values[:, names.index("voltage_mean_smooth")]
    assert np.all(smooth == 1.0)
    assert np.all(values[:, names.index("cc_q_since_start")] == 0.0)


def test_a_start_without_a_number_stays_missing() -> None:
    features = np.ones((12, 2))
    features[:3, 0] = np.nan
    names, values = past_columns(NAMES, features, np.zeros(12, dtype=np.int64))
    assert np.isnan(values[:3, names.index("cc_q_smooth")]).all()
    assert np.isfinite(values[:, names.index("voltage_mean_smooth")]).all()


def test_a_steady_drift_shows_in_every_kind_of_column() -> None:
    features = np.column_stack([np.ones(400), np.arange(400.0)])
    names, values = past_columns(NAMES, features, np.zeros(400, dtype=np.int64))
    last = dict(zip(names, values[-1], strict=True))
    assert last["voltage_mean_recent"] == 50
    assert last["voltage_mean_long"] == 200
    assert last["voltage_mean_since_start"] == pytest.approx(395 - 14.5)
    assert last["voltage_mean_so_far"] < last["voltage_mean_since_start"]


def test_every_choice_is_of_columns_that_are_made() -> None:
    names, _ = past_columns(NAMES, charges(3), np.zeros(3, dtype=np.int64))
    known = {*NAMES, *names, AGE}
    assert all(set(columns) <= known for columns in choices(NAMES).values())
    assert choices(NAMES)["charge"] == NAMES


def test_a_column_without_a_name_is_refused() -> None:
    with pytest.raises(DataError, match="not"):
        past_columns(NAMES, np.ones((3, 3)), np.zeros(3, dtype=np.int64))


def test_what_becomes_of_a_cell_never_moves_its_earlier_predictions() -> None:
    draw = np.random.default_rng(3)
    cell = np.repeat(np.arange(12), 40).astype(np.int64)
    drift = 0.01 * (np.arange(len(cell)) % 40)[:, None]
    features = draw.uniform(0.5, 1.5, size=(len(cell), 2)) + drift
    names, values = past_columns(NAMES, features, cell)
    learnt = Sample(names, values, features[:, 1] + 0.1 * features[:, 0], cell)
    offered = [named(name) for name in ("ridge", "extra trees", "gaussian process")]
    mean = blend(cross(offered, learnt, {}, 0), learnt, 0)
    one = draw.uniform(0.5, 1.5, size=(60, 2))
    moved = np.vstack([one[:30], 9.0 + one[30:]])
    alone = np.zeros(60, dtype=np.int64)
    before, after = (past_columns(NAMES, each, alone)[1] for each in (one, moved))
    assert np.array_equal(mean.predict(before).mean[:30], mean.predict(after).mean[:30])
    for one_end, other in zip(mean.interval(before, 0.9), mean.interval(after, 0.9), strict=True):
        assert np.array_equal(one_end[:30], other[:30])
    assert not np.array_equal(mean.predict(before).mean[30:], mean.predict(after).mean[30:])
