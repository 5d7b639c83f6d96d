"""What a reader takes each column for: its guess, and the words of a person that override it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

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

    def __post_init__(self) -> None:
        _check_tables(self.columns, self.units)
        if self.current_sign not in (None, 1, -1):
            raise UsageError(f"current_sign is {self.current_sign!r}", hint="Use 1 or -1.")
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise UsageError(f"delimiter is {self.delimiter!r}", hint="Use one character.")
        if self.decimal not in (None, ".", ","):
            raise UsageError(f"decimal is {self.decimal!r}", hint='Use "." or ",".')
        if self.header_row is not None and (
            not isinstance(self.header_row, int) or self.header_row < 0
        ):
            raise UsageError(f"header_row is {self.header_row!r}", hint="Count lines from 1.")
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))
        object.__setattr__(self, "units", MappingProxyType(dict(self.units)))


def _check_tables(columns: object, units: object) -> None:
    for title, table in (("columns", columns), ("units", units)):
        if not isinstance(table, Mapping) or not all(isinstance(v, str) for v in table.values()):
            raise UsageError(f"{title} is not a table of texts", hint=_HINT)
        foreign = sorted(set(table) - set(FIELDS))
        if foreign:
            raise UsageError(
                f"{title} names {', '.join(map(str, foreign))}",
                hint=f"Use the fields of a series: {', '.join(FIELDS)}.",
            )
    assert isinstance(units, Mapping)  # noqa: S101  the loop above has seen to it
    for name, unit in units.items():
        if unit_of(name, unit) is None:
            raise UsageError(f"{unit!r} is no unit of {name}", hint="Write for example V, mA, h.")


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
    """

    path: str
    format: str
    columns: tuple[ColumnGuess, ...]
    current_sign: int = 0
    sign_evidence: str = ""
    layout: str = ""
    doubts: tuple[str, ...] = ()

    def used(self) -> tuple[ColumnGuess, ...]:
        """The columns that are taken in."""
        return tuple(column for column in self.columns if column.field is not None)

    def unused(self) -> tuple[str, ...]:
        """The labels that stay behind."""
        return tuple(column.label for column in self.columns if column.field is None)
