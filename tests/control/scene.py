"""A pack and what is read of it at one moment, for tests of control."""

import numpy as np

from cellwarden.domain import (
    CHEMISTRIES,
    Cell,
    Charge,
    Condition,
    Frame,
    Inputs,
    Monitors,
    Pack,
    Reading,
    tiers,
)

NOW = 1_750_000_000.0


def pack_of(chemistry: str = "NMC", count: int = 4, capacity_ah: float = 50.0) -> Pack:
    kind = CHEMISTRIES[chemistry]
    return Pack("pack", Cell(kind, capacity_ah, tiers(kind, capacity_ah)), count)


def reading_of(
    volts: object,
    clock: float = 0.0,
    *,
    celsius: object = 25.0,
    ampere: float = 0.0,
    inputs: Inputs | None = None,
) -> Reading:
    cells = np.atleast_1d(np.asarray(volts, dtype=np.float32))
    sensors = np.atleast_1d(np.asarray(celsius, dtype=np.float32))
    frame = Frame(NOW + clock, float(cells.sum()), ampere, cells, sensors)
    monitors = Monitors(
        np.zeros(1, dtype=np.int64), np.full(1, 3.0), np.zeros(1), np.zeros(len(cells), dtype=bool)
    )
    return Reading(clock, frame, monitors, inputs or Inputs())


def charge_of(soc: object, clock: float = 0.0, std: float = 0.01, count: int = 4) -> Charge:
    cells = np.broadcast_to(np.asarray(soc, dtype=np.float64), (count,)).copy()
    return Charge(NOW + clock, cells, np.full(count, std), np.zeros(count), np.full(count, 0.01))


def condition_of(capacity_ah: object = 50.0, factor: object = 1.0, count: int = 4) -> Condition:
    def spread(value: object) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), (count,)).copy()

    return Condition(spread(capacity_ah), spread(factor))
