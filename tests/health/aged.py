"""A made cell that ages: voltage linear in charge, resistance that rises as capacity falls."""

import numpy as np

from cellwarden.domain import Series

NOMINAL_AH = 2.0
NEW_OHM = 0.05
_PERIOD_SECOND = 20.0


def aged_record(name: str, *, cycles: int = 24, spread: float = 0.0) -> Series:
    """Full cycles at 1 A and 2 A, capacity from nominal down by a fifth, resistance up by half."""
    time, volt, current = [], [], []
    clock = 0.0

    def add(seconds: np.ndarray, volts: np.ndarray, amperes: np.ndarray) -> None:
        nonlocal clock
        time.append(clock + seconds)
        volt.append(volts)
        current.append(amperes)
        clock += seconds[-1] + _PERIOD_SECOND

    for done in np.linspace(0.0, 1.0, cycles):
        capacity = NOMINAL_AH * (1 - 0.2 * done) * (1 + spread)
        ohm = NEW_OHM * (1 + 0.5 * done)
        # Charge to the voltage held, then a taper with the circuit's own time constant.
        rise = np.arange(0.0, (4.2 - ohm - 2.8) / 1.4 * capacity * 3600, _PERIOD_SECOND)
        add(rise, 2.8 + ohm + 1.4 * rise / 3600 / capacity, np.ones(len(rise)))
        tau = ohm * capacity * 3600 / 1.4
        fall = np.arange(0.0, tau * np.log(1 / 0.06), _PERIOD_SECOND)
        add(fall, np.full(len(fall), 4.2), np.exp(-fall / tau))
        full = (rise[-1] + tau * (1 - np.exp(-fall[-1] / tau))) / 3600 / capacity
        rest = np.arange(0.0, 600.0, _PERIOD_SECOND)
        add(rest, np.full(len(rest), 2.8 + 1.4 * full), np.zeros(len(rest)))
        out = np.arange(0.0, (full * 1.4 + 0.1 - 2 * ohm) / 1.4 * capacity * 1800, _PERIOD_SECOND)
        down = 2.8 + 1.4 * full - 2 * ohm - 1.4 * 2 * out / 3600 / capacity
        add(out, down, np.full(len(out), -2.0))
        add(rest, np.full(len(rest), 2.8), np.zeros(len(rest)))
    return Series(
        name,
        np.concatenate(time),
        np.concatenate(volt),
        np.concatenate(current),
        nominal_capacity_ah=NOMINAL_AH,
    )
