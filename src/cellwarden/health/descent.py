"""Five networks fitted at once by gradient descent, each stopped by training cells it left out.

Rules
- JAX and Optax (the extra `deep`) are imported when something is fitted. They use a GPU where JAX
  finds one; on a CPU a seed gives one answer.
- What is random, the first weights and the batches, is drawn by NumPy from the seed.
- A network's weights are those of the round in which whole cells it did not learn from were told
  best. They are cells of the sample, which is of training cells alone: no cell under test is here.
- Rows are padded to few lengths, so that what is compiled once serves every fold and setting.

Source: I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", arXiv 1711.05101
(AdamW).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["MEMBERS", "Descended", "Loss", "Tell", "Weights", "descend", "squares"]

MEMBERS: Final = 5
_BATCH: Final = 64
_ROUND: Final = 25  # steps between two looks at the cells left out
ROUNDS: Final = 64
_PATIENCE: Final = 10  # rounds without a better one
_RATE: Final = 1e-2
_SMALL, _LARGE = 64, 640

Weights = tuple[np.ndarray, ...]
# Of numpy or jax.numpy, weights and rows: a number a row.
Tell = Callable[[Any, Any, Any], Any]
# Of tell, weights, all rows with their targets and what else each has, a batch and the strengths
# of terms: a number to be made small.
Loss = Callable[[Tell, Any, Any, Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Descended:
    """Weights of each network for a target of unit spread.

    `error` is the root mean squared error on left-out cells, in that unit.
    """

    weights: tuple[Weights, ...]
    centre: float
    scale: float
    error: float


def squares(tell: Tell, weights: Any, table: Any, batch: Any, _: Any) -> Any:
    """Mean squared error of a batch. [1]"""
    import jax.numpy as jnp  # noqa: PLC0415  when it is used

    rows, target = table
    return jnp.mean((tell(jnp, weights, rows[batch]) - target[batch]) ** 2)


def descend(
    tell: Tell,
    begin: Callable[[np.random.Generator], Weights],
    features: Float64[np.ndarray, "row column"],
    target: Float64[np.ndarray, " row"],
    cell: Int64[np.ndarray, " row"],
    *,
    decay: float,
    seed: int,
    loss: Loss = squares,
    beside: tuple[np.ndarray, ...] = (),
    strengths: tuple[float, ...] = (),
    rounds: int = ROUNDS,
) -> Descended:
    """Networks fitted to rows in at most so many rounds.

    `beside` goes to the loss row by row, `strengths` as they are.
    """
    draw = np.random.default_rng(seed)
    centre, scale = float(target.mean()), float(target.std()) or 1.0
    left = _left_out(cell, draw)
    first = [begin(draw) for _ in range(MEMBERS)]
    batches = np.stack([_batches(~out, rounds, draw) for out in left], axis=1)
    # A single cell leaves none out: then the rows themselves say when to stop.
    weigh = np.stack([_by_cell(cell, out if out.any() else ~out) for out in left])
    room = -len(target) % (_SMALL if len(target) <= _SMALL else _LARGE)

    def pad(values: np.ndarray) -> np.ndarray:
        return np.pad(values, [(0, room), *[(0, 0)] * (values.ndim - 1)])

    rows = (features.astype(np.float32), ((target - centre) / scale).astype(np.float32), *beside)
    weights, errors = _compiled(tell, loss)(
        tuple(np.stack(each).astype(np.float32) for each in zip(*first, strict=True)),
        tuple(pad(each) for each in rows),
        np.pad(weigh, ((0, 0), (0, room))).astype(np.float32),
        batches,
        (np.float32(decay), np.array(strengths, dtype=np.float32)),
    )
    plain = [np.asarray(each, dtype=np.float64) for each in weights]
    return Descended(
        tuple(tuple(each[one] for each in plain) for one in range(MEMBERS)),
        centre,
        scale,
        float(np.sqrt(np.mean(errors))),
    )


def _left_out(cell: Int64[np.ndarray, " row"], draw: np.random.Generator) -> np.ndarray:
    """Rows that each network does not learn from: whole cells, dealt out among the networks."""
    names, place = np.unique(cell, return_inverse=True)
    if len(names) == 1:
        return np.zeros((MEMBERS, len(cell)), dtype=bool)
    groups = min(MEMBERS, len(names))
    group = draw.permutation(len(names)) % groups
    return np.asarray(group[place][None, :] == (np.arange(MEMBERS) % groups)[:, None])


def _batches(own: np.ndarray, rounds: int, draw: np.random.Generator) -> np.ndarray:
    """Numbers of the rows of each step's batch."""
    numbers = np.flatnonzero(own)
    drawn = draw.integers(0, len(numbers), (rounds * _ROUND, _BATCH))
    return numbers[drawn].astype(np.int32)


