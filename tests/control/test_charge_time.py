from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.control.charge_settings import charging_of
from cellwarden.control.charge_time import Fullest, forecast, gentlest
from cellwarden.physics.plating import plating_of
from control.scene import pack_of

PLAIN = charging_of(pack_of(), "stages")
TABLE = plating_of(0.01)
CELL = Fullest(0.2, 0.01, 50.0, 0.5, 1.0, 25.0)


def test_a_slow_charge_takes_charge_over_current() -> None:
    short = replace(PLAIN, target_fraction=0.7)
    hours, band = forecast(short, None, CELL, 10.0)
    assert hours == pytest.approx(2.5)
    assert band.low < 2.5 < band.high
    assert band.high - band.low < 0.4


@given(st.floats(0.0, 1.0), st.floats(1.0, 60.0), st.floats(1.0, 60.0), st.floats(0.0, 40.0))
def test_more_current_is_never_slower_and_a_spared_electrode_never_quicker(
    soc: float, a: float, b: float, celsius: float
) -> None:
    cell = replace(CELL, soc_fraction=soc, coldest_celsius=celsius)
    target = replace(PLAIN, target_fraction=0.8)
    slow, quick = (forecast(target, None, cell, x)[0] for x in (min(a, b), max(a, b)))
    assert quick <= slow + 1e-9
    gentle, band = forecast(target, TABLE, cell, max(a, b))
    assert gentle >= quick - 1e-9
    assert band.low <= gentle <= band.high


def test_nothing_takes_no_time_and_no_current_for_ever() -> None:
    assert forecast(PLAIN, None, replace(CELL, soc_fraction=1.0), 10.0)[0] == 0.0
    assert forecast(PLAIN, None, CELL, 0.0)[0] == float("inf")
    assert forecast(PLAIN, TABLE, replace(CELL, coldest_celsius=-20.0), 10.0)[0] == float("inf")


@given(st.floats(1.0, 20.0), st.floats(0.0, 0.9))
def test_the_gentlest_current_is_in_time_where_any_is(hours: float, soc: float) -> None:
    cell = replace(CELL, soc_fraction=soc)
    ampere = gentlest(PLAIN, TABLE, cell, 50.0, hours)
    assert ampere <= 50.0
    taken = forecast(PLAIN, TABLE, cell, ampere)[0]
    if forecast(PLAIN, TABLE, cell, 50.0)[0] <= hours:
        assert taken <= hours
        if ampere > 2.6:
            assert forecast(PLAIN, TABLE, cell, 0.98 * ampere)[0] >= 0.97 * hours
    else:
        assert ampere == 50.0
