"""What the charge estimate did not expect: its innovation over the deviation it expected.

Rules
- A cell whose normalised innovation stands more than `BOUND` from the median of the cells for
  `HELD_SECOND` without a break is a warning: its sensor drifts, or the cell is not like the others.
- What all cells share is not told: the estimate does not know a pack's age, so that its own error
  is as likely as theirs. For the same reason fewer than three cells bear no witness against one.
- A moment without an innovation is a break.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64

from cellwarden.domain import Charge, Finding, Severity
from cellwarden.guard.episode import Breach, Episode, Key, fold
from cellwarden.guard.streak import Streak, extend
from cellwarden.guard.window import SIBLING_COUNT, middle

__all__ = ["BOUND", "HELD_SECOND", "Innovations", "Residual", "inspect_charge"]

BOUND: Final = 3.0
HELD_SECOND: Final = 300.0


@runtime_checkable
class Innovations(Protocol):
    """The same as a `Charge`, for a run of moments: one row each."""

    @property
    def unix_time_second(self) -> Float64[np.ndarray, " time"]:
        """Time of each row. [s]"""
        ...

    @property
    def innovation_volt(self) -> Float[np.ndarray, "time cell"]:
        """Measured minus predicted voltage. [V]"""
        ...

    @property
    def innovation_std_volt(self) -> Float[np.ndarray, "time cell"]:
        """Standard deviation that was expected of it. [V]"""
        ...


@dataclass(frozen=True, slots=True)
class Residual:
    """What is carried from charge to charge of one pack; `Residual()` begins."""

    streak: Streak | None = None
    episodes: Mapping[Key, Episode] = field(default_factory=dict)


def inspect_charge(charge: Charge | Innovations, state: Residual) -> tuple[Residual, list[Finding]]:
    """What the next estimate, or run of estimates, of a pack did not expect."""
    time = np.atleast_1d(np.asarray(charge.unix_time_second, dtype=np.float64))
    innovation = np.atleast_2d(charge.innovation_volt)
    if not len(time):
        return state, []
    if innovation.shape[1] < SIBLING_COUNT:
        return state, []
    ratio = innovation / np.atleast_2d(charge.innovation_std_volt)
    apart = np.abs(ratio - middle(ratio)[:, None])
    beyond = apart > BOUND
    # A record may begin in the middle of a fault: time counts from its first row.
    width = apart.shape[1]
    begun = Streak(np.zeros(width, dtype=np.int64), np.full(width, time[0]))
    _, since, streak = extend(beyond, time, state.streak or begun)
    breach = Breach(
        kind="residual",
        severity=Severity.WARNING,
        signal="innovation_volt",
        text="stays away from what the charge estimate expects, unlike the other cells",
        time=time,
        broken=beyond & (time[:, None] - since >= HELD_SECOND),
        reading=innovation,
        value=apart,
        limit=np.full(apart.shape, BOUND),
        unit="standard deviations",
    )
    episodes, findings = fold([breach], state.episodes, float(time[-1]))
    return Residual(streak, episodes), findings
