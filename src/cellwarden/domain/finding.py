"""Something that does not look right, with the numbers that say so."""

from dataclasses import dataclass, field
from enum import IntEnum

__all__ = ["Finding", "Severity"]


class Severity(IntEnum):
    """How soon somebody should look."""

    INFO = 0
    WARNING = 1
    ALARM = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation of one detector; it never changes the data.

    `kind` is the detector's rule ("bounds", "rate", "hampel", "spread", ...), `signal` the column,
    `item` the cell or sensor inside a list column (-1 where there is none), `evidence` the numbers
    that a person needs to judge it: the value, the limit, the neighbours.
    """

    kind: str
    severity: Severity
    signal: str
    unix_time_second: float
    message: str
    item: int = -1
    evidence: dict[str, float] = field(default_factory=dict)
