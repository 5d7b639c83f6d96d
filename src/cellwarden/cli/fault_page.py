"""The fault table as Markdown, for the page of faults.

`python -m cellwarden.cli.fault_page` writes the table into docs/faults.md of a checkout.
"""

import sys
from pathlib import Path
from typing import Final

from cellwarden.control.fault_rows import fault_rows
from cellwarden.control.fault_table import FaultRow
from cellwarden.control.signals import SIGNALS
from cellwarden.domain import CHEMISTRIES, Board, Cell, Pack, Reaction, tiers

__all__ = ["BEGIN", "END", "fault_page", "fault_table"]

BEGIN: Final = "<!-- the table: python -m cellwarden.cli.fault_page -->\n"
END: Final = "<!-- end of the table -->\n"
_HEAD: Final = (
    "| fault | reads | limit | ends at | events | opens after | hold | allowed | severity"
    " | reaction | SunSpec |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
)
_WORDS: Final = {
    Reaction.RECORD: "record",
    Reaction.WARN: "warn",
    Reaction.DERATE: "derate",
    Reaction.FORBID_CHARGE: "no charging",
    Reaction.FORBID_CLOSE: "no closing",
    Reaction.STANDBY: "standby",
    Reaction.OPEN: "open",
}


def fault_table() -> str:
    """The rows of a pack of 24 NMC cells of 50 Ah."""
    chemistry = CHEMISTRIES["NMC"]
    pack = Pack("example", Cell(chemistry, 50.0, tiers(chemistry, 50.0)), 24)
    return _HEAD + "".join(_line(row) for row in fault_rows(pack, Board()))


def _line(row: FaultRow) -> str:
    side = "<" if row.low else ">"
    end = row.limit + row.hysteresis if row.low else row.limit - row.hysteresis
    opens = f"{row.delay_second:g} s" if row.reaction is Reaction.OPEN else ""
    reaction = _WORDS[row.reaction] + (", latched" if row.latched else "")
    told = "" if row.sunspec_event is None else f"{row.sunspec_bit} {row.sunspec_event}"
    return (
        f"| `{row.name}` | {SIGNALS[row.signal].meaning} | {side} {row.limit:.5g} {row.unit}"
        f" | {end:.5g} | {row.event_count} | {opens} | {row.hold_second:g} s"
        f" | {row.allowance_second:g} s | {row.severity.name.lower()} | {reaction} | {told} |\n"
    )


def fault_page(page: str) -> str:
    """A page with the table in its place between the marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + fault_table() + "\n" + END + after


if __name__ == "__main__":
    target = Path(__file__).parents[3] / "docs" / "faults.md"
    target.write_text(fault_page(target.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{target}\n")
