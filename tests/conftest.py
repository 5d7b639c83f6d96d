"""A cell whose every number is known: voltage linear in charge, one resistance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import settings
from jaxtyping import Float64

import checked  # noqa: F401  checks what is imported after it
from cellwarden.domain import Series

# Figures are printed by benchmarks; a busy machine must not fail a law.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

NOMINAL_AH = 2.0
OCV_LOW, OCV_HIGH = 3.0, 4.2


@dataclass(frozen=True)
class Cell:
    """Open-circuit voltage 3.0..4.2 V, linear; the taper is then an exact exponential."""

    capacity_ah: float = 1.9
    resistance_ohm: float = 0.25
    charge_ampere: float = 1.5
    discharge_ampere: float = 2.0
    period_second: float = 5.0

    @property
    def taper_hour(self) -> float:
        return self.resistance_ohm * self.capacity_ah / (OCV_HIGH - OCV_LOW)

    def soc_at(self, voltage: float, current: float) -> float:
        return (voltage - current * self.resistance_ohm - OCV_LOW) / (OCV_HIGH - OCV_LOW)

    @property
    def window_fraction(self) -> float:
        end = self.soc_at(4.2, 0.1 * NOMINAL_AH)
        return (end - self.soc_at(3.9, self.charge_ampere)) * self.capacity_ah / NOMINAL_AH

    def delivered_ah(self, cut_ampere: float = 0.02) -> float:
        begin = self.soc_at(4.2, cut_ampere)
        return (begin - self.soc_at(2.7, -self.discharge_ampere)) * self.capacity_ah

    def charge(self, soc: float, cut_ampere: float = 0.02) -> np.ndarray:
        """Rows of current and of voltage: constant current from `soc`, then the taper."""
        step = self.period_second / 3600
        full = self.soc_at(4.2, self.charge_ampere)
        count = max(int((full - soc) * self.capacity_ah / self.charge_ampere / step), 0) + 1
        constant = soc + np.arange(count) * step * self.charge_ampere / self.capacity_ah
        late = (count * step) - (full - soc) * self.capacity_ah / self.charge_ampere
        fall = np.log(self.charge_ampere / cut_ampere) * self.taper_hour
        time = late + np.arange(int((fall - late) / step) + 1) * step
        taper = self.charge_ampere * np.exp(-time / self.taper_hour)
        current = np.concatenate([np.full(count, self.charge_ampere), taper])
        voltage = np.concatenate(
            [
                OCV_LOW + 1.2 * constant + self.charge_ampere * self.resistance_ohm,
                np.full(len(taper), 4.2),
            ]
        )
        return np.stack([current, voltage])

    def discharge(self, soc: float, to_volt: float = 2.69) -> np.ndarray:
        step = self.period_second / 3600
        end = self.soc_at(to_volt, -self.discharge_ampere)
        count = int((soc - end) * self.capacity_ah / self.discharge_ampere / step) + 2
        left = soc - np.arange(count) * step * self.discharge_ampere / self.capacity_ah
        voltage = OCV_LOW + 1.2 * left - self.discharge_ampere * self.resistance_ohm
        return np.stack([np.full(count, -self.discharge_ampere), voltage])

    def rest(self, second: float, voltage: float) -> np.ndarray:
        count = int(second / self.period_second)
        return np.stack([np.zeros(count), np.full(count, voltage)])

    def cycle(self, *, start_soc: float | None = None, to_volt: float = 2.69) -> list[np.ndarray]:
        """Charge from empty (or from `start_soc`), rest, full discharge, rest."""
        empty = self.soc_at(2.7, -self.discharge_ampere)
        full = self.soc_at(4.2, 0.02)
        return [
            self.rest(600, 3.2),
            self.charge(empty if start_soc is None else start_soc),
            self.rest(600, 4.19),
            self.discharge(full, to_volt),
            self.rest(600, 3.2),
        ]


def joined(parts: list[np.ndarray], period_second: float = 5.0, **more: object) -> Series:
    current, voltage = np.concatenate(parts, axis=1)
    time: Float64[np.ndarray, " time"] = np.arange(len(current)) * period_second
    return Series("cell", time, voltage, current, nominal_capacity_ah=NOMINAL_AH, **more)  # type: ignore[arg-type]


@pytest.fixture
def cell() -> Cell:
    return Cell()


@pytest.fixture
def make_cell() -> type[Cell]:
    return Cell


@pytest.fixture
def record() -> Callable[..., Series]:
    return joined
