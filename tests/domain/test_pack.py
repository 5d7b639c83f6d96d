import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwarden.domain import CHEMISTRIES, Cell, Pack, check_name, tiers
from cellwarden.errors import UsageError

CELL = Cell(CHEMISTRIES["LFP"], 2.5, tiers(CHEMISTRIES["LFP"], 2.5))


def test_parallel_cells_add_capacity_and_series_cells_do_not() -> None:
    assert Pack("p", CELL, series_count=8, parallel_count=4).nominal_capacity_ah == 10.0


@pytest.mark.parametrize("counts", [(0, 1), (1, 0), (-1, 1)])
def test_a_pack_without_cells_is_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(UsageError):
        Pack("p", CELL, *counts)


@pytest.mark.parametrize(
    "name", ["", "-x", ".x", "a b", "a/b", "../x", "ä", "x" * 64, "a\n", "a\0"]
)
def test_a_name_that_could_be_a_path_or_confuse_a_log_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        Pack(name, CELL)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True))
def test_a_plain_name_is_itself(name: str) -> None:
    assert check_name(name) == name
