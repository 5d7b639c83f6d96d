"""A batch of frames on its way: what is signed, what is sealed, how both become bytes.

- The *columns* are deterministic CBOR: name to typed multi-dimensional array (RFC 8746, row-major,
  little-endian). The very same bytes come out when the hub's rows are put back into columns, so
  rows at rest can be checked against what the device signed. For that there is one zero and one
  NaN: a database that compresses keeps neither the sign of a zero nor the payload of a NaN, and
  neither says anything about a reading.
- The *notes* are what the device says beside its frames: its pack, findings, drops.
- The *manifest* is what is signed and becomes the ledger's leaf: who, when, how much, the link to
  the batch before, and SHA-256 over salted columns and over notes.
- The *sealed* part is salt, columns and notes, compressed, then sealed to the hub; the manifest's
  digest goes into the seal.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Final

import cbor2
import numpy as np
import zstandard

from cellwarden.domain import FRAME_COLUMNS, LIST_COLUMNS, Frames, check_name
from cellwarden.errors import DecodeError, SealError, UsageError
from cellwarden.trust.envelope import Opener, Sealer, Signed, from_cbor, open_signed, to_cbor

__all__ = [
    "BATCH_TYPE",
    "FIRST_PREVIOUS",
    "LONGEST_BATCH_BYTES",
    "Content",
    "Manifest",
    "Message",
    "check_summary",
    "columns_digest",
    "decode_columns",
    "encode_columns",
    "link",
    "make_manifest",
    "notes_digest",
    "open_content",
    "open_manifest",
    "seal_content",
]

BATCH_TYPE: Final = "application/cellwarden-batch+cbor"
FIRST_PREVIOUS: Final = bytes(32)
LONGEST_BATCH_BYTES: Final = 64 << 20  # what a batch may unpack to
_SALT_BYTES: Final = 16
_DIGEST_BYTES: Final = 32
_ROW_MAJOR: Final = 40  # RFC 8746: multi-dimensional array
_FLOAT32_LE: Final = 85
_FLOAT64_LE: Final = 86
_DTYPES: Final[dict[int, np.dtype[Any]]] = {
    _FLOAT32_LE: np.dtype("<f4"),
    _FLOAT64_LE: np.dtype("<f8"),
}
_LEVEL: Final = 1  # ratios beyond it cost more CPU than they save bytes here


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a device signs of a batch; its COSE_Sign1 is a leaf of the ledger."""

    device: str
    boot: int
    sequence: int
    previous: bytes
    first_unix_time_second: float
    last_unix_time_second: float
    frame_count: int
    value_count: int
    columns: bytes
    notes: bytes

    def payload(self) -> bytes:
        """The bytes that are signed."""
        return to_cbor(
            {
                "device": self.device,
                "boot": self.boot,
                "sequence": self.sequence,
                "previous": self.previous,
                "first_unix_time_second": float(self.first_unix_time_second),
                "last_unix_time_second": float(self.last_unix_time_second),
                "frame_count": self.frame_count,
                "value_count": self.value_count,
                "columns": self.columns,
                "notes": self.notes,
            }
        )

    @staticmethod
    def of(signed: Signed) -> "Manifest":
        """The manifest in a signed message whose signature somebody has checked or will check.

        Raises:
            DecodeError: it is something else.
        """
        bad = DecodeError("not the manifest of a batch", hint="Update the sender's software.")
        if signed.content_type != BATCH_TYPE:
            raise bad
        told = from_cbor(signed.payload, "the manifest")
        if not isinstance(told, dict) or set(told) != set(Manifest.__slots__):
            raise bad
        manifest = Manifest(**told)
        if not manifest._sound():
            raise bad
        return manifest

    def _sound(self) -> bool:
        counts = (self.boot, self.sequence, self.frame_count, self.value_count)
        digests = (self.previous, self.columns, self.notes)
        times = (self.first_unix_time_second, self.last_unix_time_second)
        try:
            return (
                isinstance(self.device, str)
                and bool(check_name(self.device))
                and all(type(count) is int and 0 <= count < 1 << 62 for count in counts)
                and self.boot >= 1
                and self.sequence >= 1
                and all(isinstance(d, bytes) and len(d) == _DIGEST_BYTES for d in digests)
                and all(isinstance(t, float) and math.isfinite(t) for t in times)
                and times[0] <= times[1]
            )
        except UsageError:
            return False


@dataclass(frozen=True, slots=True)
class Content:
    """What is sealed: salt, columns and notes as bytes."""

    salt: bytes
    columns: bytes
    notes: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """What goes over the wire: the signed manifest and the sealed content."""

    manifest: bytes
    sealed: bytes

    def encode(self) -> bytes:
        """As bytes."""
        return to_cbor([self.manifest, self.sealed])

    @staticmethod
    def decode(data: bytes) -> "Message":
        """From bytes.

        Raises:
            DecodeError: not a message.
        """
        match from_cbor(data, "the message"):
            case [bytes(manifest), bytes(sealed)]:
                return Message(manifest, sealed)
            case _:
                raise DecodeError("not a batch message", hint="Update the sender's software.")


def encode_columns(frames: Frames) -> bytes:
    """Frames as the bytes that are digested, in one way only."""
    told = {}
    for name, column in frames.columns().items():
        tag = _FLOAT64_LE if column.dtype == np.float64 else _FLOAT32_LE
        data = _plain(np.asarray(column, dtype=_DTYPES[tag])).tobytes()
        told[name] = cbor2.CBORTag(_ROW_MAJOR, [list(column.shape), cbor2.CBORTag(tag, data)])
    return to_cbor(told)


