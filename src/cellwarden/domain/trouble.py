"""What diagnostics hold against a pack at this moment, each with the numbers that say so."""

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Diagnosis", "Reaction", "Trouble"]


class Reaction(IntEnum):
    """What a fault makes the pack do, the mildest first."""

    RECORD = 0  # kept in the log
    WARN = 1  # told to whoever listens
    DERATE = 2  # currents are reduced
    FORBID_CHARGE = 3
    FORBID_CLOSE = 4  # open contactors stay open, closed ones may stay closed
    STANDBY = 5  # currents fall in a ramp, contactors open, the pack waits to be asked again
    OPEN = 6  # contactors open after the delay of the row


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault that is there: which row, since when, on what evidence.

    `item` is the cell, the sensor or the chip (-1 where there is none); `opens_second` the moment
    on the controller's clock at which contactors open for it, infinite where they do not.
    """

    name: str
    reaction: Reaction
    since_second: float
    value: float
    limit: float
    item: int = -1
    latched: bool = False
    opens_second: float = float("inf")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All troubles of this cycle; `first` is the one that was there first, kept until reset."""

    troubles: tuple[Trouble, ...] = ()
    first: Trouble | None = None

    @property
    def reaction(self) -> Reaction:
        """The strongest reaction that is asked for."""
        return max((trouble.reaction for trouble in self.troubles), default=Reaction.RECORD)

    def must_open(self, clock_second: float) -> bool:
        """Whether a delay has run out."""
        return any(trouble.opens_second <= clock_second for trouble in self.troubles)
