"""`cellwarden bench twin`: what it compares is the same duty, and what it fits can be fitted."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cellwarden.cli.bench import load_script
from cellwarden.domain import CHEMISTRIES
from cellwarden.physics.aging import Law
from cellwarden.physics.circuit import circuit_of, open_circuit_voltage
from cellwarden.physics.climate import CLIMATES
from cellwarden.physics.duty import DUTIES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_script("twin")


@pytest.fixture(scope="module")
def checks() -> ModuleType:
    return load_script("twin_checks")


def test_a_peer_gets_the_duty_that_the_twin_gets(bench: ModuleType) -> None:
    year = bench.hourly_year(DUTIES["home"], CLIMATES["hot"])
    assert len(year["SOC"]) == 8760
    assert np.abs(np.diff(year["SOC"])).sum() / 2 == pytest.approx(292.0, rel=0.01)
    watt = bench.home_power(3)
    assert len(watt) == 3 * 1440
    assert np.maximum(watt, 0).sum() / 60 / 3.2 / 3.0 == pytest.approx(3 * 0.8, rel=0.01)
    assert watt.sum() == pytest.approx(0.0, abs=1e-6)


def test_without_peers_the_ratio_says_whose_measurement_it_is(bench: ModuleType) -> None:
    figure = bench.against_liionpack(None, None, 1)
    assert figure["name"] == "twin.ratio.liionpack"
    assert figure["peers"] == {"liionpack (design notes, November 2026), CPU s": 1.1e-3}
    assert figure["peer_says"] == {}
    assert "not run" in bench._compared(figure)


def test_with_a_peer_the_ratio_is_of_this_run(bench: ModuleType) -> None:
    peer = {"version": "1", "cpu_s": 2.0, "step_count": 1000, "soh_fraction": 0.97}
    figure = bench.against_simses(peer, 1, quick=True)
    assert figure["value"] * figure["own_cpu_s"] == pytest.approx(2e-3, rel=0.01)
    assert figure["peers"] == {"simses 1, this run, CPU s": 2e-3}
    assert figure["peer_says"]["soh_fraction"] == 0.97
    assert 0.9 < figure["soh_fraction"] < 1.0


def test_the_circuit_that_made_pulses_is_found_from_them(checks: ModuleType) -> None:
    true = circuit_of(CHEMISTRIES["NMC"], 5.0)

    def trace(ampere: np.ndarray, second: float, celsius: float) -> dict[str, list[float]]:
        volts, _ = checks.driven(
            true, None, ampere[:, None], np.full((len(ampere), 1), celsius), soc=np.ones(1),
            capacity_ah=5.0, second=second,
        )  # fmt: skip
        time = np.arange(len(ampere)) * second
        return {
            "time_second": time.tolist(),
            "voltage_volt": volts[:, 0].tolist(),
            "current_ampere": ampere.tolist(),
            "temperature_celsius": [celsius] * len(ampere),
        }

    pulses = np.tile(np.r_[np.full(18, -5.0), np.zeros(120)], 15)
    told = {
        "slow": trace(np.full(2401, -0.125), 60.0, 25.0),
        "pulses": trace(pulses, 10.0, 25.0),
        "warm_pulses": trace(pulses, 10.0, 40.0),
    }
    found = checks.m50_circuit(told)
    total = true.ohmic_ohm + true.fast_ohm + true.slow_ohm
    assert found.ohmic_ohm + found.fast_ohm + found.slow_ohm == pytest.approx(total, rel=0.05)
    assert found.activation_joule_per_mole == pytest.approx(
        true.activation_joule_per_mole, rel=0.05
    )
    grid = np.linspace(0.1, 0.9, 9)
    assert open_circuit_voltage(found, grid) == pytest.approx(
        open_circuit_voltage(true, grid), abs=0.02
    )


def test_a_law_is_found_again_from_cells_that_it_aged(checks: ModuleType) -> None:
    law = Law(0.5, 2.0, cycle_power=0.8)
    days = np.linspace(0.0, 60.0, 150)
    cells = []
    for pace in (1.0, 2.0, 4.0):
        blank = checks.Aged(24.0, 0, days, pace * days, np.ones(150))
        cells.append(checks.Aged(24.0, 0, days, pace * days, checks.faded(blank, law)))
    found = checks.fit(cells[:2])
    assert checks.faded(cells[2], found) == pytest.approx(cells[2].left, abs=1e-3)
    assert found.cycle_power == pytest.approx(0.8, abs=0.02)


def test_the_error_of_a_step_is_told_for_rough_and_for_smooth_duties(bench: ModuleType) -> None:
    told = {figure["name"]: figure["value"] for figure in bench.step_errors()}
    assert set(told) == {
        f"twin.step_error.{period}s{kind}" for period in (10, 60, 3600) for kind in ("", ".smooth")
    }
    assert all(told[f"twin.step_error.{p}s.smooth"] < 2e-3 for p in (10, 60, 3600))
    assert told["twin.step_error.10s"] < 5e-4 < told["twin.step_error.3600s"] < 0.01
