"""What the pack's state machine never does, over every state that it can reach."""

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.control import (
    TABLE,
    Event,
    MachineConfig,
    MachineState,
    Mode,
    Situation,
    Target,
)
from cellwarden.control.machine import start, step
from cellwarden.control.machine_state import NEVER
from cellwarden.domain import Request
from control.exploring import (
    CLOCK,
    COARSE,
    CONFIG,
    FULL,
    MOST,
    RULES,
    Graph,
    Passage,
    broken_rule,
    cut,
    passages,
    situations,
)

TO_ERROR = Target(Mode.OPENING, Mode.ERROR)
TO_STANDBY = Target(Mode.OPENING, Mode.STANDBY)
# A wrong row, and the rule that it breaks.
WRONG_ROWS = (
    (Mode.CONNECTED, Event.DANGER, Target(Mode.ERROR), "error and standby are entered"),
    (Mode.CONNECTED, Event.DANGER, Target(Mode.CONNECTED), "danger leads to error"),
    (Mode.CONNECTED, Event.DANGER, TO_STANDBY, "danger leads to error"),
    (Mode.OPENING, Event.DANGER, Target(Mode.OPENING), "danger leads to error"),
    (Mode.STANDBY, Event.DANGER, Target(Mode.ERROR), "error and standby are entered"),
    (Mode.CONNECTED, Event.ASK_STANDBY, Target(Mode.STANDBY), "error and standby are entered"),
    (Mode.CONNECTED, Event.LOST, Target(Mode.CONNECTED), "a lost master opens"),
    (Mode.PRECHARGE, Event.FAILED, Target(Mode.CONNECTED), "plus closes when"),
    (Mode.PRECHARGE, Event.FAILED, Target(Mode.STANDBY), "error and standby are entered"),
    (Mode.PRECHARGE, Event.SPENT, TO_STANDBY, "failed precharges are bounded"),
    (Mode.STANDBY, Event.ASK_CONNECT, Target(Mode.CONNECTED), "plus closes when"),
    (Mode.BALANCING, Event.ASK_CONNECT, Target(Mode.PRECHARGE), "precharge begins from standby"),
    (Mode.SELF_TEST, Event.DONE, Target(Mode.STANDBY), "error and standby are entered"),
    (Mode.INIT, Event.DONE, Target(Mode.PRECHARGE), "precharge begins from standby"),
    (Mode.INIT, Event.OVERDUE, Target(Mode.SELF_TEST), "what was latched before the start"),
    (Mode.ERROR, Event.CLEARED, Target(Mode.STANDBY), "error and standby are entered"),
    (Mode.ERROR, Event.NONE, Target(Mode.SELF_TEST), "error is left by a reset"),
    (Mode.STANDBY, Event.FORBIDDEN, Target(Mode.PRECHARGE), "precharge begins from standby"),
    (Mode.STANDBY, Event.LOST, Target(Mode.PRECHARGE), "precharge begins from standby"),
)


def test_every_mode_has_an_entry_for_every_event() -> None:
    assert set(TABLE) == set(itertools.product(Mode, Event))


def test_whoever_enters_opening_says_where_it_is_bound_for() -> None:
    for (mode, event), target in TABLE.items():
        if target.mode is Mode.OPENING and mode is not Mode.OPENING:
            assert target.bound_for in {Mode.STANDBY, Mode.ERROR}, (mode, event)
        if target.mode is None:
            assert (mode, event) == (Mode.OPENING, Event.DONE)


@dataclass(slots=True)
class Explored:
    """What one walk over all states has met."""

    broken: list[tuple[str, Passage]] = field(default_factory=list)
    modes: set[Mode] = field(default_factory=set)
    moves: set[tuple[Mode, Event]] = field(default_factory=set)
    states: set[MachineState] = field(default_factory=set)
    graph: Graph = field(default_factory=Graph)


@pytest.fixture(scope="module")
def explored() -> Explored:
    walk = Explored()
    for passage in passages(MOST):
        rule = broken_rule(passage)
        if rule is not None:
            walk.broken.append((rule, passage))
        walk.graph.add(passage)
        walk.modes.add(passage.after.mode)
        walk.moves |= {(move.source, move.event) for move in passage.ruling.moves}
        walk.states.add(passage.before)
    return walk


def test_no_state_that_can_be_reached_breaks_a_rule(explored: Explored) -> None:
    assert explored.broken == []
    assert explored.modes == set(Mode) - {Mode.SERVICE}
    assert len(explored.states) > 500


def test_every_row_that_moves_is_walked_somewhere(explored: Explored) -> None:
    moving = {
        (mode, event)
        for (mode, event), target in TABLE.items()
        if target.mode is not mode
        and mode is not Mode.SERVICE
        and event not in {Event.ASK_CHARGE, Event.ASK_SERVICE}
    }
    assert moving <= explored.moves


