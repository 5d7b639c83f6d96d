import dataclasses

import numpy as np
import pytest

from cellwarden import datasets
from cellwarden.domain import Series
from cellwarden.errors import UsageError
from cellwarden.health.definitions import (
    CAPACITY,
    DEFINITIONS,
    ENERGY,
    NEW_COUNT,
    NOMINAL_VOLT,
    RESISTANCE,
    defined,
    measure,
)
from health.aged import NEW_OHM, aged_record


def test_a_definition_is_found_by_name_and_version() -> None:
    assert defined("energy/1") is ENERGY
    assert [str(one) for one in DEFINITIONS.values()] == list(DEFINITIONS)
    with pytest.raises(UsageError, match="capacity/2"):
        defined("capacity/2")
    with pytest.raises(dataclasses.FrozenInstanceError):
        CAPACITY.version = 2  # type: ignore[misc]


def test_capacity_falls_as_the_cell_was_made_to_age() -> None:
    told = measure(CAPACITY, aged_record("made"))
    assert len(told) == 24
    assert told.value_fraction[-1] / told.value_fraction[0] == pytest.approx(0.79, abs=0.02)
    assert (np.diff(told.value_fraction) < 0).all()
    assert (np.diff(told.time_second) > 0).all()


def test_energy_is_capacity_at_the_voltage_it_came_out_at() -> None:
    capacity, energy = (measure(one, aged_record("made")) for one in (CAPACITY, ENERGY))
    volts = NOMINAL_VOLT * energy.value_fraction / capacity.value_fraction
    # From 4.2 V less the drop at 2 A down to 2.7 V, linear in charge.
    assert volts[0] == pytest.approx((4.2 - 2 * NEW_OHM + 2.7) / 2, abs=0.02)
    assert volts[-1] < volts[0] - 0.015
    fade = [one.value_fraction[-1] / one.value_fraction[0] for one in (capacity, energy)]
    assert fade[1] < fade[0]


def test_resistance_is_one_when_new_and_rises_as_it_was_made_to() -> None:
    told = measure(RESISTANCE, aged_record("made"))
    assert np.median(told.value_fraction[:NEW_COUNT]) == 1
    # Half as much again, of which 60 s of discharge, the same at any age, is a part.
    assert 1.2 < told.value_fraction[-1] < 1.5
    assert not told.definition.falls


def test_a_cold_cell_measures_nothing() -> None:
    record = aged_record("made", cycles=6)
    cold = dataclasses.replace(record, surface_temperature_celsius=np.full(len(record), 5.0))
    assert [len(measure(one, cold)) for one in DEFINITIONS.values()] == [0, 0, 0]


def test_a_record_without_nominal_capacity_is_a_wrong_call() -> None:
    bare = dataclasses.replace(aged_record("made", cycles=6), nominal_capacity_ah=None)
    with pytest.raises(UsageError, match="nominal capacity"):
        measure(CAPACITY, bare)


@pytest.mark.skipif(
    not (datasets.data_folder() / "nasa_pcoe").is_dir(),
    reason="nasa_pcoe is not there: set CELLWARDEN_DATA",
)
def test_a_real_cells_capacity_is_what_its_source_states() -> None:
    series = datasets.load("nasa_pcoe", "B0005.parquet")
    assert isinstance(series, Series)
    capacity, energy, resistance = (measure(one, series) for one in DEFINITIONS.values())
    # tests.csv: 1.856 Ah at first, down to 2.7 V.
    assert capacity.value_fraction[0] == pytest.approx(1.8565 / 2, abs=0.005)
    assert len(capacity) == len(energy) == 167
    assert energy.value_fraction[-1] < energy.value_fraction[0] * 0.75
    assert resistance.value_fraction[-10:].mean() > 1.05