def _plain(column: np.ndarray) -> np.ndarray:
    """The column with one zero and one NaN."""
    plain = column.copy()
    plain[np.isnan(column)] = np.nan
    plain[plain == 0] = 0
    return plain


def decode_columns(data: bytes) -> Frames:
    """Frames from their bytes.

    Raises:
        DataError: not frames, or frames that cannot be.
    """
    told = from_cbor(data, "the columns")
    if not isinstance(told, dict) or not set(told) <= set(FRAME_COLUMNS):
        raise _no_columns()
    columns = {name: _decode_array(name, item) for name, item in told.items()}
    try:
        return Frames(**columns)
    except TypeError as error:
        raise _no_columns() from error


def _no_columns() -> DecodeError:
    return DecodeError("not the columns of a batch", hint="Update the sender's software.")


def _decode_array(name: str, item: Any) -> np.ndarray:
    tag = _FLOAT64_LE if name == "unix_time_second" else _FLOAT32_LE
    dimensions = 2 if name in LIST_COLUMNS else 1
    match item:
        case cbor2.CBORTag(
            tag=40, value=[list() | tuple() as shape, cbor2.CBORTag(tag=kind, value=bytes(data))]
        ) if kind == tag and len(shape) == dimensions:
            if not all(type(size) is int and 0 <= size < 1 << 32 for size in shape):
                raise _no_columns()
            if math.prod(shape) * _DTYPES[tag].itemsize != len(data):
                raise _no_columns()
            column = np.frombuffer(data, dtype=_DTYPES[tag])
            if _plain(column).tobytes() != data:
                raise _no_columns()
            return column.reshape(shape)
        case _:
            raise _no_columns()


def columns_digest(salt: bytes, columns: bytes) -> bytes:
    """What a manifest says of its columns; the salt keeps few-valued columns from being guessed."""
    return hashlib.sha256(salt + columns).digest()


def notes_digest(salt: bytes, notes: bytes) -> bytes:
    """What a manifest says of its notes."""
    return hashlib.sha256(salt + notes).digest()


def link(signed_manifest: bytes) -> bytes:
    """What the next batch carries as `previous`."""
    return hashlib.sha256(signed_manifest).digest()


def make_manifest(
    frames: Frames, content: Content, *, device: str, boot: int, sequence: int, previous: bytes
) -> Manifest:
    """The manifest of these frames.

    Raises:
        UsageError: no frames.
    """
    if len(frames) == 0:
        raise UsageError("a batch holds at least one frame", hint="Wait for the next reading.")
    return Manifest(
        device=device,
        boot=boot,
        sequence=sequence,
        previous=previous,
        first_unix_time_second=float(frames.unix_time_second[0]),
        last_unix_time_second=float(frames.unix_time_second[-1]),
        frame_count=len(frames),
        value_count=frames.value_count(),
        columns=columns_digest(content.salt, content.columns),
        notes=notes_digest(content.salt, content.notes),
    )


def check_summary(manifest: Manifest, frames: Frames) -> None:
    """Hold what a manifest says of its frames against them.

    Raises:
        SealError: it says something else.
    """
    told = (
        manifest.frame_count,
        manifest.value_count,
        manifest.first_unix_time_second,
        manifest.last_unix_time_second,
    )
    if len(frames) == 0 or told != (
        len(frames),
        frames.value_count(),
        float(frames.unix_time_second[0]),
        float(frames.unix_time_second[-1]),
    ):
        raise SealError("the manifest misstates its frames", hint="Treat the message as forged.")


def seal_content(content: Content, signed_manifest: bytes, sealer: Sealer) -> bytes:
    """Compress and seal, bound to the manifest."""
    plain = to_cbor([content.salt, content.columns, content.notes])
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(plain)
    return sealer.seal(packed, link(signed_manifest))


def open_content(
    sealed: bytes, signed_manifest: bytes, manifest: Manifest, opener: Opener
) -> Content:
    """Open the sealed part and hold it against the manifest.

    Raises:
        SealError: altered, or not what the manifest was signed for.
        DecodeError: sealed by the right hand, but not a content.
    """
    packed = opener.open(sealed, link(signed_manifest))
    try:
        size = zstandard.get_frame_parameters(packed).content_size
        if not 0 <= size <= LONGEST_BATCH_BYTES:
            raise DecodeError(
                f"a batch unpacks to {size} bytes, more than {LONGEST_BATCH_BYTES}",
                hint="Send fewer frames a batch.",
            )
        plain = zstandard.ZstdDecompressor().decompress(packed)
    except zstandard.ZstdError as error:
        raise DecodeError("the content does not unpack", hint="Send it again.") from error
    match from_cbor(plain, "the content"):
        case [bytes(salt), bytes(columns), bytes(notes)] if len(salt) == _SALT_BYTES:
            content = Content(salt, columns, notes)
        case _:
            raise DecodeError("not the content of a batch", hint="Update the sender's software.")
    if (
        columns_digest(salt, columns) != manifest.columns
        or notes_digest(salt, notes) != manifest.notes
    ):
        raise SealError(
            "the content is not what its manifest was signed for",
            hint="Treat the message as forged.",
        )
    return content


def open_manifest(encoded: bytes) -> tuple[Signed, Manifest]:
    """A signed manifest taken apart, its signature not yet believed."""
    signed = open_signed(encoded)
    return signed, Manifest.of(signed)
