"""State of charge: a Kalman filter on the equivalent circuit, all cells of a pack at once.

Rules
- What is filtered is the charge and the logarithm of the cell's resistance against its
  chemistry's; the voltages over the resistor-capacitor pairs follow from the current.
- The slope of the open-circuit voltage is taken over one standard deviation, so that a flat
  stretch does not look certain. The model's error lasts about five minutes, so readings that come
  faster count for less; a repeated time stamp counts for nothing.
- No voltage: predict only. No current, or a gap in time: the charge stays and its doubt grows.
  No temperature: the last one. A reading far off pulls no more than four standard deviations.
- 0 and 1 are never left. The state is two arrays; resumed is the same as uninterrupted.

Validity: the standard deviation covers noise, load and an unknown start. It does not cover a cell
whose open-circuit voltage is not its chemistry's, and it is too narrow below 5 °C; the tests on
measured cells print by how much.

`run` is compiled, `step` is NumPy; a test holds them against each other.

Source: G. L. Plett, J. Power Sources 134 (2004) 277, doi 10.1016/j.jpowsour.2004.02.033, reduced
to two states; the slope over a standard deviation is the sigma-point idea of
doi 10.1016/j.jpowsour.2006.06.003.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from cellwarden.domain import Charge, Frame, Frames, Pack
from cellwarden.errors import DataError, UsageError
from cellwarden.physics import circuit as circuits
from cellwarden.physics.circuit import Circuit, circuit_of

__all__ = ["ChargeState", "Charges", "Tuning", "annotate", "init", "run", "step", "usable_fraction"]

# Rows of `ChargeState.cells`; the kernel counts on this order.
SOC, LOG_OHM, FAST, SLOW, SOC_VARIANCE, CROSS, OHM_VARIANCE, CAPACITY, SEEN, CELSIUS = range(10)
# Entries of `ChargeState.clock`.
TIME, PERIOD, SETTLING = range(3)

WIDEST_STD: Final = 0.3  # nothing known: about that of a uniform 0..1
_OHM_STD: Final = 0.4


class Tuning(NamedTuple):
    """What the filter takes for granted; chosen once for all chemistries, not per cell."""

    sensor_volt: float = 0.010  # error at rest: sensor, hysteresis, table; grows as resistance does
    drop_fraction: float = 0.3  # error of the voltage under load, of the drop
    settling_volt: float = 0.020  # error while the unknown past of a cell still shows
    correlation_second: float = 300.0  # how long the model's error lasts
    moved_variance: float = 0.03**2  # doubt for a whole charge moved: capacity, current sensor
    rest_variance_per_second: float = 0.002**2 / 3600.0
    ohm_variance_per_second: float = 0.1**2 / 3600.0
    lost_rate: float = 0.3  # current over capacity that may flow unseen
    gap_period_count: float = 10.0  # later than so many periods is a gap
    shortest_gap_second: float = 10.0
    pull_std_count: float = 4.0


TUNING: Final = Tuning()


@dataclass(frozen=True, slots=True)
class ChargeState:
    """Belief about each cell, and when it was formed."""

    cells: Float64[np.ndarray, "10 cell"]
    clock: Float64[np.ndarray, "3"]


@dataclass(frozen=True, slots=True)
class Charges:
    """`Charge` column by column: one row a frame."""

    unix_time_second: Float64[np.ndarray, " time"]
    soc_fraction: Float64[np.ndarray, "time cell"]
    soc_std_fraction: Float64[np.ndarray, "time cell"]
    innovation_volt: Float64[np.ndarray, "time cell"]
    innovation_std_volt: Float64[np.ndarray, "time cell"]

    def __len__(self) -> int:
        return len(self.unix_time_second)

    def row(self, index: int) -> Charge:
        """The estimate after one frame."""
        return Charge(
            float(self.unix_time_second[index]),
            self.soc_fraction[index],
            self.soc_std_fraction[index],
            self.innovation_volt[index],
            self.innovation_std_volt[index],
        )


def init(
    pack: Pack,
    soc_fraction: float | Float[np.ndarray, " cell"] | None = None,
    *,
    soc_std_fraction: float = 0.05,
    soh_fraction: float | Float[np.ndarray, " cell"] = 1.0,
) -> ChargeState:
    """Belief before the first frame; without `soc_fraction` the first voltage sets it.

    Raises:
        UsageError: a charge outside 0..1 or a health not above 0.
    """
    cells = np.zeros((10, pack.series_count))
    cells[CAPACITY] = pack.nominal_capacity_ah * np.asarray(soh_fraction)
    cells[SOC] = 0.5 if soc_fraction is None else soc_fraction
    cells[SEEN] = soc_fraction is not None
    std = WIDEST_STD if soc_fraction is None else soc_std_fraction
    cells[SOC_VARIANCE], cells[OHM_VARIANCE] = std**2, _OHM_STD**2
    cells[CELSIUS] = 25.0
    sound = (cells[SOC] >= 0.0) & (cells[SOC] <= 1.0) & (cells[CAPACITY] > 0.0)
    if not sound.all():
        raise UsageError("no cell can start so", hint="Give soc 0..1 and soh above 0.")
    return ChargeState(cells, np.array([np.nan, 0.0, 0.0]))


def run(state: ChargeState, frames: Frames, pack: Pack) -> tuple[ChargeState, Charges]:
    """The belief after a run of frames, and the estimate after each; compiled.

    Raises:
        DataError: the frames have another number of cells.
    """
    from cellwarden.health import kalman  # noqa: PLC0415  numba takes half a second

    _check(state, frames.cell_voltage_volt.shape[1])
    circuit = circuit_of(pack.cell.chemistry, pack.nominal_capacity_ah)
    time = frames.unix_time_second
    volts = frames.cell_voltage_volt.astype(np.float64)
    celsius = _spread(frames.cell_temperature_celsius.astype(np.float64), volts.shape[1])
    cells, clock, columns = kalman.run(
        state.cells,
        state.clock,
        (time, frames.current_ampere.astype(np.float64), volts, celsius),
        circuit,
        _blind_volt(pack, circuit),
        TUNING,
    )
    return ChargeState(cells, clock), Charges(time, *columns)


def step(state: ChargeState, frame: Frame, pack: Pack) -> tuple[ChargeState, Charge]:
    """The belief after one frame, and the estimate.

    Raises:
        DataError: the frame has another number of cells.
    """
    _check(state, len(frame.cell_voltage_volt))
    circuit = circuit_of(pack.cell.chemistry, pack.nominal_capacity_ah)
    volts = np.asarray(frame.cell_voltage_volt, dtype=np.float64)
    sensors = np.asarray(frame.cell_temperature_celsius, dtype=np.float64)[None]
    celsius = _spread(sensors, len(volts))[0]
    cells, clock = state.cells.copy(), state.clock.copy()
    cells[CELSIUS] = np.where(np.isnan(celsius), cells[CELSIUS], celsius)
    known = bool(np.isfinite(frame.current_ampere))
    current = float(frame.current_ampere) if known else 0.0
    second, gap = _tick(clock, frame.unix_time_second)
    over, cold = _predict(cells, circuit, current, second, lost=gap or not known)
    blind = 0.0 if known else _blind_volt(pack, circuit)
    settling = TUNING.settling_volt * float(np.exp(-clock[SETTLING] / circuit.slow_second))
    floor = (TUNING.sensor_volt * cold) ** 2 + settling**2 + blind**2
    innovation, deviation = _correct(cells, circuit, volts, over, second, floor=floor)
    deviations = np.sqrt(cells[SOC_VARIANCE])
    charge = Charge(frame.unix_time_second, cells[SOC].copy(), deviations, innovation, deviation)
    return ChargeState(cells, clock), charge


def usable_fraction(soc_fraction: Float[np.ndarray, "*time cell"]) -> Float[np.ndarray, "*time"]:
    """Charge of a string: 0 when its emptiest cell is empty, 1 when its fullest is full. [1]"""
    low, high = soc_fraction.min(axis=-1), soc_fraction.max(axis=-1)
    usable: np.ndarray = low / np.maximum(1.0 - (high - low), 1e-6)
    bounded: np.ndarray = np.clip(usable, 0.0, 1.0)
    return bounded


def annotate(frames: Frames, charges: Charges) -> Frames:
    """The frames with the string's charge and the widest cell's doubt in their columns."""
    return replace(
        frames,
        soc_fraction=usable_fraction(charges.soc_fraction).astype(np.float32),
        soc_std_fraction=charges.soc_std_fraction.max(axis=1).astype(np.float32),
    )


def _blind_volt(pack: Pack, circuit: Circuit) -> float:
    """The drop that a current of C/2 would cause unseen. [V]"""
    return 0.5 * pack.nominal_capacity_ah * circuit.ohmic_ohm


def _check(state: ChargeState, cell_count: int) -> None:
    if state.cells.shape[1] != cell_count:
        raise DataError(
            f"{cell_count} cell voltages for a pack of {state.cells.shape[1]} cells in series",
            hint="Give the pack the series_count that its driver reads.",
        )


def _spread(sensors: np.ndarray, cell_count: int) -> np.ndarray:
    """A temperature for each cell: its own sensor, or the mean of those that read."""
    if sensors.shape[1] == cell_count:
        return sensors
    there = np.isfinite(sensors)
    count = there.sum(axis=1)
    total = np.where(there, sensors, 0.0).sum(axis=1)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return np.repeat(mean[:, None], cell_count, axis=1)


def _tick(clock: np.ndarray, time: float) -> tuple[float, bool]:
    """Seconds since the last frame, and whether frames are missing in between."""
    second = 0.0 if np.isnan(clock[TIME]) else max(time - clock[TIME], 0.0)
    longest = max(TUNING.gap_period_count * clock[PERIOD], TUNING.shortest_gap_second)
    gap = clock[PERIOD] > 0.0 and second > longest
    if second > 0.0 and not gap:
        clock[PERIOD] = second
    clock[SETTLING] = 0.0 if gap else clock[SETTLING] + second
    clock[TIME] = time
    return second, bool(gap)


def _predict(
    cells: np.ndarray, circuit: Circuit, current: float, second: float, *, lost: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Move charge and doubt on; the drop over a typical cell's resistances [V], how cold it is."""
    flowed = 0.0 if lost else current
    factor = circuits.arrhenius(circuit.activation_joule_per_mole, cells[CELSIUS])
    moved = flowed * second / 3600.0 / cells[CAPACITY]
    fast, slow = np.exp(-second / circuit.fast_second), np.exp(-second / circuit.slow_second)
    cells[SOC] = np.clip(cells[SOC] + moved, 0.0, 1.0)
    cells[FAST] = fast * cells[FAST] + (1.0 - fast) * circuit.fast_ohm * flowed * factor
    cells[SLOW] = slow * cells[SLOW] + (1.0 - slow) * circuit.slow_ohm * flowed * factor
    grown = TUNING.moved_variance * np.abs(moved) + TUNING.rest_variance_per_second * second
    if lost:
        grown = grown + (TUNING.lost_rate * second / 3600.0) ** 2
    cells[SOC_VARIANCE] = np.minimum(cells[SOC_VARIANCE] + grown, WIDEST_STD**2)
    aged = cells[OHM_VARIANCE] + TUNING.ohm_variance_per_second * second
    cells[OHM_VARIANCE] = np.minimum(aged, _OHM_STD**2)
    drop: np.ndarray = cells[FAST] + cells[SLOW] + circuit.ohmic_ohm * current * factor
    return drop, np.maximum(factor, 1.0)


