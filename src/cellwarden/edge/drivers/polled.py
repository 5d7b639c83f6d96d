"""A pack that is asked again and again: one frame a period, whatever the device does.

Rules
- Every period gives a frame. What was not heard, or was refused, is NaN in it: never the last
  value again, never a zero.
- Refused messages and silent periods are counted; the last reason is kept.
- Frames carry the wall clock; where it jumps back, time stands still until it has caught up.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from cellwarden.domain import Command, Frame, Frames
from cellwarden.errors import DataError, Error, UnavailableError, UsageError

__all__ = ["Layout", "PolledDriver", "Probe", "blank_frame", "check_layout", "refuse_command"]

_LONGEST_WAIT_SECOND: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Layout:
    """How many cells and sensors a pack has; a device that shows others is refused."""

    cell_count: int
    sensor_count: int

    def __post_init__(self) -> None:
        if self.cell_count < 1 or self.sensor_count < 0:
            raise UsageError("a pack has at least one cell", hint="Give counts of 1 or more.")


class Probe(Protocol):
    """One look at a device."""

    @property
    def layout(self) -> Layout:
        """Cells and sensors of each frame."""
        ...

    @property
    def refused_count(self) -> int:
        """Messages that were refused without a whole frame being lost."""
        ...

    @property
    def trouble(self) -> Error | None:
        """Why the last of them was refused."""
        ...

    def sample(self) -> Frame:
        """What the device shows now.

        Raises:
            DataError: what it sent cannot be.
            UnavailableError: it is silent.
            EOFError: it is a replay, and over.
        """
        ...

    def obey(self, command: Command) -> None:
        """Pass a command on.

        Raises:
            UsageError: this device is only read.
        """
        ...

    def now(self) -> float:
        """The device's time, as its line has it. [s]"""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


class PolledDriver:
    """A probe as a driver, one frame a period."""

    def __init__(
        self,
        probe: Probe,
        *,
        period_second: float = 1.0,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._probe = probe
        self._period_second = period_second
        self._wait = wait
        self._last_second = -np.inf
        self._finished = False
        self._refused_count = 0
        self._trouble: Error | None = None
        self.silent_count = 0

    @property
    def refused_count(self) -> int:
        """Frames and messages that were refused. [1]"""
        return self._refused_count + self._probe.refused_count

    @property
    def trouble(self) -> Error | None:
        """Why something was last refused or silent."""
        return self._trouble or self._probe.trouble

    def read(self, count: int) -> Frames | None:
        """The next `count` frames; fewer, then None, where a replay ends."""
        frames: list[Frame] = []
        while len(frames) < count and not self._finished:
            frame = self._next()
            if frame is not None:
                frames.append(frame)
        return Frames.stack(frames) if frames else None

    def position(self) -> bytes:
        """Nothing: a device cannot be read a second time."""
        return b""

    def write(self, command: Command) -> None:
        """Pass a command on."""
        self._probe.obey(command)

    def close(self) -> None:
        """Let go of the device."""
        self._probe.close()

    def _next(self) -> Frame | None:
        ahead = self._last_second + self._period_second - self._probe.now()
        if self._period_second > 0 and 0 < ahead < _LONGEST_WAIT_SECOND:
            self._wait(ahead)
        try:
            frame = self._probe.sample()
        except EOFError:
            self._finished = True
            return None
        except DataError as error:
            self._refused_count += 1
            self._trouble = error
            frame = blank_frame(self._probe.now(), self._probe.layout)
        except UnavailableError as error:
            self.silent_count += 1
            self._trouble = error
            frame = blank_frame(self._probe.now(), self._probe.layout)
        self._last_second = max(self._last_second, frame.unix_time_second)
        return replace(frame, unix_time_second=self._last_second)


def blank_frame(unix_time_second: float, layout: Layout) -> Frame:
    """A frame in which nothing was read."""
    return Frame(
        unix_time_second,
        np.nan,
        np.nan,
        np.full(layout.cell_count, np.nan),
        np.full(layout.sensor_count, np.nan),
    )


def check_layout(cell_count: int, sensor_count: int, layout: Layout) -> None:
    """Make sure that a device shows the pack that was described.

    Raises:
        DataError: it has another number of cells or sensors.
    """
    if (cell_count, sensor_count) != (layout.cell_count, layout.sensor_count):
        raise DataError(
            f"the device shows {cell_count} cells and {sensor_count} sensors, not"
            f" {layout.cell_count} and {layout.sensor_count}",
            hint="Mend series_count and sensor_count where the pack is described.",
        )


def refuse_command(name: str) -> None:
    """Say that a device is only read.

    Raises:
        UsageError: always.
    """
    raise UsageError(
        f"{name} is only read: a command would change nothing",
        hint="Let the device's own electronics control the pack, and use this for monitoring.",
    )
