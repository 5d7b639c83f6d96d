"""The right to write a lake's ledger: a lock in its catalog, and what voids it."""

import contextlib
import threading
from typing import Any, Final

import psycopg

from cellwarden.errors import UnavailableError

__all__ = ["CatalogLock", "Office"]

_LOCK: Final = (0x43656C6C, 1)  # "Cell", the ledger's writer; a catalog has one ledger


class CatalogLock:
    """A lock that one session of the catalog's PostgreSQL holds; `catalog` is as in `LakeStore`.

    The pooling of connections must not move a session between servers' processes: point it at
    PostgreSQL itself or at a pool in session mode. In another mode `still_held` says no.
    """

    def __init__(self, catalog: str) -> None:
        self._catalog = catalog
        self._mutex = threading.Lock()
        self._session: psycopg.Connection[tuple[Any, ...]] | None = None

    def try_take(self) -> bool:
        """Hold the lock from now on, unless somebody else does.

        Raises:
            UnavailableError: the catalog does not answer.
        """
        if self.still_held():
            return True
        with self._mutex:
            try:
                if self._session is None:
                    self._session = _session(self._catalog)
                found = self._session.execute("SELECT pg_try_advisory_lock(%s, %s)", _LOCK)
                return bool((found.fetchone() or (False,))[0])
            except psycopg.Error as error:
                self._drop()
                raise UnavailableError(
                    f"the lake's catalog does not answer: {error}",
                    hint="Check PostgreSQL and `lake_catalog`; it is tried again by itself.",
                ) from error

    def still_held(self) -> bool:
        """Whether the catalog, asked now, says that this session has the lock."""
        with self._mutex:
            if self._session is None:
                return False
            try:
                found = self._session.execute(
                    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
                    " AND pid = pg_backend_pid() AND (classid, objid) = (%s, %s)",
                    _LOCK,
                )
                return found.fetchone() is not None
            except psycopg.Error:
                self._drop()
                return False

    def newest_change(self) -> int | None:
        """The number of the lake's last commit, asked at a fraction of a query's cost.

        None where it cannot be told: then it takes a query to know whether anything is new.
        """
        with self._mutex:
            if self._session is None:
                return None
            try:
                found = self._session.execute("SELECT max(snapshot_id) FROM ducklake_snapshot")
                row = found.fetchone()
            except psycopg.Error:
                return None  # `still_held` finds out whether the session is gone
            return None if row is None else row[0]

    def release(self) -> None:
        """Let go of the lock, and of the connection that held it; free when this returns."""
        with self._mutex:
            if self._session is not None:
                # The server may take a while to see that a connection is gone.
                with contextlib.suppress(psycopg.Error):
                    self._session.execute("SELECT pg_advisory_unlock_all()")
            self._drop()

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def _session(catalog: str) -> psycopg.Connection[tuple[Any, ...]]:
    session = psycopg.connect(
        catalog, autocommit=True, connect_timeout=5, tcp_user_timeout=5000, keepalives_idle=5
    )
    # Where the holder's machine vanishes without a word, the server has to find out soon.
    # Silence is noticed by the keepalives, an answer that nobody takes by the timeout.
    for setting in ("keepalives_idle = 5", "keepalives_interval = 2", "keepalives_count = 3",
                    "user_timeout = '10s'"):  # fmt: skip
        session.execute(f"SET tcp_{setting}".encode())
    return session


class Office:
    """The right to write the ledger, as long as the lock is held and nothing is in doubt."""

    def __init__(self, lock: CatalogLock) -> None:
        self._lock = lock
        self._tried = -1
        self._in_doubt = False

    def may_write(self, size: int) -> None:
        """Asked before each commit, with the size of the tree that is about to grow.

        Raises:
            UnavailableError: somebody else may write the ledger now.
        """
        # Asked twice at one size: the first commit failed, on its way there or on its way back.
        self._in_doubt = self._in_doubt or size == self._tried
        if self._in_doubt or not self._lock.still_held():
            raise UnavailableError(
                "this worker does not write the ledger any more", hint="Send again in a second."
            )
        self._tried = size

    def leave(self) -> None:
        """Never write again under this right, even if the same lock is taken once more."""
        self._in_doubt = True

    def held(self) -> bool:
        """Whether the ledger can go on under this writer."""
        return not self._in_doubt and self._lock.still_held()
