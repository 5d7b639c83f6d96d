"""An order of the hub, or of a person, to one device: what is signed, and by whom.

- An order is a COSE_Sign1 over deterministic CBOR, as everything that is signed here; its signer's
  certificate travels beside it, and says who the issuer is.
- A person signs with a certificate of their own, and no hub can sign in their name. A hub signs
  for people who came through its pages, and for models; then the order names role and person.
- A model's order names the digest of the model that made it; a person's names none.
- What an order asks for is one of three: bounds (`Curb`), powers over time (`Plan`), or a
  `Request`. An empty one of its kind takes the one before back.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Final

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cellwarden.domain import Plan, Request, check_name
from cellwarden.domain.curb import Curb
from cellwarden.errors import DecodeError, Error
from cellwarden.trust.envelope import Signed, SigningKey, from_cbor, open_signed, sign, to_cbor
from cellwarden.trust.identity import thumbprint

__all__ = [
    "LONGEST_ORDER_BYTES",
    "LONGEST_ORDER_SECOND",
    "ORDER_TYPE",
    "Body",
    "Delivery",
    "Order",
    "Post",
    "Wish",
    "decode_post",
    "decode_seen",
    "digest_of",
    "encode_post",
    "encode_seen",
    "open_order",
    "sign_order",
]

ORDER_TYPE: Final = "application/cellwarden-order+cbor"
LONGEST_ORDER_BYTES: Final = 16 << 10
LONGEST_ORDER_SECOND: Final = 7 * 86_400.0  # an order that holds longer has to be given again
_LONGEST_PLAN: Final = 672  # a week of quarters of an hour
_LONGEST_TEXT: Final = 200
_DIGEST_LETTERS: Final = 64
_COUNT: Final = 1 << 53  # what a double still counts
_ISSUERS: Final = 256


@dataclass(frozen=True, slots=True)
class Wish:
    """What the pack should do; None takes an earlier wish back."""

    request: Request | None


Body = Curb | Plan | Wish


@dataclass(frozen=True, slots=True)
class Order:
    """What is signed. `issuer` is the SPIFFE ID of the signer, `actor` who asked the hub for it."""

    device: str
    issuer: str
    role: str
    actor: str
    sequence: int
    issued_unix_time_second: float
    starts_unix_time_second: float
    expires_unix_time_second: float
    model_digest: str
    body: Body

    @property
    def kind(self) -> str:
        """Which of the three it is; the next of the same issuer and kind replaces it."""
        return _KINDS[type(self.body)]

    def payload(self) -> bytes:
        """The bytes that are signed."""
        return to_cbor(
            {
                "device": self.device,
                "issuer": self.issuer,
                "role": self.role,
                "actor": self.actor,
                "sequence": self.sequence,
                "issued_unix_time_second": float(self.issued_unix_time_second),
                "starts_unix_time_second": float(self.starts_unix_time_second),
                "expires_unix_time_second": float(self.expires_unix_time_second),
                "model_digest": self.model_digest,
                self.kind: _tell(self.body),
            }
        )

    @staticmethod
    def of(signed: Signed) -> "Order":
        """The order in a signed message whose signature somebody has checked or will check.

        Raises:
            DecodeError: it is something else, or a number in it cannot be.
        """
        if signed.content_type != ORDER_TYPE:
            raise _no_order()
        return Order.decode(signed.payload)

    @staticmethod
    def decode(payload: bytes) -> "Order":
        """From the bytes that were signed, by a reader who knows that they were.

        Raises:
            DecodeError: likewise.
        """
        told = from_cbor(payload, "the order")
        if not isinstance(told, dict):
            raise _no_order()
        kinds = [kind for kind in _HEARD if kind in told]
        if len(kinds) != 1 or set(told) != {*_FIELDS, *kinds}:
            raise _no_order()
        told["body"] = _hear(kinds[0], told.pop(kinds[0]), told["device"])
        order = Order(**told)
        if not order._sound() or order.payload() != payload:
            raise _no_order()
        return order

    def _sound(self) -> bool:
        texts = (self.device, self.issuer, self.role, self.actor, self.model_digest)
        times = (
            self.issued_unix_time_second,
            self.starts_unix_time_second,
            self.expires_unix_time_second,
        )
        try:
            return (
                all(isinstance(text, str) and len(text) <= _LONGEST_TEXT for text in texts)
                and bool(check_name(self.device))
                and type(self.sequence) is int
                and 0 < self.sequence < _COUNT
                and all(type(at) is float and 0.0 <= at < inf for at in times)
                and _is_digest(self.model_digest)
            )
        except Error:
            return False


_FIELDS: Final = frozenset(Order.__slots__) - {"body"}
_KINDS: Final[Mapping[type[Body], str]] = {Curb: "limits", Plan: "plan", Wish: "request"}
_HEARD: Final = tuple(_KINDS.values())


def sign_order(order: Order, key: SigningKey, certificate: x509.Certificate) -> bytes:
    """The order as a COSE_Sign1."""
    return sign(order.payload(), key, content_type=ORDER_TYPE, thumbprint=thumbprint(certificate))


def open_order(encoded: bytes) -> tuple[Signed, Order]:
    """A signed order taken apart, its signature not yet believed.

    Raises:
        DecodeError: it is none.
    """
    if len(encoded) > LONGEST_ORDER_BYTES:
        raise DecodeError("an order is too long", hint=f"At most {LONGEST_ORDER_BYTES} bytes.")
    signed = open_signed(encoded)
    return signed, Order.of(signed)


def digest_of(encoded: bytes) -> bytes:
    """How reports name an order: SHA-256 over the signed message."""
    return hashlib.sha256(encoded).digest()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A signed order with the certificate of its signer, DER."""

    order: bytes
    certificate: bytes

    @staticmethod
    def of(order: bytes, certificate: x509.Certificate) -> "Delivery":
        """An order and its signer's certificate."""
        return Delivery(order, certificate.public_bytes(Encoding.DER))


