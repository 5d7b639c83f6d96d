"""A perceptron with two terms of what is known of aging, each of which can be set to zero.

Rules
- `monotone`: from a row to the next of the same cell the state of health does not rise.
- `dynamics`: how it changes with the cycle, all else kept, is a law of the features, the state and
  how it changes with the features. A second small network is the law.
- Pairs of rows are of training cells; a row is told by itself, without its cell's past or future.
- With a term at zero the first weights, the batches, the steps and the stop are the same.

Source: F. Wang, Z. Zhai, Z. Zhao, Y. Di, X. Chen, Nat. Commun. 15, 4332 (2024), doi
10.1038/s41467-024-48779-z. Theirs gives the law the change itself as an input, by which it can
hold without saying anything; here it does not get it.
"""

from typing import Any, Final

import numpy as np
from jaxtyping import Int64

from cellwarden.health.descent import Tell, Weights, descend
from cellwarden.health.learner import Fitted, Setting
from cellwarden.health.network import Ensemble, as_perceptron, begin_layers, tell_layers
from cellwarden.health.task import Sample

__all__ = ["AGING_COLUMNS", "fit_aging_network"]

# What `tasks.soh` has of a charge, and last the cycle.
AGING_COLUMNS: Final = (
    "voltage_mean", "voltage_std", "voltage_kurtosis", "voltage_skewness", "cc_q",
    "cc_charge_time", "voltage_slope", "voltage_entropy", "current_mean", "current_std",
    "current_kurtosis", "current_skewness", "cv_q", "cv_charge_time", "current_slope",
    "current_entropy", "cycle_count",
)  # fmt: skip
_COUNT: Final = len(AGING_COLUMNS)
_WIDTHS: Final = (_COUNT, 32, 32, 1)
_LAW_WIDTHS: Final = (2 * _COUNT, 16, 1)
_STATE_ARRAYS: Final = 2 * (len(_WIDTHS) - 1)
_DECAY: Final = 0.1


def fit_aging_network(sample: Sample, setting: Setting, seed: int) -> Fitted:
    """Five perceptrons held by the terms, as strongly as the setting says."""
    found = descend(
        _tell,
        _begin,
        sample.features,
        sample.target,
        sample.cell,
        decay=_DECAY,
        seed=seed,
        loss=_loss,
        beside=(_following(sample),),
        strengths=(setting["dynamics"], setting["monotone"]),
    )
    members = tuple(as_perceptron(one[:_STATE_ARRAYS], _COUNT) for one in found.weights)
    return Ensemble(members, found.centre, found.scale, found.error)


def _begin(draw: np.random.Generator) -> Weights:
    return (*begin_layers(draw, _WIDTHS), *begin_layers(draw, _LAW_WIDTHS))


def _tell(array: Any, weights: Weights, rows: Any) -> Any:
    return tell_layers(array, weights[:_STATE_ARRAYS], rows)


def _loss(tell: Tell, weights: Any, table: Any, batch: Any, strengths: Any) -> Any:
    import jax  # noqa: PLC0415  when it is used
    import jax.numpy as jnp  # noqa: PLC0415  likewise

    rows, target, following = table
    here = rows[batch]
    state, back = jax.vjp(lambda x: tell(jnp, weights, x), here)
    # A row's state depends on that row alone, so one pass back gives each row its own slopes.
    (slopes,) = back(jnp.ones_like(state))
    with_cycle, with_features = slopes[:, -1], slopes[:, :-1]
    known = jnp.concatenate([here, state[:, None], with_features], axis=1)
    law = tell_layers(jnp, weights[_STATE_ARRAYS:], known)
    risen = jnp.maximum(tell(jnp, weights, rows[following[batch]]) - state, 0.0)
    error = jnp.mean((state - target[batch]) ** 2)
    dynamics, monotone = jnp.mean((with_cycle - law) ** 2), jnp.mean(risen)
    return error + strengths[0] * dynamics + strengths[1] * monotone


def _following(sample: Sample) -> Int64[np.ndarray, " row"]:
    """Number of the row that follows each in its cell; of a cell's last its own. [1]"""
    cycle = sample.features[:, sample.columns.index("cycle_count")]
    order = np.lexsort((cycle, sample.cell))
    follows = order.copy()
    same = sample.cell[order[1:]] == sample.cell[order[:-1]]
    follows[:-1][same] = order[1:][same]
    told = np.empty(len(order), dtype=np.int64)
    told[order] = follows
    return told
