"""A verdict as the hub signs it, and the receipt by which anybody can check it.

A verdict names what it was made from (the links of the device's batches), what made it (the
model's digest) and what it says. It is signed by the hub and is itself an entry of the ledger.
A receipt puts beside it the input manifests and the proofs that all of them are in one ledger;
it is plain JSON and needs no hub to be checked.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509

from cellwarden.errors import DecodeError, IdentityError, LedgerError
from cellwarden.trust.envelope import Signed, SigningKey, open_signed, sign
from cellwarden.trust.identity import Roots, load_certificate, thumbprint, utc
from cellwarden.trust.ledger import Checkpoint, NoteKey, leaf_hash, verify_inclusion
from cellwarden.wire.batch import FIRST_PREVIOUS, Manifest, link

__all__ = ["VERDICT_TYPE", "Checked", "Proved", "check_receipt", "make_receipt", "sign_verdict"]

VERDICT_TYPE: Final = "application/cellwarden-verdict+json"
_RECEIPT: Final = "cellwarden-receipt-1"


@dataclass(frozen=True, slots=True)
class Proved:
    """An entry, where it stands in the ledger, and its audit path."""

    entry: bytes
    leaf_index: int
    proof: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a receipt proves."""

    verdict: dict[str, Any]
    device: str
    batch_count: int
    first_sequence: int
    last_sequence: int
    tree_size: int


def sign_verdict(
    verdict: Mapping[str, Any], key: SigningKey, certificate: x509.Certificate
) -> bytes:
    """The verdict as a COSE_Sign1 of the hub over its JSON."""
    payload = _dump(verdict).encode()
    return sign(payload, key, content_type=VERDICT_TYPE, thumbprint=thumbprint(certificate))


def make_receipt(
    note: str, verdict: Proved, batches: Sequence[Proved], certificates: Sequence[bytes]
) -> str:
    """The receipt of a verdict, as JSON."""
    told = {
        "format": _RECEIPT,
        "statement": json.loads(open_signed(verdict.entry).payload),
        "checkpoint": note,
        "verdict": _tell(verdict),
        "batches": [_tell(batch) for batch in batches],
        "certificates": [_b64(der) for der in certificates],
    }
    return json.dumps(told, separators=(",", ":"), allow_nan=False)


def check_receipt(text: str | bytes, roots: Roots, ledger_key: NoteKey) -> Checked:
    """What the receipt proves, with nothing but the caller's trust roots.

    Raises:
        DecodeError: not a receipt.
        TrustError: a signature, a link or a proof in it does not hold.
    """
    told = _parse(text)
    head = Checkpoint.open(told["checkpoint"], ledger_key)
    certificates = _certificates(told["certificates"])
    verdict = _hear(told["verdict"])
    signed = open_signed(verdict.entry)
    if signed.content_type != VERDICT_TYPE:
        raise DecodeError("the receipt holds no verdict", hint="Take it from the hub again.")
    _check_proved(verdict, head)
    _check_signature(signed, "hub", None, certificates, roots)
    statement = _load(signed.payload)
    # As text: to Python, 1, 1.0 and true are equal.
    if _dump(told["statement"]) != _dump(statement):
        raise LedgerError(
            "the receipt's statement is not the one that was signed",
            hint="Somebody edited it; take it from the hub again.",
        )
    device = str(statement.get("device"))
    chain = _check_batches(told["batches"], device, head, certificates, roots)
    first, last = chain.last - len(chain.links) + 1, chain.last
    said = [statement.get(name) for name in ("inputs", "first_sequence", "last_sequence")]
    if not chain.links or said != [chain.links, first, last]:
        raise LedgerError(
            "the verdict was not made from the batches in the receipt",
            hint="Take the receipt from the hub again.",
        )
    return Checked(statement, device, len(chain.links), first, last, head.size)


@dataclass(slots=True)
class _Chain:
    last: int
    end: bytes
    links: list[str]


