"""Charging the link behind the contactors before the whole current may flow.

Rules
- Order: minus closes, then the precharge path; when the link has come up and the current through
  the resistor has gone, plus closes; then the precharge path opens. Plus is never driven before.
- "Come up" is judged by both: the gap to the pack's voltage and the current, for several cycles
  in a row, so that one noisy reading decides nothing. A reading that is missing is not come up.
- A try in which a stage takes too long has failed. The next one has to wait, so that the resistor
  cools and a load that chatters cannot make the contactors chatter; after the last try the fault
  latches.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cellwarden.control.situation import Situation
from cellwarden.domain import CLOSED, Board, Contactors
from cellwarden.errors import UsageError

__all__ = ["DRIVEN", "Precharge", "PrechargeStage", "advance", "precharge_of", "risen"]

_MINUS: Final = Contactors(plus_closed=False, minus_closed=True)
_FILL: Final = Contactors(plus_closed=False, minus_closed=True, precharge_closed=True)
_PLUS: Final = Contactors(plus_closed=True, minus_closed=True, precharge_closed=True)


class PrechargeStage(StrEnum):
    """The steps of closing, in order."""

    MINUS = "minus"
    FILL = "fill"
    PLUS = "plus"
    DROP = "drop"  # precharge opens


DRIVEN: Final = {
    PrechargeStage.MINUS: _MINUS,
    PrechargeStage.FILL: _FILL,
    PrechargeStage.PLUS: _PLUS,
    PrechargeStage.DROP: CLOSED,
}


@dataclass(frozen=True, slots=True)
class Precharge:
    """When the link has come up, how long it may take, and how often it is tried."""

    gap_volt: float = 1.0
    gap_fraction: float = 0.02
    settled_ampere: float = 0.05
    settled_count: int = 3
    fill_second: float = 2.0
    try_count: int = 3
    fail_wait_second: float = 3.0
    again_second: float = 10.0

    def __post_init__(self) -> None:
        if self.settled_count < 1 or self.try_count < 1 or not self.fill_second > 0.0:
            raise UsageError(
                "a precharge needs a time, a try and a cycle that shows it has settled",
                hint="Give settled_count and try_count of 1 or more and fill_second above 0.",
            )


def precharge_of(board: Board, nominal_capacity_ah: float) -> Precharge:
    """Criteria for a board: time for twelve time constants of its link, at least two seconds.

    Twelve leave 6e-6 of the voltage, so a load that takes nothing meets the criteria long before.
    The current sensor of a large pack does not resolve 50 mA: there 0.3 % of the hourly rate
    counts as none.
    """
    constant = board.precharge_ohm * board.link_farad
    return Precharge(
        fill_second=max(2.0, 12.0 * constant),
        settled_ampere=max(0.05, 0.003 * nominal_capacity_ah),
    )


def risen(settings: Precharge, now: Situation) -> bool:
    """Whether the link is as high as the pack, and no more current flows into it."""
    pack = now.pack_voltage_volt
    gap = abs(pack - now.link_voltage_volt)
    allowed = min(settings.gap_volt, settings.gap_fraction * pack)
    # A comparison with NaN is false: what was not read has not come up.
    return gap <= allowed and abs(now.current_ampere) <= settings.settled_ampere


def advance(
    settings: Precharge, stage: PrechargeStage, settled_count: int, now: Situation
) -> tuple[PrechargeStage | None, int]:
    """The stage that follows this cycle (None: all closed) and the cycles that looked settled."""
    if not all(now.follows(DRIVEN[stage])):
        return stage, 0
    if stage is PrechargeStage.MINUS:
        return PrechargeStage.FILL, 0
    if stage is PrechargeStage.FILL:
        count = settled_count + 1 if risen(settings, now) else 0
        done = count >= settings.settled_count
        return (PrechargeStage.PLUS, 0) if done else (stage, count)
    if stage is PrechargeStage.PLUS:
        return PrechargeStage.DROP, 0
    return None, 0
