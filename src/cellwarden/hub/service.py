"""The hub's working parts, put together once and handed to whoever serves them."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from cellwarden.errors import Error
from cellwarden.hub.ingest import Peer, Reply
from cellwarden.hub.latest import Latest
from cellwarden.hub.store import Store
from cellwarden.trust.identity import Roots
from cellwarden.trust.ledger import NoteKey, Tree

__all__ = ["Hub", "Intake", "SignedHead"]


class SignedHead(Protocol):
    """The end of the ledger: the ledger itself, or a worker that knows of it."""

    origin: str
    note_key: NoteKey

    def head(self) -> tuple[Tree, str]:
        """Tree and signed head that belong together."""
        ...


class Intake(Protocol):
    """What devices and pages ask of whoever takes batches in: `Ingest`, or a worker on a lake.

    Everything but `submit`'s result, `expected` and `note_refusal` is answered from memory.
    """

    roots: Roots

    @property
    def latest(self) -> Mapping[str, Latest]:
        """The newest of each device."""
        ...

    @property
    def accepted_count(self) -> int:
        """Batches that are stored. [1]"""
        ...

    @property
    def refused_count(self) -> int:
        """Refusals on record. [1]"""
        ...

    @property
    def waiting_byte_count(self) -> int:
        """Bytes that were received and are not stored yet. [1]"""
        ...

    @property
    def stage_second(self) -> Mapping[str, float]:
        """CPU time that each stage has taken. [s]"""
        ...

    def submit(self, bodies: list[bytes], peer: Peer) -> "Future[Reply]":
        """Queue a device's messages, oldest first."""
        ...

    def expected(self, device: str) -> int:
        """The sequence that a device has to send next."""
        ...

    def note_refusal(self, error: Error, *, claimed: str, peer: str) -> None:
        """Put a refusal on record that was made before a message was read."""
        ...

    def close(self) -> None:
        """Finish what is waiting and stop."""
        ...


def _nobody_else(_look: Callable[[], None]) -> None:
    """On a file there is nothing to look for: no other process writes."""


@dataclass(frozen=True, slots=True)
class Hub:
    """One running hub. `clock` gives Unix seconds.

    `watch` takes a call that looks at what other hubs on the same lake may have changed, and makes
    it about once a second in a thread. `on_close` is called before anything is closed.
    """

    store: Store
    ledger: SignedHead
    ingest: Intake
    clock: Callable[[], float] = time.time
    on_close: Callable[[], None] = lambda: None
    watch: Callable[[Callable[[], None]], None] = _nobody_else

    def close(self) -> None:
        """Finish what is waiting, then let go of the store."""
        self.on_close()
        self.ingest.close()
        self.store.close()
