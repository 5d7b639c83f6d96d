"""What a device says beside its frames: its pack, how it stands, findings, orders."""

import sys
from dataclasses import dataclass
from typing import Any, Final

from cellwarden.domain import Finding, PackStatus, Severity
from cellwarden.errors import DecodeError
from cellwarden.trust.envelope import from_cbor, to_cbor
from cellwarden.wire.obedience import LONGEST_MESSAGE, Outcome, Reason
from cellwarden.wire.status import hear_status, tell_status

__all__ = ["Notes", "PackNote"]

_PARTS: Final = frozenset({"pack", "findings", "orders", "status"})
_SEVERITIES: Final = frozenset(Severity)
_REASONS: Final = frozenset(Reason)
_DIGEST_BYTES: Final = 32
_MANY: Final = 1 << 31
_NUMBERS: Final = 1 << 53  # of orders: what a double still counts
_LARGEST: Final = sys.float_info.max


@dataclass(frozen=True, slots=True)
class PackNote:
    """What is printed on the pack, as far as the device knows it."""

    chemistry: str | None
    nominal_capacity_ah: float | None
    series_count: int
    source: str = ""


@dataclass(frozen=True, slots=True)
class Notes:
    """The notes of one batch."""

    pack: PackNote | None = None
    findings: tuple[Finding, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    status: PackStatus | None = None

    def encode(self) -> bytes:
        """As bytes; an empty note is empty, and a number that is none is left out."""
        told: dict[str, Any] = {}
        if self.pack is not None:
            told["pack"] = {name: getattr(self.pack, name) for name in PackNote.__slots__}
            capacity = self.pack.nominal_capacity_ah
            if capacity is not None and not _finite(capacity):
                told["pack"]["nominal_capacity_ah"] = None
        if self.findings:
            told["findings"] = [_tell(finding) for finding in self.findings]
        if self.outcomes:
            told["orders"] = [_tell_outcome(outcome) for outcome in self.outcomes]
        if self.status is not None:
            told["status"] = tell_status(self.status)
        return to_cbor(told) if told else b""

    @staticmethod
    def decode(data: bytes) -> "Notes":
        """From bytes.

        Raises:
            DecodeError: not notes, or numbers in them that no store keeps.
        """
        if not data:
            return Notes()
        match from_cbor(data, "the notes"):
            case {**told} if told and set(told) <= _PARTS:
                notes = Notes(
                    _hear_pack(told["pack"]) if "pack" in told else None,
                    _hear_findings(told.get("findings", [])),
                    _hear_outcomes(told.get("orders", [])),
                    hear_status(told["status"]) if "status" in told else None,
                )
            case _:
                raise _no_notes()
        if notes.encode() != data:
            raise _no_notes()
        return notes


def _no_notes() -> DecodeError:
    return DecodeError("not the notes of a batch", hint="Update the sender's software.")


def _hear_pack(told: Any) -> PackNote:
    match told:
        case {
            "chemistry": str() | None as chemistry,
            "nominal_capacity_ah": int() | float() | None as capacity,
            "series_count": int(count),
            "source": str(source),
            **rest,
        } if not rest and _counted(count) and (capacity is None or _finite(capacity)):
            return PackNote(chemistry, capacity, count, source)
        case _:
            raise _no_notes()


def _hear_findings(told: Any) -> tuple[Finding, ...]:
    match told:
        case [*items]:
            return tuple(_hear(item) for item in items)
        case _:
            raise _no_notes()


def _tell(finding: Finding) -> list[Any]:
    return [
        finding.kind,
        int(finding.severity),
        finding.signal,
        float(finding.unix_time_second),
        finding.message,
        finding.item,
        {name: float(value) for name, value in finding.evidence.items() if _finite(value)},
    ]


def _hear(item: Any) -> Finding:
    match item:
        case [
            str(kind),
            int(severity),
            str(signal),
            float(at),
            str(message),
            int(index),
            {**evidence},
        ] if severity in _SEVERITIES and _finite(at) and _counted(index):
            # What is left out here makes the notes others than those that came: they are refused.
            numbers: dict[Any, Any] = {k: v for k, v in evidence.items() if _evident(k, v)}
            return Finding(kind, Severity(severity), signal, at, message, index, numbers)
        case _:
            raise _no_notes()


def _tell_outcome(outcome: Outcome) -> list[Any]:
    return [
        str(outcome.reason),
        outcome.issuer,
        outcome.sequence,
        outcome.digest,
        outcome.message,
        float(outcome.unix_time_second),
        outcome.count,
    ]


def _hear_outcomes(told: Any) -> tuple[Outcome, ...]:
    match told:
        case [*items]:
            return tuple(_hear_outcome(item) for item in items)
        case _:
            raise _no_notes()


def _hear_outcome(item: Any) -> Outcome:
    match item:
        case [
            str(reason),
            str(issuer),
            int(sequence),
            bytes(digest),
            str(message),
            float(at),
            int(count),
        ] if (
            reason in _REASONS
            and _finite(at)
            and _counted(count)
            and _numbered(sequence)
            and max(len(issuer), len(message)) <= LONGEST_MESSAGE
            and len(digest) == _DIGEST_BYTES
        ):
            return Outcome(Reason(reason), issuer, sequence, digest, message, at, count)
        case _:
            raise _no_notes()


def _evident(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, float) and _finite(value)


def _counted(number: int) -> bool:
    """Whether a number is a count as the store keeps it, or the -1 of none."""
    return type(number) is int and -1 <= number < _MANY


def _numbered(sequence: int) -> bool:
    return type(sequence) is int and 0 <= sequence < _NUMBERS


def _finite(number: float) -> bool:
    return type(number) is not bool and abs(number) <= _LARGEST
