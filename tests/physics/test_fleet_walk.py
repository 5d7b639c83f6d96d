from collections.abc import Callable

import numpy as np
import pytest

from cellwarden.features import rainflow
from cellwarden.physics import aging, fleet, fleet_kernel, fleet_walk
from cellwarden.physics import course as c
from cellwarden.physics.fleet_config import FleetConfig

Walk = Callable[..., None]
Arrays = tuple[np.ndarray, ...]
BOTH = pytest.mark.parametrize("walk", [fleet_walk.walk, fleet_kernel.walk], ids=["numpy", "numba"])


@BOTH
def test_charge_is_conserved_by_a_fleet(
    walk: Walk, fleet_of: Callable[..., FleetConfig], walked: Callable[..., Arrays]
) -> None:
    config = fleet_of(2, period_second=600)
    begun = fleet.start(config).cell[c.SOC]
    cell, _, _, sums = walked(walk, config, second=80_000)
    through = sums[c.CHARGED_AH] - sums[c.DISCHARGED_AH]
    moved = (cell[c.SOC] - begun) * fleet.packs_of(config).capacity_ah
    assert through == pytest.approx(moved, abs=1e-9)


@BOTH
def test_energy_lost_is_heat_and_never_gained(
    walk: Walk, fleet_of: Callable[..., FleetConfig], walked: Callable[..., Arrays]
) -> None:
    config = fleet_of(2, duties=("delivery", "home"), period_second=300)
    sums = walked(walk, config, second=86_400 if walk is fleet_walk.walk else 10 * 86_400)[3]
    assert np.all(sums[c.DISCHARGED_WH] < sums[c.CHARGED_WH] * 1.3)
    assert np.all(sums[c.DISCHARGED_WH] > 0.0)
    long = walked(fleet_kernel.walk, config, second=30 * 86_400)[3]
    assert np.all(long[c.DISCHARGED_WH] < long[c.CHARGED_WH])


@BOTH
def test_cycles_of_a_walk_are_those_that_rainflow_counts(
    walk: Walk, fleet_of: Callable[..., FleetConfig]
) -> None:
    config = fleet_of(1, duties=("delivery",), period_second=10)
    soc = [float(fleet.start(config).cell[c.SOC, 0])]
    state, count = fleet.start(config), 0
    arrays = state.cell.copy(), state.turn.copy(), state.turn_count.copy()
    while count < 1500:
        walk(
            *arrays,
            np.zeros((c.SUM_ROWS, 1)),
            packs=fleet.packs_of(config),
            policy=fleet.free_policy(config),
            course=fleet.constants(config),
            use=np.ones((2, 1)),
            begin_second=30_000 + 10 * count,
            stop_second=30_010 + 10 * count,
            period_second=10,
        )
        count += 1
        soc.append(float(arrays[0][c.SOC, 0]))
    cycles = rainflow(np.array(soc))
    law = config.own_law()
    lost, gained = aging.cycle_exposure(law, cycles.mean, cycles.span)
    weight = cycles.count * cycles.span
    closed = arrays[0][[c.CYCLE, c.CYCLE_RISE], 0]
    turns = arrays[1][: arrays[2][0], 0]
    depth, middle = np.abs(np.diff(turns)), 0.5 * (turns[1:] + turns[:-1])
    still_lost, still_gained = aging.cycle_exposure(law, middle, depth)
    told = closed + 0.5 * np.array([(depth * still_lost).sum(), (depth * still_gained).sum()])
    assert len(cycles) > 100
    assert told == pytest.approx([(lost * weight).sum(), (gained * weight).sum()], rel=2e-3)


@BOTH
def test_more_open_turns_than_are_kept_still_count(
    walk: Walk, fleet_of: Callable[..., FleetConfig]
) -> None:
    config = fleet_of(1, duties=("home",), period_second=3600)
    state = fleet.start(config)
    spiral = 0.5 + 0.45 * 0.9 ** np.arange(c.TURN_COUNT) * -((-1.0) ** np.arange(c.TURN_COUNT))
    turn, soc = state.turn.copy(), state.cell.copy()
    turn[:, 0], soc[c.SOC, 0] = spiral, spiral[-1]
    count = np.full(1, c.TURN_COUNT, dtype=np.int64)
    walk(
        soc,
        turn,
        count,
        np.zeros((c.SUM_ROWS, 1)),
        packs=fleet.packs_of(config),
        policy=fleet.free_policy(config),
        course=fleet.constants(config),
        use=np.full((3, 1), 0.01),
        begin_second=0,
        stop_second=7200,
        period_second=3600,
    )
    assert soc[c.CYCLE, 0] > 0.0
    assert count[0] <= c.TURN_COUNT