def _by_cell(cell: Int64[np.ndarray, " row"], chosen: np.ndarray) -> Float64[np.ndarray, " row"]:
    """Weights of the chosen rows: their cells weigh alike, all together one. [1]"""
    names, place, count = np.unique(cell[chosen], return_inverse=True, return_counts=True)
    weight = np.zeros(len(cell))
    weight[chosen] = 1 / (len(names) * count[place])
    return weight


@lru_cache(maxsize=8)
def _compiled(tell: Tell, loss: Loss) -> Callable[..., Any]:
    """The descent of all networks as one compiled program; JAX keeps one for each shape."""
    import jax  # noqa: PLC0415  when it is used
    import jax.numpy as jnp  # noqa: PLC0415  likewise
    import optax  # noqa: PLC0415  likewise

    def run(first: Any, rows: Any, weigh: Any, batches: Any, knobs: Any) -> Any:
        features, target, *_ = rows
        rounds = len(batches) // _ROUND
        decay, strengths = knobs
        rate = optax.cosine_decay_schedule(_RATE, rounds * _ROUND)
        optimiser = optax.adamw(rate, weight_decay=decay)

        def error(weights: Any, batch: Any) -> Any:
            return loss(tell, weights, rows, batch, strengths)

        def step(weights: Any, state: Any, batch: Any) -> Any:
            moved, state = optimiser.update(jax.grad(error)(weights, batch), state, weights)
            return optax.apply_updates(weights, moved), state

        def look(weights: Any, weight: Any) -> Any:
            return jnp.sum(weight * (tell(jnp, weights, features) - target) ** 2)

        def go(carry: Any, batch: Any) -> Any:
            return jax.vmap(step)(carry[0], carry[1], batch), None

        def keep(better: Any, new: Any, old: Any) -> Any:
            return jnp.where(better.reshape((-1,) + (1,) * (new.ndim - 1)), new, old)

        def turn(carry: Any) -> Any:
            number, weights, state, best, least, idle = carry
            own = jax.lax.dynamic_slice_in_dim(batches, number * _ROUND, _ROUND)
            (weights, state), _ = jax.lax.scan(go, (weights, state), own)
            now = jax.vmap(look)(weights, weigh)
            better = now < least
            best = jax.tree.map(lambda new, old: keep(better, new, old), weights, best)
            idle = jnp.where(better, 0, idle + 1)
            return number + 1, weights, state, best, jnp.where(better, now, least), idle

        def going(carry: Any) -> Any:
            return (carry[0] < rounds) & (jnp.min(carry[5]) < _PATIENCE)

        least = jnp.full(MEMBERS, jnp.inf, dtype=jnp.float32)
        idle = jnp.zeros(MEMBERS, dtype=jnp.int32)
        start = (jnp.int32(0), first, jax.vmap(optimiser.init)(first), first, least, idle)
        found = jax.lax.while_loop(going, turn, start)
        return found[3], found[4]

    return jax.jit(run)
