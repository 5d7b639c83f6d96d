"""Handshakes that came to nothing, put on record; a flood of them leaves a bounded record."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from cellwarden.hub.throttle import Throttle

__all__ = ["Strangers"]

_BURST: Final = 20
_REFILL_SECOND: Final = 60.0
_REASONS: Final = 100


class Strangers:
    """Hears of each failed handshake, writes the first ones of a reason and then one a minute."""

    def __init__(
        self, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start the one thread that calls `write` with a reason."""
        self._write = write
        self._clock = clock
        self._throttle = Throttle(_BURST, _REFILL_SECOND, _REASONS)
        self._left_out: Counter[str] = Counter()
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="strangers", daemon=True)
        self._thread.start()

    def hear(self, reason: str) -> None:
        """A handshake failed; called by the event loop, which must not wait for a disk."""
        if self._throttle.take(reason, self._clock()):
            if len(self._left_out) < _REASONS or reason in self._left_out:
                self._left_out[reason] += 1
            return
        more = self._left_out.pop(reason, 0)
        self._waiting.put(f"{reason} (and {more} more like it)" if more else reason)

    def close(self) -> None:
        """Write what is waiting and stop."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (reason := self._waiting.get()) is not None:
            self._write(reason)
