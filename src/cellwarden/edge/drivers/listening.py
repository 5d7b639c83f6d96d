"""What all who listen on a bus share: hear for a period, and know how old each number is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from cellwarden.edge.drivers.line import Bus, BusFrame

__all__ = ["Freshness", "listen"]

_MOST_FRAMES: Final = 100_000


def listen(bus: Bus, period_second: float, take: Callable[[BusFrame], None]) -> None:
    """Hand over every frame that is heard until the period is over, and what waits by then.

    Raises:
        UnavailableError: the bus is down.
        EOFError: it is a replay, and nothing was left to hear.
    """
    end = bus.now() + period_second
    any_heard = False
    for _ in range(_MOST_FRAMES):  # a bus that babbles must not hold its listener
        try:
            frame = bus.hear(max(end - bus.now(), 0.0))
        except EOFError:
            if not any_heard:
                raise
            return  # a replay ends after what was heard in its last period
        if frame is None:
            return
        any_heard = True
        take(frame)


@dataclass(slots=True)
class Freshness:
    """Numbers by name, each with the time at which it was heard."""

    heard: dict[str, tuple[float, float]] = field(default_factory=dict)

    def put(self, values: Mapping[str, float], unix_time_second: float) -> None:
        """These were heard now."""
        for name, value in values.items():
            self.heard[name] = (value, unix_time_second)

    def age(self, name: str, unix_time_second: float) -> float:
        """How long ago a number was heard; infinite where it never was. [s]"""
        _, at = self.heard.get(name, (np.nan, -np.inf))
        return unix_time_second - at

    def get(self, name: str, unix_time_second: float, stale_second: float) -> float:
        """The number, or NaN when it is older than that."""
        value, at = self.heard.get(name, (np.nan, -np.inf))
        return value if unix_time_second - at <= stale_second else np.nan
