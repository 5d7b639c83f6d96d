"""Hub and devices lose their power at random moments; what is stored in the end is counted."""

import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

from journeys.system import Edge, System, twin, wait_for

VICTIMS = ("hub", "edge", "both")
PERIOD_SECOND = 0.05
_PAUSE_SECOND = (0.2, 3.0)
_MEAN_PAUSE_SECOND = sum(_PAUSE_SECOND) / 2


@dataclass(frozen=True)
class Outcome:
    """What was done and what is there."""

    kill_count: dict[str, int]
    kill_count_while_sending: int
    batch_count: int
    frame_count: int
    boot_count: int
    wall_second: float


class Blows:
    """A hub, a device that loses power with it, and one that only ever loses its hub."""

    def __init__(self, system: System, *, count: int, seed: int) -> None:
        """Devices measure for about as long as so many blows take on this machine."""
        self._system = system
        self._count = count
        self._rng = np.random.default_rng(seed)
        began = time.monotonic()
        system.start_hub()
        flow_second = count * (_MEAN_PAUSE_SECOND + time.monotonic() - began)
        start = float(np.floor(time.time()))
        frame_count = int(flow_second / PERIOD_SECOND)
        self.measured_count = 2 * frame_count
        for number, name in enumerate(("struck", "steady")):
            source = twin(
                name, frame_count, batch_frames=5, live=True, period_second=PERIOD_SECOND,
                start_unix_time_second=start, seed=number,
            )  # fmt: skip
            system.enrol(name, source)
        self._end = time.monotonic() + flow_second
        self._killed: Counter[str] = Counter()
        self._while_sending = 0

    def run(self) -> Outcome:
        """Strike so often, and let everything come in."""
        began = time.monotonic()
        system = self._system
        steady, struck = system.edge("steady"), system.edge("struck")
        while self._killed.total() < self._count:
            # From the middle of a start to well into the work.
            time.sleep(float(self._rng.uniform(*_PAUSE_SECOND)))
            victim = VICTIMS[int(self._rng.integers(3))]
            struck = self._strike(victim, struck)
        for edge in (steady, struck):
            assert edge.wait(self._end - time.monotonic() + 120.0) == 0, edge.said()
        assert system.stop_hub() == 0
        system.check_stored("struck", "steady")
        assert not system.spills(), "what killed hubs left behind is cleared away"
        report = system.verify()
        boots = system.rows("SELECT max(boot) FROM batch WHERE device = 'struck'")[0][0]
        return Outcome(
            dict(self._killed),
            self._while_sending,
            report.batch_count,
            report.frame_count,
            boots,
            time.monotonic() - began,
        )

    def _strike(self, victim: str, struck: Edge) -> Edge:
        """Take the power away and give it back."""
        system = self._system
        if victim in ("hub", "both"):
            system.kill_hub()
        if victim in ("edge", "both"):
            struck.kill()
        self._killed[victim] += 1
        self._while_sending += time.monotonic() < self._end
        if victim in ("hub", "both"):
            system.start_hub(up=False)
        if victim in ("edge", "both"):
            struck = system.edge("struck")
        if self._killed.total() % 4 == 0:
            system.wait_until_up()
            made = struck.last("struck")["sent_count"]
            wait_for(
                lambda: struck.last("struck")["sent_count"] > made or struck.process.poll() == 0,
                "something to come through between the blows",
            )
        return struck
