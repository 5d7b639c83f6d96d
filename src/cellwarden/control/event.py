"""Which event a cycle brings: the first of the list in `mode.Event` that is there.

Rules
- A danger or a switch that does not follow is an event until the pack is on its way to `ERROR`.
- What the machine itself finds wrong is held by name as it is found, whatever the event is.
- A switch that opens by itself while the pack opens anyway is what was wanted.
"""

from dataclasses import replace
from typing import Final

from cellwarden.control import opening
from cellwarden.control.machine_state import NEVER, MachineConfig, MachineState
from cellwarden.control.mode import Event, Mode
from cellwarden.control.precharge import PrechargeStage
from cellwarden.control.situation import SWITCHES, Situation
from cellwarden.domain import Request

__all__ = ["find", "waits_for"]

_ASKED: Final = {
    Request.STANDBY: Event.ASK_STANDBY,
    Request.CONNECT: Event.ASK_CONNECT,
    Request.CHARGE: Event.ASK_CHARGE,
    Request.BALANCE: Event.ASK_BALANCE,
    Request.SERVICE: Event.ASK_SERVICE,
    Request.RESET: Event.NONE,
}
_NONE_AWRY: Final = (NEVER, NEVER, NEVER)
_CLOSING: Final = frozenset({Request.CONNECT, Request.CHARGE})
_SERVING: Final = frozenset({Mode.PRECHARGE, Mode.CONNECTED})


def find(
    config: MachineConfig,
    before: MachineState,
    going: MachineState,
    now: Situation,
    *,
    finished: bool,
) -> tuple[MachineState, Event, str]:
    """The event, and by what it was seen.

    `going` is the state with its sequence of closing or opening one cycle on, and `finished` says
    that this came to its end; what has taken too long is judged by the state `before`.
    """
    stuck, late = _astray(config, before, now)
    state = _hold(going, stuck + late)
    heads_for_error = state.mode is Mode.ERROR or (
        state.mode is Mode.OPENING and state.bound_for is Mode.ERROR
    )
    if not heads_for_error:
        if now.danger:
            return state, Event.DANGER, "the delay of a fault has run out"
        if stuck:
            return state, Event.WELDED, _words(stuck)
        if late:
            return state, Event.LATE, _words(late)
    if state.mode is Mode.ERROR:
        return _released(state, now, stuck)
    return _failed(config, before, state, now) or _reached(config, state, now, finished=finished)


def waits_for(config: MachineConfig, state: MachineState, now: Situation) -> str:
    """Why the pack does not do what it is asked for, in a few words."""
    if state.mode is Mode.ERROR:
        if now.fatal:
            return "the fault to go away"
        return "a request for standby" if state.reset_seen else "an operator's reset"
    if state.mode is Mode.SELF_TEST:
        return _words(_failing(config, now))
    return _forbidden(state, now) if state.mode is Mode.STANDBY else ""


