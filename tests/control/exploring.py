"""Every state that the machine can reach, under every input of a coarse grid, one second a cycle.

Times of the configuration are a few seconds, so that a time in a state takes few values. Two
states are one where the machine cannot tell them apart: an age is cut where no limit asks for
more, and fields that a mode does not read are dropped. `test_what_is_cut_off_changes_nothing`
holds that to account.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from cellwarden.control import TABLE, Event, MachineConfig, MachineState, Mode, Ruling, Situation
from cellwarden.control.machine import start, step
from cellwarden.control.machine_state import NEVER
from cellwarden.control.mode import Target
from cellwarden.control.opening import Opening, OpeningStage
from cellwarden.control.precharge import Precharge, PrechargeStage
from cellwarden.domain import Contactors, Request

CLOCK = 1.0
PACK = 400.0
UNREAD = float("nan")
CONFIG = MachineConfig(
    request_second=0.5,
    init_second=1.0,
    self_test_second=1.0,
    feedback_second=0.0,
    precharge=Precharge(
        settled_count=2, fill_second=2.0, try_count=2, fail_wait_second=1.0, again_second=2.0
    ),
    opening=Opening(ramp_second=1.0, ease_second=1.0, part_second=1.0, fall_second=2.0),
)
FIRST = replace(start(), since_second=0.0, stage_since_second=0.0, heard_second=0.0)
AFTER_A_FAULT = replace(FIRST, held=("plus_welded",))

LINKS = ((PACK, 0.0), (0.0, 0.0), (PACK, 100.0), (UNREAD, UNREAD))  # link [V], current [A]
AWRY = (None, 0, 1, 2)  # which switch is not as it is driven
CONDITIONS = {
    "well": {},
    "incomplete": {"complete": False, "failing": ("memory",)},
    "no charging": {"charge_forbidden": True},
    "no closing": {"charge_forbidden": True, "close_forbidden": True},
    "fatal": {"charge_forbidden": True, "close_forbidden": True, "fatal": True},
    "danger": {"charge_forbidden": True, "close_forbidden": True, "fatal": True, "danger": True},
}


@dataclass(frozen=True, slots=True)
class Grid:
    """Which inputs are tried: every combination of these."""

    requests: tuple[Request | None, ...]
    conditions: tuple[str, ...] = tuple(CONDITIONS)
    awry: tuple[int | None, ...] = AWRY


FULL = Grid((*Request, None))
# Charging differs from connecting by one condition, service from balancing by none that is here.
MOST = Grid(
    (Request.STANDBY, Request.CONNECT, Request.BALANCE, Request.RESET, None),
    ("well", "incomplete", "no closing", "fatal", "danger"),
)
COARSE = Grid(
    (Request.STANDBY, Request.CONNECT, Request.BALANCE, Request.RESET, None),
    ("well", "no closing", "danger"),
    (None,),
)
Table = Mapping[tuple[Mode, Event], Target]


@dataclass(frozen=True, slots=True)
class Passage:
    """One cycle of the machine."""

    before: MachineState
    now: Situation
    after: MachineState
    ruling: Ruling


def cut(state: MachineState) -> MachineState:
    """The state relative to its clock, without what the machine cannot tell apart."""
    mode = state.mode
    timed = mode in {Mode.INIT, Mode.SELF_TEST, Mode.OPENING}
    stage = {Mode.PRECHARGE: 2.0, Mode.OPENING: 1.0}.get(mode, 0.0)
    wait = state.not_before_second - CLOCK

    def since(moment: float, most: float) -> float:
        return moment if moment == NEVER else max(moment - CLOCK, -most)

    plus, minus, middle = (since(moment, 0.0) for moment in state.awry_second)
    return replace(
        state,
        since_second=since(state.since_second, 1.0 if timed else 0.0),
        stage_since_second=since(state.stage_since_second, stage),
        heard_second=since(state.heard_second, 0.0),
        awry_second=(plus, minus, middle),
        not_before_second=wait if wait > 0.0 else -NEVER,
        bound_for=state.bound_for if mode is Mode.OPENING else Mode.STANDBY,
        held=state.held if mode is Mode.INIT else (),
    )


@cache
def situations(driven: Contactors, grid: Grid) -> tuple[Situation, ...]:
    """Every input of the grid, for switches that are driven so."""
    return tuple(
        Situation(
            CLOCK,
            PACK,
            link,
            current,
            *_contacts(driven, awry),
            request=request,
            **CONDITIONS[name],
        )
        for (link, current), awry, request, name in itertools.product(
            LINKS, grid.awry, grid.requests, grid.conditions
        )
    )


def _contacts(driven: Contactors, awry: int | None) -> tuple[bool, bool, bool]:
    plus, minus, middle = (
        closed != (awry == index)
        for index, closed in enumerate(
            (driven.plus_closed, driven.minus_closed, driven.precharge_closed)
        )
    )
    return plus, minus, middle


def passages(grid: Grid, table: Table = TABLE) -> Iterator[Passage]:
    """Breadth first over all states that can be reached, each with all inputs."""
    seen, waiting = {FIRST, AFTER_A_FAULT}, deque([FIRST, AFTER_A_FAULT])
    while waiting:
        before = waiting.popleft()
        for now in situations(before.driven, grid):
            after, ruling = step(CONFIG, before, now, table)
            yield Passage(before, now, after, ruling)
            following = cut(after)
            if following not in seen:
                seen.add(following)
                waiting.append(following)


def broken_rule(passage: Passage) -> str | None:
    """The first rule that a passage breaks."""
    return next((name for name, holds in RULES.items() if not holds(passage)), None)


def _open_modes_are_open(p: Passage) -> bool:
    closable = {Mode.PRECHARGE, Mode.CONNECTED, Mode.OPENING}
    return p.after.mode in closable or not p.ruling.contactors.any_closed


def _nothing_skips_opening(p: Passage) -> bool:
    entered = p.after.mode is not p.before.mode and p.after.mode in {Mode.ERROR, Mode.STANDBY}
    let_go = p.before.driven.any_closed and p.after.mode not in {
        Mode.PRECHARGE,
        Mode.CONNECTED,
        Mode.OPENING,
    }
    return p.before.mode is Mode.OPENING or not (entered or let_go)


def _plus_waits_for_precharge(p: Passage) -> bool:
    closes = p.ruling.contactors.plus_closed and not p.before.driven.plus_closed
    filled = (
        p.before.mode is Mode.PRECHARGE
        and p.before.closing is PrechargeStage.FILL
        and p.before.settled_count + 1 >= CONFIG.precharge.settled_count
        and p.now.link_voltage_volt == PACK
        and p.now.current_ampere == 0.0
    )
    return filled or not closes


def _plus_is_never_alone(p: Passage) -> bool:
    return p.ruling.contactors.minus_closed or not p.ruling.contactors.any_closed


def _connected_comes_from_precharge(p: Passage) -> bool:
    return p.after.mode is not Mode.CONNECTED or p.before.mode in {Mode.PRECHARGE, Mode.CONNECTED}


def _closing_begins_when_asked_and_allowed(p: Passage) -> bool:
    if p.after.mode is not Mode.PRECHARGE or p.before.mode is Mode.PRECHARGE:
        return True
    return (
        p.before.mode is Mode.STANDBY
        and p.after.wish in {Request.CONNECT, Request.CHARGE}
        and p.now.request is not None
        and not p.now.close_forbidden
        and p.before.not_before_second <= CLOCK
    )


def _tries_are_bounded(p: Passage) -> bool:
    return p.after.failed_count <= CONFIG.precharge.try_count


def _danger_leads_to_error(p: Passage) -> bool:
    opening_to_error = p.after.mode is Mode.OPENING and p.after.bound_for is Mode.ERROR
    return not p.now.danger or p.after.mode is Mode.ERROR or opening_to_error


def _error_is_left_by_reset_and_standby_alone(p: Passage) -> bool:
    if p.before.mode is not Mode.ERROR or p.after.mode is Mode.ERROR:
        return True
    asked = p.before.reset_seen and p.now.request in {Request.STANDBY, None}
    return asked and not p.now.fatal and p.after.mode is Mode.SELF_TEST


def _a_fault_from_before_leads_to_error(p: Passage) -> bool:
    left = p.before.mode is Mode.INIT and bool(p.before.held) and p.after.mode is not Mode.INIT
    return not left or (p.after.mode is Mode.OPENING and p.after.bound_for is Mode.ERROR)


def _a_lost_master_opens(p: Passage) -> bool:
    lost = p.before.mode is Mode.CONNECTED and p.now.request is None
    return not lost or p.after.mode is Mode.OPENING


def _current_flows_only_when_connected(p: Passage) -> bool:
    flows = p.ruling.permit_fraction > 0.0
    eases = p.after.mode is Mode.OPENING and p.after.parting is OpeningStage.EASE
    calm = p.ruling.contactors.closed and not p.now.fatal
    return not flows or (calm and (p.after.mode is Mode.CONNECTED or eases))


def _a_high_current_is_not_broken_at_once(p: Passage) -> bool:
    breaks = p.before.mode is Mode.CONNECTED and not p.ruling.contactors.plus_closed
    return not breaks or p.now.current_ampere == 0.0


RULES: dict[str, Callable[[Passage], bool]] = {
    "contactors are open in init, self-test, standby, balancing, error and service": (
        _open_modes_are_open
    ),
    "error and standby are entered from opening, and closed contactors open there": (
        _nothing_skips_opening
    ),
    "plus closes when the link has come up, not before": _plus_waits_for_precharge,
    "minus is closed with whatever is closed": _plus_is_never_alone,
    "connected comes from precharge": _connected_comes_from_precharge,
    "precharge begins from standby, asked for, allowed and not too early": (
        _closing_begins_when_asked_and_allowed
    ),
    "failed precharges are bounded": _tries_are_bounded,
    "danger leads to error": _danger_leads_to_error,
    "error is left by a reset, then standby, with nothing fatal": (
        _error_is_left_by_reset_and_standby_alone
    ),
    "what was latched before the start leads to error": _a_fault_from_before_leads_to_error,
    "a lost master opens": _a_lost_master_opens,
    "current flows only when connected and well": _current_flows_only_when_connected,
    "a current that is too high is not broken at once": _a_high_current_is_not_broken_at_once,
}


@dataclass(slots=True)
class Graph:
    """Which states follow which inside one mode."""

    follows: dict[MachineState, set[MachineState]] = field(default_factory=dict)

    def add(self, passage: Passage) -> None:
        """Note a passage that stays in its mode."""
        if passage.after.mode is passage.before.mode:
            self.follows.setdefault(passage.before, set()).add(cut(passage.after))

    def has_cycle(self, mode: Mode) -> bool:
        """Whether one can stay in the mode for ever."""
        left = {state: set(after) for state, after in self.follows.items() if state.mode is mode}
        while left:
            ends = [state for state, after in left.items() if not after & left.keys()]
            if not ends:
                return True
            for state in ends:
                del left[state]
        return False
