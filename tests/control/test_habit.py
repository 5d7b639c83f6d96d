import numpy as np
import pytest

from cellwarden.control.habit import FIRST_DAYS, KEPT_DAYS, Day, Habit, note, read_day
from cellwarden.domain import Frames

CAPACITY = 50.0


def frames(*, hours: float = 24.0, air: float | None = 10.0) -> Frames:
    """Six hours of driving at 0.1/h, six standing, five of charging at 0.12/h, the rest idle."""
    time = np.arange(0.0, hours * 3600.0, 60.0)
    hour = time / 3600.0
    rate = np.where(hour < 6.0, -0.1, np.where((hour >= 12.0) & (hour < 17.0), 0.12, 0.0))
    soc = 0.9 + np.cumsum(rate) * 60.0 / 3600.0
    count = len(time)
    single = np.float32
    return Frames(
        1e9 + time,
        np.full(count, 360.0, dtype=single),
        (rate * CAPACITY).astype(single),
        np.full((count, 4), 3.6, dtype=single),
        (15.0 + 40.0 * rate[:, None] ** 2 * np.ones((1, 2))).astype(single),
        None if air is None else np.full(count, air, dtype=single),
        soc_fraction=soc.astype(single),
    )


def test_a_day_tells_what_was_asked_of_the_pack() -> None:
    day = read_day(frames(), CAPACITY, 0.05)
    assert day is not None
    assert day.need_fraction == pytest.approx(0.6, abs=0.01)
    assert day.low_soc_fraction == pytest.approx(0.3, abs=0.01)
    assert day.full_cycle_count == pytest.approx(0.6, abs=0.01)
    assert day.charge_rate_per_hour == pytest.approx(0.12, rel=0.01)
    assert day.plugged_second == pytest.approx(12 * 3600.0, rel=0.01)
    assert not day.exhausted
    assert day.heat_kelvin_hour2 > 0.0


def test_a_day_that_ends_at_the_low_end_may_have_asked_for_more() -> None:
    day = read_day(frames(), CAPACITY, 0.3)
    assert day is not None
    assert day.exhausted


def test_half_a_day_or_a_day_without_charge_is_no_day() -> None:
    assert read_day(frames(hours=8.0), CAPACITY, 0.05) is None
    bare = frames()
    without = Frames(
        bare.unix_time_second,
        bare.voltage_volt,
        bare.current_ampere,
        bare.cell_voltage_volt,
        bare.cell_temperature_celsius,
    )
    assert read_day(without, CAPACITY, 0.05) is None


def test_without_a_sensor_of_the_air_the_heat_is_unknown() -> None:
    day = read_day(frames(air=None), CAPACITY, 0.05)
    assert day is not None
    assert np.isnan(day.heat_kelvin_hour2)


def made(index: int, heat: float = 10.0) -> Day:
    return Day(
        86_400.0 * index, 0.3, 0.6, 0.9, 0.8, 20.0, 25.0, 0.3, 0.5, 36_000.0, heat_kelvin_hour2=heat
    )


def test_a_habit_never_grows_and_knows_when_heat_has() -> None:
    habit = Habit()
    for index in range(3 * KEPT_DAYS):
        habit = note(habit, made(index, 10.0 if index < 2 * KEPT_DAYS else 14.0))
        assert len(habit.days) <= KEPT_DAYS
        assert len(habit.first_heat) <= FIRST_DAYS
    assert habit.day_count == 3 * KEPT_DAYS
    assert habit.heat_growth() == pytest.approx(1.4)
