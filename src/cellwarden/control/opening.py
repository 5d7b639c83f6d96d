"""Taking the pack off its link: current down first, then plus, then minus, then a look.

Rules
- On the way to standby the currents that are allowed fall in a ramp, on the way to an error at
  once. Contactors open when the current is below what they can break.
- They open after `ease_second` even if it is not: a load that takes more than the fuse lets
  through has blown it by then, and one that takes less must not keep a faulty pack connected. A
  current that no sensor reads counts as too high.
- Plus opens before minus, so that the switch which stays closed is known by its name.
- A welded switch is told by its auxiliary contact, or by a link that stays as high as the pack.
  Opening ends after a stated time whatever it finds, and what it finds leads to `ERROR`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from cellwarden.control.situation import Situation
from cellwarden.domain import OPEN, Board, Contactors
from cellwarden.errors import UsageError

__all__ = [
    "Opening",
    "OpeningStage",
    "advance",
    "driven",
    "fallen",
    "is_stuck",
    "opening_of",
    "permit",
]

_MINUS: Final = Contactors(plus_closed=False, minus_closed=True)


class OpeningStage(StrEnum):
    """The steps of opening, in order."""

    EASE = "ease"  # switches as they were, current on its way down
    PART = "part"  # plus and precharge open
    APART = "apart"  # all open, looked at


@dataclass(frozen=True, slots=True)
class Opening:
    """When contactors may open, and how long their opening may take."""

    break_ampere: float = 20.0
    ramp_second: float = 2.0
    ease_second: float = 3.0
    part_second: float = 0.5
    fall_second: float = 5.0
    fall_fraction: float = 0.1

    def __post_init__(self) -> None:
        if not (self.break_ampere > 0.0 and 0.0 < self.fall_fraction < 1.0):
            raise UsageError(
                "contactors break some current and an open link falls by some part",
                hint="Give break_ampere above 0 and fall_fraction between 0 and 1.",
            )


def opening_of(board: Board) -> Opening:
    """Times for a board; contactors open below nine tenths of what they can break."""
    return Opening(break_ampere=0.9 * board.contactor_break_ampere)


def driven(stage: OpeningStage, before: Contactors) -> Contactors:
    """Which switches are driven in a stage; `before` says how it was when opening began."""
    if stage is OpeningStage.EASE:
        return before
    return _MINUS if stage is OpeningStage.PART else OPEN


def permit(settings: Opening, elapsed_second: float, *, gently: bool) -> float:
    """How much of the allowed current is left so long after opening began. [1]"""
    if not gently or settings.ramp_second <= 0.0:
        return 0.0
    return min(max(1.0 - elapsed_second / settings.ramp_second, 0.0), 1.0)


def fallen(settings: Opening, now: Situation) -> bool:
    """Whether the link has left the pack's voltage; one that is not measured is believed."""
    link, pack = now.link_voltage_volt, now.pack_voltage_volt
    if not np.isfinite(link):
        return True
    # Without the pack's voltage a link is taken for open only when it is harmless.
    return link <= (1.0 - settings.fall_fraction) * pack if np.isfinite(pack) else link < 1.0


def is_stuck(settings: Opening, now: Situation, stage: OpeningStage, stage_second: float) -> bool:
    """Whether the link is still as high as the pack though it should be alone for long."""
    late = stage is OpeningStage.APART and stage_second >= settings.fall_second
    return late and not fallen(settings, now)


def advance(
    settings: Opening,
    stage: OpeningStage,
    now: Situation,
    *,
    stage_second: float,
    gently: bool,
) -> OpeningStage | None:
    """The stage that follows this cycle; None when opening is over."""
    if stage is OpeningStage.EASE:
        ramp = settings.ramp_second if gently else 0.0
        calm = abs(now.current_ampere) <= settings.break_ampere  # false where it is not read
        ready = stage_second >= ramp and calm
        # A clock that ran back must not keep a pack connected.
        over = not 0.0 <= stage_second < ramp + settings.ease_second
        return OpeningStage.PART if ready or over else stage
    if stage is OpeningStage.PART:
        parted = all(now.follows(_MINUS)) or not 0.0 <= stage_second < settings.part_second
        return OpeningStage.APART if parted else stage
    looked = all(now.follows(OPEN)) and fallen(settings, now)
    return None if looked or stage_second >= settings.fall_second else stage
