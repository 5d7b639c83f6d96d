"""What a controlled device needs: memory after a simulated week, CPU of its loop, under limits.

    cellwarden bench edge_device [--quick] [--json]

Rules
- One core and 512 MiB, as an emulation of a small device on this machine: the process may run on
  one core alone, and its memory is bounded by a memory cgroup where one can be made (root), else by
  `RLIMIT_DATA`. The core is this machine's: a small device's is slower.
- The week runs on a simulated clock, with the hub away all the time: a frame every ten seconds and
  one control cycle a frame, through estimate, control, journal, guard, signature, seal and outbox.
  What is held depends on frames and batches, not on how often the loop turns in between.
- The loop then runs for real at 100 ms on the emulated pack, whose own cost is measured apart and
  taken off; everything of `control.step` is in it, and the estimate once a second.
- Kernels are compiled before (Numba keeps them): the first start after an installation takes more.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

_LIMIT_BYTES: Final = 512 << 20
_WEEK_SECOND: Final = 7 * 86_400
_FRAME_SECOND: Final = 10.0
_BATCH: Final = 60
_CELLS: Final = 16
_LOOPS: Final = (16, 200)
_CGROUPS: Final = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))


def run(*, quick: bool) -> dict[str, Any]:
    """All figures; each part is a process of its own under the limits."""
    name, figures, rows = _limits(), [], []
    seconds = _WEEK_SECOND // 7 if quick else _WEEK_SECOND
    week = _child("week", str(seconds))
    rows.append({"part": "week", **week})
    span = "a day" if quick else "a week"
    where = f"emulation: 1 core, 512 MiB by {name}; {span} simulated, {_CELLS} cells"
    for key, unit in (
        ("rss_mb", "MB"),
        ("rss_peak_mb", "MB"),
        ("rss_growth_mb", "MB"),
        ("disk_mb", "MB"),
        ("cpu_s", "s"),
    ):
        figures.append(
            {"name": f"edge.week.{key}", "value": week[key], "unit": unit, "data": where}
        )
    for cells in _LOOPS:
        loop = _child("loop", str(cells), "10" if quick else "60")
        rows.append({"part": "loop", **loop})
        where = f"emulation: 1 core, 512 MiB by {name}; {loop['cycles']} cycles in real time"
        for key, unit in (("cpu_fraction", "1"), ("overrun_count", "1"), ("longest_ms", "ms")):
            figures.append(
                {
                    "name": f"edge.loop_{cells}.{key}",
                    "value": loop[key],
                    "unit": unit,
                    "data": where,
                }
            )
    return {"figures": figures, "rows": rows}


def _limits() -> str:
    return "memory cgroup" if _cgroup() else "RLIMIT_DATA"


def _cgroup() -> Path | None:
    """A new memory cgroup with the limit, where this process may make one."""
    for root in _CGROUPS:
        for file in ("memory.limit_in_bytes", "memory.max"):
            folder = root / f"cellwarden-bench-{os.getpid()}"
            try:
                folder.mkdir(exist_ok=True)
                (folder / file).write_text(str(_LIMIT_BYTES))
            except OSError:
                with suppress(OSError):
                    folder.rmdir()
            else:
                return folder
    return None


def _child(*arguments: str) -> dict[str, Any]:
    """One part in a process of its own, confined before it begins."""
    folder = _cgroup()

    def confine() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        if folder is None:
            resource.setrlimit(resource.RLIMIT_DATA, (_LIMIT_BYTES, _LIMIT_BYTES))
        else:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    line = [sys.executable, __file__, *arguments]
    try:
        done = subprocess.run(
            line, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=confine
        )
    finally:
        if folder is not None:
            with suppress(OSError):
                folder.rmdir()
    told: dict[str, Any] = json.loads(done.stdout)
    return told


# --- in the confined process ----------------------------------------------------------------------


@dataclass
class Clock:
    """A simulated steady clock."""

    now: float = 0.0

    def steady(self) -> float:
        """Seconds since the start."""
        return self.now

    def sleep(self, second: float) -> None:
        """Let time pass."""
        self.now += second


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)


class Canned:
    """Readings of a pack that lives: charge, load and noise come from the time alone."""

    def __init__(self, clock: Clock, cells: int) -> None:
        from cellwarden.domain import Inputs, Monitors, Request

        self._clock, self._count = clock, 0
        draw = np.random.default_rng(7)
        self._noise = 0.001 * draw.standard_normal((997, cells))
        monitors = -(-cells // 12)
        self._monitors = Monitors(
            np.zeros(monitors, dtype=np.int64),
            np.full(monitors, 3.0),
            np.zeros(monitors),
            np.zeros(cells, dtype=bool),
        )
        self._inputs = Inputs(
            plus_feedback_closed=False,
            minus_feedback_closed=False,
            precharge_feedback_closed=False,
            interlock_closed=True,
            fuse_intact=True,
            insulation_ohm=5e6,
            link_voltage_volt=0.0,
            second_current_ampere=0.0,
            request=Request.STANDBY,
        )

    def read(self) -> Any:
        """What there is to see now."""
        from cellwarden.domain import Frame, Reading

        now = self._clock.now
        self._count += 1
        day = 2.0 * np.pi * now / 86_400.0
        volts = 3.7 + 0.1 * np.sin(day) + self._noise[int(now) % 997]
        sensors = 25.0 + 3.0 * np.sin(day) + 10.0 * self._noise[int(now) % 991, :8]
        ampere = 20.0 * float(self._noise[int(now) % 983, 0])
        frame = Frame(1.8e9 + now, float(volts.sum()), ampere, volts, sensors)
        # To the control, cycles follow each other as ever: only the frames are far apart.
        return Reading(0.1 * self._count, frame, self._monitors, self._inputs)

    def write(self, command: object) -> None:
        """It stands by."""


def _made(folder: Path) -> None:
    """Make an installation in a process that ends: the hub's parts are not the device's."""
    line = [sys.executable, __file__, "install", str(folder)]
    subprocess.run(line, check=True)


def _install(folder: Path) -> None:
    from cellwarden.cli.home import Home

    home = Home(folder)
    home.init()
    home.enrol("bench")


def _week(seconds: int) -> dict[str, Any]:
    from cellwarden.edge.agent import Agent
    from cellwarden.edge.config import open_device, open_journal, open_outbox
    from cellwarden.edge.control_loop import ControlLoop, Settings
    from cellwarden.edge.device_config import DeviceConfig, PackPart
    from cellwarden.edge.frame_queue import FrameQueue
    from cellwarden.edge.inference import senses
    from cellwarden.edge.models import Models
    from cellwarden.edge.watch import PackWatch

    clock, began = Clock(), time.process_time()
    told = DeviceConfig(PackPart("NMC", 50.0, _CELLS)).described("bench")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        _made(Path(name))
        place = Path(name) / "edge" / "bench"
        device = open_device(place)
        outbox = stack.enter_context(closing(open_outbox(place)))
        journal = stack.enter_context(closing(open_journal(place)))
        queue = FrameQueue(journal, flush_second=0.0, batch_second=0.0, steady=clock.steady)
        loop = ControlLoop(
            Canned(clock, _CELLS),
            told.control,
            queue,
            senses(told.pack, Models()),
            settings=Settings(_FRAME_SECOND, _FRAME_SECOND, 2 * _FRAME_SECOND),
            steady=clock.steady,
            sleep=clock.sleep,
        )
        agent = Agent(device, queue, outbox, batch_frames=_BATCH, watch=PackWatch(told.pack))
        after_a_tenth = 0.0
        count = int(seconds / _FRAME_SECOND)
        for number in range(1, count + 1):
            loop.cycle()
            clock.sleep(_FRAME_SECOND)
            if number % _BATCH == 0:
                agent.step()
                loop.take_findings()
            if number == count // 10:
                after_a_tenth = _rss_mb()
        disk = sum(path.stat().st_size for path in place.iterdir() if path.is_file())
        return {
            "seconds": seconds,
            "frames": count,
            "batches": outbox.waiting_count(),
            "mode": loop.state,
            "rss_mb": _rss_mb(),
            "rss_peak_mb": _peak_mb(),
            "rss_growth_mb": round(_rss_mb() - after_a_tenth, 1),
            "disk_mb": round(disk / 1e6, 1),
            "cpu_s": round(time.process_time() - began, 1),
        }


class Timed:
    """A pack whose own cost is counted."""

    def __init__(self, pack: Any) -> None:
        self.pack = pack
        self.cpu_s = 0.0

    def read(self) -> Any:
        """Read it."""
        began = time.thread_time()
        told = self.pack.read()
        self.cpu_s += time.thread_time() - began
        return told

    def write(self, command: Any) -> None:
        """Write to it."""
        began = time.thread_time()
        self.pack.write(command)
        self.cpu_s += time.thread_time() - began


def _loop(cells: int, seconds: float) -> dict[str, Any]:
    from cellwarden.edge.control_loop import ControlLoop
    from cellwarden.edge.device_config import DeviceConfig, PackPart
    from cellwarden.edge.frame_queue import FrameQueue
    from cellwarden.edge.inference import senses
    from cellwarden.edge.journal import Journal
    from cellwarden.edge.live import open_live
    from cellwarden.edge.models import Models

    config = DeviceConfig(PackPart("NMC", 50.0, cells))
    told = config.described("bench")
    pack = Timed(open_live(config, told))
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        journal = stack.enter_context(closing(Journal(place / "journal.sqlite", bytes(32))))
        queue = FrameQueue(journal)
        loop = ControlLoop(pack, told.control, queue, senses(told.pack, Models()))
        for _ in range(20):  # what is compiled or loaded late
            loop.cycle()
        pack.cpu_s, cpu, began = 0.0, time.process_time(), time.monotonic()
        end = began + seconds
        loop.run(lambda: time.monotonic() < end)
        wall, cpu = time.monotonic() - began, time.process_time() - cpu
        pace = loop.pace
    return {
        "cells": cells,
        "cycles": pace.cycle_count,
        "cpu_fraction": round((cpu - pack.cpu_s) / wall, 4),
        "pack_cpu_fraction": round(pack.cpu_s / wall, 4),
        "overrun_count": pace.overrun_count,
        "longest_ms": round(1e3 * pace.longest_second, 1),
        "rss_mb": _rss_mb(),
        "mode": loop.state,
    }


def main() -> None:
    """One part in this process, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*")
    parser.add_argument("--quick", action="store_true")
    told = parser.parse_args()
    match told.part:
        case ["week", seconds]:
            print(json.dumps(_week(int(seconds))))
        case ["loop", cells, seconds]:
            print(json.dumps(_loop(int(cells), float(seconds))))
        case ["install", folder]:
            _install(Path(folder))
        case _:
            print(json.dumps(run(quick=told.quick), indent=2))


if __name__ == "__main__":
    main()
