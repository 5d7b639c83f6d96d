import math
from dataclasses import replace

import pytest

from cellwarden.control.orders import ceiling_of, listen
from cellwarden.domain import FREE, Curb, Inputs, Ordered, Request
from control.scene import charge_of, reading_of

SERVING = (Request.CONNECT, Request.CHARGE)


def asked(ordered: Request | None, here: Request | None) -> Request | None:
    reading = reading_of((3.7,), inputs=Inputs(request=here))
    return listen(Ordered(request=ordered), reading).inputs.request


def test_no_order_from_afar_closes_a_pack_that_was_not_asked_to_close_where_it_is() -> None:
    for ordered in (*Request, None):
        for here in (*Request, None):
            if asked(ordered, here) in SERVING:
                assert here in SERVING, (ordered, here)


def test_standby_from_afar_opens_and_leaves_service_and_resets_alone() -> None:
    for here in (*SERVING, Request.BALANCE, Request.STANDBY, None):
        assert asked(Request.STANDBY, here) is Request.STANDBY
    for here in (Request.SERVICE, Request.RESET):
        assert asked(Request.STANDBY, here) is here


def test_a_serving_pack_can_be_told_to_charge_and_a_charging_one_stays_so() -> None:
    assert asked(Request.CHARGE, Request.CONNECT) is Request.CHARGE
    assert asked(Request.CHARGE, Request.CHARGE) is Request.CHARGE
    assert asked(Request.CHARGE, Request.STANDBY) is Request.STANDBY
    assert asked(Request.CHARGE, None) is None
    assert asked(Request.CONNECT, Request.STANDBY) is Request.STANDBY


def test_a_master_that_is_lost_is_not_replaced_by_a_wish_to_balance() -> None:
    assert asked(Request.BALANCE, None) is None


def test_no_order_is_no_ceiling() -> None:
    assert ceiling_of(FREE, None) is None
    assert ceiling_of(Ordered(Curb(0.0 + math.inf)), charge_of(0.5)) is None


def test_currents_and_powers_of_an_order_are_its_ceiling() -> None:
    ordered = Ordered(Curb(5.0, 7.0), None, 100.0, 200.0)
    ceiling = ceiling_of(ordered, None)
    assert ceiling is not None
    assert (ceiling.charge_ampere, ceiling.discharge_ampere) == (5.0, 7.0)
    assert (ceiling.charge_watt, ceiling.discharge_watt) == (100.0, 200.0)


@pytest.mark.parametrize(
    ("soc", "charge", "discharge"),
    [
        (0.5, math.inf, math.inf),
        (0.8, 0.0, math.inf),
        (0.2, math.inf, 0.0),
        ((0.15, 0.5, 0.5, 0.85), 0.0, 0.0),  # one cell is out of the window on each side
        (math.nan, 0.0, 0.0),
    ],
)
def test_outside_the_ordered_window_of_charge_a_direction_is_shut(
    soc: object, charge: float, discharge: float
) -> None:
    ordered = Ordered(Curb(low_soc_fraction=0.2, high_soc_fraction=0.8))
    known = charge_of(0.5)
    ceiling = ceiling_of(ordered, replace(known, soc_fraction=charge_of(soc).soc_fraction))
    if ceiling is None:
        assert math.isinf(charge)
        assert math.isinf(discharge)
        return
    assert (ceiling.charge_ampere, ceiling.discharge_ampere) == (charge, discharge)


def test_a_window_without_a_known_charge_shuts_both_directions() -> None:
    ceiling = ceiling_of(Ordered(Curb(low_soc_fraction=0.2, high_soc_fraction=0.8)), None)
    assert ceiling is not None
    assert (ceiling.charge_ampere, ceiling.discharge_ampere) == (0.0, 0.0)
