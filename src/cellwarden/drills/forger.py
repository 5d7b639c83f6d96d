"""A sender that forges: it holds a real certificate, and tries what it must not be able to do.

attempt                          must be refused as
another's name                   IdentityError   it signs a batch as if it were its victim
altered signature                SealError       one bit of the signature flipped
altered content                  SealError       one bit of the sealed columns flipped
values changed after signing     SealError       other columns than were signed, sealed anew
a gap in the sequence            ReplayError     begins with batch 5
not a message                    DecodeError     random bytes
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import cbor2
import numpy as np

from cellwarden.domain import Frames
from cellwarden.edge.agent import Device
from cellwarden.edge.transport import Transport
from cellwarden.errors import DataError
from cellwarden.trust.envelope import sign, to_cbor
from cellwarden.trust.identity import thumbprint
from cellwarden.wire import (
    BATCH_TYPE,
    FIRST_PREVIOUS,
    Content,
    Message,
    encode_columns,
    make_manifest,
    seal_content,
)

__all__ = ["Attempt", "forge"]

_ROWS: Final = 10


@dataclass(frozen=True, slots=True)
class Attempt:
    """One forgery: how it must be refused and how it was."""

    name: str
    expected: str
    observed: str
    message: str

    @property
    def refused(self) -> bool:
        """Whether the hub did what it must."""
        return self.observed == self.expected


def forge(device: Device, victim: str, transport: Transport, now: float) -> list[Attempt]:
    """Try every forgery once."""
    return [
        _try(name, expected, make(device, victim, now), transport)
        for name, expected, make in _TABLE
    ]


def _try(name: str, expected: str, message: bytes, transport: Transport) -> Attempt:
    try:
        ack, refusal = transport.send([message])
    except DataError as error:
        return Attempt(name, expected, type(error).__name__, str(error))
    if refusal is None:
        return Attempt(name, expected, "accepted" if ack else "no answer", "")
    return Attempt(name, expected, refusal.kind, refusal.message)


def _frames(now: float) -> Frames:
    volts = np.full((_ROWS, 4), 3.7, dtype=np.float32)
    return Frames(
        unix_time_second=now + np.arange(_ROWS, dtype=np.float64),
        voltage_volt=volts.sum(axis=1),
        current_ampere=np.ones(_ROWS, dtype=np.float32),
        cell_voltage_volt=volts,
        cell_temperature_celsius=np.full((_ROWS, 1), 25.0, dtype=np.float32),
    )


def _made(
    device: Device, name: str, now: float, sequence: int = 1, other: Frames | None = None
) -> Message:
    """A batch in a name; `other` takes the place of the frames after signing."""
    frames = _frames(now)
    content = Content(os.urandom(16), encode_columns(frames), b"")
    manifest = make_manifest(
        frames, content, device=name, boot=1, sequence=sequence, previous=FIRST_PREVIOUS
    )
    mark = thumbprint(device.certificate)
    signed = sign(manifest.payload(), device.key, content_type=BATCH_TYPE, thumbprint=mark)
    if other is not None:
        content = replace(content, columns=encode_columns(other))
    return Message(signed, seal_content(content, signed, device.sealer))


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _in_anothers_name(device: Device, victim: str, now: float) -> bytes:
    return _made(device, victim, now).encode()


def _altered_signature(device: Device, _victim: str, now: float) -> bytes:
    message = _made(device, device.name, now)
    tag = cbor2.loads(message.manifest)
    protected, unprotected, payload, signature = tag.value
    parts = [protected, dict(unprotected), payload, _flipped(signature)]
    return Message(to_cbor(cbor2.CBORTag(tag.tag, parts)), message.sealed).encode()


def _altered_content(device: Device, _victim: str, now: float) -> bytes:
    message = _made(device, device.name, now)
    return Message(message.manifest, _flipped(message.sealed)).encode()


def _changed_values(device: Device, _victim: str, now: float) -> bytes:
    truth = _frames(now)
    lie = replace(truth, voltage_volt=truth.voltage_volt + np.float32(0.1))
    return _made(device, device.name, now, other=lie).encode()


def _gap(device: Device, _victim: str, now: float) -> bytes:
    return _made(device, device.name, now, sequence=5).encode()


def _noise(_device: Device, _victim: str, _now: float) -> bytes:
    return os.urandom(256)


_TABLE: Final[tuple[tuple[str, str, Callable[[Device, str, float], bytes]], ...]] = (
    ("another's name", "IdentityError", _in_anothers_name),
    ("altered signature", "SealError", _altered_signature),
    ("altered content", "SealError", _altered_content),
    ("values changed after signing", "SealError", _changed_values),
    ("a gap in the sequence", "ReplayError", _gap),
    ("not a message", "DecodeError", _noise),
)
