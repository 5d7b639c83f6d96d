from pathlib import Path

from cellwarden.cli.fault_page import BEGIN, END, fault_page, fault_table
from cellwarden.control.fault_rows import fault_rows
from cellwarden.domain import Board, Reaction
from control.sound import pack

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


def test_the_page_is_what_the_table_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert page == fault_page(page), "run: python -m cellwarden.cli.fault_page"


def test_the_printed_times_are_the_rows_own() -> None:
    lines = [line.split(" | ") for line in fault_table().splitlines()[2:]]
    rows = fault_rows(pack(capacity_ah=50.0), Board())
    assert len(lines) == len(rows)
    for cells, row in zip(lines, rows, strict=True):
        assert cells[0] == f"| `{row.name}`"
        assert int(cells[4]) == row.event_count
        opens = float(cells[5].removesuffix(" s")) if cells[5] else None
        assert opens == (row.delay_second if row.reaction is Reaction.OPEN else None)
        assert float(cells[6].removesuffix(" s")) == row.hold_second
        assert float(cells[7].removesuffix(" s")) == row.allowance_second
