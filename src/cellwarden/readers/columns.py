"""Which column becomes which field, in which unit, and the numbers that it holds.

Rules
- What a mapping says goes first, then what the label says, then what the numbers say.
- Each choice carries its evidence; a choice without a unit on the label is a doubt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Remark
from cellwarden.errors import UsageError
from cellwarden.readers.labels import DIRECTION, FIELDS, Label, Unit, read_label, unit_of
from cellwarden.readers.mapping import ColumnGuess, ColumnMapping
from cellwarden.readers.moments import (
    cell_sql,
    date_formats,
    date_sql,
    duration_sql,
    number_sql,
    plain_date_sql,
    plain_form,
)
from cellwarden.readers.quick import Dates
from cellwarden.readers.table import Table

__all__ = ["ZONE_NOTE", "Quick", "Source", "Taken", "own_columns", "take"]

_UNIX: Final = "unix_time_second"
_TEST: Final = "test_time_second"
_CHARGES: Final = "'^c$|^cha|chg|chrg|charg'"
_DISCHARGES: Final = "'^d$|dis|dch|dcg'"
_EPOCHS: Final = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (1e8, 1.0))
_UNIT_RATIOS: Final = ((60.0, "min"), (3600.0, "h"), (1e-3, "ms"), (86400.0, "d"))
_RATIO_SLACK: Final = 0.02
_MOST_VOLT: Final = 1000.0  # half of it above: no pack that is called Volts and nothing more
_LEAST_SPAN_SECOND: Final = 30.0  # clocks of whole seconds cannot tell a unit in less
_FACES: Final = {"instant": "time stamp", "duration": "h:m:s", "text": "date"}

# What a reader says of dates that name no zone.
ZONE_NOTE: Final = Remark("no_zone", "the clock names no time zone and is taken as UTC", _UNIX)

_Column = Float64[np.ndarray, " time"]
# Reads columns of numbers by their place in a text, and one of dates; None where it cannot.
Quick = Callable[[Mapping[str, int], Dates | None], dict[str, _Column] | None]


@dataclass(frozen=True, slots=True)
class Source:
    """A column of the file: its label, its name in SQL, its first cells.

    `shape` is `number`, `instant` (a time stamp of the file format), `duration`, `text`, `empty`,
    or `other` for what is neither numbers nor text.
    """

    label: str
    sql: str
    shape: str
    sample: tuple[str, ...] = ()
    typed: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """Columns in the units of `Series`, the tester's words as signs, and how it came to them.

    `notes` go on as remarks of the series; `doubts` concern the guess only.
    """

    columns: dict[str, _Column]
    direction: _Column | None
    guesses: tuple[ColumnGuess, ...]
    notes: tuple[Remark, ...] = ()
    doubts: tuple[str, ...] = ()
    date_format: str | None = None


@dataclass(frozen=True, slots=True)
class _Choice:
    index: int
    unit: Unit | None
    evidence: str
    firm: bool = True


@dataclass(frozen=True, slots=True)
class _Meaning:
    """A unit and why; `inferred` from the numbers, or `unstated` and taken as the field's own."""

    unit: Unit
    evidence: str
    inferred: bool = False
    unstated: bool = False


def take(
    table: Table,
    sources: Sequence[Source],
    mapping: ColumnMapping,
    *,
    decimal: str,
    limit: int,
    lines: bool = False,
    quick: Quick | None = None,
) -> Taken:
    """The columns of a table that a series has fields for; blank `lines` of a text are no rows.

    `quick` reads plain columns without the table, or declines.

    Raises:
        DataError: the rows cannot be read.
        UsageError: the mapping names a column that is not there.
    """
    choices = _choose(sources, mapping)
    queries, formats = _queries(sources, choices, mapping, decimal)
    if not set(queries) - {DIRECTION}:
        return Taken({}, None, _guesses(sources, choices, {}))
    found = None if quick is None else _quickly(quick, sources, choices, queries, formats)
    if found is None:
        found = _fetch(table, queries, _plain_dates(sources, choices, formats), limit)
    if lines:
        found = _without_blank_rows(found)
    form, notes = _dated(found, formats, choices)
    meanings = {
        name: _meaning(name, choice, sources[choice.index].shape, found)
        for name, choice in choices.items()
        if name in found
    }
    notes += [
        Remark("unit_inferred", f"{name} is read as {meaning.unit.name}: {meaning.evidence}", name)
        for name, meaning in meanings.items()
        if meaning.inferred
    ]
    columns: dict[str, _Column] = {
        name: found[name] * meanings[name].unit.factor + meanings[name].unit.offset
        for name in FIELDS
        if name in meanings
    }
    words = found.get(DIRECTION)
    return Taken(
        columns,
        words if words is not None and np.any(words != 0) else None,
        _guesses(sources, choices, meanings),
        tuple(notes),
        tuple(
            f"{sources[choices[name].index].label}: no unit stated, taken as {meaning.unit.name}"
            for name, meaning in meanings.items()
            if meaning.unstated
        ),
        form,
    )


