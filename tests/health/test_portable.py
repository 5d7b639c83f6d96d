from dataclasses import replace

import numpy as np
import pytest

from cellwarden.errors import DataError, UsageError
from cellwarden.health.algorithms import ALGORITHMS, named
from cellwarden.health.conversion import portable
from cellwarden.health.learner import Algorithm, Fitted, Setting, Told, fit_prepared
from cellwarden.health.portable import Layer, Line, Net, Nets, Pair, Portable, Process, Trees
from cellwarden.health.task import Sample
from cellwarden.health.tuning import Tuned, tune

COLUMNS = ("one", "two", "flat", "four")
TREES = ("bagging", "random forest", "extra trees", "LightGBM", "XGBoost",
         "monotone LightGBM")  # fmt: skip
REFUSED = ("AdaBoost", "CatBoost", "monotone CatBoost", "survival XGBoost", "cycle index only",
           "variance line")  # fmt: skip
SMOOTH = [a.name for a in ALGORITHMS if a.name not in (*TREES, *REFUSED)]


def sample(cells: int = 14, rows: int = 6, seed: int = 0, *, logarithmic: bool = False) -> Sample:
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(cells * rows, 4)) * [1.0, 30.0, 0.0, 1e-3] + [0.0, 5.0, 2.0, 1.0]
    features[draw.random(features.shape) < 0.05] = np.nan
    cell = np.repeat(np.arange(cells), rows)
    known = np.nan_to_num(features)
    target = np.sin(known[:, 0]) + known[:, 1] / 50 + 0.05 * draw.normal(size=len(cell))
    return Sample(COLUMNS, features, target, cell, logarithmic)


def fresh(count: int = 400) -> np.ndarray:
    draw = np.random.default_rng(9)
    rows = draw.normal(size=(count, 4)) * [3.0, 90.0, 1.0, 3e-3] + [0.0, 5.0, 2.0, 1.0]
    rows[draw.random(rows.shape) < 0.05] = np.nan
    rows[draw.random(rows.shape) < 0.02] = np.inf
    return rows


def both(name: str, made: Sample, setting: int = 0) -> tuple[Fitted, Portable]:
    algorithm = named(name)
    if reason := algorithm.missing(made.columns):
        pytest.skip(reason)
    fitted = fit_prepared(
        algorithm, made, ("four", "one", "two"), algorithm.settings[setting], seed=3
    )
    return fitted, portable(fitted, made)


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("setting", [0, -1])
def test_trees_tell_the_same_to_the_last_bit(name: str, setting: int) -> None:
    made = sample()
    fitted, plain = both(name, made, setting)
    assert isinstance(plain.body, Trees)
    for rows in (fresh(), made.features, fresh(1)):
        assert plain.predict(rows).mean.tolist() == fitted.predict(rows).mean.tolist()


@pytest.mark.parametrize("name", TREES)
def test_a_row_at_a_threshold_takes_the_side_that_the_library_takes(name: str) -> None:
    fitted, plain = both(name, sample(), -1)
    body = plain.body
    assert isinstance(body, Trees)
    inner = np.flatnonzero(~body.leaf)[:200]
    inputs = np.zeros((len(inner), 3))
    at = body.threshold[inner]
    for edge in (at, np.nextafter(at, np.inf), np.nextafter(at.astype(np.float32), np.float32(9))):
        inputs[np.arange(len(inner)), body.feature[inner]] = edge
        told = fitted.fitted.predict(inputs).mean  # type: ignore[attr-defined]
        assert body.predict(inputs).mean.tolist() == told.tolist()


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("logarithmic", [False, True])
def test_what_is_smooth_tells_the_same_to_rounding(name: str, *, logarithmic: bool) -> None:
    made = sample(logarithmic=logarithmic)
    fitted, plain = both(name, made, -1)
    before, after = fitted.predict(fresh()), plain.predict(fresh())
    assert np.abs(before.mean - after.mean).max() < 1e-9
    assert (before.std is None) == (after.std is None)
    if before.std is not None and after.std is not None:
        assert np.abs(before.std - after.std).max() < 1e-9


