"""The hardware around the cells: contactors, precharge, fuse, and what its sensors are given.

Rules
- `step` is pure: the same state, command and surroundings give the same signals. Noise comes from
  counters, as in the twin.
- Contacts move a little after their coil is driven, each at its own instant; between two such
  instants the power path is solved exactly, and the cells get the mean current of the period.
- Closing onto a link that is far from the pack's voltage, or opening under a current that no
  contactor breaks, welds the contact.
- A load or a charger gets current through closed main contacts only.
- Signals are what reaches the converters, noise and all; NaN is a sensor that is not connected.
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.domain import Board, Command, chemistry_named
from cellwarden.physics import path, sensing
from cellwarden.physics import twin as twins
from cellwarden.physics.circuit import circuit_of, open_circuit_voltage
from cellwarden.physics.path import Damage, Path, PathConfig
from cellwarden.physics.row import SOC
from cellwarden.physics.twin import TwinConfig, TwinState

__all__ = [
    "Hardware",
    "HardwareState",
    "Outside",
    "Signals",
    "chips",
    "sensor_cells",
    "start",
    "step",
]

_STREAM: Final = 3  # of the draws; the twin has 0 to 2
_LIKELY_OHM: Final = 0.1  # a pack's resistance times its Ah, a cell: what a charger reckons with


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the pack is built of; times and masses are typical, the data sheet comes first."""

    twin: TwinConfig
    board: Board = field(default_factory=Board)
    path: PathConfig = field(default_factory=PathConfig)
    insulation_ohm: float = 5.0e6
    insulation_lag_second: float = 3.0
    second_current_noise_fraction: float = 0.002
    second_voltage_noise_volt: float = 0.002
    vent_temperature_celsius: float = 120.0
    vent_per_second: float = 0.01
    gas_lag_second: float = 30.0
    coolant_lag_second: float = 60.0


@dataclass(frozen=True, slots=True)
class Outside:
    """What is connected to the pack and what is broken in it, in the coming period.

    `demand_ampere` is what load (below zero) and uncontrolled sources (above) want to draw or push;
    one that `obeys` keeps to the limits of the command. A charger gives what the command asks of
    it, current first and then voltage.
    """

    demand_ampere: float = 0.0
    obeys: bool = True
    charger_connected: bool = False
    damage: Damage = field(default_factory=Damage)


@dataclass(frozen=True, slots=True)
class HardwareState:
    """Everything that the next signals depend on."""

    twin: TwinState
    path: Path
    volt: float
    ampere: float
    insulation_siemens: float
    gas_fraction: float
    coolant_celsius: float


@dataclass(frozen=True, slots=True)
class Signals:
    """What the sensors give to the converters at the end of a period.

    `reference_gain` is what each monitor chip's voltage reference is, over what it should be.
    `open_wire` tells, chip by chip and from its lowest cell up, which sense wires are off.
    """

    second: float
    voltage_volt: float
    link_voltage_volt: float
    current_ampere: float
    second_current_ampere: float
    cell_voltage_volt: Float64[np.ndarray, " cell"]
    second_cell_voltage_volt: Float64[np.ndarray, " cell"]
    sensor_temperature_celsius: Float64[np.ndarray, " sensor"]
    ambient_temperature_celsius: float
    coolant_temperature_celsius: float
    insulation_ohm: float
    gas_fraction: float
    plus_feedback_closed: bool
    minus_feedback_closed: bool
    precharge_feedback_closed: bool
    interlock_closed: bool
    fuse_intact: bool
    reference_gain: Float64[np.ndarray, " monitor"]
    open_wire: Bool[np.ndarray, "monitor wire"]


@lru_cache(maxsize=64)
def chips(board: Board, series_count: int) -> tuple[int, ...]:
    """How many cells each monitor chip watches, from the bottom of the string. [1]"""
    full, rest = divmod(series_count, board.cells_per_monitor_count)
    return (board.cells_per_monitor_count,) * full + ((rest,) if rest else ())


