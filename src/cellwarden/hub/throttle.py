"""How often something may be tried: a bucket of tries a key, and a bounded number of keys."""

import threading
from collections import OrderedDict

__all__ = ["Throttle"]


class Throttle:
    """`burst` tries at once, then one each `refill_second`; the longest unused key is forgotten."""

    def __init__(self, burst: int, refill_second: float, most_keys: int = 10_000) -> None:
        self._burst = burst
        self._refill_second = refill_second
        self._most_keys = most_keys
        self._tries: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._tries)

    def take(self, key: str, now: float) -> float:
        """Take one try; seconds to wait where none is left, else 0. [s]"""
        with self._lock:
            left = self._left(key, now)
            if left < 1.0:
                self._put(key, left, now)
                return (1.0 - left) * self._refill_second
            self._put(key, left - 1.0, now)
            return 0.0

    def forgive(self, key: str) -> None:
        """Forget what was tried: it was the right person."""
        with self._lock:
            self._tries.pop(key, None)

    def _left(self, key: str, now: float) -> float:
        left, at = self._tries.get(key, (float(self._burst), now))
        return min(self._burst, left + max(0.0, now - at) / self._refill_second)

    def _put(self, key: str, left: float, now: float) -> None:
        self._tries[key] = (left, now)
        self._tries.move_to_end(key)
        while len(self._tries) > self._most_keys:
            self._tries.popitem(last=False)
