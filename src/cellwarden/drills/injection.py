"""How each fault is put into a pack's bytes, and how large it must be to be seen.

Rules
- `place` says where: `codes` are converter codes before any checksum, `wire` the bytes after it,
  `pack` the hardware itself, `value` what the device adds and no pack's bytes carry.
- A level is the number that the row reads, as it arrives after conversion, so that "beyond the
  limit" is exact to the last code. Where only presence counts, the level is how long it lasts. [s]
- `limit` is what levels are told against; None where they are told as they are.
- `wait_second` is how long the fault must be there before the row's number can be beyond its limit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import EllipsisType
from typing import Final

import numpy as np

from cellwarden.control.fault_table import FaultRow
from cellwarden.domain import Inputs, Reading
from cellwarden.drills.scene import Scene
from cellwarden.edge.drivers import adc
from cellwarden.edge.drivers.emulated import Codes
from cellwarden.edge.drivers.signals import ANALOGUE

__all__ = [
    "CELL",
    "SENSOR",
    "Apply",
    "Injection",
    "Item",
    "Window",
    "alter",
    "field_unit",
    "lasting",
    "numbered",
    "put",
    "put_input",
    "sensor_code",
    "shown_celsius",
    "spoil",
    "waiting",
]

CELL: Final = (0, 3)  # chip and place of the cell that is spoilt
SENSOR: Final = (1, 2)
_SPANS: Final = (8.0, 4.0, 2.0, 1.0, 0.5, 0.1)
_SLACK: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Window:
    """From the next cycle on, for so many cycles, on a scene's clock."""

    start_second: float
    stop_second: float

    def holds(self, second: float) -> bool:
        """Whether it is now."""
        return self.start_second - _SLACK <= second < self.stop_second - _SLACK


Apply = Callable[[Scene, float, Window], None]
Item = tuple[int, ...] | int | EllipsisType


@dataclass(frozen=True, slots=True)
class Injection:
    """One way to a fault: levels from far beyond down to just not; `beyond` counts the former."""

    row: str
    place: str
    unit: str
    levels: tuple[float, ...]
    beyond_count: int
    apply: Apply
    wait_second: float = 0.0
    lead_count: int = 0
    lasts: bool = False
    limit: float | None = None
    arrives: Callable[[float], float] = field(default=lambda level: level)
    fits: Callable[[Scene], bool] = field(default=lambda scene: not scene.condition.standby)


def field_unit(name: str) -> float:
    """What one code of a board's field is worth. [unit of the field]"""
    return next(one.unit_per_code for one in ANALOGUE.fields if one.name == name)


def sensor_code(scene: Scene, celsius: float) -> int:
    """The code of a temperature."""
    return int(adc.RATIO.code(scene.bytes_pack.divider.ratio(np.array([celsius])))[0])


def shown_celsius(scene: Scene, code: int) -> float:
    """The temperature that the driver makes of a code. [°C]"""
    ratio = adc.RATIO.value(np.array([code]))
    return float(scene.bytes_pack.divider.celsius(ratio)[0])


def spoil(scene: Scene, window: Window, change: Callable[[Codes], None]) -> None:
    """Change converter codes while a window lasts."""

    def act(codes: Codes, second: float) -> None:
        if window.holds(second):
            change(codes)

    scene.bytes_pack.codes.append(act)


def alter(scene: Scene, window: Window, change: Callable[[Reading, float], Reading]) -> None:
    """Change what the device adds while a window lasts; the change is told for how long."""

    def act(reading: Reading) -> Reading:
        if window.holds(reading.clock_second):
            return change(reading, reading.clock_second - window.start_second)
        return reading

    scene.alter.append(act)


def waiting(scene: Scene) -> bool:
    """Whether the contactors are open."""
    return scene.condition.standby


def put(name: str, item: Item, code: Callable[[float], int]) -> Apply:
    """Set one code."""

    def apply(scene: Scene, level: float, window: Window) -> None:
        value = code(level)

        def change(codes: Codes) -> None:
            codes[name][item] = value

        spoil(scene, window, change)

    return apply


def put_input(name: str, value: Callable[[float, float], object]) -> Apply:
    """Set what the device adds, by level and by the time since it began."""

    def apply(scene: Scene, level: float, window: Window) -> None:
        def change(reading: Reading, since: float) -> Reading:
            changed: Inputs = replace(reading.inputs, **{name: value(level, since)})  # type: ignore[arg-type]
            return replace(reading, inputs=changed)

        alter(scene, window, change)

    return apply


def numbered(
    row: FaultRow,
    place: str,
    apply: Apply,
    delivered: Callable[[float], float],
    unit: float,
    *,
    reach: tuple[float, float] = (-np.inf, np.inf),
    fits: Callable[[Scene], bool] | None = None,
    lead_count: int = 0,
    wait_second: float = 0.0,
) -> Injection:
    """Levels around a row's limit: multiples of its span, one code beyond, at it, one code within.

    `delivered` is what arrives of a wanted level, `reach` what can be sent at all.
    """
    sign = -1.0 if row.low else 1.0
    span = max(row.hysteresis, 0.02 * abs(row.limit), 4.0 * unit)
    wanted = [row.limit + sign * part * span for part in _SPANS]
    wanted += [row.limit + sign * part * unit for part in (2.0, 1.0, 0.0, -1.0, -2.0)]
    kept = [level for level in wanted if reach[0] <= level <= reach[1]]
    levels = sorted(set(kept), key=lambda level: -sign * level)
    beyond = [level for level in levels if sign * (delivered(level) - row.limit) > 0.0]
    within = [level for level in levels if level not in beyond]
    made = Injection(
        row.name,
        place,
        row.unit,
        (*beyond, *within[:3]),
        len(beyond),
        apply,
        wait_second,
        lead_count,
        limit=row.limit,
        arrives=delivered,
    )
    return made if fits is None else replace(made, fits=fits)


def lasting(
    row: FaultRow,
    place: str,
    apply: Apply,
    period_second: float,
    *,
    wait_second: float = 0.0,
    slack_count: int = 0,
    fits: Callable[[Scene], bool] | None = None,
) -> Injection:
    """Levels in time: three times as long as it needs, just long enough, a cycle too short."""
    waited = round(wait_second / period_second)
    enough = waited + row.event_count + slack_count
    # An age that is summed up may pass its limit a cycle early by rounding.
    short = waited + row.event_count - (2 if waited else 1)
    counts = [3 * enough if waited < 100 else enough + 10, enough + 1, enough]  # noqa: PLR2004  long waits
    within = [short] if short > 0 else []
    made = Injection(
        row.name,
        place,
        "s",
        tuple(count * period_second for count in (*counts, *within)),
        len(counts),
        apply,
        wait_second,
        lasts=True,
    )
    return made if fits is None else replace(made, fits=fits)
