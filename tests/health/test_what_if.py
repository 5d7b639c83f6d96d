import numpy as np
import pytest

from cellwarden import datasets
from cellwarden.domain import NotServed
from cellwarden.errors import UsageError
from cellwarden.health.algorithms import named
from cellwarden.health.task import Fold, Sample
from cellwarden.health.tuning import Tuned, tune
from cellwarden.health.usage_life import tbsi_life, tju_conditions
from cellwarden.health.what_if import WhatIf, what_if

USE = ("temperature_celsius", "charge_rate_per_hour")


def cells(*, extra: bool = False, one_rate: bool = False) -> Sample:
    """Lives that halve for each 20 °C, of three temperatures at two rates, but no hot fast ones."""
    draw = np.random.default_rng(0)
    use = np.array([(t, r) for t in (25.0, 35.0, 45.0) for r in (0.5, 1.0) if t < 45 or r < 1])
    use = np.repeat(use, 6, axis=0)
    if one_rate:
        use[:, 1] = 0.5
    life = (
        3 - 0.015 * (use[:, 0] - 25) - 0.2 * (use[:, 1] - 0.5) + 0.02 * draw.normal(size=len(use))
    )
    fade = life + 0.01 * draw.normal(size=len(use))
    features = np.column_stack([use, fade]) if extra else use
    columns = (*USE, "fade") if extra else USE
    return Sample(columns, features, life, np.arange(len(use)), logarithmic=True)


def fitted(sample: Sample) -> Tuned:
    return tune([named("ridge")], sample, {}, 0)


def test_a_cooler_use_is_told_with_its_interval() -> None:
    sample = cells()
    told = what_if(
        fitted(sample), sample, sample.features[-1], {"temperature_celsius": 30.0}, use=USE,
        assigned=True,
    )  # fmt: skip
    assert isinstance(told, WhatIf)
    assert told.after == pytest.approx(10 ** (3 - 0.015 * 5), rel=0.1)
    assert told.before < told.interval.low < told.after < told.interval.high
    assert told.claim == "effect"
    assert "temperature_celsius 30" in str(told)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"temperature_celsius": 60.0}, "no training cells were used around"),
        # each of the two was seen, but never together
        ({"temperature_celsius": 45.0, "charge_rate_per_hour": 1.0}, "no training cells were used"),
    ],
)
def test_a_use_that_no_training_cell_had_is_refused(changes: dict, reason: str) -> None:
    sample = cells()
    told = what_if(fitted(sample), sample, sample.features[0], changes, use=USE)
    assert isinstance(told, NotServed)
    assert reason in told.reason


def test_one_rate_alone_tells_no_effect_of_the_rate() -> None:
    sample = cells(one_rate=True)
    tuned = fitted(sample)
    told = what_if(tuned, sample, sample.features[0], {"charge_rate_per_hour": 1.0}, use=USE)
    assert isinstance(told, NotServed)
    assert "effect is unknown" in told.reason
    same = {"temperature_celsius": 35.0, "charge_rate_per_hour": 0.5}
    kept = what_if(tuned, sample, sample.features[0], same, use=USE)
    assert isinstance(kept, WhatIf)
    assert kept.claim == "association"


def test_a_model_that_sees_what_the_change_would_move_is_refused() -> None:
    sample = cells(extra=True)
    tuned, at = fitted(sample), sample.features[0]
    told = what_if(tuned, sample, at, {"temperature_celsius": 35.0}, use=USE)
    assert isinstance(told, NotServed)
    assert "also looks at fade" in told.reason
    with pytest.raises(UsageError, match="fade cannot be changed"):
        what_if(tuned, sample, at, {"fade": 3.0}, use=USE)


def test_a_cells_name_tells_its_use() -> None:
    assert tju_conditions("CY25-025_1-#3") == (25.0, 0.25, 1.0)
    assert tju_conditions("CY45-05_1-#28") == (45.0, 0.5, 1.0)
    assert tju_conditions("CY25-05_4-#1") == (25.0, 0.5, 4.0)


@pytest.mark.skipif(
    not (datasets.data_folder() / "tbsi_nmc").is_dir(),
    reason="tbsi_nmc is not there: set CELLWARDEN_DATA",
)
def test_measured_cells_live_longer_when_cooler_and_a_left_out_temperature_is_told() -> None:
    task = tbsi_life()
    hot, out = task.features[:, 0] == 55, task.features[:, 0] == 35
    sample = task.training(Fold("without 35 °C", tuple(np.flatnonzero(~out).tolist()), ()))
    tuned = tune([named("gaussian process")], sample, {}, 0)
    at = task.features[np.flatnonzero(hot)[0]]
    use = ("temperature_celsius",)
    told = what_if(tuned, sample, at, {"temperature_celsius": 35.0}, use=use, assigned=True)
    assert isinstance(told, WhatIf)
    assert told.after > 1.3 * told.before
    assert told.interval.low < np.median(task.target[out]) < told.interval.high
