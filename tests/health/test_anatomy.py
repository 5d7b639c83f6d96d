"""Closed forms against the definition: the same numbers, whatever the algorithm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.health.algorithms import ALGORITHMS, named
from cellwarden.health.anatomy import Bumps, dissect
from cellwarden.health.explain import contributions
from cellwarden.health.learner import Fitted
from cellwarden.health.task import Sample

# A weighted median of trees is no sum, nor is a network; CatBoost brings its own format, and the
# scale of a time to failure stands outside its trees.
NO_SUM = {"AdaBoost", "CatBoost", "monotone CatBoost", "perceptron", "survival XGBoost"}
NAMES = [
    one.name for one in ALGORITHMS if not one.columns and not one.missing(()) and
    one.name not in NO_SUM
]  # fmt: skip


def sample(rows: int = 60, columns: int = 5) -> Sample:
    draw = np.random.default_rng(3)
    features = draw.normal(size=(rows, columns))
    target = np.sin(features[:, 0]) + features[:, 1] * features[:, 2] + 0.1 * draw.normal(size=rows)
    return Sample(tuple(f"x{k}" for k in range(columns)), features, target, np.arange(rows) // 3)


@pytest.fixture(scope="module")
def fits() -> dict[str, Fitted]:
    made = sample()
    return {name: named(name).fit(made, named(name).settings[0], 0) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_parts_add_up_to_the_fit(fits: dict[str, Fitted], name: str) -> None:
    new = np.random.default_rng(5).normal(size=(20, 5))
    parts = dissect(fits[name], 5)
    assert parts is not None
    told = sum(part.predict(new) for part in parts)
    loose = 1e-5 if name == "XGBoost" else 1e-9  # it adds up in 32 bits
    assert told == pytest.approx(fits[name].predict(new).mean, abs=loose)


@pytest.mark.parametrize("name", NAMES)
def test_a_closed_form_gives_what_all_orders_give(fits: dict[str, Fitted], name: str) -> None:
    parts = dissect(fits[name], 5) or ()
    draw = np.random.default_rng(7)
    loose = 1e-5 if name == "XGBoost" else 1e-9
    for _ in range(5):
        inputs, reference = draw.normal(size=(2, 5))
        _, told = contributions(lambda rows: fits[name].predict(rows).mean, inputs, reference)
        shared = sum(part.share(inputs, reference) for part in parts)
        assert shared == pytest.approx(np.array(told), abs=loose)


@pytest.mark.parametrize("name", sorted(NO_SUM))
def test_what_is_no_sum_of_parts_is_not_taken_for_one(name: str) -> None:
    if reason := named(name).missing(()):
        pytest.skip(reason)
    assert dissect(named(name).fit(sample(), named(name).settings[0], 0), 5) is None


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 23))
def test_contributions_of_a_kernel_add_up_with_any_number_of_columns(seed: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    bumps = Bumps(draw.normal(size=(9, count)), draw.normal(size=9), draw.uniform(0.05, 3, count))
    inputs, reference = draw.normal(size=(2, count)) * draw.uniform(0.1, 5)
    start, end = bumps.predict(np.array([reference, inputs]))
    assert float(np.sum(bumps.share(inputs, reference))) == pytest.approx(end - start, abs=1e-12)


def test_what_is_no_sum_is_not_taken_apart() -> None:
    made = sample()
    assert dissect(named("AdaBoost").fit(made, {"depth": 2}, 0), 5) is None
