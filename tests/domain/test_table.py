"""Tables keep their columns in step and hand them to whoever speaks Arrow."""

import duckdb
import numpy as np
import pytest

from cellwarden.domain import Remark, Table
from cellwarden.errors import DataError, UsageError


def made() -> Table:
    return Table(
        "cells",
        "features",
        {"capacity_ah": np.array([1.5, np.nan, 2.0]), "cell": np.array(["a", "b<i>", "c"])},
        remarks=(Remark("missing", "one row carries no capacity_ah", "capacity_ah", 1, 2),),
    )


def test_columns_of_different_length_are_no_table() -> None:
    with pytest.raises(DataError, match="2, 3 rows"):
        Table("t", "facts", {"a": np.zeros(3), "b": np.zeros(2)})


def test_a_kind_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError) as caught:
        Table("t", "stuff", {})
    assert "spectra" in caught.value.hint


def test_a_column_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(UsageError) as caught:
        made()["soc"]
    assert "capacity_ah, cell" in caught.value.hint


def test_arrow_readers_get_every_number_and_text() -> None:
    cells = made()  # noqa: F841  DuckDB finds it by its name
    found = duckdb.sql("SELECT cell, capacity_ah FROM cells ORDER BY cell").fetchall()
    assert [row[0] for row in found] == ["a", "b<i>", "c"]
    assert found[0][1] == 1.5
    assert np.isnan(found[1][1])
    assert duckdb.sql("SELECT count(*) FROM cells").fetchone() == (3,), "as often as one likes"


def test_some_rows_keep_every_column() -> None:
    some = made().rows(np.array([True, False, True]))
    assert list(some["cell"]) == ["a", "c"]
    assert len(some) == 2


def test_a_notebook_shows_no_foreign_markup() -> None:
    shown = made()._repr_html_()
    assert "b&lt;i&gt;" in shown
    assert "<i>" not in shown
    assert "one row carries no capacity_ah" in shown
