"""A file on its way in: what it is taken for, and what it gives or why it gives nothing."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Remark, Series, Table
from cellwarden.errors import DataError, UsageError
from cellwarden.readers.admission import Admission, Identity
from cellwarden.readers.mapping import ColumnMapping, Guess
from cellwarden.readers.refusal import NoRecordError

__all__ = ["Draft", "Identity", "settle"]

_Column = Float64[np.ndarray, " time"]


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
    admission = Admission(guess, identity, mapping, stated=stated)
    try:
        series = admission.take(columns, direction, notes)
    except DataError as refusal:
        told = admission.guess
        return Draft(replace(told, doubts=(*told.doubts, str(refusal))), refusal)
    remarks = admission.close()
    told = replace(admission.guess, doubts=(*guess.doubts, *map(str, remarks)))
    return Draft(told, replace(series, remarks=remarks))
