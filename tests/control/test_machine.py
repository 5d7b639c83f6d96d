"""The state machine on a small model of contactors and a link."""

import itertools
from dataclasses import dataclass, replace

import pytest

from cellwarden.control import MachineConfig, MachineState, Mode, Ruling, Situation, machine_of
from cellwarden.control.machine import start, step
from cellwarden.control.precharge import Precharge
from cellwarden.domain import CLOSED, OPEN, Board, Contactors, Request
from cellwarden.errors import UsageError
from cellwarden.physics import TwinConfig

PERIOD = 0.1


@dataclass(slots=True)
class Bench:
    """A pack of 400 V with switches that follow, a link that fills and drains, and a load."""

    config: MachineConfig
    state: MachineState
    clock: float = 50.0
    link: float = 0.0
    load_ampere: float = 0.0
    welded: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    resistor_broken: bool = False
    now: dict[str, object] | None = None
    seen: list[Contactors] | None = None

    def run(self, second: float, request: Request | None, **more: object) -> Ruling:
        """Cycles under one request; gives the last ruling."""
        ruling = None
        for _ in range(round(second / PERIOD)):
            ruling = self.cycle(request, **more)
        assert ruling is not None
        return ruling

    def cycle(self, request: Request | None, **more: object) -> Ruling:
        self.clock += PERIOD
        closed = self._closed()
        current = self.load_ampere if closed["plus"] and closed["minus"] else 0.0
        if closed["plus"] and closed["minus"]:
            self.link = 400.0
        elif closed["minus"] and closed["precharge"] and not self.resistor_broken:
            current += (400.0 - self.link) / 50.0
            self.link += 0.8 * (400.0 - self.link)
        else:
            self.link *= 0.8
        now = Situation(
            self.clock,
            400.0,
            self.link,
            current,
            closed["plus"],
            closed["minus"],
            closed["precharge"],
            request,
        )
        self.state, ruling = step(self.config, self.state, replace(now, **more))
        (self.seen if self.seen is not None else []).append(ruling.contactors)
        return ruling

    def _closed(self) -> dict[str, bool]:
        driven = self.state.driven
        wanted = {
            "plus": driven.plus_closed,
            "minus": driven.minus_closed,
            "precharge": driven.precharge_closed,
        }
        return {
            name: (closed or name in self.welded) and name not in self.dead
            for name, closed in wanted.items()
        }


@pytest.fixture
def bench() -> Bench:
    return Bench(MachineConfig(), start(), seen=[])


def ready(bench: Bench, request: Request = Request.CONNECT) -> Ruling:
    """Awake and connected."""
    bench.run(1.0, Request.STANDBY)
    assert bench.state.mode is Mode.STANDBY
    return bench.run(4.0, request)


def test_a_pack_wakes_tests_itself_and_waits_in_standby(bench: Bench) -> None:
    bench.run(1.0, None)
    assert bench.state.mode is Mode.STANDBY
    assert set(bench.seen or ()) == {OPEN}


def test_closing_goes_minus_precharge_plus_and_precharge_off(bench: Bench) -> None:
    ruling = ready(bench)
    assert bench.state.mode is Mode.CONNECTED
    assert ruling.permit_fraction == 1.0
    steps = [c for c, before in zip(bench.seen[1:], bench.seen, strict=False) if c != before]
    assert steps == [
        Contactors(plus_closed=False, minus_closed=True),
        Contactors(plus_closed=False, minus_closed=True, precharge_closed=True),
        Contactors(plus_closed=True, minus_closed=True, precharge_closed=True),
        CLOSED,
    ]


def test_plus_stays_open_when_the_link_does_not_come_up_and_three_tries_are_all(
    bench: Bench,
) -> None:
    bench.resistor_broken = True
    bench.run(1.0, Request.STANDBY)
    begun = []
    for _ in range(600):
        ruling = bench.cycle(Request.CONNECT)
        begun += [move.clock_second for move in ruling.moves if move.target is Mode.PRECHARGE]
    assert len(begun) == 3
    assert min(b - a for a, b in itertools.pairwise(begun)) >= 10.0
    assert not any(contactors.plus_closed for contactors in bench.seen or ())
    assert bench.state.mode is Mode.ERROR
    assert bench.state.held == ("precharge_failed",)


