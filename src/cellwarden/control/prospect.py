"""The highest current that keeps each cell inside its voltage window for some seconds.

    I = (V_edge - max(V - f a, E)) / (f R + S t / Q)
    R = R0 + R1 (1 - d1) + R2 (1 - d2),  a = R0 i + R1 i1 (1 - d1) + R2 i2 (1 - d2),  d = exp(-t/T)

i is the current that flows, i1 and i2 the currents of the two lags, f a cell's resistance over that
of a new one at 25 °C, S the steepest slope of the open-circuit voltage on the way beyond E, the
voltage at which its steep end is over; for discharging it is min, and E near the full end.

Rules
- Everything is taken at its worse side: resistances a fifth higher where they hurt and a fifth
  lower where they help, the coldest sensor, the charge two deviations off (the caller's part), the
  steepest slope that the largest current can reach. So it is a bound, not a best guess.
- Monotone by make: a higher voltage or charge never allows more charging, a lower one never more
  discharging. For that the slope is the steepest of all charges passed so far, counted from 10 %
  (charging) or 90 % (discharging). Before these the curve may be steeper: a cell is taken to have
  come to E already. So a cell whose charge is unsure near a steep end is not held back for it.
- A cell that is not read gives NaN; whoever asks says what that means.

Source: the form is that of G. L. Plett, IEEE Trans. Veh. Technol. 53 (2004) 1586, doi
10.1109/TVT.2004.832408; resistances and lags are those of `physics.circuit`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Pack
from cellwarden.errors import UsageError
from cellwarden.physics.circuit import POINT_COUNT, arrhenius, circuit_of

__all__ = [
    "HORIZONS", "Lags", "Prospect", "View", "Way", "factor_of", "flow", "forecast", "prospect_of",
]  # fmt: skip

HORIZONS: Final = (2.0, 10.0, 30.0, 60.0)
_FROM: Final = 0.1  # of charge, from the end at which the slope is taken for granted
_LEAST_HEALTH: Final = 0.5  # of capacity, down to which the reach of the slope is wide enough
_WARMEST: Final = 35.0  # heat above this is not credited with a lower resistance

Cells = Float64[np.ndarray, " cell"]


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """S over the charge, the S of a charge that is not known, and E. [V]"""

    slope_volt: Float64[np.ndarray, "horizon point"]
    blind_volt: float
    begin_volt: float


@dataclass(frozen=True, slots=True, eq=False)
class Prospect:
    """Constants of a pack's cells for each horizon."""

    horizon_second: Float64[np.ndarray, " horizon"]
    edge_volt: tuple[float, float]  # low, high
    most_ampere: tuple[float, float]  # discharging, charging
    ohm: Float64[np.ndarray, "part horizon"]  # R0, R1 (1 - d1), R2 (1 - d2)
    charge_way: Way
    discharge_way: Way
    lag_second: tuple[float, float]
    activation_joule_per_mole: float
    caution_fraction: float = 0.2


