from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.readers.layout import HEAD_BYTES, Layout, find_layout
from cellwarden.readers.mapping import ColumnMapping
from cellwarden.readers.moments import date_sql, number_sql
from cellwarden.readers.quick import Dates, form_of, quick_columns
from cellwarden.readers.table import open_text

FORMAT = "%m/%d/%Y %H:%M:%S"
HEADER = "Test Time (s),Date Time,Voltage (V)\n"


def layout_of(path: Path) -> Layout:
    return find_layout(path, path.read_bytes()[:HEAD_BYTES], ColumnMapping(header_row=1))


def both(path: Path) -> tuple[dict[str, np.ndarray] | None, dict[str, np.ndarray]]:
    """The same columns by the kernel and by DuckDB, one cell at a time."""
    layout = layout_of(path)
    dates = Dates(1, {"clock": FORMAT})
    quick = quick_columns(path, layout, {"time": 0, "volt": 2}, dates, 10_000)
    with open_text(path, layout) as table:
        slow = table.fetch(
            {
                "time": number_sql("c0", "."),
                "volt": number_sql("c2", "."),
                "clock": date_sql("c1", FORMAT),
            }
        )
    return quick, slow


def agree(lines: list[str], end: str = "\n") -> bool:
    """Whether the kernel declines or gives the very bits that DuckDB gives; True where it reads."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "record.csv"
        path.write_bytes((HEADER + end.join(lines) + end).encode())
        quick, slow = both(path)
    if quick is None:
        return False
    for name, column in slow.items():
        assert np.array_equal(quick[name], column, equal_nan=True), name
        assert np.array_equal(np.signbit(quick[name]), np.signbit(column))
    return True


DAWN = datetime(1900, 1, 1)  # noqa: DTZ001  a cell names no zone
DUSK = datetime(2199, 12, 31)  # noqa: DTZ001  likewise
DATES = st.datetimes(min_value=DAWN, max_value=DUSK)
PLAIN = st.one_of(
    st.decimals(-(10**6), 10**6, places=6).map(str),
    st.integers(-(10**15), 10**15).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["", "-0.0", "0", ".5", "5.", "1e-3", "-2.5E+04", "0.1", "123456789012345.6"]),
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(PLAIN, DATES, PLAIN), min_size=1, max_size=20),
    end=st.sampled_from(["\n", "\r\n"]),
    digits=st.sampled_from([0, 3, 6]),
)
def test_the_kernel_gives_the_bits_of_duckdb_or_declines(rows, end, digits) -> None:  # noqa: ANN001  drawn
    lines = []
    for time, date, volt in rows:
        fraction = f".{date.microsecond:06}"[: digits + 1] if digits else ""
        lines.append(f"{time},{date.strftime(FORMAT)}{fraction},{volt}")
    agree(lines, end)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("0123456789.-+eE/: ,\"'x", max_size=24), min_size=1, max_size=6))
def test_odd_lines_are_declined_or_read_alike(lines: list[str]) -> None:
    agree(["1,01/02/2003 04:05:06,3.7", *lines])


@pytest.mark.parametrize(
    "line",
    [
        "1.5,12/31/2024 23:59:59.999,3.7",
        "1.5,02/29/2024 00:00:00,3.7",
        "-1.5,2/9/2024 1:2:3,",
        ",,",
        "1",
        "1e22,01/01/1970 00:00:00,1e-22",
        "9007199254740991,01/01/1970 00:00:00.000001,0.000001",
    ],
)
def test_plain_lines_are_read(line: str) -> None:
    assert agree([line, line])


@pytest.mark.parametrize(
    "line",
    [
        "x,01/01/2024 00:00:00,3.7",
        "1 ,01/01/2024 00:00:00,3.7",
        "1,02/30/2024 00:00:00,3.7",
        "1,01/01/2024 24:00:00,3.7",
        "1,2024-01-01 00:00:00,3.7",
        "0.1234567890123456789,01/01/2024 00:00:00,3.7",
        "1e300,01/01/2024 00:00:00,3.7",
        '"1",01/01/2024 00:00:00,3.7',
    ],
)
def test_what_is_not_plain_is_declined(line: str) -> None:
    assert not agree(["1,01/01/2024 00:00:00,3.7", line])


def test_a_last_line_without_an_end_and_blank_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "record.csv"
    path.write_text(HEADER + "1,01/01/2024 00:00:00,3.7\n\n2,01/01/2024 00:00:01,3.8")
    quick = quick_columns(path, layout_of(path), {"time": 0}, None, 100)
    assert quick is not None
    assert quick["time"].tolist() == [1, 2]


def test_more_rows_than_are_taken_in_are_left_to_the_one_who_says_so(tmp_path: Path) -> None:
    path = tmp_path / "record.csv"
    path.write_text(HEADER + "1,01/01/2024 00:00:00,3.7\n" * 50)
    assert quick_columns(path, layout_of(path), {"time": 0}, None, 20) is None


@pytest.mark.parametrize("form", ["%d-%b-%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d.%m.%y %H:%M"])
def test_a_form_with_words_or_short_years_is_not_plain(form: str) -> None:
    assert form_of(form) is None