def _begin(
    cells: np.ndarray, circuit: Circuit, volts: np.ndarray, over: np.ndarray, sigma: np.ndarray
) -> None:
    """Cells whose voltage is read for the first time take their charge from it."""
    first = (cells[SEEN] == 0.0) & np.isfinite(volts)
    grid = np.linspace(0.0, 1.0, len(circuit.ocv_volt))
    soc = np.interp(np.where(first, volts - over, 0.0), circuit.ocv_volt, grid)
    slope = _slope(circuit, soc, np.full(len(soc), 0.05))
    unseen = np.abs(over) * (circuit.fast_ohm + circuit.slow_ohm) / circuit.ohmic_ohm
    doubt = (2.0 * sigma + unseen) / slope
    cells[SOC] = np.where(first, soc, cells[SOC])
    narrowed = np.minimum(doubt, WIDEST_STD) ** 2
    cells[SOC_VARIANCE] = np.where(first, narrowed, cells[SOC_VARIANCE])
    cells[SEEN] = np.where(first, 1.0, cells[SEEN])


def _slope(circuit: Circuit, soc: np.ndarray, reach: np.ndarray) -> np.ndarray:
    high = circuits.open_circuit_voltage(circuit, soc + reach)
    low = circuits.open_circuit_voltage(circuit, soc - reach)
    rise: np.ndarray = np.maximum((high - low) / (2.0 * reach), 1e-3)
    return rise


