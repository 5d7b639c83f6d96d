"""What a control cycle decides, with its reasons."""

from dataclasses import dataclass, field
from typing import Final

from cellwarden.control.balance import Levelling
from cellwarden.control.charge import Asked
from cellwarden.control.machine_state import Move
from cellwarden.control.mode import Mode
from cellwarden.domain import Allowance, Command, Diagnosis, Reaction

__all__ = ["OWN", "Decision"]

OWN: Final = "machine."  # begins the name of a trouble that the machine itself holds


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The command of a cycle, and all that whoever looks at it wants to know of it.

    `allowance` is what the limits alone leave, `command` what is left of it in this mode.
    `waits_for` says why the pack does not do what it is asked for, empty where it does.
    """

    clock_second: float
    mode: Mode
    command: Command
    diagnosis: Diagnosis
    allowance: Allowance
    charging: bool = False
    waits_for: str = ""
    moves: tuple[Move, ...] = field(default=())
    levelling: Levelling | None = None
    asked: Asked | None = None

    @property
    def latched(self) -> tuple[str, ...]:
        """What opens contactors, or keeps them open, until a reset: to be kept over a power cut.

        A fault that the start brought back, and that is found anew, stands there once.
        """
        names = (
            trouble.name.removeprefix(OWN)
            for trouble in self.diagnosis.troubles
            if trouble.latched and trouble.reaction >= Reaction.FORBID_CLOSE
        )
        return tuple(dict.fromkeys(names))

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is so, in words: changes of mode, troubles, and what holds the currents back."""
        moved = (f"{m.source} -> {m.target}: {m.reason}" for m in self.moves)
        waits = (f"waits for {self.waits_for}",) if self.waits_for else ()
        troubles = (
            f"{t.name}: {t.value:.4g} against {t.limit:.4g}" for t in self.diagnosis.troubles
        )
        held = (
            f"{way} held by {rules[0].name}"
            for way, rules in (
                ("charge", self.allowance.charge_by),
                ("discharge", self.allowance.discharge_by),
            )
            if rules
        )
        return (*moved, *waits, *troubles, *held)
