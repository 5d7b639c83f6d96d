"""An order never gives a pack more than it takes by itself, and closes nothing."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import CLOSED, FREE, OPEN, Command, Contactors, Curb, Ordered, Request
from cellwarden.edge.tighten import asked, tightened
from edge.live import charge, frame, reading

COMMAND = Command(CLOSED, 50.0, 100.0, (True, False, False), 0.4, 12.6, 45.0)
amperes = st.floats(0.0, 1000.0) | st.just(inf)


@given(
    st.builds(
        Ordered,
        st.builds(Curb, amperes, amperes, st.floats(0.0, 0.4), st.floats(0.5, 1.0)),
        st.sampled_from([None, *Request]),
        amperes,
        amperes,
    ),
    st.floats(0.0, 50.0),
    st.floats(0.0, 100.0),
    st.none() | st.floats(0.0, 1.0),
    st.sampled_from([CLOSED, OPEN, Contactors(plus_closed=False, minus_closed=True)]),
    st.sampled_from([3.7, 0.0, float("nan")]),
)
def test_whatever_is_ordered_the_command_is_never_looser(  # noqa: PLR0917  a draw each
    ordered: Ordered,
    high_charge: float,
    high_discharge: float,
    soc: float | None,
    contactors: Contactors,
    volt: float,
) -> None:
    own = Command(contactors, high_charge, high_discharge, (), 0.1, 12.6, high_charge)
    told = tightened(own, ordered, reading(frame(volt=volt)), None if soc is None else charge(soc))
    assert told.contactors == own.contactors
    for name in ("high_charge_current_ampere", "high_discharge_current_ampere"):
        assert 0.0 <= getattr(told, name) <= getattr(own, name)
    assert told.charge_current_ampere <= min(own.charge_current_ampere, high_charge)
    assert (told.balance, told.cooling_fraction) == (own.balance, own.cooling_fraction)


def test_without_orders_the_command_is_the_packs_own() -> None:
    assert tightened(COMMAND, FREE, None, None) is COMMAND


def test_bounds_powers_and_the_window_of_charge_are_kept() -> None:
    here = reading(frame(volt=4.0))  # 12 V
    told = tightened(COMMAND, Ordered(Curb(20.0, 200.0)), here, charge(0.5))
    assert (told.high_charge_current_ampere, told.high_discharge_current_ampere) == (20.0, 100.0)
    assert told.charge_current_ampere == 20.0
    told = tightened(COMMAND, Ordered(charge_watt=120.0, discharge_watt=0.0), here, None)
    assert told.high_charge_current_ampere == pytest.approx(10.0)
    assert told.high_discharge_current_ampere == 0.0
    window = Ordered(Curb(low_soc_fraction=0.2, high_soc_fraction=0.8))
    for soc, free in ((0.1, (50.0, 0.0)), (0.5, (50.0, 100.0)), (0.8, (0.0, 100.0))):
        told = tightened(COMMAND, window, here, charge(soc))
        assert (told.high_charge_current_ampere, told.high_discharge_current_ampere) == free
    told = tightened(COMMAND, window, here, None)
    assert told.high_charge_current_ampere == told.high_discharge_current_ampere == 0.0


def test_a_planned_power_without_a_voltage_is_no_current() -> None:
    blind = reading(frame(volt=float("nan")))
    told = tightened(COMMAND, Ordered(charge_watt=100.0), blind, None)
    assert told.high_charge_current_ampere == 0.0
    assert told.high_discharge_current_ampere == 100.0


CLOSES = {Request.CONNECT, Request.CHARGE}


@pytest.mark.parametrize("own", [None, *Request])
@pytest.mark.parametrize("wished", [None, *Request])
def test_an_order_closes_nothing_that_was_not_asked_closed(
    own: Request | None, wished: Request | None
) -> None:
    told = asked(reading(request=own), Ordered(request=wished)).inputs.request
    if told in CLOSES:
        assert own in CLOSES
    if own in {Request.SERVICE, Request.RESET}:
        assert told is own
    if wished is Request.STANDBY and own not in {Request.SERVICE, Request.RESET}:
        assert told is Request.STANDBY
    if wished is None:
        assert told is own


def test_a_charging_window_changes_serving_into_charging() -> None:
    told = asked(reading(request=Request.CONNECT), Ordered(request=Request.CHARGE))
    assert told.inputs.request is Request.CHARGE
    assert asked(reading(request=Request.STANDBY), Ordered(request=Request.CHARGE)).inputs.request
    told = asked(reading(request=Request.STANDBY), Ordered(request=Request.CHARGE))
    assert told.inputs.request is Request.STANDBY
