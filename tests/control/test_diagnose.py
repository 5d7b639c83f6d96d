from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.control import diagnose
from cellwarden.control.diagnose import Diagnostics, DiagnosticsState
from cellwarden.control.senses import sensed
from cellwarden.domain import CLOSED, OPEN, Contactors, Diagnosis, Reaction, Reading, Request
from control.sound import (
    BOARD,
    CELLS,
    CHIPS,
    SENSORS,
    charge,
    names,
    pack,
    reading,
    run,
    with_frame,
    with_inputs,
    with_monitors,
)

TABLE = diagnose.diagnostics_of(pack(), BOARD)
ROWS = {row.name: row for row in TABLE.rows}


def one(value: float, usual: float, count: int, item: int = -1) -> np.ndarray:
    """Readings of which one is off."""
    values = np.full(count, usual)
    values[item] = value
    return values


def cell(volts: float) -> Callable[[Reading], Reading]:
    return lambda r: with_frame(r, cell_voltage_volt=one(volts, 3.7, CELLS))


def sensor(celsius: float, amperes: float) -> Callable[[Reading], Reading]:
    def change(r: Reading) -> Reading:
        wobble = r.frame.current_ampere + 1.5
        return with_frame(
            r,
            cell_temperature_celsius=one(celsius, celsius, SENSORS) + wobble,
            current_ampere=amperes + wobble,
        )

    return change


def every(**changes: object) -> Callable[[Reading], Reading]:
    return lambda r: with_inputs(r, **changes)


def watch(**changes: object) -> Callable[[Reading], Reading]:
    return lambda r: with_monitors(r, **changes)


def hot_and_cold() -> dict[str, Callable[[Reading], Reading]]:
    made = {}
    for way, amperes in (("charge", 1.5), ("discharge", -1.5)):
        for end, sign in (("high", 1.0), ("low", -1.0)):
            for tier in ("operating", "recommended", "maximum"):
                name = f"{way}_temperature_{end}_{tier}"
                made[name] = sensor(ROWS[name].limit + 0.5 * sign, amperes)
    return made


def tiers_of(name: str, make: Callable[[float], Callable[[Reading], Reading]], by: float) -> dict:
    return {
        f"{name}_{tier}": make(ROWS[f"{name}_{tier}"].limit + by)
        for tier in ("operating", "recommended", "maximum")
    }


def ampere(value: float) -> Callable[[Reading], Reading]:
    return lambda r: with_frame(r, current_ampere=value + r.frame.current_ampere + 1.5)


def after(r: Reading) -> float:
    """What has moved since the first cycle with a fault, in volts or amperes."""
    return 0.2 if r.clock_second > 1.01 else 0.0


