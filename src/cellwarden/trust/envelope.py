"""Signing and sealing of messages, in standard formats.

- Signature: COSE_Sign1 (RFC 9052) in deterministic CBOR; ES256 for devices (a P-256 key can live
  in a TPM or secure element), EdDSA (Ed25519) for hubs. The signer is named by the SHA-256
  thumbprint of its certificate (`x5t`, RFC 9360).
- One message has one encoding: CBOR in its deterministic form only, three headers and no other,
  and of the two signatures (r, s) and (r, n - s), of which anybody can make one out of the other,
  the one with the smaller s.
- Seal: HPKE base mode (RFC 9180) with MLKEM768-X25519, HKDF-SHA256, AES-256-GCM. What the seal
  belongs to goes into HPKE's `info`, so a sealed part cannot be moved to another envelope.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import cbor2
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mlkem, x25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from cellwarden.errors import DecodeError, SealError

__all__ = [
    "SEAL_OVERHEAD_BYTES",
    "Opener",
    "Sealer",
    "Signed",
    "SigningKey",
    "VerifyingKey",
    "check_signature",
    "from_cbor",
    "open_signed",
    "sign",
    "to_cbor",
]

SigningKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
VerifyingKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_SIGN1_TAG: Final = 18
_ALGORITHM: Final = 1
_CONTENT_TYPE: Final = 3
_X5T: Final = 34
_ES256: Final = -7
_EDDSA: Final = -8
_SHA256: Final = -16
_P256_BYTES: Final = 32
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ECDSA: Final = ec.ECDSA(hashes.SHA256())
_SUITE: Final = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_X25519_BYTES: Final = 32
_MLKEM_SEED_BYTES: Final = 64
SEAL_OVERHEAD_BYTES: Final = 1136


def to_cbor(value: Any) -> bytes:
    """Deterministic CBOR (RFC 8949, section 4.2.1)."""
    return cbor2.dumps(value, canonical=True)


def from_cbor(data: bytes, what: str) -> Any:
    """What CBOR bytes say, if they are exactly one item in its deterministic form.

    Raises:
        DecodeError: not CBOR, cut short, with something behind, or written in another way than
            `to_cbor` writes it.
    """
    try:
        value = cbor2.loads(data, allow_indefinite=False, allow_duplicate_keys=False)
        same = to_cbor(value) == data
    except (cbor2.CBORError, ValueError, RecursionError, OverflowError) as error:
        raise DecodeError(f"{what} is not well-formed CBOR", hint="Send it again.") from error
    if not same:
        raise DecodeError(f"{what} is not deterministic CBOR", hint="Send it as RFC 8949, 4.2.1.")
    return value


@dataclass(frozen=True, slots=True)
class Signed:
    """A COSE_Sign1 taken apart, its signature not yet believed."""

    encoded: bytes
    protected: bytes
    payload: bytes
    signature: bytes
    algorithm: int
    content_type: str
    thumbprint: bytes

    def verify(self, key: VerifyingKey) -> None:
        """Believe the signature, or not.

        Raises:
            SealError: the signature does not hold under this key.
        """
        message = _to_be_signed(self.protected, self.payload)
        check_signature(key, self.algorithm, self.signature, message)


def check_signature(key: VerifyingKey, algorithm: int, signature: bytes, message: bytes) -> None:
    """Check a signature in the form that COSE gives it, r || s for ES256.

    Raises:
        SealError: it does not hold, or the algorithm is not that of the key.
    """
    try:
        if algorithm == _ES256 and _is_p256(key):
            key.verify(_from_p1363(signature), message, _ECDSA)
        elif algorithm == _EDDSA and isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            raise SealError(
                "the signature's algorithm does not fit the signer's key",
                hint="Treat the message as forged.",
            )
    except InvalidSignature as error:
        raise SealError(
            "the signature does not hold", hint="Treat the message as forged."
        ) from error


def sign(payload: bytes, key: SigningKey, *, content_type: str, thumbprint: bytes) -> bytes:
    """A COSE_Sign1 over the payload."""
    algorithm = _ES256 if isinstance(key, ec.EllipticCurvePrivateKey) else _EDDSA
    protected = to_cbor(
        {_ALGORITHM: algorithm, _CONTENT_TYPE: content_type, _X5T: [_SHA256, thumbprint]}
    )
    message = _to_be_signed(protected, payload)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(message, _ECDSA))
        s = min(s, _P256_ORDER - s)
        signature = r.to_bytes(_P256_BYTES, "big") + s.to_bytes(_P256_BYTES, "big")
    else:
        signature = key.sign(message)
    return to_cbor(cbor2.CBORTag(_SIGN1_TAG, [protected, {}, payload, signature]))


def open_signed(encoded: bytes) -> Signed:
    """Take a COSE_Sign1 apart.

    Raises:
        DecodeError: it is not one, or not in the only encoding it may have.
    """
    item = from_cbor(encoded, "the signed message")
    if not (isinstance(item, cbor2.CBORTag) and item.tag == _SIGN1_TAG):
        raise _malformed()
    parts = item.value
    if not (isinstance(parts, list | tuple) and len(parts) == 4):  # noqa: PLR2004  RFC 9052, 4.2
        raise _malformed()
    protected, unprotected, payload, signature = parts
    if not (
        isinstance(protected, bytes)
        and isinstance(payload, bytes)
        and isinstance(signature, bytes)
        and unprotected == {}
    ):
        raise _malformed()
    match from_cbor(protected, "the protected header"):
        case {1: int(algorithm), 3: str(content_type), 34: [-16, bytes(thumbprint)], **rest} if (
            not rest  # a header that we do not know could change what the others mean
        ):
            return Signed(
                encoded, protected, payload, signature, algorithm, content_type, thumbprint
            )
        case _:
            raise _malformed()


def _malformed() -> DecodeError:
    return DecodeError("not a COSE_Sign1 as this protocol writes it", hint="Send it again.")


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """`Sig_structure` of RFC 9052, section 4.4."""
    return to_cbor(["Signature1", protected, b"", payload])


def _from_p1363(signature: bytes) -> bytes:
    if len(signature) != 2 * _P256_BYTES:
        raise SealError("the signature has the wrong length", hint="Treat it as forged.")
    r, s = (
        int.from_bytes(half, "big") for half in (signature[:_P256_BYTES], signature[_P256_BYTES:])
    )
    if s > _P256_ORDER // 2:
        raise SealError("the signature is the mirrored one", hint="Treat it as forged.")
    return encode_dss_signature(r, s)


def _is_p256(key: VerifyingKey) -> TypeGuard[ec.EllipticCurvePublicKey]:
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals to one recipient, whose public key it holds."""

    public: hpke.MLKEM768X25519PublicKey

    @staticmethod
    def from_bytes(encoded: bytes) -> "Sealer":
        """From the public key as `Opener.public_bytes` gives it."""
        try:
            split = len(encoded) - _X25519_BYTES
            return Sealer(
                hpke.MLKEM768X25519PublicKey(
                    mlkem.MLKEM768PublicKey.from_public_bytes(encoded[:split]),
                    x25519.X25519PublicKey.from_public_bytes(encoded[split:]),
                )
            )
        except ValueError as error:
            raise DecodeError(
                "not a sealing key", hint="Take it again from the hub's enrolment file."
            ) from error

    def seal(self, plaintext: bytes, belongs_to: bytes) -> bytes:
        """Ciphertext that only the recipient opens, and only with the same `belongs_to`."""
        return _SUITE.encrypt(plaintext, self.public, info=belongs_to)


