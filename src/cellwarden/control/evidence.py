"""From senses to one number a signal, with what must be remembered from cycle to cycle.

Rules
- What does not apply now (charging limits while nothing charges) is at rest: it never raises a
  row, and it lets a fault end. What is not known is NaN: it does neither.
- "Charging" begins at 2 % of the capacity an hour; "flowing" at 5 %.
- A cell's monitor shows tenths of a millivolt, so that equal bits while current flows mean that
  it stands still. A string's or a current's sensor may be coarse: it stands still when it stays
  equal while the other one of the two moves by more than its own steps.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

from cellwarden.control import runaway
from cellwarden.control.runaway import Slopes, middle
from cellwarden.control.senses import Senses
from cellwarden.control.signals import CELL_RANGE_VOLT, SENSOR_RANGE_CELSIUS, Signal
from cellwarden.domain import Board, Pack
from cellwarden.physics.circuit import circuit_of

__all__ = ["Evidence", "Measures", "Remembered", "begin", "gather", "measures_of"]

_S: Final = Signal
_CHARGING_RATE: Final = 0.02
_FLOWING_RATE: Final = 0.05
_RESTED_SECOND: Final = 300.0
_COILS_OFF_SECOND: Final = 1.0  # contactors have opened and the current has ended by then
_LINK_SECOND: Final = 10.0  # a link must be below 60 V 5 s after opening: UN R100, 5.1.1
_LINK_LIVE: Final = 0.8
_SIBLING_COUNT: Final = 3
_MOVED_CELL_VOLT: Final = 0.005  # for each cell of the string; what C/20 does to a cell
_COUNT: Final = len(Signal)


class Measures(NamedTuple):
    """Numbers of the pack that the evidence needs."""

    charging_ampere: float
    flowing_ampere: float
    moved: Float[np.ndarray, "2"]
    flat_volt: tuple[float, float]
    string_range_volt: tuple[float, float]
    reference_volt: float
    monitor_count: int
    ohm: float
    deaf_below_volt: float


def measures_of(pack: Pack, board: Board) -> Measures:
    """Work them out once."""
    chemistry, q = pack.cell.chemistry, pack.nominal_capacity_ah
    low, deaf, high = np.interp((0.15, 0.10, 0.95), chemistry.ocv_soc_fraction, chemistry.ocv_volt)
    circuit, count = circuit_of(chemistry, q), pack.series_count
    return Measures(
        _CHARGING_RATE * q,
        _FLOWING_RATE * q,
        np.array([_FLOWING_RATE * q, _MOVED_CELL_VOLT * count]),
        (float(low), float(high)),
        (count * CELL_RANGE_VOLT[0], count * CELL_RANGE_VOLT[1]),
        board.reference_volt,
        -(-count // board.cells_per_monitor_count),
        circuit.ohmic_ohm + circuit.fast_ohm,
        float(deaf),
    )


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the next cycle compares with; times are in seconds."""

    clock_second: Float[np.ndarray, "*pack"]
    unix_time_second: Float[np.ndarray, "*pack"]
    rest_second: Float[np.ndarray, "*pack"]
    coils_off_second: Float[np.ndarray, "*pack"]
    cell_volt: Float[np.ndarray, "*pack cell"]
    celsius: Float[np.ndarray, "*pack sensor"]
    pair: Float[np.ndarray, "*pack 2"]
    pair_other: Float[np.ndarray, "*pack 2"]
    cell_frozen_second: Float[np.ndarray, "*pack cell"]
    sensor_frozen_second: Float[np.ndarray, "*pack sensor"]
    pair_frozen_second: Float[np.ndarray, "*pack 2"]
    slopes: Slopes


class Evidence(NamedTuple):
    """One number a signal, and the items that some of them are the worst of."""

    value: Float[np.ndarray, "*pack signal"]
    items: dict[Signal, np.ndarray]


def begin(cell_count: int, sensor_count: int, packs: tuple[int, ...] = ()) -> Remembered:
    """Nothing seen yet."""
    unknown, none = np.full(packs, np.nan), np.zeros(packs)
    cells, sensors = np.zeros((*packs, cell_count)), np.zeros((*packs, sensor_count))
    return Remembered(
        *(unknown, unknown, none, none),
        cells + np.nan,
        sensors + np.nan,
        np.full((*packs, 2), np.nan),
        np.full((*packs, 2), np.nan),
        *(cells, sensors, np.zeros((*packs, 2))),
        runaway.begin(cell_count, sensor_count, packs),
    )