CELSIUS = np.full(SENSORS, 25.0)
INJECTIONS: dict[str, Callable[[Reading], Reading]] = {
    **tiers_of("cell_voltage_high", cell, 0.001),
    **tiers_of("cell_voltage_low", cell, -0.001),
    "cell_deep_discharge": cell(ROWS["cell_deep_discharge"].limit - 0.001),
    "string_voltage_high": lambda r: with_frame(
        r, voltage_volt=ROWS["string_voltage_high"].limit + 0.1
    ),
    "string_voltage_low": lambda r: with_frame(
        r, voltage_volt=ROWS["string_voltage_low"].limit - 0.1
    ),
    **tiers_of("charge_current", ampere, 0.05),
    **tiers_of("discharge_current", lambda limit: ampere(-limit - 0.1), 0.0),
    **hot_and_cold(),
    "temperature_spread": lambda r: with_frame(
        r, cell_temperature_celsius=one(35.5, 25.0, SENSORS)
    ),
    "temperature_spread_large": lambda r: with_frame(
        r, cell_temperature_celsius=one(45.5, 25.0, SENSORS)
    ),
    "second_monitor": watch(second_cell_voltage_volt=one(3.731, 3.7, CELLS)),
    "cell_sum": lambda r: with_frame(r, voltage_volt=CELLS * 3.7 + ROWS["cell_sum"].limit + 0.01),
    "reference_voltage": watch(reference_volt=one(3.016, 3.0, CHIPS)),
    "second_current": every(second_current_ampere=-1.5 - ROWS["second_current"].limit - 0.01),
    "open_wire": watch(open_wire=one(1.0, 0.0, CELLS).astype(bool)),
    "cell_voltage_frozen": lambda r: with_frame(r, cell_voltage_volt=np.full(CELLS, 3.7)),
    "string_voltage_frozen": lambda r: with_frame(
        r, voltage_volt=CELLS * 3.71, current_ampere=r.frame.current_ampere - after(r)
    ),
    "current_frozen": lambda r: with_frame(
        r, current_ampere=-1.51, voltage_volt=r.frame.voltage_volt + after(r)
    ),
    "temperature_frozen": lambda r: with_frame(r, cell_temperature_celsius=CELSIUS),
    "cell_voltage_missing": cell(float("nan")),
    "string_voltage_missing": lambda r: with_frame(r, voltage_volt=float("nan")),
    "current_missing": lambda r: with_frame(r, current_ampere=float("nan")),
    "temperature_missing": lambda r: with_frame(
        r, cell_temperature_celsius=one(float("nan"), 25.0, SENSORS)
    ),
    "temperature_blind": lambda r: with_frame(r, cell_temperature_celsius=CELSIUS * np.nan),
    "cell_voltage_stale": every(voltage_age_second=1.1),
    "current_stale": every(current_age_second=1.1),
    "monitor_stale": watch(age_second=one(1.1, 0.0, CHIPS)),
    "cell_voltage_impossible": cell(5.1),
    "string_voltage_impossible": lambda r: with_frame(r, voltage_volt=CELLS * 4.9 + 1.0),
    "current_impossible": lambda r: with_frame(r, current_ampere=2.0 * BOARD.fuse_ampere + 1.0),
    "temperature_impossible": lambda r: with_frame(
        r, cell_temperature_celsius=one(121.0, 25.0, SENSORS)
    ),
    "contactor_plus_feedback": every(plus_feedback_closed=False),
    "contactor_minus_feedback": every(minus_feedback_closed=False),
    "contactor_precharge_feedback": every(precharge_feedback_closed=True),
    "insulation_low": every(insulation_ohm=499.0 * CELLS * 3.7),
    "insulation_lost": every(insulation_ohm=99.0 * CELLS * 3.7),
    "interlock_open": every(interlock_closed=False),
    "fuse_blown": every(fuse_intact=False),
    "gas_seen": every(gas_fraction=0.0011),
    "gas_high": every(gas_fraction=0.011),
    "runaway_suspected": every(gas_fraction=0.0011),
    "coolant_hot": every(coolant_temperature_celsius=61.0),
    "clock_error": every(clock_error_second=-2.1),
    "memory_damaged": every(memory_intact=False),
    "authentication_failed": every(authenticated=False),
    "bus_errors": every(bus_error_count=1),
    "chip_frame_errors": watch(frame_error_count=np.array([0, 1])),
    "chain_broken": watch(broken_link=1),
    "master_lost": every(request_age_second=1.1),
}


def inject(name: str, cycles: int) -> tuple[DiagnosticsState, list, float]:
    """Ten sound cycles, then a fault that stays."""
    state, before = run(TABLE, [reading(k) for k in range(10)])
    assert all(not diagnosis.troubles for diagnosis in before)
    changed = [INJECTIONS[name](reading(k)) for k in range(10, 10 + cycles)]
    state, told = run(TABLE, changed, state)
    return state, told, changed[0].clock_second


@pytest.mark.parametrize("name", INJECTIONS)
def test_each_row_is_raised_and_opens_when_its_own_columns_say(name: str) -> None:
    row = ROWS[name]
    extra = row.limit if "frozen" in name else 0.0  # as long as it must have been the same
    cycles = row.event_count + 15 + round(extra / 0.1)
    _, told, begun = inject(name, cycles)
    seen = [k for k, diagnosis in enumerate(told) if name in names(diagnosis)]
    assert seen, "never raised"
    # The first cycle of a frozen value is the one that the next are compared with.
    raised = 0.1 * seen[0] - extra - (0.1 if extra else 0.0)
    if name == "runaway_suspected":
        raised -= 0.5  # a sense speaks when its sign has stood so long
    assert raised == pytest.approx(0.1 * (row.event_count - 1), abs=0.11)
    trouble = next(t for t in told[seen[0]].troubles if t.name == name)
    if row.reaction is Reaction.OPEN:
        at = begun + 0.1 * seen[0] + row.delay_second
        assert trouble.opens_second == pytest.approx(at)
        alone = Diagnosis((trouble,))
        assert alone.must_open(at + 1e-6)
        assert not alone.must_open(at - 0.01)
    else:
        assert trouble.opens_second == float("inf")


