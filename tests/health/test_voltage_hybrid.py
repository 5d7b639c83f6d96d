"""Particles and trees together: made cells are found, and physics pays where nothing was seen."""

from dataclasses import replace

import numpy as np
import pytest

from cellwarden.health.electrodes import fit_balance
from cellwarden.health.voltage_hybrid import Drive, fit_particles, learn_missed, particle_volt
from cellwarden.physics.ocp import graphite_siox, nmc811
from cellwarden.physics.particle import Particles, full, lg_m50
from cellwarden.physics.particle_kernel import run

TRUTH = replace(lg_m50(), ohm=0.01)


def made(seed: int, celsius: float) -> Drive:
    """A drive with a wave over the charge that no particle has."""
    draw = np.random.default_rng(seed)
    seconds = np.arange(0.0, 4500.0, 10.0)
    ampere = np.repeat(draw.uniform(-6, 1, 45), 10)
    warm = np.full(450, celsius)
    volts = run(TRUTH, full(TRUTH), seconds, ampere, warm)[1]
    wave = 0.02 * np.sin(3 * np.cumsum(ampere) / 360)
    return Drive(seconds, ampere, volts + wave + draw.normal(0, 0.001, 450), warm)


@pytest.fixture(scope="module")
def drives() -> list[Drive]:
    return [made(seed, (15.0, 25.0, 35.0)[seed % 3]) for seed in range(12)]


@pytest.fixture(scope="module")
def cell(drives: list[Drive]) -> Particles:
    charge = np.linspace(0.0, 5.0, 200)
    cp, cn = TRUTH.positive.capacity_ah, TRUTH.negative.capacity_ah
    y, x = TRUTH.positive.full_fraction, TRUTH.negative.full_fraction
    volts = nmc811(y + charge / cp) - graphite_siox(x - charge / cn)
    balance = fit_balance(charge, volts, nmc811, graphite_siox, 5.0)
    return fit_particles(drives[:3], balance, (nmc811, graphite_siox))


def away(told: np.ndarray, drive: Drive) -> float:
    return float(np.sqrt(np.mean((told - drive.voltage_volt) ** 2)))


def test_particles_fitted_to_drives_tell_one_that_was_left_out(cell: Particles) -> None:
    one = made(50, 25.0)
    assert away(particle_volt(cell, one), one) < 0.025


def test_trees_take_away_what_the_particles_miss(cell: Particles, drives: list[Drive]) -> None:
    both, one = learn_missed(cell, drives), made(51, 25.0)
    assert away(both(cell, one), one) < 0.8 * away(particle_volt(cell, one), one)


def test_at_a_temperature_never_seen_particles_and_trees_beat_trees(
    cell: Particles, drives: list[Drive]
) -> None:
    both = learn_missed(cell, drives)
    alone = learn_missed(cell, drives, particles=False)
    one = made(52, -5.0)
    assert away(both(cell, one), one) < away(alone(cell, one), one)


def test_no_measured_voltage_enters(cell: Particles, drives: list[Drive]) -> None:
    both, one = learn_missed(cell, drives), made(53, 25.0)
    blind = replace(one, voltage_volt=np.full(450, np.nan))
    assert np.array_equal(both(cell, one), both(cell, blind))
