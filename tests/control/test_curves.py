import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.control.curves import Curve, curves_of
from cellwarden.domain import CHEMISTRIES
from cellwarden.errors import UsageError
from control.scene import pack_of

ANY = st.floats(-2000.0, 2000.0)
KINDS = st.sampled_from(sorted(CHEMISTRIES))


@given(ANY)
def test_a_curve_is_straight_between_its_points_and_flat_beyond(value: float) -> None:
    got = Curve((0.0, 10.0, 20.0), (0.0, 1.0, 0.5)).read(value)
    if value <= 10.0:
        assert got == pytest.approx(min(max(value / 10.0, 0.0), 1.0))
    else:
        assert got == pytest.approx(max(1.0 - (value - 10.0) / 20.0, 0.5))


def test_what_is_no_number_leaves_nothing() -> None:
    assert Curve((0.0, 1.0), (1.0, 1.0)).read(math.nan) == 0.0
    assert Curve((0.0,), (1.0,)).read(math.nan) == 0.0


@pytest.mark.parametrize(
    ("at", "part"),
    [((1.0, 0.0), (0.0, 1.0)), ((0.0,), (1.2,)), ((0.0, 1.0), (1.0,)), ((), ()),
     ((0.0, math.nan), (0.0, 1.0)), ((0.0,), (math.nan,))],
)  # fmt: skip
def test_points_out_of_order_are_refused(at: tuple[float, ...], part: tuple[float, ...]) -> None:
    with pytest.raises(UsageError):
        Curve(at, part)


@given(KINDS, ANY, ANY)
def test_more_voltage_or_charge_never_leaves_more_to_charge(kind: str, a: float, b: float) -> None:
    curves, low, high = curves_of(pack_of(kind).cell), min(a, b), max(a, b)
    for curve in (curves.charge_volt, curves.charge_soc):
        assert curve.read(high) <= curve.read(low)
    for curve in (curves.discharge_volt, curves.discharge_soc, curves.health):
        assert curve.read(high) >= curve.read(low)


@pytest.mark.parametrize("kind", sorted(CHEMISTRIES))
def test_nothing_is_left_at_the_edges_of_the_cell(kind: str) -> None:
    cell = pack_of(kind).cell
    curves, edge, outer = curves_of(cell), cell.limits.operating, cell.limits.maximum
    assert curves.charge_volt.read(edge.high_voltage_volt) == 0.0
    assert curves.discharge_volt.read(edge.low_voltage_volt) == 0.0
    assert curves.charge_celsius.read(outer.high_charge_temperature_celsius) == 0.0
    assert curves.charge_celsius.read(outer.low_charge_temperature_celsius) == 0.0
    assert curves.discharge_celsius.read(outer.high_discharge_temperature_celsius) == 0.0
    assert curves.discharge_celsius.read(outer.low_discharge_temperature_celsius) == 0.0
    assert curves.charge_celsius.read(25.0) == curves.discharge_celsius.read(25.0) == 1.0
