"""Plain numbers and dates out of the bytes of a delimited text, compiled.

Importing this module imports numba (about a third of a second), so callers import it when a file
is long enough to win that back. DuckDB reads the same cells to the same bits; where a cell is not
plain, `parse` stops and says so, and the caller leaves the file to DuckDB.

Rules
- A number is an optional minus, digits, a point, an exponent, and no more digits than a float64
  holds exactly: then one division or multiplication by a power of ten is correctly rounded.
- An empty cell is NaN; a date that its form does not read is infinite.

Source: W. D. Clinger, "How to read floating point numbers accurately", PLDI 1990,
doi 10.1145/93542.93557 (the exact cases).
"""

from typing import Any

import numpy as np
from numba import njit

__all__ = ["DATE", "LITERAL", "NUMBER", "SKIP", "parse"]

SKIP, NUMBER, DATE = 0, 1, 2
# Steps of a date's form: a letter's code for itself, or beyond `LITERAL` the field that follows.
LITERAL = 256
_YEAR, _MONTH, _DAY, _HOUR, _MINUTE, _SECOND = 1, 2, 3, 4, 5, 6
_ZERO, _NINE, _POINT, _MINUS, _LINE, _RETURN = 48, 57, 46, 45, 10, 13
_SMALL_E, _LARGE_E, _PLUS = 101, 69, 43
_LARGEST = 1 << 53
_MOST_DIGITS = 18
_MOST_MICRO = 6
_EXACT_POWER = 22
_POWERS = 10.0 ** np.arange(_EXACT_POWER + 1)
_FEBRUARY, _DECEMBER, _LAST_HOUR, _LAST_MINUTE = 2, 12, 23, 59
_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


@njit(cache=True, nogil=True)
def _number(data: Any, start: int) -> tuple[int, float, bool]:  # noqa: C901  a grammar
    """Where the number ends, the number, and whether it is plain."""
    at = start
    negative = data[at] == _MINUS
    if negative:
        at += 1
    whole, begun = 0, at
    while _ZERO <= data[at] <= _NINE:
        whole = whole * 10 + (data[at] - _ZERO)
        at += 1
    seen, shift = at - begun, 0
    if data[at] == _POINT:
        at += 1
        point = at
        while _ZERO <= data[at] <= _NINE:
            whole = whole * 10 + (data[at] - _ZERO)
            at += 1
        shift = point - at
        seen -= shift
    if seen > _MOST_DIGITS:
        return at, 0.0, False
    if not seen:
        return at, np.nan, at == start
    if data[at] in (_SMALL_E, _LARGE_E):
        at += 1
        below = data[at] == _MINUS
        if below or data[at] == _PLUS:
            at += 1
        power, begun = 0, at
        while _ZERO <= data[at] <= _NINE and power < LITERAL:
            power = power * 10 + (data[at] - _ZERO)
            at += 1
        if at == begun:
            return at, 0.0, False
        shift += -power if below else power
    if whole > _LARGEST or abs(shift) > _EXACT_POWER:
        if whole != 0:
            return at, 0.0, False
        shift = 0
    value = whole / _POWERS[-shift] if shift < 0 else whole * _POWERS[shift]
    return at, (-value if negative else value), True


@njit(cache=True, nogil=True)
def _date(  # noqa: C901  a grammar
    data: Any, start: int, form: Any, fields: Any
) -> tuple[int, float]:
    """Where a date ends and its Unix time, infinite where the form does not read it. [s]"""
    fields[:] = 0
    fields[_MONTH] = fields[_DAY] = 1
    at, micro = start, 0
    for step in form:
        if step == 0:
            break
        if step < LITERAL:
            if data[at] != step:
                return at, np.inf
            at += 1
            continue
        field, begun = step - LITERAL, at
        most = 4 if field == _YEAR else 2
        while _ZERO <= data[at] <= _NINE and at - begun < most:
            fields[field] = fields[field] * 10 * (at > begun) + (data[at] - _ZERO)
            at += 1
        if at == begun or (field == _YEAR and at - begun < most):
            return at, np.inf
        if field == _SECOND and data[at] == _POINT:
            at += 1
            digits = 0
            while _ZERO <= data[at] <= _NINE and digits < _MOST_MICRO:
                micro = micro * 10 + (data[at] - _ZERO)
                digits += 1
                at += 1
            if digits == 0 or _ZERO <= data[at] <= _NINE:
                return at, np.inf
            micro *= 10 ** (_MOST_MICRO - digits)
    year, month, day = fields[_YEAR], fields[_MONTH], fields[_DAY]
    if month < 1 or month > _DECEMBER or fields[_HOUR] > _LAST_HOUR:
        return at, np.inf
    leap = month == _FEBRUARY and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if (
        day < 1
        or day > _DAYS[month - 1] + leap
        or max(fields[_MINUTE], fields[_SECOND]) > _LAST_MINUTE
    ):
        return at, np.inf
    # Days of the civil calendar, its year begun in March (H. Hinnant, "chrono-Compatible
    # Low-Level Date Algorithms").
    early = year - (month <= _FEBRUARY)
    era = early // 400
    of_era = early - era * 400
    of_year = (153 * (month + (-3 if month > _FEBRUARY else 9)) + 2) // 5 + day - 1
    days = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    second = ((days * 24 + fields[_HOUR]) * 60 + fields[_MINUTE]) * 60 + fields[_SECOND]
    return at, (second * 1_000_000 + micro) / 1e6


@njit(cache=True, nogil=True)
def parse(  # noqa: C901, PLR0912, PLR0917  one pass over bytes, compiled
    data: Any, stop: int, delimiter: int, plan: Any, places: Any, forms: Any, out: Any, row: int
) -> int:
    """Rows filled once all whole lines of `data[:stop]` are read into `out` from `row` on.

    `plan` says of each column what it is, `places` in which row of `out` it goes (a date: the
    first of one a form). The last byte of `data` must end a line. Returns -1 - the row where a
    cell is not plain.
    """
    at = 0
    fields = np.zeros(7, np.int64)
    while at < stop:
        if data[at] == _LINE:
            at += 1
            continue
        if data[at] == _RETURN and data[at + 1] == _LINE:
            at += 2
            continue
        if row >= out.shape[1]:
            return -1 - row
        for place in range(out.shape[0]):
            out[place, row] = np.nan
        column = 0
        while True:
            if column >= len(plan):
                return -1 - row
            kind = plan[column]
            if kind == NUMBER:
                at, value, plain = _number(data, at)
                if not plain:
                    return -1 - row
                out[places[column], row] = value
            elif kind == DATE and data[at] not in (delimiter, _LINE, _RETURN):
                read, end = False, at
                for which in range(len(forms)):
                    done, value = _date(data, at, forms[which], fields)
                    ended = data[done] in (delimiter, _LINE, _RETURN)
                    out[places[column] + which, row] = value if ended else np.inf
                    if ended and value != np.inf:
                        read, end = True, done
                if not read:
                    return -1 - row
                at = end
            else:
                while data[at] not in (delimiter, _LINE, _RETURN):
                    at += 1
            mark = data[at]
            if mark == delimiter:
                at += 1
                column += 1
            elif mark == _LINE:
                at += 1
                break
            elif mark == _RETURN and data[at + 1] == _LINE:
                at += 2
                break
            else:
                return -1 - row
        row += 1
    return row
