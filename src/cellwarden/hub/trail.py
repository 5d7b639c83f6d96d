"""Who did what, and what they were denied: rows that are only ever added.

A password, a token or anything that somebody typed in the wrong field never gets here.
"""

import re
from collections.abc import Callable
from typing import Final

from cellwarden.hub.contention import insist
from cellwarden.hub.store import Store

__all__ = ["Trail", "plain"]

_LONGEST: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Trail:
    """Writes to the table `audit`, each row in its own transaction."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def note(self, actor: str, action: str, subject: str = "", outcome: str = "done") -> None:
        """Put one decision on record."""
        row = {
            "unix_time_second": self._clock(),
            "actor": plain(actor),
            "action": plain(action),
            "subject": plain(subject),
            "outcome": plain(outcome),
        }
        insist(self._store, lambda: self._store.add("audit", **row))


def plain(text: str) -> str:
    """Text that fits a row of the trail: short, and nothing that a terminal obeys."""
    return _CONTROL.sub(" ", text)[:_LONGEST]
