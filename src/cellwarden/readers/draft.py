"""From columns in the file's own hand to a `Series`, or to the reason why not.

Rules
- Nothing is mended: what is odd becomes a remark, what cannot be read becomes NaN and a remark.
- The current is turned here and nowhere else, so that positive charges.
- A format that states its sign is believed unless the record contradicts it; one that does not
  must show it.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import Remark, Series, Severity, Table
from cellwarden.errors import DataError, UnitError, UsageError
from cellwarden.readers.kinds import as_remark, by_severity, severity
from cellwarden.readers.labels import FIELDS
from cellwarden.readers.mapping import ColumnMapping, Guess
from cellwarden.readers.refusal import NoRecordError
from cellwarden.readers.remarks import observe
from cellwarden.readers.sign import Verdict, judge

__all__ = ["Draft", "Identity", "settle"]

_COUNTS: Final = ("cycle_count", "step_index", "step_count")
_REQUIRED: Final = ("test_time_second", "voltage_volt", "current_ampere")
_MOST_TOLD: Final = 8  # problems named beside the one that a record is refused for
_LARGEST_COUNT: Final = 2.0**53  # beyond it a float64 skips integers

_Column = Float64[np.ndarray, " time"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What the format itself tells of the cell; None where it does not."""

    name: str
    nominal_capacity_ah: float | None = None
    chemistry: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A file on its way in: the guess, and what it gives or the error that stands against it."""

    guess: Guess
    outcome: Series | Table | DataError

    def content(self) -> Series | Table:
        """The record, or the table where the format holds one.

        Raises:
            DataError: what stands against it.
        """
        if isinstance(self.outcome, DataError):
            raise self.outcome
        return self.outcome

    def series(self) -> Series:
        """The record.

        Raises:
            DataError: what stands against it, or that it is a table.
        """
        found = self.content()
        if isinstance(found, Table):
            raise NoRecordError(
                f"{self.guess.path}: holds a table of {found.kind}; use read_table",
                hint="read_table gives it, and load gives whichever a file holds.",
            )
        return found


def settle(
    columns: dict[str, _Column],
    guess: Guess,
    identity: Identity,
    mapping: ColumnMapping,
    *,
    stated: str = "",
    direction: _Column | None = None,
    notes: tuple[Remark | str, ...] = (),
    record_taken: bool = False,
) -> Draft:
    """The draft of a record whose columns are in the units of `Series`.

    `stated` names the convention where the format says that positive current charges;
    `record_taken` says that the record which the mapping names was looked for.

    Raises:
        UsageError: the mapping names a record of a format that holds one.
    """
    if mapping.record is not None and not record_taken:
        raise UsageError(
            f"{guess.path}: holds one record and no {mapping.record!r}",
            hint="Leave the record out.",
        )
    columns, remarks = _clean(columns)
    remarks = [*map(as_remark, notes), *remarks]
    missing = [name for name in _REQUIRED if name not in columns]
    if missing:
        return _refuse(guess, _missing(guess, missing), remarks)
    empty = [name for name in _REQUIRED if not np.isfinite(columns[name]).any()]
    if empty:
        return _refuse(guess, _empty(guess, empty), remarks)
    verdict = _verdict(columns, direction, mapping, stated)
    guess = replace(guess, current_sign=verdict.sign, sign_evidence=verdict.evidence)
    refusal = _refusal(guess, verdict, stated)
    if refusal is not None:
        return _refuse(guess, refusal, [*remarks, *observe(columns)])
    columns["current_ampere"] = _turn(columns["current_ampere"], verdict.sign, direction)
    remarks += observe(columns)
    whole, left_out = _whole_numbers(columns)
    remarks += left_out
    series = Series(
        **{name: columns[name] for name in FIELDS if name in columns and name not in _COUNTS},
        **whole,
        name=identity.name,
        nominal_capacity_ah=mapping.nominal_capacity_ah or identity.nominal_capacity_ah,
        chemistry=mapping.chemistry or identity.chemistry,
        source=guess.path,
        remarks=tuple(remarks),
    )
    return Draft(replace(guess, doubts=(*guess.doubts, *map(str, remarks))), series)


def _refuse(guess: Guess, refusal: DataError, remarks: list[Remark]) -> Draft:
    """The refusal, and in the same breath whatever else is wrong."""
    others = [str(remark) for remark in by_severity(remarks) if severity(remark) > Severity.INFO]
    if others:
        more = f"; and {len(others) - _MOST_TOLD} more" if len(others) > _MOST_TOLD else ""
        text = f"{refusal}. Also: {'; '.join(others[:_MOST_TOLD])}{more}"
        refusal = type(refusal)(text, hint=refusal.hint)
    return Draft(replace(guess, doubts=(*guess.doubts, str(refusal))), refusal)


def _missing(guess: Guess, missing: list[str]) -> DataError:
    labels = ", ".join(column.label for column in guess.columns)
    return NoRecordError(
        f"{guess.path}: no column for {', '.join(missing)}; the file has {labels[:300]}",
        hint="Name the column with a mapping, for example"
        f" ColumnMapping(columns={{{missing[0]!r}: 'label in the file'}}).",
    )


def _empty(guess: Guess, empty: list[str]) -> DataError:
    return DataError(
        f"{guess.path}: not one number for {', '.join(empty)}",
        hint="Look at the file: it may have been cut short, or a mapping names a wrong column.",
    )


def _clean(columns: dict[str, _Column]) -> tuple[dict[str, _Column], list[Remark]]:
    """Infinite cells were unreadable or endless: no reading either way."""
    kept, remarks = {}, []
    for name, values in columns.items():
        column = np.ascontiguousarray(values, dtype=np.float64)
        endless = np.isinf(column)
        if endless.any():
            column = np.where(endless, np.nan, column)
            row, count = int(np.argmax(endless)) + 1, int(np.count_nonzero(endless))
            text = f"{count} cells of {name} hold no number, first in row {row}"
            remarks.append(Remark("no_number", text, name, count, row))
        if name not in _REQUIRED and np.isnan(column[:1]).all() and np.isnan(column).all():
            text = f"the column of {name} is empty and left out"
            remarks.append(Remark("empty_column", text, name))
            continue
        kept[name] = column
    if "test_time_second" not in kept and "unix_time_second" in kept:
        clock = kept["unix_time_second"]
        first = np.flatnonzero(np.isfinite(clock))[:1]
        if first.size:
            kept["test_time_second"] = clock - clock[first[0]]
            text = "test time is the clock's time since the first row"
            remarks.append(Remark("derived_time", text, "test_time_second"))
    return kept, remarks


def _verdict(
    columns: dict[str, _Column], direction: _Column | None, mapping: ColumnMapping, stated: str
) -> Verdict:
    heard = judge(columns, direction)
    if mapping.current_sign is not None:
        return Verdict(mapping.current_sign, f"as the mapping says ({heard.evidence})")
    if heard.by_words:
        return heard
    if not stated or heard.sign < 0:
        return replace(heard, contradiction=heard.contradiction or bool(stated))
    return Verdict(1, f"positive charges: {stated} ({heard.evidence})")


def _refusal(guess: Guess, verdict: Verdict, stated: str) -> UnitError | None:
    if not verdict.contradiction and (verdict.sign or verdict.by_words):
        return None
    what = "cannot be told"
    if verdict.contradiction:
        what = f"is not {stated}" if stated else "is told both ways"
    return UnitError(
        f"{guess.path}: the sign of the current {what}: {verdict.evidence}",
        hint="Say it: --current-sign 1, or ColumnMapping(current_sign=1), where positive current"
        " charges in the file, -1 where it discharges.",
    )


def _turn(current: _Column, sign: int, direction: _Column | None) -> _Column:
    if sign == 0 and direction is not None:
        return np.where(direction < 0, -current, current)
    # Adding zero turns -0.0 into 0.0: a rest has no sign.
    return current * sign + 0.0


def _whole_numbers(
    columns: dict[str, _Column],
) -> tuple[dict[str, Int64[np.ndarray, " time"]], list[Remark]]:
    whole, remarks = {}, []
    for name in _COUNTS:
        column = columns.get(name)
        if column is None:
            continue
        if np.all(np.abs(column) < _LARGEST_COUNT) and np.all(column == np.rint(column)):
            whole[name] = column.astype(np.int64)
        else:
            text = f"{name} is not a whole number in every row and is left out"
            remarks.append(Remark("not_whole", text, name))
    return whole, remarks
