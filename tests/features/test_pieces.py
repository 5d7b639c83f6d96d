from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.domain import Series
from cellwarden.errors import DataError
from cellwarden.features import cycles_of, joined, settled, steps, steps_of_pieces
from features.protocol import Protocol


def _life(count: int) -> Series:
    record = Protocol().rest()
    for _ in range(count):
        record.full_cycle().next_cycle()
    return record.series()


def _cut(series: Series, borders: list[int]) -> Iterator[Series]:
    at = [0, *sorted(set(borders)), len(series)]
    for start, stop in pairwise(at):
        rows = {name: column[start:stop] for name, column in series.columns().items()}
        yield replace(series, **rows)


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "found"])
@given(borders=st.lists(st.integers(1, 1380), max_size=8))
@settings(max_examples=20)
def test_pieces_cut_anywhere_give_the_tables_of_the_whole(
    *, numbered: bool, borders: list[int]
) -> None:
    series = _life(4)
    if not numbered:
        series = replace(series, cycle_count=None, step_index=None)
    known = settled(series)
    whole = steps(series, known)
    parts = joined(steps_of_pieces(_cut(series, borders), known))
    assert list(whole) == list(parts)
    for name in whole:
        if whole[name].dtype.kind == "f":
            assert np.allclose(whole[name], parts[name], atol=1e-9, equal_nan=True), name
        else:
            assert whole[name].tolist() == parts[name].tolist(), name


@given(borders=st.lists(st.integers(1, 1380), max_size=8))
@settings(max_examples=20)
def test_a_testers_cycle_of_several_charges_is_not_cut_by_a_piece(borders: list[int]) -> None:
    record = Protocol().rest()
    for _ in range(2):
        record.full_cycle().full_cycle().next_cycle()
    series = record.series()
    known = settled(series)
    cycles = cycles_of(joined(steps_of_pieces(_cut(series, borders), known)))
    assert cycles["cycle_count"].tolist() == [1, 2]
    right = cycles_of(steps(series, known))
    assert np.allclose(cycles["charging_capacity_ah"], right["charging_capacity_ah"])


def test_a_finished_cycle_is_given_before_the_record_ends() -> None:
    series = _life(3)
    first = next(steps_of_pieces(_cut(series, [700, 900, 1100])))
    assert set(first["cycle_count"]) < {1, 2, 3}


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "found"])
def test_cycles_of_the_joined_pieces_are_those_of_the_record(*, numbered: bool) -> None:
    series = _life(3)
    if not numbered:
        series = replace(series, cycle_count=None, step_index=None)
    cycles = cycles_of(joined(steps_of_pieces(_cut(series, [333, 666]), settled(series))))
    right = cycles_of(steps(series))
    assert np.allclose(cycles["charging_capacity_ah"], right["charging_capacity_ah"])
    assert cycles["stop_row_index"].tolist() == right["stop_row_index"].tolist()


def test_no_pieces_are_no_record() -> None:
    assert list(steps_of_pieces([])) == []
    with pytest.raises(DataError):
        joined([])
