import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import named
from cellwarden.health.rocket import choose_kernels
from cellwarden.health.task import Sample

CURVES = np.random.default_rng(0).normal(size=(30, 60)).cumsum(axis=1)


def test_a_curve_enlarged_with_those_learnt_from_gives_the_same_features() -> None:
    one, two = (
        choose_kernels(size * CURVES, np.random.default_rng(1))(size * CURVES) for size in (1, 4)
    )
    assert np.array_equal(one, two)
    assert one.shape == (30, 1008)
    assert 0 <= one.min() < one.max() <= 1


def test_a_constant_moves_no_kernel_that_stays_inside_the_curve() -> None:
    rocket = choose_kernels(CURVES, np.random.default_rng(1))
    # Steps of a half add up without rounding, so that no tie is broken by it.
    halves = np.round(2 * CURVES) / 2
    same = (rocket(halves) == rocket(halves + 16)).all(axis=0)
    inside = []
    for place, biases in enumerate(rocket.biases):
        for kernel in range(84):
            inside += [bool((place + kernel) % 2)] * biases.shape[1]
    assert same[inside].all()
    assert not same[~np.array(inside)].all(), "beyond the ends the curve is taken as zero"


def test_a_pattern_is_told_wherever_it_stands() -> None:
    draw = np.random.default_rng(2)
    curves, target = 0.3 * draw.normal(size=(200, 80)), draw.uniform(0, 1, 200)
    for curve, size in zip(curves, target, strict=True):
        at = draw.integers(5, 65)
        curve[at : at + 12] += 6 * size * np.hanning(12)
    columns = tuple(f"p{k}" for k in range(80))
    whole = Sample(columns, curves, target, np.arange(200))
    learnt, told = whole.rows(np.arange(140)), whole.rows(np.arange(140, 200))
    errors = [
        np.sqrt(np.mean((named(who).fit(learnt, {"penalty": 10.0}, 0).predict(told.features).mean
                         - told.target) ** 2))
        for who in ("MiniRocket", "ridge, curve")
    ]  # fmt: skip
    assert errors[0] < 0.35 * told.target.std()
    assert errors[0] < 0.5 * errors[1]


def test_a_row_is_told_alone_as_among_others() -> None:
    columns = tuple(f"p{k}" for k in range(60))
    made = Sample(columns, CURVES, CURVES[:, 30], np.arange(30))
    fitted = named("MiniRocket").fit(made, {"penalty": 1.0}, 0)
    alone = np.concatenate([fitted.predict(row[None]).mean for row in CURVES])
    assert np.array_equal(alone, fitted.predict(CURVES).mean)


def test_too_few_points_are_no_curve() -> None:
    with pytest.raises(UsageError, match="no curve"):
        choose_kernels(CURVES[:, :8], np.random.default_rng(0))