def gather(
    measures: Measures, before: Remembered, senses: Senses
) -> tuple[Remembered, Evidence, Float[np.ndarray, "*pack"]]:
    """What to remember, the evidence, and the time since the last cycle. [s]"""
    clock = np.asarray(senses.clock_second, dtype=np.float64)
    passed = clock - before.clock_second
    second = np.where(passed > 0.0, passed, 0.0)
    value = np.full((*clock.shape, _COUNT), -np.inf)
    items: dict[Signal, np.ndarray] = {}
    raw_volt = np.asarray(senses.cell_voltage_volt, dtype=np.float64)
    raw_celsius = np.asarray(senses.cell_temperature_celsius, dtype=np.float64)
    volt = _possible(raw_volt, CELL_RANGE_VOLT, _S.CELL_IMPOSSIBLE, value, items)
    celsius = _possible(raw_celsius, SENSOR_RANGE_CELSIUS, _S.TEMPERATURE_IMPOSSIBLE, value, items)
    amps = np.asarray(senses.current_ampere, dtype=np.float64)
    flow = np.abs(amps)
    flowing = flow > measures.flowing_ampere
    rest = np.where(flowing, 0.0, np.where(np.isnan(flow), 0.0, before.rest_second + second))
    driven = senses.plus_driven + senses.minus_driven + senses.precharge_driven
    off = np.where(np.asarray(driven) > 0.0, 0.0, before.coils_off_second + second)
    slopes, voices = runaway.step(
        before.slopes,
        np.where(np.isnan(passed), np.inf, second),
        volt,
        celsius,
        current_ampere=amps,
        gas_fraction=senses.gas_fraction,
        ohm=measures.ohm,
        deaf_below_volt=measures.deaf_below_volt,
    )
    value[..., _S.RUNAWAY] = voices.sense_count
    items[_S.RUNAWAY] = voices.drop_volt
    pair = np.stack([np.asarray(senses.voltage_volt, dtype=np.float64), amps], axis=-1)
    same = pair == before.pair
    other = np.where(same, before.pair_other, pair[..., ::-1])
    moved = same & (np.abs(pair[..., ::-1] - other) > measures.moved)
    after = Remembered(
        clock,
        np.asarray(senses.unix_time_second, dtype=np.float64),
        rest,
        off,
        volt,
        celsius,
        pair,
        other,
        _frozen(volt, before.cell_volt, before.cell_frozen_second, second, flowing),
        _frozen(celsius, before.celsius, before.sensor_frozen_second, second, flowing),
        np.where(same, before.pair_frozen_second + np.where(moved, second[..., None], 0.0), 0.0),
        slopes,
    )
    _limits(value, items, measures, senses, after)
    _plausibility(value, items, measures, senses, now=after, before=before)
    _presence(value, items, measures, senses, now=after, raw=(raw_volt, raw_celsius))
    _path(value, senses, after)
    _electronics(value, items, measures, senses, before)
    return after, Evidence(value, items), second


def _top(values: np.ndarray) -> np.ndarray:
    """Highest of the last axis; NaN where nothing is known."""
    return np.asarray(np.fmax.reduce(values, axis=-1, initial=np.nan))


def _bottom(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.fmin.reduce(values, axis=-1, initial=np.nan))


def _possible(
    raw: np.ndarray,
    span: tuple[float, float],
    signal: Signal,
    value: np.ndarray,
    items: dict[Signal, np.ndarray],
) -> np.ndarray:
    """The readings that can be; how far the others are beyond is evidence of its own."""
    beyond = np.abs(raw - 0.5 * (span[0] + span[1])) - 0.5 * (span[1] - span[0])
    value[..., signal] = _top(beyond)
    items[signal] = beyond
    return np.where(beyond > 0.0, np.nan, raw)


def _frozen(
    now: np.ndarray, last: np.ndarray, long: np.ndarray, second: np.ndarray, flowing: np.ndarray
) -> np.ndarray:
    """For how long each reading has been the same bits while current flows. [s]"""
    return np.where(
        (now == last) & np.asarray(flowing)[..., None], long + np.asarray(second)[..., None], 0.0
    )


