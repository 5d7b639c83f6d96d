"""What the hub answers: what it has taken in, with proof, or why it refuses."""

from collections.abc import Sequence
from dataclasses import dataclass

from cellwarden.errors import DecodeError
from cellwarden.trust.envelope import from_cbor, to_cbor
from cellwarden.trust.ledger import Checkpoint, NoteKey, leaf_hash, verify_inclusion

__all__ = ["Ack", "Refusal", "decode_reply", "encode_reply"]


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to `sequence` is on the hub's disk; its leaf is in a signed head."""

    sequence: int
    leaf_index: int
    checkpoint: str
    proof: tuple[bytes, ...]

    def check(self, signed_manifest: bytes, key: NoteKey) -> Checkpoint:
        """The head that the hub has committed itself to.

        Raises:
            LedgerError: the hub acknowledges what its ledger does not show.
        """
        head = Checkpoint.open(self.checkpoint, key)
        verify_inclusion(
            leaf_hash(signed_manifest), self.leaf_index, head.size, self.proof, head.root
        )
        return head


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message was not taken in; `expected` is the sequence that the hub waits for."""

    kind: str
    message: str
    hint: str
    expected: int | None = None


def encode_reply(ack: Ack | None, refusal: Refusal | None) -> bytes:
    """As bytes: the last acknowledgement and, where the hub stopped, why."""
    return to_cbor(
        {
            "ack": None
            if ack is None
            else [ack.sequence, ack.leaf_index, ack.checkpoint, list(ack.proof)],
            "refusal": None
            if refusal is None
            else [refusal.kind, refusal.message, refusal.hint, refusal.expected],
        }
    )


def decode_reply(data: bytes) -> tuple[Ack | None, Refusal | None]:
    """From bytes.

    Raises:
        DecodeError: not a hub's reply.
    """
    match from_cbor(data, "the hub's reply"):
        case {"ack": ack, "refusal": refusal}:
            return _ack(ack), _refusal(refusal)
        case _:
            raise _malformed()


def _malformed() -> DecodeError:
    return DecodeError("not a hub's reply", hint="Check the hub's address and version.")


def _ack(told: object) -> Ack | None:
    match told:
        case None:
            return None
        case [int(sequence), int(leaf), str(checkpoint), list(proof)] if _hashes(proof):
            return Ack(sequence, leaf, checkpoint, tuple(proof))
        case _:
            raise _malformed()


def _hashes(proof: Sequence[object]) -> bool:
    return all(isinstance(part, bytes) for part in proof)


def _refusal(told: object) -> Refusal | None:
    match told:
        case None:
            return None
        case [str(kind), str(message), str(hint), int() | None as expected]:
            return Refusal(kind, message, hint, expected)
        case _:
            raise _malformed()
