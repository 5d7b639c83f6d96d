from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.physics import aging as agings
from cellwarden.physics import course as c
from cellwarden.physics import fleet
from cellwarden.physics.aging import Law, Stress
from cellwarden.physics.climate import CLIMATES, YEAR_HOUR, Climate
from cellwarden.physics.duty import DUTIES
from cellwarden.physics.fleet import FleetState, FleetTruth, Observations
from cellwarden.physics.fleet_config import FleetConfig

DAY = 86_400
FleetOf = Callable[..., FleetConfig]


def run(config: FleetConfig, days: int) -> tuple[FleetTruth, Observations]:
    state, seen = fleet.step(config, fleet.start(config), days * DAY)
    return fleet.truth(config, state), seen


def loss(told: FleetTruth) -> np.ndarray:
    return told.calendar_loss_fraction + told.cycle_loss_fraction


def same_bits(left: FleetState, right: FleetState) -> bool:
    used = np.arange(c.TURN_COUNT)[:, None] < left.turn_count
    return (
        left.second == right.second
        and np.array_equal(left.cell, right.cell)
        and np.array_equal(left.turn_count, right.turn_count)
        and np.array_equal(left.turn[used], right.turn[used])
    )


@pytest.mark.parametrize("period", [300, 3600])
def test_whole_days_in_pieces_are_the_whole_to_the_bit(fleet_of: FleetOf, period: int) -> None:
    config = fleet_of(3, period_second=period)
    whole, _ = fleet.step(config, fleet.start(config), 70 * DAY)
    state, charged = fleet.start(config), np.zeros(config.pack_count)
    for days in (1, 3, 61, 5):
        state, seen = fleet.step(config, state, days * DAY)
        charged += seen.charging_capacity_ah
    assert same_bits(whole, state)
    again, seen = fleet.step(config, fleet.start(config), 70 * DAY)
    assert same_bits(whole, again)
    assert charged == pytest.approx(seen.charging_capacity_ah)


def test_a_step_leaves_the_state_it_was_given_alone(fleet_of: FleetOf) -> None:
    config = fleet_of()
    state = fleet.start(config)
    before = state.cell.copy(), state.turn.copy(), state.turn_count.copy()
    fleet.step(config, state, DAY)
    for array, kept in zip((state.cell, state.turn, state.turn_count), before, strict=True):
        assert np.array_equal(array, kept)


def test_time_cut_within_a_piece_comes_to_the_same(fleet_of: FleetOf) -> None:
    config = fleet_of(period_second=60)
    whole, _ = fleet.step(config, fleet.start(config), 2 * DAY)
    state = fleet.start(config)
    for second in (7, 12_345, 99_999, 2 * DAY - 112_351):
        state, _ = fleet.step(config, state, second)
    assert np.allclose(whole.cell, state.cell, rtol=2e-3, atol=1e-6)


@pytest.fixture(scope="module")
def second_by_second(fleet_of: FleetOf) -> tuple[FleetConfig, FleetTruth]:
    config = fleet_of(2, period_second=1)
    return config, run(config, 14)[0]


# What docs/twin.md says of each step length, with a margin: the worst pack's loss and the mean.
@pytest.mark.parametrize(
    ("period", "worst", "mean"), [(10, 5e-4, 1e-4), (60, 6e-3, 2e-3), (3600, 8e-3, 3e-3)]
)
def test_ageing_does_not_depend_on_the_time_step(
    second_by_second: tuple[FleetConfig, FleetTruth], period: int, worst: float, mean: float
) -> None:
    config, reference = second_by_second
    told, _ = run(replace(config, period_second=period), 14)
    off = loss(told) / loss(reference) - 1.0
    assert np.abs(off).max() < worst
    assert abs(off.mean()) < mean
    assert told.calendar_loss_fraction == pytest.approx(reference.calendar_loss_fraction, rel=5e-3)
    smooth = np.r_[4:10]  # home, peak, standby
    assert np.abs(off[smooth]).max() < 2e-3


def test_an_hour_a_step_ages_a_year_as_a_minute_a_step_does(fleet_of: FleetOf) -> None:
    told, seen = run(fleet_of(3), 365)
    fine, right = run(fleet_of(3, period_second=60), 365)
    assert loss(told) == pytest.approx(loss(fine), rel=0.01)
    assert told.resistance_ohm == pytest.approx(fine.resistance_ohm, rel=0.01)
    assert seen.discharging_energy_wh == pytest.approx(right.discharging_energy_wh, rel=0.01)
    assert seen.mean_surface_temperature_celsius == pytest.approx(
        right.mean_surface_temperature_celsius, abs=0.05
    )


