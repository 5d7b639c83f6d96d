"""From columns in the file's own hand to a `Series`, piece by piece, or to the reason why not.

Rules
- Nothing is mended: what is odd becomes a remark, what cannot be read becomes NaN and a remark.
- The current is turned here and nowhere else, so that positive charges.
- A format that states its sign is believed unless the record contradicts it; one that does not
  must show it.
- The first piece decides sign and columns for all; remarks are those of the whole record.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import Remark, Series, Severity
from cellwarden.errors import DataError, UnitError
from cellwarden.readers.block import Tally
from cellwarden.readers.kinds import as_remark, by_severity, severity
from cellwarden.readers.labels import FIELDS
from cellwarden.readers.mapping import ColumnMapping, Guess
from cellwarden.readers.refusal import NoRecordError
from cellwarden.readers.remarks import Watch, observe
from cellwarden.readers.sign import Verdict, judge

__all__ = ["Admission", "Identity"]

_COUNTS: Final = ("cycle_count", "step_index", "step_count")
_REQUIRED: Final = ("test_time_second", "voltage_volt", "current_ampere")
_JUDGED: Final = 200_000  # rows that tell the sign, unless they leave it open
_MOST_TOLD: Final = 8  # problems named beside the one that a record is refused for
_LARGEST_COUNT: Final = 2.0**53  # beyond it a float64 skips integers

_Column = Float64[np.ndarray, " time"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What the format itself tells of the cell; None where it does not."""

    name: str
    nominal_capacity_ah: float | None = None
    chemistry: str | None = None