def test_a_load_that_draws_while_the_link_fills_keeps_plus_open(bench: Bench) -> None:
    bench.run(1.0, Request.STANDBY)
    ruling = bench.run(4.0, Request.CONNECT, current_ampere=-2.0)
    assert bench.state.mode is not Mode.CONNECTED
    assert not any(contactors.plus_closed for contactors in bench.seen or ())
    assert ruling.waits_for.startswith("the next precharge, in ")


@pytest.mark.parametrize("unread", ["link_voltage_volt", "pack_voltage_volt", "current_ampere"])
def test_a_sensor_that_is_silent_never_counts_as_come_up(bench: Bench, unread: str) -> None:
    bench.run(1.0, Request.STANDBY)
    bench.run(4.0, Request.CONNECT, **{unread: float("nan")})
    assert not any(contactors.plus_closed for contactors in bench.seen or ())


def test_standby_lets_the_current_fall_in_a_ramp_before_anything_opens(bench: Bench) -> None:
    ready(bench)
    permits = [bench.cycle(Request.STANDBY).permit_fraction for _ in range(19)]
    assert permits == sorted(permits, reverse=True)
    assert 0.0 < permits[-1] < 0.1
    assert set((bench.seen or [])[-19:]) == {CLOSED}
    bench.run(2.0, Request.STANDBY)
    assert bench.state.mode is Mode.STANDBY


def test_contactors_wait_for_a_current_that_they_cannot_break_but_not_for_ever(
    bench: Bench,
) -> None:
    ready(bench)
    bench.load_ampere = -150.0
    first = bench.cycle(Request.CONNECT, fatal=True, danger=True)
    assert first.contactors == CLOSED
    assert first.permit_fraction == 0.0
    waited = 0.0
    while bench.cycle(Request.CONNECT, fatal=True, danger=True).contactors == CLOSED:
        waited += PERIOD
    assert waited == pytest.approx(3.0, abs=2 * PERIOD)
    bench.run(1.0, Request.CONNECT, fatal=True, danger=True)
    assert bench.state.mode is Mode.ERROR


def test_a_danger_opens_plus_in_the_same_cycle_when_the_current_is_low(bench: Bench) -> None:
    ready(bench)
    bench.load_ampere = -10.0
    ruling = bench.cycle(Request.CONNECT, fatal=True, danger=True)
    assert not ruling.contactors.plus_closed


def test_a_fault_that_will_open_stops_the_current_at_its_first_moment(bench: Bench) -> None:
    ready(bench)
    ruling = bench.cycle(Request.CONNECT, fatal=True)
    assert ruling.contactors == CLOSED
    assert ruling.permit_fraction == 0.0


@pytest.mark.parametrize("switch", ["plus", "minus"])
def test_a_contactor_that_stays_closed_is_named_and_latched(bench: Bench, switch: str) -> None:
    ready(bench)
    bench.welded = (switch,)
    bench.run(10.0, Request.STANDBY)
    assert bench.state.mode is Mode.ERROR
    assert f"{switch}_welded" in bench.state.held
    assert bench.state.driven == OPEN


def test_a_weld_is_told_by_the_link_where_no_contact_tells_it(bench: Bench) -> None:
    ready(bench)
    blind = dict.fromkeys(
        ("plus_feedback_closed", "minus_feedback_closed", "precharge_feedback_closed")
    )
    bench.run(10.0, Request.STANDBY, link_voltage_volt=399.5, **blind)
    assert bench.state.mode is Mode.ERROR
    assert bench.state.held == ("link_welded",)


def test_a_weld_from_before_the_start_fails_the_self_test(bench: Bench) -> None:
    bench.welded = ("plus", "minus")
    bench.run(10.0, Request.CONNECT)
    assert bench.state.mode is Mode.ERROR
    assert set(bench.seen or ()) == {OPEN}


@pytest.mark.parametrize("switch", ["plus", "minus", "precharge"])
def test_a_contactor_that_does_not_close_leads_to_error(bench: Bench, switch: str) -> None:
    bench.dead = (switch,)
    bench.run(1.0, Request.STANDBY)
    bench.run(3.0, Request.CONNECT)
    assert bench.state.mode is Mode.ERROR
    assert bench.state.held == (f"{switch}_late",)


