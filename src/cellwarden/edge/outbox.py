"""What is still to be sent, on disk and encrypted, and where the chain of batches stands.

Rules
- A message and the state after it (sequence, link, driver position) commit together.
- Nothing is deleted before the hub has acknowledged it; acknowledged messages stay until
  `keep_bytes` is exceeded, so that a hub restored from a backup can ask for them again.
- Each blob is AES-256-GCM with its sequence as associated data; the key lies in the `KeyStore`.
- Of the hub's acknowledgements some of every age are kept: a hub that rewrites its history is
  caught by any that is younger than what was rewritten and older than the rewriting.
- What cannot be whole is not used: a device that forgot where its chain stands would begin a
  second history, and the hub would never take in anything from it again.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cellwarden.errors import DecodeError, SealError, UnavailableError, UsageError
from cellwarden.trust.envelope import from_cbor, to_cbor

__all__ = ["KEEP_BYTES", "ChainState", "LastAck", "Outbox"]

_TABLES: Final = (
    "CREATE TABLE state (name TEXT PRIMARY KEY, body BLOB NOT NULL)",
    "CREATE TABLE message (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    "CREATE TABLE acknowledgement (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL)",
)
KEEP_BYTES: Final = 64 << 20  # of what the hub has acknowledged
_PAGE_BYTES: Final = 512  # the smallest database there is
_NONCE_BYTES: Final = 12
_BESIDE: Final = "beside "


@dataclass(frozen=True, slots=True)
class ChainState:
    """Where a device stands: the batch it made last and how far its driver has read."""

    boot: int = 0
    sequence: int = 0
    previous: bytes = bytes(32)
    position: bytes = b""
    estimator: bytes = b""


@dataclass(frozen=True, slots=True)
class LastAck:
    """What the hub has bound itself to, last."""

    sequence: int
    leaf_index: int
    manifest: bytes
    checkpoint: str


class Outbox:
    """One SQLite file for one device."""

    def __init__(self, path: Path, key: bytes, *, keep_bytes: int = KEEP_BYTES) -> None:
        """Open or create it.

        Raises:
            UnavailableError: the disk does not serve.
            SealError: the key is not the one it was made with, or something in it is missing.
        """
        self._cipher = AESGCM(key)
        self._keep_bytes = keep_bytes
        self._lock = threading.RLock()
        self._path = path
        with _alone(path):
            if path.exists() and path.stat().st_size < _PAGE_BYTES:
                raise self._broken("is empty")
            with _disk(path):
                self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self.state = self._take_up()
            except BaseException:
                self._db.close()
                raise

    def _take_up(self) -> ChainState:
        with self._lock, _disk(self._path):
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        if not tables and pages > 1:
            raise self._broken("lacks its tables")
        if not tables:
            with self._transaction():
                for table in _TABLES:
                    self._db.execute(table)
                self._write_state(ChainState())
                self._put("ack", to_cbor(None))
        with self._moment():
            state, ack = self._read_state(), self.last_ack()
            held = self._db.execute(
                "SELECT count(*), min(sequence), max(sequence) FROM message"
            ).fetchone()
        self._check_whole(state.sequence, ack.sequence if ack else 0, *held)
        return state

    def _check_whole(
        self, made: int, acknowledged: int, count: int, first: int | None, last: int | None
    ) -> None:
        """All that is not acknowledged is here, without a gap."""
        if first is None or last is None:
            first, last = made + 1, made
        if (last, last - first + 1) != (made, count) or first > acknowledged + 1:
            raise self._broken("lacks messages")

    def _broken(self, what: str) -> SealError:
        return SealError(
            f"the outbox {self._path} {what}",
            hint="Restore it, or enrol the device anew; delete it if the device never sent.",
        )

    def append(self, message: bytes, state: ChainState) -> None:
        """Keep a message together with the state that follows from it.

        Raises:
            UnavailableError: the disk did not take it.
            UsageError: another process has kept a message in its place.
        """
        with self._transaction():
            taken = self._db.execute(
                "SELECT count(*) FROM message WHERE sequence >= ?", (state.sequence,)
            ).fetchone()[0]
            if taken:
                raise UsageError(
                    "another process runs this device", hint="Let one of the two run it."
                )
            self._db.execute(
                "INSERT INTO message VALUES (?, ?)",
                (state.sequence, self._lock_up(f"m{state.sequence}", message)),
            )
            self._write_state(state)
            self._db.execute("DELETE FROM state WHERE name = 'loss'")
        self.state = state

    def begin_boot(self) -> ChainState:
        """Count a start of the device."""
        state = self.state
        state = ChainState(
            state.boot + 1, state.sequence, state.previous, state.position, state.estimator
        )
        with self._transaction():
            self._write_state(state)
        self.state = state
        return state

    def after(self, sequence: int, limit_bytes: int) -> list[tuple[int, bytes]]:
        """The messages that follow a sequence, oldest first, up to so many bytes (at least one)."""
        found: list[tuple[int, bytes]] = []
        size = 0
        with self._lock, _disk(self._path):
            rows = self._db.execute(
                "SELECT sequence, body FROM message WHERE sequence > ? ORDER BY sequence",
                (sequence,),
            )
            for number, body in rows:
                message = self._unlock(f"m{number}", body)
                if found and number != found[-1][0] + 1:
                    raise self._broken("holds messages in another order")
                if found and size + len(message) > limit_bytes:
                    break
                found.append((number, message))
                size += len(message)
        return found

    def acknowledge(self, ack: LastAck) -> None:
        """Note what the hub has; let go of the oldest of what exceeds the room for it."""
        told = to_cbor([ack.sequence, ack.leaf_index, ack.manifest, ack.checkpoint])
        with self._transaction():
            self._put("ack", told)
            self._db.execute(
                "INSERT OR REPLACE INTO acknowledgement VALUES (?, ?)",
                (ack.sequence, self._lock_up(f"a{ack.sequence}", told)),
            )
            self._thin_out()
            kept = self._db.execute(
                "SELECT coalesce(sum(length(body)), 0) FROM message WHERE sequence <= ?",
                (ack.sequence,),
            ).fetchone()[0]
            if kept > self._keep_bytes:
                self._prune(ack.sequence, kept - self._keep_bytes)

    def last_ack(self) -> LastAck | None:
        """The newest acknowledgement, if there has been one."""
        told = self._get("ack")
        if told is None:
            raise self._broken("lacks its acknowledgement")
        return _hear_ack(told)

    def acknowledgements(self) -> list[LastAck]:
        """What the device can show of the hub's promises, oldest first."""
        with self._lock, _disk(self._path):
            rows = self._db.execute(
                "SELECT sequence, body FROM acknowledgement ORDER BY sequence"
            ).fetchall()
        heard = (_hear_ack(self._unlock(f"a{number}", body)) for number, body in rows)
        return [ack for ack in heard if ack is not None]

    def note_loss(self, first: int, last: int) -> None:
        """The hub admits that it has lost what it acknowledged; the next batch will say so.

        What it had promised of the lost is let go of: the signed batch tells it from then on.
        """
        with self._transaction():
            self._put("loss", to_cbor([first, last]))
            self._db.execute("DELETE FROM acknowledgement WHERE sequence >= ?", (first,))

    def loss(self) -> tuple[int, int] | None:
        """The batches that had to be sent again, until a batch has said so."""
        told = self._get("loss")
        match None if told is None else from_cbor(told, "the note of a loss"):
            case [int(first), int(last)]:
                return first, last
            case _:
                return None

    def keep(self, name: str, body: bytes) -> None:
        """Keep something beside the chain, under a name of its own, until it is kept anew.

        Raises:
            UnavailableError: the disk did not take it; what was there before still is.
        """
        with self._transaction():
            self._put(f"{_BESIDE}{name}", body)

    def kept(self, name: str) -> bytes | None:
        """What was kept under a name."""
        return self._get(f"{_BESIDE}{name}")

    def waiting_bytes(self) -> int:
        """Size of the messages that are not acknowledged."""
        ack = self.last_ack()
        with self._lock, _disk(self._path):
            found = self._db.execute(
                "SELECT coalesce(sum(length(body)), 0) FROM message WHERE sequence > ?",
                (ack.sequence if ack else 0,),
            ).fetchone()
        return int(found[0])

    def waiting_count(self) -> int:
        """Messages that are not acknowledged."""
        ack = self.last_ack()
        return self.state.sequence - (ack.sequence if ack else 0)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def _thin_out(self) -> None:
        """Keep the first, and of every power of two of age the oldest and the newest."""
        rows = self._db.execute("SELECT sequence FROM acknowledgement ORDER BY sequence")
        held = [sequence for (sequence,) in rows]
        ages: dict[int, list[int]] = {}
        for sequence in held:
            ages.setdefault((held[-1] - sequence).bit_length(), []).append(sequence)
        kept = {held[0], *(end for group in ages.values() for end in (group[0], group[-1]))}
        self._db.executemany(
            "DELETE FROM acknowledgement WHERE sequence = ?",
            [(sequence,) for sequence in held if sequence not in kept],
        )

    def _prune(self, acknowledged: int, excess: int) -> None:
        last, size = 0, 0
        rows = self._db.execute(
            "SELECT sequence, length(body) FROM message WHERE sequence <= ? ORDER BY sequence",
            (acknowledged,),
        )
        for sequence, byte_count in rows:
            if size >= excess:
                break
            last, size = sequence, size + byte_count
        self._db.execute("DELETE FROM message WHERE sequence <= ?", (last,))

    def _read_state(self) -> ChainState:
        told = self._get("chain")
        if told is None:
            raise self._broken("lacks its state")
        match from_cbor(told, "the chain's state"):
            case [int(boot), int(seq), bytes(previous), bytes(position), bytes(estimator)]:
                return ChainState(boot, seq, previous, position, estimator)
            case _:
                raise DecodeError("not a chain's state", hint="Restore the outbox.")

    def _write_state(self, state: ChainState) -> None:
        self._put(
            "chain",
            to_cbor([state.boot, state.sequence, state.previous, state.position, state.estimator]),
        )

    def _put(self, name: str, body: bytes) -> None:
        self._db.execute(
            "INSERT INTO state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body",
            (name, self._lock_up(name, body)),
        )

    def _get(self, name: str) -> bytes | None:
        with self._lock, _disk(self._path):
            row = self._db.execute("SELECT body FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else self._unlock(name, row[0])

    def _lock_up(self, name: str, body: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, body, name.encode())

    def _unlock(self, name: str, body: object) -> bytes:
        if not isinstance(body, bytes):
            raise self._broken("holds something else than was put in")
        try:
            nonce, sealed = body[:_NONCE_BYTES], body[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, sealed, name.encode())
        except (InvalidTag, ValueError) as error:
            raise SealError(
                f"{self._path} does not open", hint="Put back the key it was made with."
            ) from error

    @contextmanager
    def _moment(self) -> Iterator[None]:
        """What is read belongs together, while the device's own process goes on writing."""
        with self._lock, _disk(self._path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, _disk(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time takes an outbox up: a new one is half made for a moment."""
    try:
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _hear_ack(told: bytes) -> LastAck | None:
    match from_cbor(told, "the acknowledgement"):
        case None:
            return None
        case [int(sequence), int(leaf), bytes(manifest), str(checkpoint)]:
            return LastAck(sequence, leaf, manifest, checkpoint)
        case _:
            raise DecodeError("not an acknowledgement", hint="Restore the outbox.")


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter: spoilt table names
        raise _unusable(path, error) from error


def _unusable(path: Path, why: Exception) -> UnavailableError:
    return UnavailableError(
        f"the outbox {path} cannot be used: {why}",
        hint="Free or mend the disk; nothing that was kept is lost.",
    )
