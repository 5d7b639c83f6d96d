"""How wrong the wall clock of a device is, from what its hub says and from its own steady clock."""

import math
from typing import Final

from cellwarden.edge import clock_error
from cellwarden.edge.clock import TrustedClock, Word
from cellwarden.edge.clock_error import Crystal, Reckoning, Sight

__all__ = ["Timekeeping"]

_UNKNOWN: Final = Reckoning(
    error_second=math.nan,
    error_std_second=math.inf,
    drift_ppm=0.0,
    jump_second=0.0,
    backwards=False,
    source_age_second=math.inf,
    source_refused=False,
)


class Timekeeping:
    """Reckons the wall clock's error; asked by one thread, cycle after cycle."""

    def __init__(self, clock: TrustedClock, crystal: Crystal | None = None) -> None:
        """`clock` hears the witness, and has the two clocks that are compared."""
        self._clock, self._crystal = clock, crystal or Crystal()
        self._state = clock_error.begin(self._crystal)
        self._heard: Word | None = None
        self.reckoning = _UNKNOWN

    def error_second(self) -> float:
        """The wall clock less true time; NaN before the first word of the hub. [s]"""
        steady, wall, word = self._clock.steady(), self._clock.wall(), self._clock.word
        sight = Sight(steady, wall)
        if word is not None and word is not self._heard:
            self._heard = word
            source = word.unix_time_second + steady - word.steady_second
            sight = Sight(steady, wall, source, word.std_second)
        self._state, self.reckoning = clock_error.step(self._crystal, self._state, sight)
        return self.reckoning.error_second
