"""Long plain texts, read by the compiled kernel; anything not plain is left to DuckDB.

Rules
- What comes out is to the bit what DuckDB gives for the same cells.
- Numbers and one column of dates; a text with anything else is not tried.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.readers.layout import Layout

__all__ = ["LEAST_BYTES", "Dates", "form_of", "quick_columns"]

LEAST_BYTES: Final = 1 << 25  # less is read sooner than the kernel is loaded
_BLOCK: Final = 1 << 23
_FIELDS: Final = {"Y": 1, "m": 2, "d": 3, "H": 4, "M": 5, "S": 6}
_FIRST_FIELD: Final = 256
_STEP: Final = re.compile(r"%(.)|(.)")


@dataclass(frozen=True, slots=True)
class Dates:
    """The column of dates, the forms it may have by the name of what they give, its first cell."""

    index: int
    formats: Mapping[str, str]


def form_of(date_format: str) -> tuple[int, ...] | None:
    """A strptime format as steps of the kernel, or None where it has a part that is not plain."""
    steps = []
    for field, letter in _STEP.findall(date_format):
        if field and field not in _FIELDS:
            return None
        steps.append(_FIRST_FIELD + _FIELDS[field] if field else ord(letter))
    return tuple(steps) if all(step < 2 * _FIRST_FIELD for step in steps) else None


def quick_columns(
    path: Path, layout: Layout, numbers: Mapping[str, int], dates: Dates | None, most_rows: int
) -> dict[str, Float64[np.ndarray, " row"]] | None:
    """Columns of numbers by their place in the text, and of dates; None where it is not plain."""
    forms = _forms(dates)
    if layout.quote or layout.encoding != "utf-8" or forms is None:
        return None
    names = [*numbers, *(dates.formats if dates else ())]
    plan, places = _plan(len(layout.labels), list(numbers.values()), dates)
    rows = _line_count(path)
    if rows > most_rows:
        return None
    out = np.empty((len(names), rows))
    filled = _fill(path, layout, (plan, places, forms), out)
    return None if filled is None else {n: out[i, :filled] for i, n in enumerate(names)}


def _forms(dates: Dates | None) -> Int64[np.ndarray, "form step"] | None:
    """The forms of a date, a row each, ended by zeros; None where one is not plain."""
    forms = [form_of(form) for form in dates.formats.values()] if dates else []
    known = [form for form in forms if form is not None]
    if len(known) < len(forms):
        return None
    grid = np.zeros((len(known), 1 + max(map(len, known), default=0)), dtype=np.int64)
    for row, form in enumerate(known):
        grid[row, : len(form)] = form
    return grid


def _plan(
    width: int, numbers: list[int], dates: Dates | None
) -> tuple[Int64[np.ndarray, " column"], Int64[np.ndarray, " column"]]:
    from cellwarden.readers import kernel  # noqa: PLC0415  numba takes a third of a second

    plan = np.full(width, kernel.SKIP, dtype=np.int64)
    places = np.zeros(width, dtype=np.int64)
    for place, index in enumerate(numbers):
        plan[index], places[index] = kernel.NUMBER, place
    if dates is not None:
        plan[dates.index], places[dates.index] = kernel.DATE, len(numbers)
    return plan, places


def _line_count(path: Path) -> int:
    """Lines of a file, the last one too where nothing ends it. [1]"""
    count = 1
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            count += block.count(b"\n")
    return count


def _fill(
    path: Path,
    layout: Layout,
    steps: tuple[np.ndarray, np.ndarray, np.ndarray],
    out: Float64[np.ndarray, "column row"],
) -> int | None:
    """How many rows were filled; None where a cell is not plain."""
    from cellwarden.readers import kernel  # noqa: PLC0415  numba takes a third of a second

    row = 0
    with path.open("rb") as file:
        for _ in range(layout.skip):
            file.readline()
        rest = b""
        while block := file.read(_BLOCK):
            data = rest + block
            end = data.rfind(b"\n") + 1
            rest = data[end:]
            row = kernel.parse(_bytes(data), end, ord(layout.delimiter), *steps, out, row)
            if row < 0:
                return None
        if rest:
            data = rest + b"\n"
            row = kernel.parse(_bytes(data), len(data), ord(layout.delimiter), *steps, out, row)
    return None if row < 0 else row


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype=np.uint8)
