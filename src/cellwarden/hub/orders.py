"""Orders from this hub to devices: signed, numbered, kept, handed out when a device asks.

Rules
- A sequence of an issuer to a device stands once, in all hubs on one store.
- An order that a person has signed is kept as it is; a hub cannot change it, nor sign for them.
- What waits is held in memory, so that a device that asks costs no query. Another hub's orders are
  taken up within about a second.
- What became of an order comes back in the device's signed batches (`rows.write_batches`).
"""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from cryptography import x509

from cellwarden.domain import Curb, Plan
from cellwarden.errors import DataError, IdentityError, ReplayError, UsageError
from cellwarden.hub.contention import insist, touch
from cellwarden.hub.problems import Declined
from cellwarden.hub.store import Store
from cellwarden.trust.envelope import SigningKey
from cellwarden.trust.identity import Identity, Roots, load_certificate, thumbprint, utc
from cellwarden.wire.obedience import MAY_ORDER
from cellwarden.wire.order import (
    LONGEST_ORDER_SECOND,
    Body,
    Delivery,
    Order,
    Post,
    Wish,
    digest_of,
    open_order,
    sign_order,
)

__all__ = ["OrderBook", "Signer", "describe"]

_log = structlog.get_logger()
_POSTED_COUNT: Final = 32
_WAITING_COUNT: Final = 64  # for one device: somebody who floods is stopped here
_REMEMBERED_COUNT: Final = 10_000
_COLUMNS: Final = "device, issuer, sequence, encoded, certificate"


@dataclass(frozen=True, slots=True)
class Signer:
    """With what the hub signs orders in its own name."""

    key: SigningKey
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class _Waiting:
    order: Order
    delivery: Delivery


