import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellwarden.domain import Series
from cellwarden.features import Charges, charges, cut, samples

NOMINAL = 2.0
DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))
CS2_35 = DATA / "calce_cs2" / "CS2_35.parquet"


def _found(series: Series) -> Charges:
    taken = samples(series, NOMINAL)
    return charges(taken, cut(taken))


def test_each_number_is_what_the_equations_say(cell: Any, record: Any) -> None:
    found = _found(record(cell.cycle()))
    assert found.window_fraction[0] == pytest.approx(cell.window_fraction, rel=0.005)
    assert found.taper_hour[0] == pytest.approx(cell.taper_hour, rel=0.01)
    taper = 0.3 * NOMINAL * cell.taper_hour / NOMINAL
    assert found.taper_fraction[0] == pytest.approx(taper, rel=0.01)
    plateau = 0.2 / 1.2 * cell.capacity_ah / NOMINAL
    assert found.plateau_fraction[0] == pytest.approx(plateau, rel=0.01)
    assert found.rate_per_hour[0] == pytest.approx(0.75)
    assert found.top_voltage_volt[0] == 4.2


def test_a_partial_charge_that_begins_below_the_window_tells_the_same(
    cell: Any, record: Any
) -> None:
    whole, partial = _found(record(cell.cycle())), _found(record(cell.cycle(start_soc=0.4)))
    assert partial.window_fraction[0] == pytest.approx(whole.window_fraction[0], rel=0.005)
    assert partial.taper_hour[0] == pytest.approx(whole.taper_hour[0], rel=0.005)


def test_a_charge_that_begins_inside_the_window_does_not_tell_it(cell: Any, record: Any) -> None:
    found = _found(record(cell.cycle(start_soc=0.62)))
    assert np.isnan(found.window_fraction[0])
    assert np.isfinite(found.taper_hour[0])


def test_an_aged_cell_lifted_above_the_window_at_once_tells_it_after_a_full_discharge(
    make_cell: Any, record: Any
) -> None:
    aged = make_cell(capacity_ah=0.9, resistance_ohm=0.62, discharge_ampere=1.0)
    found = _found(record(aged.cycle() + aged.cycle()))
    assert found.low_voltage_volt[1] > 3.9
    assert np.isnan(found.window_fraction[0])
    assert np.isfinite(found.window_fraction[1])


def test_a_charge_cut_before_its_taper_tells_no_taper(cell: Any, record: Any) -> None:
    parts = cell.cycle()
    parts[1] = parts[1][:, parts[1][0] > 0.5]
    found = _found(record(parts))
    assert np.isnan(found.taper_hour[0])
    assert np.isnan(found.window_fraction[0])


def test_a_gap_in_the_window_leaves_it_untold(cell: Any, record: Any) -> None:
    whole = record(cell.cycle())
    time_second = whole.test_time_second.copy()
    inside = np.flatnonzero((whole.voltage_volt > 4.0) & (whole.current_ampere > 1.4))[0]
    time_second[inside:] += 1800
    found = _found(replace(whole, test_time_second=time_second))
    assert np.isnan(found.window_fraction[0])
    assert np.isfinite(found.taper_hour[0])


def test_nothing_after_the_charge_moves_its_numbers(cell: Any, record: Any) -> None:
    parts = cell.cycle()
    alone, followed = _found(record(parts[:3])), _found(record(parts + parts))
    for name in ("window_fraction", "taper_fraction", "taper_hour", "rate_per_hour"):
        assert getattr(alone, name)[0] == getattr(followed, name)[0]


@pytest.mark.skipif(not CS2_35.exists(), reason="needs calce_cs2 under CELLWARDEN_DATA")
def test_a_life_of_real_charges_is_told_in_order() -> None:
    from cellwarden.readers import read

    series = read(CS2_35)
    taken = samples(series, 1.1)
    found = charges(taken, cut(taken))
    told = found.window_fraction[np.isfinite(found.window_fraction)]
    assert len(told) > 800
    assert told[:50].mean() > 0.6
    assert told[-50:].mean() < 0.35
