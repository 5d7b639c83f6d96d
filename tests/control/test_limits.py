import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cellwarden.cli.bench import load_script
from cellwarden.control.limits import Known, Limited, capability, limits_of, step
from cellwarden.domain import (
    CHEMISTRIES,
    Allowance,
    Capability,
    Ceiling,
    Charge,
    Condition,
    Diagnosis,
    Frame,
    Inputs,
    Monitors,
    Reaction,
    Reading,
    Trouble,
)
from control.scene import NOW, charge_of, condition_of, pack_of, reading_of

COUNT = 4
ALL = {kind: limits_of(pack_of(kind)) for kind in CHEMISTRIES}
LIMITS = ALL["NMC"]
NAN, INF = float("nan"), float("inf")
VOLTS = [3.7] * COUNT
KNOWN = Known(charge_of(0.5), condition_of())


def run(
    readings: list[Reading], known: Known = KNOWN, state: Limited | None = None, kind: str = "NMC"
) -> list[Allowance]:
    now, out = state or Limited(), []
    for reading in readings:
        now, told = step(ALL[kind], now, reading, known)
        out.append(told)
    return out


def settled(reading: Reading, known: Known = KNOWN, kind: str = "NMC") -> Allowance:
    """The allowance after this has been read for long."""
    frame = reading.frame
    readings = [
        replace(
            reading,
            clock_second=float(second),
            frame=replace(frame, unix_time_second=NOW),
        )
        for second in range(40)
    ]
    return run(readings, known, kind=kind)[-1]


def cells(low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    value = st.one_of(
        st.floats(low, high, width=32), st.sampled_from([NAN, INF, -INF, 0.0, -1.0, 1e9])
    )
    return npst.arrays(np.float32, COUNT, elements=value)


@st.composite
def anything(draw: st.DrawFn, clock: float) -> Reading:
    """Whatever a driver, or a fault in it, can hand over."""
    number = st.one_of(st.floats(-200.0, 200.0), st.sampled_from([NAN, INF, -INF]))
    frame = Frame(
        draw(st.sampled_from([NOW, NOW + 100.0, 0.0])),
        draw(number),
        draw(number),
        draw(cells(2.0, 4.5)),
        draw(cells(-30.0, 70.0)),
    )
    monitors = Monitors(
        np.zeros(1, dtype=int), np.ones(1), np.zeros(1), np.zeros(COUNT, dtype=bool)
    )
    return Reading(clock, frame, monitors, Inputs(voltage_age_second=draw(st.sampled_from([0, 5]))))


@st.composite
def whatever(draw: st.DrawFn) -> Known:
    """Whatever others can say."""
    free = npst.arrays(np.float64, COUNT, elements=st.floats(-1e3, 1e3) | st.just(NAN))
    soc = Charge(NOW, draw(free), draw(free), np.zeros(COUNT), np.ones(COUNT))
    table = draw(free)[None, :]
    trouble = Trouble("x", draw(st.sampled_from(Reaction)), 0.0, 1.0, 1.0)
    magnitude = st.sampled_from([0.0, 1.0, 50.0, INF])
    order = Ceiling("o", draw(magnitude), draw(magnitude), draw(magnitude), draw(magnitude))
    return Known(
        draw(st.sampled_from([None, soc])),
        draw(st.sampled_from([None, Condition(draw(free), draw(free))])),
        draw(st.sampled_from([None, Capability(NOW, (10.0,), table, table)])),
        Diagnosis((trouble,)) if draw(st.booleans()) else Diagnosis(),
        (order,) if draw(st.booleans()) else (),
    )


@settings(max_examples=100)
@given(st.data(), st.sampled_from(sorted(CHEMISTRIES)))
def test_an_allowance_is_a_number_within_the_tier_with_a_reason_whatever_comes(
    data: st.DataObject, kind: str
) -> None:
    tier = ALL[kind].pack.cell.limits.operating
    state, before = Limited(), Allowance(0.0, 0.0, 0.0, 0.0)
    clock = 0.0
    for _ in range(data.draw(st.integers(1, 6))):
        passed = data.draw(st.sampled_from([0.1, 1.0, 40.0, 0.0, -5.0]))
        clock += passed
        reading, known = data.draw(anything(clock)), data.draw(whatever())
        state, told = step(ALL[kind], state, reading, known)
        for amperes, watts, most, by, was in (
            (told.charge_ampere, told.charge_watt, tier.high_charge_current_ampere,
             told.charge_by, before.charge_ampere),
            (told.discharge_ampere, told.discharge_watt, tier.high_discharge_current_ampere,
             told.discharge_by, before.discharge_ampere),
        ):  # fmt: skip
            assert 0.0 <= amperes <= most
            assert 0.0 <= watts < INF
            assert by
            assert amperes == by[0].limit_ampere
            assert amperes - was <= 0.05 * most * min(max(passed, 0.0), 1.0) + 1e-9
        assert 0.0 <= told.cooling_fraction <= 1.0
        before = told


@settings(max_examples=60)
@given(st.floats(40.0, 60.0), st.floats(40.0, 60.0), st.floats(0.0, 1.0))
def test_hotter_never_allows_more(a: float, b: float, soc: float) -> None:
    chemistry = LIMITS.pack.cell.chemistry
    volts = [float(np.interp(soc, chemistry.ocv_soc_fraction, chemistry.ocv_volt))] * COUNT
    known = Known(charge_of(soc), condition_of())
    warm = settled(reading_of(volts, celsius=min(a, b)), known)
    hot = settled(reading_of(volts, celsius=max(a, b)), known)
    assert hot.charge_ampere <= warm.charge_ampere + 1e-9
    assert hot.discharge_ampere <= warm.discharge_ampere + 1e-9
    assert hot.cooling_fraction >= warm.cooling_fraction


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(CHEMISTRIES)),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.floats(-10.0, 50.0),
)
@example("LCO", 1.0, 0.015625, 1.0)
def test_fuller_never_charges_more_and_emptier_never_gives_more(
    kind: str, a: float, b: float, celsius: float
) -> None:
    told = []
    for soc in (min(a, b), max(a, b)):
        chemistry = ALL[kind].pack.cell.chemistry
        volt = float(np.interp(soc, chemistry.ocv_soc_fraction, chemistry.ocv_volt))
        # A cell within the window: deep discharge has a test of its own.
        reading = reading_of([volt] * COUNT, celsius=celsius)
        told.append(settled(reading, Known(charge_of(soc), condition_of()), kind))
    assert told[1].charge_ampere <= told[0].charge_ampere + 1e-6
    assert told[1].discharge_ampere >= told[0].discharge_ampere - 1e-6


