"""When a device obeys: all rules in one step that can do no I/O.

An order is obeyed only if, in this order,
1. it is a signed order in the only encoding that it may have (`malformed`);
2. its signer's certificate is of our authority, good now and not revoked (`foreign issuer`), and
   the signature holds under it (`altered`);
3. it is for this device (`foreign device`);
4. it was issued by who signed it, in a role that may order such a thing, a hub only for roles that
   this device lets it speak for (`wrong role`);
5. its sequence is above every one that was judged of that issuer (`replayed`);
6. it is neither over, nor issued in the future, nor meant to hold too long (`expired`,
   `from the future`, `too long`), on a clock that is not set back;
7. the model that made it is one that this device was told to obey (`unknown model`);
8. it asks for nothing that the pack would not allow by itself (`loosening`).

The sequence of an order that passes 1 to 5 is used up, whatever is thought of the rest. What is
held is bounded; more is refused (`too many`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from types import MappingProxyType
from typing import Final

import numpy as np

from cellwarden.domain import Finding, Plan, Request, Severity
from cellwarden.domain.curb import FREE, Curb, Ordered, Room
from cellwarden.errors import DataError, Error, IdentityError, SealError
from cellwarden.trust.envelope import Signed
from cellwarden.trust.identity import Identity, Roots, load_certificate, thumbprint, utc
from cellwarden.wire.order import (
    LONGEST_ORDER_SECOND,
    Delivery,
    Order,
    Wish,
    digest_of,
    open_order,
)

__all__ = [
    "LONGEST_MESSAGE",
    "MAY_ORDER",
    "MODEL_ROLE",
    "REMOTE_REQUESTS",
    "Book",
    "Outcome",
    "Reason",
    "Rules",
    "drop_expired",
    "in_force",
    "judge",
]

MODEL_ROLE: Final = "model"
_PEOPLE: Final = frozenset({"operator", "administrator"})
MAY_ORDER: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "limits": _PEOPLE | {MODEL_ROLE},
        "plan": _PEOPLE | {MODEL_ROLE},
        "request": _PEOPLE,
    }
)
# To connect, to serve and to reset a latched fault is asked for at the pack alone.
REMOTE_REQUESTS: Final = (Request.STANDBY, Request.BALANCE, Request.CHARGE)
_AHEAD_SECOND: Final = 300.0  # clocks differ by so much
LONGEST_MESSAGE: Final = 200
_HELD_COUNT: Final = 64
_OWN_COUNT: Final = 16
_ISSUER_COUNT: Final = 64


class Reason(StrEnum):
    """What became of an order."""

    OBEYED = "obeyed"
    MALFORMED = "malformed"
    FOREIGN_ISSUER = "foreign issuer"
    ALTERED = "altered"
    FOREIGN_DEVICE = "foreign device"
    WRONG_ROLE = "wrong role"
    REPLAYED = "replayed"
    EXPIRED = "expired"
    FROM_THE_FUTURE = "from the future"
    TOO_LONG = "too long"
    UNKNOWN_MODEL = "unknown model"
    LOOSENING = "loosening"
    TOO_MANY = "too many"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a device thinks of one order, as it tells the hub.

    `issuer` is empty where nobody can be named, `digest` is that of the signed message;
    `count` is above one where orders were no longer looked at one by one.
    """

    reason: Reason
    issuer: str
    sequence: int
    digest: bytes
    message: str
    unix_time_second: float
    count: int = 1

    def finding(self) -> Finding | None:
        """What people look at; None where the order was obeyed."""
        if self.reason is Reason.OBEYED:
            return None
        who = self.issuer or "somebody unknown"
        many = f", {self.count} times" if self.count > 1 else ""
        return Finding(
            kind="order",
            severity=Severity.ALARM if self.reason in _HOSTILE else Severity.WARNING,
            signal=str(self.reason),
            unix_time_second=self.unix_time_second,
            message=f"an order of {who} was refused ({self.reason}{many}): {self.message}",
            evidence={"sequence": float(self.sequence), "count": float(self.count)},
        )


