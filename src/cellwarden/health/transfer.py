"""What other laboratories' cells teach about a kind of which few cells are known.

Every method is called with the same: a `Source` that has been learnt from once, a `Sample` of the
target's cells measured so far (of none to ten cells) and rows of target cells without labels; it
gives something that predicts. `METHODS` lists them, `SCRATCH` is what they are measured against.

Rules
- A method sees labels of source cells and of the target cells in its sample, nothing of a cell
  that is tested, not even a feature. Choices inside a method are made by leaving out whole cells
  or whole laboratories of what it was given.
- All have the same columns, and learners from the same `LEARNERS`.
- At most `SOURCE_ROWS` rows of all sources and `TARGET_ROWS` of the target are learnt from, evenly
  over laboratories, cells and time: further rows of a cell say little more.

Sources: B. Sun, J. Feng, K. Saenko, "Return of frustratingly easy domain adaptation", AAAI 2016
(CORAL); M. Sugiyama et al., Density Ratio Estimation in Machine Learning (Cambridge, 2012), chapter
4 (weights by a classifier). The hierarchical process is in `lab_process`.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.health.algorithms import named
from cellwarden.health.lab_process import Known, Law, fit_lab_process, fit_law
from cellwarden.health.learner import Fitted, Prepared, Told, fit_prepared
from cellwarden.health.task import Sample
from cellwarden.health.tuning import Candidate, tune

__all__ = ["LEARNERS", "METHODS", "SCRATCH", "Method", "Source", "from_scratch", "learn", "thin"]

SOURCE_ROWS: Final = 360
TARGET_ROWS: Final = 240
_BLOCKS: Final = 4  # of one cell's rows in order, where no whole cell can be left out
_ONE_CELL: Final = 1
_STRONG: Final = tuple({"penalty": p, "emphasis": 0.0} for p in (30.0, 300.0, 3000.0, 30000.0))

LEARNERS: Final = (
    replace(
        named("ridge"),
        settings=tuple({"penalty": p, "emphasis": 0.0} for p in (1.0, 10.0, 100.0, 1000.0)),
    ),
    replace(named("gaussian process"), settings=({"emphasis": 0.0},)),
    replace(named("extra trees"), settings=({"leaf": 2},)),
)
_RESIDUAL: Final = replace(named("ridge"), settings=_STRONG)

_Table = Float64[np.ndarray, "item column"]


@dataclass(frozen=True, slots=True)
class Source:
    """Laboratories that were learnt from once, for any number of targets.

    `pooled` holds the rows of all, `lab` says whose each is; `early` are their rows without label.
    `chosen` did best on laboratories left out, or cells where there is one laboratory.
    """

    pooled: Sample
    lab: Int64[np.ndarray, " row"]
    early: _Table
    choices: Mapping[str, tuple[str, ...]]
    chosen: Candidate
    model: Prepared
    laws: Mapping[str, Law]
    net: Any
    seed: int


@dataclass(frozen=True, slots=True)
class Method:
    """A way to use the source; `least_cells` of the target have to be known."""

    name: str
    when: str
    fit: Callable[[Source, Sample, _Table], Fitted]
    least_cells: int = 0


def learn(
    samples: Sequence[Sample],
    early: Sequence[_Table],
    choices: Mapping[str, tuple[str, ...]],
    seed: int = 0,
) -> Source:
    """What the methods need of the source laboratories, whatever the target. [-]"""
    share = SOURCE_ROWS // len(samples)
    thinned = [thin(one, share) for one in samples]
    lab = np.concatenate([np.full(len(one.target), k) for k, one in enumerate(thinned)])
    cells = np.cumsum([0, *(int(one.cell.max()) + 1 for one in thinned)])
    pooled = replace(
        thinned[0],
        features=np.concatenate([one.features for one in thinned]),
        target=np.concatenate([one.target for one in thinned]),
        cell=np.concatenate([one.cell + cells[k] for k, one in enumerate(thinned)]),
    )
    grouped = replace(pooled, cell=lab) if len(samples) > 1 else pooled
    tuned = tune(LEARNERS, grouped, choices, seed)
    inputs = _scales(pooled, pooled.columns)
    own = inputs.inputs(pooled.features)
    laws = {
        kind: fit_law(Known(own, _unit(pooled.target), lab, pooled.cell), bumps=kind == "process")
        for kind in ("line", "process")
    }
    return Source(
        pooled=pooled,
        lab=lab,
        early=np.concatenate(list(early)),
        choices=choices,
        chosen=tuned.chosen,
        model=tuned.whole,
        laws=laws,
        net=_net(own, _unit(pooled.target), seed),
        seed=seed,
    )


def from_scratch(target: Sample, choices: Mapping[str, tuple[str, ...]], seed: int = 0) -> Prepared:
    """The best of `LEARNERS` on the target's cells alone: what transfer has to beat.

    Whole cells are left out to choose it; of a single cell, stretches of its rows in order.
    """
    if len(np.unique(target.cell)) == _ONE_CELL:
        block = np.arange(len(target.cell)) * _BLOCKS // len(target.cell)
        target = replace(target, cell=block)
    return tune(LEARNERS, thin(target, TARGET_ROWS), choices, seed).whole


def thin(sample: Sample, most: int) -> Sample:
    """At most about `most` rows, the same number of each cell, evenly over its rows."""
    names = np.unique(sample.cell)
    if len(names) > most // 2:
        names = names[np.linspace(0, len(names) - 1, most // 2).round().astype(np.int64)]
    share = most // max(len(names), 1)
    kept = []
    for one in names:
        own = np.flatnonzero(sample.cell == one)
        at = np.linspace(0, len(own) - 1, min(share, len(own))).round().astype(np.int64)
        kept.append(own[at])
    return sample.rows(np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class _Sum:
    """A source model with a correction learnt on the target; `moved` aligns the source's inputs."""

    first: Fitted
    more: Fitted | None = None
    moved: Callable[[_Table], _Table] | None = None

    def predict(self, features: _Table) -> Told:
        seen = features if self.moved is None else self.moved(features)
        told = self.first.predict(seen).mean
        return Told(told if self.more is None else told + self.more.predict(features).mean)


