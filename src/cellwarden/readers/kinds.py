"""Everything a reader may remark on: one row a kind, with how much it matters and what it means.

Rules
- A kind keeps its name from version to version; programs may rely on it.
- ALARM: the numbers are not what they claim to be, use them with care or not at all.
- WARNING: something is missing or odd; most uses can go on.
- INFO: good to know; nothing is wrong.

The table in docs/reading.md is this one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cellwarden.domain import Remark, Severity

__all__ = ["KINDS", "Kind", "as_remark", "by_severity", "severity"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of remark."""

    name: str
    severity: Severity
    meaning: str


_ALARM, _WARNING, _INFO = Severity.ALARM, Severity.WARNING, Severity.INFO
_TABLE: Final = (
    Kind("backward_time", _ALARM, "a time stamp is earlier than the one before"),
    Kind("charge_apart", _ALARM, "the tester's charge counter and its current tell two charges"),
    Kind("frozen", _ALARM, "readings stay bit by bit the same while charge flows"),
    Kind("interpolated", _ALARM, "readings lie on straight lines: resampled, not measured"),
    Kind("out_of_range", _ALARM, "readings outside what can be true"),
    Kind("overshoot", _ALARM, "curves swing far outside the others, as splines do"),
    Kind("repeated_part", _ALARM, "a part of the record stands in it twice"),
    Kind("unit_doubt", _ALARM, "numbers of a size that speaks for another unit"),
    Kind("backward_cycle", _WARNING, "the cycle number falls"),
    Kind("clock_left_out", _WARNING, "dates that read two ways; the clock is left out"),
    Kind("clocks_apart", _WARNING, "test time and clock span different times"),
    Kind("dropout", _WARNING, "readings fall to zero at once"),
    Kind("gap", _WARNING, "a long time without a row"),
    Kind("many_records", _WARNING, "several records joined in one file"),
    Kind("missing", _WARNING, "rows without a reading"),
    Kind("no_number", _WARNING, "cells that hold no finite number"),
    Kind("not_whole", _WARNING, "a count that is no whole number; left out"),
    Kind("repeated_row", _WARNING, "a row that repeats the row before, time and readings"),
    Kind("rests_lost", _WARNING, "parts laid one after the other; rests between are lost"),
    Kind("spike", _WARNING, "single readings far from both neighbours"),
    Kind("coarse", _INFO, "readings come in few steps"),
    Kind("counter_reset", _INFO, "a charge or energy counter begins anew"),
    Kind("date_as_number", _INFO, "dates are given in seconds since 1970 UTC"),
    Kind("derived_time", _INFO, "test time is taken from the clock"),
    Kind("empty_column", _INFO, "a column without any reading; left out"),
    Kind("joined", _INFO, "parts of one test joined on one time axis"),
    Kind("no_zone", _INFO, "a clock without a time zone, taken as UTC"),
    Kind("note", _INFO, "anything else a format's reader has to say"),
    Kind("still_time", _INFO, "rows with the time of the row before"),
    Kind("unit_inferred", _INFO, "a unit told by the numbers, not by the label"),
)
KINDS: Final = MappingProxyType({kind.name: kind for kind in _TABLE})


def severity(remark: Remark) -> Severity:
    """How much a remark matters."""
    return KINDS[remark.kind].severity if remark.kind in KINDS else Severity.WARNING


def by_severity(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """The weightiest first; within one weight in the order they came."""
    return tuple(sorted(remarks, key=severity, reverse=True))


def as_remark(note: Remark | str) -> Remark:
    """A format's note as a remark."""
    return note if isinstance(note, Remark) else Remark("note", note)
