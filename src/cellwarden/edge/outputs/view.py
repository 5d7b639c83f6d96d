"""What outputs show of a pack: the last frame and all that is known beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from cellwarden.domain import OPEN, Allowance, Command, Diagnosis, Frame, Pack, Reaction

__all__ = ["PackView"]

_NAN: Final = float("nan")


@dataclass(frozen=True, slots=True)
class PackView:
    """One pack at one moment, for those who are told.

    NaN and None say that a thing is not known. `state` is the name that the machine gives its mode,
    `command` what control asks of the pack in this cycle, `event_names` the SunSpec event that a
    fault is told as, by the name of its row.
    """

    pack: Pack
    frame: Frame
    state: str = ""
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    allowance: Allowance | None = None
    command: Command | None = None
    soc_fraction: float = _NAN
    soc_std_fraction: float = _NAN
    soh_fraction: float = _NAN
    event_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def events(self) -> frozenset[str]:
        """What is the matter, as SunSpec events; a fault without one is an alarm or a warning."""
        return frozenset(
            self.event_names.get(
                trouble.name,
                "OTHER_ALARM" if trouble.reaction >= Reaction.FORBID_CHARGE else "OTHER_WARNING",
            )
            for trouble in self.diagnosis.troubles
            if trouble.reaction > Reaction.RECORD or trouble.name in self.event_names
        )

    @property
    def contactors_closed(self) -> bool:
        """Whether the whole current may flow."""
        contactors = OPEN if self.command is None else self.command.contactors
        return contactors.closed

    @property
    def power_watt(self) -> float:
        """Power at the terminals; positive charges. [W]"""
        return self.frame.voltage_volt * self.frame.current_ampere

    @property
    def lowest_temperature_celsius(self) -> float:
        """The coldest sensor that gives a reading. [°C]"""
        return _over(np.min, self.frame.cell_temperature_celsius)

    @property
    def highest_temperature_celsius(self) -> float:
        """The hottest sensor that gives a reading. [°C]"""
        return _over(np.max, self.frame.cell_temperature_celsius)

    @property
    def mean_temperature_celsius(self) -> float:
        """The mean over the sensors that give a reading. [°C]"""
        return _over(np.mean, self.frame.cell_temperature_celsius)

    @property
    def lowest_cell_voltage_volt(self) -> float:
        """The lowest cell that gives a reading. [V]"""
        return _over(np.min, self.frame.cell_voltage_volt)

    @property
    def highest_cell_voltage_volt(self) -> float:
        """The highest cell that gives a reading. [V]"""
        return _over(np.max, self.frame.cell_voltage_volt)

    @property
    def mean_cell_voltage_volt(self) -> float:
        """The mean over the cells that give a reading. [V]"""
        return _over(np.mean, self.frame.cell_voltage_volt)

    @property
    def balancing_count(self) -> int:
        """Cells that are being drained."""
        return 0 if self.command is None else sum(self.command.balance)


def _over(fold: Callable[[np.ndarray], float], column: np.ndarray) -> float:
    there = column[np.isfinite(column)]
    return float(fold(there)) if len(there) else _NAN