def _astray(
    config: MachineConfig, state: MachineState, now: Situation
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Switches that stay closed, and switches that stay open, each for too long."""
    driven = state.driven
    stuck: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    if state.awry_second != _NONE_AWRY:
        closed = (driven.plus_closed, driven.minus_closed, driven.precharge_closed)
        long = [
            name
            for name, since in zip(SWITCHES, state.awry_second, strict=True)
            if since != NEVER and now.clock_second - since > config.feedback_second
        ]
        wanted = dict(zip(SWITCHES, closed, strict=True))
        stuck = tuple(f"{name}_welded" for name in long if not wanted[name])
        late = tuple(f"{name}_late" for name in long if wanted[name])
    if state.mode is Mode.OPENING:
        lasting = now.clock_second - state.stage_since_second
        if opening.is_stuck(config.opening, now, state.parting, lasting):
            stuck += ("link_welded",)
    return stuck, late if state.mode in _SERVING else ()


def _hold(state: MachineState, names: tuple[str, ...]) -> MachineState:
    fresh = tuple(name for name in names if name not in state.held)
    return replace(state, held=state.held + fresh) if fresh else state


def _words(names: tuple[str, ...]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def _released(
    state: MachineState, now: Situation, stuck: tuple[str, ...]
) -> tuple[MachineState, Event, str]:
    """Whether an error may be left."""
    if now.fatal or stuck:
        return replace(state, reset_seen=False), Event.NONE, ""
    if state.reset_seen and state.wish is Request.STANDBY:
        return state, Event.CLEARED, "reset, and asked for standby"
    return state, Event.NONE, ""


def _failed(
    config: MachineConfig, before: MachineState, state: MachineState, now: Situation
) -> tuple[MachineState, Event, str] | None:
    """A mode that did not reach what it waits for in its time."""
    waited = now.clock_second - state.since_second
    if state.mode is Mode.INIT:
        if waited > config.init_second and not now.complete:
            return _hold(state, ("init_overdue",)), Event.OVERDUE, "no complete reading"
        if now.complete and state.held:
            return state, Event.OVERDUE, f"from before the start: {_words(state.held)}"
    if state.mode is Mode.SELF_TEST and waited > config.self_test_second:
        names = tuple(f"self_test_{name}" for name in _failing(config, now))
        return (_hold(state, names), Event.OVERDUE, _words(names)) if names else None
    return _unfilled(config, before, state, now) if state.mode is Mode.PRECHARGE else None


def _unfilled(
    config: MachineConfig, before: MachineState, state: MachineState, now: Situation
) -> tuple[MachineState, Event, str] | None:
    """A stage of closing that lasts too long: the link does not come up, or contacts chatter."""
    settings = config.precharge
    lasting = now.clock_second - before.stage_since_second
    if before.closing is not state.closing or lasting <= settings.fill_second:
        return None
    reason = f"the switches do not settle at stage {state.closing}"
    if state.closing is PrechargeStage.FILL:
        gap = now.pack_voltage_volt - now.link_voltage_volt
        reason = f"link {gap:.1f} V below the pack, {now.current_ampere:.3f} A"
    if state.failed_count + 1 >= settings.try_count:
        return _hold(state, ("precharge_failed",)), Event.SPENT, reason
    return state, Event.FAILED, reason


def _failing(config: MachineConfig, now: Situation) -> tuple[str, ...]:
    """Checks of the self-test that do not hold, the link among them."""
    link = () if opening.fallen(config.opening, now) else ("link_fallen",)
    return now.failing + link


def _reached(
    config: MachineConfig, state: MachineState, now: Situation, *, finished: bool
) -> tuple[MachineState, Event, str]:
    """What was waited for, or what is asked."""
    if finished:
        return state, Event.DONE, _ended(state, now)
    if state.mode is Mode.INIT and now.complete:
        return state, Event.DONE, "first complete reading"
    if state.mode is Mode.SELF_TEST and not _failing(config, now):
        return state, Event.DONE, "self-test passed"
    silent = now.clock_second - state.heard_second
    if silent > config.request_second:
        # What was asked before is forgotten: the pack must be asked again.
        state = replace(state, wish=Request.STANDBY)
        return state, Event.LOST, f"no request for {silent:.1f} s"
    forbidden = _forbidden(state, now)
    if forbidden:
        return state, Event.FORBIDDEN, forbidden
    return state, _ASKED[state.wish], f"asked to {state.wish}"


def _ended(state: MachineState, now: Situation) -> str:
    """By what a sequence is over."""
    if state.mode is Mode.OPENING:
        told = f"link at {now.link_voltage_volt:.1f} V of {now.pack_voltage_volt:.1f} V"
        return f"{told}, {_words(state.held)}" if state.held else told
    gap = abs(now.pack_voltage_volt - now.link_voltage_volt)
    return f"link within {gap:.2f} V, {now.current_ampere:.3f} A"


def _forbidden(state: MachineState, now: Situation) -> str:
    """Why contactors may not close though it is asked for."""
    if state.wish not in _CLOSING:
        return ""
    if now.fatal:
        return "a fault that opens contactors is there"
    if now.close_forbidden:
        return "a fault forbids closing"
    if state.wish is Request.CHARGE and now.charge_forbidden:
        return "a fault forbids charging"
    left = state.not_before_second - now.clock_second
    if state.mode is Mode.STANDBY and left > 0.0:
        return f"the next precharge, in {left:.1f} s"
    return ""
