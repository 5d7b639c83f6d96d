from dataclasses import replace
from itertools import pairwise
from types import ModuleType
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.cli.bench import load_script
from cellwarden.control.charge import Asked, Wish, step
from cellwarden.control.charge_settings import (
    Charged,
    Charging,
    Phase,
    Stage,
    charging_of,
    pack_state,
    unpack_state,
)
from cellwarden.control.limits import Known
from cellwarden.domain import Allowance, Pack, Restraint
from cellwarden.physics import circuit as circuits
from cellwarden.physics.plating import plating_of, read_rate
from control.scene import NOW, charge_of, condition_of, pack_of, reading_of

NAN, INF = float("nan"), float("inf")
FREE: Final = Allowance(1e9, 1e9, 1e9, 1e9)
YES: Final = Wish(charge=True)
PACK = pack_of()
PLAIN = charging_of(PACK, "stages")
GENTLE = charging_of(PACK)


class Bench:
    """Four cells of equations on a charger that obeys."""

    def __init__(self, pack: Pack = PACK, soc: float = 0.1, period: float = 10.0) -> None:
        self.circuit = circuits.circuit_of(pack.cell.chemistry, 50.0)
        self.cells = circuits.CircuitState(soc + 0.002 * np.arange(4), np.zeros(4), np.zeros(4))
        self.volt = circuits.open_circuit_voltage(self.circuit, self.cells.soc_fraction)
        self.ampere, self.clock, self.period = 0.0, 0.0, period
        self.asked: list[Asked] = []

    def go(
        self, charging: Charging, state: Charged, *, wish: Wish = YES, hours: float = 30.0,
        allowance: Allowance = FREE, celsius: float = 25.0,
    ) -> Charged:  # fmt: skip
        until = self.clock + 3600.0 * hours
        factor = circuits.arrhenius(self.circuit.activation_joule_per_mole, np.full(4, celsius))
        while self.clock < until and state.phase not in {Phase.DONE, Phase.REFUSED}:
            reading = reading_of(self.volt, self.clock, celsius=celsius, ampere=self.ampere)
            known = Known(charge_of(self.cells.soc_fraction, self.clock), condition_of())
            state, asked = step(charging, state, reading, known, allowance, wish=wish)
            self.asked.append(asked)
            self.ampere = asked.current_ampere
            self.cells, self.volt = circuits.step(
                self.circuit, self.cells, np.full(4, self.ampere), factor,
                capacity_ah=np.full(4, 50.0), period_second=self.period,
            )  # fmt: skip
            self.clock += self.period
        return state


def test_constant_current_then_constant_voltage_ends_full_at_the_highest_cell() -> None:
    bench = Bench()
    state = bench.go(PLAIN, Charged())
    currents = np.array([asked.current_ampere for asked in bench.asked])
    assert state.phase is Phase.DONE
    assert np.all(currents[:200] == 25.0)
    assert currents[-2] <= 2.5
    assert bench.volt.max() == pytest.approx(4.2, abs=0.011)
    assert bench.cells.soc_fraction.max() > 0.97
    assert {asked.phase for asked in bench.asked} == {Phase.BULK, Phase.HOLD, Phase.DONE}
    assert bench.asked[100].by[0].name == "stage"


def test_the_highest_cell_is_held_at_its_voltage_without_swinging() -> None:
    bench = Bench(period=1.0, soc=0.6)
    highest = 0.0
    state = Charged()
    while state.phase is not Phase.DONE:
        state = bench.go(PLAIN, state, hours=1.0 / 3600.0)
        highest = max(highest, float(bench.volt.max()))
    assert highest < 4.203
    tail = np.array([a.current_ampere for a in bench.asked if a.phase is Phase.HOLD])
    assert np.all(np.diff(tail) < 0.5)
    assert bench.asked[50].voltage_volt == pytest.approx(
        4 * 4.2 - (bench.volt.max() - bench.volt).sum(), abs=0.05
    )


