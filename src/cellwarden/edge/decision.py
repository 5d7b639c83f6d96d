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
    Reading,
    Regime,
)
from cellwarden.edge.control_loop import Decision
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
    standing: Standing = field(init=False, default_factory=Standing)
    _control: Control = field(init=False)
    _state: ControlState | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._control = control_of(self.pack, self.board, self.protector)

    def __call__(self, reading: Reading, soc: Charge | None, ordered: Ordered) -> Decision:
        """The decision of one cycle."""
        if self._state is None:
            self._state = begin(self._control, len(reading.frame.cell_temperature_celsius))
        bounded = replace(ordered, curb=self.own.both(ordered.curb))
        regime = self.regime()
        terms = Terms(bounded, regime)
        self._state, told = step(self._control, self._state, reading, Believed(soc), terms)
        self.standing.note(told, reading.frame.unix_time_second, regime=regime)
        return Decision(
            told.command,
            told.diagnosis.troubles,
            changed=bool(told.moves),
            state=str(told.mode),
        )
