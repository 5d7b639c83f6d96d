from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.edge.drivers.thermistor import NTC_10K, Divider, ResistanceTable, SteinhartHart
from cellwarden.errors import UsageError

# Murata NCP15XH103, 10 kΩ, B25/50 3380 K: °C and kΩ of the data sheet's table.
MURATA = (
    (-40.0, 195.652),
    (-20.0, 68.237),
    (0.0, 27.219),
    (25.0, 10.0),
    (50.0, 4.161),
    (85.0, 1.452),
    (125.0, 0.531),
)
TABLE = ResistanceTable(tuple((celsius, 1000.0 * kilo) for celsius, kilo in MURATA))


@pytest.mark.parametrize(("celsius", "kilo"), MURATA)
def test_the_equation_meets_the_makers_table(celsius: float, kilo: float) -> None:
    wide = replace(NTC_10K, low_celsius=-60.0, high_celsius=150.0)
    read = float(wide.celsius(np.array(1000.0 * kilo)))
    # Drawn through -20, 25 and 85 °C, the curve is held less well at the cold end.
    assert abs(read - celsius) < (0.1 if celsius > -40.0 else 0.5)


@pytest.mark.parametrize("curve", [NTC_10K, TABLE])
@given(celsius=st.floats(-40.0, 125.0))
def test_there_and_back_is_the_same_temperature(
    curve: SteinhartHart | ResistanceTable, celsius: float
) -> None:
    back = curve.celsius(curve.ohm(np.array([celsius])))
    assert back[0] == pytest.approx(celsius, abs=1e-6)


@given(celsius=st.floats(-40.0, 120.0))
def test_table_and_equation_agree_within_what_the_tables_wide_rows_allow(celsius: float) -> None:
    read = TABLE.celsius(NTC_10K.ohm(np.array([celsius])))
    assert np.isnan(read[0]) or abs(read[0] - celsius) < 2.5


@given(ratio=st.floats(0.0, 1.0))
def test_a_divider_gives_a_temperature_in_range_or_none(ratio: float) -> None:
    celsius = float(Divider(NTC_10K).celsius(np.array(ratio)))
    assert np.isnan(celsius) or -40.1 < celsius < 125.1


def test_a_broken_wire_and_a_short_are_no_temperature() -> None:
    divider = Divider(NTC_10K)
    assert np.isnan(divider.celsius(np.array([0.0, 0.005, 0.995, 1.0]))).all()
    assert divider.ratio(np.array([np.nan]))[0] == 1.0
    assert divider.celsius(divider.ratio(np.array([25.0])))[0] == pytest.approx(25.0)


def test_points_that_are_no_thermistors_are_refused() -> None:
    with pytest.raises(UsageError):
        SteinhartHart.through(((0.0, 100.0), (25.0, 110.0), (50.0, 120.0)))  # rises: a PTC
    for points in (((0.0, 10.0),), ((0.0, 10.0), (1.0, 11.0)), ((1.0, 10.0), (0.0, 9.0))):
        with pytest.raises(UsageError):
            ResistanceTable(points)