OTHERS = {
    "voltage_spread",
    "voltage_spread_large",
    "model_voltage",
    "open_contactor_current",
    "temperature_jump",
    "contactor_weld",
    "precharge_failed",
    "runaway_imminent",
    "clock_backwards",
    "cycle_late",
}


def test_every_row_of_the_table_is_injected_in_this_file() -> None:
    assert set(INJECTIONS) | OTHERS == set(ROWS)
    assert not set(INJECTIONS) & OTHERS


@pytest.mark.parametrize("name", [name for name in INJECTIONS if "frozen" not in name])
def test_one_event_fewer_raises_nothing(name: str) -> None:
    row = ROWS[name]
    if row.event_count == 1:
        pytest.skip("one event is enough")
    state, told, _ = inject(name, row.event_count - 1)
    _, after = run(TABLE, [reading(k) for k in range(30, 60)], state)
    assert all(name not in names(diagnosis) for diagnosis in [*told, *after])


@pytest.mark.parametrize("name", ["string_voltage_frozen", "current_frozen"])
def test_a_coarse_sensor_under_a_steady_load_is_not_frozen(name: str) -> None:
    held = [
        with_frame(reading(k), voltage_volt=CELLS * 3.7, current_ampere=-1.5) for k in range(120)
    ]
    _, told = run(TABLE, held)
    assert not any(name in names(diagnosis) for diagnosis in told)


def test_cells_that_stand_apart_are_told_after_five_minutes_of_rest_only() -> None:
    def apart(k: int, amperes: float) -> Reading:
        volts = one(3.85, 3.7, CELLS) + 1e-4 * (k % 3)
        return with_frame(reading(10 * k, amperes), cell_voltage_volt=volts)

    _, told = run(TABLE, [apart(k, -1.5) for k in range(400)])
    assert not any("voltage_spread" in names(diagnosis) for diagnosis in told)
    _, told = run(TABLE, [apart(k, 0.0) for k in range(400)])
    first = next(k for k, diagnosis in enumerate(told) if "voltage_spread" in names(diagnosis))
    assert 300 <= first <= 300 + ROWS["voltage_spread"].event_count
    assert "voltage_spread_large" not in names(told[-1])


def test_a_cell_that_the_model_does_not_expect_is_named() -> None:
    count = ROWS["model_voltage"].event_count
    readings = [reading(k) for k in range(count)]
    _, told = run(TABLE, readings, estimate=charge(4.9))
    assert "model_voltage" not in names(told[-1])
    _, told = run(TABLE, readings, estimate=charge(5.1))
    trouble = next(t for t in told[-1].troubles if t.name == "model_voltage")
    assert trouble.item == CELLS - 1


def test_current_with_the_coils_off_is_told_once_the_contactors_have_had_their_time() -> None:
    def off(k: int) -> Reading:
        return with_inputs(
            reading(k), plus_feedback_closed=False, minus_feedback_closed=False, link_voltage_volt=0
        )

    _, told = run(TABLE, [off(k) for k in range(30)], driven=OPEN)
    first = next(k for k, d in enumerate(told) if "open_contactor_current" in names(d))
    assert 10 <= first <= 10 + ROWS["open_contactor_current"].event_count
    precharging = Contactors(plus_closed=False, minus_closed=True, precharge_closed=True)
    _, told = run(TABLE, [off(k) for k in range(30)], driven=precharging)
    assert not any("open_contactor_current" in names(d) for d in told)


