import numpy as np
import pytest

from cellwarden.health.algorithms import named
from cellwarden.health.learner import fit_prepared
from cellwarden.health.stability import sensor_errors, stability
from cellwarden.health.task import Sample


def test_readings_err_by_their_sensor_and_the_rest_by_a_share_of_its_spread() -> None:
    features = np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
    told = sensor_errors(("volt", "celsius", ""), features)
    assert told == pytest.approx([1e-3, 1.0, 0.01])


def test_an_explanation_without_errors_stays_and_with_large_ones_moves() -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(60, 3))
    target = features @ np.array([1.0, 0.5, 0.1])
    sample = Sample(("a", "b", "c"), features, target, np.arange(60) // 4)
    whole = fit_prepared(named("ridge"), sample, sample.columns, {"penalty": 1.0}, 0)
    still, small, large = (
        stability(whole, sample.columns, features[:20], np.full(3, size))
        for size in (0.0, 0.01, 1.0)
    )
    assert still.rank_correlation == pytest.approx(1.0)
    assert (still.contribution_change, still.top_feature_kept) == (0.0, 1.0)
    assert 0 < small.contribution_change < 0.05 < large.contribution_change
    assert large.rank_correlation < small.rank_correlation or large.top_feature_kept < 1