def test_a_charge_of_several_stages_steps_down_at_each_voltage_and_never_up() -> None:
    stages = (Stage(3.7, 0.8), Stage(4.0, 0.5), Stage(4.2, 0.3))
    bench = Bench()
    bench.go(replace(PLAIN, stages=stages), Charged())
    currents = [a.current_ampere for a in bench.asked if a.phase is Phase.BULK]
    assert {40.0, 25.0, 15.0} <= set(np.round(currents, 6))
    assert np.all(np.diff(currents) <= 1e-9)


def test_the_time_told_at_the_start_holds_on_the_cells_it_is_made_of() -> None:
    bench = Bench()
    bench.go(PLAIN, Charged())
    took = bench.clock / 3600.0
    told = bench.asked[0]
    assert told.hours == pytest.approx(took, rel=0.15)


@pytest.mark.parametrize("cut_hour", [0.5, 1.95, 2.3])
def test_a_charge_goes_on_after_a_power_cut_as_if_there_had_been_none(cut_hour: float) -> None:
    whole, cut = Bench(), Bench()
    end = whole.go(PLAIN, Charged())
    state = cut.go(PLAIN, Charged(), hours=cut_hour)
    saved = pack_state(state)
    offset, cut.clock = cut.clock, 5.0  # the controller's clock begins anew
    done = cut.go(PLAIN, unpack_state(saved))
    assert done.phase is end.phase is Phase.DONE
    assert done.charged_ah == pytest.approx(end.charged_ah, rel=0.01)
    assert offset + cut.clock == pytest.approx(whole.clock, rel=0.01)
    assert done.elapsed_second == pytest.approx(end.elapsed_second, rel=0.01)


def once(
    volts: object = 3.7, *, charging: Charging = PLAIN, state: Charged | None = None,
    known: Known | None = None, allowance: Allowance = FREE, wish: Wish = YES,
    celsius: object = 25.0, ampere: float = 0.0, clock: float = 0.0,
) -> tuple[Charged, Asked]:  # fmt: skip
    cells = np.broadcast_to(np.asarray(volts, dtype=float), (4,))
    reading = reading_of(cells, clock, celsius=celsius, ampere=ampere)
    told = Known(charge_of(0.5, clock), condition_of()) if known is None else known
    return step(charging, state or Charged(), reading, told, allowance, wish=wish)


def test_nobody_who_does_not_want_to_charge_is_charged() -> None:
    state, asked = once(wish=Wish(charge=False), state=Charged(Phase.BULK, charged_ah=9.0))
    assert (asked.phase, asked.current_ampere, asked.voltage_volt) == (Phase.IDLE, 0.0, 0.0)
    assert state.charged_ah == 0.0


def test_a_deeply_discharged_cell_comes_up_at_a_tenth_or_not_at_all() -> None:
    state, asked = once([3.0, 2.7, 3.0, 3.0])
    assert asked.phase is Phase.REVIVE
    assert asked.current_ampere == 5.0
    assert asked.by[0].name == "revive"
    state, asked = once([3.0, 2.85, 3.0, 3.0], state=state, clock=1.0)
    assert asked.phase is Phase.REVIVE, "a cell just above the window comes up further"
    state, asked = once([3.0, 2.91, 3.0, 3.0], state=state, clock=2.0)
    assert asked.phase is Phase.BULK
    state, asked = once([3.0, 2.4, 3.0, 3.0])
    assert asked.phase is Phase.REFUSED
    assert asked.current_ampere == 0.0
    assert "too deeply" in asked.reason
    state, asked = once(3.7, state=state)
    assert asked.phase is Phase.REFUSED, "until the charger is taken off"
    state, _ = once(3.7, state=state, wish=Wish(charge=False))
    assert once(3.7, state=state)[1].phase is Phase.BULK