@pytest.mark.parametrize("name", ["AdaBoost", "CatBoost", "monotone CatBoost", "survival XGBoost"])
def test_what_has_no_plain_form_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        both(name, sample())


def perceptron(activation: str) -> Algorithm:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    from cellwarden.health.algorithms import Estimator

    def fit(made: Sample, _: Setting, seed: int) -> Fitted:
        inner = MLPRegressor(
            hidden_layer_sizes=(8, 5), activation=activation, max_iter=40, random_state=seed
        )
        whole = TransformedTargetRegressor(inner, transformer=StandardScaler())
        return Estimator(whole.fit(made.features, made.target))

    return Algorithm("net", "a test", fit)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_net_tells_the_same_to_rounding(activation: str) -> None:
    made = sample()
    fitted = fit_prepared(perceptron(activation), made, COLUMNS, {}, seed=0)
    plain = portable(fitted, made)
    assert isinstance(plain.body, Nets)
    assert np.abs(plain.predict(fresh()).mean - fitted.predict(fresh()).mean).max() < 1e-9


class Two:
    """A fitted algorithm that knows its plain form, as one of another module does."""

    def body(self) -> Nets:
        draw = np.random.default_rng(4)
        nets = [
            Net(
                (Layer(draw.normal(size=(3, 2)), np.ones(2)), Layer(np.ones((2, 1)), np.ones(1))),
                "tanh",
            )
            for _ in range(2)
        ]
        return Nets(tuple(nets), 5.0, 2.0, error=0.5)

    def predict(self, features: np.ndarray) -> Told:
        return self.body().predict(features)


def test_networks_that_differ_tell_a_spread_of_at_least_their_error() -> None:
    made = sample()
    fitted = fit_prepared(Algorithm("two", "a test", lambda *_: Two()), made, COLUMNS[:3], {}, 0)
    plain = portable(fitted, made)
    std = plain.predict(fresh()).std
    assert std is not None
    assert std.min() >= 2.0 * 0.5
    assert std.max() > 1.2
    assert portable(fitted, made, flat=True).predict(fresh()).std is None


def tuned(name: str, made: Sample) -> Tuned:
    return tune([named(name)], made, {}, seed=0)


def test_the_interval_holds_the_stated_share_of_cells_left_out() -> None:
    made, new = sample(cells=40), sample(cells=200, seed=5)
    for name in ("extra trees", "gaussian process"):
        plain = portable(tuned(name, made), made, coverage=0.8)
        found = plain.interval(new.features)
        assert found is not None
        inside = (found[0] <= new.target) & (new.target <= found[1])
        assert 0.75 < inside.mean() < 0.93


def test_a_flat_interval_is_as_wide_everywhere_and_needs_no_members() -> None:
    made = sample(cells=20)
    for name in ("gaussian process", "ridge and process"):
        whole = tuned(name, made)
        rich, flat = (
            portable(whole, made, coverage=0.8),
            portable(whole, made, flat=True, coverage=0.8),
        )
        assert flat.predict(fresh()).std is None
        assert np.array_equal(flat.predict(fresh()).mean, rich.predict(fresh()).mean)
        for plain, same in ((rich, False), (flat, True)):
            low, high = plain.interval(fresh()) or ()
            assert (np.ptp(high - low) < 1e-9) == same
        process = flat.body.process if isinstance(flat.body, Pair) else flat.body
        assert isinstance(process, Process)
        assert process.spread is None


def test_too_few_cells_for_a_coverage_give_no_interval() -> None:
    made = sample(cells=6)
    plain = portable(tuned("ridge", made), made, coverage=0.9)
    assert plain.half_width is plain.coverage is plain.interval(fresh()) is None
    assert len(plain.tell(fresh())) == 1


