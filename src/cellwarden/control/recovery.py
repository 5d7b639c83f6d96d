"""A limit that falls at once and comes back slowly.

Rules
- What the rules leave is the target. A target at or below the limit is the limit from this very
  step on.
- A limit rises only after the target has been above it without a break for `hold_second`, and then
  by no more than `rise_fraction_per_second` of the whole each second.
- A limit of zero stays zero until the target is above `flap_fraction` of the whole: a pack that is
  nearly full or empty does not switch on and off.
- Time that ran back, stood still or passed unseen lets nothing rise: one step counts one second at
  most.

Source: the numbers (30 s, 5 A/s of packs about 100 A, 1.5 %) are those that packs in homes settled
on, as dbus-serialbattery uses them.
"""

from dataclasses import dataclass
from typing import Final

from cellwarden.domain import Restraint
from cellwarden.errors import UsageError

__all__ = ["Held", "Recovery", "recover"]

_LONGEST_SECOND: Final = 1.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a limit comes back.

    Raises:
        UsageError: a time or a part that is none.
    """

    hold_second: float = 30.0
    rise_fraction_per_second: float = 0.05
    flap_fraction: float = 0.015

    def __post_init__(self) -> None:
        if not (
            self.hold_second >= 0.0
            and self.rise_fraction_per_second > 0.0
            and 0.0 <= self.flap_fraction < 1.0
        ):
            raise UsageError(
                "a limit comes back after some time at some speed",
                hint="Give hold_second from 0, rise_fraction_per_second above 0.",
            )


@dataclass(frozen=True, slots=True)
class Held:
    """A limit, since when the target is above it, and what made it fall last.

    `low_clock_second` is the last moment at which the target was not above the limit.
    """

    ampere: float = 0.0
    low_clock_second: float = float("-inf")
    cause: Restraint | None = None


def recover(
    settings: Recovery,
    held: Held,
    target: Restraint,
    most_ampere: float,
    *,
    clock_second: float,
    period_second: float,
) -> Held:
    """The limit after this step: the target if that is lower, else a step towards it. [A]"""
    aim = min(max(target.limit_ampere, 0.0), most_ampere)
    if aim < held.ampere:
        return Held(aim, clock_second, target)
    flaps = held.ampere <= 0.0 and aim <= settings.flap_fraction * most_ampere
    if aim <= held.ampere or flaps:
        return Held(held.ampere, clock_second, target)
    if clock_second - held.low_clock_second < settings.hold_second:
        return held
    passed = min(max(period_second, 0.0), _LONGEST_SECOND)
    risen = held.ampere + settings.rise_fraction_per_second * most_ampere * passed
    return Held(min(aim, risen), held.low_clock_second, held.cause)
