"""What a reader takes each column for: its guess, and the words of a person that override it."""

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from cellwarden.errors import UsageError
from cellwarden.readers.labels import FIELDS, unit_of

__all__ = ["ColumnGuess", "ColumnMapping", "Guess", "load_mapping"]

_HINT = "See the table that a dry run prints for what may be overridden."


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Overrides, one for each thing that is guessed; what is left out stays guessed.

    `columns` gives the label of the file for a field of `Series`; `#3` is the third column.
    `units` gives the unit of a field in the file. `current_sign` is +1 where positive current
    charges in the file, -1 where it discharges. `header_row` counts from 1; 0 says there is none.
    `record` names the record to take from a file that holds several.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    current_sign: int | None = None
    delimiter: str | None = None
    decimal: str | None = None
    header_row: int | None = None
    date_format: str | None = None
    nominal_capacity_ah: float | None = None
    chemistry: str | None = None
    record: str | None = None

    def __post_init__(self) -> None:
        _check({item.name: getattr(self, item.name) for item in fields(self)})
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))
        object.__setattr__(self, "units", MappingProxyType(dict(self.units)))


def _check(found: Mapping[str, Any]) -> None:
    """Raise a UsageError for the first thing that makes no sense."""
    for name, value in found.items():
        kind, sound, hint = _SOUND[name]
        if value is not None and not (isinstance(value, kind) and sound(value)):
            raise UsageError(f"{name} is {value!r}", hint=hint)
    for title in ("columns", "units"):
        foreign = sorted(set(found.get(title, ())) - set(FIELDS))
        if foreign:
            raise UsageError(
                f"{title} names {', '.join(foreign)}",
                hint=f"Use the fields of a series: {', '.join(FIELDS)}.",
            )
    for name, unit in found.get("units", {}).items():
        if unit_of(name, unit) is None:
            raise UsageError(f"{unit!r} is no unit of {name}", hint="Write for example V, mA, h.")


def _texts(table: Mapping[Any, Any]) -> bool:
    return all(isinstance(item, str) for pair in table.items() for item in pair)


def _dates(form: str) -> bool:
    """Whether a date survives being written and read by a format."""
    try:
        datetime.strptime(datetime(2001, 2, 3, 4, 5, 6).strftime(form), form)  # noqa: DTZ001, DTZ007  only its shape
    except ValueError:
        return False
    return "%" in form


_Sound = tuple[type | tuple[type, ...], Callable[[Any], bool], str]
_SOUND: Final[Mapping[str, _Sound]] = MappingProxyType(
    {
        "columns": (Mapping, _texts, "Give a label of the file for a field of a series."),
        "units": (Mapping, _texts, "Give a unit for a field of a series."),
        "current_sign": (int, lambda sign: sign in (1, -1), "Use 1 or -1."),
        "delimiter": (str, lambda text: len(text) == 1 and text not in '"\r\n', "One character."),
        "decimal": (str, lambda text: text in (".", ","), 'Use "." or ",".'),
        "header_row": (int, lambda row: row >= 0, "Count lines from 1; 0 says there is none."),
        "date_format": (str, _dates, "Write it as strptime does, for example %d/%m/%Y %H:%M:%S."),
        "nominal_capacity_ah": ((int, float), lambda ah: 0 < ah < math.inf, "Give ampere hours."),
        "chemistry": (str, bool, "Give a name, for example LCO."),
        "record": (str, bool, "Give the name of a record, as `records` lists them."),
    }
)


def load_mapping(source: "ColumnMapping | Path | str | None") -> ColumnMapping:
    """A mapping as given, or read from a TOML file with the same names.

    Raises:
        UsageError: the file cannot be read or says something else than a mapping.
    """
    if source is None:
        return ColumnMapping()
    if isinstance(source, ColumnMapping):
        return source
    try:
        with Path(source).open("rb") as file:
            found: dict[str, Any] = tomllib.load(file)
    except OSError as error:
        raise UsageError(
            f"{source}: {error.strerror}", hint="Name a TOML file that exists."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{source}: {error}", hint="Write the mapping as TOML.") from error
    known = {item.name for item in fields(ColumnMapping)}
    foreign = sorted(set(found) - known)
    if foreign:
        raise UsageError(f"{source}: {', '.join(foreign)} is not known", hint=_HINT)
    _check(found)
    return ColumnMapping(**found)


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """One column of the file: the field it becomes, by which factor, and why.

    `field` is None where the column stays unused.
    """

    label: str
    field: str | None
    unit: str = ""
    factor: float = 1.0
    offset: float = 0.0
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Guess:
    """What a reader would make of a file.

    `current_sign` is +1 where positive current charges in the file, -1 where it discharges,
    0 where it cannot be told or a column gives the direction.
    `records` names the records of a file that holds several.
    """

    path: str
    format: str
    columns: tuple[ColumnGuess, ...]
    current_sign: int = 0
    sign_evidence: str = ""
    layout: str = ""
    doubts: tuple[str, ...] = ()
    records: tuple[str, ...] = ()

    def used(self) -> tuple[ColumnGuess, ...]:
        """The columns that are taken in."""
        return tuple(column for column in self.columns if column.field is not None)

    def unused(self) -> tuple[str, ...]:
        """The labels that stay behind."""
        return tuple(column.label for column in self.columns if column.field is None)