@dataclass(frozen=True, slots=True)
class _Scaled:
    """Something that tells the target in units of the source's spread."""

    inputs: Prepared
    told: Callable[[_Table], _Table]
    centre: float
    spread: float

    def predict(self, features: _Table) -> Told:
        return Told(self.centre + self.spread * self.told(self.inputs.inputs(features)))


def _zero_shot(source: Source, _: Sample, __: _Table) -> Fitted:
    return source.model


def _pooled(source: Source, target: Sample, _: _Table) -> Fitted:
    return _refit(source, _joined(source.pooled, thin(target, TARGET_ROWS)))


def _shifted(source: Source, target: Sample, _: _Table) -> Fitted:
    """The source model and its mean error on the target's cells, as if one cell more had none."""
    if not len(target.target):
        return source.model
    away = target.target - source.model.predict(target.features).mean
    cells = [away[target.cell == one].mean() for one in np.unique(target.cell)]
    shift = float(np.sum(cells)) / (len(cells) + 1)
    return _Sum(source.model, _Constant(shift))


def _corrected(source: Source, target: Sample, _: _Table) -> Fitted:
    return _Sum(source.model, _residual(source, target, _Sum(source.model)))


def _reweighted(source: Source, target: Sample, early: _Table) -> Fitted:
    """Source rows drawn again by how much they look like the target's, and the target's own."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  when it is used

    inputs = _scales(source.pooled, source.chosen.columns)
    target = thin(target, TARGET_ROWS)
    like = np.concatenate([target.features, early])
    ours, theirs = inputs.inputs(source.pooled.features), inputs.inputs(like)
    label = np.repeat([0, 1], [len(ours), len(theirs)])
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
    odds = np.exp(model.fit(np.concatenate([ours, theirs]), label).decision_function(ours))
    odds = np.minimum(odds, np.quantile(odds, 0.95)) + 1e-9
    rng = np.random.default_rng(source.seed)
    drawn = rng.choice(len(odds), len(odds), p=odds / odds.sum())
    return _refit(source, _joined(source.pooled.rows(drawn), target))


def _aligned(source: Source, target: Sample, early: _Table) -> Fitted:
    """The target's inputs moved so that its first rows have the source's mean and covariance."""
    inputs = _scales(source.pooled, source.pooled.columns)
    ours, theirs = (_standard(inputs, rows) for rows in (source.early, early))
    cover = [np.cov(rows, rowvar=False) + np.eye(rows.shape[1]) for rows in (ours, theirs)]
    turn = _power(cover[1], -0.5) @ _power(cover[0], 0.5)

    def moved(features: _Table) -> _Table:
        unit = (_standard(inputs, features) - theirs.mean(axis=0)) @ turn + ours.mean(axis=0)
        return np.asarray(unit * inputs.spread + inputs.centre)

    return _Sum(source.model, _residual(source, target, _Sum(source.model, None, moved)), moved)


def _hierarchical(kind: str) -> Callable[[Source, Sample, _Table], Fitted]:
    def fit(source: Source, target: Sample, _: _Table) -> Fitted:
        both = _joined(source.pooled, thin(target, TARGET_ROWS))
        inputs = _scales(both, both.columns)
        here = int(source.lab.max()) + 1
        lab = np.concatenate([source.lab, np.full(len(both.cell) - len(source.lab), here)])
        spread = float(source.pooled.target.std()) or 1.0
        centre = float(source.pooled.target.mean())
        known = Known(inputs.inputs(both.features), (both.target - centre) / spread, lab, both.cell)
        process = fit_lab_process(source.laws[kind], known, here)
        return _Scaled(inputs, lambda rows: process(rows)[0], centre, spread)

    return fit


def _no_source(_: Source, target: Sample, __: _Table) -> Fitted:
    """The hierarchical process of the target's cells alone: what the source adds, and no more."""
    target = thin(target, TARGET_ROWS)
    inputs = _scales(target, target.columns)
    spread = float(target.target.std()) or 1.0
    centre = float(target.target.mean())
    here = np.zeros(len(target.cell), dtype=np.int64)
    known = Known(
        inputs.inputs(target.features), (target.target - centre) / spread, here, target.cell
    )
    process = fit_lab_process(fit_law(known), known, 0)
    return _Scaled(inputs, lambda rows: process(rows)[0], centre, spread)


