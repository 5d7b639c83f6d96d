"""Power capability: what a cell can give and take for some seconds without leaving its window.

Rules
- The current is the one that, held for the whole horizon, just reaches the voltage limit, the end
  of the charge, or the current limit, whichever comes first; the voltage moves one way under a held
  current, so its end is the worst of it. Power is that current times the voltage at the end.
- It starts from the filter's belief: charge, lags, hysteresis, resistance, the model's own error.
  With `caution_std_count` the charge and the resistance are moved that many standard deviations to
  the worse side first.
- `forecast_volt` is the same circuit under a current that is known, to hold it against a record.

Source: G. L. Plett, IEEE Trans. Veh. Technol. 53 (2004) 1586, doi 10.1109/TVT.2004.832408, with
the exact lags in place of a pulse resistance.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from cellwarden.errors import UsageError
from cellwarden.health.soc_filter import (
    CELSIUS,
    COVARIANCE,
    DRIFT,
    FAST_AMPERE,
    LOG_CAPACITY,
    LOG_OHM,
    MIDDLE_AMPERE,
    SLOW_AMPERE,
    SOC,
    STATE_COUNT,
    TURN,
    State,
)
from cellwarden.health.soc_model import HYSTERESIS, OCV, CellModel, look_up

__all__ = ["Power", "Window", "forecast_volt", "power"]


@dataclass(frozen=True, slots=True)
class Window:
    """Where a cell must stay."""

    low_volt: float
    high_volt: float
    discharge_ampere: float
    charge_ampere: float


@dataclass(frozen=True, slots=True)
class Power:
    """What each cell can give and take over the horizon, all of it not negative."""

    discharge_watt: Float64[np.ndarray, " cell"]
    charge_watt: Float64[np.ndarray, " cell"]
    discharge_ampere: Float64[np.ndarray, " cell"]
    charge_ampere: Float64[np.ndarray, " cell"]


def power(
    model: CellModel,
    state: State,
    horizon_second: float,
    window: Window,
    *,
    caution_std_count: float = 0.0,
) -> Power:
    """Power that can be held for the horizon. [W]

    Raises:
        UsageError: a horizon or a window that is not one.
    """
    least = min(window.discharge_ampere, window.charge_ampere, horizon_second)
    if not (least > 0.0 and window.low_volt < window.high_volt):
        raise UsageError("no such window", hint="Give low < high, currents and seconds above 0.")
    out = []
    for sign, limit in ((-1.0, window.discharge_ampere), (1.0, window.charge_ampere)):
        cells = _moved(state.cells, sign * caution_std_count)
        hours = horizon_second / 3600.0 / (model.capacity_ah * np.exp(cells[LOG_CAPACITY]))
        room = cells[SOC] if sign < 0.0 else 1.0 - cells[SOC]
        most = np.minimum(limit, room / hours)
        edge = window.low_volt if sign < 0.0 else window.high_volt
        ampere = _greatest(model, cells, horizon_second, sign, most, edge)
        volt = _end_volt(model, cells, sign * ampere, horizon_second)
        out += [ampere * np.maximum(volt, 0.0), ampere]
    return Power(out[0], out[2], out[1], out[3])


def forecast_volt(
    model: CellModel,
    state: State,
    current_ampere: Float[np.ndarray, "time cell"],
    second: float = 1.0,
) -> Float64[np.ndarray, "time cell"]:
    """Voltage under a known current, one row every `second`, no reading coming in. [V]"""
    cells, volts = state.cells.copy(), np.empty(current_ampere.shape)
    for row, current in enumerate(current_ampere):
        volts[row] = _go(model, cells, current, second)
    return volts


def _greatest(  # noqa: PLR0917  one place calls it
    model: CellModel,
    cells: np.ndarray,
    second: float,
    sign: float,
    most: np.ndarray,
    edge: float,
) -> np.ndarray:
    """The greatest current up to `most` that stays on this side of the edge. [A]"""
    low, high = np.zeros_like(most), most.copy()
    for _ in range(40):
        middle = 0.5 * (low + high)
        fits = sign * (_end_volt(model, cells, sign * middle, second) - edge) <= 0.0
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return np.where(sign * (_end_volt(model, cells, sign * most, second) - edge) <= 0.0, most, low)


def _end_volt(
    model: CellModel, cells: np.ndarray, current: np.ndarray, second: float
) -> np.ndarray:
    return _go(model, cells.copy(), current, second)


def _go(model: CellModel, cells: np.ndarray, current: np.ndarray, second: float) -> np.ndarray:
    """Moves the cells on under a held current; the voltage at the end. [V]"""
    capacity = model.capacity_ah * np.exp(cells[LOG_CAPACITY])
    moved = current * second / 3600.0 / capacity
    cells[SOC] = np.clip(cells[SOC] + moved, 0.0, 1.0)
    fast, middle, slow = np.exp(-second / model.lag_second)
    for row, kept in ((FAST_AMPERE, fast), (MIDDLE_AMPERE, middle), (SLOW_AMPERE, slow)):
        cells[row] = kept * cells[row] + (1.0 - kept) * current
    stays = np.exp(-model.hysteresis_rate * np.abs(moved))
    cells[TURN] = stays * cells[TURN] + (1.0 - stays) * np.sign(current)
    cells[DRIFT] *= np.exp(-second / model.drift_second)
    tables = look_up(model, cells[SOC], cells[CELSIUS])
    a = model.transfer_ampere
    drop = tables[1] * current + tables[2] * a * np.arcsinh(cells[FAST_AMPERE] / a)
    drop = drop + tables[3] * cells[MIDDLE_AMPERE] + tables[4] * cells[SLOW_AMPERE]
    rest = tables[OCV] + tables[HYSTERESIS] * cells[TURN] + cells[DRIFT]
    volts: np.ndarray = rest + np.exp(cells[LOG_OHM]) * drop
    return volts


def _moved(cells: np.ndarray, std_count: float) -> np.ndarray:
    """The cells with charge and resistance on the worse side: below 0 for a discharge."""
    worse = cells.copy()
    deviation = np.sqrt(cells[COVARIANCE :: STATE_COUNT + 1])
    worse[SOC] = np.clip(cells[SOC] + std_count * deviation[SOC], 0.0, 1.0)
    worse[LOG_OHM] = cells[LOG_OHM] + abs(std_count) * deviation[LOG_OHM]
    return worse
