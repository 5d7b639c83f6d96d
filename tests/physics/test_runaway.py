import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import CHEMISTRIES
from cellwarden.physics import runaway
from cellwarden.physics.circuit import circuit_of
from cellwarden.physics.runaway import Runaway, RunawayState
from cellwarden.physics.thermal import thermal_of

AMPERE_HOURS = 3.0
CELL: Runaway = runaway.runaway_of(
    circuit_of(CHEMISTRIES["NMC"], AMPERE_HOURS), thermal_of(AMPERE_HOURS), AMPERE_HOURS
)
CAPACITY = CELL.thermal.heat_capacity_joule_per_kelvin


def go(
    state: RunawayState, second: float, siemens: float = 0.0, watt: float = 0.0, part: float = 1.0
) -> tuple[RunawayState, np.ndarray]:
    count = len(state.temperature_celsius)
    short, heater = np.zeros(count), np.zeros(count)
    short[0], heater[0] = siemens, watt
    sums = np.zeros((5, count))
    for _ in range(round(second / part)):
        state, heats = runaway.advance(
            CELL, state, part, short_siemens=short, outside_watt=heater, air_celsius=25.0
        )
        sums += np.stack(heats)
    return state, sums


@given(st.floats(0.0, 1.0), st.floats(0.0, 8.0), st.floats(0.0, 300.0), st.integers(1, 5))
@settings(max_examples=15)
def test_every_joule_is_booked(soc: float, siemens: float, watt: float, count: int) -> None:
    begun = runaway.begin(np.full(count, soc), 25.0)
    state, (reaction, ejected, short, outside, lost) = go(begun, 20.0, siemens, watt)
    stored = CAPACITY * (state.temperature_celsius - begun.temperature_celsius).sum()
    booked = (reaction - ejected + short + outside - lost).sum()
    assert stored == pytest.approx(booked, rel=1e-9, abs=1e-6)


def test_the_heat_of_a_full_cell_is_that_of_the_databank_and_no_more() -> None:
    state, (reaction, ejected, *_) = go(runaway.begin(np.ones(1), 25.0), 150.0, watt=200.0)
    assert state.extent_fraction[0] == pytest.approx(1.0)
    heat = 1000.0 * runaway.HEAT_KJ_PER_GRAM * 15.0 * AMPERE_HOURS
    assert reaction[0] == pytest.approx(heat, rel=1e-6)
    assert ejected[0] == pytest.approx((1.0 - runaway.KEPT_FRACTION) * heat, rel=1e-6)


def test_an_emptier_cell_holds_less_heat() -> None:
    state = runaway.begin(np.array([0.0, 0.4, 0.6, 1.0]), 25.0)
    assert state.heat_factor.tolist() == [0.03, 0.22, 0.70, 1.0]


def test_a_cell_heats_itself_at_onset_as_fast_as_the_databanks_heater_did() -> None:
    begun = runaway.begin(np.ones(1), runaway.ONSET_CELSIUS)
    _, (reaction, ejected, *_) = go(begun, 0.02, part=0.02)
    rate = (reaction - ejected)[0] / CAPACITY / 0.02
    assert rate == pytest.approx((runaway.ONSET_CELSIUS - 25.0) / 102.0, rel=0.02)


def test_a_cell_at_rest_stays_as_it_is_for_minutes() -> None:
    state, _ = go(runaway.begin(np.full(2, 0.9), 25.0), 120.0, part=60.0)
    assert state.temperature_celsius == pytest.approx(25.0, abs=1e-3)
    assert state.extent_fraction == pytest.approx(0.0, abs=1e-6)
    assert state.gas_fraction == 0.0


def test_a_hard_short_ends_in_a_runaway_with_a_collapsed_voltage_and_gas() -> None:
    state, _ = go(runaway.begin(np.full(3, 0.9), 25.0), 255.0, siemens=5.0 * AMPERE_HOURS / 3.7)
    volts = runaway.shown_volt(CELL, state, np.zeros(3))
    assert state.extent_fraction[0] > 0.99
    assert state.temperature_celsius[0] > 300.0
    assert volts[0] < 2.5
    assert volts[2] > 4.0
    assert state.gas_fraction > 0.01


def test_how_the_time_is_cut_does_not_matter() -> None:
    begun = runaway.begin(np.full(2, 0.9), 25.0)
    whole, _ = go(begun, 60.0, siemens=4.0, part=60.0)
    pieces, _ = go(begun, 60.0, siemens=4.0, part=0.5)
    assert whole.temperature_celsius == pytest.approx(pieces.temperature_celsius, rel=1e-9)
    before = begun.temperature_celsius.copy()
    assert (begun.temperature_celsius == before).all()