class OrderBook:
    """All orders of a store; safe from several threads and several hubs."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        signer: Signer | None = None,
        revoked: Callable[[], bytes] = lambda: b"",
    ) -> None:
        """`revoked` gives the authority's revocation list as it is now."""
        self._store, self._clock = store, clock
        self._signer, self._revoked = signer, revoked
        self._lock = threading.Lock()
        self._waiting: dict[str, list[_Waiting]] = {}
        self._delivered: set[tuple[str, str, int]] = set()
        self.refresh()

    def issue(
        self,
        device: str,
        body: Body,
        *,
        role: str,
        actor: str,
        starts_unix_time_second: float,
        expires_unix_time_second: float,
        model_digest: str = "",
    ) -> Order:
        """An order that the hub signs, for a person or for a model.

        Raises:
            UsageError: this hub signs nothing, or the times cannot be.
            IdentityError: the role may not order that.
            Declined: there is no such device.
        """
        signer = self._signer
        if signer is None:
            raise UsageError("this hub signs no orders", hint="Sign it yourself.")
        issuer = Identity.of(signer.certificate).uri()
        order = Order(
            device,
            issuer,
            role,
            actor,
            1,
            self._clock(),
            starts_unix_time_second,
            expires_unix_time_second,
            model_digest,
            body,
        )
        self._check(order)

        def write() -> tuple[Order, Delivery]:
            touch(self._store, "ordered")
            numbered = replace(order, sequence=self.next_sequence(device, issuer))
            signed = sign_order(numbered, signer.key, signer.certificate)
            delivery = Delivery.of(signed, signer.certificate)
            self._add(numbered, delivery)
            return numbered, delivery

        numbered, delivery = insist(self._store, write)
        self._await(_Waiting(numbered, delivery))
        return numbered

    def admit(self, device: str, delivery: Delivery, who: Identity, roots: Roots) -> Order:
        """An order that a person has signed.

        Raises:
            DecodeError: it is none.
            TrustError: it is not signed by whom it names, or by somebody else than who brings it.
            ReplayError: there is one of that or a later sequence.
            UsageError: the times cannot be, or it is for another device.
            Declined: there is no such device.
        """
        signed, order = open_order(delivery.order)
        certificate = load_certificate(delivery.certificate)
        identity = roots.check(certificate, utc(self._clock()))
        if thumbprint(certificate) != signed.thumbprint or order.issuer != identity.uri():
            raise IdentityError("the order is not signed by whom it names", hint="Sign it again.")
        signed.verify(certificate.public_key())  # type: ignore[arg-type]  # verify refuses others
        if identity != who or (order.role, order.actor) != (who.role, who.name):
            raise IdentityError("somebody else signed this order", hint="Bring your own.")
        if order.device != device:
            raise UsageError("the order is for another battery", hint="Name that one.")
        self._check(order)

        def write() -> None:
            touch(self._store, "ordered")
            expected = self.next_sequence(order.device, order.issuer)
            if order.sequence < expected:
                raise ReplayError(
                    f"order {order.sequence} comes after {expected - 1}",
                    hint="Ask for the next sequence, and sign again.",
                )
            self._add(order, delivery)

        insist(self._store, write)
        self._await(_Waiting(order, delivery))
        return order

    def next_sequence(self, device: str, issuer: str) -> int:
        """The number of the next order of an issuer to a device. [1]"""
        found = self._store.rows(
            "SELECT max(sequence) FROM ordered WHERE device = ? AND issuer = ?", [device, issuer]
        )
        return int(found[0][0] or 0) + 1

    def post(self, device: str, seen: Mapping[str, int]) -> Post:
        """What waits for a device that has seen so much."""
        now = self._clock()
        with self._lock:
            waiting = [one for one in self._waiting.get(device, ()) if _lasts(one.order, now)]
            if waiting:
                self._waiting[device] = waiting
            else:
                self._waiting.pop(device, None)
        fresh = [one for one in waiting if one.order.sequence > seen.get(one.order.issuer, 0)]
        fresh = sorted(fresh, key=lambda one: (one.order.issuer, one.order.sequence))
        posted = fresh[:_POSTED_COUNT]
        self._note_delivered(posted, now)
        return Post(now, tuple(one.delivery for one in posted), self._revoked())

    def refresh(self) -> None:
        """Take up what other hubs have added."""
        rows = self._store.rows(
            f"SELECT {_COLUMNS} FROM ordered WHERE expires_unix_time_second > ?", [self._clock()]
        )
        waiting: dict[str, list[_Waiting]] = {}
        for device, issuer, sequence, encoded, certificate in rows:
            delivery = Delivery(bytes(encoded), bytes(certificate))
            try:
                order = open_order(delivery.order)[1]
            except DataError:
                _log.warning(
                    "a stored order is none", device=device, issuer=issuer, number=sequence
                )
                continue
            waiting.setdefault(device, []).append(_Waiting(order, delivery))
        with self._lock:
            self._waiting = waiting

    def _check(self, order: Order) -> None:
        """What no device would obey is not kept."""
        if order.role not in MAY_ORDER[order.kind]:
            raise IdentityError(
                f"the role {order.role} may not order {order.kind}", hint="Ask somebody who may."
            )
        now, starts = order.issued_unix_time_second, order.starts_unix_time_second
        expires = order.expires_unix_time_second
        if not (starts < expires and self._clock() < expires <= now + LONGEST_ORDER_SECOND):
            raise UsageError(
                "an order ends after it begins, and within a week", hint="Give it other times."
            )
        known = self._store.rows("SELECT count(*) FROM device WHERE device = ?", [order.device])
        if not known[0][0]:
            missing = UsageError("there is no such battery", hint="Look at the fleet.")
            raise Declined(404, missing)
        with self._lock:
            waiting = len([o for o in self._waiting.get(order.device, ()) if _lasts(o.order, now)])
        if waiting >= _WAITING_COUNT:
            many = UsageError("too many orders wait for this battery", hint="Let some run out.")
            raise Declined(429, many, {"Retry-After": "60"})

    def _add(self, order: Order, delivery: Delivery) -> None:
        self._store.add(
            "ordered",
            device=order.device,
            issuer=order.issuer,
            sequence=order.sequence,
            kind=order.kind,
            role=order.role,
            actor=order.actor,
            model_digest=order.model_digest,
            body=json.dumps(describe(order.body)),
            issued_unix_time_second=order.issued_unix_time_second,
            starts_unix_time_second=order.starts_unix_time_second,
            expires_unix_time_second=order.expires_unix_time_second,
            digest=digest_of(delivery.order).hex(),
            encoded=delivery.order,
            certificate=delivery.certificate,
        )

    def _await(self, one: _Waiting) -> None:
        now = self._clock()
        with self._lock:
            before = self._waiting.get(one.order.device, ())
            # A refresh may have brought it meanwhile.
            kept = [o for o in before if _lasts(o.order, now) and o.delivery != one.delivery]
            self._waiting[one.order.device] = [*kept, one]

    def _note_delivered(self, posted: Iterable[_Waiting], now: float) -> None:
        fresh = [one for one in posted if _name(one.order) not in self._delivered]
        if not fresh:
            return

        def write() -> None:
            for one in fresh:
                self._store.add(
                    "order_event",
                    device=one.order.device,
                    issuer=one.order.issuer,
                    sequence=one.order.sequence,
                    digest=digest_of(one.delivery.order).hex(),
                    event="delivered",
                    message="",
                    count=1,
                    unix_time_second=now,
                )

        insist(self._store, write)
        if len(self._delivered) > _REMEMBERED_COUNT:  # a delivery may then be noted twice
            self._delivered.clear()
        self._delivered |= {_name(one.order) for one in fresh}


def _lasts(order: Order, now: float) -> bool:
    return order.expires_unix_time_second > now


def _name(order: Order) -> tuple[str, str, int]:
    return order.device, order.issuer, order.sequence


def describe(body: Body) -> dict[str, Any]:
    """What an order asks for, as people read it."""
    match body:
        case Curb():
            free = Curb()
            named = {name: getattr(body, name) for name in Curb.__slots__}
            return {name: value for name, value in named.items() if value != getattr(free, name)}
        case Plan():
            return {
                "start_unix_time_second": body.start_unix_time_second.tolist(),
                "charge_watt": body.charge_watt.tolist(),
                "discharge_watt": body.discharge_watt.tolist(),
            }
        case Wish():
            return {"request": None if body.request is None else str(body.request)}
