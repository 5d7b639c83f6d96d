import math
from dataclasses import replace
from typing import Final

import pytest

from cellwarden.control.orders import (
    Terms,
    ceiling_of,
    ceilings_of,
    cooling_of,
    listen,
    troubles_of,
)
from cellwarden.domain import (
    FREE,
    Authenticity,
    Curb,
    Inputs,
    Ordered,
    Permission,
    Reaction,
    Request,
)
from cellwarden.domain.regime import Regime
from control.scene import charge_of, pack_of, reading_of

GENTLE: Final = Regime(0.2, 0.8, 0.5, 30.0)
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


def test_a_gentler_regime_holds_back_the_rate_the_window_and_begins_to_cool_early() -> None:
    terms, pack = Terms(regime=GENTLE), pack_of(capacity_ah=50.0)
    (inside,) = ceilings_of(terms, pack, charge_of(0.5))
    assert (inside.name, inside.charge_ampere, inside.discharge_ampere) == (
        "regime",
        25.0,
        math.inf,
    )
    (full,) = ceilings_of(terms, pack, charge_of(0.8))
    assert full.charge_ampere == 0.0
    (empty,) = ceilings_of(terms, pack, charge_of(0.2))
    assert empty.discharge_ampere == 0.0
    warm = reading_of((3.7,), celsius=(25.0, 35.0))
    assert cooling_of(terms, warm) == pytest.approx(0.5)
    assert cooling_of(Terms(), warm) == 0.0
    assert cooling_of(terms, reading_of((3.7,), celsius=math.nan)) == 0.0


def test_a_regime_is_for_comfort_and_stops_nothing_where_the_charge_is_not_known() -> None:
    (ceiling,) = ceilings_of(Terms(regime=GENTLE), pack_of(), None)
    assert ceiling.charge_ampere > 0.0
    assert ceiling.discharge_ampere > 0.0


def test_a_pack_of_which_nobody_knows_who_it_is_is_a_trouble_with_its_reaction() -> None:
    foreign = Permission(Authenticity.FOREIGN, Reaction.FORBID_CLOSE, 0.0, 0.3, "not of ours")
    (told,) = troubles_of(Terms(permission=foreign), 7.0)
    assert (told.name, told.reaction, told.since_second) == (
        "pack_foreign",
        Reaction.FORBID_CLOSE,
        7.0,
    )
    genuine = Permission(Authenticity.GENUINE, Reaction.RECORD, 1.0, 1.0, "the paired pack")
    assert troubles_of(Terms(permission=genuine), 7.0) == ()
    assert troubles_of(Terms(), 7.0) == ()
