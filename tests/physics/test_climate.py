import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.physics.climate import CLIMATES, YEAR_HOUR, Climate, climate_from


def test_a_measured_year_in_half_hours_keeps_its_hours() -> None:
    time = np.arange(0, YEAR_HOUR * 3600, 1800)
    celsius = np.sin(time / 1e6) * 10.0
    climate = climate_from("place", time, celsius)
    assert np.array_equal(climate.air_temperature_celsius, celsius[::2])


def test_summers_are_warmer_than_winters_and_afternoons_than_mornings() -> None:
    for climate in CLIMATES.values():
        days = climate.air_temperature_celsius.reshape(365, 24)
        assert days[180:210].mean() > days[:30].mean()
        assert days[:, 15].mean() > days[:, 4].mean()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Climate("short", np.zeros(100)),
        lambda: Climate("gap", np.full(YEAR_HOUR, np.nan)),
        lambda: climate_from("short", np.arange(100) * 3600.0, np.zeros(100)),
        lambda: climate_from("empty", np.zeros(0), np.zeros(0)),
    ],
)
def test_less_than_a_year_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(UsageError):
        make()
