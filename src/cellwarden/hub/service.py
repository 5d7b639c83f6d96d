"""The hub's working parts, put together once and handed to whoever serves them."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from cellwarden.hub.ingest import Ingest
from cellwarden.hub.ledger import Ledger
from cellwarden.hub.store import Store

__all__ = ["Hub"]


@dataclass(frozen=True, slots=True)
class Hub:
    """One running hub. `clock` gives Unix seconds."""

    store: Store
    ledger: Ledger
    ingest: Ingest
    clock: Callable[[], float] = time.time
    on_close: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Finish what is waiting, then let go of the store."""
        self.ingest.close()
        self.store.close()
        self.on_close()
