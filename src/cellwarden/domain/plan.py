"""What the hub advises; the edge checks it against its own limits and may refuse."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from cellwarden.errors import UsageError

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Power of one pack over coming intervals, by direction, both at least zero."""

    device: str
    start_unix_time_second: Float[np.ndarray, " interval"]
    charge_watt: Float[np.ndarray, " interval"]
    discharge_watt: Float[np.ndarray, " interval"]

    def __post_init__(self) -> None:
        if not (
            len(self.start_unix_time_second) == len(self.charge_watt) == len(self.discharge_watt)
        ):
            raise UsageError("a plan has one power a direction an interval", hint="Match lengths.")
        if np.any(self.charge_watt < 0) or np.any(self.discharge_watt < 0):
            raise UsageError("a planned power is negative", hint="Name the direction instead.")
