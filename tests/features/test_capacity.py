from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cellwarden.domain import Series
from cellwarden.features import Capacities, capacities, cut, samples

NOMINAL = 2.0


def _found(series: Series) -> Capacities:
    taken = samples(series, NOMINAL)
    return capacities(taken, cut(taken))


def test_a_full_discharge_is_measured_to_the_empty_voltage(cell: Any, record: Any) -> None:
    found = _found(record(cell.cycle()))
    assert found.capacity_ah[1] == pytest.approx(cell.delivered_ah(), rel=0.002)
    assert found.rate_per_hour[1] == pytest.approx(1.0, rel=0.01)
    assert found.reference.tolist() == [False, True]


@pytest.mark.parametrize("to_volt", [2.7, 2.5, 2.2])
def test_a_deeper_cut_off_measures_the_same_capacity(
    cell: Any, record: Any, to_volt: float
) -> None:
    found = _found(record(cell.cycle(to_volt=to_volt)))
    assert found.capacity_ah[1] == pytest.approx(cell.delivered_ah(), rel=0.003)


def test_an_aborted_discharge_measures_nothing(cell: Any, record: Any) -> None:
    assert np.isnan(_found(record(cell.cycle(to_volt=3.0))).capacity_ah[1])


def test_a_discharge_from_a_charge_that_was_cut_short_measures_nothing(
    cell: Any, record: Any
) -> None:
    parts = cell.cycle()
    parts[1] = parts[1][:, : parts[1].shape[1] // 2]
    assert np.isnan(_found(record(parts)).capacity_ah[1])


def test_a_gap_in_the_discharge_measures_nothing(cell: Any, record: Any) -> None:
    whole = record(cell.cycle())
    time = whole.test_time_second.copy()
    inside = np.flatnonzero(whole.current_ampere < 0)[200]
    time[inside:] += 3600
    assert np.isnan(_found(replace(whole, test_time_second=time)).capacity_ah[1])


def test_a_fast_discharge_is_measured_but_is_no_reference(make_cell: Any, record: Any) -> None:
    found = _found(record(make_cell(discharge_ampere=4.0).cycle()))
    assert np.isfinite(found.capacity_ah[1])
    assert not found.reference[1]


def test_a_cold_discharge_is_measured_but_is_no_reference(cell: Any, record: Any) -> None:
    whole = record(cell.cycle())
    cold = replace(whole, surface_temperature_celsius=np.full(len(whole), 5.0))
    warm = replace(whole, surface_temperature_celsius=np.full(len(whole), 25.0))
    assert not _found(cold).reference[1]
    assert _found(warm).reference[1]
