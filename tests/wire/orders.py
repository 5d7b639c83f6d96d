"""Orders for tests: signed by whom a test likes, for the device `pack-1`."""

from dataclasses import replace
from typing import Any

from cellwarden.domain import Curb, Room
from cellwarden.trust.identity import Identity, Roots
from cellwarden.wire.obedience import Book, Outcome, Rules, judge
from cellwarden.wire.order import Delivery, Order, sign_order
from trust.making import NOW, Certified, certify, fleet

DEVICE = "pack-1"
ROOM = Room(50.0, 100.0, 50.0)
MODEL = "ab" * 32
RULES = Rules(DEVICE, ROOM, frozenset({MODEL}))
ANN = Identity("operator", "ann", "operator")
HUB = Identity("hub", "test")
HOUR = 3600.0


def signer(identity: Identity = ANN) -> Certified:
    """A certificate of our authority."""
    return certify(fleet().authority, identity)


def order(identity: Identity = ANN, **more: Any) -> Order:
    """An order that is obeyed unless something else is asked for."""
    role = identity.role or "operator"
    actor = identity.name if identity.kind == "operator" else "ann"
    plain = Order(
        DEVICE, identity.uri(), role, actor, 1, NOW, NOW, NOW + HOUR, "", Curb(20.0, 30.0)
    )
    return replace(plain, **more)


def delivered(told: Order, by: Certified) -> Delivery:
    """Signed, with the certificate beside it."""
    return Delivery.of(sign_order(told, by.key, by.certificate), by.certificate)


def judged(
    *deliveries: Delivery,
    book: Book | None = None,
    now: float = NOW,
    rules: Rules = RULES,
    roots: Roots | None = None,
) -> tuple[Book, list[Outcome]]:
    """One after the other."""
    book, outcomes = book or Book(), []
    for delivery in deliveries:
        book, outcome = judge(book, delivery, rules, roots or fleet().roots, now)
        outcomes.append(outcome)
    return book, outcomes
