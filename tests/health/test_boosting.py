from dataclasses import replace

import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import named
from cellwarden.health.boosting import SIGNS, fit_failure_times
from cellwarden.health.learner import fit_prepared
from cellwarden.health.task import Sample
from cellwarden.health.tuning import tune

COLUMNS = ("cycle_count", "fade_slope_ah", "free")


def wrong_way(seed: int = 0) -> Sample:
    """Rows in which each column works against its sign in part of its range."""
    draw = np.random.default_rng(seed)
    features = draw.uniform(-1, 1, size=(300, 3))
    target = np.abs(features).sum(axis=1) + 0.1 * draw.normal(size=300)
    return Sample(COLUMNS, features, target, np.arange(300) // 10)


KINDS = [
    ("LightGBM", {"rounds": 100, "leaves": 4}),
    ("LightGBM", {"rounds": 100, "leaves": 15}),
    ("CatBoost", {"rounds": 100, "depth": 4}),
]


@pytest.mark.parametrize(("name", "setting"), KINDS)
def test_a_column_with_a_sign_never_works_the_other_way(
    name: str, setting: dict[str, float]
) -> None:
    if reason := named(name).missing(COLUMNS):
        pytest.skip(reason)
    made = wrong_way()
    fitted = fit_prepared(named(f"monotone {name}"), made, COLUMNS, setting, 0)
    plain = fit_prepared(named(name), made, COLUMNS, setting, 0)
    grid = np.linspace(-2, 2, 81)
    bent = 0
    for place, column in enumerate(COLUMNS):
        for rest in made.features[:25]:
            rows = np.repeat(rest[None], len(grid), axis=0)
            rows[:, place] = grid
            step = np.diff(fitted.predict(rows).mean) * SIGNS.get(column, 0)
            assert (step >= -1e-12).all()
            if column in SIGNS:
                bent += (np.diff(plain.predict(rows).mean) * SIGNS[column] < -1e-3).any()
    assert bent > 10, "without signs the rows do bend the trees"


def test_without_its_library_an_algorithm_says_what_to_install() -> None:
    absent = replace(named("CatBoost"), needs="no_such_booster")
    with pytest.raises(UsageError, match="no algorithm can be run") as caught:
        tune([absent], wrong_way(), {}, 0)
    assert "CatBoost needs no_such_booster: install the extra boosters" in str(caught.value.hint)


def test_signs_are_one_way_or_the_other() -> None:
    assert set(SIGNS.values()) == {-1, 1}


def lives(*, watched: float) -> tuple[Sample, np.ndarray]:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(400, 2))
    truth = 2.8 + 0.2 * features[:, 0] + 0.03 * draw.normal(size=400)
    censored = truth > watched
    told = np.minimum(truth, watched)
    made = Sample(("a", "b"), features, told, np.arange(400), logarithmic=True, censored=censored)
    return made, truth


def test_a_life_that_goes_on_is_told_longer_than_it_was_watched() -> None:
    pytest.importorskip("xgboost", reason="the extra boosters is not installed")
    made, truth = lives(watched=2.9)
    assert made.censored is not None
    setting = {"rounds": 300, "width": 0.3}
    told = fit_failure_times(made, setting, 0).predict(made.features).mean
    failed = replace(made, censored=None)
    naive = fit_failure_times(failed, setting, 0).predict(made.features).mean
    lasting = made.censored
    assert told[lasting].mean() > naive[lasting].mean() + 0.03
    error, other = (np.sqrt(np.mean((one - truth) ** 2)) for one in (told, naive))
    assert error < 0.8 * other


def test_without_a_censored_row_it_is_a_plain_regression() -> None:
    pytest.importorskip("xgboost", reason="the extra boosters is not installed")
    made, truth = lives(watched=9.0)
    told = fit_failure_times(made, {"rounds": 300, "width": 0.3}, 0).predict(made.features)
    assert np.sqrt(np.mean((told.mean - truth) ** 2)) < 0.05


def test_only_survival_algorithms_get_censored_rows() -> None:
    takers = [name for name in ("survival XGBoost", "monotone LightGBM", "perceptron")
              if named(name).takes_censored]  # fmt: skip
    assert takers == ["survival XGBoost"]
