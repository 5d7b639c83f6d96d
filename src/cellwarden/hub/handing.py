"""Messages handed from a worker that does not write the ledger to the one that does.

Both ends meet in two tables of the lake, in which only the writer's sweep deletes: a deletion is in
conflict with every insertion beside it, two insertions are not.
"""

import queue
import secrets
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

import duckdb
import structlog
from cryptography.hazmat.primitives.serialization import Encoding

from cellwarden.errors import Error, IdentityError, UnavailableError
from cellwarden.hub.arrow import Column
from cellwarden.hub.contention import insist
from cellwarden.hub.ingest import Clock, Ingest, Peer, Reply
from cellwarden.hub.store import Store
from cellwarden.trust.envelope import from_cbor, to_cbor
from cellwarden.trust.identity import load_certificate, thumbprint, utc
from cellwarden.wire import Message, Refusal, decode_reply, encode_reply, open_manifest

__all__ = ["POLL_SECOND", "Follower", "WriterDuty"]

POLL_SECOND: Final = 0.05
_WAITING_BYTES: Final = 64 << 20
_HANDED_BYTES: Final = 8 << 20
_TAKEN_COUNT: Final = 256
_KEPT_SECOND: Final = 300.0  # longer than any follower waits for an answer
_log = structlog.get_logger()


class WriterDuty:
    """The writer's work for the others: take what is handed, answer, sweep."""

    def __init__(
        self,
        store: Store,
        ingest: Ingest,
        clock: Clock = time.time,
        *,
        sweep_second: float = 30.0,
    ) -> None:
        """`sweep_second` is how often what was answered a while ago is forgotten."""
        self._sweep_second = sweep_second
        self._store = store
        self._ingest = ingest
        self._clock = clock
        self._swept = time.monotonic()

    def step(self) -> int:
        """Take in and answer what is waiting; gives how many requests that were.

        What cannot be served now stays handed.

        Raises:
            UnavailableError: the lake does not serve.
        """
        asked = {row[0]: row[1:] for row in self._waiting()}
        replies = [(mark, self._submit(*parts)) for mark, parts in asked.items()]
        answers = {mark: told for mark, reply in replies if (told := _outcome(reply)) is not None}
        if answers:
            self._answer(answers)
        self._sweep()
        return len(answers)

    def _waiting(self) -> list[tuple[Any, ...]]:
        return self._store.rows(
            "SELECT hand_id, device, certificate, bodies FROM ("
            " SELECT * FROM handed WHERE hand_id NOT IN (SELECT hand_id FROM answered)"
            f" ORDER BY unix_time_second LIMIT {_TAKEN_COUNT}"
            ") ORDER BY device, unix_time_second, hand_id"
        )

    def _submit(self, device: str, certificate: bytes, bodies: bytes) -> "Future[Reply]":
        reply: Future[Reply] = Future()
        try:
            shown = load_certificate(bytes(certificate))
            # Whoever may write to the lake could have put the row there.
            peer = Peer(self._ingest.roots.check(shown, utc(self._clock())), shown)
            return self._ingest.submit(list(from_cbor(bytes(bodies), "what was handed")), peer)
        except UnavailableError as error:
            reply.set_exception(error)
        except Error as error:
            self._ingest.note_refusal(error, claimed=device, peer=device)
            reply.set_result((None, Refusal(type(error).__name__, str(error), error.hint)))
        return reply

    def _answer(self, answers: dict[str, Reply]) -> None:
        columns: dict[str, Column] = {
            "hand_id": list(answers),
            "reply": [encode_reply(*reply) for reply in answers.values()],
            "unix_time_second": [self._clock()] * len(answers),
        }
        insist(self._store, lambda: self._store.insert("answered", columns))

    def _sweep(self) -> None:
        """Forget what was answered a while ago; seldom, since it is in the way of others."""
        if time.monotonic() - self._swept < self._sweep_second:
            return
        self._swept = time.monotonic()
        old = [self._clock() - _KEPT_SECOND]
        try:
            with self._store.transaction() as store:
                store.execute(
                    "DELETE FROM handed WHERE hand_id IN"
                    " (SELECT hand_id FROM answered WHERE unix_time_second < ?)",
                    old,
                )
                store.execute("DELETE FROM answered WHERE unix_time_second < ?", old)
        except (UnavailableError, duckdb.TransactionException) as error:
            _log.info("sweep put off", reason=str(error))


def _outcome(reply: "Future[Reply]") -> Reply | None:
    try:
        return reply.result()
    except UnavailableError:
        return None


@dataclass(slots=True)
class _Request:
    bodies: list[bytes]
    peer: Peer
    reply: "Future[Reply]"
    byte_count: int
    refusal: Refusal | None = None
    hand_id: str = field(default_factory=lambda: secrets.token_hex(16))
    until_second: float = 0.0  # on the monotonic clock


