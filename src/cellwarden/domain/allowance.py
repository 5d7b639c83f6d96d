"""How much current and power a pack may be given or asked for, and why not more."""

from dataclasses import dataclass

__all__ = ["Allowance", "Restraint"]


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
