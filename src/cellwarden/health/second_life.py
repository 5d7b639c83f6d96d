"""What a used battery is still good for, and which tests are needed before that is certain.

Rules
- The grade is that of the low end of the interval of health: a battery is never sold for what it
  only might be.
- An interval that spans more than one grade below the best guess asks for a capacity test first.
- Fast fading, fading that speeds up, and grown resistance each take a grade; what is not known is
  named as a test, and takes none.
- A grade is for capacity and ageing alone. Safety of a used cell (insulation, swelling, self
  discharge) is always a test.
"""

from dataclasses import dataclass
from typing import Final

from cellwarden.domain import Interval

__all__ = ["GRADES", "Grade", "grade"]

# Grade -> least state of health, use. Ours: there is no one agreed scale.
GRADES: Final = (
    ("A", 0.85, "daily cycling, such as a store beside solar"),
    ("B", 0.75, "stationary storage at low rate"),
    ("C", 0.60, "stand-by and light duty"),
    ("D", 0.0, "recycling"),
)
_FAST_PER_CYCLE: Final = 5e-4
_BENT: Final = 3.0  # times the early rate
_GROWN: Final = 1.5
_ALWAYS: Final = ("insulation", "self-discharge", "visual inspection")


@dataclass(frozen=True, slots=True)
class Grade:
    """A letter of `GRADES`, what for, why, and which tests are still required."""

    letter: str
    use: str
    reasons: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def certain(self) -> bool:
        """Whether no test of capacity is asked for."""
        return "capacity" not in self.tests


def grade(
    soh_fraction: float,
    interval: Interval,
    fade_per_cycle: float | None = None,
    bend: float | None = None,
    resistance_growth: float | None = None,
) -> Grade:
    """The grade of a battery, with reasons. [1]

    `fade_per_cycle` is health lost a cycle lately, `bend` that over the early rate,
    `resistance_growth` resistance now over that of a new cell; None: not known.
    """
    place, best = _place(interval.low), _place(soh_fraction)
    sure = f"health of at least {interval.low:.0%} with {interval.coverage:.0%} certainty"
    reasons = [f"{sure} (best guess {soh_fraction:.0%})"]
    tests = list(_ALWAYS)
    if place > best + 1:
        tests.insert(0, "capacity")
        reasons.append("the interval spans several grades")
    marks = (
        (fade_per_cycle, _FAST_PER_CYCLE, "fades fast", "ageing over some cycles"),
        (bend, _BENT, "fading speeds up", "ageing over some cycles"),
        (resistance_growth, _GROWN, "resistance has grown", "resistance by a pulse"),
    )
    for value, most, reason, test in marks:
        if value is None:
            if test not in tests:
                tests.append(test)
        elif value > most:
            place += 1
            reasons.append(reason)
    letter, _, use = GRADES[min(place, len(GRADES) - 1)]
    return Grade(letter, use, tuple(reasons), tuple(tests))


def _place(soh_fraction: float) -> int:
    return next(k for k, (_, least, _) in enumerate(GRADES) if soh_fraction >= least or least == 0)
