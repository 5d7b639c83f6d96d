"""Numbers outside what can be, and outside what the cell is made for.

Rules
- A reading outside the range of its quantity (`domain.units`) cannot be true; the sensor or the
  line is at fault.
- A reading outside a tier of the pack's limits is told for the outermost tier it leaves:
  operating for information, recommended as a warning, maximum as an alarm.
- Charge limits of temperature hold while the current charges, discharge limits else; where the
  current is not known, the wider of the two.
- A tier is left only by more than the sensor may err: `VOLT`, `CELSIUS`, `CURRENT_FRACTION`.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from jaxtyping import Float

from cellwarden.domain import CellLimits, Frames, Pack, Severity, quantity
from cellwarden.guard.episode import Breach
from cellwarden.guard.window import Window

__all__ = ["impossible", "tiers"]

VOLT: Final = 0.005
CELSIUS: Final = 0.5
CURRENT_FRACTION: Final = 0.01
_REST_C_RATE: Final = 0.01  # below it a pack neither charges nor discharges

Rows = Float[np.ndarray, "time item"]


def impossible(frames: Frames) -> Iterator[Breach]:
    """Readings that cannot be true."""
    for name, column in frames.columns().items():
        row = quantity(name)
        if not row.sensed or not column.size:
            continue
        reading = column.reshape(len(frames), -1)
        broken = (reading < row.low) | (reading > row.high)
        if broken.any():
            yield Breach(
                kind="range",
                severity=Severity.ALARM,
                signal=name,
                text="cannot be true",
                time=frames.unix_time_second,
                broken=broken,
                reading=reading,
                value=reading,
                limit=np.where(reading > row.high, row.high, row.low),
                whole=column.ndim == 1,
            )


def tiers(window: Window, pack: Pack | None) -> Iterator[Breach]:
    """Readings outside the limits of the pack's cells."""
    if pack is None:
        return
    new = slice(window.context_count, None)
    amperes = window.frames.current_ampere[new, None]
    celsius = window.frames.cell_temperature_celsius[new]
    volts = window.volt[new]
    cells = window.signal == "cell_voltage_volt"
    limits = pack.cell.limits
    for severity, inner, outer, word in (
        (Severity.INFO, limits.operating, limits.recommended, "operating"),
        (Severity.WARNING, limits.recommended, limits.maximum, "recommended"),
        (Severity.ALARM, limits.maximum, None, "maximum"),
    ):
        for signal, reading, low, high, out_low, out_high in (
            (window.signal, volts, *_volts(inner), *_volts(outer)),
            (
                "cell_temperature_celsius",
                celsius,
                *_celsius(inner, amperes, pack),
                *_celsius(outer, amperes, pack),
            ),
            ("current_ampere", amperes, *_amperes(inner, pack), *_amperes(outer, pack)),
        ):
            above, below = reading > high, reading < low
            broken = (above | below) & (reading <= out_high) & (reading >= out_low)
            if not broken.any():
                continue
            scale = 1 if cells or signal != "voltage_volt" else window.series_count
            yield Breach(
                kind="bounds",
                severity=severity,
                signal=signal,
                text=f"is outside the {word} limits",
                time=window.time[new],
                broken=broken,
                reading=reading * scale,
                value=reading * scale,
                limit=np.where(above, high, low) * scale,
                whole=signal in {"voltage_volt", "current_ampere"},
            )


def _volts(limits: CellLimits | None) -> tuple[float, float]:
    """Lowest and highest voltage, the sensor's error allowed for. [V]"""
    if limits is None:
        return -np.inf, np.inf
    return limits.low_voltage_volt - VOLT, limits.high_voltage_volt + VOLT


def _celsius(
    limits: CellLimits | None, amperes: Rows, pack: Pack
) -> tuple[Rows | float, Rows | float]:
    """Lowest and highest temperature at each row's current. [°C]"""
    if limits is None:
        return -np.inf, np.inf
    charging = amperes > _REST_C_RATE * pack.nominal_capacity_ah
    known = np.isfinite(amperes)
    lows = limits.low_charge_temperature_celsius, limits.low_discharge_temperature_celsius
    highs = limits.high_charge_temperature_celsius, limits.high_discharge_temperature_celsius
    low = np.where(known, np.where(charging, *lows), min(lows))
    high = np.where(known, np.where(charging, *highs), max(highs))
    return low - CELSIUS, high + CELSIUS


def _amperes(limits: CellLimits | None, pack: Pack) -> tuple[float, float]:
    """Greatest discharge and charge current, the sensor's error allowed for. [A]"""
    if limits is None:
        return -np.inf, np.inf
    scale = pack.parallel_count * (1 + CURRENT_FRACTION)
    return -limits.high_discharge_current_ampere * scale, limits.high_charge_current_ampere * scale
