"""What a device says beside its frames: which pack it is, what its guard found."""

from dataclasses import dataclass
from typing import Any

from cellwarden.domain import Finding, Severity
from cellwarden.errors import DecodeError
from cellwarden.trust.envelope import from_cbor, to_cbor

__all__ = ["Notes", "PackNote"]


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

    def encode(self) -> bytes:
        """As bytes; an empty note is empty."""
        told: dict[str, Any] = {}
        if self.pack is not None:
            told["pack"] = {name: getattr(self.pack, name) for name in PackNote.__slots__}
        if self.findings:
            told["findings"] = [_tell(finding) for finding in self.findings]
        return to_cbor(told) if told else b""

    @staticmethod
    def decode(data: bytes) -> "Notes":
        """From bytes.

        Raises:
            DecodeError: not notes.
        """
        if not data:
            return Notes()
        told = from_cbor(data, "the notes")
        try:
            pack = PackNote(**told["pack"]) if "pack" in told else None
            findings = tuple(_hear(item) for item in told.get("findings", ()))
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise DecodeError("not the notes of a batch", hint="Update the sender.") from error
        if pack is not None and not _sound(pack):
            raise DecodeError("not the description of a pack", hint="Update the sender.")
        return Notes(pack, findings)


def _sound(pack: PackNote) -> bool:
    return (
        isinstance(pack.chemistry, str | None)
        and isinstance(pack.nominal_capacity_ah, float | int | None)
        and type(pack.series_count) is int
        and isinstance(pack.source, str)
    )


def _tell(finding: Finding) -> list[Any]:
    return [
        finding.kind,
        int(finding.severity),
        finding.signal,
        float(finding.unix_time_second),
        finding.message,
        finding.item,
        {name: float(value) for name, value in finding.evidence.items()},
    ]


def _hear(item: Any) -> Finding:
    kind, severity, signal, at, message, index, evidence = item
    return Finding(
        kind=str(kind),
        severity=Severity(severity),
        signal=str(signal),
        unix_time_second=float(at),
        message=str(message),
        item=int(index),
        evidence={str(name): float(value) for name, value in evidence.items()},
    )
