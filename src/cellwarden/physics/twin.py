"""A pack made of equations, with a driver's face and faults on demand.

Rules
- `step(config, state, count)` is pure: the same state gives the same frames, bit for bit, in
  however many pieces they are asked for, and after a resume from `position` too.
- Noise and the load of a drive come from counters, not from a running generator: what step k
  gets depends on the seed and on k alone.
- The twin ages every hour of its time; `ageing_factor` makes it age faster than its clock.
- Frame k is what the sensors show after step k; its current was held over the whole step.
"""

import hashlib
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from typing import Final

import cbor2
import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import Command, Contactors, Frames, chemistry_named
from cellwarden.errors import DecodeError, UsageError
from cellwarden.physics import aging as agings
from cellwarden.physics import row as rows
from cellwarden.physics import sensing
from cellwarden.physics.aging import Aging, Stress
from cellwarden.physics.circuit import Circuit, circuit_of
from cellwarden.physics.config import TwinConfig
from cellwarden.physics.fault import NEVER, Fault, FaultKind, unbalance, wear
from cellwarden.physics.row import Rows, Rule
from cellwarden.physics.thermal import Thermal, thermal_of

__all__ = ["Truth", "Twin", "TwinConfig", "TwinState", "start", "step", "truth"]

_AGEING_SECOND: Final = 3600.0
_STRETCH: Final = 4096  # frames worked out at once; bounds the memory of one read
_BLEED_RATE: Final = 0.02  # balancing current over capacity
_COOLING_GAIN: Final = 4.0  # full cooling carries five times the heat of still air


@dataclass(frozen=True, slots=True)
class TwinState:
    """Everything that the next frame depends on."""

    step_count: int
    row: Rows
    machine: Int64[np.ndarray, "2"]
    aging: Aging
    held: Float64[np.ndarray, "fault cell"]
    command: Command | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """What no sensor shows: the cells as they are after the last frame."""

    unix_time_second: float
    soc_fraction: Float64[np.ndarray, " cell"]
    soh_fraction: Float64[np.ndarray, " cell"]
    capacity_ah: Float64[np.ndarray, " cell"]
    resistance_ohm: Float64[np.ndarray, " cell"]
    temperature_celsius: Float64[np.ndarray, " cell"]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    circuit: Circuit
    thermal: Thermal
    capacity_ah: Float64[np.ndarray, " cell"]
    resistance_factor: Float64[np.ndarray, " cell"]
    edges: Int64[np.ndarray, " edge"]


@lru_cache(maxsize=256)
def _model(config: TwinConfig) -> _Model:
    """Constants of the twin; cells differ a little, by the seed."""
    spread = sensing.spread(config.seed, config.series_count)
    chemistry, q = chemistry_named(config.chemistry), config.nominal_capacity_ah
    edges = {edge for fault in config.faults for edge in fault.steps(config.period_second)}
    return _Model(
        circuit_of(chemistry, q),
        thermal_of(q),
        q * (1.0 + config.capacity_spread_fraction * spread[0]),
        1.0 + config.resistance_spread_fraction * spread[1],
        np.array(sorted(edges - {NEVER}), dtype=np.int64),
    )


def start(config: TwinConfig) -> TwinState:
    """The twin before its first frame."""
    count = config.series_count
    spread = sensing.spread(config.seed, count)
    row = np.zeros((rows.STATE_ROWS, count))
    soc = config.soc_fraction + config.soc_spread_fraction * spread[2]
    row[rows.SOC] = row[rows.LOW_SOC] = row[rows.HIGH_SOC] = np.clip(soc, 0.0, 1.0)
    row[rows.TEMPERATURE] = sensing.air(config, np.zeros(1))[0]
    phase = rows.IDLE if config.profile == "storage" else rows.DISCHARGE
    held = np.full((len(config.faults), count), np.nan)
    return TwinState(0, row, np.array([phase, 0]), agings.fresh(count, config.soh_fraction), held)


def truth(config: TwinConfig, state: TwinState) -> Truth:
    """What the cells really are."""
    model = _model(config)
    now = state.step_count * config.period_second
    capacity = model.capacity_ah * state.aging.capacity_factor
    return Truth(
        config.start_unix_time_second + now,
        state.row[rows.SOC].copy(),
        capacity / config.nominal_capacity_ah,
        capacity,
        model.circuit.ohmic_ohm * model.resistance_factor * state.aging.resistance_factor,
        state.row[rows.TEMPERATURE].copy(),
        tuple(f for f in config.faults if f.active(state.step_count - 1, config.period_second)),
    )