@settings(max_examples=60)
@given(st.data())
def test_a_drop_acts_in_the_same_step(data: st.DataObject) -> None:
    state = Limited()
    for second in range(40):
        state, whole = step(LIMITS, state, reading_of(VOLTS, float(second)), KNOWN)
    assert whole.charge_ampere == 50.0
    worse = data.draw(
        st.sampled_from(
            [
                (reading_of([3.7, 4.21, 3.7, 3.7], 40.1), KNOWN, 0.0),
                (reading_of(VOLTS, 40.1, celsius=45.5), KNOWN, 0.0),
                (reading_of(VOLTS, 40.1), replace(KNOWN, ceilings=(Ceiling("hub", 7.0),)), 7.0),
                (reading_of([3.7, NAN, 3.7, 3.7], 42.0), KNOWN, 0.0),
            ]
        )
    )
    _, told = step(LIMITS, state, worse[0], worse[1])
    assert told.charge_ampere == worse[2]
    assert told.charge_by[0].limit_ampere == worse[2]


def test_a_limit_comes_back_after_half_a_minute_with_the_reason_for_its_fall() -> None:
    readings = [reading_of(VOLTS, float(s)) for s in range(40)]
    readings += [reading_of([3.7, 4.3, 3.7, 3.7], 40.0)]
    readings += [reading_of(VOLTS, 40.0 + s) for s in range(1, 61)]
    known = replace(KNOWN, charge=charge_of(0.5, 40.0))
    told = run(readings, known)
    assert told[39].charge_ampere == 50.0
    assert [t.charge_ampere for t in told[40:70]] == [0.0] * 30
    assert told[60].charge_by[0].name == "recovery"
    assert told[60].charge_by[0].value == pytest.approx(10.0)
    assert told[60].charge_by[1].name == "voltage"
    assert told[60].charge_by[1].value == pytest.approx(4.3)
    rise = np.diff([t.charge_ampere for t in told[69:91]])
    assert np.allclose(rise[:20], 2.5)
    assert told[-1].charge_ampere == 50.0
    assert told[-1].charge_by[0].name == "tier"


def test_a_lost_frame_lets_nothing_rise_and_a_lost_sensor_ends_charging() -> None:
    state = Limited()
    for second in range(40):
        state, _ = step(LIMITS, state, reading_of(VOLTS, float(second)), KNOWN)
    lost = [3.7, NAN, 3.7, 3.7]
    state, told = step(LIMITS, state, reading_of(lost, 39.1), KNOWN)
    assert told.charge_ampere == 50.0
    assert told.charge_by[0].name == "missing_voltage"
    assert told.charge_by[0].item == 1
    state, told = step(LIMITS, state, reading_of(lost, 40.5), KNOWN)
    assert told.charge_ampere == 0.0
    assert told.discharge_ampere == pytest.approx(15.0)
    _, told = step(LIMITS, state, reading_of(VOLTS, 40.6), KNOWN)
    assert told.charge_ampere == 0.0, "it comes back as after any fall"


def test_a_pack_that_loses_frames_now_and_then_still_comes_up() -> None:
    readings = [
        reading_of([NAN] * COUNT if index % 7 == 3 else VOLTS, 0.1 * index) for index in range(400)
    ]
    assert run(readings)[-1].charge_ampere == 50.0


