import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import named
from cellwarden.health.scoring import evaluate
from cellwarden.health.survival import fit_censored_line
from cellwarden.health.task import Fold, Sample, Task
from cellwarden.health.tuning import tune

SLOPE, MIDDLE, SPREAD = 0.2, 2.8, 0.08


def lives(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(count, 1))
    return features, MIDDLE + SLOPE * features[:, 0] + SPREAD * draw.normal(size=count)


def seen_until(limit: float, life: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.minimum(life, limit), life > limit


def test_lives_that_outlast_the_record_are_told_without_bias() -> None:
    features, life = lives(2000)
    seen, censored = seen_until(2.85, life)
    assert 0.3 < censored.mean() < 0.5
    line = fit_censored_line(features, seen, censored, penalty=0.0)
    assert line.weights[0] == pytest.approx(SLOPE, abs=0.01)
    assert line.intercept == pytest.approx(MIDDLE, abs=0.01)
    assert line.spread == pytest.approx(SPREAD, abs=0.01)
    # what is usually done instead: taken as failed, or left out
    none = np.zeros(len(seen), dtype=bool)
    failed = fit_censored_line(features, seen, none, penalty=0.0)
    short = fit_censored_line(features[~censored], seen[~censored], none[~censored], penalty=0.0)
    for wrong in (failed, short):
        assert wrong(np.array([[1.0]]))[0] < MIDDLE + SLOPE - 0.04


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_without_censored_rows_it_is_the_line_of_least_squares(seed: int) -> None:
    features, life = lives(30, seed)
    line = fit_censored_line(features, life, np.zeros(30, dtype=bool), penalty=0.0)
    exact = np.polyfit(features[:, 0], life, 1)
    assert line.weights[0] == pytest.approx(exact[0], abs=1e-9)
    assert line.intercept == pytest.approx(exact[1], abs=1e-9)


def test_the_fit_is_a_maximum_of_the_likelihood() -> None:
    from scipy.special import log_ndtr

    features, life = lives(200, seed=3)
    seen, censored = seen_until(2.8, life)
    line = fit_censored_line(features, seen, censored, penalty=0.0)

    def likelihood(slope: float, middle: float, spread: float) -> float:
        unit = (seen - middle - slope * features[:, 0]) / spread
        return float(np.sum(np.where(censored, log_ndtr(-unit), -0.5 * unit**2 - np.log(spread))))

    best = np.array([line.weights[0], line.intercept, line.spread])
    top = likelihood(*best)
    for step in np.vstack([np.eye(3), -np.eye(3)]) * 1e-3:
        assert likelihood(*(best + step)) < top


def test_censoring_every_row_or_far_from_the_line_stays_finite() -> None:
    features, life = lives(20)
    every = fit_censored_line(features, life, np.ones(20, dtype=bool), penalty=1.0)
    assert np.isfinite([*every.weights, every.intercept, every.spread]).all()
    far = np.zeros(20, dtype=bool)
    far[0] = True
    moved = life.copy()
    moved[0] = 50.0
    line = fit_censored_line(features, moved, far, penalty=1.0)
    assert np.isfinite([*line.weights, line.intercept, line.spread]).all()


def sample(limit: float) -> Sample:
    features, life = lives(60, seed=1)
    seen, censored = seen_until(limit, life)
    return Sample(("a",), features, seen, np.arange(60), censored=censored)


def test_an_algorithm_that_knows_no_censoring_learns_without_those_rows() -> None:
    made = sample(2.85)
    assert made.censored is not None
    kept = made.rows(~made.censored)
    new = np.linspace(-1, 1, 5)[:, None]
    with_them, without = (tune([named("ridge")], one, {}, seed=0) for one in (made, kept))
    penalty = with_them.chosen.setting
    if penalty == without.chosen.setting:
        assert np.allclose(with_them.predict(new).mean, without.predict(new).mean)
    told = tune([named("censored line")], made, {}, seed=0).predict(new).mean
    assert told[-1] > with_them.predict(new).mean[-1] + 0.02


def test_a_censored_row_has_no_part_in_the_interval() -> None:
    made = sample(2.85)
    tuned = tune([named("censored line")], made, {}, seed=0)
    assert made.censored is not None
    assert np.all(tuned.weight[made.censored] == 0)
    count = int((~made.censored).sum())
    assert tuned.weight.sum() == pytest.approx(count / (count + 1))


def test_a_censored_cell_cannot_be_tested() -> None:
    cell = np.arange(4)

    def task(test: int) -> Task:
        return Task(
            name="made",
            unit="cycles",
            target_name="life",
            protocol="made",
            columns=("a",),
            features=np.ones((4, 1)),
            target=np.full(4, 500.0),
            cell=cell,
            cells=("w", "x", "y", "z"),
            folds=(Fold("f", tuple(k for k in range(4) if k != test), (test,)),),
            logarithmic=True,
            censored=cell == 3,
        )

    assert len(evaluate(task(0), [named("censored line")]).mean) == 1
    with pytest.raises(UsageError, match="a censored cell is tested"):
        task(3)
