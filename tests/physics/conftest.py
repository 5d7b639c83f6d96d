"""Small fleets in which every built-in duty is in use."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cellwarden.physics import course as c
from cellwarden.physics import fleet
from cellwarden.physics.climate import CLIMATES, Climate
from cellwarden.physics.duty import DUTIES
from cellwarden.physics.fleet_config import FleetConfig, Group


def _fleet(
    count: int = 2,
    *,
    duties: tuple[str, ...] = tuple(DUTIES),
    climate: Climate = CLIMATES["temperate"],
    **changes: Any,
) -> FleetConfig:
    groups = tuple(Group(name, count, DUTIES[name], climate) for name in duties)
    return replace(FleetConfig(groups, seed=3), **changes)


@pytest.fixture(scope="session")
def fleet_of() -> Callable[..., FleetConfig]:
    return _fleet


def _walked(
    walk: Callable[..., None], config: FleetConfig, *, begin: int = 0, second: int, seed: int = 0
) -> tuple[np.ndarray, ...]:
    """Cells, turns, their counts and sums after one walk from the fleet's start."""
    generator = np.random.default_rng(seed)
    state, count = fleet.start(config), config.pack_count
    sums = np.zeros((c.SUM_ROWS, count))
    arrays = state.cell.copy(), state.turn.copy(), state.turn_count.copy(), sums
    walk(
        *arrays,
        packs=fleet.packs_of(config),
        policy=fleet.free_policy(config),
        course=fleet.constants(config),
        use=generator.uniform(0.3, 2.0, (second // 86_400 + 2, count)),
        begin_second=begin,
        stop_second=begin + second,
        period_second=config.period_second,
    )
    return arrays


@pytest.fixture(scope="session")
def walked() -> Callable[..., tuple[np.ndarray, ...]]:
    return _walked
