"""One row a fault: what it reads, from when on, how fast, what follows, and when it is over.

Rules
- A row is raised when its number has been beyond `limit` in `event_count` cycles one after the
  other; a cycle without a reading neither counts nor breaks the row.
- Contactors open `delay_second` after that, where the reaction is to open.
- A fault ends when its number has been inside the limit by `hysteresis` for `hold_second` without
  a break; a latched one when a person has also asked for a reset.
- `allowance_second` is how long the fault may be there before the reaction begins. A table whose
  rows cannot keep it at the pack's cycle is refused when it is built.
- Times are `Second`, made by `second` or `millisecond` only, so that a unit cannot be mistaken.
"""

from dataclasses import dataclass
from math import isnan
from typing import Final, NewType

from cellwarden.control.signals import SIGNALS, Signal
from cellwarden.domain import Reaction, Severity
from cellwarden.errors import UsageError

__all__ = ["SUNSPEC_EVENTS", "FaultRow", "Second", "check", "millisecond", "second"]

Second = NewType("Second", float)
_ROUNDING: Final = 1e-9

# Bits of Evt1 in SunSpec model 802 (battery base); 0..26 and 28, 29 are named there.
SUNSPEC_EVENTS: Final = (
    "COMMUNICATION_ERROR",
    *("OVER_TEMP_ALARM", "OVER_TEMP_WARNING", "UNDER_TEMP_ALARM", "UNDER_TEMP_WARNING"),
    *("OVER_CHARGE_CURRENT_ALARM", "OVER_CHARGE_CURRENT_WARNING"),
    *("OVER_DISCHARGE_CURRENT_ALARM", "OVER_DISCHARGE_CURRENT_WARNING"),
    *("OVER_VOLT_ALARM", "OVER_VOLT_WARNING", "UNDER_VOLT_ALARM", "UNDER_VOLT_WARNING"),
    *("UNDER_SOC_MIN_ALARM", "UNDER_SOC_MIN_WARNING"),
    *("OVER_SOC_MAX_ALARM", "OVER_SOC_MAX_WARNING"),
    "VOLTAGE_IMBALANCE_WARNING",
    *("TEMPERATURE_IMBALANCE_ALARM", "TEMPERATURE_IMBALANCE_WARNING"),
    *("CONTACTOR_ERROR", "FAN_ERROR", "GROUND_FAULT", "OPEN_DOOR_ERROR"),
    *("CURRENT_IMBALANCE_WARNING", "OTHER_ALARM", "OTHER_WARNING", "RESERVED_1"),
    *("CONFIGURATION_ALARM", "CONFIGURATION_WARNING"),
)


def second(value: float) -> Second:
    """A time. [s]"""
    return Second(float(value))


def millisecond(value: float) -> Second:
    """A time given in milliseconds. [s]"""
    return Second(value / 1000.0)


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One fault; `limit` and `hysteresis` are in the unit of the signal.

    `low` says that the number is at fault below the limit instead of above it.
    """

    name: str
    signal: Signal
    limit: float
    hysteresis: float
    event_count: int
    delay_second: Second
    hold_second: Second
    allowance_second: Second
    severity: Severity
    reaction: Reaction
    low: bool = False
    latched: bool = False
    sunspec_event: str | None = None

    @property
    def sunspec_bit(self) -> int | None:
        """The bit of Evt1 that tells of it."""
        return None if self.sunspec_event is None else SUNSPEC_EVENTS.index(self.sunspec_event)

    @property
    def unit(self) -> str:
        """Unit of limit and hysteresis."""
        return SIGNALS[self.signal].unit

    def reaction_second(self, period_second: float) -> float:
        """From the first reading beyond the limit to the reaction. [s]"""
        opens = self.reaction is Reaction.OPEN
        return (self.event_count - 1) * period_second + (self.delay_second if opens else 0.0)


def check(rows: tuple[FaultRow, ...], period_second: float) -> tuple[FaultRow, ...]:
    """The rows, once they are known to make a table.

    Raises:
        UsageError: a name twice, a number that cannot be, a row slower than its allowance.
    """
    names = [row.name for row in rows]
    for row in rows:
        wrong = _wrong(row, period_second)
        if names.count(row.name) > 1:
            wrong = "stands there twice"
        if wrong:
            raise UsageError(f"fault row {row.name} {wrong}", hint="Mend the fault table.")
    return rows


def _wrong(row: FaultRow, period_second: float) -> str:
    """What is wrong with a row; nothing where it is sound."""
    # One cycle passes before a reading is there, and one before a command is.
    slowest = row.reaction_second(period_second) + 2.0 * period_second
    told = row.sunspec_event is None or row.sunspec_event in SUNSPEC_EVENTS
    waits = row.reaction is not Reaction.OPEN and row.delay_second > 0.0
    claims = (
        (row.event_count >= 1, "needs an event to be raised"),
        (not isnan(row.limit) and row.hysteresis >= 0.0, "has no limit, or no hysteresis"),
        (min(row.delay_second, row.hold_second) >= 0.0, "has a time below zero"),
        (told, f"names no SunSpec event: {row.sunspec_event}"),
        (not waits, "waits to open but does not open"),
        (
            slowest <= row.allowance_second + _ROUNDING,
            f"takes up to {slowest:g} s and may take {row.allowance_second:g} s",
        ),
    )
    return next((text for holds, text in claims if not holds), "")
