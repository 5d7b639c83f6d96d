"""The nomenclature page, written from the table of quantities.

`python -m cellwarden.cli.nomenclature > docs/nomenclature.md`
"""

import sys
from typing import Final

from cellwarden.domain import LIST_COLUMNS, QUANTITIES, Quantity

__all__ = ["nomenclature"]

_HEAD: Final = """\
# Nomenclature

Written by `python -m cellwarden.cli.nomenclature` from `domain/units.py`; change that table, not
this page.

Every number that is stored, sent or shown carries one of these names, from the sensor to the page.
A name ends in its unit, in the spelling of the Battery Data Format (BDF) where that format has the
quantity. Positive current charges the cell. Fractions run from 0 to 1; a percent sign appears on a
screen only. Time is Unix seconds, UTC. A missing reading is NaN, never a zero and never the last
value again.

A number outside its range cannot be true; the guard says so and no other rule uses it.

| name | unit | meaning | range | measured | BDF label |
| --- | --- | --- | --- | --- | --- |
"""
_FOOT: Final = """
Measured quantities of `Frames` are 32-bit floats, time is a 64-bit float
([why](decisions/0003-float32-measurements.md)).
{lists} hold one number for each cell or sensor; every
other column holds one for the pack.
"""


def nomenclature() -> str:
    """The page as Markdown."""
    rows = "".join(_row(quantity) for quantity in QUANTITIES.values())
    lists = " and ".join(f"`{name}`" for name in LIST_COLUMNS)
    return _HEAD + rows + _FOOT.format(lists=lists)


def _row(quantity: Quantity) -> str:
    measured = "yes" if quantity.sensed else ""
    return (
        f"| `{quantity.name}` | {quantity.unit} | {quantity.meaning} | {_span(quantity)}"
        f" | {measured} | {quantity.bdf_label} |\n"
    )


def _span(quantity: Quantity) -> str:
    """Lowest and highest true value, as far as there are such. [unit of the quantity]"""
    low, high = quantity.low, quantity.high
    if low > float("-inf") and high < float("inf"):
        return f"{low:g} to {high:g}"
    if low > float("-inf"):
        return f"from {low:g}"
    return f"up to {high:g}" if high < float("inf") else ""


if __name__ == "__main__":
    sys.stdout.write(nomenclature())
