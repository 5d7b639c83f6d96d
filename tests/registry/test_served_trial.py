"""The served model is scored on records it was not made from; its own are known again."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwarden.domain import Series
from cellwarden.errors import DataError, UsageError
from cellwarden.health.layouts import records_in
from cellwarden.registry import load
from cellwarden.registry.served_trial import try_served

DATA = Path(os.environ.get("CELLWARDEN_DATA", Path(__file__).parents[2] / "../shared/data"))


@pytest.fixture
def ageing(make_cell: Any, record: Callable[..., Series]) -> Series:
    """A cell that loses a little in each of 24 cycles."""
    parts = [part for k in range(24) for part in make_cell(capacity_ah=1.9 - 0.01 * k).cycle()]
    return record(parts)


def test_a_record_is_scored_with_its_first_capacity_beside(ageing: Series) -> None:
    trial = try_served(load(), [ageing])
    own, first = trial.rows
    assert own.row_count == trial.cells[0].row_count > 10
    # No cell of the laboratory: its first capacity tells it better than the model.
    assert first.who == "first capacity"
    assert first.rmse < own.rmse < 0.5
    assert 0 <= trial.cells[0].outside < 0.5
    assert "80%" in trial.warnings[0]


def test_a_record_that_says_too_little_is_refused(make_cell: Any, record: Any) -> None:
    with pytest.raises(DataError, match="full discharges"):
        try_served(load(), [record(make_cell().cycle())])


@pytest.mark.skipif(not (DATA / "calce_cs2").is_dir(), reason="needs calce_cs2")
def test_a_training_record_is_known_again() -> None:
    records = records_in([DATA / "calce_cs2" / "CS2_35.parquet"])
    with pytest.raises(UsageError, match="learnt from every one"):
        try_served(load(), records)