class Follower:
    """The face of `Ingest` in a worker that does not write: one thread hands over and waits."""

    def __init__(
        self, store: Store, clock: Clock = time.time, *, answer_second: float = 20.0
    ) -> None:
        """`answer_second` is how long the writer may take before a device is told to try again."""
        self._store = store
        self._clock = clock
        self._answer_second = answer_second
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._handed: dict[str, _Request] = {}
        self._bytes_lock = threading.Lock()
        self._waiting_bytes = 0
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def submit(self, bodies: list[bytes], peer: Peer) -> "Future[Reply]":
        """Queue a device's messages, oldest first; answered when the writer has stored them.

        Raises:
            UnavailableError: more is waiting than the writer takes; come again later.
        """
        size = sum(len(body) for body in bodies)
        with self._bytes_lock:
            if self._waiting_bytes + size > _WAITING_BYTES:
                raise UnavailableError("the hub is behind", hint="Send again in a second.")
            self._waiting_bytes += size
        request = _Request(bodies, peer, Future(), size)
        # The connection may go away; what it brought is stored all the same.
        request.reply.set_running_or_notify_cancel()
        self._queue.put(request)
        return request.reply

    @property
    def waiting_byte_count(self) -> int:
        """Bytes that were received and are not answered yet. [1]"""
        return self._waiting_bytes

    def expected(self, device: str) -> int:
        """The sequence that a device has to send next."""
        found = self._store.rows("SELECT max(sequence) FROM batch WHERE device = ?", [device])
        return int(found[0][0] or 0) + 1

    def note_refusal(self, error: Error, *, claimed: str, peer: str) -> None:
        """Put a refusal on record that was made here."""
        row: dict[str, Column] = {
            "unix_time_second": [self._clock()],
            "claimed_device": [claimed],
            "peer": [peer],
            "kind": [type(error).__name__],
            "message": [str(error)],
        }
        insist(self._store, lambda: self._store.insert("refusal", row))

    def close(self) -> None:
        """Stop waiting; what was handed stays handed, and devices send it again."""
        self._queue.put(None)
        self._thread.join()

    # --- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while (fresh := self._gather()) is not None:
            try:
                self._hand([request for request in fresh if self._is_sound(request)])
                self._collect()
            except Exception as error:  # noqa: BLE001  every waiting caller must hear of it
                for request in [*fresh, *self._handed.values()]:
                    self._finish(request, error)
        for request in list(self._handed.values()):
            self._finish(request, _unanswered())

    def _gather(self) -> list[_Request] | None:
        """What has come in; waits for the first where nobody waits for an answer."""
        fresh: list[_Request] = []
        size = 0
        while size < _HANDED_BYTES:
            try:
                if fresh:
                    request = self._queue.get_nowait()
                else:
                    request = self._queue.get(timeout=POLL_SECOND if self._handed else None)
            except queue.Empty:
                break
            if request is None:
                for one in fresh:
                    self._finish(one, _unanswered())
                return None
            fresh.append(request)
            size += request.byte_count
        return fresh

    def _is_sound(self, request: _Request) -> bool:
        """Whether anything is left to hand over; keeps the messages before the first bad one."""
        for count, body in enumerate(request.bodies):
            try:
                _check(body, request.peer)
            except Error as error:
                name = request.peer.identity.name
                self.note_refusal(error, claimed=name, peer=name)
                kind = type(error).__name__
                request.refusal = Refusal(kind, str(error), error.hint, self.expected(name))
                request.bodies = request.bodies[:count]
                break
        if request.bodies:
            return True
        self._finish(request, (None, request.refusal))
        return False

    def _hand(self, requests: Sequence[_Request]) -> None:
        if not requests:
            return
        peers = [request.peer for request in requests]
        columns: dict[str, Column] = {
            "hand_id": [request.hand_id for request in requests],
            "device": [peer.identity.name for peer in peers],
            "certificate": [peer.certificate.public_bytes(Encoding.DER) for peer in peers],
            "bodies": [to_cbor(request.bodies) for request in requests],
            "unix_time_second": [self._clock()] * len(requests),
        }
        # Handed twice under one mark, where a commit was stored and said to have failed, is once.
        insist(self._store, lambda: self._store.insert("handed", columns))
        for request in requests:
            request.until_second = time.monotonic() + self._answer_second
            self._handed[request.hand_id] = request

    def _collect(self) -> None:
        if not self._handed:
            return
        found = self._store.rows(
            "SELECT hand_id, reply FROM answered WHERE hand_id IN (SELECT unnest(?))",
            [list(self._handed)],
        )
        for mark, told in {mark: bytes(reply) for mark, reply in found}.items():
            request = self._handed[mark]
            ack, refusal = decode_reply(told)
            if refusal is None and request.refusal is not None and ack is not None:
                mine = request.refusal
                refusal = Refusal(mine.kind, mine.message, mine.hint, ack.sequence + 1)
            self._finish(request, (ack, refusal))
        now = time.monotonic()
        for request in [r for r in self._handed.values() if r.until_second < now]:
            self._finish(request, _unanswered())

    def _finish(self, request: _Request, outcome: Reply | Exception) -> None:
        self._handed.pop(request.hand_id, None)
        if request.reply.done():
            return
        with self._bytes_lock:
            self._waiting_bytes -= request.byte_count
        if isinstance(outcome, Exception):
            request.reply.set_exception(outcome)
        else:
            request.reply.set_result(outcome)


def _check(body: bytes, peer: Peer) -> None:
    """What can be judged without the writer's state; the writer judges all of it again."""
    message = Message.decode(body)
    signed, manifest = open_manifest(message.manifest)
    if peer.identity.kind != "device" or peer.identity.name != manifest.device:
        raise IdentityError(
            f"{peer.identity.name} sent a batch in the name of {manifest.device}",
            hint="A device sends its own batches only; look into this sender.",
        )
    # Signed before its certificate was renewed: the writer knows the one before.
    if signed.thumbprint == thumbprint(peer.certificate):
        signed.verify(peer.certificate.public_key())  # type: ignore[arg-type]  # other kinds refused


def _unanswered() -> UnavailableError:
    return UnavailableError(
        "the ledger's writer has not answered yet", hint="Send again; nothing is stored twice."
    )