def still(celsius: float) -> Climate:
    return Climate("still", np.full(YEAR_HOUR, celsius))


def test_a_pack_at_rest_ages_by_the_published_law(fleet_of: FleetOf) -> None:
    config = fleet_of(1, duties=("standby",), climate=still(35.0), place_spread_celsius=0.0)
    told, seen = run(config, 730)
    one = np.ones(1)
    law = agings.step(
        agings.fresh(1), Stress(730.0, 0.95 * one, 35.0 * one, 0.0 * one, 0.0 * one), 1.0
    )
    assert told.calendar_loss_fraction == pytest.approx(law.calendar_loss_fraction, rel=1e-4)
    assert told.cycle_loss_fraction == pytest.approx(0.0)
    assert told.resistance_ohm / fleet.start(config).cell[c.RESISTANCE_FACTOR] == pytest.approx(
        fleet.constants(config).number.ohmic_ohm
        * fleet.packs_of(config).resistance_factor
        * law.resistance_factor,
        rel=1e-4,
    )
    assert seen.discharging_capacity_ah == pytest.approx(0.0)


def test_equal_cycles_cost_what_the_published_law_says(fleet_of: FleetOf) -> None:
    config = fleet_of(
        1,
        duties=("home",),
        daily_spread_fraction=0.0,
        habit_spread_fraction=0.0,
        law=Law(calendar_speed=0.0, cycle_speed=0.1),
    )
    told, seen = run(config, 100)
    cycles = seen.discharging_capacity_ah / fleet.packs_of(config).capacity_ah
    middle, depth = np.full(1, 0.55), np.full(1, 0.8)
    law = agings.step(agings.fresh(1), Stress(0.0, middle, np.full(1, 20.0), cycles, depth), 0.1)
    assert cycles == pytest.approx(80.0, rel=0.03)
    assert told.cycle_loss_fraction == pytest.approx(law.cycle_loss_fraction, rel=0.02)


def test_heat_and_seasons_age_packs(fleet_of: FleetOf) -> None:
    hot, _ = run(fleet_of(20, climate=CLIMATES["hot"]), 365)
    cold, _ = run(fleet_of(20, climate=CLIMATES["cold"]), 365)
    assert np.all(hot.calendar_loss_fraction > 1.5 * cold.calendar_loss_fraction)
    config = fleet_of(20, climate=CLIMATES["cold"], duties=("standby",), law=Law(1.0, 1.0, 1.0))
    state, january = fleet.step(config, fleet.start(config), 30 * DAY)
    winter = fleet.truth(config, state).calendar_loss_fraction
    state, _ = fleet.step(config, state, 150 * DAY)
    june = fleet.truth(config, state).calendar_loss_fraction
    state, july = fleet.step(config, state, 30 * DAY)
    summer = fleet.truth(config, state).calendar_loss_fraction - june
    assert july.ambient_temperature_celsius.mean() > january.ambient_temperature_celsius.mean()
    assert np.all(summer > 2.0 * winter)


def test_a_gentler_policy_costs_comfort_and_saves_life(fleet_of: FleetOf) -> None:
    config = fleet_of(10, duties=("delivery",))
    free = fleet.free_policy(config)
    gentle = free._replace(high_soc_fraction=0.8 + 0.0 * free.high_soc_fraction)
    narrow = gentle._replace(low_soc_fraction=0.3 + 0.0 * free.low_soc_fraction)
    told = {}
    for name, policy in (("free", free), ("narrow", narrow)):
        state, seen = fleet.step(config, fleet.start(config), 200 * DAY, policy)
        told[name] = loss(fleet.truth(config, state)), seen.unserved_capacity_ah
        assert np.all(state.cell[c.SOC] <= 1.0)
    assert np.all(told["narrow"][0] < told["free"][0])
    assert np.all(told["narrow"][1] > told["free"][1])
    slow = free._replace(charge_rate_per_hour=0.02 + 0.0 * free.charge_rate_per_hour)
    _, seen = fleet.step(config, fleet.start(config), 20 * DAY, slow)
    assert np.all(seen.charging_capacity_ah <= 20 * 24 * 0.02 * config.nominal_capacity_ah + 1e-9)
    cooled = free._replace(air_factor=10.0 * free.air_factor)
    _, cool = fleet.step(config, fleet.start(config), 20 * DAY, cooled)
    _, warm = fleet.step(config, fleet.start(config), 20 * DAY)
    assert np.all(
        cool.highest_surface_temperature_celsius < warm.highest_surface_temperature_celsius
    )


