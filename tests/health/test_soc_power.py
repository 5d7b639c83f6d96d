import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import UsageError
from cellwarden.health import soc_filter
from cellwarden.health.soc_power import Window, forecast_volt, power
from health.soc_cell import cell_model, drive

WINDOW = Window(2.8, 4.2, 30.0, 15.0)
HORIZONS = (2.0, 10.0, 30.0, 60.0)


def state_at(*soc: float, celsius: float = 25.0) -> soc_filter.State:
    model = cell_model()
    state = soc_filter.init(model, len(soc), np.array(soc), rested=True)
    state.cells[soc_filter.CELSIUS] = celsius
    return state


@settings(deadline=None, max_examples=60)
@given(
    st.floats(0.02, 0.98),
    st.floats(-10.0, 40.0),
    st.sampled_from(HORIZONS),
    st.floats(-5.0, 5.0),
)
def test_the_stated_current_held_stays_in_the_window(
    soc: float, celsius: float, horizon: float, before: float
) -> None:
    model, state = cell_model(), state_at(soc, celsius=celsius)
    state.cells[soc_filter.SLOW_AMPERE] = before
    told = power(model, state, horizon, WINDOW)
    for ampere, sign in ((told.discharge_ampere, -1.0), (told.charge_ampere, 1.0)):
        held = np.full((int(horizon), 1), sign * ampere[0])
        volts = forecast_volt(model, state, held)
        assert ampere[0] >= 0.0
        if ampere[0] > 0.0:
            assert WINDOW.low_volt - 1e-3 < volts[-1, 0] < WINDOW.high_volt + 1e-3


def test_a_longer_pulse_a_colder_cell_and_caution_give_less_power() -> None:
    model = cell_model()
    longer = [power(model, state_at(0.5), h, WINDOW).discharge_watt[0] for h in HORIZONS]
    assert longer == sorted(longer, reverse=True)
    cold = power(model, state_at(0.5, celsius=0.0), 10.0, WINDOW)
    warm = power(model, state_at(0.5), 10.0, WINDOW)
    careful = power(model, state_at(0.5), 10.0, WINDOW, caution_std_count=2.0)
    assert cold.discharge_watt[0] < warm.discharge_watt[0]
    assert careful.discharge_watt[0] < warm.discharge_watt[0]
    assert careful.charge_watt[0] < warm.charge_watt[0]


def test_an_empty_cell_gives_nothing_and_a_full_one_takes_nothing() -> None:
    told = power(cell_model(), state_at(0.0, 1.0), 10.0, WINDOW)
    assert told.discharge_watt[0] == 0.0
    assert told.charge_watt[1] == 0.0


def test_what_happens_next_in_a_drive_is_forecast_to_ten_millivolts() -> None:
    model, record = cell_model(), drive(cell_model(), 5)
    cut = 1800
    columns = record.voltage_volt[:, None], record.temperature_celsius[:, None]
    state, _ = soc_filter.run(
        model,
        soc_filter.init(model, 1),
        record.unix_time_second[:cut],
        record.current_ampere[:cut],
        *(column[:cut] for column in columns),
    )
    ahead = slice(cut, cut + 60)
    volts = forecast_volt(model, state, record.current_ampere[ahead, None])
    assert np.sqrt(np.mean((volts - columns[0][ahead]) ** 2)) < 0.010


def test_a_window_that_is_none_is_refused() -> None:
    for window, horizon in ((Window(4.2, 2.8, 1.0, 1.0), 10.0), (WINDOW, 0.0)):
        with pytest.raises(UsageError, match="window"):
            power(cell_model(), state_at(0.5), horizon, window)
