"""A model that a device may use or obey: its digest, what for, and who says so.

A grant is a COSE_Sign1 of an administrator over deterministic CBOR. It stands beside the model's
file in the device's folder, or alone: an order names a model by its digest, and the device obeys
it only if it holds a grant for that digest.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

from cryptography import x509

from cellwarden.errors import DecodeError, IdentityError
from cellwarden.trust.envelope import SigningKey, from_cbor, to_cbor
from cellwarden.trust.identity import Roots
from cellwarden.trust.warrant import open_warrant, sign_warrant

__all__ = ["GRANT_TYPE", "PURPOSES", "Grant", "open_grant", "sign_grant"]

GRANT_TYPE: Final = "application/cellwarden-grant+cbor"
PURPOSES: Final = ("soc", "soh", "anomaly", "order")
_NAMED: Final = ("a model's grant", "grant models")
_LONGEST_NAME: Final = 63
_DIGEST_LETTERS: Final = 64


@dataclass(frozen=True, slots=True)
class Grant:
    """Which model, what it may be used for, and by which device."""

    name: str
    digest: str
    purpose: str
    issued_unix_time_second: float
    device: str

    def payload(self) -> bytes:
        """The bytes that are signed."""
        return to_cbor(
            {
                "name": self.name,
                "digest": self.digest,
                "purpose": self.purpose,
                "issued_unix_time_second": float(self.issued_unix_time_second),
                "device": self.device,
            }
        )


def sign_grant(grant: Grant, key: SigningKey, certificate: x509.Certificate) -> bytes:
    """The grant, signed, with the certificate of its signer."""
    return sign_warrant(grant.payload(), GRANT_TYPE, key, certificate)


def open_grant(encoded: bytes, device: str, roots: Roots, now: float) -> Grant:
    """A grant that is to be believed now.

    Raises:
        DecodeError: it is none.
        TrustError: an administrator of our authority has not signed it, it was altered, or it is
            another device's.
    """
    grant = _hear(open_warrant(encoded, GRANT_TYPE, _NAMED, roots, now))
    if grant.device != device:
        raise IdentityError(f"this grant is {grant.device}'s", hint="Grant it to this device.")
    return grant


def _hear(payload: bytes) -> Grant:
    match from_cbor(payload, "the grant"):
        case {
            "name": str(name),
            "digest": str(digest),
            "purpose": str(purpose),
            "issued_unix_time_second": float(issued),
            "device": str(device),
            **rest,
        } if (
            not rest
            and 0 < len(name) <= _LONGEST_NAME
            and len(digest) == _DIGEST_LETTERS
            and purpose in PURPOSES
            and 0.0 <= issued < inf
        ):
            return Grant(name, digest, purpose, issued, device)
        case _:
            raise _no_grant()


def _no_grant() -> DecodeError:
    return DecodeError("not a model's grant", hint="Grant the model again.")
