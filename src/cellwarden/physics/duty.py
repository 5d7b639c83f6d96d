"""What a pack is used for, as the charge that it should hold through days that repeat.

Rules
- A duty is a line of charge over whole days, straight between its points, that begins again when
  it ends. Where it falls, the load takes that charge, measured by the capacity of a new pack: work
  does not shrink as a battery ages. Where it rises, the charger aims at the point ahead, measured
  by the capacity of today.
- Pieces of even slope are joined up to an hour and never across midnight: one such piece is the
  longest step that the fleet takes.
- `roughness` is what happens between the points of a line that is too coarse to show it: the load
  swings around its mean, each 10 s anew, by so many times the mean (one standard deviation).
  A vehicle swings by 1.6 times its mean: 1.2 to 1.8 in the drives of the data set lg_hg2.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.errors import UsageError

__all__ = ["DAY_SECOND", "DUTIES", "LONGEST_SECOND", "Duty", "duty_from"]

DAY_SECOND: Final = 86_400
LONGEST_SECOND: Final = 3600
_EVEN: Final = 2e-5  # of charge in a step: two slopes that differ by less are one


@dataclass(frozen=True, slots=True, eq=False)
class Duty:
    """Charge at the ends of pieces of time; the last piece ends where the first begins."""

    name: str
    stop_second: Int64[np.ndarray, " piece"]
    soc_fraction: Float64[np.ndarray, " piece"]
    roughness: float = 0.0

    def __post_init__(self) -> None:
        length = np.diff(self.stop_second, prepend=0)
        if len(length) == 0 or np.any(length <= 0) or self.stop_second[-1] % DAY_SECOND:
            raise UsageError(f"{self.name}: no whole days", hint="Time rises and ends at midnight.")
        if np.any(self.stop_second - 1 >= (self.stop_second - length) // DAY_SECOND * DAY_SECOND
                  + DAY_SECOND):  # fmt: skip
            raise UsageError(f"{self.name}: a piece crosses midnight", hint="Part it there.")
        if not np.all((self.soc_fraction >= 0.0) & (self.soc_fraction <= 1.0)):
            raise UsageError(f"{self.name}: charge outside 0..1", hint="Give it as a fraction.")

    @property
    def change_fraction(self) -> Float64[np.ndarray, " piece"]:
        """Charge gained in each piece. [1]"""
        return np.diff(self.soc_fraction, prepend=self.soc_fraction[-1])


def duty_from(
    name: str,
    time_second: np.ndarray,
    soc_fraction: np.ndarray,
    *,
    roughness: float = 0.0,
) -> Duty:
    """A duty from charge at even times; what does not fill a day at the end is left out.

    Raises:
        UsageError: time does not go in even steps that part an hour, or there is no whole day.
    """
    step = int(time_second[1] - time_second[0]) if len(time_second) > 1 else 0
    if step <= 0 or LONGEST_SECOND % step or np.any(np.diff(time_second) != step):
        raise UsageError(f"{name}: uneven time", hint="Give even steps that part an hour.")
    count = len(time_second) * step // DAY_SECOND * (DAY_SECOND // step)
    if count == 0:
        raise UsageError(f"{name}: less than a day", hint="Give one whole day or more.")
    soc = np.clip(np.asarray(soc_fraction[:count], dtype=np.float64), 0.0, 1.0)
    after = np.roll(soc, -1)
    kept = _joined(after - soc, step)
    return Duty(name, (kept + 1) * step, after[kept], roughness)


def _joined(change: Float64[np.ndarray, " step"], step: int) -> Int64[np.ndarray, " piece"]:
    """The last step of each piece."""
    longest, ends, first = LONGEST_SECOND // step, [], 0
    for index in range(1, len(change) + 1):
        apart = (
            index == len(change)
            or index % (DAY_SECOND // step) == 0
            or index - first >= longest
            or abs(change[index] - change[first]) > _EVEN
        )
        if apart:
            ends.append(index - 1)
            first = index
    return np.array(ends, dtype=np.int64)


def _made(name: str, *points: tuple[float, float], roughness: float = 0.0, days: int = 7) -> Duty:
    """A duty from (hour of the first day, charge), 300 s a step."""
    hours = np.array([point[0] for point in points])
    charge = np.array([point[1] for point in points])
    time = np.arange(0, days * DAY_SECOND, 300)
    return duty_from(name, time, np.interp(time / 3600.0, hours, charge), roughness=roughness)


def _commuter() -> Duty:
    points: list[tuple[float, float]] = [(0.0, 0.8)]
    for day in range(7):
        at, working = 24.0 * day, day < 5  # noqa: PLR2004  days of work
        use = 0.12 if working else 0.05
        points += [(at + 7.5, 0.8), (at + 8.25, 0.8 - use), (at + 17.0, 0.8 - use)]
        points += [(at + 17.75, 0.8 - 2 * use), (at + 19.0, 0.8 - 2 * use), (at + 22.0, 0.8)]
    return _made("commuter", *points, (168.0, 0.8), roughness=1.6)


# Made by hand to be typical of their kind; measured or simulated ones come in through `duty_from`.
DUTIES: Final = MappingProxyType(
    {
        made.name: made
        for made in (
            _commuter(),
            _made(
                "delivery",
                *((0.0, 0.95), (6.0, 0.95), (11.0, 0.55), (12.0, 0.55), (17.0, 0.15)),
                *((18.0, 0.15), (23.0, 0.95), (24.0, 0.95)),
                roughness=1.6,
                days=1,
            ),
            _made(
                "home",
                *((0.0, 0.3), (6.0, 0.15), (9.0, 0.15), (14.0, 0.95), (18.0, 0.95)),
                *((23.0, 0.35), (24.0, 0.3)),
                days=1,
            ),
            _made(
                "peak",
                *((0.0, 0.5), (2.0, 0.9), (17.0, 0.9), (20.0, 0.2), (22.0, 0.2), (24.0, 0.5)),
                days=1,
            ),
            _made("standby", (0.0, 0.95), (24.0, 0.95), days=1),
        )
    }
)
