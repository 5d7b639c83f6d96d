import numpy as np
import pytest

from cellwarden.control import evidence
from cellwarden.control.senses import sensed
from cellwarden.control.signals import Signal
from cellwarden.domain import CLOSED, OPEN, Reading
from control.sound import BOARD, CELLS, SENSORS, pack, reading, with_frame, with_inputs

MEASURES = evidence.measures_of(pack(), BOARD)


def values(*readings: Reading, driven=CLOSED) -> np.ndarray:  # noqa: ANN001  a constant of domain
    state = evidence.begin(CELLS, SENSORS)
    for given in readings:
        state, found, _ = evidence.gather(MEASURES, state, sensed(given, driven))
    return found.value


def test_what_does_not_apply_is_at_rest_and_what_is_not_known_is_nan() -> None:
    discharging = values(reading(0, amperes=-1.0))
    assert discharging[Signal.HIGH_CHARGE_TEMPERATURE] == -np.inf
    assert discharging[Signal.LOW_CHARGE_TEMPERATURE] == np.inf
    charging = values(reading(0, amperes=1.0))
    assert charging[Signal.HIGH_CHARGE_TEMPERATURE] == pytest.approx(25.0)
    assert charging[Signal.HIGH_DISCHARGE_TEMPERATURE] == -np.inf
    unread = with_inputs(reading(0), insulation_ohm=float("nan"), fuse_intact=None)
    assert np.isnan(values(unread)[[Signal.INSULATION, Signal.FUSE]]).all()


def test_the_first_cycle_is_late_after_nothing() -> None:
    first = values(reading(5))
    assert np.isnan(first[[Signal.CYCLE, Signal.CLOCK_BACKWARDS, Signal.TEMPERATURE_JUMP]]).all()
    assert values(reading(5), reading(7))[Signal.CYCLE] == pytest.approx(0.2)


def test_worst_items_are_found_among_missing_ones() -> None:
    volts = np.full(CELLS, 3.7)
    volts[:4] = 3.9, 3.5, np.nan, 7.0
    found = values(with_frame(reading(0), cell_voltage_volt=volts))
    assert found[Signal.HIGH_CELL_VOLTAGE] == 3.9
    assert found[Signal.LOW_CELL_VOLTAGE] == 3.5
    assert found[Signal.CELL_MISSING] == 1
    assert found[Signal.CELL_IMPOSSIBLE] == pytest.approx(2.1)
    assert np.isnan(found[Signal.CELL_SUM])


def test_no_sensor_at_all_is_no_temperature_and_not_zero_degrees() -> None:
    found = values(with_frame(reading(0), cell_temperature_celsius=np.full(SENSORS, np.nan)))
    assert np.isnan(found[Signal.HIGH_DISCHARGE_TEMPERATURE])
    assert found[Signal.TEMPERATURES_LEFT] == 0


def test_equal_bits_count_while_current_flows_and_not_at_rest() -> None:
    def still(k: int, amperes: float) -> Reading:
        return with_frame(reading(k, amperes), cell_voltage_volt=np.full(CELLS, 3.7))

    assert values(*(still(k, -1.0) for k in range(11)))[Signal.CELL_FROZEN] == pytest.approx(1.0)
    assert values(*(still(k, 0.01) for k in range(11)))[Signal.CELL_FROZEN] == 0.0


def test_insulation_is_told_for_each_volt_of_the_string() -> None:
    found = values(with_inputs(reading(0), insulation_ohm=100.0 * CELLS * 3.7))
    assert found[Signal.INSULATION] == pytest.approx(100.0)


def test_a_broken_link_tells_how_many_chips_are_behind_it() -> None:
    from control.sound import with_monitors

    assert values(with_monitors(reading(0), broken_link=1))[Signal.CHAIN] == 1.0
    assert values(with_monitors(reading(0), broken_link=0))[Signal.CHAIN] == 2.0
    assert values(reading(0))[Signal.CHAIN] == 0.0


def test_open_current_waits_for_the_contactors() -> None:
    assert values(reading(0), reading(5), driven=OPEN)[Signal.OPEN_CURRENT] == -np.inf
    late = values(reading(0), reading(11), driven=OPEN)
    assert late[Signal.OPEN_CURRENT] == pytest.approx(1.5, abs=0.001)
