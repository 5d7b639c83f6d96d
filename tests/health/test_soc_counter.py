import numpy as np
import pytest

from cellwarden.errors import UsageError
from cellwarden.health import soc_counter
from cellwarden.health.soc_counter import Count, Counter
from cellwarden.health.soc_model import OCV, look_up
from health.soc_cell import cell_model

WARM = np.array([25.0])


def told(of: Counter, count: Count, seconds: range, ampere: float, volt: float) -> Count:
    for second in seconds:
        count = soc_counter.step(of, count, float(second), ampere, np.array([volt]), WARM)
    return count


def rest_volt(of: Counter, soc: float) -> float:
    return float(look_up(of.model, np.array([soc]), WARM)[OCV, 0])


def test_charge_is_counted_and_the_offset_of_the_sensor_makes_it_doubtful() -> None:
    of = Counter(cell_model())
    start = soc_counter.init(1, 0.8, soc_std_fraction=0.01)
    after = told(of, start, range(0, 3601, 10), -1.5, 3.7)
    assert after.soc_fraction[0] == pytest.approx(0.3, abs=1e-6)
    # An hour of up to 50 mA on 3 Ah, uniform.
    assert after.shift_std_fraction[0] == pytest.approx(0.05 / 3.0 / np.sqrt(3.0), rel=1e-3)
    assert after.soc_std_fraction[0] > start.soc_std_fraction[0]


def test_a_rest_sets_a_wrong_count_right_where_the_curve_is_steep() -> None:
    of = Counter(cell_model())
    wrong = soc_counter.init(1, 0.8, soc_std_fraction=0.2)
    seconds = range(0, int(of.rest_second) + 20, 10)
    after = told(of, wrong, seconds, 0.0, rest_volt(of, 0.5))
    assert after.soc_fraction[0] == pytest.approx(0.5, abs=0.01)
    assert after.soc_std_fraction[0] < 0.02


def test_a_rest_on_a_plateau_resets_next_to_nothing() -> None:
    of = Counter(cell_model(flat=True))
    sure = soc_counter.init(1, 0.6, soc_std_fraction=0.02)
    seconds = range(0, int(of.rest_second) + 20, 10)
    after = told(of, sure, seconds, 0.0, rest_volt(of, 0.4))
    assert after.soc_fraction[0] == pytest.approx(0.6, abs=0.02)


def test_a_rest_is_heard_once() -> None:
    of = Counter(cell_model())
    start = soc_counter.init(1, 0.8, soc_std_fraction=0.2)
    once = told(of, start, range(0, 1900, 10), 0.0, rest_volt(of, 0.5))
    later = told(of, once, range(1900, 9000, 10), 0.0, rest_volt(of, 0.5))
    assert later.other_std_fraction[0] == once.other_std_fraction[0]
    again = told(of, later, range(9000, 9100, 10), -3.0, 3.5)
    again = told(of, again, range(9100, 12000, 10), 0.0, rest_volt(of, 0.5))
    assert again.soc_std_fraction[0] < later.soc_std_fraction[0]


def test_missing_readings_leave_the_charge_and_add_doubt() -> None:
    of = Counter(cell_model())
    start = told(of, soc_counter.init(1, 0.5, soc_std_fraction=0.01), range(0, 20, 10), 0.0, 3.6)
    nothing = np.array([np.nan])
    after = soc_counter.step(of, start, 600.0, np.nan, nothing, nothing)
    assert after.soc_fraction[0] == start.soc_fraction[0]
    assert after.soc_std_fraction[0] > 2.0 * start.soc_std_fraction[0]
    assert after.temperature_celsius[0] == 25.0


def test_a_charge_outside_its_range_is_refused() -> None:
    with pytest.raises(UsageError):
        soc_counter.init(1, 1.2)