@dataclass(frozen=True, slots=True)
class Lags:
    """The currents that the fast and the slow lag have come to. [A]"""

    fast_ampere: float = 0.0
    slow_ampere: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What is known of the cells at this moment; charges are None where they are not known."""

    voltage_volt: Cells
    current_ampere: float
    coldest_celsius: float
    capacity_ah: Cells | float
    resistance_factor: Cells | float
    low_soc_fraction: Cells | None = None
    high_soc_fraction: Cells | None = None


def prospect_of(pack: Pack, horizon_second: tuple[float, ...] = HORIZONS) -> Prospect:
    """Constants for the operating tier of a pack's cells.

    Raises:
        UsageError: a horizon that is not above zero.
    """
    if not all(second > 0.0 for second in horizon_second):
        raise UsageError("a horizon lies ahead", hint="Give seconds above 0.")
    limits, count = pack.cell.limits.operating, pack.parallel_count
    most = (
        limits.high_discharge_current_ampere * count,
        limits.high_charge_current_ampere * count,
    )
    circuit = circuit_of(pack.cell.chemistry, pack.nominal_capacity_ah)
    seconds = np.array(horizon_second)
    ohm = np.stack(
        [
            np.full(len(seconds), circuit.ohmic_ohm),
            circuit.fast_ohm * -np.expm1(-seconds / circuit.fast_second),
            circuit.slow_ohm * -np.expm1(-seconds / circuit.slow_second),
        ]
    )
    slope = np.diff(circuit.ocv_volt) * (POINT_COUNT - 1)
    reach = np.outer(most, seconds) / 3600.0 / (_LEAST_HEALTH * pack.nominal_capacity_ah)
    return Prospect(
        horizon_second=seconds,
        edge_volt=(limits.low_voltage_volt, limits.high_voltage_volt),
        most_ampere=most,
        ohm=ohm,
        charge_way=_way(slope, reach[1], circuit.ocv_volt),
        discharge_way=_back(_way(slope[::-1], reach[0], circuit.ocv_volt[::-1])),
        lag_second=(circuit.fast_second, circuit.slow_second),
        activation_joule_per_mole=circuit.activation_joule_per_mole,
    )


def _way(slope: np.ndarray, reach: np.ndarray, volt: np.ndarray) -> Way:
    """S and E for a charge that moves towards the end of the slopes, so far at each horizon."""
    start, count = int(_FROM * len(slope)), len(slope)
    slopes = []
    for part in reach:
        width = int(np.ceil(part * count)) + 1
        padded = np.concatenate([slope, np.full(width, slope[-1])])
        ahead = np.lib.stride_tricks.sliding_window_view(padded, width + 1).max(axis=1)
        ahead[:start] = ahead[start]
        slopes.append(np.maximum.accumulate(ahead))
    return Way(np.stack(slopes), float(slope.max()), float(volt[start]))


def _back(way: Way) -> Way:
    return Way(way.slope_volt[:, ::-1], way.blind_volt, way.begin_volt)


def flow(prospect: Prospect, lags: Lags, current_ampere: float, period_second: float) -> Lags:
    """The lags after a period of one current; they stay where no current was read. [A]"""
    if not np.isfinite(current_ampere) or period_second <= 0.0:
        return lags
    fast, slow = prospect.lag_second
    kept, stayed = np.exp(-period_second / fast), np.exp(-period_second / slow)
    return Lags(
        float(kept * lags.fast_ampere + (1.0 - kept) * current_ampere),
        float(stayed * lags.slow_ampere + (1.0 - stayed) * current_ampere),
    )


def forecast(
    prospect: Prospect, lags: Lags, view: View, rows: slice = slice(None)
) -> tuple[Float64[np.ndarray, "horizon cell"], Float64[np.ndarray, "horizon cell"]]:
    """Charge and discharge current that each cell can stand for each horizon. [A]"""
    factor = factor_of(prospect, view)
    ohm = prospect.ohm[:, rows]
    flowing = np.array([view.current_ampere, lags.fast_ampere, lags.slow_ampere]) @ ohm
    seconds = prospect.horizon_second[rows, None]
    worse = 1.0 + prospect.caution_fraction
    carried = factor * (worse * ohm.sum(axis=0))[:, None]
    passed = seconds / 3600.0 / view.capacity_ah
    out = []
    ends = view.low_soc_fraction, view.high_soc_fraction
    for sign, far, way, edge, most in zip(
        (1.0, -1.0),
        ends[::-1],
        (prospect.charge_way, prospect.discharge_way),
        prospect.edge_volt[::-1],
        prospect.most_ampere[::-1],
        strict=True,
    ):
        helps = sign * flowing  # polarisation that will give way to the new current
        helps = np.where(helps > 0.0, helps * (2.0 - worse), helps * worse)[:, None]
        idle = view.voltage_volt - sign * factor * helps
        room = sign * edge - np.maximum(sign * idle, sign * way.begin_volt)
        rise: np.ndarray | float = way.blind_volt
        if far is not None:
            rise = way.slope_volt[rows, _place(far)]  # it grows on the way
        out.append(np.clip(room / (carried + rise * passed), 0.0, most))
    return out[0], out[1]


def factor_of(prospect: Prospect, view: View) -> Cells | float:
    """Resistance of each cell over that of a new one at 25 °C. [1]"""
    warm = np.array(min(view.coldest_celsius, _WARMEST))
    return view.resistance_factor * float(arrhenius(prospect.activation_joule_per_mole, warm))


def _place(soc_fraction: Cells) -> np.ndarray:
    place: np.ndarray = np.clip(soc_fraction * (POINT_COUNT - 1), 0, POINT_COUNT - 2)
    return place.astype(np.intp)