@lru_cache(maxsize=64)
def sensor_cells(board: Board, series_count: int) -> Int64[np.ndarray, " sensor"]:
    """The cell that each temperature sensor sits on: evenly spread over those of its chip."""
    placed, first = [], 0
    for count in chips(board, series_count):
        sensors = min(board.sensors_per_monitor_count, count)
        placed += [first + index * count // sensors for index in range(sensors)]
        first += count
    cells = np.array(placed, dtype=np.int64)
    cells.flags.writeable = False
    return cells


def start(hardware: Hardware) -> HardwareState:
    """The pack before its first period: open, its link empty."""
    state = twins.start(hardware.twin)
    air = float(sensing.air(hardware.twin, np.zeros(1))[0])
    circuit = circuit_of(
        chemistry_named(hardware.twin.chemistry), hardware.twin.nominal_capacity_ah
    )
    idle = float(np.sum(open_circuit_voltage(circuit, state.row[SOC])))
    return HardwareState(
        state,
        Path(),
        idle,
        0.0,
        1.0 / hardware.insulation_ohm,
        gas_fraction=0.0,
        coolant_celsius=air,
    )


def step(
    hardware: Hardware, state: HardwareState, command: Command, outside: Outside
) -> tuple[HardwareState, Signals]:
    """One period of the twin under a command."""
    damage, period = outside.damage, hardware.twin.period_second
    wanted = _wanted(hardware, state, command, outside)
    way, ampere = path.step(
        hardware.path,
        hardware.board,
        state.path,
        path.Drive(command.contactors, state.volt, wanted, period),
        damage,
    )
    driven = replace(state.twin, command=_felt(command, damage, hardware.twin.series_count))
    after, true, shown = twins.carry(hardware.twin, driven, ampere)
    index = state.twin.step_count
    celsius = true.cell_temperature_celsius[0]
    air = float(sensing.air(hardware.twin, np.array([index * period]))[0])
    moved = HardwareState(
        after,
        path.follow(way, float(true.voltage_volt[0, 0])),
        float(true.voltage_volt[0, 0]),
        ampere,
        _lag(
            state.insulation_siemens,
            1.0 / _insulation(hardware, damage),
            period / hardware.insulation_lag_second,
        ),
        _gas(hardware, state.gas_fraction, celsius, damage),
        _lag(
            state.coolant_celsius,
            air + (float(np.mean(celsius)) - air) * (0.5 if damage.pump_stopped else 0.8),
            period / hardware.coolant_lag_second,
        ),
    )
    return moved, _signals(hardware, moved, (true, shown), damage)


def _wanted(hardware: Hardware, state: HardwareState, command: Command, outside: Outside) -> float:
    """What load and charger want to let flow. [A]"""
    ampere = outside.demand_ampere
    if outside.charger_connected and command.charge_current_ampere > 0.0:
        cells, capacity = hardware.twin.series_count, hardware.twin.nominal_capacity_ah
        room = command.charge_voltage_volt - state.volt
        held = state.ampere + room * capacity / (_LIKELY_OHM * cells)
        ampere += min(max(held, 0.0), command.charge_current_ampere)
    if not outside.obeys:
        return ampere
    return max(
        min(ampere, command.high_charge_current_ampere), -command.high_discharge_current_ampere
    )


def _felt(command: Command, damage: Damage, cell_count: int) -> Command:
    """The command as the cells feel it: bleeders that hang, a pump that does not run."""
    balance = list(command.balance or (False,) * cell_count)
    for cell in damage.bleeding:
        balance[cell] = True
    cooling = 0.0 if damage.pump_stopped else command.cooling_fraction
    return replace(command, balance=tuple(balance), cooling_fraction=cooling)


def _lag(now: float, goal: float, part: float) -> float:
    return goal + (now - goal) * float(np.exp(-part))


def _insulation(hardware: Hardware, damage: Damage) -> float:
    return min(hardware.insulation_ohm, damage.insulation_ohm)


def _gas(hardware: Hardware, now: float, celsius: np.ndarray, damage: Damage) -> float:
    """Vent gas in the housing; hot cells give it off, and it leaks out. [1]"""
    venting = np.count_nonzero(celsius > hardware.vent_temperature_celsius)
    source = damage.gas_per_second + hardware.vent_per_second * float(venting)
    lag = hardware.gas_lag_second
    return min(_lag(now, source * lag, hardware.twin.period_second / lag), 1.0)


def _signals(
    hardware: Hardware,
    state: HardwareState,
    readings: tuple[sensing.Readings, sensing.Readings],
    damage: Damage,
) -> Signals:
    config, board, way = hardware.twin, hardware.board, state.path
    (true, shown), index = readings, state.twin.step_count - 1
    noise = sensing.normal(config.seed, _STREAM, index, index, 1 + config.series_count)[0]
    noise = noise.astype(np.float64)
    hall = hardware.second_current_noise_fraction * config.nominal_capacity_ah
    celsius = shown.cell_temperature_celsius[0][sensor_cells(board, config.series_count)]
    if damage.lost_sensors:
        celsius[list(damage.lost_sensors)] = np.nan
    assert shown.ambient_temperature_celsius is not None  # noqa: S101  the twin's always is
    cells = chips(board, config.series_count)
    gain = np.ones(len(cells))
    for chip, fraction in damage.reference_error_fraction:
        gain[chip] += fraction
    wires = np.zeros((len(cells), board.cells_per_monitor_count + 1), dtype=bool)
    for chip, wire in damage.open_wires:
        wires[chip, wire] = True
    return Signals(
        second=(index + 1) * config.period_second,
        voltage_volt=float(shown.voltage_volt[0, 0]),
        link_voltage_volt=way.link_volt,
        current_ampere=float(shown.current_ampere[0, 0]),
        second_current_ampere=state.ampere + hall * float(noise[0]) + damage.second_current_ampere,
        cell_voltage_volt=shown.cell_voltage_volt[0],
        second_cell_voltage_volt=true.cell_voltage_volt[0]
        + hardware.second_voltage_noise_volt * noise[1:],
        sensor_temperature_celsius=celsius,
        ambient_temperature_celsius=float(shown.ambient_temperature_celsius[0, 0]),
        coolant_temperature_celsius=state.coolant_celsius,
        insulation_ohm=1.0 / state.insulation_siemens,
        gas_fraction=state.gas_fraction,
        plus_feedback_closed=way.plus.closed != ("plus" in damage.false_feedback),
        minus_feedback_closed=way.minus.closed != ("minus" in damage.false_feedback),
        precharge_feedback_closed=way.precharge.closed != ("precharge" in damage.false_feedback),
        interlock_closed=not damage.interlock_open,
        fuse_intact=way.fuse_intact,
        reference_gain=gain,
        open_wire=wires,
    )
