"""State of charge on an identified circuit: a Kalman filter, extended or unscented, many cells.

Rules
- Filtered are six numbers a cell: charge, bias of the current sensor, logarithms of capacity and of
  resistance over the model's, the slow lag's current, and the model's own error, which fades over
  minutes and returns (a first-order Gauss-Markov process), so that a thousand readings of the same
  error do not count as a thousand witnesses.
- The slope is that of the voltage at rest: how resistance changes with charge is too uncertain to
  be a witness, and would let a busy current tell more than it knows. Errors from one reading to
  the next last as long as the model says, and count as one reading.
- Everything is causal. The first voltage of an unknown cell gives its charge; the load it had
  before is that of cells in use (`CellModel.load_ampere`), unless it is said to be at rest.
- No voltage: predict only. No current, or a gap in time: the charge stays and its doubt grows.
  No temperature: the last one. A repeated time stamp counts for nothing. A reading far off pulls
  no more than four standard deviations.
- 0 and 1 are never left. The state is two arrays; resumed is the same as uninterrupted.
- `run` is compiled, `step` is NumPy; a test holds them against each other.

Source: G. L. Plett, J. Power Sources 134 (2004) 277, doi 10.1016/j.jpowsour.2004.02.033 (extended),
161 (2006) 1369, doi 10.1016/j.jpowsour.2006.06.004 (sigma points). The voltage bends in charge and
resistance only, so the sigma points go along these two and the rest is exact, as in M. R. Morelande
and B. Ristic, "Reduced sigma point filtering for partially linear models", ICASSP 2006.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from cellwarden.errors import DataError, UsageError
from cellwarden.health.soc_model import HYSTERESIS, OCV, SLOW, CellModel, at_knots, look_up

__all__ = ["TUNING", "Estimates", "Method", "State", "Tuning", "init", "run", "step"]

Method = Literal["extended", "unscented"]

STATE_COUNT: Final = 6
SOC, BIAS, LOG_CAPACITY, LOG_OHM, SLOW_AMPERE, DRIFT = range(STATE_COUNT)
FAST_AMPERE, MIDDLE_AMPERE, TURN, CELSIUS, SEEN = range(STATE_COUNT, 11)
COVARIANCE: Final = 11  # and 35 rows after it
ROW_COUNT: Final = COVARIANCE + STATE_COUNT**2
# Entries of the clock.
TIME, PERIOD = range(2)


class Tuning(NamedTuple):
    """What the filter takes for granted; currents are over capacity (1 = 1C)."""

    unknown_std: float = 0.3  # nothing known: about that of a uniform 0..1
    bias_rate_std: float = 0.01  # of the current sensor
    capacity_std: float = 0.01  # capacity and gain of the current sensor together
    ohm_std: float = 0.1
    sensor_volt: float = 0.003  # offset of the voltage sensor
    bias_variance_per_second: float = 1e-12
    capacity_variance_per_second: float = 1e-11
    ohm_variance_per_second: float = 0.05**2 / 3600.0
    soc_variance_per_second: float = 1e-11
    lost_rate: float = 0.3  # current that may flow unseen
    gap_period_count: float = 10.0  # later than so many periods is a gap
    shortest_gap_second: float = 10.0
    pull_std_count: float = 4.0
    still_rate: float = 0.01  # leaves the hysteresis alone


TUNING: Final = Tuning()


@dataclass(frozen=True, slots=True)
class State:
    """Belief about each cell, and when it was formed."""

    cells: Float64[np.ndarray, "47 cell"]
    clock: Float64[np.ndarray, "2"]


@dataclass(frozen=True, slots=True)
class Estimates:
    """What the filter says after each row; the deviation is widened as the model states."""

    soc_fraction: Float64[np.ndarray, "*time cell"]
    soc_std_fraction: Float64[np.ndarray, "*time cell"]
    innovation_volt: Float64[np.ndarray, "*time cell"]
    innovation_std_volt: Float64[np.ndarray, "*time cell"]
    resistance_ratio: Float64[np.ndarray, "*time cell"]
    drift_volt: Float64[np.ndarray, "*time cell"]


def init(
    model: CellModel,
    cell_count: int,
    soc_fraction: float | Float[np.ndarray, " cell"] | None = None,
    *,
    soc_std_fraction: float = 0.05,
    rested: bool = False,
    tuning: Tuning = TUNING,
) -> State:
    """Belief before the first row; without `soc_fraction` the first voltage sets it.

    Raises:
        UsageError: a charge outside 0..1.
    """
    cells = np.zeros((ROW_COUNT, cell_count))
    cells[SOC] = 0.5 if soc_fraction is None else soc_fraction
    if not np.all((cells[SOC] >= 0.0) & (cells[SOC] <= 1.0)):
        raise UsageError("no cell can start so", hint="Give soc between 0 and 1.")
    load = 0.0 if rested else model.load_ampere
    cells[SLOW_AMPERE] = cells[MIDDLE_AMPERE] = load
    cells[TURN] = 0.7 * np.sign(load)
    cells[CELSIUS] = 25.0
    cells[SEEN] = soc_fraction is not None
    stds = (
        tuning.unknown_std if soc_fraction is None else soc_std_fraction,
        tuning.bias_rate_std * model.capacity_ah,
        tuning.capacity_std,
        tuning.ohm_std,
        0.02 * model.capacity_ah if rested else model.load_std_ampere,
        float(np.hypot(model.drift_volt.max(), tuning.sensor_volt)),
    )
    for k, std in enumerate(stds):
        cells[COVARIANCE + k * (STATE_COUNT + 1)] = std**2
    return State(cells, np.array([np.nan, 0.0]))


def run(  # noqa: PLR0917  the columns of one row, in their usual order
    model: CellModel,
    state: State,
    unix_time_second: Float[np.ndarray, " time"],
    current_ampere: Float[np.ndarray, "time cell"] | Float[np.ndarray, " time"],
    voltage_volt: Float[np.ndarray, "time cell"],
    temperature_celsius: Float[np.ndarray, "time cell"],
    *,
    method: Method = "unscented",
    tuning: Tuning = TUNING,
) -> tuple[State, Estimates]:
    """The belief after many rows, and the estimates after each; compiled.

    Raises:
        DataError: a column has another number of cells or rows.
    """
    from cellwarden.health import soc_kernel  # noqa: PLC0415  numba takes half a second

    volts = np.asarray(voltage_volt, dtype=np.float64)
    current = np.asarray(current_ampere, dtype=np.float64)
    current = current[:, None] if current.ndim == 1 else current
    shared = current.shape[1] == 1
    expected = (len(unix_time_second), state.cells.shape[1])
    if volts.shape != expected or temperature_celsius.shape != expected:
        raise DataError(f"columns are not {expected}", hint="Give a row a time, a column a cell.")
    if current.shape != (expected[0], 1 if shared else expected[1]):
        raise DataError(f"current is {current.shape}", hint="One column, or one for each cell.")
    cells, clock, out = soc_kernel.run(
        model,
        state.cells,
        state.clock,
        np.asarray(unix_time_second, dtype=np.float64),
        current,
        volts,
        np.asarray(temperature_celsius, dtype=np.float64),
        tuning,
        unscented=method == "unscented",
    )
    return State(cells, clock), Estimates(*out)


def step(  # noqa: PLR0917  the columns of one row, in their usual order
    model: CellModel,
    state: State,
    unix_time_second: float,
    current_ampere: Float[np.ndarray, " cell"] | float,
    voltage_volt: Float[np.ndarray, " cell"],
    temperature_celsius: Float[np.ndarray, " cell"],
    *,
    method: Method = "unscented",
    tuning: Tuning = TUNING,
) -> tuple[State, Estimates]:
    """The belief after one row, and the estimate."""
    cells, clock = state.cells.copy(), state.clock.copy()
    current = np.broadcast_to(np.asarray(current_ampere, dtype=np.float64), cells.shape[1:])
    volts = np.asarray(voltage_volt, dtype=np.float64)
    read = np.isfinite(temperature_celsius)
    cells[CELSIUS] = np.where(read, temperature_celsius, cells[CELSIUS])
    second, gap = _tick(clock, unix_time_second, tuning)
    _predict(model, cells, current, second, gap=gap, tuning=tuning)
    flowed = np.where(np.isfinite(current), current - cells[BIAS], 0.0)
    _begin(model, cells, flowed, volts)
    known = np.isfinite(current) & (second > 0.0 or bool(np.isnan(state.clock[TIME])))
    look = _sigma_points if method == "unscented" else _linear
    innovation, toward, spread = look(model, cells, flowed, volts)
    reading = at_knots(model, model.reading_volt, cells[CELSIUS]) ** 2
    deviation = np.sqrt(spread + reading)
    repeats = model.correlation_second / second if second > 0.0 else 0.0
    _correct(cells, innovation, toward, spread + reading * (1.0 + repeats), known, tuning)
    widening = model.widening[int(method == "unscented")]
    stated = np.sqrt(cells[COVARIANCE]) * at_knots(model, widening, cells[CELSIUS])
    ratio = np.exp(cells[LOG_OHM])
    return State(cells, clock), Estimates(
        cells[SOC].copy(), stated, innovation, deviation, ratio, cells[DRIFT].copy()
    )


def _tick(clock: np.ndarray, time: float, tuning: Tuning) -> tuple[float, bool]:
    """Seconds since the last row, and whether rows are missing in between."""
    second = 0.0 if np.isnan(clock[TIME]) else max(time - clock[TIME], 0.0)
    longest = max(tuning.gap_period_count * clock[PERIOD], tuning.shortest_gap_second)
    gap = clock[PERIOD] > 0.0 and second > longest
    if second > 0.0 and not gap:
        clock[PERIOD] = second
    clock[TIME] = time
    return second, bool(gap)


def _covariance(cells: np.ndarray) -> np.ndarray:
    """A view: rows, columns, cells."""
    return cells[COVARIANCE:].reshape(STATE_COUNT, STATE_COUNT, -1)


def _predict(
    model: CellModel,
    cells: np.ndarray,
    current: np.ndarray,
    second: float,
    *,
    gap: bool,
    tuning: Tuning,
) -> None:
    """Move charge, lags, hysteresis and doubt on by one row."""
    lost = ~np.isfinite(current) | gap
    flowed = np.where(lost, 0.0, current - cells[BIAS])
    hours = second / 3600.0 / (model.capacity_ah * np.exp(cells[LOG_CAPACITY]))
    hours = np.where(lost, 0.0, hours)
    moved = flowed * hours
    fast, middle, slow = np.exp(-second / model.lag_second)
    fade = np.exp(-second / model.drift_second)
    cells[SOC] = np.clip(cells[SOC] + moved, 0.0, 1.0)
    cells[FAST_AMPERE] = fast * cells[FAST_AMPERE] + (1.0 - fast) * flowed
    cells[MIDDLE_AMPERE] = middle * cells[MIDDLE_AMPERE] + (1.0 - middle) * flowed
    cells[SLOW_AMPERE] = slow * cells[SLOW_AMPERE] + (1.0 - slow) * flowed
    cells[DRIFT] *= fade
    kept = np.exp(-model.hysteresis_rate * np.abs(moved))
    awake = np.abs(flowed) > tuning.still_rate * model.capacity_ah
    turned = kept * cells[TURN] + (1.0 - kept) * np.sign(flowed)
    cells[TURN] = np.where(awake, turned, cells[TURN])
    p = _covariance(cells)
    _spread(p, hours, moved, slow, fade)
    _spread(p.transpose(1, 0, 2), hours, moved, slow, fade)
    unseen = (tuning.lost_rate * second / 3600.0) ** 2
    p[SOC, SOC] += tuning.soc_variance_per_second * second + np.where(lost, unseen, 0.0)
    p[SOC, SOC] = np.minimum(p[SOC, SOC], tuning.unknown_std**2)
    rate = model.capacity_ah**2
    p[BIAS, BIAS] += tuning.bias_variance_per_second * second * rate
    p[LOG_CAPACITY, LOG_CAPACITY] += tuning.capacity_variance_per_second * second
    p[LOG_OHM, LOG_OHM] = np.minimum(
        p[LOG_OHM, LOG_OHM] + tuning.ohm_variance_per_second * second, tuning.ohm_std**2
    )
    error = at_knots(model, model.drift_volt, cells[CELSIUS]) ** 2 + tuning.sensor_volt**2
    p[DRIFT, DRIFT] += (1.0 - fade * fade) * error


def _spread(p: np.ndarray, hours: np.ndarray, moved: np.ndarray, slow: float, fade: float) -> None:
    """Rows of the covariance after the transition; called again on its columns."""
    p[SOC] -= hours * p[BIAS] + moved * p[LOG_CAPACITY]
    p[SLOW_AMPERE] = slow * p[SLOW_AMPERE] - (1.0 - slow) * p[BIAS]
    p[DRIFT] *= fade


def _at_rest(model: CellModel, cells: np.ndarray, soc: np.ndarray) -> np.ndarray:
    tables = look_up(model, soc, cells[CELSIUS])
    volts: np.ndarray = tables[OCV] + tables[HYSTERESIS] * cells[TURN]
    return volts


def _drop(model: CellModel, cells: np.ndarray, flowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The voltage over the resistances, and the slow one of them. [V, ohm]"""
    tables = look_up(model, cells[SOC], cells[CELSIUS])
    a = model.transfer_ampere
    ratio = np.exp(cells[LOG_OHM])
    drop = tables[1] * flowed + tables[2] * a * np.arcsinh(cells[FAST_AMPERE] / a)
    drop = drop + tables[3] * cells[MIDDLE_AMPERE] + tables[SLOW] * cells[SLOW_AMPERE]
    return ratio * drop, ratio * tables[SLOW]


