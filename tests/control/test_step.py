"""The whole control cycle, on readings that a test makes up."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.control import Mode
from cellwarden.control.charge_settings import pack_state, unpack_state
from cellwarden.control.decision import Decision
from cellwarden.control.orders import Terms
from cellwarden.control.step import Believed, Control, ControlState, begin, control_of, step
from cellwarden.domain import (
    CLOSED,
    FREE,
    OPEN,
    Authenticity,
    Board,
    Contactors,
    Curb,
    Inputs,
    Ordered,
    Permission,
    Reaction,
    Reading,
    Request,
)
from cellwarden.errors import UsageError
from control.scene import charge_of, pack_of, reading_of

PERIOD = 0.1
BOARD = Board(cells_per_monitor_count=4, sensors_per_monitor_count=1)


class Rig:
    """A pack whose contactors follow at once and whose link follows them."""

    def __init__(self) -> None:
        self.control: Control = control_of(pack_of(), BOARD)
        self.state: ControlState = begin(self.control, 1)
        self.clock = 0.0
        self.cycle_count = 0

    def reading(
        self,
        request: Request | None,
        volts: object = (3.7, 3.7, 3.7, 3.7),
        celsius: object = 25.0,
        ampere: float = 0.0,
        **inputs: object,
    ) -> Reading:
        self.cycle_count += 1
        self.clock = self.cycle_count * PERIOD
        driven: Contactors = self.state.machine.driven
        alive = driven.closed or (driven.minus_closed and driven.precharge_closed)
        wobble = 1e-3 * (self.cycle_count % 3)  # the last digits of a converter move
        seen = {
            "link_voltage_volt": 14.8 if alive else 0.0,
            "plus_feedback_closed": driven.plus_closed,
            "minus_feedback_closed": driven.minus_closed,
            "precharge_feedback_closed": driven.precharge_closed,
            "second_current_ampere": ampere,
            "insulation_ohm": 5e6,
            "interlock_closed": True,
            "fuse_intact": True,
            "memory_intact": True,
            "request": request,
        } | inputs
        return reading_of(
            np.asarray(volts) + wobble,
            self.clock,
            celsius=np.asarray(celsius) + wobble,
            ampere=ampere + wobble,
            inputs=Inputs(**seen),
        )

    def cycle(
        self, reading: Reading, ordered: Ordered = FREE, permission: Permission | None = None
    ) -> Decision:
        believed = Believed(charge_of(0.5, self.clock))
        self.state, decision = step(
            self.control, self.state, reading, believed, Terms(ordered, permission=permission)
        )
        return decision

    def run(self, second: float, request: Request | None, **seen: object) -> Decision:
        decision = None
        for _ in range(round(second / PERIOD)):
            decision = self.cycle(self.reading(request, **seen))
        assert decision is not None
        return decision


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_pack_connects_and_its_limits_come_up_from_zero(rig: Rig) -> None:
    rig.run(1.0, Request.STANDBY)
    decision = rig.run(3.0, Request.CONNECT)
    assert decision.mode is Mode.CONNECTED
    assert decision.command.contactors == CLOSED
    early = decision.command.high_discharge_current_ampere
    later = rig.run(60.0, Request.CONNECT).command
    assert 0.0 < early < later.high_discharge_current_ampere
    tier = rig.control.pack.cell.limits.operating
    assert later.high_charge_current_ampere == tier.high_charge_current_ampere


def test_an_open_pack_allows_no_current_whatever_its_limits_say(rig: Rig) -> None:
    decision = rig.run(60.0, Request.STANDBY)
    assert decision.allowance.discharge_ampere > 0.0
    assert decision.command.high_discharge_current_ampere == 0.0
    assert decision.command.high_charge_current_ampere == 0.0


def test_a_cell_above_its_maximum_stops_the_current_then_opens_and_says_why(rig: Rig) -> None:
    rig.run(1.0, Request.STANDBY)
    rig.run(30.0, Request.CONNECT)
    modes = []
    for _ in range(10):
        decision = rig.cycle(rig.reading(Request.CONNECT, volts=(3.7, 4.4, 3.7, 3.7)))
        modes.append(decision.mode)
    assert Mode.OPENING in modes
    decision = rig.run(8.0, Request.CONNECT, volts=(3.7, 4.4, 3.7, 3.7))
    assert decision.mode is Mode.ERROR
    assert decision.command.contactors == OPEN
    assert decision.diagnosis.first is not None
    assert "cell_voltage_high_maximum" in {t.name for t in decision.diagnosis.troubles}
    assert any(reason.startswith("cell_voltage_high_maximum: 4.4") for reason in decision.reasons)
    assert decision.waits_for == "the fault to go away"


def test_an_operator_brings_a_pack_back_once_the_fault_has_gone(rig: Rig) -> None:
    rig.run(1.0, Request.STANDBY)
    rig.run(5.0, Request.CONNECT)
    rig.run(3.0, Request.CONNECT, interlock_closed=False)
    assert rig.run(30.0, Request.STANDBY).mode is Mode.ERROR
    rig.run(0.1, Request.RESET)
    assert rig.run(2.0, Request.STANDBY).mode is Mode.STANDBY
    assert rig.run(12.0, Request.CONNECT).mode is Mode.CONNECTED


def test_a_silent_master_opens_gently_to_standby_and_is_told(rig: Rig) -> None:
    rig.run(1.0, Request.STANDBY)
    rig.run(60.0, Request.CONNECT)
    decisions = []
    for index in range(80):
        age = (index + 1) * PERIOD
        decisions.append(rig.cycle(rig.reading(Request.CONNECT, request_age_second=age)))
    assert {decision.mode for decision in decisions} == {
        Mode.CONNECTED,
        Mode.OPENING,
        Mode.STANDBY,
    }
    flowing = [decision.command.high_discharge_current_ampere for decision in decisions]
    assert flowing == sorted(flowing, reverse=True)
    assert len(set(flowing)) > 10  # a ramp, not a step
    lost = next(t for t in decisions[-1].diagnosis.troubles if t.name == "master_lost")
    assert lost.reaction is Reaction.STANDBY
    assert not lost.latched
    row = next(row for row in rig.control.diagnostics.rows if row.name == "master_lost")
    falls = next(k for k, ampere in enumerate(flowing) if ampere < flowing[0]) * PERIOD
    assert falls <= row.limit + row.allowance_second
    assert not decisions[-1].command.contactors.any_closed
    # A master that speaks again is served, though the row has not ended yet.
    assert rig.run(4.0, Request.CONNECT).mode is Mode.CONNECTED


def test_what_the_machine_finds_is_told_with_the_other_troubles(rig: Rig) -> None:
    rig.run(1.0, Request.STANDBY)
    rig.run(3.0, Request.CONNECT)
    decision = rig.run(3.0, Request.STANDBY, plus_feedback_closed=True)
    decision = rig.run(6.0, Request.STANDBY, plus_feedback_closed=True)
    found = {trouble.name: trouble for trouble in decision.diagnosis.troubles}
    assert found["machine.plus_welded"].reaction is Reaction.OPEN
    assert found["machine.plus_welded"].latched
    assert decision.diagnosis.first is not None


def test_a_precharge_that_never_comes_up_is_a_fault_after_three_tries(rig: Rig) -> None:
    rig.run(1.0, Request.STANDBY)
    decision = rig.run(40.0, Request.CONNECT, link_voltage_volt=0.0)
    names = {trouble.name for trouble in decision.diagnosis.troubles}
    assert {"precharge_failed", "machine.precharge_failed"} <= names
    assert decision.mode is Mode.ERROR


def test_a_pack_asks_its_charger_only_when_it_is_connected_to_charge(rig: Rig) -> None:
    rig.run(1.0, Request.STANDBY)
    before = rig.cycle(rig.reading(Request.CHARGE))
    assert before.command.charge_current_ampere == 0.0
    decision = rig.run(40.0, Request.CHARGE)
    command = decision.command
    assert decision.charging
    assert decision.asked is not None
    assert 0.0 < command.charge_current_ampere <= command.high_charge_current_ampere
    assert 4 * 3.7 < command.charge_voltage_volt <= 4 * 4.2 + 0.1
    after = rig.cycle(rig.reading(Request.STANDBY)).command
    assert (after.charge_voltage_volt, after.charge_current_ampere) == (0.0, 0.0)


def test_a_charge_goes_on_from_where_a_power_cut_left_it(rig: Rig) -> None:
    rig.run(5.0, Request.CHARGE)
    rig.run(40.0, Request.CHARGE, ampere=10.0)
    kept = unpack_state(pack_state(rig.state.charged))
    assert kept.charged_ah > 0.1
    again = Rig()
    again.state = begin(again.control, 1, kept)
    again.run(0.5, None)
    decision = again.run(5.0, Request.CHARGE)
    assert decision.mode is Mode.CONNECTED
    assert again.state.charged.charged_ah >= kept.charged_ah
    again.run(1.0, Request.CONNECT)
    assert again.state.charged.charged_ah == 0.0  # it drives: the next charge is another


def test_a_fault_that_forbids_charging_for_a_while_leaves_the_charge_where_it_is(
    rig: Rig,
) -> None:
    rig.run(5.0, Request.CHARGE)
    rig.run(40.0, Request.CHARGE, ampere=10.0)
    counted = rig.state.charged.charged_ah
    decision = rig.run(2.0, Request.CHARGE, volts=(3.7, 3.7, 3.7, 4.24))
    assert Reaction.FORBID_CHARGE in {t.reaction for t in decision.diagnosis.troubles}
    assert decision.command.charge_current_ampere == 0.0
    assert rig.state.charged.charged_ah >= counted > 0.1


def test_switching_off_and_on_is_no_reset(rig: Rig) -> None:
    rig.run(1.0, Request.STANDBY)
    rig.run(5.0, Request.CONNECT)
    decision = rig.run(3.0, Request.CONNECT, interlock_closed=False)
    assert decision.latched == ("interlock_open",)
    again = Rig()
    again.state = begin(again.control, 1, latched=decision.latched)
    decision = again.run(20.0, Request.CONNECT)
    assert decision.mode is Mode.ERROR
    assert decision.latched == ("interlock_open",)
    assert {trouble.name for trouble in decision.diagnosis.troubles} == {"machine.interlock_open"}
    again.run(0.1, Request.RESET)
    assert again.run(2.0, Request.STANDBY).mode is Mode.STANDBY


def test_what_only_keeps_contactors_open_is_latched_over_a_restart_too(rig: Rig) -> None:
    rig.run(1.0, Request.STANDBY)
    decision = rig.run(2.0, Request.STANDBY, authenticated=False)
    assert decision.latched == ("authentication_failed",)
    again = Rig()
    again.state = begin(again.control, 1, latched=decision.latched)
    decision = again.run(20.0, Request.CONNECT, authenticated=False)
    assert decision.mode is Mode.ERROR
    assert decision.latched.count("authentication_failed") == 1, "found anew, and told once"


def test_a_foreign_pack_stays_open_and_one_on_the_road_keeps_a_part_of_its_current(
    rig: Rig,
) -> None:
    foreign = Permission(Authenticity.FOREIGN, Reaction.FORBID_CLOSE, 0.0, 0.3, "not of ours")
    rig.run(1.0, Request.STANDBY)
    for _ in range(30):
        decision = rig.cycle(rig.reading(Request.CONNECT), permission=foreign)
    assert decision.mode is Mode.STANDBY
    rig.run(60.0, Request.CONNECT)
    for _ in range(5):
        decision = rig.cycle(rig.reading(Request.CONNECT), permission=foreign)
    assert decision.mode is Mode.CONNECTED
    assert decision.command.high_charge_current_ampere == 0.0
    tier = rig.control.pack.cell.limits.operating.high_discharge_current_ampere
    assert 0.0 < decision.command.high_discharge_current_ampere <= 0.3 * tier
    told = {trouble.name: trouble for trouble in decision.diagnosis.troubles}
    assert told["pack_foreign"].since_second == pytest.approx(rig.clock - 0.4)


def test_control_wider_than_its_protector_cannot_be_made() -> None:
    pack = pack_of()
    tighter = replace(
        pack.cell.limits.maximum,
        high_voltage_volt=pack.cell.limits.maximum.high_voltage_volt - 0.01,
    )
    with pytest.raises(UsageError, match="protector"):
        control_of(pack, BOARD, protector=tighter)


volts = st.lists(st.floats(1.5, 4.6) | st.just(float("nan")), min_size=4, max_size=4)
magnitudes = st.sampled_from((float("inf"), 0.0)) | st.floats(0.0, 1e4)
curbs = st.builds(
    Curb,
    magnitudes,
    magnitudes,
    st.sampled_from((0.0, 0.3, 0.49)),
    st.sampled_from((1.0, 0.7, 0.5)),
)
orders = st.builds(Ordered, curbs, st.sampled_from((*Request, None)), magnitudes, magnitudes)
cycles = st.tuples(
    st.sampled_from((*Request, None)),
    volts | st.just([3.7] * 4),
    st.floats(-30.0, 80.0) | st.just(25.0) | st.just(float("nan")),
    st.floats(-200.0, 200.0) | st.just(0.0),
    orders,
)


@given(
    prefix=st.sampled_from((0.0, 1.0, 1.3, 1.6, 5.0, 40.0)),
    here=st.sampled_from((Request.CONNECT, Request.CHARGE, Request.STANDBY)),
    seen=st.lists(cycles, min_size=1, max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_no_order_ever_loosens_anything(
    prefix: float, here: Request, seen: list[tuple[Request, list[float], float, float, Ordered]]
) -> None:
    rig = Rig()
    for index in range(round(prefix / PERIOD)):
        rig.cycle(rig.reading(Request.STANDBY if index < 10 else here))
    edge, parallel = rig.control.protector, rig.control.pack.parallel_count
    for request, cells, celsius, ampere, ordered in seen:
        reading = rig.reading(request, cells, celsius, ampere)
        before = rig.state
        bound = rig.cycle(reading, ordered).command
        after, rig.state = rig.state, before
        free = rig.cycle(reading).command
        rig.state = after
        assert bound.high_charge_current_ampere <= free.high_charge_current_ampere
        assert bound.high_discharge_current_ampere <= free.high_discharge_current_ampere
        assert bound.contactors.plus_closed <= free.contactors.plus_closed
        if ordered.request is None:
            assert bound.charge_current_ampere <= free.charge_current_ampere
        for command in (bound, free):
            assert command.charge_current_ampere <= command.high_charge_current_ampere
            assert command.charge_voltage_volt <= 4 * edge.high_voltage_volt
        curb = ordered.curb
        assert bound.high_charge_current_ampere <= curb.high_charge_current_ampere
        assert bound.high_discharge_current_ampere <= curb.high_discharge_current_ampere
        most = parallel * edge.high_discharge_current_ampere
        assert free.high_discharge_current_ampere <= most
        assert free.high_charge_current_ampere <= parallel * edge.high_charge_current_ampere
