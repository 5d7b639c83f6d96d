"""From a device's message to rows and a proof, in one transaction, before anything is acknowledged.

Rules
- A message is believed only if the certificate of the connection names its device, the signature
  holds under a certificate of that device, and sequence and link continue what is stored.
- What is stored already is acknowledged again; it is never stored twice.
- Rows, leaves, head and notes of a group of messages commit together or not at all.
- A refusal is a row too: who came, what was claimed, why it was refused.
"""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cellwarden.errors import Error, IdentityError, ReplayError, UnavailableError
from cellwarden.hub.latest import Latest, read_latest
from cellwarden.hub.ledger import Entry, Grown, Ledger
from cellwarden.hub.rows import Accepted, write_batches
from cellwarden.hub.store import Store
from cellwarden.trust.envelope import Opener, Signed
from cellwarden.trust.identity import Identity, Roots, load_certificate, thumbprint, utc
from cellwarden.wire import (
    FIRST_PREVIOUS,
    Ack,
    Manifest,
    Message,
    Notes,
    Refusal,
    check_summary,
    decode_columns,
    link,
    open_content,
    open_manifest,
)

__all__ = ["Ingest", "Peer", "Reply", "enrolment_entry"]

Reply = tuple[Ack | None, Refusal | None]
Clock = Callable[[], float]

_GROUP_BYTES: Final = 8 << 20
_GROUP_COUNT: Final = 512
_WAITING_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Peer:
    """Who holds the connection, its certificate checked."""

    identity: Identity
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class _Head:
    sequence: int = 0
    boot: int = 0
    link: bytes = FIRST_PREVIOUS


@dataclass(slots=True)
class _Request:
    bodies: list[bytes]
    peer: Peer
    reply: "Future[Reply]"
    byte_count: int
    gone: bool = False


@dataclass(slots=True)
class _Group:
    """What one transaction will hold."""

    accepted: list[Accepted] = field(default_factory=list)
    enrolled: dict[bytes, x509.Certificate] = field(default_factory=dict)
    refused: list[tuple[float, str, str, str, str]] = field(default_factory=list)
    heads: dict[str, _Head] = field(default_factory=dict)
    unpacked_bytes: int = 0


@dataclass(slots=True)
class _Outcome:
    """How far one request came."""

    last: Accepted | None = None
    repeated: tuple[str, int] | None = None
    refusal: Refusal | None = None