@pytest.mark.parametrize("how", ["feedback", "link"])
def test_a_welded_contactor_is_seen_by_its_contact_or_by_a_link_that_stays_live(how: str) -> None:
    def welded(k: int) -> Reading:
        return with_inputs(
            reading(k, amperes=0.0),
            plus_feedback_closed=how == "feedback",
            minus_feedback_closed=False,
            link_voltage_volt=CELLS * 3.7 if how == "link" else 0.0,
        )

    _, told = run(TABLE, [welded(k) for k in range(120)], driven=OPEN)
    first = next(k for k, d in enumerate(told) if "contactor_weld" in names(d))
    assert first == pytest.approx(4 if how == "feedback" else 105, abs=2)


def test_a_temperature_that_jumps_is_told_at_once_and_names_its_sensor() -> None:
    jumped = with_frame(reading(1), cell_temperature_celsius=one(36.0, 25.0, SENSORS, 4))
    _, told = run(TABLE, [reading(0), jumped])
    trouble = next(t for t in told[-1].troubles if t.name == "temperature_jump")
    assert (trouble.item, trouble.value) == (4, pytest.approx(11.0))


def test_clocks_that_run_backwards_and_a_late_cycle_are_told() -> None:
    back = with_frame(reading(1), unix_time_second=1.7e9 - 5.0)
    assert "clock_backwards" in names(run(TABLE, [reading(0), back])[1][-1])
    assert "clock_backwards" in names(run(TABLE, [reading(9), reading(1)])[1][-1])
    assert "cycle_late" in names(run(TABLE, [reading(0), reading(6)])[1][-1])
    assert not names(run(TABLE, [reading(0), reading(5)])[1][-1])


def test_a_precharge_that_gave_up_is_told() -> None:
    assert "precharge_failed" in names(run(TABLE, [reading()], precharge_failed=True)[1][-1])


def test_two_senses_of_a_runaway_open() -> None:
    def going(k: int) -> Reading:
        fallen = one(3.7 - 0.02 * k, 3.7, CELLS)
        return with_inputs(with_frame(reading(k), cell_voltage_volt=fallen), gas_fraction=0.002)

    _, told = run(TABLE, [going(k) for k in range(20)])
    trouble = next(t for t in told[-1].troubles if t.name == "runaway_imminent")
    assert trouble.reaction is Reaction.OPEN
    assert trouble.item == CELLS - 1


def test_a_missing_reading_neither_counts_nor_breaks_a_row() -> None:
    high, lost = INJECTIONS["cell_voltage_high_maximum"], cell(float("nan"))
    unread = [with_frame(reading(k), cell_voltage_volt=np.full(CELLS, np.nan)) for k in range(3)]
    assert np.isnan(lost(reading()).frame.cell_voltage_volt).any()
    readings = [high(reading(k)) for k in range(4)]
    _, told = run(TABLE, [*readings, *unread])
    assert "cell_voltage_high_maximum" not in names(told[-1])
    _, told = run(TABLE, [*readings, *unread, high(reading(8))])
    assert "cell_voltage_high_maximum" in names(told[-1])
    _, told = run(TABLE, [*readings, reading(4), high(reading(5))])
    assert "cell_voltage_high_maximum" not in names(told[-1])


def test_a_fault_ends_only_after_its_hold_inside_its_hysteresis() -> None:
    row = ROWS["cell_voltage_high_recommended"]
    state, told = run(TABLE, [cell(row.limit + 0.001)(reading(k)) for k in range(6)])
    assert row.name in names(told[-1])
    inside = [cell(row.limit - 0.01)(reading(k)) for k in range(6, 306)]
    state, told = run(TABLE, inside, state)
    assert row.name in names(told[-1]), "within the hysteresis"
    hold = round(row.hold_second / 0.1)
    state, told = run(TABLE, [reading(k) for k in range(306, 306 + hold + 2)], state)
    gone = [k for k, diagnosis in enumerate(told) if row.name not in names(diagnosis)]
    assert gone[0] == pytest.approx(hold, abs=1)


def test_a_latched_fault_ends_by_a_reset_after_it_has_gone_and_not_before() -> None:
    name = "cell_voltage_high_maximum"
    change = INJECTIONS[name]
    ask = every(request=Request.RESET)
    state, _ = run(TABLE, [change(reading(k)) for k in range(20)])
    state, told = run(TABLE, [ask(change(reading(20)))], state)
    assert name in names(told[-1]), "still there"
    state, told = run(TABLE, [reading(k) for k in range(21, 200)], state)
    assert name in names(told[-1]), "gone, but nobody has looked"
    assert told[-1].must_open(20.0)
    state, told = run(TABLE, [ask(reading(200)), reading(201)], state)
    assert name not in names(told[-1])
    assert told[-1].first is None


