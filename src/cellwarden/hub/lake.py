"""A hub on a lake: one worker of the hubs that share it."""

import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519

from cellwarden.hub.config import load_config
from cellwarden.hub.office import CatalogLock
from cellwarden.hub.place import open_store
from cellwarden.hub.revocations import Revocations
from cellwarden.hub.service import Hub
from cellwarden.hub.workers import Secrets, Term, Worker
from cellwarden.trust.envelope import Opener
from cellwarden.trust.keys import FileKeyStore

__all__ = ["open_on_lake"]


def open_on_lake(folder: Path, term: Term) -> Hub:
    """The hub of a folder as one more worker of its lake; `term` is begun in office.

    Raises:
        UnavailableError: the lake or its catalog does not serve.
        LedgerError: this hub's key has not signed the lake's ledger, or the rows contradict it.
    """
    config, keys = load_config(folder), FileKeyStore(folder / "keys")
    key = ed25519.Ed25519PrivateKey.from_private_bytes(keys.get("ledger"))
    secret = Secrets(key, config.origin, Opener(keys.get("seal")))
    store = open_store(folder)
    try:
        known = Revocations(folder, store)
        lock = CatalogLock(config.lake_catalog)
        worker = Worker(store, lock, secret, known.roots(), term=term)
    except BaseException:
        store.close()
        raise

    def look() -> None:
        known.changed()
        if known.share(time.time()) != worker.roots.revoked:
            worker.roots = known.roots()

    worker.watch(look)
    return Hub(store, worker, worker, watch=worker.watch)
