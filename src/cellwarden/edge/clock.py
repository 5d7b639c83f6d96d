"""A clock that orders expire on: it never goes back, whatever is done to the wall clock.

Rules
- Between two questions at least as much time has passed as the steady clock has counted.
- A wall clock that is ahead is followed, so an order is over too early rather than too late.
- A wall clock that is behind is not: it was set back, or lost its battery.
- What the hub says over a connection that both sides have proved counts as a witness, and is kept:
  after a restart time does not begin before it.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["TrustedClock"]

_TOLERANCE_SECOND: Final = 60.0  # hub and device need not agree better


class TrustedClock:
    """Unix seconds for judging orders. [s]"""

    def __init__(
        self,
        witnessed_unix_time_second: float = 0.0,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`witnessed_unix_time_second` is the latest time that a witness has stated before."""
        self._wall, self._steady = wall, steady
        self._lock = threading.Lock()
        self._last, self._asked = witnessed_unix_time_second, steady()
        self._witnessed, self._heard = witnessed_unix_time_second, self._asked

    def now(self) -> float:
        """Now, at least. [s]"""
        with self._lock:
            return self._advance()

    def _advance(self) -> float:
        steady = self._steady()
        self._last = max(self._last + steady - self._asked, self._wall())
        self._asked = steady
        return self._last

    def witness(self, unix_time_second: float) -> None:
        """Somebody who is believed says how late it is."""
        with self._lock:
            now = self._advance()
            self._last = max(now, unix_time_second)
            self._witnessed = max(self._floor(), unix_time_second)
            self._heard = self._asked

    def witnessed(self) -> float:
        """The latest time that was witnessed, and what has passed since; to be kept. [s]"""
        with self._lock:
            self._advance()
            return self._floor()

    def _floor(self) -> float:
        return self._witnessed + self._asked - self._heard

    def set_back_second(self) -> float:
        """How far the wall clock is behind what is known of the time; 0 where it is not. [s]"""
        with self._lock:
            behind = self._advance() - self._wall()
            return behind if behind > _TOLERANCE_SECOND else 0.0
