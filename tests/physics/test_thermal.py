import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.physics import thermal as thermals
from cellwarden.physics.thermal import thermal_of

CELL = thermal_of(3.0)


def settle(heat: np.ndarray, air_factor: float, period: float, count: int) -> np.ndarray:
    celsius = np.full(len(heat), 25.0)
    for _ in range(count):
        celsius = thermals.step(
            CELL,
            celsius,
            heat,
            air_temperature_celsius=25.0,
            air_factor=np.full(len(heat), air_factor),
            period_second=period,
        )
    return celsius


def test_a_lone_cell_settles_where_heat_meets_cooling() -> None:
    celsius = settle(np.array([0.21]), 1.0, 10.0, 5000)
    assert celsius[0] == pytest.approx(25.0 + 0.21 / 0.042)


def test_the_warm_cell_warms_its_neighbours_most() -> None:
    celsius = settle(np.array([0.0, 0.0, 1.0, 0.0, 0.0]), 1.0, 1.0, 5000)
    assert celsius[2] > celsius[1] > celsius[0] > 25.0
    assert celsius[1] == pytest.approx(celsius[3])


def test_without_any_way_out_all_heat_stays() -> None:
    celsius = settle(np.array([0.5]), 0.0, 1.0, 600)
    assert celsius[0] == pytest.approx(25.0 + 0.5 * 600.0 / 60.0)


@given(st.floats(0.01, 1e6), st.floats(0.0, 50.0))
def test_no_step_length_makes_it_unstable(period: float, heat: float) -> None:
    celsius = settle(np.array([heat, 0.0, 0.0]), 1.0, period, 50)
    assert np.all(celsius >= 25.0 - 1e-9)
    assert celsius.max() <= 25.0 + heat / 0.042 + 1e-6
