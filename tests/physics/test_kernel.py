import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import CHEMISTRIES
from cellwarden.physics import kernel, row
from cellwarden.physics.circuit import circuit_of
from cellwarden.physics.row import Rule
from cellwarden.physics.thermal import thermal_of


def cells_of(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    state = np.zeros((row.STATE_ROWS, count))
    state[row.SOC] = generator.uniform(0.02, 0.98, count)
    state[row.TEMPERATURE] = generator.uniform(-20.0, 50.0, count)
    state[row.LOW_SOC] = state[row.HIGH_SOC] = state[row.SOC]
    cells = np.zeros((6, count))
    cells[row.CAPACITY] = generator.uniform(2.0, 3.0, count)
    cells[row.RESISTANCE_FACTOR] = generator.uniform(0.8, 2.0, count)
    cells[row.CONTACT_OHM] = generator.uniform(0.0, 0.01, count)
    cells[row.LEAK_SIEMENS] = generator.uniform(0.0, 0.05, count)
    cells[row.BLEED_SIEMENS] = generator.uniform(0.0, 0.05, count)
    cells[row.AIR_FACTOR] = generator.choice([0.0, 1.0, 5.0], count)
    return state, cells


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 7),
    chemistry=st.sampled_from(sorted(CHEMISTRIES)),
    phase=st.integers(0, 4),
    period=st.sampled_from([0.1, 1.0, 30.0]),
    closed=st.booleans(),
)
def test_the_compiled_walk_is_the_walk(
    *, seed: int, count: int, chemistry: str, phase: int, period: float, closed: bool
) -> None:
    generator = np.random.default_rng(seed)
    kind = CHEMISTRIES[chemistry]
    state, cells = cells_of(count, generator)
    rule = Rule(
        low_volt=kind.low_voltage_volt,
        high_volt=kind.high_voltage_volt,
        charge_ampere=1.5,
        cutoff_ampere=0.15,
        end_ampere=0.6,
        rest_step_count=20,
        contactors_closed=closed,
        charge_limit_ampere=float(generator.choice([0.5, np.inf])),
        discharge_limit_ampere=float(generator.choice([1.0, np.inf])),
        period_second=period,
    )
    demand, air = generator.normal(-1.0, 2.0, 200), generator.normal(20.0, 5.0, 200)
    walks = []
    for advance in (row.advance, kernel.advance):
        own, machine = state.copy(), np.array([phase, 5])
        shown = advance(
            own,
            machine,
            cells,
            demand,
            air,
            circuit=circuit_of(kind, 3.0),
            thermal=thermal_of(3.0),
            rule=rule,
        )
        walks.append((*shown, own, machine))
    for reference, compiled in zip(*walks, strict=True):
        assert np.allclose(reference, compiled, rtol=1e-9, atol=1e-9)


def test_a_rest_lasts_as_long_as_asked() -> None:
    kind = CHEMISTRIES["LFP"]
    state, cells = cells_of(1, np.random.default_rng(0))
    state[row.TEMPERATURE] = 25.0
    cells[row.LEAK_SIEMENS] = 0.0
    rule = Rule(
        low_volt=kind.low_voltage_volt,
        high_volt=kind.high_voltage_volt,
        charge_ampere=1.0,
        cutoff_ampere=0.1,
        end_ampere=1.0,
        rest_step_count=7,
        contactors_closed=True,
        charge_limit_ampere=9.0,
        discharge_limit_ampere=9.0,
        period_second=1.0,
    )
    machine = np.array([row.EMPTY_REST, 7])
    _, _, amperes = row.advance(
        state,
        machine,
        cells,
        np.full(20, -1.0),
        np.full(20, 25.0),
        circuit=circuit_of(kind, 3.0),
        thermal=thermal_of(3.0),
        rule=rule,
    )
    assert np.count_nonzero(amperes == 0.0) == 7
    assert amperes[7:] == pytest.approx(1.0)