def _tuned_net(source: Source, target: Sample, _: _Table) -> Fitted:
    """The source's net, taught further on the target at a small rate."""
    inputs = _scales(source.pooled, source.pooled.columns)
    centre, spread = float(source.pooled.target.mean()), float(source.pooled.target.std()) or 1.0
    net = copy.deepcopy(source.net)
    if len(target.target):
        target = thin(target, TARGET_ROWS)
        rows, unit = inputs.inputs(target.features), (target.target - centre) / spread
        net.set_params(batch_size=min(_BATCH, len(unit)))
        for _epoch in range(_EPOCHS):
            net.partial_fit(rows, unit)
    return _Scaled(inputs, net.predict, centre, spread)


_EPOCHS: Final = 30
_BATCH: Final = 32


def _net(inputs: _Table, unit: Float64[np.ndarray, " row"], seed: int) -> Any:
    from sklearn.neural_network import MLPRegressor  # noqa: PLC0415  when it is used

    net = MLPRegressor(
        hidden_layer_sizes=(16,),
        activation="tanh",
        alpha=0.1,
        learning_rate_init=3e-3,
        batch_size=min(_BATCH, len(unit)),
        random_state=seed,
    )
    for _epoch in range(150):
        net.partial_fit(inputs, unit)
    net.set_params(learning_rate_init=1e-3)
    return net


@dataclass(frozen=True, slots=True)
class _Constant:
    value: float

    def predict(self, features: _Table) -> Told:
        return Told(np.full(len(features), self.value))


def _residual(source: Source, target: Sample, model: Fitted) -> Fitted | None:
    """A strongly held line through what a model gets wrong on the target's cells."""
    if not len(target.target):
        return None
    target = thin(target, TARGET_ROWS)
    away = replace(target, target=target.target - model.predict(target.features).mean)
    if len(np.unique(away.cell)) == _ONE_CELL:
        return fit_prepared(_RESIDUAL, away, source.chosen.columns, _STRONG[-1], source.seed)
    return tune((_RESIDUAL,), away, source.choices, source.seed).whole


def _refit(source: Source, sample: Sample) -> Fitted:
    chosen = source.chosen
    return fit_prepared(chosen.algorithm, sample, chosen.columns, chosen.setting, source.seed)


def _joined(one: Sample, other: Sample) -> Sample:
    """Rows of both, the other's cells with numbers of their own."""
    return replace(
        one,
        features=np.concatenate([one.features, other.features]),
        target=np.concatenate([one.target, other.target]),
        cell=np.concatenate([one.cell, other.cell + int(one.cell.max()) + 1]),
    )


def _scales(sample: Sample, columns: tuple[str, ...]) -> Prepared:
    """The preparation of inputs alone."""
    return fit_prepared(named("mean"), sample, columns, {}, 0)


def _standard(inputs: Prepared, features: _Table) -> _Table:
    """Filled and of unit spread, but not held to a range. [1]"""
    known = np.where(np.isfinite(features), features, inputs.fill)
    return np.asarray((known - inputs.centre) / inputs.spread)


def _power(matrix: _Table, power: float) -> _Table:
    value, axes = np.linalg.eigh(matrix)
    return np.asarray((axes * value**power) @ axes.T)


def _unit(target: Float64[np.ndarray, " row"]) -> Float64[np.ndarray, " row"]:
    return np.asarray((target - target.mean()) / (float(target.std()) or 1.0))


SCRATCH: Final = "from scratch"
METHODS: Final[tuple[Method, ...]] = (
    Method("source only", "no target cell is known", _zero_shot),
    Method("pooled", "sources and target are much alike", _pooled),
    Method("source and shift", "one cell is known and its level differs", _shifted),
    Method("source and line", "the source's model is good but tilted", _corrected),
    Method("reweighted", "some sources look like the target, others do not", _reweighted),
    Method("aligned", "sensors or sizes differ, the law does not", _aligned),
    Method(
        "hierarchical line", "features that add up, several laboratories", _hierarchical("line")
    ),
    Method("hierarchical process", "one or more cells are known", _hierarchical("process")),
    Method("process, no source", "to see what the sources add", _no_source, least_cells=1),
    Method("net, tuned further", "as source and line, where laws bend", _tuned_net),
)
