"""What the cells of a pack are worth by now, and what they are believed to be able to do.

Rules
- NaN says that a cell's value is not known; whoever reads it takes the worse side.
- `health` works these out, `control` reads them; neither knows the other.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from cellwarden.errors import UsageError

__all__ = ["Capability", "Condition"]


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """Capacity of each cell, or group of cells in parallel, and its resistance over a new one's.

    The ratio is taken at equal temperature, so that it does not move with the weather.
    `capacity_std_ah` is None where no error is stated.
    """

    capacity_ah: Float[np.ndarray, " cell"]
    resistance_factor: Float[np.ndarray, " cell"]
    capacity_std_ah: Float[np.ndarray, " cell"] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Capability:
    """Highest current that keeps each cell inside its window for each of some horizons.

    Magnitudes by direction.
    """

    unix_time_second: float
    horizon_second: tuple[float, ...]
    charge_ampere: Float[np.ndarray, "horizon cell"]
    discharge_ampere: Float[np.ndarray, "horizon cell"]

    def __post_init__(self) -> None:
        if not len(self.horizon_second) == len(self.charge_ampere) == len(self.discharge_ampere):
            raise UsageError(
                "a capability has one row a horizon", hint="Match horizons and currents."
            )
