import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.physics import aging as agings
from cellwarden.physics.aging import Aging, Law, Stress


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


LAW = Law(0.7, 1.3, 0.6, 0.8)


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 50.0)), min_size=1, max_size=10))
def test_the_sums_of_a_law_do_not_care_for_the_order(met: list[tuple[float, float]]) -> None:
    def aged(course: list[tuple[float, float]]) -> np.ndarray:
        sums = np.zeros((4, 1))
        for soc, celsius in course:
            at, warm = np.array([soc]), agings.warmth(LAW, np.array([celsius]))
            time, use = agings.calendar_exposure(LAW, at), agings.cycle_exposure(LAW, at, 0.5)
            sums += np.stack([time[0] * warm[0], time[1] * warm[1], *use])
        return agings.age_of(LAW, sums).capacity_factor

    assert aged(met) == pytest.approx(aged(met[::-1]), rel=1e-9)


def test_the_sums_of_the_source_s_law_are_its_steps() -> None:
    law, at, celsius = Law(), np.array([0.7]), np.array([30.0])
    warm = agings.warmth(law, celsius)
    time, use = agings.calendar_exposure(law, at), agings.cycle_exposure(law, at, 0.6)
    sums = np.stack(
        [200.0 * time[0] * warm[0], 200.0 * time[1] * warm[1], *(90.0 * u for u in use)]
    )
    told = agings.age_of(law, sums)
    right = agings.step(agings.fresh(1), stress(200.0, 0.7, 30.0, 90.0, 0.6), 1.0)
    for name in Aging.__slots__:
        assert getattr(told, name) == pytest.approx(getattr(right, name), rel=1e-9), name


def test_another_power_keeps_the_loss_after_a_year_and_after_a_hundred_cycles() -> None:
    at, celsius = np.array([0.5]), np.array([25.0])
    told = []
    for law in (Law(), Law(calendar_power=1.0, cycle_power=1.0)):
        time = 365.0 * agings.calendar_exposure(law, at)[0] * agings.warmth(law, celsius)[0]
        use = 100.0 * agings.cycle_exposure(law, at, 0.8)[0]
        told.append(agings.age_of(law, np.stack([time, 0.0 * time, use, 0.0 * use])))
    assert told[0].calendar_loss_fraction == pytest.approx(told[1].calendar_loss_fraction)
    assert told[0].cycle_loss_fraction == pytest.approx(told[1].cycle_loss_fraction)


@given(st.floats(0.5, 1.0), st.floats(0.3, 1.0), st.floats(0.3, 1.0))
def test_sums_of_an_age_give_that_age_again(soh: float, calendar: float, cycle: float) -> None:
    law = Law(1.0, 1.0, calendar, cycle)
    aging = agings.fresh(3, soh)
    again = agings.age_of(law, agings.exposure_of(law, aging))
    assert again.capacity_factor == pytest.approx(aging.capacity_factor, rel=1e-9)
    assert again.resistance_factor == pytest.approx(aging.resistance_factor, rel=1e-9)
