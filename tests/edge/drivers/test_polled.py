from dataclasses import dataclass, field

import numpy as np
import pytest

from cellwarden.domain import Command, Frame
from cellwarden.edge.drivers.polled import Layout, PolledDriver
from cellwarden.errors import DecodeError, Error, UnavailableError, UsageError
from edge.carried import frame


@dataclass
class Device:
    """A device that follows a plan: frames, or why there is none."""

    plan: list[Frame | Error]
    layout: Layout = field(default_factory=lambda: Layout(14, 2))
    clock: float = 100.0
    obeyed: list[Command] = field(default_factory=list)
    refused_count: int = 0
    trouble: Error | None = None

    def sample(self) -> Frame:
        if not self.plan:
            raise EOFError
        step = self.plan.pop(0)
        if isinstance(step, Error):
            raise step
        return step

    def obey(self, command: Command) -> None:
        self.obeyed.append(command)

    def now(self) -> float:
        return self.clock

    def close(self) -> None:
        self.plan = []


def test_a_refused_or_silent_period_is_a_gap_and_not_the_last_value() -> None:
    plan = [frame(unix_time_second=1.0), DecodeError("bad"), UnavailableError("gone")]
    driver = PolledDriver(Device(plan), period_second=0.0)
    frames = driver.read(5)
    assert frames is not None
    assert len(frames) == 3
    assert np.array_equal(np.isnan(frames.voltage_volt), [False, True, True])
    assert np.isnan(frames.cell_voltage_volt[1:]).all()
    assert (driver.refused_count, driver.silent_count) == (1, 1)
    assert str(driver.trouble) == "gone"
    assert driver.read(1) is None


class Stamping(Device):
    """A device that always answers, at the time it has."""

    def sample(self) -> Frame:
        return frame(unix_time_second=self.clock)


def test_frames_keep_to_the_period() -> None:
    device = Stamping([])

    def wait(second: float) -> None:
        device.clock += second

    driver = PolledDriver(device, period_second=2.0, wait=wait)
    seen = []
    for _ in range(4):
        frames = driver.read(1)
        assert frames is not None
        seen.append(float(frames.unix_time_second[0]))
        device.clock += 0.5  # what the caller takes
    assert seen == [100.0, 102.0, 104.0, 106.0]


def test_time_does_not_run_back_with_the_wall_clock() -> None:
    plan: list[Frame | Error] = [frame(unix_time_second=t) for t in (10.0, 4.0, 11.0)]
    frames = PolledDriver(Device(plan), period_second=0.0).read(3)
    assert frames is not None
    assert list(frames.unix_time_second) == [10.0, 10.0, 11.0]


def test_a_clock_that_jumps_back_for_hours_does_not_stop_the_reading() -> None:
    waits: list[float] = []
    device = Device([frame(unix_time_second=1e6), frame(unix_time_second=5.0)])
    driver = PolledDriver(device, period_second=1.0, wait=waits.append)
    driver.read(1)
    driver.read(1)
    assert waits == []


@pytest.mark.parametrize(("cells", "sensors"), [(0, 1), (1, -1)])
def test_a_pack_without_cells_is_refused(cells: int, sensors: int) -> None:
    with pytest.raises(UsageError):
        Layout(cells, sensors)
