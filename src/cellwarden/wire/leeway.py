"""How far a device may adapt by itself: bounds that an administrator has signed for it.

A leeway is a COSE_Sign1 over deterministic CBOR, with its signer's certificate beside it. It names
the device and runs out; without one, or with one that is over, a device adapts nothing.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from cryptography import x509

from cellwarden.domain import Regime, RegimeBounds
from cellwarden.errors import DecodeError, Error, IdentityError, UsageError
from cellwarden.trust.envelope import SigningKey, from_cbor, to_cbor
from cellwarden.trust.identity import Roots
from cellwarden.trust.warrant import open_warrant, sign_warrant

__all__ = ["LEEWAY_TYPE", "Leeway", "open_leeway", "sign_leeway"]

LEEWAY_TYPE: Final = "application/cellwarden-leeway+cbor"
_NAMED: Final = ("the bounds of a device", "give bounds")
_SCALARS: Final = (
    "applies",
    "unmet_day_fraction",
    "unserved_fraction",
    "expires_unix_time_second",
)


@dataclass(frozen=True, slots=True)
class Leeway:
    """Bounds of one device."""

    device: str
    bounds: RegimeBounds

    def payload(self) -> bytes:
        """The bytes that are signed."""
        told: dict[str, Any] = {name: getattr(self.bounds, name) for name in _SCALARS}
        ends = {"gentle": asdict(self.bounds.gentle), "free": asdict(self.bounds.free)}
        return to_cbor({"device": self.device, **told, **ends})


def sign_leeway(leeway: Leeway, key: SigningKey, certificate: x509.Certificate) -> bytes:
    """The leeway, signed, with the certificate of its signer.

    Raises:
        UsageError: it would never run out.
    """
    if not math.isfinite(leeway.bounds.expires_unix_time_second):
        raise UsageError("bounds have to run out", hint="Give the time at which they do.")
    return sign_warrant(leeway.payload(), LEEWAY_TYPE, key, certificate)


def open_leeway(encoded: bytes, device: str, roots: Roots, now: float) -> RegimeBounds:
    """Bounds that are to be believed now.

    Raises:
        DecodeError: it is none.
        TrustError: an administrator of our authority has not signed it, it was altered, or it is
            another device's.
    """
    leeway = _hear(open_warrant(encoded, LEEWAY_TYPE, _NAMED, roots, now))
    if leeway.device != device:
        raise IdentityError(f"these bounds are {leeway.device}'s", hint="Sign some for this one.")
    return leeway.bounds


def _hear(payload: bytes) -> Leeway:
    told = from_cbor(payload, "the leeway")
    if not isinstance(told, dict) or set(told) != {"device", "gentle", "free", *_SCALARS}:
        raise _no_leeway()
    device, applies = told["device"], told["applies"]
    numbers = [told[name] for name in _SCALARS[1:]]
    if not (isinstance(device, str) and type(applies) is bool and all(map(_is_number, numbers))):
        raise _no_leeway()
    try:
        ends = (_regime(told["gentle"]), _regime(told["free"]))
        return Leeway(device, RegimeBounds(*ends, applies, *numbers))
    except Error as error:  # a value that refuses such numbers
        raise _no_leeway() from error


def _regime(told: Any) -> Regime:
    names = {field.name for field in fields(Regime)}
    if not isinstance(told, dict) or set(told) != names or not all(map(_is_number, told.values())):
        raise _no_leeway()
    return Regime(**told)


def _is_number(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


def _no_leeway() -> DecodeError:
    return DecodeError("not the bounds of a device", hint="Sign them again.")