def _begin(model: CellModel, cells: np.ndarray, flowed: np.ndarray, volts: np.ndarray) -> None:
    """Cells whose voltage is read for the first time take their charge from it."""
    first = (cells[SEEN] == 0.0) & np.isfinite(volts)
    if not first.any():
        return
    trial = cells.copy()
    trial[FAST_AMPERE] = flowed
    low, high = np.zeros(len(volts)), np.ones(len(volts))
    for _ in range(30):
        trial[SOC] = 0.5 * (low + high)
        under = _at_rest(model, trial, trial[SOC]) + _drop(model, trial, flowed)[0] < volts
        low, high = np.where(under, trial[SOC], low), np.where(under, high, trial[SOC])
    for row in (SOC, FAST_AMPERE):
        cells[row] = np.where(first, trial[row], cells[row])
    cells[SEEN] = np.where(first, 1.0, cells[SEEN])


def _linear(
    model: CellModel, cells: np.ndarray, flowed: np.ndarray, volts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The extended filter's correction; the slope is taken over a standard deviation.

    Gives the innovation, its covariance with the state, and its variance before the reading's.
    """
    p = _covariance(cells)
    drop, slow_ohm = _drop(model, cells, flowed)
    reach = np.clip(np.sqrt(p[SOC, SOC]), 0.01, 0.1)
    top, bottom = np.minimum(cells[SOC] + reach, 1.0), np.maximum(cells[SOC] - reach, 0.0)
    rise = _at_rest(model, cells, top) - _at_rest(model, cells, bottom)
    slope = np.maximum(rise / (top - bottom), 0.0)
    expected = _at_rest(model, cells, cells[SOC]) + drop
    toward = slope * p[:, SOC] + drop * p[:, LOG_OHM] + slow_ohm * p[:, SLOW_AMPERE] + p[:, DRIFT]
    spread = (
        slope * toward[SOC]
        + drop * toward[LOG_OHM]
        + slow_ohm * toward[SLOW_AMPERE]
        + toward[DRIFT]
    )
    return volts - expected - cells[DRIFT], toward, spread


def _sigma_points(
    model: CellModel, cells: np.ndarray, flowed: np.ndarray, volts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The unscented correction: five points over charge and resistance, the rest exact.

    Gives the innovation, its covariance with the state, and its variance before the reading's.
    """
    p = _covariance(cells).copy()
    column = p[:, SOC] / np.sqrt(p[SOC, SOC])
    p -= column[:, None] * column[None, :]
    second = p[:, LOG_OHM] / np.sqrt(np.maximum(p[LOG_OHM, LOG_OHM], 1e-12))
    p -= second[:, None] * second[None, :]
    root = np.sqrt(3.0)
    points = [root * column, -root * column, root * second, -root * second]
    drop, slow_ohm = _drop(model, cells, flowed)
    centre = _at_rest(model, cells, cells[SOC]) + drop
    seen = [
        _at_rest(model, cells, cells[SOC] + point[SOC])
        + np.exp(point[LOG_OHM]) * (drop + slow_ohm * point[SLOW_AMPERE])
        + point[DRIFT]
        for point in points
    ]
    mean = centre / 3.0 + sum(seen) / 6.0
    spread = (centre - mean) ** 2 / 3.0
    toward = slow_ohm * p[:, SLOW_AMPERE] + p[:, DRIFT]
    spread = spread + slow_ohm * toward[SLOW_AMPERE] + toward[DRIFT]
    for point, volt in zip(points, seen, strict=True):
        toward = toward + point * (volt - mean) / 6.0
        spread = spread + (volt - mean) ** 2 / 6.0
    return volts - mean - cells[DRIFT], toward, spread


def _correct(  # noqa: PLR0917  one place calls it
    cells: np.ndarray,
    innovation: np.ndarray,
    toward: np.ndarray,
    total: np.ndarray,
    known: np.ndarray,
    tuning: Tuning,
) -> None:
    """Let the voltages speak."""
    p = _covariance(cells)
    read = np.isfinite(innovation) & known
    bound = tuning.pull_std_count * np.sqrt(total)
    pull = np.where(read, np.clip(np.nan_to_num(innovation), -bound, bound), 0.0) / total
    cells[:STATE_COUNT] += toward * pull
    cells[SOC] = np.clip(cells[SOC], 0.0, 1.0)
    cells[LOG_OHM] = np.clip(cells[LOG_OHM], -1.6, 2.3)
    cells[LOG_CAPACITY] = np.clip(cells[LOG_CAPACITY], -0.7, 0.7)
    p -= np.where(read, 1.0 / total, 0.0) * toward[:, None] * toward[None, :]
    for k, floor in enumerate((1e-8, 1e-12, 1e-10, 1e-8, 1e-10, 1e-10)):
        p[k, k] = np.maximum(p[k, k], floor)
