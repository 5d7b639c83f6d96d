"""A device obeys what it has to, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import numpy as np
import pytest
from cryptography.x509 import Certificate
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import FREE, Curb, Ordered, Plan, Request, Severity
from cellwarden.trust.identity import Identity, Roots, utc
from cellwarden.wire.obedience import Book, Reason, Rules, drop_expired, in_force
from cellwarden.wire.order import Delivery, Order, Wish
from trust.making import NOW, YEAR, Certified, authority, certify, fleet
from wire.orders import ANN, DEVICE, HOUR, HUB, MODEL, ROOM, RULES, delivered, judged, order, signer

EVE = Identity("operator", "eve", "viewer")


@pytest.fixture(scope="module")
def ann() -> Certified:
    return signer()


@pytest.fixture(scope="module")
def hub() -> Certified:
    return signer(HUB)


def plan(*watt: float) -> Plan:
    starts = NOW + HOUR * np.arange(len(watt))
    return Plan(DEVICE, starts, np.array(watt), np.zeros(len(watt)))


def reason(delivery: Delivery, **more: object) -> Reason:
    book, (outcome,) = judged(delivery, **more)  # type: ignore[arg-type]
    if outcome.reason is not Reason.OBEYED:
        assert in_force(book, NOW) == FREE
    return outcome.reason


def test_a_persons_order_is_obeyed_until_it_is_over(ann: Certified) -> None:
    book, (outcome,) = judged(delivered(order(), ann))
    assert (outcome.reason, outcome.issuer, outcome.sequence) == (Reason.OBEYED, ANN.uri(), 1)
    assert in_force(book, NOW).curb == Curb(20.0, 30.0)
    assert in_force(book, NOW + HOUR) == FREE
    assert drop_expired(book, NOW + HOUR).held == ()
    assert in_force(drop_expired(book, NOW + HOUR), NOW) == FREE, "over is over"


def test_what_is_not_over_is_not_dropped(ann: Certified) -> None:
    book, _ = judged(delivered(order(), ann))
    assert drop_expired(book, NOW + HOUR - 1) is book


WRONG: dict[str, tuple[Callable[[Order], Order], Reason]] = {
    "for another device": (lambda o: replace(o, device="pack-2"), Reason.FOREIGN_DEVICE),
    "in a hub's name": (lambda o: replace(o, issuer=HUB.uri()), Reason.WRONG_ROLE),
    "in a colleague's name": (lambda o: replace(o, actor="bob"), Reason.WRONG_ROLE),
    "in a higher role": (lambda o: replace(o, role="administrator"), Reason.WRONG_ROLE),
    "over": (lambda o: replace(o, expires_unix_time_second=NOW), Reason.EXPIRED),
    "from tomorrow": (
        lambda o: replace(o, issued_unix_time_second=NOW + 301, expires_unix_time_second=NOW + 400),
        Reason.FROM_THE_FUTURE,
    ),
    "for ever": (
        lambda o: replace(o, expires_unix_time_second=NOW + 8 * 86_400),
        Reason.TOO_LONG,
    ),
    "never": (lambda o: replace(o, starts_unix_time_second=NOW + 2 * HOUR), Reason.TOO_LONG),
    "as a model": (lambda o: replace(o, model_digest=MODEL), Reason.UNKNOWN_MODEL),
    "more charge current": (lambda o: replace(o, body=Curb(50.1)), Reason.LOOSENING),
    "more discharge current": (lambda o: replace(o, body=Curb(inf, 100.1)), Reason.LOOSENING),
    "more power than the pack takes": (
        lambda o: replace(o, body=plan(2501.0)),
        Reason.LOOSENING,
    ),
    "close": (lambda o: replace(o, body=Wish(Request.CONNECT)), Reason.LOOSENING),
    "forget the faults": (lambda o: replace(o, body=Wish(Request.RESET)), Reason.LOOSENING),
    "open the service hatch": (lambda o: replace(o, body=Wish(Request.SERVICE)), Reason.LOOSENING),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_order_that_is_wrong_is_refused_for_the_right_reason(name: str, ann: Certified) -> None:
    change, expected = WRONG[name]
    assert reason(delivered(change(order()), ann)) is expected


def test_a_window_of_charge_wider_than_the_packs_is_refused(ann: Certified) -> None:
    rules = replace(RULES, room=replace(ROOM, low_soc_fraction=0.1, high_soc_fraction=0.9))
    wide = (Curb(high_soc_fraction=0.95), Curb(low_soc_fraction=0.05))
    for curb in wide:
        assert reason(delivered(order(body=curb), ann), rules=rules) is Reason.LOOSENING
    for curb in (Curb(), Curb(low_soc_fraction=0.1, high_soc_fraction=0.9)):
        assert reason(delivered(order(body=curb), ann), rules=rules) is Reason.OBEYED


def test_a_viewer_and_a_device_may_not_order_anything() -> None:
    assert reason(delivered(order(EVE), signer(EVE))) is Reason.WRONG_ROLE
    device = Identity("device", DEVICE)
    told = order(device, role="operator", actor=DEVICE)
    assert reason(delivered(told, signer(device))) is Reason.WRONG_ROLE


def test_a_hub_speaks_for_those_whom_the_device_lets_it_speak_for(hub: Certified) -> None:
    told = delivered(order(HUB), hub)
    assert reason(told) is Reason.OBEYED
    strict = replace(RULES, hub_speaks_for=frozenset({"model"}))
    assert reason(told, rules=strict) is Reason.WRONG_ROLE
    assert reason(delivered(order(HUB, role="viewer"), hub)) is Reason.WRONG_ROLE


def test_a_models_order_is_obeyed_if_the_model_is_on_the_devices_own_list(hub: Certified) -> None:
    told = order(HUB, role="model", model_digest=MODEL, actor="")
    assert reason(delivered(told, hub)) is Reason.OBEYED
    other = replace(told, model_digest="cd" * 32)
    assert reason(delivered(other, hub)) is Reason.UNKNOWN_MODEL
    assert reason(delivered(replace(told, model_digest=""), hub)) is Reason.UNKNOWN_MODEL
    bare = Rules(DEVICE, ROOM)
    assert reason(delivered(told, hub), rules=bare) is Reason.UNKNOWN_MODEL
    standby = replace(told, body=Wish(Request.STANDBY))
    assert reason(delivered(standby, hub)) is Reason.WRONG_ROLE, "a model asks for no state"


def test_an_issuer_of_another_authority_is_foreign() -> None:
    other = certify(authority("Somebody else"), ANN)
    assert reason(delivered(order(), other)) is Reason.FOREIGN_ISSUER


def test_a_certificate_that_is_over_or_revoked_is_foreign(ann: Certified) -> None:
    told = delivered(order(), ann)
    old = certify(fleet().authority, ANN, at=NOW - 2 * YEAR.total_seconds())
    assert reason(delivered(order(), old)) is Reason.FOREIGN_ISSUER
    by: Certificate = ann.certificate
    listed = fleet().authority.revocations([by.serial_number], utc(NOW))
    roots = Roots(fleet().authority.certificate, listed)
    assert reason(told, roots=roots) is Reason.FOREIGN_ISSUER


def test_with_another_certificate_beside_it_an_order_is_refused(ann: Certified) -> None:
    swapped = Delivery.of(delivered(order(), ann).order, signer().certificate)
    assert reason(swapped) is Reason.FOREIGN_ISSUER


def test_a_second_time_and_out_of_turn_an_order_is_refused(ann: Certified) -> None:
    first, third = (delivered(order(sequence=n), ann) for n in (1, 3))
    second = delivered(order(sequence=2, body=Curb(5.0)), ann)
    book, outcomes = judged(first, first, third, second, third)
    assert [one.reason for one in outcomes] == [
        Reason.OBEYED,
        Reason.REPLAYED,
        Reason.OBEYED,
        Reason.REPLAYED,
        Reason.REPLAYED,
    ]
    assert in_force(book, NOW).curb == Curb(20.0, 30.0)
    assert book.seen == {ANN.uri(): 3}


def test_an_order_that_was_refused_cannot_be_obeyed_later(ann: Certified, hub: Certified) -> None:
    told = delivered(order(HUB, role="model", model_digest="cd" * 32), hub)
    book, _ = judged(told)
    wider = replace(RULES, models=frozenset({MODEL, "cd" * 32}))
    _, (outcome,) = judged(told, book=book, rules=wider)
    assert outcome.reason is Reason.REPLAYED
    _, (other,) = judged(delivered(order(), ann), book=book)
    assert other.reason is Reason.OBEYED, "another issuer has a count of its own"


@pytest.mark.parametrize("part", ["order", "certificate"])
def test_with_any_bit_turned_an_order_is_refused(ann: Certified, part: str) -> None:
    whole = delivered(order(), ann)
    length = len(getattr(whole, part))

    @given(st.integers(0, 8 * length - 1))
    @settings(max_examples=150, deadline=None)
    def law(bit: int) -> None:
        told = bytearray(getattr(whole, part))
        told[bit // 8] ^= 1 << bit % 8
        book, (outcome,) = judged(replace(whole, **{part: bytes(told)}))
        assert outcome.reason is not Reason.OBEYED
        assert book == Book()

    law()


@given(st.binary(max_size=200), st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_whatever_bytes_come_they_are_judged(encoded: bytes, certificate: bytes) -> None:
    book, (outcome,) = judged(Delivery(encoded, certificate))
    assert outcome.reason is Reason.MALFORMED
    assert book == Book()


curbs = st.builds(
    Curb,
    st.floats(0, 50) | st.just(inf),
    st.floats(0, 100) | st.just(inf),
    st.floats(0, 0.49),
    st.floats(0.5, 1.0),
)


@given(curbs, curbs)
def test_two_curbs_are_never_looser_than_either(one: Curb, other: Curb) -> None:
    both = one.both(other)
    for each in (one, other):
        assert both.high_charge_current_ampere <= each.high_charge_current_ampere
        assert both.high_discharge_current_ampere <= each.high_discharge_current_ampere
        assert both.low_soc_fraction >= each.low_soc_fraction
        assert both.high_soc_fraction <= each.high_soc_fraction
    assert both == other.both(one)


def test_windows_of_charge_that_do_not_meet_leave_next_to_none() -> None:
    both = Curb(low_soc_fraction=0.8).both(Curb(high_soc_fraction=0.2))
    assert both.low_soc_fraction < both.high_soc_fraction
    assert both.high_soc_fraction - both.low_soc_fraction == pytest.approx(0.002)


def test_one_issuer_cannot_loosen_what_another_has_ordered(ann: Certified, hub: Certified) -> None:
    tight = delivered(order(body=Curb(5.0)), ann)
    wide = delivered(order(HUB, body=Curb(40.0, 40.0)), hub)
    book, _ = judged(tight, wide)
    assert in_force(book, NOW).curb == Curb(5.0, 40.0)


def test_the_next_order_of_an_issuer_replaces_the_one_before(ann: Certified) -> None:
    orders = [order(body=Curb(5.0)), order(sequence=2, body=Curb(10.0)), order(sequence=3)]
    book, _ = judged(*(delivered(one, ann) for one in orders[:2]))
    assert in_force(book, NOW).curb == Curb(10.0)
    withdrawn = delivered(replace(orders[2], body=Curb()), ann)
    book, (outcome,) = judged(withdrawn, book=book)
    assert outcome.reason is Reason.OBEYED
    assert in_force(book, NOW) == FREE


def test_an_order_for_later_leaves_todays_in_force_until_then(ann: Certified) -> None:
    now = order(body=Curb(5.0), expires_unix_time_second=NOW + 3 * HOUR)
    later = order(
        sequence=2,
        body=Curb(10.0),
        starts_unix_time_second=NOW + HOUR,
        expires_unix_time_second=NOW + 2 * HOUR,
    )
    book, _ = judged(delivered(now, ann), delivered(later, ann))
    charge = [
        in_force(book, NOW + hour * HOUR).curb.high_charge_current_ampere for hour in (0, 1.5, 2.5)
    ]
    assert charge == [5.0, 10.0, 5.0]


def test_a_plan_is_a_ceiling_for_each_of_its_hours(hub: Certified) -> None:
    told = order(HUB, body=plan(1000.0, 0.0), expires_unix_time_second=NOW + 2 * HOUR)
    book, (outcome,) = judged(delivered(told, hub))
    assert outcome.reason is Reason.OBEYED
    ceilings = [in_force(book, NOW + hour * HOUR) for hour in (-0.1, 0.5, 1.5)]
    assert ceilings == [FREE, Ordered(charge_watt=1000.0, discharge_watt=0.0), Ordered(
        charge_watt=0.0, discharge_watt=0.0
    )]  # fmt: skip


def test_of_several_wishes_the_safest_counts(ann: Certified, hub: Certified) -> None:
    charge = delivered(order(body=Wish(Request.CHARGE)), ann)
    standby = delivered(order(HUB, body=Wish(Request.STANDBY)), hub)
    book, _ = judged(charge, standby)
    assert in_force(book, NOW).request is Request.STANDBY
    book, _ = judged(delivered(order(HUB, sequence=2, body=Wish(None)), hub), book=book)
    assert in_force(book, NOW).request is Request.CHARGE


def test_what_is_held_is_bounded_and_an_own_count_keeps_others_out_of_it(
    ann: Certified, hub: Certified
) -> None:
    def later(number: int) -> Delivery:
        starts = NOW + 10.0 * number
        return delivered(order(sequence=number, starts_unix_time_second=starts), ann)

    book, outcomes = judged(*(later(number) for number in range(1, 19)))
    assert [one.reason for one in outcomes[16:]] == [Reason.TOO_MANY] * 2
    assert len(book.held) == 16
    _, (other,) = judged(delivered(order(HUB), hub), book=book)
    assert other.reason is Reason.OBEYED


def test_a_refusal_is_a_finding_that_says_who_and_why(ann: Certified) -> None:
    _, (good, bad) = judged(delivered(order(), ann), delivered(order(), ann))
    assert good.finding() is None
    found = bad.finding()
    assert found is not None
    assert (found.kind, found.severity, found.signal) == ("order", Severity.ALARM, "replayed")
    assert ANN.uri() in found.message
    assert found.evidence == {"sequence": 1.0, "count": 1.0}
