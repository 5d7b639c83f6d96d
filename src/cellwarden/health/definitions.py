"""What "state of health" means, by name and version; a number without its definition is none.

Rules
- A definition is never changed: what is measured otherwise gets the next version.
- `capacity/1` and `energy/1` are of the same full discharges, so they differ only by the voltage
  that the charge came out at. They fall as a cell ages; `resistance/1`, power fade, rises from 1.
- A discharge that was cold, fast, cut short or begun from a cell not full measures nothing.
- Each value comes from its own discharge and the rows before it; `resistance/1` is relative to the
  first `NEW_COUNT` of the record, so those are 1 together, whatever the cell was before.

Source: the pulse of the Battery Test Manual for Electric Vehicles, INL/EXT-15-34184 (2015), section
3.4, here with the begin of the discharge itself as the pulse.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Series
from cellwarden.errors import UsageError
from cellwarden.features import Capacities, capacities, cut, samples
from cellwarden.features.capacity import REFERENCE_CELSIUS, REFERENCE_RATE_PER_HOUR

__all__ = [
    "CAPACITY",
    "DEFINITIONS",
    "ENERGY",
    "NEW_COUNT",
    "NOMINAL_VOLT",
    "RESISTANCE",
    "Definition",
    "Measured",
    "defined",
    "fractions",
    "measure",
]

NOMINAL_VOLT: Final = 3.7  # of cobalt-oxide cells, by which their data sheets turn Ah into Wh
NEW_COUNT: Final = 5
STEP_SECOND: Final = 60.0  # longer than two rows of the slowest records
_FULL_VOLT: Final = 4.1  # at rest after a full charge, relaxation included
_REST_FRACTION: Final = 0.02  # of nominal; a sensor's offset is less
_LONGEST_SECOND: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Definition:
    """A meaning of state of health; `falls` says which way ageing moves it."""

    name: str
    version: int
    what: str
    falls: bool = True

    def __str__(self) -> str:
        """Name and version, as results carry it."""
        return f"{self.name}/{self.version}"


_DISCHARGE: Final = (
    "a full discharge, begun where a charge ended in its taper at 4.15 V or more, at a mean of 0.05"
    " to 1.25 of nominal capacity an hour from a cell of at least 15 °C, down to 2.7 V under load"
)
CAPACITY: Final = Definition("capacity", 1, f"Ah delivered by {_DISCHARGE}, over nominal Ah")
ENERGY: Final = Definition(
    "energy", 1, f"Wh delivered by {_DISCHARGE}, over nominal Ah times {NOMINAL_VOLT} V"
)
RESISTANCE: Final = Definition(
    "resistance",
    1,
    "fall of voltage over current from the last row at rest, at 4.1 V or more, to 60 s after it in"
    " a discharge of 0.05 to 1.25 of nominal capacity an hour from at least 15 °C, over the median"
    " of the record's first five",
    falls=False,
)
DEFINITIONS: Final[Mapping[str, Definition]] = MappingProxyType(
    {str(one): one for one in (CAPACITY, ENERGY, RESISTANCE)}
)


@dataclass(frozen=True, slots=True)
class Measured:
    """A definition's values over a cell's record, oldest first; time as the record has it."""

    cell: str
    definition: Definition
    time_second: Float64[np.ndarray, " value"]
    value_fraction: Float64[np.ndarray, " value"]

    def __len__(self) -> int:
        return len(self.time_second)


def defined(key: str) -> Definition:
    """A definition by name and version, as `capacity/1`.

    Raises:
        UsageError: there is no such definition.
    """
    if key not in DEFINITIONS:
        raise UsageError(
            f"there is no definition {key!r}", hint=f"There are {', '.join(DEFINITIONS)}."
        )
    return DEFINITIONS[key]


def fractions(
    definition: Definition, found: Capacities, nominal_capacity_ah: float
) -> Float64[np.ndarray, " run"]:
    """Capacity or energy of each run by its definition; NaN where the run measures none. [1]

    Raises:
        UsageError: the definition is not of full discharges.
    """
    if definition == CAPACITY:
        value = found.capacity_ah / nominal_capacity_ah
    elif definition == ENERGY:
        value = found.energy_wh / (nominal_capacity_ah * NOMINAL_VOLT)
    else:
        raise UsageError(
            f"{definition} is not of full discharges", hint="Use measure on the record."
        )
    return np.where(found.reference, value, np.nan)


def measure(definition: Definition, series: Series) -> Measured:
    """What a record says by a definition. [1]

    Raises:
        UsageError: the record does not carry its nominal capacity.
    """
    if series.nominal_capacity_ah is None:
        raise UsageError(f"{series.name}: nominal capacity not known", hint="Set it on the series.")
    if definition == RESISTANCE:
        return _resistance(series, series.nominal_capacity_ah)
    taken = samples(series, series.nominal_capacity_ah)
    runs = cut(taken)
    value = fractions(definition, capacities(taken, runs), series.nominal_capacity_ah)
    known = np.flatnonzero(np.isfinite(value))
    return Measured(series.name, definition, taken.time_second[runs.start[known]], value[known])


def _resistance(series: Series, nominal_ah: float) -> Measured:
    from cellwarden.features import find_pulses  # noqa: PLC0415  loads when it is used

    delays = np.arange(0.0, STEP_SECOND + 1.0, 5.0)
    found = find_pulses(
        series,
        delay_second=tuple(delays.tolist()),
        rest_ampere=_REST_FRACTION * nominal_ah,
        longest_second=_LONGEST_SECOND,
    )
    rate = -found.current_ampere / nominal_ah
    surface = series.surface_temperature_celsius
    # The row before the pulse: the cell as it was at rest.
    celsius = np.full(len(found), np.nan) if surface is None else surface[found.start - 1]
    with np.errstate(invalid="ignore"):
        good = (rate >= REFERENCE_RATE_PER_HOUR[0]) & (rate <= REFERENCE_RATE_PER_HOUR[1])
        good &= (found.rest_voltage_volt >= _FULL_VOLT) & (found.edge_second <= STEP_SECOND / 2)
        good &= ~(celsius < REFERENCE_CELSIUS)
    at = [
        np.interp(STEP_SECOND - edge, delays, ohm)
        for edge, ohm in zip(found.edge_second[good], found.resistance_ohm[good], strict=True)
    ]
    ohm = np.array(at, dtype=np.float64)
    known = np.isfinite(ohm) & (ohm > 0)
    time = series.test_time_second[found.start[good]][known]
    new = np.median(ohm[known][:NEW_COUNT]) if known.any() else np.nan
    return Measured(series.name, RESISTANCE, time, ohm[known] / new)
