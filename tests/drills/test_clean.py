import os
from pathlib import Path

import numpy as np
import pytest

from cellwarden.control import diagnose
from cellwarden.drills import clean

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[3] / "shared" / "data"))


def test_no_event_in_three_over_the_rate_is_what_the_bound_allows() -> None:
    hours = 1000.0
    assert clean.alarm_bound(0, hours) == pytest.approx(
        2.9957 / hours * clean.HOURS_A_MONTH, rel=1e-4
    )
    assert clean.alarm_bound(3, hours) > clean.alarm_bound(0, hours)
    with_alarms = clean.Quiet(10.0, 5, {"a": 2, "b": 1})
    assert with_alarms.alarm_count == 3
    assert with_alarms.alarms_per_month == pytest.approx(0.3 * clean.HOURS_A_MONTH)


def test_minutes_of_sound_packs_raise_nothing() -> None:
    quiet = clean.sound_hours(0.02)
    assert quiet.hours == pytest.approx(0.02, rel=0.02)
    assert quiet.raised == {}


def test_a_fault_among_sound_packs_would_be_counted() -> None:
    group = clean._group(0, 2, 60, seed=1)
    moments = list(clean._moments(group, 60))
    state = diagnose.begin(group.diagnostics, 12, (2,))
    raised = []
    for senses in moments:
        volts = senses.cell_voltage_volt.copy()
        volts[1, 3] = 4.5
        state, fresh = clean._go(group.diagnostics, state, senses._replace(cell_voltage_volt=volts))
        raised += [group.diagnostics.rows[row].name for row in fresh]
    assert raised.count("cell_voltage_high_maximum") == 1
    assert not state.tally.active[0].any()


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data sets under CELLWARDEN_DATA")
def test_the_cars_trips_are_read_whole() -> None:
    trips = clean._columns(DATA)
    assert len(trips) == 46
    assert sum(map(len, trips)) == 64_213
    assert all(np.isfinite(trip).all() for trip in trips)
