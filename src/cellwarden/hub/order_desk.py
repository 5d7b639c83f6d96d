"""Orders over HTTP: people give and see them, devices ask for them."""

import asyncio
import base64
import binascii
import json
from collections.abc import Callable
from typing import Annotated, Any, Final

import numpy as np
from fastapi import FastAPI
from fastapi import Path as PathPart
from starlette.requests import Request

from cellwarden.domain import Curb, Plan
from cellwarden.domain import Request as PackRequest
from cellwarden.errors import DecodeError, Error, IdentityError, UsageError
from cellwarden.hub.access import Principal
from cellwarden.hub.contract import NewOrder, OrderBody, OrderEvent, Orders, SignedOrder
from cellwarden.hub.ingest import Peer
from cellwarden.hub.orders import OrderBook, describe
from cellwarden.hub.service import Hub
from cellwarden.hub.trail import Trail
from cellwarden.trust.identity import Identity
from cellwarden.wire.obedience import Reason
from cellwarden.wire.order import Body, Delivery, Order, Wish, decode_seen, digest_of, encode_post

__all__ = ["OrderDesk", "add_orders", "answer_device"]

_SHOWN: Final = 200
_DELIVERED: Final = "delivered"
_COLUMNS: Final = (
    "issuer, sequence, kind, role, actor, model_digest, body, issued_unix_time_second,"
    " starts_unix_time_second, expires_unix_time_second, digest"
)
_EVENTS: Final = "issuer, sequence, digest, event, message, count, unix_time_second"
Name = Annotated[str, PathPart(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class OrderDesk:
    """What people do with orders, with its line in the audit trail."""

    def __init__(self, hub: Hub, book: OrderBook, trail: Trail) -> None:
        self._hub, self._book, self._trail = hub, book, trail

    def give(self, who: Principal, device: str, told: NewOrder) -> OrderBody:
        """An order that the hub signs for somebody.

        Raises:
            Error: it cannot be, or who asks may not.
        """
        now = self._hub.clock()
        starts = now if told.starts_unix_time_second is None else told.starts_unix_time_second
        try:
            body = _body_of(told, device)
            order = self._book.issue(
                device,
                body,
                role=str(who.role),
                actor=who.name,
                starts_unix_time_second=starts,
                expires_unix_time_second=starts + told.lasts_second,
            )
        except Error:
            self._trail.note(who.actor, "order", device, "not given")
            raise
        return self._given(who, order, "")

    def bring(self, who: Principal, peer: Peer, device: str, told: SignedOrder) -> OrderBody:
        """An order that somebody has signed themselves.

        Raises:
            Error: it does not hold, or is somebody else's.
        """
        try:
            delivery = Delivery(_bytes(told.order), _bytes(told.certificate))
            order = self._book.admit(device, delivery, peer.identity, self._hub.ingest.roots)
        except Error:
            self._trail.note(who.actor, "order", device, "not given")
            raise
        return self._given(who, order, digest_of(delivery.order).hex())

    def _given(self, who: Principal, order: Order, digest: str) -> OrderBody:
        subject = f"{order.device} {order.kind} {order.sequence} {json.dumps(describe(order.body))}"
        self._trail.note(who.actor, "order", subject)
        return _shown(order, digest)

    def listed(self, device: str, issuer: str) -> Orders:
        """All orders to a battery, newest first."""
        now = self._hub.clock()
        rows = self._hub.store.rows(
            f"SELECT {_COLUMNS} FROM ordered WHERE device = ?"
            " ORDER BY issued_unix_time_second DESC, sequence DESC LIMIT ?",
            [device, _SHOWN],
        )
        events = [
            OrderEvent(**dict(zip(_EVENTS.split(", "), row, strict=True)))
            for row in self._hub.store.rows(
                f"SELECT {_EVENTS} FROM order_event WHERE device = ?"
                " ORDER BY unix_time_second DESC LIMIT ?",
                [device, 4 * _SHOWN],
            )
        ]
        known = {row[-1] for row in rows}
        return Orders(
            orders=[_stands(row, events, now) for row in rows],
            strange=[one for one in events if _is_strange(one, known)][:_SHOWN],
            next_sequence=self._book.next_sequence(device, issuer),
        )


def _is_strange(event: OrderEvent, known: set[str]) -> bool:
    """What no hub has given, and what was given but came once more or in another shape."""
    return event.digest not in known or event.event == Reason.REPLAYED


def _body_of(told: NewOrder, device: str) -> Body:
    given = [name for name in ("limits", "plan", "request", "withdraw") if getattr(told, name)]
    if len(given) != 1:
        raise UsageError("an order is one thing", hint="Give limits, plan, request or withdraw.")
    if told.limits is not None:
        return Curb(**told.limits.model_dump(exclude_none=True))
    if told.plan is not None:
        return _plan(
            device,
            told.plan.start_unix_time_second,
            told.plan.charge_watt,
            told.plan.discharge_watt,
        )
    if told.request is not None:
        return Wish(PackRequest(told.request))
    empty: dict[str | None, Body] = {
        "limits": Curb(),
        "plan": _plan(device, [], [], []),
        "request": Wish(None),
    }
    return empty[told.withdraw]


def _plan(device: str, starts: list[float], charge: list[float], discharge: list[float]) -> Plan:
    columns = [np.array(column, dtype=np.float64) for column in (starts, charge, discharge)]
    if not all(np.all(np.isfinite(column)) for column in columns) or np.any(
        np.diff(columns[0]) <= 0
    ):
        raise UsageError("a plan has numbers, at times that rise", hint="Sort its intervals.")
    return Plan(device, *columns)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError("not base64", hint="Send the signed bytes in base64.") from error


def _shown(order: Order, digest: str) -> OrderBody:
    return OrderBody(
        issuer=order.issuer,
        sequence=order.sequence,
        kind=order.kind,
        role=order.role,
        actor=order.actor,
        model_digest=order.model_digest,
        body=describe(order.body),
        issued_unix_time_second=order.issued_unix_time_second,
        starts_unix_time_second=order.starts_unix_time_second,
        expires_unix_time_second=order.expires_unix_time_second,
        digest=digest,
        state="waiting",
        message="",
    )


def _stands(row: tuple[Any, ...], events: list[OrderEvent], now: float) -> OrderBody:
    named = dict(zip(_COLUMNS.split(", "), row, strict=True))
    own = [one for one in events if one.digest == named["digest"]]
    # The device's first word on it counts: that it was replayed later does not undo it.
    words = [one for one in own if one.event not in {_DELIVERED, Reason.REPLAYED}]
    said = words[-1] if words else next(iter(own), None)
    state = said.event if said else "waiting"
    if state in {"waiting", _DELIVERED, Reason.OBEYED} and named["expires_unix_time_second"] <= now:
        state = "over" if state == Reason.OBEYED else "never obeyed"
    message = said.message if said and said.event != Reason.OBEYED else ""
    return OrderBody(**{**named, "body": json.loads(named["body"])}, state=state, message=message)


def add_orders(app: FastAPI, desk: OrderDesk, peer_of: Callable[[Request], Peer]) -> None:
    """Routes for people."""

    def who(request: Request) -> Principal:
        principal: Principal = request.scope["cellwarden.principal"]
        return principal

    @app.get("/api/batteries/{device}/orders")
    def orders(request: Request, device: Name) -> Orders:
        """Orders to a battery and what became of them; refusals of orders that nobody gave."""
        principal = who(request)
        identity = Identity("operator", principal.name, str(principal.role))
        return desk.listed(device, identity.uri())

    @app.post("/api/batteries/{device}/orders")
    def give(request: Request, device: Name, told: NewOrder) -> OrderBody:
        """An order that the hub signs; the battery obeys it if it only tightens."""
        return desk.give(who(request), device, told)

    @app.post("/api/batteries/{device}/orders/signed")
    def bring(request: Request, device: Name, told: SignedOrder) -> OrderBody:
        """An order that whoever brings it has signed with the certificate of this connection."""
        if who(request).session is not None:
            raise IdentityError(
                "who signs orders comes with a certificate", hint="Use `cellwarden order`."
            )
        return desk.bring(who(request), peer_of(request), device, told)


async def answer_device(book: OrderBook, peer: Peer, body: bytes) -> bytes:
    """What waits for a device that has seen what `body` says.

    Raises:
        IdentityError: only devices get orders.
        DecodeError: the body is no request for orders.
        UnavailableError: the store does not serve.
    """
    if peer.identity.kind != "device":
        raise IdentityError("only a device gets orders", hint="Connect as the device.")
    seen = decode_seen(body)
    return encode_post(await asyncio.to_thread(book.post, peer.identity.name, seen))
