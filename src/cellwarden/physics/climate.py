"""The air around a pack through a year, hour by hour.

Rules
- A climate is a year of 8,760 hours from 1 January, 0 h; the air is linear between them, and the
  year begins again after 365 days.
- The built-in climates are two cosines, one for the year and one for the day, that stand for a kind
  of place and for no place on the map; measured years come in through `climate_from`.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.errors import UsageError

__all__ = ["CLIMATES", "YEAR_HOUR", "Climate", "climate_from"]

YEAR_HOUR: Final = 8760
_COLDEST_DAY: Final = 20.0  # of the year, north of the equator
_WARMEST_HOUR: Final = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class Climate:
    """Temperature of the air at each hour of a year. [°C]"""

    name: str
    air_temperature_celsius: Float64[np.ndarray, "8760"]

    def __post_init__(self) -> None:
        if self.air_temperature_celsius.shape != (YEAR_HOUR,):
            raise UsageError(
                f"{self.name}: a climate is {YEAR_HOUR} hours",
                hint="Use climate_from for a year in other steps.",
            )
        if not np.all(np.isfinite(self.air_temperature_celsius)):
            raise UsageError(
                f"{self.name}: hours without a temperature", hint="Fill them, or take another year."
            )


def climate_from(
    name: str,
    time_second: Float64[np.ndarray, " reading"],
    air_temperature_celsius: Float64[np.ndarray, " reading"],
) -> Climate:
    """A measured year in steps of any length; hours between readings are interpolated.

    Raises:
        UsageError: the readings do not cover a year, or hold gaps.
    """
    if len(time_second) == 0 or time_second[-1] - time_second[0] < (YEAR_HOUR - 1.5) * 3600.0:
        raise UsageError(f"{name}: less than a year", hint="Give readings from January on.")
    hour = np.arange(YEAR_HOUR) * 3600.0 + float(time_second[0])
    return Climate(name, np.interp(hour, time_second, air_temperature_celsius.astype(np.float64)))


def _cosines(name: str, mean: float, season: float, day: float) -> Climate:
    hour = np.arange(YEAR_HOUR, dtype=np.float64)
    year = np.cos(2.0 * np.pi * (hour / 24.0 - _COLDEST_DAY) / 365.0)
    clock = np.cos(2.0 * np.pi * (hour - _WARMEST_HOUR) / 24.0)
    return Climate(name, mean - season * year + day * clock)


CLIMATES: Final = MappingProxyType(
    {
        made.name: made
        for made in (
            _cosines("temperate", 10.0, 9.0, 4.0),
            _cosines("hot", 27.0, 6.0, 6.0),
            _cosines("cold", 2.0, 14.0, 4.0),
            _cosines("indoor", 21.0, 2.0, 1.0),
        )
    }
)
