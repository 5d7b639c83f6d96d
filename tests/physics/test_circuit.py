import os
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import CHEMISTRIES
from cellwarden.physics import circuit as circuits
from cellwarden.physics.circuit import CircuitState, circuit_of

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
NMC = circuit_of(CHEMISTRIES["NMC"], 3.0)
ONE, ZERO = np.ones(1), np.zeros(1)


def walk(current: float, periods: list[float]) -> tuple[CircuitState, np.ndarray]:
    state, volts = CircuitState(np.full(1, 0.5), ZERO, ZERO), ZERO
    for period in periods:
        state, volts = circuits.step(
            NMC, state, np.full(1, current), ONE, capacity_ah=3.0 * ONE, period_second=period
        )
    return state, volts


@given(st.floats(-3.0, 3.0), st.lists(st.floats(0.01, 200.0), min_size=1, max_size=20))
def test_one_long_step_is_many_short_ones(current: float, periods: list[float]) -> None:
    many, one = walk(current, periods), walk(current, [sum(periods)])
    assert np.allclose(many[1], one[1], atol=1e-9)
    assert np.allclose(many[0].soc_fraction, one[0].soc_fraction, atol=1e-12)


def test_a_pulse_rises_as_the_solution_on_paper() -> None:
    _, volts = walk(-3.0, [10.0])
    soc = 0.5 - 3.0 * 10.0 / 3600.0 / 3.0
    drop = 0.053 + 0.033 * (1.0 - np.exp(-1.0)) + 0.053 * (1.0 - np.exp(-10.0 / 150.0))
    ocv = np.interp(soc, CHEMISTRIES["NMC"].ocv_soc_fraction, CHEMISTRIES["NMC"].ocv_volt)
    assert volts[0] == pytest.approx(ocv - drop, abs=1e-9)


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_the_even_grid_keeps_every_point_of_the_chemistry(name: str) -> None:
    chemistry = CHEMISTRIES[name]
    circuit = circuit_of(chemistry, 1.0)
    grid = np.array(chemistry.ocv_soc_fraction)
    assert np.allclose(circuits.open_circuit_voltage(circuit, grid), chemistry.ocv_volt, atol=1e-12)


@given(st.floats(-0.5, 1.5))
def test_the_open_circuit_voltage_rises_with_charge_even_outside_0_to_1(soc: float) -> None:
    low, high = circuits.open_circuit_voltage(NMC, np.array([soc, soc + 0.01]))
    assert high >= low >= 0.0
    assert circuits.open_circuit_slope(NMC, np.array([soc]))[0] > 0.0


def test_cold_raises_the_resistance_and_25_degrees_is_the_reference() -> None:
    factors = circuits.arrhenius(23_000.0, np.array([-20.0, 0.0, 25.0, 45.0]))
    assert np.all(np.diff(factors) < 0.0)
    assert factors[2] == pytest.approx(1.0)
    assert 4.0 < factors[0] < 6.0


def test_the_last_axis_is_the_cell() -> None:
    state = CircuitState(np.full((2, 3), 0.5), np.zeros((2, 3)), np.zeros((2, 3)))
    current = np.array([1.0, 0.0, -1.0])
    after, volts = circuits.step(
        NMC, state, current, np.ones(3), capacity_ah=np.full(3, 3.0), period_second=1.0
    )
    assert volts.shape == after.soc_fraction.shape == (2, 3)
    assert np.all(np.diff(volts, axis=1) < 0.0)


def rows_of(query: str, *path: str) -> dict[str, np.ndarray]:
    file = DATA.joinpath(*path)
    if not file.exists():
        pytest.skip(f"needs {'/'.join(path)} under CELLWARDEN_DATA")
    found = duckdb.execute(query, [str(file)]).fetchnumpy()
    return {name: np.asarray(column, dtype=np.float64) for name, column in found.items()}


def settled(current: np.ndarray, second: float) -> np.ndarray:
    """The current through the resistor of a pair, at 1 Hz."""
    decay, out = np.exp(-1.0 / second), np.zeros(len(current))
    for index in range(1, len(current)):
        out[index] = decay * out[index - 1] + (1.0 - decay) * current[index]
    return out


def test_the_resistances_of_nmc_are_those_of_the_lg_cell_at_25_degrees() -> None:
    rows = rows_of(
        "select voltage_V as volt, current_A as ampere, soc from read_parquet(?)"
        " where test = '551_Mixed1' order by time_s",
        *("lg_hg2", "drive_1hz.parquet"),
    )
    ampere = rows["ampere"]
    over = rows["volt"] - circuits.open_circuit_voltage(NMC, rows["soc"])
    pairs = np.stack([ampere, settled(ampere, 10.0), settled(ampere, 150.0)], axis=1)
    inner = (rows["soc"] > 0.15) & (rows["soc"] < 0.95)
    found, *_ = np.linalg.lstsq(pairs[inner], over[inner], rcond=None)
    expected = [NMC.ohmic_ohm, NMC.fast_ohm, NMC.slow_ohm]
    assert found == pytest.approx(expected, rel=0.03)
    assert np.std(over[inner] - pairs[inner] @ found) < 0.012


@pytest.mark.parametrize(
    ("chemistry", "capacity", "path", "where"),
    [
        ("LFP", 2.2, "k2_lfp_26650_hppc_1hz.parquet", "set_C in (20, 30)"),
        ("LMO", 33.0, "nissan_leaf_lmo_33Ah.parquet", "test = 'hppc_25C'"),
    ],
)
def test_a_ten_second_pulse_drops_as_in_the_measured_cell(
    chemistry: str, capacity: float, path: str, where: str
) -> None:
    rows = rows_of(
        "select time_s, voltage_V as volt, current_A as ampere from read_parquet(?)"
        f" where {where} order by {'set_C,' if 'set_C' in where else ''} time_s",
        *("reference_cells", path),
    )
    ampere, volt, time = rows["ampere"], rows["volt"], rows["time_s"]
    begins = np.flatnonzero((np.abs(ampere[:-1]) < 0.05) & (ampere[1:] < -0.3 * capacity))
    drops = [
        (volt[begin + 9] - volt[begin]) / ampere[begin + 9]
        for begin in begins
        if begin + 9 < len(time) and ampere[begin + 9] < -0.3 * capacity
    ]
    circuit = circuit_of(CHEMISTRIES[chemistry], capacity)
    expected = circuit.ohmic_ohm + circuit.fast_ohm * (1.0 - np.exp(-1.0))
    assert len(drops) >= 9
    assert np.median(drops) == pytest.approx(expected, rel=0.15)
