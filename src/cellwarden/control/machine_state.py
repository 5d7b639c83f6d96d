"""What the state machine is set to, what it remembers, and what it says."""

from dataclasses import dataclass, field
from typing import Final

from cellwarden.control.mode import Event, Mode
from cellwarden.control.opening import Opening, OpeningStage, opening_of
from cellwarden.control.precharge import Precharge, PrechargeStage, precharge_of
from cellwarden.domain import OPEN, Board, Contactors, Pack, Request
from cellwarden.errors import UsageError

__all__ = ["NEVER", "MachineConfig", "MachineState", "Move", "Ruling", "machine_of"]

NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class MachineConfig:
    """Times and criteria of the machine."""

    request_second: float = 1.0
    init_second: float = 5.0
    self_test_second: float = 5.0
    feedback_second: float = 0.3
    precharge: Precharge = field(default_factory=Precharge)
    opening: Opening = field(default_factory=Opening)

    def __post_init__(self) -> None:
        if not min(self.request_second, self.init_second, self.self_test_second) > 0.0:
            raise UsageError("a machine waits for some time", hint="Give times above zero.")
        if not self.feedback_second >= 0.0:
            raise UsageError("a switch needs some time", hint="Give feedback_second of 0 or more.")


def machine_of(pack: Pack, board: Board) -> MachineConfig:
    """Times and criteria that fit a pack and its board."""
    return MachineConfig(
        precharge=precharge_of(board, pack.nominal_capacity_ah), opening=opening_of(board)
    )


@dataclass(frozen=True, slots=True)
class MachineState:
    """Everything that the next cycle depends on; times are on the controller's clock.

    `driven` is what the last cycle asked of the switches, `awry_second` since when each of
    `SWITCHES` does not follow it (`NEVER` where it does), `held` what the machine itself has found
    wrong and keeps until a reset.
    """

    mode: Mode = Mode.INIT
    since_second: float = NEVER  # set by the first cycle
    closing: PrechargeStage = PrechargeStage.MINUS
    parting: OpeningStage = OpeningStage.EASE
    stage_since_second: float = NEVER
    settled_count: int = 0
    bound_for: Mode = Mode.STANDBY
    wish: Request = Request.STANDBY
    heard_second: float = NEVER
    driven: Contactors = OPEN
    awry_second: tuple[float, float, float] = (NEVER, NEVER, NEVER)
    failed_count: int = 0
    not_before_second: float = -NEVER
    reset_seen: bool = False
    held: tuple[str, ...] = ()

    @property
    def opens_gently(self) -> bool:
        """Whether the current may fall in a ramp: bound for standby, with both switches closed."""
        return self.bound_for is Mode.STANDBY and self.driven.closed


@dataclass(frozen=True, slots=True)
class Move:
    """One change of mode, with the event that made it and what it was seen by."""

    clock_second: float
    source: Mode
    event: Event
    target: Mode
    reason: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the machine allows for the next moment.

    `permit_fraction` is the part of the allowed current that may flow. `waits_for` says in a few
    words why the pack does not do what it was asked for, empty where it does.
    """

    contactors: Contactors
    permit_fraction: float
    may_balance: bool
    charging: bool
    waits_for: str = ""
    moves: tuple[Move, ...] = ()
