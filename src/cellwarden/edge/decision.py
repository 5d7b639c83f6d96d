"""The control of a pack as the loop calls it: the pure step, and its state from cycle to cycle."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

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
)
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
    standing: Standing = field(init=False, default_factory=Standing)
    _control: Control = field(init=False)
    _state: ControlState | None = field(init=False, default=None)
    _closed: bool = field(init=False, default=False)
    _last_second: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._control = control_of(self.pack, self.board, self.protector)

    def __call__(self, reading: Reading, soc: Charge | None, ordered: Ordered) -> Decision:
        """The decision of one cycle."""
        if self._state is None:
            self._state = begin(self._control, len(reading.frame.cell_temperature_celsius))
        bounded = replace(ordered, curb=self.own.both(ordered.curb))
        regime = self.regime()
        terms = Terms(bounded, regime, self._permission(reading))
        self._state, told = step(self._control, self._state, reading, Believed(soc), terms)
        known = ("", "") if self.identity is None else self.identity.known
        self._closed = told.command.contactors.closed
        self.standing.note(told, reading.frame.unix_time_second, known, regime)
        return Decision(
            told.command,
            told.diagnosis.troubles,
            changed=bool(told.moves),
            state=str(told.mode),
        )

    def _permission(self, reading: Reading) -> Permission | None:
        """What the pack may do that has or has not shown who it is."""
        now = reading.clock_second
        before = now if self._last_second is None else self._last_second
        self._last_second = now
        if self.identity is None:
            return None
        return self.identity.permission(max(now - before, 0.0), closed=self._closed)