def test_testing_closing_and_opening_end_whatever_the_sensors_say(explored: Explored) -> None:
    for mode in (Mode.SELF_TEST, Mode.PRECHARGE, Mode.OPENING):
        assert not explored.graph.has_cycle(mode), f"one can stay in {mode} for ever"
    assert explored.graph.has_cycle(Mode.ERROR)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_what_is_cut_off_changes_nothing(explored: Explored, data: st.DataObject) -> None:
    states = sorted(explored.states, key=repr)
    state = data.draw(st.sampled_from(states))
    now = data.draw(st.sampled_from(situations(state.driven, FULL)))
    other = _older(state, data.draw(st.floats(0.0, 1e4)), data.draw(st.sampled_from(Mode)))
    after, ruling = step(CONFIG, state, now)
    other_after, other_ruling = step(CONFIG, other, now)
    assert cut(after) == cut(other_after)
    assert replace(ruling, moves=()) == replace(other_ruling, moves=())


def _older(state: MachineState, age_second: float, bound_for: Mode) -> MachineState:
    """A state that the walk takes for the same."""
    floor = cut(replace(state, since_second=-1e6, stage_since_second=-1e6))

    def aged(moment: float, lowest: float) -> float:
        return moment - age_second if moment == lowest else moment

    plus, minus, middle = (aged(moment, 0.0) for moment in state.awry_second)
    return replace(
        state,
        since_second=aged(state.since_second, floor.since_second),
        stage_since_second=aged(state.stage_since_second, floor.stage_since_second),
        heard_second=aged(state.heard_second, 0.0),
        awry_second=(plus, minus, middle),
        not_before_second=max(state.not_before_second, CLOCK - age_second)
        if state.not_before_second == -NEVER
        else state.not_before_second,
        bound_for=state.bound_for if state.mode is Mode.OPENING else bound_for,
        held=state.held if state.mode is Mode.INIT else ("seen_before",),
    )


UNTIMED = (
    "contactors are open in init, self-test, standby, balancing, error and service",
    "error and standby are entered from opening, and closed contactors open there",
    "minus is closed with whatever is closed",
    "connected comes from precharge",
    "danger leads to error",
    "what was latched before the start leads to error",
    "current flows only when connected and well",
)
maybe = st.sampled_from((True, False, None))
volts = st.sampled_from((0.0, 200.0, 398.5, 399.5, 400.0, 800.0, float("nan"), float("inf")))
amperes = st.sampled_from((0.0, 0.04, -0.06, -5.0, -500.0, float("nan"), float("inf")))


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from((0.0, 0.1, 0.1, 0.1, 0.1, 1.0, 30.0, -5.0)),
            volts,
            volts,
            amperes,
            st.tuples(maybe, maybe, maybe) | st.none(),
            st.sampled_from((*Request, None)),
            st.floats(0.0, 2.0),
            st.booleans(),
            st.integers(0, 4),
        ),
        max_size=60,
    ),
    held=st.sampled_from(((), ("x",))),
)
@settings(max_examples=150, deadline=None)
def test_times_that_are_no_grid_and_clocks_that_jump_break_no_rule(
    steps: list[tuple[Any, ...]], held: tuple[str, ...]
) -> None:
    config, state, clock = MachineConfig(), start(held), 100.0
    for second, pack, link, ampere, contacts, request, age, complete, level in steps:
        clock += second
        driven = state.driven
        seen = contacts or (driven.plus_closed, driven.minus_closed, driven.precharge_closed)
        now = Situation(
            clock,
            pack,
            link,
            ampere,
            *seen,
            request=request,
            request_age_second=age,
            complete=complete,
            charge_forbidden=level > 0,
            close_forbidden=level > 1,
            fatal=level > 2,
            danger=level > 3,
        )
        after, ruling = step(config, state, now)
        passage = Passage(state, now, after, ruling)
        assert [name for name in UNTIMED if not RULES[name](passage)] == []
        assert after.failed_count <= config.precharge.try_count
        state = after


@pytest.mark.soak
def test_no_state_breaks_a_rule_whatever_is_asked() -> None:
    modes = set()
    for passage in passages(FULL):
        assert broken_rule(passage) is None, passage
        modes.add(passage.after.mode)
    assert modes == set(Mode)


@pytest.mark.parametrize(("mode", "event", "target", "rule"), WRONG_ROWS)
def test_a_wrong_row_is_found(mode: Mode, event: Event, target: Target, rule: str) -> None:
    table = {**TABLE, (mode, event): target}
    broken = (broken_rule(passage) for passage in passages(COARSE, table))
    found = next((name for name in broken if name is not None), None)
    assert found is not None
    assert found.startswith(rule)
