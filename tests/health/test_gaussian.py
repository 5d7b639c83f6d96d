import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.health.gaussian import fit_gaussian_process


def made(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(count, 2))
    return features, 2.0 + features[:, 0] + 0.3 * np.sin(2 * features[:, 1])


def test_a_smooth_law_is_learnt_and_its_uncertainty_is_about_its_error() -> None:
    features, law = made(80)
    noise = 0.1 * np.random.default_rng(1).normal(size=80)
    process = fit_gaussian_process(features, law + noise)
    new, truth = made(200, seed=2)
    mean, std = process(new)
    error = np.sqrt(np.mean((mean - truth) ** 2))
    assert error < 0.15
    measured = truth + 0.1 * np.random.default_rng(3).normal(size=200)
    assert 0.7 < np.mean(((measured - mean) / std) ** 2) < 1.6


def test_far_from_the_training_rows_a_line_goes_on_and_the_spread_grows() -> None:
    features = np.linspace(-1, 1, 30)[:, None]
    process = fit_gaussian_process(features, 1.0 + 2.0 * features[:, 0])
    mean, std = process(np.array([[0.0], [2.0]]))
    assert mean[1] == pytest.approx(5.0, abs=0.5)
    assert std[1] > std[0]


def test_the_answer_does_not_depend_on_the_order_of_the_rows() -> None:
    features, law = made(40)
    back = np.arange(40)[::-1]
    one, other = (
        fit_gaussian_process(*pair)(features[:5])
        for pair in ((features, law), (features[back], law[back]))
    )
    assert np.allclose(one, other, atol=1e-8)


@given(st.floats(-5, 5), st.floats(0.1, 10))
def test_shift_and_scale_of_the_target_shift_and_scale_the_answer(
    shift: float, scale: float
) -> None:
    features, law = made(15)
    plain = fit_gaussian_process(features, law)(features[:4])
    moved = fit_gaussian_process(features, shift + scale * law)(features[:4])
    assert np.allclose(moved[0], shift + scale * plain[0], atol=1e-6)
    assert np.allclose(moved[1], scale * plain[1], rtol=1e-5)


def test_with_an_emphasis_a_long_life_is_told_more_closely_than_a_short_one() -> None:
    draw = np.random.default_rng(5)
    features = np.repeat(np.linspace(-1, 1, 20), 3)[:, None]
    target = 2.7 + 0.3 * features[:, 0] + 0.1 * draw.normal(size=60)
    _, even = fit_gaussian_process(features, target)(np.array([[-0.9], [0.9]]))
    _, strong = fit_gaussian_process(features, target, 2.0)(np.array([[-0.9], [0.9]]))
    assert even[1] / even[0] == pytest.approx(1.0, abs=0.05)
    assert strong[1] / strong[0] < 0.6


def test_many_rows_are_fitted_with_settings_told_from_a_part_of_them() -> None:
    features, law = made(300)
    process = fit_gaussian_process(features, law)
    assert len(process.weights) <= 6
    new, truth = made(50, seed=9)
    assert np.sqrt(np.mean((process(new)[0] - truth) ** 2)) < 0.02


def test_a_constant_target_is_told_as_it_is() -> None:
    mean, _ = fit_gaussian_process(np.ones((5, 1)), np.full(5, 3.0))(np.ones((2, 1)))
    assert mean == pytest.approx([3.0, 3.0])
