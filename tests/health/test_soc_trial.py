"""A filter on drives entered late, through faulty sensors, every entry weighing the same."""

import numpy as np
import pytest

from cellwarden.domain import Table
from cellwarden.errors import DataError, UsageError
from cellwarden.health.found import known_again
from cellwarden.health.soc_trial import (
    Drive,
    coverage_span,
    drives_in,
    enter,
    marks_of_drives,
    try_filter,
)
from health.soc_cell import cell_model, drive

MODEL = cell_model()
DRIVES = tuple(Drive(f"25/US06_{k}", f"US06_{k}", 25.0, drive(MODEL, k)) for k in (1, 2, 3))


def table(drives: tuple[Drive, ...]) -> Table:
    """The drives as one table, rows of the last drive first."""
    columns: dict[str, list[np.ndarray]] = {}
    names = ("time_s", "voltage_V", "current_A", "temperature_C", "soc")
    for one in reversed(drives):
        record = one.record
        parts = (
            record.unix_time_second, record.voltage_volt, record.current_ampere,
            record.temperature_celsius, record.soc_fraction,
        )  # fmt: skip
        for name, part in zip(names, parts, strict=True):
            columns.setdefault(name, []).append(part)
        columns.setdefault("ambient_C", []).append(np.full(len(record), one.ambient_celsius))
        columns.setdefault("test", []).append(np.full(len(record), one.test, dtype=object))
    return Table("drives", "signals", {name: np.concatenate(p) for name, p in columns.items()})


def test_drives_are_found_by_temperature_and_test() -> None:
    found = drives_in(table(DRIVES))
    assert [one.name for one in found] == [one.name for one in DRIVES]
    assert found[1].record.voltage_volt.tolist() == DRIVES[1].record.voltage_volt.tolist()
    with pytest.raises(DataError, match="has no ambient_C"):
        drives_in(Table("x", "facts", {"a": np.zeros(3)}))


def test_an_entry_is_the_same_each_time_and_another_for_another_draw() -> None:
    one, again, other = enter(DRIVES[0], 1), enter(DRIVES[0], 1), enter(DRIVES[0], 2)
    assert one.voltage_volt.tolist() == again.voltage_volt.tolist()
    assert one.voltage_volt.tolist() != other.voltage_volt.tolist()
    assert 0.4 * len(DRIVES[0].record) <= len(one) <= len(DRIVES[0].record)


def test_the_filter_finds_the_charge_that_counting_does_not() -> None:
    entries = try_filter(MODEL, DRIVES, (1, 2))
    assert len(entries) == 6
    mae, counted = (np.mean([getattr(e, n) for e in entries]) for n in ("mae", "counted_mae"))
    assert mae < 0.02 < counted
    assert all(0 < one.width < 0.5 for one in entries)
    low, high = coverage_span(entries)
    assert 0 <= low <= np.mean([one.inside for one in entries]) <= high <= 1


def test_a_drive_under_another_name_is_known_again() -> None:
    known = marks_of_drives(DRIVES)
    renamed = Drive("10/other", "other", 10.0, DRIVES[1].record)
    (marks,) = marks_of_drives([renamed]).values()
    assert known_again(marks, known) == DRIVES[1].name
    (marks,) = marks_of_drives([Drive("x", "x", 25.0, drive(MODEL, 9))]).values()
    assert known_again(marks, known) is None


def test_a_drive_that_is_over_in_ten_minutes_is_not_scored() -> None:
    short = Drive("25/short", "short", 25.0, drive(MODEL, 4, second_count=300))
    with pytest.raises(UsageError, match="ten minutes"):
        try_filter(MODEL, [short], (1,))
