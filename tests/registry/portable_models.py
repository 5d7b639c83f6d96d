"""Portable models of every kind of body, fitted to made rows; and rows to tell."""

from dataclasses import replace
from functools import cache

import numpy as np

from cellwarden.health.algorithms import named
from cellwarden.health.conversion import portable
from cellwarden.health.learner import Prepared, fit_prepared
from cellwarden.health.portable import Layer, Net, Nets, Portable, Process
from cellwarden.health.task import Sample
from cellwarden.registry import Label

COLUMNS = ("mean_volt", "spread */ of ??/ charge", "flat", "slope")
LABEL = Label("made", "other", "a made number", "1", column_units=("V", "Ah", "", "V/Ah"))
# Name -> whether the target is a logarithm.
KINDS = {
    "ridge": False,
    "gaussian process": True,
    "stretched process": False,
    "ridge and process": True,
    "SVR": False,
    "bagging": False,
    "random forest": True,
    "extra trees": False,
    "LightGBM": False,
    "XGBoost": False,
    "flat process": True,
    "networks": False,
    "networks of relu": True,
}


def rows(count: int = 300, seed: int = 1) -> np.ndarray:
    draw = np.random.default_rng(seed)
    made = draw.normal(size=(count, 4)) * [2.0, 60.0, 1.0, 2e-3] + [0.0, 5.0, 2.0, 1.0]
    made[draw.random(made.shape) < 0.05] = np.nan
    made[draw.random(made.shape) < 0.02] = np.inf
    made[draw.random(made.shape) < 0.02] = -np.inf
    return made


@cache
def model(name: str) -> Portable:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(60, 4)) * [1.0, 30.0, 0.0, 1e-3] + [0.0, 5.0, 2.0, 1.0]
    target = np.sin(features[:, 0]) + features[:, 1] / 50 + 0.05 * draw.normal(size=60)
    sample = Sample(COLUMNS, features, target, np.repeat(np.arange(15), 4), KINDS[name])
    made_here = "network" in name or name in ("flat process", "stretched process")
    algorithm = named("gaussian process" if made_here else name)
    fitted = fit_prepared(algorithm, sample, ("slope", *COLUMNS[:2]), algorithm.settings[0], seed=0)
    told = portable(fitted, sample, flat="flat" in name)
    told = replace(told, half_width=1.25, coverage=0.8)
    if "network" in name:
        told = replace(told, prepared=with_nets(told.prepared, relu="relu" in name))
    if "stretched" in name and isinstance(told.body, Process):
        stretched = replace(told.body, stretch=np.array([0.5, 2.0, 1.25]))
        told = replace(told, prepared=replace(told.prepared, fitted=stretched))
    return told


def with_nets(prepared: Prepared, *, relu: bool) -> Prepared:
    draw = np.random.default_rng(3)
    members = tuple(
        Net(
            (
                Layer(draw.normal(size=(3, 5)), draw.normal(size=5)),
                Layer(draw.normal(size=(5, 4)), draw.normal(size=4)),
                Layer(draw.normal(size=(4, 1)), draw.normal(size=1)),
            ),
            "relu" if relu else "tanh",
        )
        for _ in range(1 if relu else 3)
    )
    return replace(prepared, fitted=Nets(members, 0.2, 0.5, None if relu else 0.1))
