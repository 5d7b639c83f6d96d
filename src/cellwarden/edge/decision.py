"""The control of a pack as the loop calls it."""

from dataclasses import dataclass, field

from cellwarden.control import machine
from cellwarden.control.machine_state import MachineConfig, MachineState, machine_of
from cellwarden.control.situation import situation_of
from cellwarden.domain import Board, Charge, Command, Diagnosis, Pack, Reading, Room
from cellwarden.edge.control_loop import Decision

__all__ = ["PackControl"]


@dataclass(slots=True)
class PackControl:
    """Keeps what the pure step needs from one cycle to the next."""

    pack: Pack
    room: Room
    board: Board = field(default_factory=Board)
    _config: MachineConfig = field(init=False)
    _state: MachineState = field(init=False, default_factory=machine.start)

    def __post_init__(self) -> None:
        self._config = machine_of(self.pack, self.board)

    def __call__(self, reading: Reading, soc: Charge | None) -> Decision:  # noqa: ARG002  the limits will
        """The decision of one cycle."""
        before = self._state.mode
        self._state, ruling = machine.step(
            self._config, self._state, situation_of(reading, Diagnosis())
        )
        command = Command(
            ruling.contactors,
            ruling.permit_fraction * self.room.high_charge_current_ampere,
            ruling.permit_fraction * self.room.high_discharge_current_ampere,
        )
        changed = self._state.mode is not before
        return Decision(command, changed=changed, state=str(self._state.mode))
