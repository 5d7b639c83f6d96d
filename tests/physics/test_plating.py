from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.physics import particle
from cellwarden.physics.plating import (
    CAPACITY_AH,
    anode_volt,
    graphite,
    highest_rate,
    plating_of,
    read_rate,
)

TABLE = plating_of(0.01)


def test_the_table_never_rises_with_charge_nor_falls_with_temperature() -> None:
    assert np.all(np.diff(TABLE.rate_per_hour, axis=1) <= 0.0)
    assert np.all(np.diff(TABLE.rate_per_hour, axis=0) >= 0.0)
    assert 0.0 < TABLE.rate_per_hour.min() < 0.2
    assert TABLE.rate_per_hour.max() == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize("celsius", [-10.0, 5.0, 25.0, 40.0])
@pytest.mark.parametrize("soc", [0.1, 0.4, 0.8])
def test_the_tables_rate_keeps_the_particles_above_the_margin(soc: float, celsius: float) -> None:
    cell = graphite()
    shells = particle.full(cell, (1.0 - soc) * CAPACITY_AH)
    ampere = read_rate(TABLE, celsius, soc + 0.1) * CAPACITY_AH
    for _ in range(int(0.1 * CAPACITY_AH / ampere * 3600.0 / 20.0)):
        shells, _ = particle.step(cell, shells, ampere, 20.0, celsius)
        assert anode_volt(cell, shells, ampere, celsius) >= 0.01 - 5e-4


def test_the_bound_is_where_the_settled_potential_meets_the_margin() -> None:
    cell, soc = graphite(), 0.7
    rate = float(highest_rate(cell, np.array(soc), 15.0))
    shells = particle.full(cell, (1.0 - soc + 0.25) * CAPACITY_AH)
    ampere = rate * CAPACITY_AH
    for _ in range(int(0.25 / rate * 3600.0 / 10.0)):
        shells, _ = particle.step(cell, shells, ampere, 10.0, 15.0)
    assert anode_volt(cell, shells, ampere, 15.0) == pytest.approx(0.01, abs=2e-3)


@given(st.floats(-10.0, 45.0), st.floats(0.0, 1.0))
def test_what_is_read_off_is_never_above_the_bound_itself(celsius: float, soc: float) -> None:
    assert read_rate(TABLE, celsius, soc) <= float(highest_rate(graphite(), soc, celsius)) + 1e-9


def test_a_cell_of_twice_the_resistance_bears_half_the_rate() -> None:
    soc = np.linspace(0.1, 1.0, 10)
    cell = graphite()
    slow = replace(
        cell, negative=replace(cell.negative, exchange_ampere=0.5 * cell.negative.exchange_ampere)
    )
    assert np.all(highest_rate(slow, soc, 15.0) >= 0.5 * highest_rate(cell, soc, 15.0) - 1e-9)


@pytest.mark.parametrize(("celsius", "soc"), [(float("nan"), 0.5), (25.0, float("nan")), (-11, 0)])
def test_nothing_is_allowed_where_nothing_is_known(celsius: float, soc: float) -> None:
    assert read_rate(TABLE, celsius, soc) == 0.0
    assert read_rate(TABLE, 60.0, 7.0) == TABLE.rate_per_hour[-1, -1]
