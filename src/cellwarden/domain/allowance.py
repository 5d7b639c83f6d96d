"""How much current and power a pack may be given or asked for, and why not more."""

from dataclasses import dataclass
from typing import Final

from cellwarden.errors import UsageError

__all__ = ["Allowance", "Ceiling", "Restraint"]

_NO_LIMIT: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Restraint:
    """One rule that holds a direction back: its name, how much it leaves, the value that it saw."""

    name: str
    limit_ampere: float
    value: float
    item: int = -1


@dataclass(frozen=True, slots=True)
class Allowance:
    """Magnitudes by direction; `charge_by` and `discharge_by` say which rules hold them there."""

    charge_ampere: float
    discharge_ampere: float
    charge_watt: float
    discharge_watt: float
    cooling_fraction: float = 0.0
    charge_by: tuple[Restraint, ...] = ()
    discharge_by: tuple[Restraint, ...] = ()


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What somebody outside allows at most, by direction, until a moment of the controller's clock.

    It can only tighten: the pack's own limits hold whatever it says.

    Raises:
        UsageError: a ceiling that is negative or no number.
    """

    name: str
    charge_ampere: float = _NO_LIMIT
    discharge_ampere: float = _NO_LIMIT
    charge_watt: float = _NO_LIMIT
    discharge_watt: float = _NO_LIMIT
    expires_clock_second: float = _NO_LIMIT

    def __post_init__(self) -> None:
        limits = (
            self.charge_ampere,
            self.discharge_ampere,
            self.charge_watt,
            self.discharge_watt,
        )
        # A comparison with NaN is false.
        if not all(limit >= 0.0 for limit in limits):
            raise UsageError(
                f"the ceiling {self.name!r} is negative or no number",
                hint="Give magnitudes by direction, or leave a limit out.",
            )
