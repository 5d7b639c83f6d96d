import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cellwarden.control.prospect import HORIZONS, Lags, View, flow, forecast, prospect_of
from cellwarden.domain import CHEMISTRIES
from cellwarden.errors import UsageError
from cellwarden.physics.circuit import (
    CircuitState,
    arrhenius,
    circuit_of,
    open_circuit_voltage,
    step,
)
from control.scene import pack_of

KINDS = st.sampled_from(sorted(CHEMISTRIES))


@settings(max_examples=200)
@example(kind="Na-ion", soc=0.9375, celsius=0.0, off=(2.0, 0.0), past=[])
@example(kind="Na-ion", soc=0.96875, celsius=0.0, off=(2.0, 0.0), past=[])
@given(
    kind=KINDS,
    soc=st.floats(0.02, 0.98),
    celsius=st.floats(-15.0, 45.0),
    off=st.tuples(st.floats(0.8, 2.0), st.floats(-0.02, 0.02)),
    past=st.lists(st.tuples(st.floats(-1.5, 1.0), st.floats(1.0, 300.0)), max_size=3),
)
def test_the_forecast_current_keeps_a_cell_inside_its_window(
    kind: str,
    soc: float,
    celsius: float,
    off: tuple[float, float],
    past: list[tuple[float, float]],
) -> None:
    """The true cell differs by a fifth in resistance and by two deviations in charge."""
    (age, error), pack = off, pack_of(kind, 1)
    prospect, edges = prospect_of(pack), pack.cell.limits.operating
    circuit = circuit_of(pack.cell.chemistry, 50.0)
    factor = np.array([age * arrhenius(circuit.activation_joule_per_mole, np.array(celsius))])
    one = np.ones(1)
    state, lags = CircuitState(soc * one, 0 * one, 0 * one), Lags()
    current, volt = 0.0, open_circuit_voltage(circuit, soc * one)
    for rate, second in past:
        current = rate * 50.0
        state, volt = step(
            circuit, state, current * one, factor, capacity_ah=50.0 * one, period_second=second
        )
        lags = flow(prospect, lags, current, second)
    inside = edges.low_voltage_volt <= volt[0] <= edges.high_voltage_volt
    if not inside or not 0.0 < state.soc_fraction[0] < 1.0:
        return
    seen = state.soc_fraction + error
    for told in (age / 1.19, age):
        view = View(volt, current, celsius, 50.0, told, seen - 0.02, seen + 0.02)
        charge, discharge = forecast(prospect, lags, view)
        for row, second in enumerate(HORIZONS):
            for amperes in (charge[row], -discharge[row]):
                end = step(
                    circuit, state, amperes, factor, capacity_ah=50.0 * one, period_second=second
                )
                if amperes[0] != 0.0 and 0.0 <= end[0].soc_fraction[0] <= 1.0:
                    assert edges.low_voltage_volt - 1e-6 <= end[1][0]
                    assert end[1][0] <= edges.high_voltage_volt + 1e-6


@given(KINDS, st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(-20.0, 60.0))
def test_fuller_never_charges_more_and_emptier_never_gives_more(
    kind: str, a: float, b: float, celsius: float
) -> None:
    pack = pack_of(kind, 2)
    chemistry = pack.cell.chemistry
    soc = np.array([min(a, b), max(a, b)])
    volt = np.interp(soc, chemistry.ocv_soc_fraction, chemistry.ocv_volt)
    view = View(volt, 0.0, celsius, 50.0, 1.0, soc, soc)
    charge, discharge = forecast(prospect_of(pack), Lags(), view)
    assert np.all(charge[:, 1] <= charge[:, 0] + 1e-9)
    assert np.all(discharge[:, 1] >= discharge[:, 0] - 1e-9)
    assert np.all(np.diff(charge, axis=0) <= 1e-9), "a longer horizon never allows more"
    assert np.all(np.diff(discharge, axis=0) <= 1e-9)


def test_a_charge_that_is_not_known_never_allows_more() -> None:
    pack = pack_of("LFP", 50)
    soc = np.linspace(0.12, 0.88, 50)
    volt = np.interp(soc, pack.cell.chemistry.ocv_soc_fraction, pack.cell.chemistry.ocv_volt)
    prospect = prospect_of(pack)
    known = forecast(prospect, Lags(), View(volt, 0.0, 25.0, 50.0, 1.0, soc, soc))
    blind = forecast(prospect, Lags(), View(volt, 0.0, 25.0, 50.0, 1.0))
    for with_soc, without in zip(known, blind, strict=True):
        assert np.all(without <= with_soc + 1e-9)


def test_a_cell_that_is_not_read_has_no_forecast_and_a_silent_sensor_moves_no_lag() -> None:
    prospect = prospect_of(pack_of(count=2))
    charge, _ = forecast(prospect, Lags(), View(np.array([3.7, np.nan]), 0.0, 25.0, 50.0, 1.0))
    assert np.isfinite(charge[:, 0]).all()
    assert np.isnan(charge[:, 1]).all()
    lags = Lags(1.0, 2.0)
    assert flow(prospect, lags, float("nan"), 1.0) == lags
    assert flow(prospect, lags, 50.0, 1e6).slow_ampere == pytest.approx(50.0)


def test_a_horizon_behind_us_is_refused() -> None:
    with pytest.raises(UsageError):
        prospect_of(pack_of(), (2.0, 0.0))
