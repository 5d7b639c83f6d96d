"""A clock that orders expire on: it never goes back, whatever is done to the wall clock.

Rules
- Between two questions at least as much time has passed as the steady clock has counted.
- A wall clock that is ahead is followed, so an order is over too early rather than too late.
- A wall clock that is behind is not: it was set back, or lost its battery.
- What the hub says over a connection that both sides have proved counts as a witness, and is kept:
  after a restart time does not begin before it.
- A witness who was asked and answered within a known time also says how wrong the wall clock is.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["TrustedClock", "Word"]

_TOLERANCE_SECOND: Final = 60.0  # hub and device need not agree better
_SOURCE_STD_SECOND: Final = 0.1  # a server that is set over the network


@dataclass(frozen=True, slots=True)
class Word:
    """What a witness said the time was when the steady clock stood so, and how sure that is."""

    steady_second: float
    unix_time_second: float
    std_second: float


class TrustedClock:
    """Unix seconds for judging orders. [s]"""

    def __init__(
        self,
        witnessed_unix_time_second: float = 0.0,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`witnessed_unix_time_second` is the latest time that a witness has stated before."""
        self.wall, self.steady = wall, steady
        self._lock = threading.Lock()
        self._last, self._asked = witnessed_unix_time_second, steady()
        self._witnessed, self._heard = witnessed_unix_time_second, self._asked
        self.word: Word | None = None

    def now(self) -> float:
        """Now, at least. [s]"""
        with self._lock:
            return self._advance()

    def _advance(self) -> float:
        steady = self.steady()
        self._last = max(self._last + steady - self._asked, self.wall())
        self._asked = steady
        return self._last

    def witness(self, unix_time_second: float, took_second: float = math.nan) -> None:
        """Somebody who is believed says how late it is.

        `took_second` is how long the answer took: it was given at some moment in that time. Without
        it the time is the earliest that it can be, and no word on the wall clock.
        """
        with self._lock:
            now = self._advance()
            self._last = max(now, unix_time_second)
            self._witnessed = max(self._floor(), unix_time_second)
            self._heard = self._asked
            if math.isfinite(took_second):
                # Anywhere in the time that it took is as likely: the deviation of an even chance.
                std = math.hypot(_SOURCE_STD_SECOND, took_second / math.sqrt(12.0))
                self.word = Word(self._asked, unix_time_second + took_second / 2.0, std)

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
            behind = self._advance() - self.wall()
            return behind if behind > _TOLERANCE_SECOND else 0.0
