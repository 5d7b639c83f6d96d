"""Many hub workers on one lake, of which one at a time writes the ledger.

Rules
- A lock in the lake's catalog elects the writer; it is free again when its holder's process dies.
- A writer looks at its lock after a transaction has begun to write and before it commits; a new
  writer alters the table of leaves before it reads it. So whoever is late by a moment fails:
  either it sees that the lock is gone, or the lake finds its commit in conflict with the new
  writer's. Two histories cannot both be stored.
- After a commit that failed nobody knows whether it was stored: the writer stands down, and the
  next one takes the ledger up from what the lake holds.
- A worker that is not the writer checks what it can without the writer's state and hands the
  messages over, still sealed. The writer judges them as if the device had come to it.
- What only a writer does beside it (verdicts, housekeeping) begins and ends with its term.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

import structlog
from cryptography.hazmat.primitives.asymmetric import ed25519

from cellwarden.errors import Error
from cellwarden.hub.contention import insist
from cellwarden.hub.handing import POLL_SECOND, Follower, WriterDuty
from cellwarden.hub.ingest import Clock, Ingest, Peer, Reply
from cellwarden.hub.latest import Latest
from cellwarden.hub.ledger import Ledger
from cellwarden.hub.mirror import Mirror
from cellwarden.hub.office import CatalogLock, Office
from cellwarden.hub.store import Store
from cellwarden.hub.upkeep import Upkeep
from cellwarden.trust.envelope import Opener
from cellwarden.trust.identity import Roots
from cellwarden.trust.ledger import NoteKey, Tree

__all__ = ["CatalogLock", "Follower", "Secrets", "Term", "Worker", "Writer", "become_writer"]

Term = Callable[[Store, Ledger, Ingest], Callable[[], None]]
_LOOK_SECOND = 1.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Secrets:
    """What it takes to be the writer."""

    ledger_key: ed25519.Ed25519PrivateKey
    origin: str
    opener: Opener


@dataclass(frozen=True, slots=True)
class Writer:
    """A worker in office: the ordinary ledger and ingest, and the duty towards the others."""

    office: Office
    ledger: Ledger
    ingest: Ingest
    duty: WriterDuty


def become_writer(
    store: Store, lock: CatalogLock, secret: Secrets, roots: Roots, clock: Clock = time.time
) -> Writer:
    """Ledger and ingest afresh from the lake, for who has just taken the lock.

    Raises:
        UnavailableError: the lake does not serve.
        LedgerError: the rows do not give the head that was signed.
    """
    office = Office(lock)

    def announce() -> None:
        # It changes nothing but the table's version: what the writer before has begun and not
        # committed by now, it never will.
        mark = secrets.token_hex(8)
        store.execute(f"COMMENT ON TABLE leaf IS 'written by {mark}'")

    insist(store, announce)
    ledger = Ledger(store, secret.ledger_key, secret.origin, may_write=office.may_write)
    ingest = Ingest(store, ledger, secret.opener, roots, clock)
    return Writer(office, ledger, ingest, WriterDuty(store, ingest, clock))


def _nothing() -> None:
    pass


def _nothing_more(_store: Store, _ledger: Ledger, _ingest: Ingest) -> Callable[[], None]:
    return _nothing


class Worker:
    """One hub worker: the writer if the lock is its own, otherwise a follower that would be.

    It has the face of `Ingest` and the head of the ledger, in office or out of it.
    """

    def __init__(
        self,
        store: Store,
        lock: CatalogLock,
        secret: Secrets,
        roots: Roots,
        clock: Clock = time.time,
        *,
        term: Term = _nothing_more,
        elect_second: float = 1.0,
        answer_second: float = 20.0,
    ) -> None:
        """`term` begins what goes with the office and gives what ends it.

        `elect_second` is how often a follower tries to take the lock.

        Raises:
            LedgerError: the rows do not give the head that was signed.
        """
        self._store, self._lock, self._secret, self._clock = store, lock, secret, clock
        self._roots = roots
        self._term = term
        self._end_term: Callable[[], None] = _nothing
        self._elect_second = elect_second
        self.origin, self.note_key = secret.origin, NoteKey.of(secret.origin, secret.ledger_key)
        self._mirror = Mirror(store, secret.ledger_key, secret.origin)
        self._upkeep = Upkeep(store)
        self._watchers: list[Callable[[], None]] = []
        self._looked = time.monotonic()
        self._mirrored: int | None = None  # the lake's commits that the mirror has taken up
        self._served: int | None = None  # and those after which the duty was done
        self._follower = Follower(store, clock, answer_second=answer_second)
        self._writer: Writer | None = None
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    @property
    def writer(self) -> Writer | None:
        """Its ledger and ingest while it is in office."""
        return self._writer

    @property
    def roots(self) -> Roots:
        """Whom it believes."""
        return self._roots

    @roots.setter
    def roots(self, roots: Roots) -> None:
        self._roots = roots
        if (writer := self._writer) is not None:
            writer.ingest.roots = roots

    @property
    def latest(self) -> Mapping[str, Latest]:
        """The newest of each device; out of office, as it was a second ago."""
        return self._known().latest

    @property
    def accepted_count(self) -> int:
        """Batches that are stored. [1]"""
        return self._known().accepted_count

    @property
    def refused_count(self) -> int:
        """Refusals on record, of all workers, as it was a second ago. [1]"""
        return self._mirror.refused_count

    @property
    def waiting_byte_count(self) -> int:
        """Bytes that were received and are not stored yet. [1]"""
        return self._face().waiting_byte_count

    @property
    def stage_second(self) -> Mapping[str, float]:
        """CPU time that each stage of taking in has spent here. [s]"""
        writer = self._writer
        return {} if writer is None else writer.ingest.stage_second

    def head(self) -> tuple[Tree, str]:
        """Tree and signed head that belong together."""
        writer = self._writer
        return self._mirror.head() if writer is None else writer.ledger.head()

    def watch(self, look: Callable[[], None]) -> None:
        """Call this about once a second, in the worker's thread."""
        self._watchers.append(look)

    def submit(self, bodies: list[bytes], peer: Peer) -> "Future[Reply]":
        """Queue a device's messages, oldest first.

        Raises:
            UnavailableError: more is waiting than can be taken; come again later.
        """
        # Nothing may be queued in an ingest that has stopped: nobody would answer.
        with self._changing:
            return self._face().submit(bodies, peer)

    def expected(self, device: str) -> int:
        """The sequence that a device has to send next."""
        return self._face().expected(device)

    def note_refusal(self, error: Error, *, claimed: str, peer: str) -> None:
        """Put a refusal on record that was made before a message was read."""
        self._face().note_refusal(error, claimed=claimed, peer=peer)

    def close(self) -> None:
        """Finish what is waiting, and let another worker write."""
        self._stopping.set()
        self._thread.join()
        self._stand_down()
        self._follower.close()

    def _face(self) -> "Ingest | Follower":
        writer = self._writer
        return self._follower if writer is None else writer.ingest

    def _known(self) -> "Ingest | Mirror":
        writer = self._writer
        return self._mirror if writer is None else writer.ingest

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                pause = self._turn()
            except Exception as error:  # noqa: BLE001  a worker that fails lets another write
                _log.warning("not the writer", reason=str(error), kind=type(error).__name__)
                self._stand_down()
                pause = self._elect_second

    def _turn(self) -> float:
        """One round of its life; gives how long to rest after it. [s]"""
        writer = self._writer
        if writer is None:
            if not self._lock.try_take():
                self._look()
                return self._elect_second
            self._take_office()
            return 0.0
        if not writer.office.held():
            self._stand_down()
            return self._elect_second
        looked = self._look()
        self._upkeep.turn()
        newest = self._lock.newest_change()
        if newest is not None and newest == self._served and not looked:
            return POLL_SECOND  # nothing was committed, so nothing was handed
        self._served = newest
        return 0.0 if writer.duty.step() else POLL_SECOND

    def _look(self) -> bool:
        """What other workers may have changed, about once a second; whether it was time to."""
        if time.monotonic() - self._looked < min(_LOOK_SECOND, self._elect_second):
            return False
        newest = self._lock.newest_change()
        if newest is None or newest != self._mirrored:
            if self._writer is None:
                self._mirror.refresh()
            self._mirror.count_refusals()
            self._mirrored = newest
        for look in self._watchers:
            look()
        self._looked = time.monotonic()
        return True

    def _take_office(self) -> None:
        writer = become_writer(self._store, self._lock, self._secret, self._roots, self._clock)
        try:
            self._end_term = self._term(self._store, writer.ledger, writer.ingest)
        except BaseException:
            writer.office.leave()
            writer.ingest.close()
            raise
        writer.ingest.roots = self._roots  # they may have changed meanwhile
        self._writer = writer
        _log.info("writes the ledger", tree_size=writer.ledger.tree.size)

    def _stand_down(self) -> None:
        # What it knew as the writer, it has to read again.
        self._looked, self._mirrored = float("-inf"), None
        with self._changing:
            writer, self._writer = self._writer, None
        if writer is not None:
            writer.ingest.close()  # while the lock is held, if it is: what waits is finished
            writer.office.leave()
            _log.info("writes the ledger no more", tree_size=writer.ledger.tree.size)
        self._lock.release()
        # After the lock: a verdict that is under way must not keep another worker from writing.
        end_term, self._end_term = self._end_term, _nothing
        end_term()