def test_the_first_fault_stays_named_while_others_follow() -> None:
    ask = every(request=Request.RESET)
    state, told = run(TABLE, [INJECTIONS["chain_broken"](reading(k)) for k in range(10)])
    assert told[-1].first is not None
    assert told[-1].first.name == "chain_broken"
    state, told = run(
        TABLE, [INJECTIONS["interlock_open"](reading(k)) for k in range(10, 20)], state
    )
    assert {"chain_broken", "interlock_open"} <= names(told[-1])
    assert told[-1].first.name == "chain_broken"
    _, told = run(TABLE, [ask(reading(k)) for k in range(20, 100)], state)
    assert told[-1].first is None


def test_a_warning_does_not_take_the_place_of_the_first_fault() -> None:
    both = [INJECTIONS["clock_error"](INJECTIONS["interlock_open"](reading(k))) for k in range(40)]
    state, _ = run(TABLE, [INJECTIONS["clock_error"](reading(k)) for k in range(15)])
    _, told = run(TABLE, both, state)
    assert told[-1].first is not None
    assert told[-1].first.name == "interlock_open"


def test_a_reading_that_cannot_be_is_the_sensors_fault_and_not_the_cells() -> None:
    _, told = run(TABLE, [cell(9.9)(reading(k)) for k in range(20)])
    assert "cell_voltage_impossible" in names(told[-1])
    assert "cell_voltage_high_maximum" not in names(told[-1])


def test_the_item_is_the_cell_that_is_at_fault() -> None:
    volts = one(2.0, 3.7, CELLS, 7)
    _, told = run(TABLE, [with_frame(reading(k), cell_voltage_volt=volts) for k in range(6)])
    assert {t.item for t in told[-1].troubles if t.name.startswith("cell_voltage_low")} == {7}


def test_many_packs_at_once_are_judged_as_each_alone() -> None:
    made = [reading, INJECTIONS["cell_voltage_high_maximum"], INJECTIONS["insulation_lost"]]
    alone = [diagnose.begin(TABLE, SENSORS) for _ in made]
    together = diagnose.begin(TABLE, SENSORS, (3,))
    for k in range(30):
        readings = [reading(k), made[1](reading(k)), made[2](reading(k))]
        senses = [sensed(r, CLOSED) for r in readings]
        alone = [diagnose.advance(TABLE, s, x)[0] for s, x in zip(alone, senses, strict=True)]
        stacked = type(senses[0])(
            *(None if x[0] is None else np.stack(x) for x in zip(*senses, strict=True))
        )
        together, _ = diagnose.advance(TABLE, together, stacked)
    for index, state in enumerate(alone):
        assert (together.tally.active[index] == state.tally.active).all()
        assert np.array_equal(
            together.tally.opens_second[index], state.tally.opens_second, equal_nan=True
        )
    assert not together.tally.active[0].any()


@given(st.lists(st.sampled_from([*INJECTIONS, ""]), max_size=12), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_whatever_happens_a_state_is_left_alone_and_resumed_is_uninterrupted(
    what: list[str], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    readings = []
    for name in what:
        for _ in range(int(rng.integers(1, 8))):
            given_ = reading(len(readings))
            readings.append(INJECTIONS[name](given_) if name else given_)
    _, whole = run(TABLE, readings)
    cut = int(rng.integers(0, len(readings) + 1))
    state, head = run(TABLE, readings[:cut])
    _, tail = run(TABLE, readings[cut:], state)
    _, again = run(TABLE, readings[cut:], state)
    assert [*head, *tail] == whole
    assert tail == again


def test_a_table_of_ones_own_takes_the_place_of_the_packs() -> None:
    tight = replace(ROWS["gas_seen"], limit=0.0001)
    own: Diagnostics = diagnose.diagnostics_of(pack(), BOARD, (tight,))
    _, told = run(own, [every(gas_fraction=0.0002)(reading(k)) for k in range(20)])
    assert names(told[-1]) == {"gas_seen"}