@pytest.mark.parametrize(
    ("state", "volt", "why"),
    [
        (Charged(Phase.REVIVE, revived_second=3601.0), 2.7, "does not come up"),
        (Charged(Phase.BULK, elapsed_second=48 * 3600.0 + 1.0), 3.7, "too long"),
        (Charged(Phase.BULK, charged_ah=66.0), 3.7, "more charge"),
    ],
)
def test_a_charge_that_leads_nowhere_is_refused_in_words(
    state: Charged, volt: float, why: str
) -> None:
    after, asked = once(volt, state=state)
    assert after.phase is asked.phase is Phase.REFUSED
    assert why in asked.reason
    assert "refused" in unpack_state(pack_state(after)).phase


def test_a_pause_near_the_top_is_not_full() -> None:
    state, nothing = Charged(Phase.HOLD), Allowance(0.0, 0.0, 0.0, 0.0)
    for second in range(100):
        state, asked = once(4.192, state=state, allowance=nothing, clock=float(second))
    assert state.phase is Phase.HOLD
    assert asked.current_ampere == 0.0
    for second in range(100, 200):
        state, asked = once(4.2, state=state, ampere=2.0, clock=float(second))
    assert state.phase is Phase.DONE, "whatever the estimate of charge says"


def test_noise_on_the_edge_of_the_held_voltage_makes_no_phases() -> None:
    edge = PLAIN.high_volt - PLAIN.full_within_volt
    noise = 0.001 * np.random.default_rng(7).standard_normal(500)
    state, phases = Charged(Phase.BULK), []
    for count, volt in enumerate(edge + noise):
        reading = reading_of(np.full(4, volt), float(count), ampere=20.0)
        state, _ = step(PLAIN, state, reading, Known(), FREE, wish=YES)
        phases.append(state.phase)
    changes = sum(before is not after for before, after in pairwise(phases))
    assert changes <= 1
    assert state.phase is Phase.HOLD
    # A load that really pulls the voltage down leaves the held voltage, within one cycle.
    fallen = reading_of(np.full(4, edge - 0.006), 500.0, ampere=20.0)
    assert step(PLAIN, state, fallen, Known(), FREE, wish=YES)[0].phase is Phase.BULK


def test_held_is_not_full_below_the_ten_millivolts() -> None:
    state = Charged(Phase.HOLD)
    low = PLAIN.high_volt - PLAIN.full_within_volt - 0.003
    for count in range(120):
        reading = reading_of(np.full(4, low), float(count), ampere=0.5)
        state, _ = step(PLAIN, state, reading, Known(), FREE, wish=YES)
    assert state.phase is Phase.HOLD
    assert state.full_second == 0.0


def test_a_full_pack_is_charged_again_when_charge_and_voltage_have_fallen() -> None:
    done = Charged(Phase.DONE)
    assert once(4.18, state=done, known=Known(charge_of(0.9)))[1].phase is Phase.DONE
    assert once(4.10, state=done, known=Known(charge_of(0.97)))[1].phase is Phase.DONE
    assert once(4.10, state=done, known=Known(charge_of(0.9)))[1].phase is Phase.BULK


def test_a_target_below_full_ends_the_charge_and_a_pack_that_has_lost_enough_begins_anew() -> None:
    to80 = replace(PLAIN, target_fraction=0.8)
    state, asked = once(charging=to80, known=Known(charge_of(0.81)))
    assert asked.phase is Phase.DONE
    state, asked = once(charging=to80, known=Known(charge_of(0.76)), state=state)
    assert asked.phase is Phase.DONE
    _, asked = once(charging=to80, known=Known(charge_of(0.74)), state=state)
    assert asked.phase is Phase.BULK


