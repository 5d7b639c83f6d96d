from collections.abc import Callable

import numpy as np
import pytest

from cellwarden.physics import course as c
from cellwarden.physics import fleet
from cellwarden.physics.circuit import CircuitState
from cellwarden.physics.circuit import step as circuit_step
from cellwarden.physics.course import rough_load
from cellwarden.physics.fleet_config import FleetConfig


def test_a_rough_load_swings_around_its_mean_and_adds_nothing_to_it() -> None:
    swings = rough_load(5)
    assert np.allclose(swings.reshape(-1, 30).mean(axis=1), 0.0, atol=1e-12)
    assert swings.std() == pytest.approx(1.0)
    assert not np.array_equal(swings, rough_load(6))


def test_the_heat_of_unseen_swings_is_that_of_seen_ones(
    fleet_of: Callable[..., FleetConfig],
) -> None:
    config = fleet_of()
    circuit = config.own_circuit()
    number = fleet.constants(config).number
    swings = np.random.default_rng(0).standard_normal((500, 40))
    state, joule = CircuitState(np.full(40, 0.5), np.zeros(40), np.zeros(40)), 0.0
    for ampere in swings:
        for _ in range(10):
            before = state
            state, _ = circuit_step(
                circuit,
                state,
                ampere,
                np.ones(40),
                capacity_ah=np.full(40, 1e9),
                period_second=1.0,
            )
            over = 0.5 * (before.fast_volt + before.slow_volt + state.fast_volt + state.slow_volt)
            joule += float(np.sum(ampere * (over + circuit.ohmic_ohm * ampere)))
    assert number.rough_ohm == pytest.approx(joule / 200_000.0, rel=0.02)


def test_a_place_in_a_duty_is_a_piece_and_how_far_into_it(
    fleet_of: Callable[..., FleetConfig],
) -> None:
    config = fleet_of()
    course, packs = fleet.constants(config), fleet.packs_of(config)
    for now in (0, 1, 3599, 3600, 86_399, 86_400, 9 * 86_400 + 77):
        piece, into = c.place(packs, course, np.full(config.pack_count, now, dtype=np.int64))
        assert np.all((into >= 0) & (into < course.piece_second[piece]))
        whole = course.stop_second[course.first[packs.duty + 1] - 1]
        begin = course.stop_second[piece] - course.piece_second[piece]
        assert np.array_equal((now + packs.phase_second) % whole, begin + into)
