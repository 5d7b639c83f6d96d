from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from cellwarden.health.algorithms import named
from cellwarden.health.learner import fit_prepared
from cellwarden.health.network import Ensemble, Perceptron, tell_layers
from cellwarden.health.task import Fold, Sample, Task
from cellwarden.health.tuning import tune

jnp = pytest.importorskip("jax.numpy", reason="the extra deep is not installed")
WHO = named("perceptron")
SETTING: Mapping[str, float] = {"decay": 0.01}


def sample(seed: int = 0, cells: int = 12, rows: int = 20) -> Sample:
    draw = np.random.default_rng(seed)
    cell = np.repeat(np.arange(cells), rows)
    features = draw.normal(size=(cells * rows, 3))
    target = np.sin(2 * features[:, 0]) + 0.5 * features[:, 1] ** 2
    return Sample(("a", "b", "c"), features, target, cell)


def ensemble(made: Sample, seed: int = 0) -> Ensemble:
    fitted = WHO.fit(made, SETTING, seed)
    assert isinstance(fitted, Ensemble)
    return fitted


def test_a_bent_law_is_learnt_that_no_line_can_tell() -> None:
    made, new = sample(), sample(seed=1)
    told = fit_prepared(WHO, made, made.columns, SETTING, 0).predict(new.features)
    line = fit_prepared(named("ridge"), made, made.columns, {}, 0).predict(new.features)
    errors = [np.sqrt(np.mean((one.mean - new.target) ** 2)) for one in (told, line)]
    assert errors[0] < 0.2 * errors[1]
    assert told.std is not None
    assert (told.std > 0).all()


def test_a_seed_gives_one_answer_and_another_seed_another() -> None:
    made = sample()
    one, same, other = (ensemble(made, seed).predict(made.features).mean for seed in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_numpy_tells_what_jax_tells() -> None:
    made = sample()
    for member in ensemble(made).members:
        assert isinstance(member, Perceptron)
        flat = tuple(jnp.asarray(array) for layer in member.layers for array in layer)
        there = np.asarray(tell_layers(jnp, flat, jnp.asarray(made.features)))
        assert np.allclose(member(made.features), there, atol=1e-5)


def test_layers_follow_the_columns_and_nothing_of_the_padding_stays() -> None:
    for member in ensemble(sample()).members:
        assert isinstance(member, Perceptron)
        assert [weight.shape for weight, _ in member.layers] == [(3, 32), (32, 32), (32, 1)]
        assert member.activation == "tanh"
        assert all(array.dtype == np.float64 for layer in member.layers for array in layer)


def test_nothing_of_a_cell_under_test_moves_the_choice_or_the_fit() -> None:
    made = sample(cells=8)
    names = tuple(f"cell {k}" for k in range(8))
    task = Task(
        "made", "1", "value", "left out", made.columns, made.features, made.target, made.cell,
        names, (Fold("last two", tuple(range(6)), (6, 7)),),
    )  # fmt: skip
    tested = np.isin(task.cell, (6, 7))
    spoilt = replace(
        task,
        target=np.where(tested, 1e3, task.target),
        features=np.where(tested[:, None], -9.0, task.features),
    )
    told = [
        tune([replace(WHO, settings=(SETTING,))], one.training(one.folds[0]), {}, seed=0)
        for one in (task, spoilt)
    ]
    assert np.array_equal(*(one.predict(made.features).mean for one in told))


def test_a_single_cell_is_learnt_too() -> None:
    made = sample(cells=1)
    assert np.isfinite(ensemble(made).predict(made.features).mean).all()