def _limits(
    value: np.ndarray,
    items: dict[Signal, np.ndarray],
    measures: Measures,
    senses: Senses,
    now: Remembered,
) -> None:
    """Voltage, current and temperature against the tiers, and how far cells stand apart."""
    volt, celsius, amps = now.cell_volt, now.celsius, now.pair[..., 1]
    high, low = _top(volt), _bottom(volt)
    hot, cold = _top(celsius), _bottom(celsius)
    charging = amps > measures.charging_ampere
    value[..., _S.HIGH_CELL_VOLTAGE], value[..., _S.LOW_CELL_VOLTAGE] = high, low
    value[..., _S.STRING_VOLTAGE] = now.pair[..., 0]
    value[..., _S.CHARGE_CURRENT], value[..., _S.DISCHARGE_CURRENT] = amps, -amps
    value[..., _S.HIGH_CHARGE_TEMPERATURE] = np.where(charging, hot, -np.inf)
    value[..., _S.LOW_CHARGE_TEMPERATURE] = np.where(charging, cold, np.inf)
    value[..., _S.HIGH_DISCHARGE_TEMPERATURE] = np.where(charging, -np.inf, hot)
    value[..., _S.LOW_DISCHARGE_TEMPERATURE] = np.where(charging, np.inf, cold)
    flat = (low > measures.flat_volt[0]) & (high < measures.flat_volt[1])
    value[..., _S.VOLTAGE_SPREAD] = np.where(
        flat & (now.rest_second >= _RESTED_SECOND), high - low, -np.inf
    )
    value[..., _S.TEMPERATURE_SPREAD] = hot - cold
    value[..., _S.GAS] = senses.gas_fraction
    value[..., _S.COOLANT] = senses.coolant_temperature_celsius
    for signal in (_S.HIGH_CELL_VOLTAGE, _S.VOLTAGE_SPREAD):
        items[signal] = volt
    items[_S.LOW_CELL_VOLTAGE] = -volt
    for signal in (_S.HIGH_CHARGE_TEMPERATURE, _S.HIGH_DISCHARGE_TEMPERATURE):
        items[signal] = celsius
    for signal in (_S.LOW_CHARGE_TEMPERATURE, _S.LOW_DISCHARGE_TEMPERATURE):
        items[signal] = -celsius
    items[_S.TEMPERATURE_SPREAD] = celsius


def _plausibility(
    value: np.ndarray,
    items: dict[Signal, np.ndarray],
    measures: Measures,
    senses: Senses,
    *,
    now: Remembered,
    before: Remembered,
) -> None:
    """Each measurement against another way to know the same."""
    volt, amps = now.cell_volt, now.pair[..., 1]
    value[..., _S.CELL_SUM] = np.abs(volt.sum(axis=-1) - now.pair[..., 0])
    value[..., _S.SECOND_CURRENT] = np.abs(amps - senses.second_current_ampere)
    value[..., _S.OPEN_CURRENT] = np.where(
        now.coils_off_second > _COILS_OFF_SECOND, np.abs(amps), -np.inf
    )
    if senses.second_cell_voltage_volt is not None:
        items[_S.SECOND_MONITOR] = np.abs(volt - senses.second_cell_voltage_volt)
    if senses.reference_volt is not None:
        items[_S.REFERENCE] = np.abs(senses.reference_volt - measures.reference_volt)
    if senses.innovation_volt is not None and senses.innovation_std_volt is not None:
        ratio = senses.innovation_volt / senses.innovation_std_volt
        if ratio.shape[-1] >= _SIBLING_COUNT:
            ratio = ratio - middle(ratio)
        items[_S.MODEL] = np.abs(ratio)
    # The first reading after a gap is compared with nothing.
    items[_S.TEMPERATURE_JUMP] = np.abs(now.celsius - before.celsius)
    for signal in (_S.SECOND_MONITOR, _S.REFERENCE, _S.MODEL, _S.TEMPERATURE_JUMP):
        if signal in items:
            value[..., signal] = _top(items[signal])


