"""Thermistors: from resistance to temperature and back, by equation or by the maker's table.

Rules
- Outside the range for which a curve is given there is no reading (NaN): a broken wire looks like
  a very cold sensor and a short like a very hot one, and neither is a temperature.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from jaxtyping import Float64

from cellwarden.domain.units import ABSOLUTE_ZERO_CELSIUS
from cellwarden.errors import UsageError

__all__ = ["NTC_10K", "Divider", "ResistanceTable", "SteinhartHart", "Thermistor"]

Values = Float64[np.ndarray, "*shape"]


class Thermistor(Protocol):
    """A curve that is read both ways."""

    def ohm(self, temperature_celsius: Values) -> Values:
        """Resistance at a temperature. [Ω]"""
        ...

    def celsius(self, resistance_ohm: Values) -> Values:
        """Temperature at a resistance. [°C]"""
        ...


@dataclass(frozen=True, slots=True)
class SteinhartHart:
    """1/T = a + b ln R + c (ln R)³, T in kelvin.

    Source: Steinhart and Hart 1968, doi:10.1016/0011-7471(68)90057-0.
    """

    a: float
    b: float
    c: float
    low_celsius: float = -40.0
    high_celsius: float = 125.0

    def __post_init__(self) -> None:
        if not (self.b > 0.0 and self.c > 0.0):
            raise UsageError("b and c must be above zero", hint="Take them from the data sheet.")

    @staticmethod
    def through(points: tuple[tuple[float, float], ...]) -> "SteinhartHart":
        """The curve through three points of a data sheet, each °C and Ω.

        Raises:
            UsageError: the points are not those of one NTC thermistor.
        """
        celsius, ohm = np.array(sorted(points), dtype=np.float64).T
        log = np.log(ohm)
        a, b, c = np.linalg.solve(
            np.stack([np.ones(3), log, log**3], axis=1), 1.0 / (celsius - ABSOLUTE_ZERO_CELSIUS)
        )
        return SteinhartHart(float(a), float(b), float(c))

    def ohm(self, temperature_celsius: Values) -> Values:
        """Resistance at a temperature. [Ω]"""
        inside = self._inside(np.asarray(temperature_celsius, dtype=np.float64))
        # The cubic in ln R has one real root, by Cardano's formula.
        half = (self.a - 1.0 / (inside - ABSOLUTE_ZERO_CELSIUS)) / (2.0 * self.c)
        root = np.sqrt((self.b / (3.0 * self.c)) ** 3 + half**2)
        found: np.ndarray = np.exp(np.cbrt(root - half) - np.cbrt(root + half))
        return found

    def celsius(self, resistance_ohm: Values) -> Values:
        """Temperature at a resistance. [°C]"""
        log = np.log(_positive(resistance_ohm))
        return self._inside(1.0 / (self.a + self.b * log + self.c * log**3) + ABSOLUTE_ZERO_CELSIUS)

    def _inside(self, celsius: Values) -> Values:
        # A hair of slack: there and back again may differ in the last bit.
        good = (celsius >= self.low_celsius - 1e-6) & (celsius <= self.high_celsius + 1e-6)
        return np.where(good, celsius, np.nan)


@dataclass(frozen=True, slots=True)
class ResistanceTable:
    """Points of a data sheet; between them ln R is linear in temperature."""

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        celsius, ohm = np.array(self.points, dtype=np.float64).reshape(-1, 2).T
        falling = bool(np.all(np.diff(celsius) > 0.0) and np.all(np.diff(ohm) < 0.0))
        if len(celsius) < 2 or not falling or ohm[-1] <= 0.0:  # noqa: PLR2004  a line has two ends
            raise UsageError(
                "temperature must rise and resistance fall from row to row",
                hint="Copy two or more rows of the data sheet, coldest first.",
            )

    def ohm(self, temperature_celsius: Values) -> Values:
        """Resistance at a temperature. [Ω]"""
        celsius, ohm = np.array(self.points).T
        found: np.ndarray = np.exp(
            np.interp(temperature_celsius, celsius, np.log(ohm), left=np.nan, right=np.nan)
        )
        return found

    def celsius(self, resistance_ohm: Values) -> Values:
        """Temperature at a resistance. [°C]"""
        celsius, ohm = np.array(self.points)[::-1].T
        log = np.log(_positive(resistance_ohm))
        edges = np.log(ohm)
        # A hair of slack: there and back again may differ in the last bit.
        log = np.where(np.abs(log - edges[0]) < 1e-12, edges[0], log)  # noqa: PLR2004  as said
        log = np.where(np.abs(log - edges[-1]) < 1e-12, edges[-1], log)  # noqa: PLR2004  as said
        found: np.ndarray = np.interp(log, edges, celsius, left=np.nan, right=np.nan)
        return found


@dataclass(frozen=True, slots=True)
class Divider:
    """A thermistor to ground under a pull-up to the reference: the ratio needs no volts.

    A ratio near either rail is a broken wire or a short, and no reading.
    """

    thermistor: Thermistor
    pullup_ohm: float = 10_000.0
    low_ratio: float = 0.01
    high_ratio: float = 0.99

    def ratio(self, temperature_celsius: Values) -> Values:
        """Voltage over the thermistor, over the reference; 1 where the sensor is off. [1]"""
        ohm = self.thermistor.ohm(temperature_celsius)
        return np.where(np.isnan(ohm), 1.0, ohm / (ohm + self.pullup_ohm))

    def celsius(self, ratio: Values) -> Values:
        """Temperature at a ratio. [°C]"""
        ratio = np.asarray(ratio, dtype=np.float64)
        good = (ratio >= self.low_ratio) & (ratio <= self.high_ratio)
        inside = np.where(good, ratio, 0.5)
        read = self.thermistor.celsius(self.pullup_ohm * inside / (1.0 - inside))
        return np.where(good, read, np.nan)


def _positive(ohm: Values) -> Values:
    ohm = np.asarray(ohm, dtype=np.float64)
    return np.where(ohm > 0.0, ohm, np.nan)


# A usual NTC of battery modules, 10 kΩ and B25/50 = 3380 K, through three points of the table of
# Murata's NCP15XH103.
NTC_10K: Final = SteinhartHart.through(((-20.0, 68_237.0), (25.0, 10_000.0), (85.0, 1_452.0)))
