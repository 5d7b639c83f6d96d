"""Cells that tell a time: durations like 26:03:01.5 and dates in the hands of many testers.

Rules
- One date format holds for a whole file; the one that reads most cells wins.
- Where day and month could change places, the test time decides; where it cannot, the clock
  is left out rather than guessed.
- A date without a zone is taken as UTC, and a remark says so.
"""

import re
from datetime import datetime
from itertools import product
from typing import Final

from cellwarden.readers.layout import NUMBER

__all__ = [
    "cell_sql",
    "date_formats",
    "date_sql",
    "duration_sql",
    "is_duration",
    "number_sql",
    "plain_date_sql",
    "plain_form",
    "shape_of",
]

_AROUND: Final = "' \t\"'''"  # SQL for blanks and quotes
_DURATION: Final = re.compile(r"^(\d+\s*d(ays?)?\s+)?\d+:\d\d(:\d\d([.,]\d+)?)?$")
_DAYS: Final = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%m-%d-%Y",
    "%d-%m-%Y",
    "%d-%b-%y",
    "%d-%b-%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%y",
)
_HOURS: Final = (" %H:%M:%S", " %I:%M:%S %p", " %H:%M:%S %p", " %H:%M", " %I:%M %p")
_FORMATS: Final = tuple(day + hour for day, hour in product(_DAYS, _HOURS))
_FRACTION: Final = re.compile(r"(:\d\d)[.,]\d+")
_FRACTION_MARK: Final = re.compile(r":\d\d([.,])\d+")
_ISO: Final = re.compile(r"^(\d{4}-\d\d-\d\d)T")
_UTC: Final = re.compile(r"\s*(Z|UTC|\+00:?00)$")


def shape_of(sample: tuple[str, ...]) -> str:
    """What most cells of a sample are: `number`, `duration` or `text`; `empty` where none is."""
    cells = [cell for cell in sample if cell]
    if not cells:
        return "empty"
    half = len(cells) / 2
    if sum(NUMBER.match(cell) is not None for cell in cells) > half:
        return "number"
    if sum(is_duration(cell) for cell in cells) > half:
        return "duration"
    return "text"


def is_duration(cell: str) -> bool:
    """Whether a cell is hours, minutes and seconds."""
    return _DURATION.match(cell) is not None


def cell_sql(column: str) -> str:
    """SQL for the text of a column without blanks and quotes around it; NULL if empty."""
    return f"nullif(trim({column}, {_AROUND}), '')"


def number_sql(column: str, decimal: str) -> str:
    """SQL for the number in a column of texts; NULL where it is empty, infinite where it is none.

    Plain numbers, nearly all, are cast at once; trimming each cell first takes three times as long.
    `ltrim` looks for an empty cell because a second `trim` would be computed for every row.
    """
    text = f"replace({column}, ',', '.')" if decimal == "," else column
    return (
        f"coalesce(TRY_CAST({text} AS DOUBLE),"
        f" CASE WHEN {column} IS NULL OR ltrim({column}, {_AROUND}) = '' THEN NULL"
        f" ELSE coalesce(TRY_CAST(trim({text}, {_AROUND}) AS DOUBLE), 'inf') END)"
    )


def duration_sql(column: str) -> str:
    """SQL for the seconds of a duration; infinite where there is none. [s]"""
    cell = cell_sql(column)
    text = f"regexp_replace(replace({cell}, ',', '.'), '^(\\d+)\\s*d(ays?)?\\s+', '\\1 days ')"
    return _or_infinite(cell, f"epoch(TRY_CAST({text} AS INTERVAL))")


def date_sql(column: str, date_format: str) -> str:
    """SQL for the Unix time of a date; infinite where there is none. [s]"""
    cell = cell_sql(column)
    plain = f"regexp_replace({cell}, '(:\\d\\d)[.,]\\d+', '\\1')"
    plain = f"regexp_replace({plain}, '^(\\d{{4}}-\\d\\d-\\d\\d)T', '\\1 ')"
    plain = f"regexp_replace({plain}, '\\s*(Z|UTC|\\+00:?00)$', '')"
    fraction = f"nullif(regexp_extract({cell}, ':\\d\\d[.,](\\d+)', 1), '')"
    fraction = f"coalesce(TRY_CAST('0.' || {fraction} AS DOUBLE), 0)"
    pattern = date_format.replace("'", "''")
    return _or_infinite(cell, f"epoch(try_strptime({plain}, '{pattern}')) + {fraction}")


def plain_date_sql(column: str, date_format: str, cell: str) -> str:
    """The same for cells written just as `cell`, ten times as fast; infinite for any other. [s]"""
    forms = {plain_form(date_format, cell).replace("%S", _fraction_of(cell)), date_format}
    ordered = sorted(forms, key=len, reverse=True)
    listed = ", ".join("'" + form.replace("'", "''") + "'" for form in ordered)
    return (
        f"coalesce(epoch(try_strptime({column}, [{listed}])),"
        f" CASE WHEN {column} IS NULL OR ltrim({column}, {_AROUND}) = '' THEN NULL"
        " ELSE 'inf'::DOUBLE END)"
    )


def _fraction_of(cell: str) -> str:
    found = _FRACTION_MARK.search(cell)
    return f"%S{found[1]}%n" if found else "%S"


def plain_form(date_format: str, cell: str) -> str:
    """A format with the letters around it that a cell has; a fraction of a second goes unsaid."""
    stem = date_format.replace(" ", "T", 1) if _ISO.match(cell) else date_format
    zone = _UTC.search(cell)
    return stem + (zone[0] if zone else "")


def _or_infinite(cell: str, value: str) -> str:
    return f"CASE WHEN {cell} IS NOT NULL THEN coalesce({value}, 'inf') END"


def date_formats(sample: tuple[str, ...]) -> tuple[str, ...]:
    """The formats that read each cell of a sample; a clock of 24 hours before one of 12."""
    cells = [_UTC.sub("", _ISO.sub(r"\1 ", _FRACTION.sub(r"\1", cell))) for cell in sample if cell]
    return tuple(form for form in _FORMATS if cells and all(_reads(cell, form) for cell in cells))


def _reads(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)  # noqa: DTZ007  only its shape is asked for
    except ValueError:
        return False
    return True
