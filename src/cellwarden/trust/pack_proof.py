"""A pack proves who it is: a question that is asked once, an answer that only its key can give.

Rules
- The question is 32 random bytes, bound to the controller that asks and to the time; it is good
  for one answer within `ANSWER_SECOND`.
- The answer is a COSE_Sign1 over question, controller, pack and a counter that only rises. The key
  stays in the pack (behind a `KeyStore`); its certificate, of the same authority as the fleet's,
  names the pack.
- The controller is paired with one pack and remembers the last counter. A right answer with a
  counter that does not rise comes from a second holder of the key, or from a pack set back.
- A relay that carries question and answer between two places passes this check: that the cells
  behave as before (`guard.fingerprint`) is the second witness.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cellwarden.domain import Authenticity, check_name
from cellwarden.errors import DecodeError, IdentityError, SealError, UsageError
from cellwarden.trust.envelope import from_cbor, open_signed, sign, to_cbor
from cellwarden.trust.identity import Identity, Roots, load_key, thumbprint, utc
from cellwarden.trust.keys import KeyStore, write_durably

__all__ = [
    "ANSWER_SECOND",
    "Answer",
    "Counter",
    "FileCounter",
    "MemoryCounter",
    "PackElement",
    "Pairing",
    "Question",
    "Verdict",
    "judge",
    "pair",
    "read_answer",
]

ANSWER_SECOND: Final = 5.0
_TYPE: Final = "application/vnd.cellwarden.pack-answer+cbor"
_KEY: Final = "pack"
_NONCE_BYTES: Final = 32
_ONCE: Final = "Ask the pack again."


@dataclass(frozen=True, slots=True)
class Question:
    """What a controller asks; `nonce` comes from the system's random bytes."""

    nonce: bytes
    device: str
    unix_time_second: float

    def __post_init__(self) -> None:
        check_name(self.device)
        if len(self.nonce) != _NONCE_BYTES:
            raise UsageError(
                f"a question has {_NONCE_BYTES} random bytes", hint="Use secrets.token_bytes(32)."
            )

    def encode(self) -> bytes:
        """As bytes for the wire to the pack."""
        return to_cbor([self.nonce, self.device, self.unix_time_second])

    @staticmethod
    def decode(data: bytes) -> "Question":
        """From bytes.

        Raises:
            DecodeError: not a question.
        """
        match from_cbor(data, "the question"):
            case [bytes(nonce), str(device), float(at)]:
                try:
                    return Question(nonce, device, at)
                except UsageError as error:
                    raise DecodeError(str(error), hint=_ONCE) from error
            case _:
                raise DecodeError("not a question to a pack", hint=_ONCE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a pack says, with its certificate; believed by nobody yet."""

    signed: bytes
    certificate: bytes

    def encode(self) -> bytes:
        """As bytes."""
        return to_cbor([self.signed, self.certificate])

    @staticmethod
    def decode(data: bytes) -> "Answer":
        """From bytes.

        Raises:
            DecodeError: not an answer.
        """
        match from_cbor(data, "the answer"):
            case [bytes(signed), bytes(certificate)]:
                return Answer(signed, certificate)
            case _:
                raise DecodeError("not the answer of a pack", hint=_ONCE)


class Counter(Protocol):
    """A number in the pack that only rises, over power losses too."""

    def next(self) -> int:
        """A number that was never given before."""
        ...


class MemoryCounter:
    """A counter that ends with the process; for tests, examples and the demo."""

    def __init__(self, last: int = 0) -> None:
        self._last = last

    def next(self) -> int:
        """The next number."""
        self._last += 1
        return self._last


class FileCounter:
    """A counter in a file: the number is on the disk before it is given."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def next(self) -> int:
        """The next number.

        Raises:
            DecodeError: the file holds no number.
            UnavailableError: the disk does not take it; the number was not given.
        """
        try:
            following = int(self._path.read_text("ascii")) + 1
        except FileNotFoundError:
            following = 1
        except ValueError as error:
            raise DecodeError(
                f"{self._path} holds no number", hint="Pair the pack anew."
            ) from error
        write_durably(self._path, str(following).encode("ascii"), mode=0o600)
        return following


class PackElement:
    """The part of a pack that holds its key and answers."""

    def __init__(self, keys: KeyStore, certificate: x509.Certificate, counter: Counter) -> None:
        self._key: ec.EllipticCurvePrivateKey = load_key(keys.get(_KEY))
        self._certificate = certificate
        self._name = Identity.of(certificate).name
        self._counter = counter

    def answer(self, question: bytes) -> bytes:
        """The answer to a question, in bytes as both go over the wire.

        Raises:
            DecodeError: not a question.
        """
        asked = Question.decode(question)
        payload = to_cbor([asked.encode(), self._name, self._counter.next()])
        signed = sign(
            payload, self._key, content_type=_TYPE, thumbprint=thumbprint(self._certificate)
        )
        return Answer(signed, self._certificate.public_bytes(Encoding.DER)).encode()


@dataclass(frozen=True, slots=True)
class Pairing:
    """The pack that belongs to a controller, and the last number it gave."""

    pack: str
    thumbprint: bytes
    counter: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer is worth, why, and the pairing to keep from here on."""

    authenticity: Authenticity
    reason: str
    pairing: Pairing
    pack: str = ""


def judge(
    answer: bytes | None,
    question: Question,
    pairing: Pairing,
    roots: Roots,
    unix_time_second: float,
) -> Verdict:
    """What the pack's answer is worth now; None where it gave none in time."""
    if answer is None:
        return Verdict(Authenticity.SILENT, "the pack gave no answer", pairing)
    try:
        found = read_answer(answer, question, roots, unix_time_second)
    except (DecodeError, SealError, IdentityError) as error:
        return Verdict(Authenticity.FOREIGN, str(error), pairing)
    if not 0.0 <= unix_time_second - question.unix_time_second <= ANSWER_SECOND:
        return Verdict(Authenticity.SILENT, "the answer came too late", pairing, found.pack)
    if (found.pack, found.thumbprint) != (pairing.pack, pairing.thumbprint):
        reason = f"pack {found.pack} answers where {pairing.pack} is paired"
        return Verdict(Authenticity.SWAPPED, reason, pairing, found.pack)
    if found.counter <= pairing.counter:
        reason = (
            f"pack {found.pack} counts {found.counter} after {pairing.counter}:"
            " its key answers elsewhere, or it was set back"
        )
        return Verdict(Authenticity.CLONED, reason, pairing, found.pack)
    return Verdict(Authenticity.GENUINE, "the paired pack", found, found.pack)


def pair(answer: bytes, question: Question, roots: Roots, unix_time_second: float) -> Pairing:
    """Pair with the pack that answers; a technician's deed.

    Raises:
        DecodeError, SealError, IdentityError: the answer does not prove a pack of the authority.
    """
    return read_answer(answer, question, roots, unix_time_second)


def read_answer(
    answer: bytes, question: Question, roots: Roots, unix_time_second: float
) -> Pairing:
    """Who has answered this question, if the answer is to be believed.

    Raises:
        DecodeError: not an answer.
        SealError: not signed by the certificate's key, or an answer to another question.
        IdentityError: the certificate is foreign, run out, revoked, or none of a pack.
    """
    parts = Answer.decode(answer)
    try:
        certificate = x509.load_der_x509_certificate(parts.certificate)
    except ValueError as error:
        raise DecodeError("the answer carries no certificate", hint=_ONCE) from error
    identity = roots.check(certificate, utc(unix_time_second))
    if identity.kind != "pack":
        raise IdentityError(
            f"{identity.name} is a {identity.kind} and no pack", hint="Pair with a real pack."
        )
    signed = open_signed(parts.signed)
    if signed.content_type != _TYPE:
        raise DecodeError(f"{signed.content_type} is not the answer of a pack", hint=_ONCE)
    if signed.thumbprint != thumbprint(certificate):
        raise SealError("the answer names another signer", hint=_ONCE)
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise IdentityError("the pack's key is not a P-256 key", hint="Enrol the pack again.")
    signed.verify(public)
    match from_cbor(signed.payload, "the answer"):
        case [bytes(asked), str(name), int(counter)] if counter > 0:
            pass
        case _:
            raise DecodeError("not the answer of a pack", hint=_ONCE)
    if asked != question.encode():
        raise SealError("the answer belongs to another question", hint="Treat it as replayed.")
    if name != identity.name:
        raise IdentityError("the answer names another pack", hint="Treat it as forged.")
    return Pairing(name, signed.thumbprint, counter)
