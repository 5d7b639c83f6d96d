"""How the pack stands, from the cycles of the control to the notes of the next batch.

The loop notes each decision, another thread takes the newest with all changes of mode since; more
of those than `_MOVES` are too many to be looked at, and the oldest go.
"""

from collections import deque
from typing import Final

import numpy as np

from cellwarden.control.decision import Decision
from cellwarden.domain import Moved, PackStatus, Restraint, ShownTrouble, Trouble
from cellwarden.domain.regime import Regime

__all__ = ["Standing"]

_MOVES: Final = 64
_RULES: Final = 4
_SECOND_PER_HOUR: Final = 3600.0


class Standing:
    """The newest decision, and what moved since it was told."""

    def __init__(self) -> None:
        self._newest: tuple[Decision, float, tuple[str, str], Regime | None] | None = None
        self._moves: deque[Moved] = deque(maxlen=_MOVES)

    def note(
        self,
        decision: Decision,
        unix_time_second: float,
        identity: tuple[str, str] = ("", ""),
        regime: Regime | None = None,
    ) -> None:
        """Keep one cycle's decision; cheap, because it comes ten times a second.

        `identity` is what is known of the pack, in a word, and its name.
        """
        self._newest = (decision, unix_time_second, identity, regime)
        for move in decision.moves:
            self._moves.append(
                Moved(unix_time_second, str(move.source), str(move.target), move.reason)
            )

    def take(self) -> PackStatus | None:
        """How it stands now, with the moves that were not taken before; None before a cycle."""
        if self._newest is None:
            return None
        moves = []
        while self._moves:
            moves.append(self._moves.popleft())
        return _status(*self._newest, tuple(moves))


def _status(
    decision: Decision,
    at: float,
    identity: tuple[str, str],
    regime: Regime | None,
    moves: tuple[Moved, ...],
) -> PackStatus:
    command, levelling, first = decision.command, decision.levelling, decision.diagnosis.first
    ahead = at - decision.clock_second  # from the controller's clock to the world's
    hours = float("nan") if levelling is None else levelling.hours
    return PackStatus(
        unix_time_second=at,
        mode=str(decision.mode),
        plus_closed=command.contactors.plus_closed,
        minus_closed=command.contactors.minus_closed,
        precharge_closed=command.contactors.precharge_closed,
        charge_ampere=_number(command.high_charge_current_ampere),
        discharge_ampere=_number(command.high_discharge_current_ampere),
        charge_by=_rules(decision.allowance.charge_by),
        discharge_by=_rules(decision.allowance.discharge_by),
        waits_for=decision.waits_for,
        cooling_fraction=_number(command.cooling_fraction),
        balancing_count=sum(command.balance),
        balanced_in_second=_number(hours * _SECOND_PER_HOUR),
        authenticity=identity[0],
        pack=identity[1],
        low_soc_fraction=None if regime is None else regime.low_soc_fraction,
        high_soc_fraction=None if regime is None else regime.high_soc_fraction,
        first_trouble="" if first is None else first.name,
        troubles=tuple(_shown(trouble, ahead) for trouble in decision.diagnosis.troubles),
        moves=moves,
    )


def _rules(restraints: tuple[Restraint, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(restraint.name for restraint in restraints))[:_RULES]


def _shown(trouble: Trouble, ahead: float) -> ShownTrouble:
    return ShownTrouble(
        trouble.name,
        trouble.reaction.name.lower(),
        trouble.since_second + ahead,
        _number(trouble.value),
        _number(trouble.limit),
        trouble.item,
        trouble.latched,
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