def _correct(
    cells: np.ndarray,
    circuit: Circuit,
    volts: np.ndarray,
    over: np.ndarray,
    second: float,
    *,
    floor: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Let the voltages speak; the innovation and its standard deviation. [V]"""
    scale = np.exp(cells[LOG_OHM])
    drop = scale * over
    noise = floor + (TUNING.drop_fraction * drop) ** 2
    _begin(cells, circuit, volts, drop, np.sqrt(noise))
    p, c, o = cells[SOC_VARIANCE], cells[CROSS], cells[OHM_VARIANCE]
    h = _slope(circuit, cells[SOC], np.clip(np.sqrt(p), 0.005, 0.1))
    innovation = volts - circuits.open_circuit_voltage(circuit, cells[SOC]) - drop
    spread = h * h * p + 2.0 * h * drop * c + drop * drop * o
    deviation = np.sqrt(spread + noise)
    if second > 0.0:
        news = spread + noise * (1.0 + TUNING.correlation_second / second)
        toward_soc, toward_ohm = h * p + drop * c, h * c + drop * o
        read = np.isfinite(innovation)
        bound = TUNING.pull_std_count * deviation
        pull = np.where(read, np.clip(innovation, -bound, bound), 0.0) / news
        weight = read / news
        cells[SOC] = np.clip(cells[SOC] + toward_soc * pull, 0.0, 1.0)
        cells[LOG_OHM] = np.clip(cells[LOG_OHM] + toward_ohm * pull, -1.6, 2.3)
        cells[SOC_VARIANCE] = np.maximum(p - weight * toward_soc * toward_soc, 1e-8)
        cells[CROSS] = c - weight * toward_soc * toward_ohm
        cells[OHM_VARIANCE] = np.maximum(o - weight * toward_ohm * toward_ohm, 1e-6)
    return innovation, deviation
