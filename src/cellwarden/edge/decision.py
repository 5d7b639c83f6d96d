"""The control of a pack as the loop calls it: the pure step, and its state from cycle to cycle.

What the device itself adds to a reading is the state of its memory and of its clock; what the
pack's own electronics say of theirs counts where it is worse.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import isnan, nan

from cellwarden.control import decision as decisions
from cellwarden.control import machine
from cellwarden.control.fault_table import FaultRow
from cellwarden.control.orders import Terms
from cellwarden.control.step import Believed, Control, ControlState, begin, control_of, step
from cellwarden.domain import (
    Board,
    CellLimits,
    Charge,
    Curb,
    Ordered,
    Pack,
    Permission,
    Reading,
    Regime,
    Request,
)
from cellwarden.edge.carryover import Carried, Carryover
from cellwarden.edge.control_loop import Decision
from cellwarden.edge.pack_identity import PackIdentity
from cellwarden.edge.standing import Standing

__all__ = ["PackControl"]


@dataclass(slots=True)
class PackControl:
    """Keeps what the step needs from one cycle to the next.

    `own` are the pack's own bounds below its table's; whatever is ordered comes on top of them,
    and so does the regime that the device has adapted to.
    """

    pack: Pack
    board: Board = field(default_factory=Board)
    protector: CellLimits | None = None
    own: Curb = field(default_factory=Curb)
    regime: Callable[[], Regime | None] = lambda: None
    identity: PackIdentity | None = None
    carryover: Carryover | None = None
    clock_error: Callable[[], float] = lambda: nan
    show: Callable[[decisions.Decision, Reading, Charge | None], None] = lambda *_: None
    standing: Standing = field(init=False, default_factory=Standing)
    _control: Control = field(init=False)
    _state: ControlState | None = field(init=False, default=None)
    _closed: bool = field(init=False, default=False)
    _latched: tuple[str, ...] = field(init=False, default=())
    _last_second: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._control = control_of(self.pack, self.board, self.protector)

    @property
    def rows(self) -> tuple[FaultRow, ...]:
        """The fault table in force."""
        return self._control.diagnostics.rows

    def __call__(self, reading: Reading, soc: Charge | None, ordered: Ordered) -> Decision:
        """The decision of one cycle."""
        reading = self._complete(reading)
        state = self._state or self._begin(reading)
        bounded = replace(ordered, curb=self.own.both(ordered.curb))
        regime = self.regime()
        terms = Terms(bounded, regime, self._permission(reading))
        self._state, told = step(self._control, state, reading, Believed(soc), terms)
        self._hand_over(self._state, told)
        known = ("", "") if self.identity is None else self.identity.known
        self._closed = told.command.contactors.closed
        self._latched = told.latched
        self.standing.note(told, reading.frame.unix_time_second, known, regime)
        self.show(told, reading, soc)
        return Decision(
            told.command,
            told.diagnosis.troubles,
            changed=bool(told.moves),
            state=str(told.mode),
        )

    def _begin(self, reading: Reading) -> ControlState:
        """The control before its first cycle, with what the last run left."""
        left = Carried() if self.carryover is None else self.carryover.found
        sensor_count = len(reading.frame.cell_temperature_celsius)
        return begin(self._control, sensor_count, left.charged, left.latched, left.balanced)

    def _hand_over(self, state: ControlState, told: decisions.Decision) -> None:
        if self.carryover is not None:
            self.carryover.offer(Carried(told.latched, state.charged, state.balanced))

    def _complete(self, reading: Reading) -> Reading:
        """The reading with what the device knows of its own memory and clock."""
        inputs, own = reading.inputs, self.clock_error()
        intact, error = inputs.memory_intact, inputs.clock_error_second
        if self.carryover is not None:
            if inputs.request is Request.RESET:
                self.carryover.forgive()
            intact = self.carryover.intact and intact is not False
        if isnan(error) or abs(own) > abs(error):
            error = own
        whole = replace(inputs, memory_intact=intact, clock_error_second=error)
        return replace(reading, inputs=whole)

    def opened(self) -> None:
        """A pack that was closed begins anew with the self-test; what is latched stays so."""
        state = self._state
        if state is not None and state.machine.driven.any_closed:
            self._state = replace(state, machine=machine.start(self._latched))
            self._closed = False

    def _permission(self, reading: Reading) -> Permission | None:
        """What the pack may do that has or has not shown who it is."""
        now = reading.clock_second
        before = now if self._last_second is None else self._last_second
        self._last_second = now
        if self.identity is None:
            return None
        return self.identity.permission(max(now - before, 0.0), closed=self._closed)