def _presence(
    value: np.ndarray,
    items: dict[Signal, np.ndarray],
    measures: Measures,
    senses: Senses,
    *,
    now: Remembered,
    raw: tuple[np.ndarray, np.ndarray],
) -> None:
    """Readings that are missing, old, frozen or cannot be."""
    pair = now.pair
    for signal, unread in (
        (_S.CELL_MISSING, np.isnan(raw[0])),
        (_S.TEMPERATURE_MISSING, np.isnan(raw[1])),
    ):
        value[..., signal], items[signal] = np.count_nonzero(unread, axis=-1), unread
    value[..., _S.TEMPERATURES_LEFT] = np.count_nonzero(~np.isnan(now.celsius), axis=-1)
    value[..., _S.STRING_MISSING] = np.isnan(pair[..., 0])
    value[..., _S.CURRENT_MISSING] = np.isnan(pair[..., 1])
    for signal, frozen in (
        (_S.CELL_FROZEN, now.cell_frozen_second),
        (_S.TEMPERATURE_FROZEN, now.sensor_frozen_second),
    ):
        value[..., signal], items[signal] = _top(frozen), frozen
    value[..., _S.STRING_FROZEN] = now.pair_frozen_second[..., 0]
    value[..., _S.CURRENT_FROZEN] = now.pair_frozen_second[..., 1]
    value[..., _S.VOLTAGE_AGE] = senses.voltage_age_second
    value[..., _S.CURRENT_AGE] = senses.current_age_second
    if senses.monitor_age_second is not None:
        items[_S.MONITOR_AGE] = senses.monitor_age_second
        value[..., _S.MONITOR_AGE] = _top(senses.monitor_age_second)
    low, high = measures.string_range_volt
    value[..., _S.STRING_IMPOSSIBLE] = np.maximum(low - pair[..., 0], pair[..., 0] - high)
    value[..., _S.CURRENT_IMPOSSIBLE] = np.abs(pair[..., 1])
    if senses.open_wire is not None:
        items[_S.OPEN_WIRE] = senses.open_wire
        value[..., _S.OPEN_WIRE] = np.count_nonzero(senses.open_wire, axis=-1)


def _path(value: np.ndarray, senses: Senses, now: Remembered) -> None:
    """Contactors, fuse, interlock and insulation."""
    switches = (
        (_S.PLUS_FEEDBACK, senses.plus_driven, senses.plus_closed),
        (_S.MINUS_FEEDBACK, senses.minus_driven, senses.minus_closed),
        (_S.PRECHARGE_FEEDBACK, senses.precharge_driven, senses.precharge_closed),
    )
    for signal, driven, closed in switches:
        value[..., signal] = np.abs(np.subtract(closed, driven))
    stuck = np.fmax(
        np.subtract(senses.plus_closed, senses.plus_driven),
        np.subtract(senses.minus_closed, senses.minus_driven),
    )
    live = np.asarray(senses.link_voltage_volt) > _LINK_LIVE * now.pair[..., 0]
    value[..., _S.WELD] = np.fmax(stuck, (now.coils_off_second > _LINK_SECOND) & live)
    string = np.maximum(now.pair[..., 0], 1.0)
    value[..., _S.INSULATION] = np.asarray(senses.insulation_ohm) / string
    value[..., _S.INTERLOCK] = 1.0 - np.asarray(senses.interlock_closed)
    value[..., _S.FUSE] = 1.0 - np.asarray(senses.fuse_intact)
    value[..., _S.PRECHARGE] = senses.precharge_failed


def _electronics(
    value: np.ndarray,
    items: dict[Signal, np.ndarray],
    measures: Measures,
    senses: Senses,
    before: Remembered,
) -> None:
    """Clocks, memory, buses and the pack's identity."""
    clock = np.subtract(senses.clock_second, before.clock_second)
    wall = np.subtract(senses.unix_time_second, before.unix_time_second)
    value[..., _S.CYCLE] = clock
    value[..., _S.CLOCK_BACKWARDS] = np.fmax(-clock, -wall)
    value[..., _S.CLOCK_ERROR] = np.abs(senses.clock_error_second)
    value[..., _S.MEMORY] = 1.0 - np.asarray(senses.memory_intact)
    value[..., _S.AUTHENTICATION] = 1.0 - np.asarray(senses.authenticated)
    value[..., _S.BUS_ERRORS] = senses.bus_error_count
    value[..., _S.MASTER] = senses.request_age_second
    link = np.asarray(senses.broken_link, dtype=np.float64)
    behind = measures.monitor_count - link
    value[..., _S.CHAIN] = np.where(np.isnan(link), 0.0, np.maximum(behind, 1.0))
    if senses.frame_error_count is not None:
        items[_S.FRAME_ERRORS] = senses.frame_error_count
        value[..., _S.FRAME_ERRORS] = _top(np.asarray(senses.frame_error_count, dtype=np.float64))