# What no honest hub sends.
_HOSTILE: Final = frozenset(
    {
        Reason.MALFORMED,
        Reason.FOREIGN_ISSUER,
        Reason.ALTERED,
        Reason.FOREIGN_DEVICE,
        Reason.WRONG_ROLE,
        Reason.REPLAYED,
    }
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What this device goes by."""

    device: str
    room: Room
    models: frozenset[str] = frozenset()
    hub_speaks_for: frozenset[str] = _PEOPLE | {MODEL_ROLE}


@dataclass(frozen=True, slots=True)
class Book:
    """The last sequence of each issuer, and the orders that are not over."""

    seen: Mapping[str, int] = field(default_factory=dict)
    held: tuple[Order, ...] = ()


class _RefusedError(Exception):
    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def judge(
    book: Book, delivery: Delivery, rules: Rules, roots: Roots, now: float
) -> tuple[Book, Outcome]:
    """The book after one order, and what became of it."""
    digest = digest_of(delivery.order)
    issuer, sequence = "", 0
    try:
        signed, order = _opened(delivery)
        identity = _believed(signed, delivery, roots, now)
        issuer, sequence = identity.uri(), order.sequence
        _check_addressee(order, identity, rules)
        book = _count(book, issuer, sequence)
        _check_time(order, now)
        _check_model(order, rules)
        _check_tightens(order, rules.room)
        book = _hold(book, order, now)
    except _RefusedError as refused:
        said = str(refused)[:LONGEST_MESSAGE]
        return book, Outcome(refused.reason, issuer, sequence, digest, said, now)
    return book, Outcome(Reason.OBEYED, issuer, sequence, digest, order.kind, now)


def _count(book: Book, issuer: str, sequence: int) -> Book:
    last = book.seen.get(issuer, 0)
    if sequence <= last:
        raise _RefusedError(Reason.REPLAYED, f"{sequence} does not come after {last}")
    if not last and len(book.seen) >= _ISSUER_COUNT:
        raise _RefusedError(Reason.TOO_MANY, "too many issuers have given orders")
    return replace(book, seen={**book.seen, issuer: sequence})


def _opened(delivery: Delivery) -> tuple[Signed, Order]:
    try:
        return open_order(delivery.order)
    except DataError as error:
        raise _RefusedError(Reason.MALFORMED, str(error)) from error


def _believed(signed: Signed, delivery: Delivery, roots: Roots, now: float) -> Identity:
    """Who signed it."""
    try:
        certificate = load_certificate(delivery.certificate)
        identity = roots.check(certificate, utc(now))
        if thumbprint(certificate) != signed.thumbprint:
            raise IdentityError("signed with another certificate than the one beside it")
        signed.verify(certificate.public_key())  # type: ignore[arg-type]  # verify refuses others
    except SealError as error:
        raise _RefusedError(Reason.ALTERED, str(error)) from error
    except Error as error:
        raise _RefusedError(Reason.FOREIGN_ISSUER, str(error)) from error
    return identity


def _check_addressee(order: Order, signer: Identity, rules: Rules) -> None:
    if order.device != rules.device:
        raise _RefusedError(Reason.FOREIGN_DEVICE, f"it is for {order.device}")
    if order.issuer != signer.uri():
        raise _RefusedError(Reason.WRONG_ROLE, f"signed in the name of {order.issuer}")
    if signer.kind == "operator":
        if (order.role, order.actor) != (signer.role, signer.name):
            raise _RefusedError(Reason.WRONG_ROLE, f"{signer.name} has the role {signer.role}")
    elif signer.kind != "hub" or order.role not in rules.hub_speaks_for:
        raise _RefusedError(Reason.WRONG_ROLE, f"a {signer.kind} may not order as {order.role}")
    if order.role not in MAY_ORDER[order.kind]:
        raise _RefusedError(Reason.WRONG_ROLE, f"the role {order.role} may not order {order.kind}")


def _check_time(order: Order, now: float) -> None:
    issued, expires = order.issued_unix_time_second, order.expires_unix_time_second
    if expires <= now:
        raise _RefusedError(Reason.EXPIRED, f"it was over {now - expires:.0f} s ago")
    if issued > now + _AHEAD_SECOND:
        raise _RefusedError(Reason.FROM_THE_FUTURE, f"issued {issued - now:.0f} s ahead")
    if expires - issued > LONGEST_ORDER_SECOND or expires <= order.starts_unix_time_second:
        raise _RefusedError(Reason.TOO_LONG, f"it would hold for {expires - issued:.0f} s")


def _check_model(order: Order, rules: Rules) -> None:
    if (order.role == MODEL_ROLE) != bool(order.model_digest):
        raise _RefusedError(Reason.UNKNOWN_MODEL, "a model's order names its model, no other does")
    if order.model_digest and order.model_digest not in rules.models:
        named = order.model_digest[:12]
        raise _RefusedError(Reason.UNKNOWN_MODEL, f"model {named} is not on this device's list")


def _check_tightens(order: Order, room: Room) -> None:
    """What is not given stands where it asks for nothing, and is not looked at."""
    charge, discharge = room.high_charge_current_ampere, room.high_discharge_current_ampere
    asked: tuple[tuple[str, float, float], ...] = ()
    match order.body:
        case Curb() as curb:
            high, low = curb.high_soc_fraction, curb.low_soc_fraction
            asked = (
                ("charge current", _given(curb.high_charge_current_ampere), charge),
                ("discharge current", _given(curb.high_discharge_current_ampere), discharge),
                ("highest charge", high if high < 1.0 else 0.0, room.high_soc_fraction),
                ("lowest charge", 1.0 - low if low > 0.0 else 0.0, 1.0 - room.low_soc_fraction),
            )
        case Plan() as plan:
            volt = room.high_voltage_volt
            asked = (
                ("charging power", _highest(plan.charge_watt), charge * volt),
                ("discharging power", _highest(plan.discharge_watt), discharge * volt),
            )
        case Wish(request) if request is not None and request not in REMOTE_REQUESTS:
            raise _RefusedError(Reason.LOOSENING, f"{request} is asked for at the pack alone")
    for name, value, limit in asked:
        if value > limit:
            raise _RefusedError(
                Reason.LOOSENING, f"{name} of {value:g}, the pack itself allows {limit:g}"
            )


def _given(value: float) -> float:
    return value if value < inf else 0.0


def _highest(column: np.ndarray) -> float:
    return float(column.max()) if len(column) else 0.0


def _hold(book: Book, order: Order, now: float) -> Book:
    """Beside what is not over; it replaces what its issuer has ordered of that kind before.

    An order that begins later replaces nothing before it begins.
    """

    def stays(one: Order) -> bool:
        same = (one.issuer, one.kind) == (order.issuer, order.kind)
        return not same or one.starts_unix_time_second < order.starts_unix_time_second > now

    kept = tuple(one for one in drop_expired(book, now).held if stays(one))
    own = sum(one.issuer == order.issuer for one in kept)
    if len(kept) >= _HELD_COUNT or own >= _OWN_COUNT:
        raise _RefusedError(Reason.TOO_MANY, f"{own} orders of this issuer are held already")
    return replace(book, held=(*kept, order))


def drop_expired(book: Book, now: float) -> Book:
    """Without what is over: it never comes back, whatever a clock says later."""
    held = tuple(one for one in book.held if one.expires_unix_time_second > now)
    return book if len(held) == len(book.held) else replace(book, held=held)


def in_force(book: Book, now: float) -> Ordered:
    """All that is ordered for now, taken together: of each the tightest."""
    newest: dict[tuple[str, str], Order] = {}
    for order in book.held:
        if order.starts_unix_time_second <= now < order.expires_unix_time_second:
            key = (order.issuer, order.kind)
            if key not in newest or newest[key].sequence < order.sequence:
                newest[key] = order
    bodies = [order.body for order in newest.values()]
    if not bodies:
        return FREE
    curb = Curb()
    for body in bodies:
        curb = curb.both(body) if isinstance(body, Curb) else curb
    wishes = {body.request for body in bodies if isinstance(body, Wish)}
    request = next((one for one in REMOTE_REQUESTS if one in wishes), None)
    ceilings = [_planned(body, now) for body in bodies if isinstance(body, Plan)]
    return Ordered(curb, request, *_lowest(ceilings))


def _planned(plan: Plan, now: float) -> tuple[float, float]:
    """Ceilings of the interval that now is in; before the first there are none."""
    index = int(np.searchsorted(plan.start_unix_time_second, now, side="right")) - 1
    if index < 0:
        return inf, inf
    return float(plan.charge_watt[index]), float(plan.discharge_watt[index])


def _lowest(ceilings: Sequence[tuple[float, float]]) -> tuple[float, float]:
    charge = min((one for one, _ in ceilings), default=inf)
    return charge, min((other for _, other in ceilings), default=inf)