@given(
    st.sampled_from(sorted(CHEMISTRIES)),
    st.floats(0.05, 0.95),
    st.floats(-100.0, 50.0),
    st.floats(0.0, 45.0),
)
@settings(max_examples=60)
def test_who_obeys_the_power_obeys_the_current(
    kind: str, soc: float, flowing: float, celsius: float
) -> None:
    """The true pack has a fifth less or more resistance than is believed."""
    limits = ALL[kind]
    chemistry = limits.pack.cell.chemistry
    rest = float(np.interp(soc, chemistry.ocv_soc_fraction, chemistry.ocv_volt))
    ohm = float(limits.prospect.ohm[:, limits.horizon_index].sum())
    ohm *= math.exp(
        limits.prospect.activation_joule_per_mole / 8.314462618
        * (1.0 / (celsius + 273.15) - 1.0 / 298.15)
    )  # fmt: skip
    for off in (0.85, 1.15):
        volt = rest + off * ohm * flowing
        reading = reading_of([volt] * COUNT, celsius=celsius, ampere=flowing)
        told = settled(reading, Known(charge_of(soc), condition_of()), kind)
        if told.charge_ampere:
            at = COUNT * (rest + off * ohm * told.charge_ampere)
            assert told.charge_watt <= at * told.charge_ampere * (1.0 + 1e-5)
        if told.discharge_ampere:
            at = COUNT * (rest - off * ohm * told.discharge_ampere)
            assert told.discharge_watt <= at * told.discharge_ampere * (1.0 + 1e-5)


def test_cooling_is_asked_for_with_hysteresis_and_in_full_where_nobody_knows() -> None:
    warmth = [29.0, 30.5, 28.0, 26.9, 45.0, NAN]
    told = run([reading_of(VOLTS, float(k), celsius=c) for k, c in enumerate(warmth)])
    asked = [t.cooling_fraction for t in told]
    assert asked[0] == 0.0
    assert asked[1] > 0.2
    assert asked[2] == 0.2, "still on within the hysteresis"
    assert asked[3] == 0.0
    assert asked[4:] == [1.0, 1.0]


def test_every_horizon_is_told_on_request_and_no_reading_means_no_current() -> None:
    state = Limited()
    reading = reading_of([4.19, 3.9, NAN, 3.9])
    state, _ = step(LIMITS, state, reading, KNOWN)
    told = capability(LIMITS, state, reading, KNOWN)
    assert told.horizon_second == (2.0, 10.0, 30.0, 60.0)
    assert np.all(told.charge_ampere[:, 2] == 0.0)
    assert np.all(np.diff(told.charge_ampere[:, 0]) < 0.0)
    assert np.all(told.charge_ampere[:, 0] < told.charge_ampere[:, 1])


def test_the_allowance_keeps_a_cold_and_nearly_empty_pack_inside_where_a_curve_does_not() -> None:
    bench = load_script("limits")
    ours, curve = bench.driven("limits", 60.0), bench.driven("curve", 60.0)
    assert ours["outside_second"] == 0.0
    assert curve["outside_second"] > 1.0
    assert "forecast" in ours["reasons"]


@settings(max_examples=30)
@given(st.data(), st.floats(0.0, 60.0), st.floats(0.0, 200.0))
def test_an_order_never_allows_more(data: st.DataObject, charge: float, discharge: float) -> None:
    reading, known = data.draw(anything(0.0)), data.draw(whatever())
    free = settled(reading, replace(known, ceilings=()))
    order = Ceiling("hub", charge, discharge)
    told = settled(reading, replace(known, ceilings=(order,)))
    assert told.charge_ampere <= min(free.charge_ampere, charge)
    assert told.discharge_ampere <= min(free.discharge_ampere, discharge)


@settings(max_examples=25)
@given(st.data(), st.floats(2.9, 4.15), st.integers(0, 3), st.floats(-20.0, 60.0))
def test_losing_a_reading_never_allows_more(
    data: st.DataObject, volt: float, cell: int, celsius: float
) -> None:
    volts, warmth = np.full(4, volt), np.array([25.0, celsius])
    flows = data.draw(st.floats(-50.0, 50.0))
    state = Limited()
    for second in range(40):
        whole = reading_of(volts, float(second), celsius=warmth, ampere=flows)
        state, was = step(LIMITS, state, whole, KNOWN)
    lost, half = volts.copy(), warmth.copy()
    lost[cell] = half[cell % 2] = NAN
    left = data.draw(
        st.sampled_from([(lost, warmth, flows), (volts, warmth * NAN, flows), (volts, half, flows),
                         (volts, warmth, NAN)])
    )  # fmt: skip
    known = data.draw(st.sampled_from([KNOWN, replace(KNOWN, charge=None)]))
    for second in range(40, 140):
        reading = reading_of(left[0], float(second), celsius=left[1], ampere=left[2])
        state, now = step(LIMITS, state, reading, known)
        assert now.charge_ampere <= was.charge_ampere
        assert now.discharge_ampere <= was.discharge_ampere
    if left[1] is not half:
        assert now.charge_ampere == 0.0
        assert now.discharge_ampere <= 15.0 + 1e-9
    else:
        assert now.charge_ampere <= 25.0