def test_a_reading_that_is_missing_asks_for_nothing_and_forgets_nothing() -> None:
    before = Charged(Phase.HOLD, 0, 100.0, 0.0, 20.0, 9.0)
    after, asked = once([3.7, NAN, 3.7, 3.7], state=before)
    assert asked.current_ampere == 0.0
    assert asked.reason == "a cell is not read"
    assert (after.phase, after.charged_ah) == (Phase.HOLD, 9.0)
    _, asked = once(charging=GENTLE, celsius=NAN)
    assert asked.current_ampere == 0.0, "no temperature, no bound on plating"
    _, asked = once(charging=GENTLE, known=Known())
    assert asked.current_ampere == pytest.approx(read_rate(plating_of(0.01), 25.0, 1.0) * 50.0)
    assert asked.hours == INF


def test_the_allowance_says_why() -> None:
    allowance = Allowance(7.0, 0.0, 0.0, 0.0, 0.0, (Restraint("cold", 7.0, 1.0, 3),))
    _, asked = once(allowance=allowance)
    assert asked.by[0] == Restraint("allowance.cold", 7.0, 1.0, 3)
    assert asked.current_ampere == 7.0


@settings(max_examples=200)
@given(
    st.sampled_from(["NMC", "LFP", "LTO"]),
    st.floats(0.0, 1.0),
    st.floats(-15.0, 50.0),
    st.floats(1.0, 3.0),
    st.floats(0.0, 100.0),
    st.sampled_from([None, 0.0, 2.0, 20.0]),
)
def test_no_charge_asks_for_more_than_is_allowed_or_than_the_electrode_stands(  # noqa: PLR0917  drawn
    kind: str, soc: float, celsius: float, grown: float, allowed: float, ready: float | None
) -> None:
    pack = pack_of(kind)
    volt = np.interp(soc, pack.cell.chemistry.ocv_soc_fraction, pack.cell.chemistry.ocv_volt)
    known = Known(charge_of(soc, std=0.01), condition_of(45.0, grown))
    wish = Wish(charge=True, ready_unix_second=None if ready is None else NOW + 3600.0 * ready)
    _, asked = once(
        volt, charging=charging_of(pack), known=known, wish=wish, celsius=celsius,
        allowance=Allowance(allowed, 0.0, 0.0, 0.0),
    )  # fmt: skip
    assert 0.0 <= asked.current_ampere <= min(allowed, 50.0)
    high = min(soc + 0.02, 1.0)
    bound = read_rate(plating_of(0.01), float(np.float32(celsius)), high) * 45.0 / grown
    if kind != "LTO":
        assert asked.current_ampere <= bound + 1e-9
    if asked.current_ampere:
        assert asked.by[0].limit_ampere == asked.current_ampere


def test_who_has_time_is_charged_gently_and_who_has_none_is_told_how_late() -> None:
    bench = Bench()
    bench.go(GENTLE, Charged(), wish=Wish(charge=True, ready_unix_second=NOW + 8 * 3600.0))
    assert bench.clock / 3600.0 == pytest.approx(8.0, rel=0.06)
    assert max(a.current_ampere for a in bench.asked) < 8.0
    assert bench.asked[10].by[0].name == "in_time"
    _, hurried = once(charging=GENTLE, wish=Wish(charge=True, ready_unix_second=NOW + 600.0))
    assert hurried.late_hour > 0.3
    assert hurried.hours == pytest.approx(hurried.late_hour + 1.0 / 6.0)


@pytest.fixture(scope="module")
def bench_script() -> ModuleType:
    return load_script("charging")


def test_a_gentle_charge_in_the_cold_plates_nothing_where_a_plain_one_does(
    bench_script: ModuleType,
) -> None:
    gentle = bench_script.charged(charging_of(bench_script.PACK), 5.0, period_second=10.0)
    plain = bench_script.charged(bench_script.plain(0.5), 5.0, obeys=False, period_second=10.0)
    assert gentle["lowest_volt"] > 0.0
    assert gentle["plated_ah"] == 0.0
    assert plain["plated_ah"] > 0.3
    assert gentle["to_80_hour"] < plain["to_80_hour"]
