from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cellwarden.domain import Series
from cellwarden.features import Runs, Samples, cut, samples
from cellwarden.health.marks import marks, recognise


def _cut(series: Series) -> tuple[Samples, Runs]:
    taken = samples(series, 2.0)
    return taken, cut(taken)


@pytest.fixture
def life(make_cell: Any, record: Any) -> Series:
    """Six cycles of a cell that fades."""
    cells = [make_cell(capacity_ah=1.9 - 0.02 * k) for k in range(6)]
    return record([part for cell in cells for part in cell.cycle()])


@pytest.fixture
def known(life: Series) -> dict[bytes, str]:
    return dict.fromkeys(marks(*_cut(life)), "mine")


def test_each_charge_has_its_own_mark(life: Series) -> None:
    assert len(set(marks(*_cut(life)))) == 6


def test_single_precision_does_not_change_a_mark(life: Series, known: dict[bytes, str]) -> None:
    voltage = life.voltage_volt.astype(np.float32).astype(np.float64)
    assert set(marks(*_cut(replace(life, voltage_volt=voltage)))) == set(known)


def test_a_record_that_begins_late_or_lacks_rows_is_recognised(
    life: Series, known: dict[bytes, str]
) -> None:
    half = len(life) // 2
    late = replace(life, **{name: column[half:] for name, column in life.columns().items()})
    assert recognise(*_cut(late), known) == "mine"
    holed = life.voltage_volt.copy()
    holed[: half // 2 : 7] = np.nan
    assert recognise(*_cut(replace(life, voltage_volt=holed)), known) == "mine"


def test_another_cell_is_not_recognised(
    make_cell: Any, record: Any, known: dict[bytes, str]
) -> None:
    assert recognise(*_cut(record(make_cell(capacity_ah=1.7).cycle())), known) is None


def test_the_cell_with_the_most_charges_in_the_record_is_named(
    life: Series, known: dict[bytes, str]
) -> None:
    first, *_ = marks(*_cut(life))
    assert recognise(*_cut(life), {**known, first: "other"}) == "mine"
