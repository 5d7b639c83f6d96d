"""The control of a pack as the loop calls it: the pure step, and its state from cycle to cycle."""

from dataclasses import dataclass, field, replace

from cellwarden.control.orders import Terms
from cellwarden.control.step import Believed, Control, ControlState, begin, control_of, step
from cellwarden.domain import (
    Board,
    CellLimits,
    Charge,
    Curb,
    Finding,
    Ordered,
    Pack,
    Reading,
    Severity,
)
from cellwarden.edge.control_loop import Decision

__all__ = ["PackControl"]


@dataclass(slots=True)
class PackControl:
    """Keeps what the step needs from one cycle to the next.

    `own` are the pack's own bounds below its table's; whatever is ordered comes on top of them.
    """

    pack: Pack
    board: Board = field(default_factory=Board)
    protector: CellLimits | None = None
    own: Curb = field(default_factory=Curb)
    _control: Control = field(init=False)
    _state: ControlState | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._control = control_of(self.pack, self.board, self.protector)

    def __call__(self, reading: Reading, soc: Charge | None, ordered: Ordered) -> Decision:
        """The decision of one cycle."""
        if self._state is None:
            self._state = begin(self._control, len(reading.frame.cell_temperature_celsius))
        bounded = replace(ordered, curb=self.own.both(ordered.curb))
        self._state, told = step(self._control, self._state, reading, Believed(soc), Terms(bounded))
        at = reading.frame.unix_time_second
        moves = tuple(
            Finding(
                kind="mode",
                severity=Severity.INFO,
                signal="contactors",
                unix_time_second=at,
                message=f"{move.source} to {move.target}: {move.reason}"[:200],
            )
            for move in told.moves
        )
        return Decision(
            told.command,
            told.diagnosis.troubles,
            moves,
            changed=bool(told.moves),
            state=str(told.mode),
        )