class Admission:
    """Lets a record in, in one piece or in many; `guess` and `close` tell of the whole.

    `stated` names the convention where the format says that positive current charges.
    """

    def __init__(
        self, guess: Guess, identity: Identity, mapping: ColumnMapping, *, stated: str = ""
    ) -> None:
        self.guess = guess
        self._identity = identity
        self._mapping = mapping
        self._stated = stated
        self._notes: list[Remark] = []
        self._left_out: list[Remark] = []
        self._unread: dict[str, Tally] = {}
        self._names: tuple[str, ...] = ()
        self._derived_from: float | None = None
        self._sign = 0
        self._rows = 0
        self._watch = Watch()

    def take(
        self,
        columns: dict[str, _Column],
        direction: _Column | None = None,
        notes: tuple[Remark | str, ...] = (),
    ) -> Series:
        """The next piece, in units of `Series` and the sign of the file; it carries no remarks.

        `direction` is +1 where the tester calls a row charge, -1 discharge, 0 neither; `notes` of
        the first piece stand for all.

        Raises:
            DataError: the record is refused, with all that is wrong with its first piece.
        """
        kept = self._clean(columns)
        if not self._names:
            self._notes += map(as_remark, notes)
            kept = self._admit(kept, direction)
        gone = np.full(len(kept["test_time_second"]), np.nan)
        kept = {name: kept.get(name, gone) for name in self._names}
        kept["current_ampere"] = _turn(kept["current_ampere"], self._sign, direction)
        self._watch.feed(kept)
        self._rows += len(kept["test_time_second"])
        known: dict[str, Any] = {
            name: self._whole(name, column) if name in _COUNTS else column
            for name, column in kept.items()
        }
        return Series(
            **known,
            name=self._identity.name,
            nominal_capacity_ah=self._mapping.nominal_capacity_ah
            or self._identity.nominal_capacity_ah,
            chemistry=self._mapping.chemistry or self._identity.chemistry,
            source=self.guess.path,
        )

    def close(self) -> tuple[Remark, ...]:
        """All that was noticed; rows count from 1 over all pieces."""
        return (*self._notes, *self._unreadable(), *self._watch.close(), *self._left_out)

    def _unreadable(self) -> list[Remark]:
        return [
            Remark(
                "no_number",
                f"{tally.count} cells of {name} hold no number, first in row {tally.first_row}",
                name,
                tally.count,
                tally.first_row,
            )
            for name, tally in self._unread.items()
        ]

    def _clean(self, columns: dict[str, _Column]) -> dict[str, _Column]:
        """Infinite cells were unreadable or endless: no reading either way."""
        kept = {}
        for name, values in columns.items():
            column = np.ascontiguousarray(values, dtype=np.float64)
            endless = np.isinf(column)
            if endless.any():
                column = np.where(endless, np.nan, column)
                self._unread.setdefault(name, Tally()).add(endless, self._rows + 1)
            kept[name] = column
        if "test_time_second" not in kept and "unix_time_second" in kept:
            clock = kept["unix_time_second"]
            first = np.flatnonzero(np.isfinite(clock))[:1]
            if self._derived_from is None and first.size:
                self._derived_from = float(clock[first[0]])
            if self._derived_from is not None:
                kept["test_time_second"] = clock - self._derived_from
        return kept

    def _admit(self, columns: dict[str, _Column], direction: _Column | None) -> dict[str, _Column]:
        """Decide on columns and sign by the first piece.

        Raises:
            DataError: the record is refused.
        """
        columns = self._without_empty(columns)
        if self._derived_from is not None:
            text = "test time is the clock's time since the first row"
            self._notes.append(Remark("derived_time", text, "test_time_second"))
        missing = [name for name in _REQUIRED if name not in columns]
        empty = [
            name for name in _REQUIRED if not np.isfinite(columns.get(name, np.zeros(1))).any()
        ]
        if missing or empty:
            refusal = _missing(self.guess, missing) if missing else _empty(self.guess, empty)
            raise _with_others(refusal, [*self._notes, *self._unreadable()])
        verdict = self._verdict(columns, direction)
        self.guess = replace(self.guess, current_sign=verdict.sign, sign_evidence=verdict.evidence)
        wrong = _refusal(self.guess, verdict, self._stated)
        if wrong is not None:
            others = [*self._notes, *self._unreadable(), *observe(columns)]
            raise _with_others(wrong, others)
        self._names = tuple(name for name in FIELDS if name in columns)
        self._sign = verdict.sign
        return columns

    def _without_empty(self, columns: dict[str, _Column]) -> dict[str, _Column]:
        kept = {}
        for name, column in columns.items():
            hollow = np.isnan(column[:1]).all() and np.isnan(column).all()
            if hollow and name not in _REQUIRED:
                text = f"the column of {name} is empty and left out"
                self._notes.append(Remark("empty_column", text, name))
            else:
                kept[name] = column
        return kept

    def _verdict(self, columns: dict[str, _Column], direction: _Column | None) -> Verdict:
        first = {name: column[:_JUDGED] for name, column in columns.items()}
        heard = judge(first, None if direction is None else direction[:_JUDGED])
        if not (heard.sign or heard.by_words):
            heard = judge(columns, direction)
        if self._mapping.current_sign is not None:
            return Verdict(self._mapping.current_sign, f"as the mapping says ({heard.evidence})")
        if heard.by_words:
            return heard
        if not self._stated or heard.sign < 0:
            return replace(heard, contradiction=heard.contradiction or bool(self._stated))
        return Verdict(1, f"positive charges: {self._stated} ({heard.evidence})")

    def _whole(self, name: str, column: _Column) -> Int64[np.ndarray, " time"] | None:
        if any(remark.column == name for remark in self._left_out):
            return None
        if np.all(np.abs(column) < _LARGEST_COUNT) and np.all(column == np.rint(column)):
            return column.astype(np.int64)
        text = f"{name} is not a whole number in every row and is left out"
        self._left_out.append(Remark("not_whole", text, name))
        return None


def _with_others(refusal: DataError, remarks: list[Remark]) -> DataError:
    """The refusal, and in the same breath whatever else is wrong."""
    others = [str(remark) for remark in by_severity(remarks) if severity(remark) > Severity.INFO]
    if others:
        more = f"; and {len(others) - _MOST_TOLD} more" if len(others) > _MOST_TOLD else ""
        text = f"{refusal}. Also: {'; '.join(others[:_MOST_TOLD])}{more}"
        return type(refusal)(text, hint=refusal.hint)
    return refusal


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