def _choose(sources: Sequence[Source], mapping: ColumnMapping) -> dict[str, _Choice]:
    read: dict[str, list[tuple[Label, int]]] = {}
    for index, source in enumerate(sources):
        label = read_label(source.label)
        if label is not None and source.shape != "other":
            read.setdefault(_by_content(label.field, source), []).append((label, index))
    choices = {}
    for field, rivals in read.items():
        label, index = min(rivals, key=lambda rival: (rival[0].rank, rival[0].unit is None))
        choices[field] = _Choice(index, label.unit, "by its label", label.firm)
    for field, name in mapping.columns.items():
        index = _find(sources, name)
        choices = {key: kept for key, kept in choices.items() if kept.index != index}
        label = read_label(sources[index].label)
        unit = label.unit if label is not None and label.field == field else None
        choices[field] = _Choice(index, unit, "as the mapping says", unit is not None)
    for field, spelling in mapping.units.items():
        if field in choices:
            unit = unit_of(field, spelling)
            choices[field] = _Choice(choices[field].index, unit, "as the mapping says")
    return choices


def _by_content(field: str, source: Source) -> str:
    """A column called time that holds dates is the clock."""
    if field == _TEST and source.shape in ("text", "instant"):
        return _UNIX
    return field


def _find(sources: Sequence[Source], name: str) -> int:
    labels = [source.label for source in sources]
    if name in labels:
        return labels.index(name)
    if name.startswith("#") and name[1:].isdecimal() and 0 < int(name[1:]) <= len(labels):
        return int(name[1:]) - 1
    raise UsageError(
        f"the file has no column {name!r}", hint=f"Its columns are {', '.join(labels)[:300]}."
    )


def _queries(
    sources: Sequence[Source], choices: dict[str, _Choice], mapping: ColumnMapping, decimal: str
) -> tuple[dict[str, str], dict[str, str]]:
    """SQL by field, and the date format by the name under which each rival is fetched."""
    queries: dict[str, str] = {}
    formats: dict[str, str] = {}
    for field, choice in choices.items():
        source = sources[choice.index]
        if source.shape == "instant":
            queries[field] = f"epoch({source.sql})"
        elif field == DIRECTION:
            words = f"lower({cell_sql(source.sql + '::VARCHAR')})"
            queries[field] = (
                f"CASE WHEN regexp_matches({words}, {_DISCHARGES}) THEN -1"
                f" WHEN regexp_matches({words}, {_CHARGES}) THEN 1 ELSE 0 END"
            )
        elif source.shape == "duration":
            queries[field] = duration_sql(source.sql)
        elif field == _UNIX and source.shape == "text":
            rivals = (mapping.date_format,) if mapping.date_format else date_formats(source.sample)
            formats = {f"{_UNIX}_{rank}": form for rank, form in enumerate(rivals)}
            queries |= {name: date_sql(source.sql, form) for name, form in formats.items()}
        elif source.typed:
            queries[field] = source.sql
        else:
            queries[field] = number_sql(source.sql, decimal)
    return queries, formats


def _quickly(
    quick: Quick,
    sources: Sequence[Source],
    choices: dict[str, _Choice],
    queries: dict[str, str],
    formats: dict[str, str],
) -> dict[str, _Column] | None:
    """The columns of plain numbers and dates; None where one is something else."""
    numbers = {name: choices[name].index for name in queries if name not in formats}
    if not all(sources[index].typed for index in numbers.values()):
        return None
    if not formats:
        return quick(numbers, None)
    index = choices[_UNIX].index
    first = _first_cell(sources[index])
    plain = {name: plain_form(form, first) for name, form in formats.items()}
    found = quick(numbers, Dates(index, plain))
    if found is None or all(np.isinf(found[name]).any() for name in formats):
        return None
    return found


def _plain_dates(
    sources: Sequence[Source], choices: dict[str, _Choice], formats: dict[str, str]
) -> dict[str, str]:
    if not formats:
        return {}
    source = sources[choices[_UNIX].index]
    return {
        name: plain_date_sql(source.sql, form, _first_cell(source))
        for name, form in formats.items()
    }


def _first_cell(source: Source) -> str:
    return next((cell for cell in source.sample if cell), "")


def _fetch(
    table: Table, queries: dict[str, str], plain: dict[str, str], limit: int
) -> dict[str, _Column]:
    """All columns; dates as if all were written like the first, and once more if they are not."""
    found = table.fetch({**queries, **plain}, limit=limit)
    if plain and all(np.isinf(found[name]).any() for name in plain):
        found |= table.fetch({name: queries[name] for name in plain}, limit=limit)
    return found


def _without_blank_rows(found: dict[str, _Column]) -> dict[str, _Column]:
    """The rows that hold anything; blank lines of a text are no rows."""
    blank = np.logical_and.reduce([np.isnan(c) for name, c in found.items() if name != DIRECTION])
    if not np.any(blank):
        return found
    return {name: column[~blank] for name, column in found.items()}