@dataclass(frozen=True, slots=True)
class Post:
    """What a device gets when it asks for orders.

    `hub_unix_time_second` is the hub's clock, believed as far as the connection is; `revoked` the
    authority's revocation list in PEM, which stands for itself, or empty.
    """

    hub_unix_time_second: float
    deliveries: tuple[Delivery, ...] = ()
    revoked: bytes = b""


def encode_post(post: Post) -> bytes:
    """As bytes."""
    return to_cbor(
        {
            "hub_unix_time_second": float(post.hub_unix_time_second),
            "orders": [[one.order, one.certificate] for one in post.deliveries],
            "revoked": post.revoked,
        }
    )


def decode_post(data: bytes) -> Post:
    """From bytes.

    Raises:
        DecodeError: not what a hub answers.
    """
    match from_cbor(data, "the hub's orders"):
        case {
            "hub_unix_time_second": float(now),
            "orders": [*orders],
            "revoked": bytes(revoked),
            **rest,
        } if not rest and 0.0 <= now < inf:
            return Post(now, tuple(_hear_delivery(one) for one in orders), revoked)
        case _:
            raise DecodeError("not the hub's orders", hint="Check the hub's address and version.")


def encode_seen(seen: Mapping[str, int]) -> bytes:
    """The last sequence of each issuer that a device has judged."""
    return to_cbor({issuer: int(sequence) for issuer, sequence in seen.items()})


def decode_seen(data: bytes) -> dict[str, int]:
    """From bytes.

    Raises:
        DecodeError: not what a device asks.
    """
    told = from_cbor(data, "the request for orders")
    if not isinstance(told, dict) or len(told) > _ISSUERS:
        raise _no_request()
    for issuer, sequence in told.items():
        if not (isinstance(issuer, str) and type(sequence) is int and 0 <= sequence < _COUNT):
            raise _no_request()
    return told


def _no_request() -> DecodeError:
    return DecodeError("not a request for orders", hint="Update the sender's software.")


def _no_order() -> DecodeError:
    return DecodeError("not an order", hint="Update the sender's software.")


def _hear_delivery(told: object) -> Delivery:
    match told:
        case [bytes(order), bytes(certificate)]:
            return Delivery(order, certificate)
        case _:
            raise DecodeError("not the hub's orders", hint="Check the hub's address and version.")


def _is_digest(text: str) -> bool:
    return not text or (len(text) == _DIGEST_LETTERS and set(text) <= set("0123456789abcdef"))


def _tell(body: Body) -> Any:
    match body:
        case Curb():
            free = Curb()
            named = ((name, getattr(body, name)) for name in Curb.__slots__)
            return {name: float(value) for name, value in named if value != getattr(free, name)}
        case Plan():
            columns = (body.start_unix_time_second, body.charge_watt, body.discharge_watt)
            return [[float(value) for value in column] for column in columns]
        case Wish():
            return None if body.request is None else str(body.request)


def _hear(kind: str, told: Any, device: Any) -> Body:
    try:
        match kind, told:
            case "limits", {**named} if set(named) <= set(Curb.__slots__) and _floats(
                list(named.values())
            ):
                numbers: dict[Any, Any] = named
                return Curb(**numbers)
            case "plan", [[*starts], [*charge], [*discharge]] if all(
                _floats(column) for column in (starts, charge, discharge)
            ):
                return _plan(str(device), starts, charge, discharge)
            case "request", None:
                return Wish(None)
            case "request", str(name) if name in list(Request):
                return Wish(Request(name))
    except Error as error:  # a value that refuses such numbers
        raise _no_order() from error
    raise _no_order()


def _floats(column: Sequence[Any]) -> bool:
    return all(type(value) is float and abs(value) < inf for value in column)


def _plan(device: str, starts: list[Any], charge: list[Any], discharge: list[Any]) -> Plan:
    at = np.array(starts, dtype=np.float64)
    if len(at) > _LONGEST_PLAN or np.any(np.diff(at) <= 0):
        raise _no_order()
    return Plan(device, at, np.array(charge, np.float64), np.array(discharge, np.float64))
