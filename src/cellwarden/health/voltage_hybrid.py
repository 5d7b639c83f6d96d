"""The voltage of a cell under a current that is known: two particles, and trees for what they miss.

    cell = fit_particles(drives, balance, potentials)
    missed = learn_missed(cell, drives)
    missed(cell, drive)                    # volts, from current and temperature alone

The electrodes come from a slow curve (`electrodes`); how fast lithium diffuses and crosses, and the
resistance, are fitted to drives. The trees see the current now and its means over some time, the
charge that flowed, the temperature, and what the particles say; never a measured voltage.

Rules
- A drive begins rested and full; charge is counted from there.
- With `particles` false the trees learn the voltage itself: what a model without physics does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from cellwarden.health.electrodes import Balance
from cellwarden.health.profile import fit
from cellwarden.physics.particle import Electrode, Particles, full

__all__ = ["HELD_VOLT", "Drive", "Missed", "fit_particles", "learn_missed", "particle_volt"]

HELD_VOLT: Final = (2.3, 4.4)  # an empty particle has no voltage that means anything
_EVERY: Final = 5  # one row in so many is learnt from
_WINDOWS_SECOND: Final = (10.0, 60.0, 500.0)
_TREES: Final = MappingProxyType(
    {
        "objective": "regression", "num_leaves": 31, "learning_rate": 0.08,
        "min_data_in_leaf": 50, "deterministic": True, "force_row_wise": True,
        "num_threads": 1, "seed": 0, "verbose": -1,
    }
)  # fmt: skip
_TREE_COUNT: Final = 200


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """A record from a full and rested cell on."""

    test_time_second: Float64[np.ndarray, " time"]
    current_ampere: Float64[np.ndarray, " time"]
    voltage_volt: Float64[np.ndarray, " time"]
    celsius: Float64[np.ndarray, " time"]


@dataclass(frozen=True, slots=True, eq=False)
class Missed:
    """Trees that tell what the particles miss, or with no particles the voltage itself."""

    booster: Any
    particles: bool

    def __call__(self, cell: Particles, drive: Drive) -> Float64[np.ndarray, " time"]:
        """The voltage of a drive from its current and temperature. [V]"""
        told = particle_volt(cell, drive) if self.particles else np.zeros(len(drive.current_ampere))
        table = _features(drive, told if self.particles else None)
        return np.asarray(told + self.booster.predict(table))


def particle_volt(cell: Particles, drive: Drive) -> Float64[np.ndarray, " time"]:
    """The voltage of a drive by the particles alone, held between `HELD_VOLT`. [V]"""
    from cellwarden.physics.particle_kernel import run  # noqa: PLC0415  numba when it is used

    columns = (drive.test_time_second, drive.current_ampere, drive.celsius)
    return np.asarray(np.clip(run(cell, full(cell), *columns)[1], *HELD_VOLT))


def fit_particles(
    drives: Sequence[Drive],
    balance: Balance,
    potentials: tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]],
) -> Particles:
    """The particles that tell these drives best. [numbers of `Particles`]"""
    cp, cn, y, x = balance.values
    nominal = balance.window_ah

    def cell(numbers: Float64[np.ndarray, " number"]) -> Particles:
        made = []
        for capacity, filled, potential, (slow, fast, hot, move) in zip(
            (cp, cn), (y, x), potentials, numbers[:8].reshape(2, 4), strict=True
        ):
            speed = nominal * float(np.exp(fast))
            made.append(
                Electrode(
                    capacity, filled, float(np.exp(slow)), speed, potential, hot * 1e3, move * 1e3
                )
            )
        return Particles(made[0], made[1], float(numbers[8]))

    def left(numbers: Float64[np.ndarray, " number"]) -> Float64[np.ndarray, " point"]:
        made = cell(numbers)
        return np.concatenate(
            [(particle_volt(made, one) - one.voltage_volt)[::_EVERY] for one in drives]
        )

    # Of each electrode: logarithms of the time of diffusion in s and of the exchange current over
    # the cell's one-hour current, and their activation energies in kJ/mol; then the resistance.
    start = np.array([np.log(1500.0), np.log(4.0), 30.0, 20.0] * 2 + [0.01])
    low = np.array([3.0, -3.0, 0.0, 0.0] * 2 + [0.0])
    high = np.array([11.0, 6.0, 90.0, 90.0] * 2 + [0.1])
    return cell(fit(left, [start], low, high).numbers)


def learn_missed(cell: Particles, drives: Sequence[Drive], *, particles: bool = True) -> Missed:
    """Trees fitted to what the particles miss of these drives. [V]"""
    import lightgbm  # noqa: PLC0415  when it is used

    tables, targets = [], []
    for one in drives:
        told = particle_volt(cell, one) if particles else None
        tables.append(_features(one, told)[::_EVERY])
        missed = one.voltage_volt - (0.0 if told is None else told)
        targets.append(missed[::_EVERY])
    data = lightgbm.Dataset(np.concatenate(tables), np.concatenate(targets))
    return Missed(lightgbm.train(dict(_TREES), data, _TREE_COUNT), particles)


def _features(
    drive: Drive, told: Float64[np.ndarray, " time"] | None
) -> Float64[np.ndarray, "time column"]:
    """Current, its fading means, charge, temperature and what the particles say. [as named]"""
    period = np.diff(drive.test_time_second, prepend=drive.test_time_second[0])
    charge = np.cumsum(drive.current_ampere * period) / 3600
    columns = [drive.current_ampere, drive.celsius, charge]
    columns += [_fading(drive.current_ampere, period, window) for window in _WINDOWS_SECOND]
    return np.column_stack(columns if told is None else [*columns, told])


def _fading(
    values: Float64[np.ndarray, " time"], period: Float64[np.ndarray, " time"], window: float
) -> Float64[np.ndarray, " time"]:
    """A mean in which what is older counts less. [unit of the values]"""
    told, now = np.empty(len(values)), 0.0
    keep = np.exp(-period / window)
    for row, value in enumerate(values):
        now = keep[row] * now + (1 - keep[row]) * value
        told[row] = now
    return told