def test_voltage_and_charge_stay_within_their_limits(fleet_of: FleetOf) -> None:
    config = fleet_of(
        5, period_second=60, daily_spread_fraction=0.8, soh_fraction=0.6, voltage_noise_volt=0.0,
        climate=CLIMATES["cold"],
    )  # fmt: skip
    state = fleet.start(config)
    for _ in range(400):
        state, seen = fleet.step(config, state, 1860)
        assert np.all((state.cell[c.SOC] >= 0.0) & (state.cell[c.SOC] <= 1.0))
        loaded = np.abs(seen.current_ampere) > 0.05
        assert np.all(seen.voltage_volt[loaded] < 4.2 + 1e-6)
        assert np.all(seen.voltage_volt[loaded] > 2.8 - 1e-6)


def test_ten_thousand_packs_go_through_a_day_together(fleet_of: FleetOf) -> None:
    config = fleet_of(2000)
    state, seen = fleet.step(config, fleet.start(config), DAY)
    told = fleet.truth(config, state)
    for values in (seen, told):
        for field in fields(values)[2 if values is seen else 1 :]:
            row = getattr(values, field.name)
            assert row.shape == (10_000,), field.name
            assert np.all(np.isfinite(row)), field.name


def test_a_pack_does_the_same_whatever_the_step_and_other_seeds_differ(fleet_of: FleetOf) -> None:
    config = fleet_of(3)
    told, seen = run(config, 3)
    _, other = run(replace(config, seed=4), 3)
    assert not np.allclose(seen.discharging_capacity_ah, other.discharging_capacity_ah)
    assert len({round(x, 9) for x in told.capacity_ah}) == config.pack_count


def test_readings_carry_noise_and_sums_do_not(fleet_of: FleetOf) -> None:
    config = fleet_of(200, duties=("standby",))
    quiet = replace(
        config, voltage_noise_volt=0.0, current_noise_fraction=0.0, temperature_noise_celsius=0.0
    )
    _, seen = run(config, 2)
    _, true = run(quiet, 2)
    off = seen.voltage_volt - true.voltage_volt
    assert off.std() == pytest.approx(config.voltage_noise_volt, rel=0.2)
    assert np.array_equal(seen.mean_soc_fraction, true.mean_soc_fraction)


def test_used_packs_begin_used(fleet_of: FleetOf) -> None:
    config = fleet_of(2, soh_fraction=0.8, capacity_spread_fraction=0.0)
    told = fleet.truth(config, fleet.start(config))
    assert told.soh_fraction == pytest.approx(0.8)
    assert np.all(told.resistance_ohm > fleet.constants(config).number.ohmic_ohm)


def test_a_duty_that_the_package_did_not_make_is_followed(fleet_of: FleetOf) -> None:
    config = fleet_of(1, duties=("peak",), daily_spread_fraction=0.0, habit_spread_fraction=0.0)
    state = fleet.start(config)
    assert state.cell[c.SOC] == pytest.approx(DUTIES["peak"].soc_fraction[-1])
    state, _ = fleet.step(config, state, 12 * 3600)
    assert state.cell[c.SOC] == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("second", [0, -1])
def test_time_that_does_not_go_forward_is_refused(fleet_of: FleetOf, second: int) -> None:
    config = fleet_of(1)
    with pytest.raises(UsageError):
        fleet.step(config, fleet.start(config), second)


def test_a_policy_for_other_packs_or_without_cooling_is_refused(fleet_of: FleetOf) -> None:
    config, other = fleet_of(1), fleet_of(2)
    with pytest.raises(UsageError):
        fleet.step(config, fleet.start(config), DAY, fleet.free_policy(other))
    sealed = fleet.free_policy(config)._replace(air_factor=np.zeros(config.pack_count))
    with pytest.raises(UsageError):
        fleet.step(config, fleet.start(config), DAY, sealed)