def test_a_logarithmic_target_is_told_in_its_unit() -> None:
    made = sample(cells=20, logarithmic=True)
    plain = portable(tuned("ridge", made), made, coverage=0.8)
    mean, low, high = plain.tell(fresh())
    assert np.allclose(np.log10(mean), plain.predict(fresh()).mean)
    assert (low < mean).all()
    assert (mean < high).all()


def test_only_the_columns_that_it_looks_at_need_be_given() -> None:
    plain = both("ridge", sample())[1]
    few = plain.trimmed()
    assert few.columns == ("four", "one", "two")
    assert np.array_equal(few.predict(fresh()[:, [3, 0, 1]]).mean, plain.predict(fresh()).mean)


def test_another_sample_than_the_one_tuned_on_is_refused() -> None:
    whole = tuned("gaussian process", sample(cells=12))
    with pytest.raises(UsageError, match="sample"):
        portable(whole, sample(cells=13), flat=True)


def test_arrays_of_a_portable_model_cannot_be_changed() -> None:
    made = sample()
    plain = both("ridge", made)[1]
    assert isinstance(plain.body, Line)
    with pytest.raises(ValueError, match="read-only"):
        plain.body.weights[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        plain.prepared.fill[0] = 1.0


def stump(**other: object) -> Trees:
    one = np.arange(3)
    given: dict[str, object] = {
        "column_count": 1, "roots": np.array([0]), "feature": np.zeros(3, dtype=np.int64),
        "threshold": np.array([0.5, 0.0, 0.0]), "left": np.array([1, 1, 2]),
        "right": np.array([2, 1, 2]), "value": one.astype(np.float64),
    }  # fmt: skip
    return Trees(**{**given, **other})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"left": np.array([1, 0, 2])},  # a loop
        {"left": np.array([1, 1, 3])},  # beyond the end
        {"right": np.array([0, 1, 2])},  # half a leaf
        {"left": np.array([2, 1, 2])},  # one child twice, the other never
        {"feature": np.array([1, 0, 0])},
        {"feature": np.array([-1, 0, 0])},
        {"roots": np.array([1])},
        {"roots": np.array([0, 2])},  # a child in another tree
        {"roots": np.array([], dtype=np.int64)},
        {"threshold": np.array([np.nan, 0, 0])},
        {"value": np.zeros(2)},
        {"divisor": 0.0},
        {"offset": 1},
        {"column_count": True},
        {"single_sum": 1},
    ],
)
def test_trees_that_do_not_hold_together_are_refused(wrong: dict[str, object]) -> None:
    assert stump().predict(np.array([[0.5], [0.6]])).mean.tolist() == [1.0, 2.0]
    with pytest.raises(DataError):
        stump(**wrong)


def test_parts_that_do_not_fit_are_refused() -> None:
    plain = both("ridge", sample())[1]
    one, two = np.ones(1), np.ones(2)
    layer = Layer(np.ones((2, 1)), one)
    attempts = [
        lambda: replace(plain, columns=("a", "a", "b")),
        lambda: replace(plain, half_width=1.0),
        lambda: replace(plain, prepared=replace(plain.prepared, least=9.0, most=1.0)),
        lambda: replace(plain, prepared=replace(plain.prepared, spread=np.zeros(3))),
        lambda: replace(plain, prepared=replace(plain.prepared, taken=np.array([0, 1, 4]))),
        lambda: replace(plain, prepared=replace(plain.prepared, fitted=Line(two, 0.0))),
        lambda: replace(plain, prepared=replace(plain.prepared, fitted=None)),
        lambda: Line(two, float("nan")),
        lambda: Layer(np.ones((1, 2)), one),
        lambda: Net((), "relu"),
        lambda: Net((layer,), "gelu"),
        lambda: Net((layer, layer), "relu"),
        lambda: Nets((), 0.0, 1.0),
        lambda: Process(np.ones((1, 2)), two, two, two, np.ones((1, 1)), 0.0, 1.0),
        lambda: Process(np.ones((1, 2)), two, two, -one, np.ones((1, 1)), 0.0, 1.0),
    ]
    for attempt in attempts:
        with pytest.raises(DataError):
            attempt()
