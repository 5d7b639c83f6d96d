"""What an administrator has signed for devices: a COSE_Sign1, its signer's certificate beside it.

The signer's certificate has to be of our authority, good now and not revoked, an administrator's,
and the very one that the signature names.
"""

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cellwarden.errors import DecodeError, IdentityError
from cellwarden.trust.envelope import SigningKey, from_cbor, open_signed, sign, to_cbor
from cellwarden.trust.identity import Roots, load_certificate, thumbprint, utc

__all__ = ["open_warrant", "sign_warrant"]

_MAY: Final = "administrator"


def sign_warrant(
    payload: bytes, content_type: str, key: SigningKey, certificate: x509.Certificate
) -> bytes:
    """The payload, signed, with the certificate of its signer."""
    signed = sign(payload, key, content_type=content_type, thumbprint=thumbprint(certificate))
    return to_cbor([signed, certificate.public_bytes(Encoding.DER)])


def open_warrant(
    encoded: bytes, content_type: str, named: tuple[str, str], roots: Roots, now: float
) -> bytes:
    """The payload, if it is to be believed now; `named` is what it is, and what it lets one do.

    Raises:
        DecodeError: it is none of that type.
        TrustError: an administrator of our authority has not signed it, or it was altered.
    """
    what, deed = named
    wrong = DecodeError(f"not {what}", hint="Sign it again.")
    match from_cbor(encoded, what):
        case [bytes(message), bytes(der)]:
            signed, certificate = open_signed(message), load_certificate(der)
        case _:
            raise wrong
    if signed.content_type != content_type:
        raise wrong
    identity = roots.check(certificate, utc(now))
    if thumbprint(certificate) != signed.thumbprint:
        raise IdentityError("signed by another than the one beside it", hint="Sign it again.")
    signed.verify(certificate.public_key())  # type: ignore[arg-type]  # verify refuses others
    if (identity.kind, identity.role) != ("operator", _MAY):
        raise IdentityError(
            f"{identity.kind} {identity.name} may not {deed}",
            hint=f"Somebody with the role {_MAY} has to.",
        )
    return signed.payload
