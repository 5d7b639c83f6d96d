"""The single-particle model: lithium is kept, diffusion is Fick's, the compiled twin agrees."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from cellwarden.physics.ocp import graphite_siox, nmc811
from cellwarden.physics.particle import Electrode, Particles, charge_ah, full, lg_m50, step
from cellwarden.physics.particle_kernel import run

CELL = lg_m50()
SLOW = replace(CELL.negative, diffusion_activation_joule_per_mole=30e3)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=20),
    st.floats(0.1, 600),
)
def test_what_leaves_one_electrode_enters_the_other(currents: list[float], period: float) -> None:
    shells = full(CELL, 2.0)
    before = charge_ah(CELL, shells)
    for current in currents:
        shells, _ = step(CELL, shells, current, period)
    moved = sum(currents) * period / 3600
    assert charge_ah(CELL, shells) - before == pytest.approx([-moved, moved], abs=1e-9)


def exact_surface(slope: float, time: float) -> float:
    """Surface less start of a sphere under a steady flux: H. S. Carslaw and J. C. Jaeger, 9.8."""
    roots = [
        brentq(lambda z: np.tan(z) - z, k * np.pi + 1e-6, (k + 0.5) * np.pi - 1e-9)
        for k in range(1, 60)
    ]
    series = sum(np.exp(-(root**2) * time) / root**2 for root in roots)
    return slope * (3 * time + 0.2 - 2 * series)


@pytest.mark.parametrize("time", [0.02, 0.1, 0.3])
def test_the_surface_of_a_particle_follows_the_exact_solution(time: float) -> None:
    """A linear potential, and no other drop, shows the surface in the voltage."""
    diffusion, capacity, ampere = 1000.0, 2.0, -1.0
    linear = Electrode(capacity, 0.5, diffusion, 1e9, lambda x: 4.0 - x)
    flat = Electrode(1e9, 0.5, diffusion, 1e9, lambda x: 0.0 * x)
    cell = Particles(linear, flat, 0.0, shell_count=40)
    shells, count = full(cell), 400
    volts = 0.0
    for _ in range(count):
        shells, volts = step(cell, shells, ampere, time * diffusion / count)
    slope = -ampere / (3600 * capacity) * diffusion / 3
    assert 4.0 - volts - 0.5 == pytest.approx(exact_surface(slope, time), rel=0.01)


def test_the_compiled_twin_agrees() -> None:
    draw = np.random.default_rng(2)
    seconds = np.cumsum(draw.uniform(1, 30, 200)) - 1.0
    ampere, celsius = draw.uniform(-6, 4, 200), draw.uniform(5, 40, 200)
    cell = Particles(CELL.positive, SLOW, 0.002)
    end, volts = run(cell, full(cell, 1.0), seconds, ampere, celsius)
    shells, told = full(cell, 1.0), []
    for row in range(200):
        period = seconds[row] - seconds[row - 1] if row else 0.0
        shells, one = step(cell, shells, ampere[row], period, celsius[row])
        told.append(one)
    assert volts == pytest.approx(np.array(told), abs=1e-9)
    assert end.filled_fraction == pytest.approx(shells.filled_fraction, abs=1e-12)


def test_a_fine_grid_and_small_steps_change_little() -> None:
    fine = Particles(CELL.positive, CELL.negative, 0.0, shell_count=80)
    for cell, count in ((CELL, 300), (fine, 3000)):
        seconds = np.linspace(0.0, 3000.0, count + 1)
        here = np.full(count + 1, -5.0)
        _, volts = run(cell, full(cell), seconds, here, np.full(count + 1, 25.0))
        if cell is CELL:
            coarse = np.interp(np.arange(60, 3000, 60), seconds, volts)
        else:
            exact = np.interp(np.arange(60, 3000, 60), seconds, volts)
    assert coarse == pytest.approx(exact, abs=0.003)


def test_a_rested_cell_shows_its_open_circuit_voltage() -> None:
    shells = full(CELL, 1.5)
    _, volts = step(CELL, shells, 0.0, 10.0)
    y = CELL.positive.full_fraction + 1.5 / CELL.positive.capacity_ah
    x = CELL.negative.full_fraction - 1.5 / CELL.negative.capacity_ah
    assert volts == pytest.approx(float(nmc811(np.array(y)) - graphite_siox(np.array(x))), abs=1e-4)


def test_the_cell_of_the_source_gives_five_ampere_hours() -> None:
    """At C/20 from full to 2.5 V, as its label says."""
    seconds = np.arange(0.0, 22 * 3600, 60.0)
    here = np.full(len(seconds), -0.25)
    _, volts = run(CELL, full(CELL), seconds, here, np.full(len(seconds), 25.0))
    end = int(np.argmax(volts < 2.5))
    assert seconds[end] * 0.25 / 3600 == pytest.approx(5.0, rel=0.06)
    assert volts[0] == pytest.approx(4.2, abs=0.05)


def test_cold_costs_voltage_and_charge_raises_it() -> None:
    shells = full(CELL, 2.0)
    warm, cold, charged = (
        step(CELL, shells, ampere, 1.0, celsius)[1]
        for ampere, celsius in ((-5.0, 25.0), (-5.0, 0.0), (5.0, 25.0))
    )
    assert cold < warm < charged
