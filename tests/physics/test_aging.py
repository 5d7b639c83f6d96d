import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.physics import aging as agings
from cellwarden.physics.aging import Stress


def stress(
    days: float = 0.0,
    soc: float = 0.5,
    celsius: float = 25.0,
    cycles: float = 0.0,
    depth: float = 0.0,
) -> Stress:
    one = np.ones(1)
    return Stress(days, soc * one, celsius * one, cycles * one, depth * one)


def lost(*stretches: Stress, speed: float = 1.0) -> float:
    aging = agings.fresh(1)
    for stretch in stretches:
        aging = agings.step(aging, stretch, speed)
    return float(1.0 - aging.capacity_factor[0])


def test_calendar_loss_is_the_published_law() -> None:
    days, volt, kelvin = 365.0, 3.735, 313.15
    rate = (7.543 * volt - 23.75) * 1e6 * np.exp(-6976.0 / kelvin)
    assert lost(stress(days, 0.5, 40.0)) == pytest.approx(rate * days**0.75, rel=1e-9)


def test_cycle_loss_is_the_published_law() -> None:
    volt, throughput = 3.735, 2.0 * 2.05 * 100.0
    rate = 7.348e-3 * (volt - 3.667) ** 2 + 7.6e-4 + 4.081e-3 * 0.8
    assert lost(stress(cycles=100.0, depth=0.8)) == pytest.approx(
        rate * np.sqrt(throughput), rel=1e-9
    )


@given(st.lists(st.floats(0.01, 30.0), min_size=1, max_size=20))
def test_days_in_pieces_age_as_the_same_days_at_once(days: list[float]) -> None:
    pieces = lost(*(stress(day, cycles=day, depth=0.5) for day in days))
    total = sum(days)
    assert pieces == pytest.approx(lost(stress(total, cycles=total, depth=0.5)), rel=1e-6)


def test_heat_charge_and_depth_each_cost_capacity() -> None:
    assert lost(stress(100.0, celsius=45.0)) > 2.0 * lost(stress(100.0, celsius=25.0))
    assert lost(stress(100.0, soc=0.95)) > lost(stress(100.0, soc=0.2))
    assert lost(stress(cycles=100.0, depth=1.0)) > lost(stress(cycles=100.0, depth=0.1))


def test_a_tougher_chemistry_loses_less() -> None:
    day = stress(100.0, cycles=300.0, depth=1.0)
    by_speed = sorted(agings.SPEED.values())
    losses = [lost(day, speed=speed) for speed in by_speed]
    assert losses == sorted(losses)


def test_nothing_that_happens_makes_a_cell_younger() -> None:
    aging = agings.fresh(1, 0.8)
    for soc in (0.0, 0.1, 0.9, 0.0):
        after = agings.step(aging, stress(1.0, soc=soc, cycles=1.0, depth=0.1), 1.0)
        assert after.capacity_factor[0] <= aging.capacity_factor[0]
        assert after.resistance_factor[0] >= aging.resistance_factor[0]
        aging = after
