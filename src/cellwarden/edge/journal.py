"""Frames between two batches, on disk and encrypted: a power cut costs seconds, not a batch.

Rules
- A piece is some frames with a number; numbers only rise. What is in the outbox up to a number is
  forgotten, after it is there.
- Each piece is AES-256-GCM under the outbox's key, with its number as associated data.
- A piece that does not open ends the reading there: frames are lost rather than believed.
"""

import os
import sqlite3
import threading
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cellwarden.domain import Frames
from cellwarden.errors import DataError, UnavailableError
from cellwarden.wire import decode_columns, encode_columns

__all__ = ["Journal"]

_NONCE_BYTES: Final = 12


class Journal:
    """One SQLite file for one device."""

    def __init__(self, path: Path, key: bytes) -> None:
        """Open or create it.

        Raises:
            UnavailableError: the disk does not serve.
        """
        self._cipher, self._path = AESGCM(key), path
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS piece (number INTEGER PRIMARY KEY, body BLOB NOT NULL)"
            )
            found = self._db.execute("SELECT max(number) FROM piece").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise self._failed(error) from error
        self.last = int(found or 0)
        self.lost_count = 0  # pieces that did not open

    def put(self, frames: Frames, after: int = 0) -> int:
        """Keep frames; gives their number, which is above `after`.

        Raises:
            UnavailableError: the disk did not take them.
        """
        with self._lock:
            number = max(self.last, after) + 1
            try:
                self._db.execute(
                    "INSERT INTO piece VALUES (?, ?)", (number, self._seal(number, frames))
                )
            except sqlite3.DatabaseError as error:
                raise self._failed(error) from error
            self.last = number
            return number

    def after(self, number: int) -> list[tuple[int, Frames]]:
        """The pieces that follow a number, up to the first that does not open."""
        with self._lock:
            try:
                rows = self._db.execute(
                    "SELECT number, body FROM piece WHERE number > ? ORDER BY number", (number,)
                ).fetchall()
            except sqlite3.DatabaseError as error:
                raise self._failed(error) from error
        found: list[tuple[int, Frames]] = []
        for one, body in rows:
            try:
                found.append((int(one), self._open(int(one), bytes(body))))
            except (InvalidTag, DataError, TypeError, ValueError):
                self.lost_count = len(rows) - len(found)
                break
        return found

    def forget(self, number: int) -> None:
        """Let go of the pieces up to a number; the number is not given again.

        Raises:
            UnavailableError: the disk did not take it.
        """
        with self._lock:
            try:
                self._db.execute("DELETE FROM piece WHERE number <= ?", (number,))
            except sqlite3.DatabaseError as error:
                raise self._failed(error) from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def _seal(self, number: int, frames: Frames) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        name = f"piece {number}".encode()
        return nonce + self._cipher.encrypt(nonce, encode_columns(frames), name)

    def _open(self, number: int, body: bytes) -> Frames:
        nonce, sealed = body[:_NONCE_BYTES], body[_NONCE_BYTES:]
        return decode_columns(self._cipher.decrypt(nonce, sealed, f"piece {number}".encode()))

    def _failed(self, error: sqlite3.DatabaseError) -> UnavailableError:
        return UnavailableError(
            f"the journal {self._path} cannot be used: {error}", hint="Free or mend the disk."
        )
