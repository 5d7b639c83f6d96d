import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.health.algorithms import ALGORITHMS, named
from cellwarden.health.curve_network import CurveNetwork, fit_convolution
from cellwarden.health.learner import fit_prepared
from cellwarden.health.network import Ensemble
from cellwarden.health.task import CURVE, Sample
from cellwarden.health.tuning import tune

POINTS = tuple(f"p{k}" for k in range(21))
COLUMNS = ("age", *POINTS)
NETWORKS = ("convolution network", "recurrent network")


def sample(seed: int = 0, count: int = 60) -> Sample:
    """Curves with a step whose place is the target, and a column that says nothing."""
    draw = np.random.default_rng(seed)
    target = draw.uniform(0.2, 0.8, count)
    curves = np.tanh((np.linspace(0, 1, 21) - target[:, None]) / 0.1)
    curves += 0.02 * draw.normal(size=curves.shape)
    return Sample(COLUMNS, np.column_stack([draw.normal(size=count), curves]), target,
                  np.arange(count) // 2)  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_a_place_on_a_curve_is_learnt_and_told_by_numpy_as_by_jax(name: str) -> None:
    jnp = pytest.importorskip("jax.numpy", reason="the extra deep is not installed")
    made, new = sample(), sample(seed=1)
    fitted = fit_prepared(named(name), made, POINTS, {"decay": 0.01}, seed=0)
    told = fitted.predict(new.features)
    assert np.sqrt(np.mean((told.mean - new.target) ** 2)) < 0.2 * new.target.std()
    assert told.std is not None
    assert (told.std > 0).all()
    assert isinstance(fitted.fitted, Ensemble)
    rows = fitted.inputs(new.features)
    for member in fitted.fitted.members:
        assert isinstance(member, CurveNetwork)
        there = member.tell(jnp, tuple(map(jnp.asarray, member.weights)), jnp.asarray(rows))
        assert np.allclose(member(rows), np.asarray(there), atol=1e-5)


def test_what_reads_a_curve_takes_its_points_alone_and_nothing_else_takes_them() -> None:
    made, choices = sample(), {"age": ("age",), CURVE: POINTS}
    assert tune([named("PLSR, curve")], made, choices, 0).chosen.columns == POINTS
    assert {one.columns for one in tune([named("PLSR")], made, choices, 0).tried} == {("age",)}
    only = tune([named("PLSR")], made, {CURVE: POINTS}, 0)
    assert only.chosen.columns == COLUMNS, "without another choice there are all columns"
    with pytest.raises(UsageError, match="no algorithm"):
        tune([named("PLSR, curve")], made, {}, 0)
    readers = [one for one in ALGORITHMS if one.reads_curve]
    assert all(one.missing(COLUMNS) for one in readers)
    assert named("PCR, curve").missing(COLUMNS, choices) == ""


def test_points_of_a_curve_keep_their_sizes_against_one_another() -> None:
    made = sample()
    seen = fit_prepared(named("ridge, curve"), made, POINTS, {"penalty": 1.0}, 0)
    assert len(set(seen.spread.tolist())) == 1
    apart = fit_prepared(named("ridge"), made, POINTS, {"penalty": 1.0}, 0)
    assert len(set(apart.spread.tolist())) == 21


def test_a_curve_too_short_for_two_layers_is_a_wrong_call() -> None:
    made = sample().only(POINTS[:12])
    with pytest.raises(UsageError, match="too few"):
        fit_convolution(made, {"decay": 0.01}, 0)
