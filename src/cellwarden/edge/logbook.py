"""What must survive a power cut: a ring of events, and the last state of each thing that has one.

The medium is a ring of equal segments. A record begins at a multiple of 16 bytes:

bytes  what
0-3    "CWj1"
4-11   sequence, one more with each record
12-15  length of what follows the head
16-19  CRC-32 of the record, this field taken as zero
20-    nonce of 12 bytes, then AES-256-GCM of the content; bytes 0-15 are its associated data

Rules
- `record` and `keep` return when the record is safe; what returned is there after any power cut.
- A segment begins with a record of all states, so the oldest segment can be written over.
- Reading goes past what is damaged: one record of flipped bits costs that record and no other. A
  record that was being written when the power went is dropped; it was never acknowledged.
- A record is one of a key and a place in the sequence: it cannot be altered, moved or read without
  the key. That a whole older copy was put back cannot be seen here; the hub's ledger sees that.
- Wear is bounded: nothing is written twice, a state that has not changed is not written, and one
  that is kept with a `second` is written at most once in `pace_second`.
"""

import os
import secrets
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cellwarden.edge.medium import FileMedium, Medium
from cellwarden.errors import DecodeError, SealError, UsageError
from cellwarden.trust.envelope import from_cbor, to_cbor
from cellwarden.trust.keys import KeyStore

__all__ = ["Entry", "Found", "Logbook", "open_logbook"]

_MAGIC: Final = b"CWj1"
_ALIGN: Final = 16
_HEAD: Final = 20
_NONCE: Final = 12
_TAG: Final = 16
_FRAMING: Final = 16  # of the encoding, around a name and a body
_EVENT, _STATE, _ALL = range(3)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the ring."""

    sequence: int
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What opening met: records, such as are missing between the oldest and the newest, a torn end.

    A last record whose bits have flipped looks like one that was being written. With
    `last_missing_sequence`, 0 where nothing is missing, one loss is told from the next.
    """

    record_count: int
    missing_count: int
    torn: bool
    last_missing_sequence: int = 0

    @property
    def intact(self) -> bool:
        """Whether nothing that was acknowledged has been lost."""
        return self.missing_count == 0


@dataclass(frozen=True, slots=True)
class _Record:
    sequence: int
    start: int
    stop: int
    content: bytes


@dataclass(slots=True)
class _Held:
    """A state in memory, and when it was last written."""

    body: bytes
    safe: bytes | None = None
    second: float = field(default=float("-inf"))


