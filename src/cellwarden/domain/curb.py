"""What somebody far away may ask of a pack: always less than the pack would do by itself."""

from dataclasses import dataclass
from math import inf
from typing import Final

from cellwarden.domain.request import Request
from cellwarden.errors import RangeError

__all__ = ["FREE", "Curb", "Ordered", "Room"]


@dataclass(frozen=True, slots=True)
class Curb:
    """Bounds below those of the pack; each stands where it tightens nothing unless it is given.

    Outside the window of charge the pack is no longer charged above, no longer discharged below.
    """

    high_charge_current_ampere: float = inf
    high_discharge_current_ampere: float = inf
    low_soc_fraction: float = 0.0
    high_soc_fraction: float = 1.0

    def __post_init__(self) -> None:
        currents = (self.high_charge_current_ampere, self.high_discharge_current_ampere)
        if not (
            all(current >= 0.0 for current in currents)
            and 0.0 <= self.low_soc_fraction < self.high_soc_fraction <= 1.0
        ):
            raise RangeError(
                "no pack can keep to such bounds",
                hint="Give currents of at least 0 A and a window of charge inside 0..1.",
            )

    def both(self, other: "Curb") -> "Curb":
        """What keeps to this and to another; a window that is empty then becomes its middle."""
        low = max(self.low_soc_fraction, other.low_soc_fraction)
        high = min(self.high_soc_fraction, other.high_soc_fraction)
        if low >= high:  # nothing is charged above the lower bound, nor discharged below the upper
            low, high = _apart(high, low)
        return Curb(
            min(self.high_charge_current_ampere, other.high_charge_current_ampere),
            min(self.high_discharge_current_ampere, other.high_discharge_current_ampere),
            low,
            high,
        )


def _apart(low: float, high: float) -> tuple[float, float]:
    middle = min(max((low + high) / 2.0, _NARROWEST), 1.0 - _NARROWEST)
    return middle - _NARROWEST, middle + _NARROWEST


_NARROWEST: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Room:
    """What the pack itself allows at most: an order that asks for more is refused.

    `high_voltage_volt` is the whole pack's, by which a planned power becomes a current.
    """

    high_charge_current_ampere: float
    high_discharge_current_ampere: float
    high_voltage_volt: float
    low_soc_fraction: float = 0.0
    high_soc_fraction: float = 1.0


@dataclass(frozen=True, slots=True)
class Ordered:
    """All orders that are in force at one moment, taken together.

    `request` is what is asked for, None where nothing is; a planned power is a ceiling.
    """

    curb: Curb = Curb()
    request: Request | None = None
    charge_watt: float = inf
    discharge_watt: float = inf


FREE: Final = Ordered()
