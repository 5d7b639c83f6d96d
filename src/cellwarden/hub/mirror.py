"""What a worker that does not write knows of the lake, kept in memory and brought up to date."""

from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ed25519

from cellwarden.errors import UnavailableError
from cellwarden.hub.latest import Latest, read_latest
from cellwarden.hub.ledger import Ledger
from cellwarden.hub.store import Store
from cellwarden.trust.ledger import Tree

__all__ = ["Mirror"]

_NEWEST: Final = "SELECT max(size) FROM checkpoint WHERE size >= ?"


def _does_not_write(_size: int) -> None:
    raise UnavailableError("this worker does not write the ledger", hint="Send again in a second.")


class Mirror:
    """Head, counts and newest values, for pages that ask many times a second."""

    def __init__(self, store: Store, key: ed25519.Ed25519PrivateKey, origin: str) -> None:
        """Read them.

        Raises:
            LedgerError: the rows do not give the head that was signed.
        """
        self._store, self._key, self._origin = store, key, origin
        self.latest: dict[str, Latest] = {}
        self.accepted_count = 0
        self.refused_count = 0
        self._ledger = self._taken_up(0)
        self.count_refusals()

    def head(self) -> tuple[Tree, str]:
        """Tree and signed head that belong together."""
        return self._ledger.head()

    def refresh(self) -> None:
        """Take up what the writer has added; reads the new leaves alone.

        Raises:
            LedgerError: the rows do not give the head that was signed.
        """
        known = self._ledger.tree.size
        if self._store.rows(_NEWEST, [known]) != [(known or None,)]:
            self._ledger = self._taken_up(known)

    def count_refusals(self) -> None:
        """Every worker puts its own on record, the one that writes the ledger too."""
        self.refused_count = int(self._store.rows("SELECT count(*) FROM refusal")[0][0])

    def _taken_up(self, first_leaf: int) -> Ledger:
        """The ledger as it is now, when what came from a leaf on is added up."""
        ledger = Ledger(self._store, self._key, self._origin, may_write=_does_not_write)
        fresh = read_latest(self._store, first_leaf, ledger.tree.size)
        self.latest |= {name: _after(self.latest.get(name), each) for name, each in fresh.items()}
        self.accepted_count += sum(each.batch_count for each in fresh.values())
        return ledger


def _after(before: Latest | None, now: Latest) -> Latest:
    if before is None:
        return now
    return replace(
        now,
        batch_count=before.batch_count + now.batch_count,
        frame_count=before.frame_count + now.frame_count,
    )