def _dated(
    found: dict[str, _Column], formats: dict[str, str], choices: dict[str, _Choice]
) -> tuple[str | None, list[Remark]]:
    """Settle on one form of the dates, or leave the clock out; the form, and what to remark."""
    if not formats:
        return None, []
    form, note = _settle_date(found, formats)
    if form is None:
        del choices[_UNIX]
    else:
        choices[_UNIX] = replace(choices[_UNIX], evidence=f"read as {form}")
    return form, [note]


def _settle_date(found: dict[str, _Column], formats: dict[str, str]) -> tuple[str | None, Remark]:
    """The format that holds for the file (None where two do), and what to remark."""
    rivals = {name: found.pop(name) for name in formats}
    unread = {name: int(np.count_nonzero(np.isinf(values))) for name, values in rivals.items()}
    best = min(unread.values())
    names = [name for name in rivals if unread[name] == best]
    # Formats that read every cell alike are one and the same.
    names = [names[0]] + [n for n in names[1:] if not np.array_equal(rivals[n], rivals[names[0]])]
    if len(names) > 1 and _TEST in found:
        apart = {name: abs(_span(rivals[name]) - _span(found[_TEST])) for name in names}
        least = min(apart.values())
        names = [name for name in names if apart[name] <= least + 1.0]
    found[_UNIX] = rivals[names[0]]
    if len(names) > 1:
        both = " or ".join(formats[name] for name in names)
        text = f"the clock is left out: it reads as {both}; date_format can say which"
        return None, Remark("clock_left_out", text, _UNIX)
    return formats[names[0]], ZONE_NOTE


def _span(values: _Column) -> float:
    finite = values[np.isfinite(values)]
    return float(np.ptp(finite)) if finite.size else 0.0


def _meaning(field: str, choice: _Choice, shape: str, found: dict[str, _Column]) -> _Meaning:
    """The unit of a column: told by its cells, by its label, or by the numbers."""
    if field == DIRECTION or shape in ("instant", "duration") or (field, shape) == (_UNIX, "text"):
        return _Meaning(Unit(_FACES.get(shape, "")), choice.evidence)
    values = found[field]
    stated = choice.unit
    if field == "voltage_volt" and not choice.firm and _middle(values) > _MOST_VOLT:
        why = f"{choice.evidence}, but half of it is above {_middle(values):.4g}"
        return _Meaning(Unit("mV", 1e-3), why, inferred=True)
    if stated is not None:
        return _Meaning(stated, choice.evidence)
    if field == _UNIX:
        middle = _middle(values)
        factor = next((factor for least, factor in _EPOCHS if middle > least), 1.0)
        return _Meaning(Unit("s" if factor == 1.0 else f"{factor:g} s", factor), choice.evidence)
    if field == _TEST and _UNIX in found:
        told = _by_clock(_span(values), _span(found[_UNIX]))
        if told is not None:
            return told
    own = _own_unit(field)
    return _Meaning(Unit(own), choice.evidence, unstated=own != "1")


def _middle(values: _Column) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(np.median(finite)) if finite.size else 0.0


def _by_clock(span: float, clock_second: float) -> _Meaning | None:
    """The unit of a test time that states none, where the clock tells it to be no second."""
    if span <= 0 or clock_second < _LEAST_SPAN_SECOND:
        return None
    ratio = clock_second / span
    for factor, name in _UNIT_RATIOS:
        if abs(ratio / factor - 1) < _RATIO_SLACK:
            why = f"no unit stated; the clock runs {ratio:.4g} s in one"
            return _Meaning(Unit(name, factor), why, inferred=True)
    return None


def _own_unit(field: str) -> str:
    return {
        "second": "s",
        "volt": "V",
        "ampere": "A",
        "celsius": "°C",
        "ah": "Ah",
        "wh": "Wh",
        "ohm": "Ω",
    }.get(field.rsplit("_", 1)[-1], "1")


def _guesses(
    sources: Sequence[Source],
    choices: dict[str, _Choice],
    meanings: dict[str, _Meaning],
) -> tuple[ColumnGuess, ...]:
    by_index = {choice.index: name for name, choice in choices.items()}
    guesses = []
    for index, source in enumerate(sources):
        field = by_index.get(index)
        if field is None or field not in meanings:
            guesses.append(ColumnGuess(source.label, None, evidence=_unused(source, choices)))
            continue
        if field == DIRECTION:
            guesses.append(ColumnGuess(source.label, None, evidence="heard for the current's sign"))
            continue
        meaning = meanings[field]
        unit = meaning.unit
        guesses.append(
            ColumnGuess(source.label, field, unit.name, unit.factor, unit.offset, meaning.evidence)
        )
    return tuple(guesses)


def own_columns(table: Table, fields: Mapping[str, str]) -> tuple[ColumnGuess, ...]:
    """The guesses of a format whose columns are known by name and in the units of a series."""
    return tuple(
        ColumnGuess(column.name, None, evidence="no field of a series")
        if (field := fields.get(column.name)) is None
        else ColumnGuess(column.name, field, _own_unit(field), evidence="the format's own column")
        for column in table.columns
    )


def _unused(source: Source, choices: dict[str, _Choice]) -> str:
    label = read_label(source.label)
    if label is None or label.field not in choices:
        return "no field of a series"
    return f"another column is {label.field}"
