"""A record without cycle numbers gets those that its cycle table tells."""

from dataclasses import replace

import numpy as np

from cellwarden.domain import Series
from cellwarden.features.numbering import number_cycles
from cellwarden.features.summary import cycle_table


def record() -> Series:
    """Three charges and discharges of an hour each with a rest before."""
    current = np.concatenate([np.zeros(30), *[np.r_[np.ones(60), -np.ones(60)]] * 3])
    time = 60.0 * np.arange(len(current))
    charge = np.cumsum(current) / 60
    return Series("made", time, 3.5 + 0.5 * charge + 0.05 * current, current)


def test_every_row_has_the_number_of_the_cycle_that_holds_it() -> None:
    series = record()
    table = cycle_table(series)
    number = number_cycles(series).cycle_count
    assert number is not None
    assert len(number) == len(series)
    assert list(np.unique(number)) == list(table["cycle_count"])
    for row in range(len(table)):
        inside = slice(table["start_row_index"][row], table["stop_row_index"][row])
        assert set(number[inside]) == {table["cycle_count"][row]}


def test_numbers_that_are_there_stay() -> None:
    told = replace(record(), cycle_count=np.full(len(record()), 7))
    assert number_cycles(told) is told


def test_an_empty_record_stays_empty() -> None:
    none = np.empty(0)
    assert len(number_cycles(Series("none", none, none, none))) == 0
