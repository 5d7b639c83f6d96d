"""The state machine of a pack: one table, one pure step.

`step(config, state, situation) -> state, Ruling` finds the event of the cycle, looks it up in
`mode.TABLE`, and says which contactors are driven and how much of the allowed current may flow.

Rules
- `ERROR` is left when an operator has asked for a reset, then for standby, and nothing that opens
  contactors was there in between. The way out begins with the self-test.
- Switching off and on is no reset: what was latched leads to `ERROR` after the start, if whoever
  keeps the state hands it over.
- A request is good for `request_second`. A pack whose master is silent for longer lets its
  current fall and opens to standby, and stays there until it is asked again.
- A request for a reset changes no wish: a pack that is connected stays connected.
- Cells are levelled while the pack is charged, and when it is asked to balance.
- From the first moment of a fault that opens contactors no current is allowed; they open when its
  delay has run out.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cellwarden.control import event as events
from cellwarden.control import opening, precharge
from cellwarden.control.machine_state import NEVER, MachineConfig, MachineState, Move, Ruling
from cellwarden.control.mode import TABLE, Event, Mode, Target
from cellwarden.control.opening import OpeningStage
from cellwarden.control.precharge import PrechargeStage
from cellwarden.control.situation import Situation
from cellwarden.domain import CLOSED, OPEN, Contactors, Request

__all__ = ["start", "step"]

_ALL: Final = (True, True, True)
_NONE_AWRY: Final = (NEVER, NEVER, NEVER)
_FORGIVING: Final = frozenset({Mode.CONNECTED, Mode.SELF_TEST})  # failed tries are forgotten


def start(held: tuple[str, ...] = ()) -> MachineState:
    """The machine before its first cycle; `held` is what was latched when the power went."""
    return MachineState(held=held)


def step(
    config: MachineConfig,
    state: MachineState,
    now: Situation,
    table: Mapping[tuple[Mode, Event], Target] = TABLE,
) -> tuple[MachineState, Ruling]:
    """One cycle: the event that is there, what the table says of it, and what follows."""
    state = _take_in(state, now)
    going, finished = _proceed(config, state, now)
    seen, event, reason = events.find(config, state, going, now, finished=finished)
    after = _move(config, seen, now, event, table[state.mode, event])
    driven = _driven(after)
    if driven != after.driven:
        after = replace(after, driven=driven)
    moves: tuple[Move, ...] = ()
    if after.mode is not state.mode:
        moves = (Move(now.clock_second, state.mode, event, after.mode, reason),)
    return after, _rule(config, after, now, moves)


def _take_in(state: MachineState, now: Situation) -> MachineState:
    """Note what is asked and since when each switch does not follow what it is driven to."""
    clock = now.clock_second
    if state.since_second == NEVER:  # started just now
        state = replace(state, since_second=clock, stage_since_second=clock, heard_second=clock)
    heard, wish = state.heard_second, state.wish
    if now.request is not None:
        heard = max(heard, clock - now.request_age_second)
        wish = wish if now.request is Request.RESET else now.request
    awry = _awry(state, now)
    # A reset counts in `ERROR` alone, and only with nothing fatal; a wish from before it does not
    # lead out: standby has to be asked for after it.
    if now.request is Request.RESET and state.mode is Mode.ERROR and not now.fatal:
        return replace(
            state,
            heard_second=heard,
            wish=now.request,
            reset_seen=True,
            held=(),
            awry_second=awry,
        )
    if (heard, wish, awry) == (state.heard_second, state.wish, state.awry_second):
        return state
    return replace(state, heard_second=heard, wish=wish, awry_second=awry)


def _awry(state: MachineState, now: Situation) -> tuple[float, float, float]:
    follows = now.follows(state.driven)
    if follows == _ALL:
        return _NONE_AWRY
    plus, minus, middle = (
        NEVER if good else min(since, now.clock_second)
        for good, since in zip(follows, state.awry_second, strict=True)
    )
    return plus, minus, middle


def _proceed(
    config: MachineConfig, state: MachineState, now: Situation
) -> tuple[MachineState, bool]:
    """The sequence of closing or of opening one cycle on, and whether it is at its end."""
    if state.mode is Mode.PRECHARGE:
        return _close(config, state, now)
    if state.mode is Mode.OPENING:
        return _open(config, state, now)
    return state, False


def _close(config: MachineConfig, state: MachineState, now: Situation) -> tuple[MachineState, bool]:
    closing, count = precharge.advance(config.precharge, state.closing, state.settled_count, now)
    if closing is None:
        return state, True
    if closing is not state.closing:
        clock = now.clock_second
        return replace(state, closing=closing, settled_count=0, stage_since_second=clock), False
    return state if count == state.settled_count else replace(state, settled_count=count), False


def _open(config: MachineConfig, state: MachineState, now: Situation) -> tuple[MachineState, bool]:
    parting = opening.advance(
        config.opening,
        state.parting,
        now,
        stage_second=now.clock_second - state.stage_since_second,
        gently=state.opens_gently,
    )
    if parting is None or parting is state.parting:
        return state, parting is None
    return replace(state, parting=parting, stage_since_second=now.clock_second), False


def _move(
    config: MachineConfig, state: MachineState, now: Situation, event: Event, target: Target
) -> MachineState:
    """Enter the mode that the table names."""
    clock = now.clock_second
    mode = state.bound_for if target.mode is None else target.mode
    if mode is state.mode:
        return state if target.bound_for is None else replace(state, bound_for=target.bound_for)
    entered = replace(
        state,
        mode=mode,
        since_second=clock,
        stage_since_second=clock,
        closing=PrechargeStage.MINUS,
        settled_count=0,
        parting=OpeningStage.EASE,
        reset_seen=False,
    )
    if mode is Mode.OPENING:
        bound_for = target.bound_for or state.bound_for  # the table names it always
        return _leave(config, replace(entered, bound_for=bound_for), now, event)
    if mode is Mode.PRECHARGE:
        return replace(entered, not_before_second=clock + config.precharge.again_second)
    if mode in _FORGIVING:
        return replace(entered, failed_count=0)
    return entered


def _leave(
    config: MachineConfig, state: MachineState, now: Situation, event: Event
) -> MachineState:
    """Begin to open; where the current is low already, plus opens in this very cycle."""
    if event in {Event.FAILED, Event.SPENT}:
        again = max(state.not_before_second, now.clock_second + config.precharge.fail_wait_second)
        state = replace(state, failed_count=state.failed_count + 1, not_before_second=again)
    if not state.driven.any_closed:
        return replace(state, parting=OpeningStage.APART)
    first = opening.advance(
        config.opening, OpeningStage.EASE, now, stage_second=0.0, gently=state.opens_gently
    )
    return replace(state, parting=first or OpeningStage.EASE)


def _driven(state: MachineState) -> Contactors:
    """Which switches are driven in the mode and at its stage."""
    if state.mode is Mode.CONNECTED:
        return CLOSED
    if state.mode is Mode.PRECHARGE:
        return precharge.DRIVEN[state.closing]
    if state.mode is Mode.OPENING:
        return opening.driven(state.parting, state.driven)
    return OPEN


def _permit(config: MachineConfig, state: MachineState, now: Situation) -> float:
    """How much of the allowed current may flow. [1]"""
    if now.fatal or not state.driven.closed:
        return 0.0
    if state.mode is Mode.CONNECTED:
        return 1.0
    if state.mode is not Mode.OPENING:
        return 0.0
    elapsed = now.clock_second - state.since_second
    return opening.permit(config.opening, elapsed, gently=state.opens_gently)


def _rule(
    config: MachineConfig, state: MachineState, now: Situation, moves: tuple[Move, ...]
) -> Ruling:
    charging = (
        state.mode is Mode.CONNECTED and state.wish is Request.CHARGE and not now.charge_forbidden
    )
    return Ruling(
        contactors=state.driven,
        permit_fraction=_permit(config, state, now),
        may_balance=(charging or state.mode is Mode.BALANCING) and not now.fatal,
        charging=charging,
        waits_for=events.waits_for(config, state, now),
        moves=moves,
    )
