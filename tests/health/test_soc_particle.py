from dataclasses import replace

import numpy as np
import pytest

from cellwarden.errors import DataError, UsageError
from cellwarden.health import soc_particle
from cellwarden.health.soc_model import CellModel
from cellwarden.health.soc_particle import SOC, WEIGHT, Believed, Cloud, Filter
from health.soc_cell import cell_model, drive

COLUMNS = Believed.__slots__


def plain(model: CellModel, count: int = 300, seed: int = 0) -> Filter:
    return Filter(model, np.ones(len(model.knot_celsius)), count, seed)


def twofold() -> CellModel:
    """A cell whose voltage at rest is the same at 0.3 and at 0.7, but nowhere between."""
    model = cell_model()
    soc = np.linspace(0.0, 1.0, 41)
    table = model.table.copy()
    table[:, :, 0] = 3.3 + 0.1 * np.abs(np.abs(soc - 0.5) - 0.2) * np.where(soc > 0.5, 2.0, 1.0)
    table[:, :, 5] = 0.0
    return replace(model, table=table)


def at_rest(of: Filter, cloud: Cloud, volt: float, second_count: int) -> Cloud:
    time = np.arange(second_count, dtype=np.float64)
    blank = np.zeros((second_count, 1))
    return soc_particle.run(of, cloud, time, blank[:, 0], blank + volt, blank + 25.0)[0]


@pytest.mark.parametrize("start", [0, 1500])
def test_a_cell_met_in_use_is_found_and_lies_in_the_band(start: int) -> None:
    model = cell_model()
    record = drive(model, 1)
    of = plain(model)
    _, told = soc_particle.run(
        of,
        soc_particle.init(of, 1),
        record.unix_time_second[start:],
        1.01 * record.current_ampere[start:] + 0.03,
        record.voltage_volt[start:, None] + 0.003,
        record.temperature_celsius[start:, None],
    )
    true = record.soc_fraction[start:]
    assert np.abs(told.soc_fraction[:, 0] - true)[600:].mean() < 0.02
    inside = (told.low_fraction[:, 0] <= true) & (true <= told.high_fraction[:, 0])
    assert inside[600:].mean() > 0.8


def test_two_charges_of_one_voltage_both_stay_until_use_tells_them_apart() -> None:
    model = twofold()
    of = plain(model, 500)
    cloud = at_rest(of, soc_particle.init(of, 1, rested=True), 3.3, 1200)
    near = [low <= soc <= high for soc in (0.3, 0.7) for low, high in soc_particle.stretches(
        cloud, 0)]  # fmt: skip
    assert sum(near) == 2
    mean = float((cloud.particles[0, SOC] * cloud.particles[0, WEIGHT]).sum())
    assert not any(low <= mean <= high for low, high in soc_particle.stretches(cloud, 0))


def test_the_particles_agree_with_bayes_on_a_grid() -> None:
    """One reading at rest: the posterior over charge is prior times likelihood, told on a grid."""
    model = replace(cell_model(), load_std_ampere=1e-9, correlation_second=0.0)
    tuning = soc_particle.TUNING._replace(ohm_std=1e-9, bias_rate_std=1e-9)
    of = Filter(model, np.ones(2), 20_000, 3, tuning)
    volt = 3.75
    cloud = at_rest(of, soc_particle.init(of, 1, rested=True), volt, 1)
    grid = np.linspace(0.0, 1.0, 4001)
    rest = np.interp(grid, np.linspace(0.0, 1.0, 41), model.table[1, :, 0])
    variance = model.drift_volt[1] ** 2 + tuning.sensor_volt**2 + model.reading_volt[1] ** 2
    weight = np.exp(-0.5 * np.minimum((volt - rest) ** 2 / variance, 16.0))
    weight /= weight.sum()
    mean = float(weight @ grid)
    std = float(np.sqrt(weight @ (grid - mean) ** 2))
    own = cloud.particles[0, WEIGHT]
    told = float(own @ cloud.particles[0, SOC])
    assert told == pytest.approx(mean, abs=0.15 * std)
    spread = float(np.sqrt(own @ (cloud.particles[0, SOC] - told) ** 2))
    assert spread == pytest.approx(std, rel=0.15)


def test_resumed_is_the_same_as_uninterrupted_and_a_seed_says_all() -> None:
    model = cell_model(flat=True)
    record = drive(model, 2, second_count=900)
    columns = (
        record.unix_time_second,
        record.current_ampere,
        np.stack([record.voltage_volt, record.voltage_volt + 0.01], axis=1),
        np.stack([record.temperature_celsius] * 2, axis=1),
    )
    of = plain(model, 100, 5)
    whole, told = soc_particle.run(of, soc_particle.init(of, 2), *columns)
    half, first = soc_particle.run(of, soc_particle.init(of, 2), *(c[:400] for c in columns))
    end, second = soc_particle.run(of, half, *(c[400:] for c in columns))
    for name in COLUMNS:
        joined = np.concatenate([getattr(first, name), getattr(second, name)])
        assert np.array_equal(joined, getattr(told, name)), name
    assert np.array_equal(end.particles, whole.particles)
    other = plain(model, 100, 6)
    _, apart = soc_particle.run(other, soc_particle.init(other, 2), *columns)
    assert not np.array_equal(apart.soc_fraction, told.soc_fraction)


def test_missing_readings_widen_the_band_and_nothing_leaves_its_range() -> None:
    model = cell_model()
    record = drive(model, 4, second_count=1200)
    volts, current = record.voltage_volt[:, None].copy(), record.current_ampere.copy()
    volts[600:], current[700:] = np.nan, np.nan
    of = plain(model, 200)
    _, told = soc_particle.run(
        of, soc_particle.init(of, 1), record.unix_time_second, current, volts,
        np.full_like(volts, np.nan),
    )  # fmt: skip
    width = (told.high_fraction - told.low_fraction)[:, 0]
    assert width[-1] > width[650] > 0.0
    for name in ("soc_fraction", "low_fraction", "high_fraction"):
        column = getattr(told, name)
        assert np.all((column >= 0.0) & (column <= 1.0)), name


def test_one_reading_far_off_kills_no_belief() -> None:
    model = cell_model()
    record = drive(model, 5, second_count=1200)
    volts = record.voltage_volt[:, None].copy()
    volts[800] = 0.0
    of = plain(model)
    columns = (record.temperature_celsius[:, None],)
    _, told = soc_particle.run(
        of, soc_particle.init(of, 1), record.unix_time_second, record.current_ampere, volts,
        *columns,
    )  # fmt: skip
    assert abs(told.soc_fraction[810, 0] - told.soc_fraction[799, 0]) < 0.02


def test_the_band_is_as_wide_as_records_that_were_not_seen_ask_for() -> None:
    model = cell_model()
    off = replace(model, table=model.table + np.array([0.03, 0, 0, 0, 0, 0]))
    unseen = [(model, [drive(off, seed) for seed in (6, 7)])]
    of = soc_particle.calibrated(model, unseen, particle_count=100)
    assert of.widening.min() > 1.2


def test_what_does_not_fit_is_refused() -> None:
    model = cell_model()
    with pytest.raises(UsageError):
        plain(model, 10)
    with pytest.raises(UsageError):
        Filter(model, np.ones(5))
    of = plain(model)
    with pytest.raises(UsageError):
        soc_particle.init(of, 1, 1.5)
    blank = np.zeros((3, 2))
    with pytest.raises(DataError):
        soc_particle.run(of, soc_particle.init(of, 1), np.arange(3.0), blank[:, 0], blank, blank)