def step(config: TwinConfig, state: TwinState, count: int) -> tuple[TwinState, Frames]:
    """The next `count` frames (fewer at the end), and the state after them."""
    stop = min(state.step_count + count, config.frame_count)
    pieces: list[sensing.Readings] = []
    while state.step_count < stop:
        state, piece = _stretch(config, state, _edge(config, state.step_count, stop))
        pieces.append(piece)
    return state, sensing.frames(config, pieces)


def _edge(config: TwinConfig, now: int, stop: int) -> int:
    """The step before which nothing but the load and the air changes."""
    hour = max(round(_AGEING_SECOND / config.period_second), 1)
    edges = _model(config).edges
    following = int(np.searchsorted(edges, now, side="right"))
    edge = int(edges[following]) if following < len(edges) else stop
    return min(stop, edge, (now // hour + 1) * hour, now + _STRETCH)


def _stretch(config: TwinConfig, state: TwinState, stop: int) -> tuple[TwinState, sensing.Readings]:
    from cellwarden.physics import kernel  # noqa: PLC0415  numba takes half a second

    model, row, machine = _model(config), state.row.copy(), state.machine.copy()
    steps = np.arange(state.step_count, stop, dtype=np.int64)
    for fault in config.faults:
        first, _ = fault.steps(config.period_second)
        if fault.kind is FaultKind.IMBALANCE and first == state.step_count:
            unbalance(row, fault)
    time = steps * config.period_second
    air = sensing.air(config, time)
    volts, celsius, amperes = kernel.advance(
        row,
        machine,
        _cells(config, state),
        sensing.demand(config, steps),
        air,
        circuit=model.circuit,
        thermal=model.thermal,
        rule=_rule(config, state.command),
    )
    true = sensing.Readings(steps, volts.sum(axis=1)[:, None], amperes[:, None], volts, celsius)
    held = state.held.copy()
    shown = sensing.sense(config, true, air, held)
    aging = state.aging
    if stop % max(round(_AGEING_SECOND / config.period_second), 1) == 0:
        aging = _age(config, aging, row)
    return TwinState(stop, row, machine, aging, held, state.command), shown


def _cells(config: TwinConfig, state: TwinState) -> Rows:
    model, command = _model(config), state.command
    cells = np.zeros((6, config.series_count))
    cells[rows.CAPACITY] = model.capacity_ah * state.aging.capacity_factor
    cells[rows.RESISTANCE_FACTOR] = model.resistance_factor * state.aging.resistance_factor
    cells[rows.AIR_FACTOR] = 1.0
    if command is not None:
        cells[rows.AIR_FACTOR] += _COOLING_GAIN * command.cooling_fraction
        volts = chemistry_named(config.chemistry).nominal_voltage_volt
        bleed = _BLEED_RATE * config.nominal_capacity_ah / volts
        cells[rows.BLEED_SIEMENS] = bleed * np.array(command.balance or (False,), dtype=float)
    for fault in config.faults:
        if fault.active(state.step_count, config.period_second):
            wear(cells, fault)
    return cells


def _rule(config: TwinConfig, command: Command | None) -> Rule:
    chemistry, q = chemistry_named(config.chemistry), config.nominal_capacity_ah
    return Rule(
        low_volt=chemistry.low_voltage_volt,
        high_volt=chemistry.high_voltage_volt,
        charge_ampere=config.charge_rate * q,
        cutoff_ampere=0.05 * q,
        end_ampere=0.2 * q if config.profile == "drive" else config.discharge_rate * q,
        rest_step_count=max(round(config.rest_second / config.period_second), 1),
        contactors_closed=command is None or command.contactors_closed,
        charge_limit_ampere=np.inf if command is None else command.high_charge_current_ampere,
        discharge_limit_ampere=(
            np.inf if command is None else command.high_discharge_current_ampere
        ),
        period_second=config.period_second,
    )


def _age(config: TwinConfig, aging: Aging, row: Rows) -> Aging:
    """Age by the hour that has passed, and begin to count anew."""
    count = max(round(_AGEING_SECOND / config.period_second), 1)
    factor = config.ageing_factor
    stress = Stress(
        factor * count * config.period_second / 86_400.0,
        row[rows.SOC_SUM] / count,
        row[rows.TEMPERATURE_SUM] / count,
        factor * row[rows.THROUGHPUT] / 2.0,
        row[rows.HIGH_SOC] - row[rows.LOW_SOC],
    )
    row[[rows.SOC_SUM, rows.TEMPERATURE_SUM, rows.THROUGHPUT]] = 0.0
    return agings.step(aging, stress, agings.SPEED[config.chemistry])


class Twin:
    """The twin as a driver: it reads, takes commands, and can be put down and taken up again."""

    def __init__(self, config: TwinConfig) -> None:
        self.config = config
        self._state = start(config)

    def read(self, count: int) -> Frames | None:
        """The next frames, at most `count`; None when the twin's time is over.

        Raises:
            UsageError: a count below one.
        """
        if count < 1:
            raise UsageError("read at least one frame", hint="Give a count of 1 or more.")
        if self._state.step_count >= self.config.frame_count:
            return None
        self._state, frames = step(self.config, self._state, count)
        return frames

    def write(self, command: Command) -> None:
        """Obey a command from the next frame on.

        Raises:
            UsageError: `balance` has neither zero nor one entry a cell.
        """
        if len(command.balance) not in {0, self.config.series_count}:
            raise UsageError(
                f"balance has {len(command.balance)} entries for {self.config.series_count} cells",
                hint="Give one entry a cell, or none.",
            )
        self._state = replace(self._state, command=command)

    def truth(self) -> Truth:
        """What the cells really are after the last frame."""
        return truth(self.config, self._state)

    def position(self) -> bytes:
        """Where the twin is, small enough to keep beside each batch."""
        state, command = self._state, self._state.command
        aging = [getattr(state.aging, name) for name in Aging.__slots__]
        return cbor2.dumps(
            {
                "of": _fingerprint(self.config),
                "step": state.step_count,
                "row": _pack(state.row),
                "machine": [int(value) for value in state.machine],
                "aging": _pack(np.stack(aging)),
                "held": _pack(state.held),
                "command": None if command is None else _list(command),
            }
        )

    @staticmethod
    def resume(config: TwinConfig, position: bytes) -> "Twin":
        """The twin as it was when it gave `position`.

        Raises:
            DecodeError: the bytes are no position.
            UsageError: the position is another twin's.
        """
        twin = Twin(config)
        twin._state = _restore(config, position)
        return twin


def _fingerprint(config: TwinConfig) -> bytes:
    return hashlib.sha256(repr(config).encode()).digest()[:16]


def _pack(array: np.ndarray) -> bytes:
    return array.astype("<f8").tobytes()


def _list(command: Command) -> list[object]:
    return [
        list(astuple(command.contactors)),
        command.high_charge_current_ampere,
        command.high_discharge_current_ampere,
        list(command.balance),
        command.cooling_fraction,
        command.charge_voltage_volt,
        command.charge_current_ampere,
    ]


def _restore(config: TwinConfig, position: bytes) -> TwinState:
    count = config.series_count

    def grid(data: bytes, height: int) -> np.ndarray:
        return np.frombuffer(data, dtype="<f8").reshape(height, count).astype(np.float64)

    try:
        fields = cbor2.loads(position)
        fingerprint, given = fields["of"], fields["command"]
        command = None
        if given is not None:
            contactors, charge, discharge, balance, *others = given
            command = Command(Contactors(*contactors), charge, discharge, tuple(balance), *others)
        if fingerprint == _fingerprint(config):
            return TwinState(
                int(fields["step"]),
                grid(fields["row"], rows.STATE_ROWS),
                np.array(fields["machine"], dtype=np.int64).reshape(2),
                Aging(*grid(fields["aging"], len(Aging.__slots__))),
                grid(fields["held"], len(config.faults)),
                command,
            )
    except (cbor2.CBORDecodeError, KeyError, TypeError, ValueError) as error:
        raise DecodeError(
            "these bytes are no position of a twin", hint="Start the twin anew."
        ) from error
    raise UsageError(
        "the position belongs to a twin of another configuration",
        hint="Resume with the configuration it was started with, or start anew.",
    )
