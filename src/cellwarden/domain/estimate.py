"""What is believed about a battery, each with how far to believe it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from cellwarden.errors import UsageError

__all__ = ["Charge", "Explanation", "Health", "Interval", "Life", "NotServed"]


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true value lies with probability `coverage`."""

    low: float
    high: float
    coverage: float

    def __post_init__(self) -> None:
        if not (self.low <= self.high and 0 < self.coverage < 1):
            raise UsageError(
                f"not an interval: {self.low}..{self.high} at {self.coverage}",
                hint="Give low <= high and a coverage between 0 and 1.",
            )


@dataclass(frozen=True, slots=True)
class Charge:
    """State of charge of each cell, with the innovation that `guard` watches."""

    unix_time_second: float
    soc_fraction: Float[np.ndarray, " cell"]
    soc_std_fraction: Float[np.ndarray, " cell"]
    innovation_volt: Float[np.ndarray, " cell"]
    innovation_std_volt: Float[np.ndarray, " cell"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """How much each feature moved the estimate from the model's average.

    `base + sum(contributions)` is the estimate.
    """

    base: float
    features: tuple[str, ...]
    values: tuple[float, ...]
    contributions: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """Capacity now over nominal capacity, at a cycle of the cell's record."""

    soh_fraction: float
    interval: Interval
    cycle_count: int
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """Full cycles left until capacity falls to `end_of_life_fraction` of nominal."""

    life_cycle_count: float
    interval: Interval
    end_of_life_fraction: float


@dataclass(frozen=True, slots=True)
class NotServed:
    """No number, because; an honest answer, not an error."""

    reason: str
