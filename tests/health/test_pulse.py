"""Steps of a train of pulses."""

import numpy as np

from cellwarden.health.pulse import COLUMNS, choices, pulse_columns


def test_a_step_is_what_one_voltage_differs_from_the_one_before() -> None:
    voltage = 3.0 + 0.01 * np.arange(21.0)[None, :] ** 2
    told = dict(zip(COLUMNS, pulse_columns(voltage)[0], strict=True))
    assert told["U1"] == 3.0
    assert np.isclose(told["step_1_2_volt"], 0.01)
    assert np.isclose(told["step_20_21_volt"], 0.01 * (400 - 361))
    assert np.isclose(told["step_20_21_log_volt"], np.log(0.01 * (400 - 361)))


def test_a_voltage_that_does_not_move_has_a_size_that_is_a_number() -> None:
    assert np.isfinite(pulse_columns(np.full((2, 21), 3.3))).all()


def test_every_choice_is_of_columns_that_are_made() -> None:
    offered = choices("soc_pct")
    assert all(columns[0] == "soc_pct" for columns in offered.values())
    assert all(set(columns[1:]) <= set(COLUMNS) for columns in offered.values())
