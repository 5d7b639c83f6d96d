"""One control cycle of a pack: what is wrong, what is allowed, what it does next.

`step(config, state, reading, believed, terms) -> state, Decision` is pure and joins the parts in
this order: orders turn requests down, diagnostics judge the reading, limits say how much current,
the machine says which contactors and how much of that, and the command is the least of all.

Rules
- The command never exceeds the limits of the pack, of its protector, or of an order in force; an
  order that asks for more changes nothing (`control.protector`, `control.orders`).
- What the machine finds wrong by itself is a trouble like any other: it is told in the diagnosis.
- A charge is over when something else is asked for; a fault, a silent charger or a power cut leave
  it where it is.
- What leads to standby (a silent master) is the machine's business: it lets the current fall and
  opens. The row of the fault table tells of it, and forbids or opens nothing beside that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from cellwarden.control import authentic, balance, diagnose, limits, machine, protector
from cellwarden.control import charge as charging
from cellwarden.control.balance import Balanced, Balancing, balancing_of
from cellwarden.control.charge import Asked, Wish
from cellwarden.control.charge_settings import Charged, Charging, charging_of
from cellwarden.control.decision import OWN, Decision
from cellwarden.control.diagnose import Diagnostics, DiagnosticsState, diagnostics_of
from cellwarden.control.fault_table import FaultRow
from cellwarden.control.limits import Known, Limited, Limits, limits_of
from cellwarden.control.machine_state import MachineConfig, MachineState, Ruling, machine_of
from cellwarden.control.mode import Mode
from cellwarden.control.orders import (
    ASKED_NOTHING,
    FOREIGN,
    Terms,
    ceilings_of,
    cooling_of,
    listen,
    troubles_of,
)
from cellwarden.control.protector import clamp
from cellwarden.control.situation import situation_of
from cellwarden.domain import (
    Allowance,
    Board,
    Capability,
    CellLimits,
    Charge,
    Command,
    Condition,
    Diagnosis,
    Pack,
    Reaction,
    Reading,
    Request,
    Trouble,
)
from cellwarden.physics.plating import plating_of

__all__ = ["Believed", "Control", "ControlState", "begin", "control_of", "step"]

_KEEPS_CHARGE: Final = frozenset({Request.CHARGE, Request.RESET, None})
IDLE: Final = Charged()


@dataclass(frozen=True, slots=True, eq=False)
class Control:
    """The constants of a pack's control.

    Raises:
        UsageError: something would reach beyond the hardware protector.
    """

    pack: Pack
    board: Board
    protector: CellLimits
    diagnostics: Diagnostics
    limits: Limits
    machine: MachineConfig
    balancing: Balancing
    charging: Charging

    def __post_init__(self) -> None:
        protector.check(self.pack, self.diagnostics.rows, self.protector)
        plating_of(self.charging.anode_margin_volt)  # its table takes longer than a step may


def control_of(
    pack: Pack,
    board: Board,
    protector: CellLimits | None = None,
    rows: tuple[FaultRow, ...] | None = None,
) -> Control:
    """Control of a pack; without `protector` its limits are those of the cell's maximum tier.

    Raises:
        UsageError: a tier or the fault table reaches beyond the protector's limits.
    """
    return Control(
        pack,
        board,
        pack.cell.limits.maximum if protector is None else protector,
        diagnostics_of(pack, board, rows),
        limits_of(pack),
        machine_of(pack, board),
        balancing_of(pack, board),
        charging_of(pack),
    )


@dataclass(frozen=True, slots=True, eq=False)
class ControlState:
    """Everything that the next cycle depends on."""

    diagnostics: DiagnosticsState
    balanced: Balanced
    machine: MachineState = field(default_factory=machine.start)
    limited: Limited = field(default_factory=Limited)
    charged: Charged = field(default_factory=Charged)
    since_second: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, eq=False)
class Believed:
    """What estimators say of the cells; None says that nobody works it out."""

    charge: Charge | None = None
    condition: Condition | None = None
    capability: Capability | None = None


NOTHING: Final = Believed()


def begin(
    control: Control,
    sensor_count: int,
    charged: Charged = IDLE,
    latched: tuple[str, ...] = (),
    balanced: Balanced | None = None,
) -> ControlState:
    """The control before its first cycle.

    `charged` is a charge that a power cut interrupted, `balanced` what cells owed each other then,
    `latched` what was there then (`Decision.latched`): switching off and on is no reset.
    """
    return ControlState(
        diagnose.begin(control.diagnostics, sensor_count),
        Balanced.begin(control.pack.series_count) if balanced is None else balanced,
        machine.start(latched),
        charged=charged,
    )


def step(
    control: Control,
    state: ControlState,
    reading: Reading,
    believed: Believed = NOTHING,
    terms: Terms = ASKED_NOTHING,
) -> tuple[ControlState, Decision]:
    """The command for the next moment, and why."""
    heard = listen(terms.ordered, reading)
    judged, diagnosis = _diagnose(control, state, heard, believed, terms)
    acted_on = _without_standby(diagnosis)
    known = Known(
        believed.charge,
        believed.condition,
        believed.capability,
        acted_on,
        ceilings_of(terms, control.pack, believed.charge),
    )
    limited, allowance = limits.step(control.limits, state.limited, heard, known)
    if terms.permission is not None:
        allowance = authentic.tighten(allowance, terms.permission)
    moved, ruling = machine.step(control.machine, state.machine, situation_of(heard, acted_on))
    balanced, levelling = balance.step(
        control.balancing,
        state.balanced,
        heard,
        believed.charge,
        believed.condition,
        allowed=ruling.may_balance,
    )
    wish = _wish(moved, heard, terms)
    charged, asked = state.charged, Asked(state.charged.phase, 0.0, 0.0)
    if wish is not None:
        charged, asked = charging.step(
            control.charging, charged, heard, known, allowance, wish=wish
        )
    command = replace(
        _command(control, ruling, allowance, asked),
        balance=levelling.balance,
        cooling_fraction=max(allowance.cooling_fraction, cooling_of(terms, heard)),
    )
    told, since = _tell(diagnosis, moved.held, state.since_second, reading.clock_second)
    decision = Decision(
        reading.clock_second,
        moved.mode,
        command,
        told,
        allowance,
        ruling.charging,
        ruling.waits_for,
        ruling.moves,
        levelling,
        asked,
    )
    return ControlState(judged, balanced, moved, limited, charged, since), decision


def _wish(moved: MachineState, heard: Reading, terms: Terms) -> Wish | None:
    """What is wanted of the charger; None where the charge waits as it is."""
    serves = moved.mode is Mode.CONNECTED and moved.wish is Request.CHARGE
    if not serves and heard.inputs.request in _KEEPS_CHARGE:
        return None
    return Wish(serves, terms.ready_unix_second)


def _diagnose(
    control: Control, state: ControlState, heard: Reading, believed: Believed, terms: Terms
) -> tuple[DiagnosticsState, Diagnosis]:
    """What the fault table holds against the pack, and who the pack turns out to be."""
    judged, diagnosis = diagnose.step(
        control.diagnostics,
        state.diagnostics,
        heard,
        state.machine.driven,
        believed.charge,
        precharge_failed="precharge_failed" in state.machine.held,
    )
    foreign = tuple(
        replace(trouble, since_second=state.since_second.get(trouble.name, trouble.since_second))
        for trouble in troubles_of(terms, heard.clock_second)
    )
    return judged, _with(diagnosis, foreign)


def _without_standby(diagnosis: Diagnosis) -> Diagnosis:
    """What is left to forbid or to open for, where the machine leads to standby by itself."""
    kept = tuple(one for one in diagnosis.troubles if one.reaction is not Reaction.STANDBY)
    return replace(diagnosis, troubles=kept) if len(kept) < len(diagnosis.troubles) else diagnosis


def _tell(
    diagnosis: Diagnosis, held: tuple[str, ...], before: Mapping[str, float], clock_second: float
) -> tuple[Diagnosis, Mapping[str, float]]:
    """The diagnosis with what the machine holds beside it, and since when each trouble is there."""
    since = {
        trouble.name: trouble.since_second
        for trouble in diagnosis.troubles
        if trouble.name.startswith(FOREIGN)
    }
    own = []
    for name in (f"{OWN}{finding}" for finding in held):
        since[name] = before.get(name, clock_second)
        own.append(
            Trouble(
                name,
                Reaction.OPEN,
                since[name],
                value=1.0,
                limit=0.0,
                latched=True,
                opens_second=since[name],
            )
        )
    return _with(diagnosis, tuple(own)), MappingProxyType(since)


def _with(diagnosis: Diagnosis, more: tuple[Trouble, ...]) -> Diagnosis:
    if not more:
        return diagnosis
    first = diagnosis.first
    return Diagnosis((*diagnosis.troubles, *more), more[0] if first is None else first)


def _command(control: Control, ruling: Ruling, allowance: Allowance, asked: Asked) -> Command:
    """The least of what limits, machine, charging and protector leave."""
    part, edge, pack = ruling.permit_fraction, control.protector, control.pack
    parallel = pack.parallel_count
    charge = clamp(part * allowance.charge_ampere, parallel * edge.high_charge_current_ampere)
    discharge = clamp(
        part * allowance.discharge_ampere, parallel * edge.high_discharge_current_ampere
    )
    command = Command(ruling.contactors, charge, discharge)
    if not ruling.charging:
        return command
    ampere = clamp(asked.current_ampere, charge)
    volt = clamp(asked.voltage_volt, pack.series_count * edge.high_voltage_volt)
    return replace(
        command,
        charge_voltage_volt=volt if ampere > 0.0 else 0.0,
        charge_current_ampere=ampere,
    )