class Logbook:
    """One ring on one medium."""

    def __init__(
        self,
        medium: Medium,
        key: bytes,
        *,
        segment_bytes: int = 64 << 10,
        segment_count: int = 8,
        pace_second: float = 10.0,
    ) -> None:
        """Open what is there, or begin.

        Raises:
            UsageError: the segments are too few or too small.
            UnavailableError: the medium does not serve.
            SealError: the key is not the one it was written with, or a record was altered.
        """
        if segment_count < 2 or segment_bytes < 1024 or segment_bytes % _ALIGN:  # noqa: PLR2004  as said
            raise UsageError(
                "a ring has two segments or more, of 1 KiB or more",
                hint="Give segment_bytes as a multiple of 16.",
            )
        self._medium, self._cipher = medium, AESGCM(key)
        self._size, self._count = segment_bytes, segment_count
        self._pace = pace_second
        self._lock = threading.RLock()
        self._held: dict[str, _Held] = {}
        self._entries: dict[int, list[Entry]] = {}
        self._sequence = self._segment = self._place = 0
        self.written_byte_count = 0
        self.found = self._take_up(medium.read())

    @staticmethod
    def byte_count(segment_bytes: int = 64 << 10, segment_count: int = 8) -> int:
        """How large a medium must be. [1]"""
        return segment_bytes * segment_count

    @property
    def state(self) -> dict[str, bytes]:
        """The last body of each state, written or waiting."""
        return {name: held.body for name, held in self._held.items()}

    def entries(self) -> list[Entry]:
        """The events in the ring, oldest first."""
        found = [entry for entries in self._entries.values() for entry in entries]
        return sorted(found, key=lambda entry: entry.sequence)

    def record(self, kind: str, body: bytes) -> int:
        """Keep an event for as long as the ring has room; gives its sequence.

        Raises:
            UsageError: it is larger than a quarter of a segment.
            UnavailableError: the medium does not serve; the event is not kept.
        """
        with self._lock:
            sequence = self._append([_EVENT, kind, body], _room(kind, body))
            self._entries.setdefault(self._segment, []).append(Entry(sequence, kind, body))
        return sequence

    def keep(self, name: str, body: bytes, second: float | None = None) -> bool:
        """Keep a state; says whether it is safe already.

        With a `second` (of any steady clock) it may wait until its pace allows it to be written.

        Raises:
            UsageError: all states together are larger than a quarter of a segment.
            UnavailableError: the medium does not serve; what was kept before still is.
        """
        with self._lock:
            others = [pair for pair in self._held.items() if pair[0] != name]
            self._check_room(
                sum((_room(other, one.body) for other, one in others), _room(name, body))
            )
            held = self._held.setdefault(name, _Held(body))
            held.body = body
            if held.safe == body:
                return True
            if second is not None and second - held.second < self._pace:
                return False
            self._write_state(name, held)
            held.second = held.second if second is None else second
            return True

    def flush(self) -> None:
        """Write what waits; before a power-off that is known of."""
        with self._lock:
            for name, held in self._held.items():
                if held.safe != held.body:
                    self._write_state(name, held)

    def close(self) -> None:
        """Write what waits and let go."""
        self.flush()
        self._medium.close()

    def _write_state(self, name: str, held: _Held) -> None:
        body = held.body
        self._append([_STATE, name, body], _room(name, body))
        held.safe = body

    def _check_room(self, byte_count: int) -> None:
        if byte_count > self._size // 4:
            raise UsageError(
                f"{byte_count} bytes do not fit a segment of {self._size}",
                hint="Make the segments larger, or keep less.",
            )

    def _append(self, content: list[object], byte_count: int) -> int:
        self._check_room(byte_count)
        record = self._seal(self._sequence + 1, to_cbor(content))
        if self._place + len(record) > self._size:
            self._turn()
            record = self._seal(self._sequence + 1, to_cbor(content))
        return self._put(record)

    def _turn(self) -> None:
        """Begin the next segment, over the oldest one, with all states."""
        before = self._segment, self._place
        held = {name: one.body for name, one in self._held.items()}
        self._segment, self._place = (self._segment + 1) % self._count, 0
        try:
            self._put(self._seal(self._sequence + 1, to_cbor([_ALL, held])))
        except BaseException:
            self._segment, self._place = before
            raise
        self._entries.pop(self._segment, None)
        for name, body in held.items():
            self._held[name].safe = body

    def _put(self, record: bytes) -> int:
        self._medium.write(self._segment * self._size + self._place, record)
        self._medium.sync()
        self.written_byte_count += len(record)
        self._sequence += 1
        self._place += len(record)
        return self._sequence

    def _seal(self, sequence: int, content: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        length = _NONCE + len(content) + _TAG
        head = _MAGIC + sequence.to_bytes(8, "big") + length.to_bytes(4, "big")
        body = nonce + self._cipher.encrypt(nonce, content, head)
        check = zlib.crc32(body, zlib.crc32(head)).to_bytes(4, "big")
        record = head + check + body
        return record + bytes(-len(record) % _ALIGN)

    def _take_up(self, content: bytes) -> Found:
        need = self._size * self._count
        if len(content) < need:
            raise UsageError(
                f"the medium has {len(content)} bytes, not {need}",
                hint="Open it with the sizes it was made with.",
            )
        found: dict[int, tuple[int, _Record]] = {}
        for segment in range(self._count):
            start = segment * self._size
            for record in _scan(content, start, start + self._size):
                found.setdefault(record.sequence, (segment, record))
        if not found:
            return Found(0, 0, torn=_begun(content, 0, self._size, 1))
        records = [found[sequence] for sequence in sorted(found)]
        for segment, record in records:
            self._replay(segment, record)
        self._segment, last = records[-1]
        self._sequence, self._place = last.sequence, last.stop - self._segment * self._size
        torn = _begun(content, last.stop, (self._segment + 1) * self._size, last.sequence + 1)
        first, newest = records[0][1].sequence, last.sequence
        missing = [sequence for sequence in range(first, newest) if sequence not in found]
        return Found(len(records), len(missing), torn, missing[-1] if missing else 0)

    def _replay(self, segment: int, record: _Record) -> None:
        head = _MAGIC + record.sequence.to_bytes(8, "big") + len(record.content).to_bytes(4, "big")
        nonce, sealed = record.content[:_NONCE], record.content[_NONCE:]
        try:
            content = self._cipher.decrypt(nonce, sealed, head)
        except InvalidTag as error:
            raise SealError(
                f"record {record.sequence} of the logbook does not open",
                hint="Put back the key it was written with; if that is right, it was altered.",
            ) from error
        match from_cbor(content, "a record of the logbook"):
            case [0, str(kind), bytes(body)]:
                entry = Entry(record.sequence, kind, body)
                self._entries.setdefault(segment, []).append(entry)
            case [1, str(name), bytes(body)]:
                self._held[name] = _Held(body, body)
            case [2, dict(held)]:
                self._held = {str(name): _Held(body, body) for name, body in held.items()}
            case _:
                raise DecodeError(
                    f"record {record.sequence} of the logbook is of a kind that is not known",
                    hint="Use the version that wrote it, or a later one.",
                )


def open_logbook(path: Path, keys: KeyStore) -> Logbook:
    """The logbook of a file; begun, with a key of its own, where there is none yet.

    Raises:
        SealError: it was written with another key.
        UnavailableError: there is no room for it.
        UsageError: another process has it.
    """
    if not keys.has("logbook"):
        keys.put("logbook", secrets.token_bytes(32))
    medium = FileMedium(path, Logbook.byte_count())
    try:
        return Logbook(medium, keys.get("logbook"))
    except BaseException:
        medium.close()
        raise


def _room(name: str, body: bytes) -> int:
    """What a body takes within a record, at most. [1]"""
    return len(name.encode()) + len(body) + _FRAMING


def _scan(content: bytes, start: int, stop: int) -> Iterator[_Record]:
    """The whole records of a segment, in order; older ones that they were written over are left."""
    place, last = start, 0
    while place + _HEAD <= stop:
        record = _record_at(content, place, stop)
        if record is None or record.sequence <= last:
            place += _ALIGN
            continue
        yield record
        place, last = record.stop, record.sequence


def _record_at(content: bytes, place: int, stop: int) -> _Record | None:
    if content[place : place + 4] != _MAGIC:
        return None
    head = content[place : place + 16]
    length = int.from_bytes(head[12:16], "big")
    end = place + _HEAD + length
    if length < _NONCE + _TAG or end > stop:
        return None
    check, body = content[place + 16 : place + _HEAD], content[place + _HEAD : end]
    if zlib.crc32(body, zlib.crc32(head)).to_bytes(4, "big") != check:
        return None
    return _Record(int.from_bytes(head[4:12], "big"), place, end + (place - end) % _ALIGN, body)


def _begun(content: bytes, place: int, stop: int, sequence: int) -> bool:
    """Whether a record was begun where the next one belongs."""
    head = _MAGIC + sequence.to_bytes(8, "big")
    return place + len(head) <= stop and content[place : place + len(head)] == head
