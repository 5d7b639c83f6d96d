from math import inf

import numpy as np

from cellwarden.control.decision import Decision
from cellwarden.control.machine_state import Move
from cellwarden.control.mode import Event, Mode
from cellwarden.domain import (
    CLOSED,
    Allowance,
    Command,
    Diagnosis,
    Reaction,
    Regime,
    Restraint,
    Trouble,
)
from cellwarden.edge.standing import Standing
from cellwarden.wire.status import hear_status, tell_status

TROUBLE = Trouble("spread", Reaction.WARN, 95.0, 0.041, float("nan"), 7)


def decision(*moves: Move) -> Decision:
    held = (Restraint("hot", 10.0, 51.0), Restraint("hot", 10.0, 52.0), Restraint("full", 9.0, 1.0))
    return Decision(
        100.0,
        Mode.CONNECTED,
        Command(CLOSED, 9.0, inf, (True, False, True), 0.5),
        Diagnosis((TROUBLE,), TROUBLE),
        Allowance(9.0, inf, 900.0, inf, charge_by=held),
        moves=moves,
    )


def test_nothing_is_told_before_a_cycle() -> None:
    assert Standing().take() is None


def test_the_newest_decision_is_told_in_the_worlds_time_and_moves_once() -> None:
    standing = Standing()
    moved = Move(99.0, Mode.PRECHARGE, next(iter(Event)), Mode.CONNECTED, "link at pack voltage")
    standing.note(decision(moved), 1e9)
    standing.note(decision(), 1e9 + 0.1, ("genuine", "P-1"), Regime(0.1, 0.8))
    status = standing.take()
    assert status is not None
    assert (status.mode, status.plus_closed, status.balancing_count) == ("connected", True, 2)
    assert (status.charge_ampere, status.discharge_ampere) == (9.0, None)
    assert status.charge_by == ("hot", "full")
    assert (status.low_soc_fraction, status.high_soc_fraction) == (0.1, 0.8)
    assert status.first_trouble == "spread"
    (trouble,) = status.troubles
    np.testing.assert_allclose(trouble.since_unix_time_second, 1e9 + 0.1 - 5.0)
    assert trouble.limit is None
    assert [(one.source, one.target) for one in status.moves] == [("precharge", "connected")]
    assert hear_status(tell_status(status)) == status
    again = standing.take()
    assert again is not None
    assert again.moves == ()
