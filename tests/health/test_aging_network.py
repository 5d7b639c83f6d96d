import numpy as np
import pytest

from cellwarden.health.aging_network import AGING_COLUMNS, _following, _loss
from cellwarden.health.algorithms import named
from cellwarden.health.network import Ensemble, Perceptron
from cellwarden.health.task import Sample

pytest.importorskip("jax", reason="the extra deep is not installed")
WHO = named("aging network")
CYCLE = AGING_COLUMNS.index("cycle_count")


def sample(noise: float = 0.5) -> Sample:
    """Cells that fade, with a noise in what is measured that makes the told state rise at times."""
    draw = np.random.default_rng(0)
    cell = np.repeat(np.arange(8), 30)
    features = draw.normal(size=(len(cell), len(AGING_COLUMNS)))
    age = np.tile(np.linspace(-1, 1, 30), 8)
    features[:, CYCLE] = age
    features[:, 0] = -age + 0.5 * draw.normal(size=len(cell))
    target = -age + noise * draw.normal(size=len(cell))
    return Sample(AGING_COLUMNS, features, target, cell)


def rises(fitted: Ensemble, made: Sample) -> float:
    step = np.diff(fitted.predict(made.features).mean)
    return float(np.mean(np.maximum(step, 0)[np.diff(made.cell) == 0]))


def fitted(made: Sample, dynamics: float, monotone: float, seed: int = 0) -> Ensemble:
    told = WHO.fit(made, {"dynamics": dynamics, "monotone": monotone}, seed)
    assert isinstance(told, Ensemble)
    return told


def test_the_monotone_term_keeps_the_state_from_rising() -> None:
    made = sample()
    free, held = fitted(made, 0.0, 0.0), fitted(made, 0.0, 10.0)
    assert rises(held, made) < 0.5 * rises(free, made)


def test_what_is_kept_is_plain_perceptrons_without_the_law() -> None:
    one, same = fitted(sample(), 1.0, 1.0), fitted(sample(), 1.0, 1.0)
    for member, twin in zip(one.members, same.members, strict=True):
        assert isinstance(member, Perceptron)
        assert isinstance(twin, Perceptron)
        assert [weight.shape for weight, _ in member.layers] == [(17, 32), (32, 32), (32, 1)]
        assert np.array_equal(member.layers[0][0], twin.layers[0][0]), "a seed gives one answer"


def test_at_zero_a_term_says_nothing_and_above_it_does() -> None:
    import jax.numpy as jnp

    from cellwarden.health.aging_network import _begin, _tell

    made = sample()
    weights = tuple(map(jnp.asarray, _begin(np.random.default_rng(0))))
    table = (made.features, made.target, _following(made))
    batch = np.arange(64)
    plain, dynamic, monotone = (
        float(_loss(_tell, weights, tuple(map(jnp.asarray, table)), batch, strengths))
        for strengths in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    )
    told = np.asarray(_tell(np, tuple(map(np.asarray, weights)), made.features))
    assert plain == pytest.approx(np.mean((told - made.target)[batch] ** 2), rel=1e-4)
    later = told[table[2]][batch] - told[batch]
    assert monotone - plain == pytest.approx(np.maximum(later, 0).mean(), rel=1e-3)
    assert dynamic > plain


def test_a_row_is_followed_by_the_next_of_its_own_cell_in_whatever_order_rows_come() -> None:
    made = sample().rows(np.random.default_rng(3).permutation(240))
    follows = _following(made)
    assert np.array_equal(made.cell[follows], made.cell)
    ahead = made.features[follows, CYCLE] - made.features[:, CYCLE]
    last = made.features[:, CYCLE] == 1
    assert (ahead[last] == 0).all()
    assert np.allclose(ahead[~last], 2 / 29)