class Ingest:
    """One thread that takes in what all connections bring."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        opener: Opener,
        roots: Roots,
        clock: Clock = time.time,
        *,
        unpacked_bytes: int = 64 << 20,
    ) -> None:
        """Take up what is stored; `unpacked_bytes` bounds what one transaction holds in memory."""
        self._unpacked_bytes = unpacked_bytes
        self._closed = False
        self._store = store
        self._ledger = ledger
        self._opener = opener
        self._clock = clock
        self.roots = roots
        self.accepted_count, self.refused_count = self._counts()
        self.stage_second: dict[str, float] = {}
        self.on_stored: Callable[[set[str]], None] = lambda _devices: None
        self.latest = read_latest(store)
        self._heads = self._read_heads()
        self._certificates = self._read_certificates()
        self._waiting: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._bytes_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._thread.start()

    def submit(self, bodies: list[bytes], peer: Peer) -> "Future[Reply]":
        """Queue a device's messages, oldest first.

        Raises:
            UnavailableError: more is waiting than the disk takes, or the hub is going down; come
                again later.
        """
        size = sum(len(body) for body in bodies)
        with self._bytes_lock:
            if self._closed:
                raise UnavailableError("the hub is going down", hint="Send again in a minute.")
            if self._waiting_bytes + size > _WAITING_BYTES:
                raise UnavailableError("the hub is behind", hint="Send again in a second.")
            self._waiting_bytes += size
            request = _Request(bodies, peer, Future(), size)
            self._waiting.put(request)
        return request.reply

    @property
    def waiting_byte_count(self) -> int:
        """Bytes that were received and are not stored yet. [1]"""
        return self._waiting_bytes

    def expected(self, device: str) -> int:
        """The sequence that a device has to send next."""
        return self._heads.get(device, _Head()).sequence + 1

    def enrol(self, certificate: x509.Certificate) -> None:
        """Put a certificate on record whose holder signs entries here."""
        mark = thumbprint(certificate)
        if mark not in self._certificates:
            self._commit(_Group(enrolled={mark: certificate}))

    def note_refusal(self, error: Error, *, claimed: str, peer: str) -> None:
        """Put a refusal on record that was made before a message was read."""
        group = _Group(refused=[(self._clock(), claimed, peer, type(error).__name__, str(error))])
        self._commit(group)

    def close(self) -> None:
        """Finish what is waiting and stop."""
        with self._bytes_lock:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    # --- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while (requests := self._next_requests()) is not None:
            # Who has given up waiting takes no answer; what it sent is judged all the same.
            for request in requests:
                request.gone = not request.reply.set_running_or_notify_cancel()
            try:
                self._take_in(requests)
            except Exception as error:  # noqa: BLE001  every waiting caller must hear of it
                for request in requests:
                    if not request.reply.done():
                        request.reply.set_exception(error)
            with self._bytes_lock:
                self._waiting_bytes -= sum(request.byte_count for request in requests)

    def _next_requests(self) -> list[_Request] | None:
        first = self._waiting.get()
        if first is None:
            return None
        requests, size, count = [first], first.byte_count, len(first.bodies)
        while size < _GROUP_BYTES and count < _GROUP_COUNT:
            try:
                more = self._waiting.get_nowait()
            except queue.Empty:
                break
            if more is None:
                self._waiting.put(None)
                break
            requests.append(more)
            size, count = size + more.byte_count, count + len(more.bodies)
        return requests

    def _take_in(self, requests: list[_Request]) -> None:
        group = _Group()
        outcomes = [self._judge_request(request, group) for request in requests]
        grown = self._commit(group)
        first = grown.first_index + len(group.enrolled) if grown else 0
        places = {id(batch): first + n for n, batch in enumerate(group.accepted)}
        started = time.thread_time()
        for request, outcome in zip(requests, outcomes, strict=True):
            if not request.gone:
                request.reply.set_result((self._acknowledge(outcome, places), outcome.refusal))
        self._spent("acknowledge", started)
        if group.accepted:
            self.on_stored({batch.manifest.device for batch in group.accepted})

    def _judge_request(self, request: _Request, group: _Group) -> _Outcome:
        outcome = _Outcome()
        for body in request.bodies:
            if group.unpacked_bytes >= self._unpacked_bytes:
                break  # the sender hears how far it came, and sends the rest again
            claimed = ""
            try:
                message = Message.decode(body)
                signed, manifest = open_manifest(message.manifest)
                claimed = manifest.device
                batch = self._judge(message, signed, manifest, request.peer, group)
            except Error as error:
                name = claimed or request.peer.identity.name
                kind = type(error).__name__
                group.refused.append(
                    (self._clock(), name, request.peer.identity.name, kind, str(error))
                )
                expected = self._head(request.peer.identity.name, group).sequence + 1
                outcome.refusal = Refusal(kind, str(error), error.hint, expected)
                break
            if batch is None:
                outcome.repeated = (manifest.device, manifest.sequence)
                continue
            group.accepted.append(batch)
            group.unpacked_bytes += len(batch.content.columns) + len(batch.content.notes)
            outcome.last = batch
            group.heads[manifest.device] = _Head(
                manifest.sequence, manifest.boot, link(message.manifest)
            )
        return outcome

    def _judge(
        self, message: Message, signed: Signed, manifest: Manifest, peer: Peer, group: _Group
    ) -> Accepted | None:
        """The batch, if it is to be believed and new; None if it is stored already."""
        started = time.thread_time()
        self._check_signer(signed, manifest, peer, group)
        self._spent("verify", started)
        if self._is_repeated(message, manifest, group):
            return None
        started = time.thread_time()
        content = open_content(message.sealed, message.manifest, manifest, self._opener)
        frames = decode_columns(content.columns)
        notes = Notes.decode(content.notes)
        check_summary(manifest, frames)
        self._spent("open", started)
        return Accepted(message.manifest, manifest, content, frames, notes, self._clock())

    def _check_signer(self, signed: Signed, manifest: Manifest, peer: Peer, group: _Group) -> None:
        if peer.identity.kind != "device" or peer.identity.name != manifest.device:
            raise IdentityError(
                f"{peer.identity.name} sent a batch in the name of {manifest.device}",
                hint="A device sends its own batches only; look into this sender.",
            )
        mark = thumbprint(peer.certificate)
        if mark not in self._certificates:
            group.enrolled[mark] = peer.certificate
        asked = signed.thumbprint
        certificate = group.enrolled.get(asked) or self._certificates.get(asked)
        if certificate is None:
            raise IdentityError(
                "signed with a certificate that was never seen here",
                hint="Connect once with that certificate, or enrol the device again.",
            )
        if signed.thumbprint != mark:
            identity = self.roots.check(certificate, utc(self._clock()), past=True)
            revoked = certificate.serial_number in self.roots.revoked
            if revoked or identity != Identity("device", manifest.device):
                raise IdentityError(
                    f"signed with a certificate that is not {manifest.device}'s",
                    hint="Treat the message as forged.",
                )
        key = certificate.public_key()
        signed.verify(key)  # type: ignore[arg-type]  # the signature check refuses other kinds

    def _is_repeated(self, message: Message, manifest: Manifest, group: _Group) -> bool:
        """Whether the batch is stored already.

        Raises:
            ReplayError: it tells a second history, or leaves a gap.
        """
        head = self._head(manifest.device, group)
        if manifest.sequence <= head.sequence:
            if self._known_link(manifest, head, group) == link(message.manifest):
                return True
            raise ReplayError(
                f"{manifest.device} sent another batch {manifest.sequence} than the one stored",
                hint="Two devices share one key, or one was set back; enrol it anew.",
            )
        if manifest.sequence > head.sequence + 1:
            raise ReplayError(
                f"{manifest.device} sent batch {manifest.sequence}, {head.sequence + 1} is missing",
                hint="Send the missing batches first.",
            )
        if manifest.previous != head.link or manifest.boot < head.boot:
            raise ReplayError(
                f"batch {manifest.sequence} of {manifest.device} does not continue the one before",
                hint="Two devices share one key, or one was set back; enrol it anew.",
            )
        return False

    def _known_link(self, manifest: Manifest, head: _Head, group: _Group) -> bytes:
        if manifest.sequence == head.sequence:
            return head.link
        for batch in group.accepted:
            known = batch.manifest
            if (known.device, known.sequence) == (manifest.device, manifest.sequence):
                return link(batch.signed)
        found = self._store.rows(
            "SELECT link FROM batch WHERE device = ? AND sequence = ?",
            [manifest.device, manifest.sequence],
        )
        return bytes(found[0][0]) if found else b""

    def _head(self, device: str, group: _Group) -> _Head:
        return group.heads.get(device) or self._heads.get(device, _Head())

    def _commit(self, group: _Group) -> Grown | None:
        started = time.thread_time()
        grown: Grown | None = None
        now = self._clock()
        entries = [
            Entry("enrolment", Identity.of(certificate).name, enrolment_entry(certificate))
            for certificate in group.enrolled.values()
        ]
        entries += [Entry("batch", b.manifest.device, b.signed) for b in group.accepted]
        if entries:
            with self._ledger.appending(entries, now) as grown:
                self._spent("ledger", started)
                started = time.thread_time()
                write_batches(self._store, group.accepted, grown.first_index + len(group.enrolled))
                self._write_beside(group)
        else:
            with self._store.transaction():
                self._write_beside(group)
        self._certificates.update(group.enrolled)
        self._heads.update(group.heads)
        for batch in group.accepted:
            device = batch.manifest.device
            self.latest[device] = Latest.after(batch, self.latest.get(device))
        self.accepted_count += len(group.accepted)
        self.refused_count += len(group.refused)
        self._spent("store", started)
        return grown

    def _write_beside(self, group: _Group) -> None:
        for certificate in group.enrolled.values():
            _write_device(self._store, certificate)
        for row in group.refused:
            self._store.add("refusal", **dict(zip(_REFUSAL, row, strict=True)))

    def _acknowledge(self, outcome: _Outcome, places: dict[int, int]) -> Ack | None:
        if outcome.last is not None:
            sequence, index = outcome.last.manifest.sequence, places[id(outcome.last)]
        elif outcome.repeated is not None:
            device, sequence = outcome.repeated
            index = self._store.rows(
                "SELECT leaf_index FROM batch WHERE device = ? AND sequence = ?",
                [device, sequence],
            )[0][0]
        else:
            return None
        tree, note = self._ledger.head()
        return Ack(sequence, index, note, tuple(self._ledger.inclusion(index, tree)))

    def _spent(self, stage: str, started: float) -> None:
        spent = time.thread_time() - started
        self.stage_second[stage] = self.stage_second.get(stage, 0.0) + spent

    # --- taking up -------------------------------------------------------------------------

    def _read_heads(self) -> dict[str, _Head]:
        rows = self._store.rows(
            "SELECT device, max(sequence), arg_max(boot, sequence), arg_max(link, sequence)"
            " FROM batch GROUP BY device"
        )
        return {device: _Head(seq, boot, bytes(end)) for device, seq, boot, end in rows}

    def _read_certificates(self) -> dict[bytes, x509.Certificate]:
        rows = self._store.rows("SELECT thumbprint, certificate FROM device")
        return {bytes(mark): load_certificate(bytes(der)) for mark, der in rows}

    def _counts(self) -> tuple[int, int]:
        accepted = self._store.rows("SELECT count(*) FROM batch")[0][0]
        refused = self._store.rows("SELECT count(*) FROM refusal")[0][0]
        return accepted, refused


_REFUSAL: Final = ("unix_time_second", "claimed_device", "peer", "kind", "message")


def enrolment_entry(certificate: x509.Certificate) -> bytes:
    """The ledger's entry for an enrolment: the certificate itself, which our authority signed."""
    return certificate.public_bytes(Encoding.DER)


def _write_device(store: Store, certificate: x509.Certificate) -> None:
    store.add(
        "device",
        device=Identity.of(certificate).name,
        thumbprint=thumbprint(certificate),
        certificate=enrolment_entry(certificate),
        not_after_unix_time_second=certificate.not_valid_after_utc.timestamp(),
    )