class Opener:
    """Opens what was sealed to it."""

    def __init__(self, secret: bytes) -> None:
        """From the 96 secret bytes: an ML-KEM-768 seed, then an X25519 key."""
        self._mlkem = mlkem.MLKEM768PrivateKey.from_seed_bytes(secret[:_MLKEM_SEED_BYTES])
        self._x25519 = x25519.X25519PrivateKey.from_private_bytes(secret[_MLKEM_SEED_BYTES:])
        self._private = hpke.MLKEM768X25519PrivateKey(self._mlkem, self._x25519)

    @staticmethod
    def new_secret() -> bytes:
        """A fresh secret for `Opener`."""
        return (
            mlkem.MLKEM768PrivateKey.generate().private_bytes_raw()
            + x25519.X25519PrivateKey.generate().private_bytes_raw()
        )

    def public_bytes(self) -> bytes:
        """What senders need."""
        return (
            self._mlkem.public_key().public_bytes_raw()
            + self._x25519.public_key().public_bytes_raw()
        )

    def open(self, sealed: bytes, belongs_to: bytes) -> bytes:
        """The plaintext.

        Raises:
            SealError: altered, sealed to somebody else, or taken from another envelope.
        """
        try:
            return _SUITE.decrypt(sealed, self._private, info=belongs_to)
        except (InvalidTag, ValueError) as error:
            raise SealError(
                "the seal does not open", hint="Treat the message as forged."
            ) from error