def _check_batches(
    told: Sequence[Any],
    device: str,
    head: Checkpoint,
    certificates: Mapping[bytes, x509.Certificate],
    roots: Roots,
) -> _Chain:
    """The batches, each signed by the device, in one unbroken chain."""
    chain: _Chain | None = None
    for item in told:
        proved = _hear(item)
        signed = open_signed(proved.entry)
        manifest = Manifest.of(signed)
        _check_proved(proved, head)
        _check_signature(signed, "device", device, certificates, roots)
        if chain is None:
            chain = _Chain(manifest.sequence - 1, manifest.previous, [])
            if manifest.sequence == 1 and manifest.previous != FIRST_PREVIOUS:
                raise _broken(manifest)
        if manifest.sequence != chain.last + 1 or manifest.previous != chain.end:
            raise _broken(manifest)
        chain.last, chain.end = manifest.sequence, link(proved.entry)
        chain.links.append(chain.end.hex())
    return chain or _Chain(0, FIRST_PREVIOUS, [])


def _broken(manifest: Manifest) -> LedgerError:
    return LedgerError(
        f"batch {manifest.sequence} of {manifest.device} does not continue the one before",
        hint="Something was left out of the receipt; take it from the hub again.",
    )


def _check_proved(proved: Proved, head: Checkpoint) -> None:
    verify_inclusion(leaf_hash(proved.entry), proved.leaf_index, head.size, proved.proof, head.root)


def _check_signature(
    signed: Signed,
    kind: str,
    name: str | None,
    certificates: Mapping[bytes, x509.Certificate],
    roots: Roots,
) -> None:
    certificate = certificates.get(signed.thumbprint)
    if certificate is None:
        raise IdentityError("the receipt lacks a signer's certificate", hint="Take it again.")
    identity = roots.check(certificate, utc(0), past=True)
    if identity.kind != kind or name not in (None, identity.name):
        raise IdentityError(
            f"signed by {identity.kind} {identity.name}, who may not", hint="Treat it as forged."
        )
    signed.verify(certificate.public_key())  # type: ignore[arg-type]  # verify refuses others


def _certificates(told: Sequence[str]) -> dict[bytes, x509.Certificate]:
    found = (load_certificate(_unb64(text)) for text in told)
    return {thumbprint(certificate): certificate for certificate in found}


def _parse(text: str | bytes) -> dict[str, Any]:
    told = _load(text)
    wanted = {"format", "statement", "checkpoint", "verdict", "batches", "certificates"}
    if set(told) != wanted or told["format"] != _RECEIPT:
        raise _no_receipt()
    lists = all(isinstance(told[name], list) for name in ("batches", "certificates"))
    if not lists or not isinstance(told["checkpoint"], str):
        raise _no_receipt()
    return told


def _no_receipt() -> DecodeError:
    return DecodeError("not a receipt", hint="Give the JSON file that the hub gave out.")


def _load(text: str | bytes) -> dict[str, Any]:
    """A JSON object in which nothing stands twice, so that every reader sees the same."""
    try:
        told = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _no_receipt() from error
    if not isinstance(told, dict):
        raise _no_receipt()
    return told


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) != len(pairs):
        raise _no_receipt()
    return told


def _no_number(_text: str) -> None:
    raise _no_receipt()


def _dump(told: Any) -> str:
    return json.dumps(told, sort_keys=True, allow_nan=False)


def _tell(proved: Proved) -> dict[str, Any]:
    return {
        "entry": _b64(proved.entry),
        "leaf_index": proved.leaf_index,
        "proof": [_b64(part) for part in proved.proof],
    }


def _hear(told: Any) -> Proved:
    match told:
        case {"entry": entry, "leaf_index": int(index), "proof": [*proof], **rest} if not rest:
            if isinstance(index, bool):
                raise _no_receipt()
            return Proved(_unb64(entry), index, [_unb64(part) for part in proof])
        case _:
            raise _no_receipt()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: Any) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError) as error:
        raise _no_receipt() from error
    if _b64(data) != text:  # the last letter may carry bits that nobody reads
        raise _no_receipt()
    return data