def test_a_lost_master_leads_to_standby_and_the_pack_waits_to_be_asked_again(
    bench: Bench,
) -> None:
    ready(bench)
    assert bench.run(0.9, None).permit_fraction == 1.0
    moves = [move for _ in range(60) for move in bench.cycle(None).moves]
    assert [move.target for move in moves] == [Mode.OPENING, Mode.STANDBY]
    assert moves[0].reason.startswith("no request for 1.")
    bench.run(20.0, Request.RESET)
    assert bench.state.mode is Mode.STANDBY
    bench.run(4.0, Request.CONNECT)
    assert bench.state.mode is Mode.CONNECTED


def test_a_request_that_was_old_when_it_came_does_not_close(bench: Bench) -> None:
    bench.run(1.0, Request.STANDBY)
    bench.run(5.0, Request.CONNECT, request_age_second=1.5)
    assert bench.state.mode is Mode.STANDBY


def test_an_error_is_left_by_a_reset_then_standby_and_by_nothing_less(bench: Bench) -> None:
    ready(bench)
    bench.run(6.0, Request.CONNECT, fatal=True, danger=True)
    assert bench.state.mode is Mode.ERROR
    bench.run(1.0, Request.STANDBY)
    bench.run(1.0, Request.RESET, fatal=True)  # the fault is still there
    assert bench.run(1.0, Request.STANDBY).waits_for == "an operator's reset"
    assert bench.run(0.1, Request.RESET).waits_for == "a request for standby"
    bench.run(1.0, Request.CONNECT)
    assert bench.state.mode is Mode.ERROR
    bench.run(0.1, Request.STANDBY, fatal=True)  # it comes back: the reset is void
    bench.run(1.0, Request.STANDBY)
    assert bench.state.mode is Mode.ERROR
    bench.run(0.1, Request.RESET)
    bench.run(1.0, Request.STANDBY)
    assert bench.state.mode is Mode.STANDBY


def test_a_welded_contactor_cannot_be_reset_away(bench: Bench) -> None:
    ready(bench)
    bench.welded = ("plus",)
    bench.run(10.0, Request.STANDBY)
    bench.run(1.0, Request.RESET)
    bench.run(5.0, Request.STANDBY)
    assert bench.state.mode is Mode.ERROR


def test_a_fault_that_forbids_closing_keeps_open_contactors_open_and_closed_ones_closed(
    bench: Bench,
) -> None:
    bench.run(1.0, Request.STANDBY)
    ruling = bench.run(3.0, Request.CONNECT, close_forbidden=True)
    assert bench.state.mode is Mode.STANDBY
    assert ruling.waits_for == "a fault forbids closing"
    ready(bench)
    bench.run(3.0, Request.CONNECT, close_forbidden=True)
    assert bench.state.mode is Mode.CONNECTED


def test_charging_is_connected_with_a_charger_and_stops_where_charging_is_forbidden(
    bench: Bench,
) -> None:
    assert ready(bench, Request.CHARGE).charging
    assert not bench.cycle(Request.CONNECT).charging
    assert not bench.cycle(Request.CHARGE, charge_forbidden=True).charging
    assert bench.state.mode is Mode.CONNECTED


def test_balancing_and_service_are_open_and_end_through_opening(bench: Bench) -> None:
    for request, mode in ((Request.BALANCE, Mode.BALANCING), (Request.SERVICE, Mode.SERVICE)):
        bench.run(1.0, Request.STANDBY)
        ruling = bench.run(1.0, request)
        assert bench.state.mode is mode
        assert ruling.contactors == OPEN
        assert ruling.may_balance == (mode is Mode.BALANCING)
        moves = [move.target for _ in range(9) for move in bench.cycle(Request.STANDBY).moves]
        assert moves == [Mode.OPENING, Mode.STANDBY]


def test_times_of_a_board_follow_its_parts() -> None:
    pack = TwinConfig("rig", series_count=96, nominal_capacity_ah=60.0).pack()
    config = machine_of(pack, Board(link_farad=5e-3, precharge_ohm=100.0))
    assert config.precharge.fill_second == pytest.approx(6.0)
    assert config.precharge.settled_ampere == pytest.approx(0.18)
    assert config.opening.break_ampere == pytest.approx(18.0)


@pytest.mark.parametrize("wrong", [{"try_count": 0}, {"fill_second": 0.0}, {"settled_count": 0}])
def test_a_precharge_that_could_not_fail_or_pass_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Precharge(**wrong)
