"""The fixed cycle of a controlled pack: read, estimate, decide, write.

Rules
- The loop touches no disk and no network: frames go into a queue, orders come out of memory.
- A pack that is silent, or a control that fails, is opened from here within `silent_second`; the
  watchdog does it where the loop itself hangs.
- Charge and senses are worked out once a frame, which is often enough for both.
- Findings are bounded; of more the number is told.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from cellwarden.domain import (
    FREE,
    Charge,
    Command,
    Finding,
    Frame,
    Ordered,
    Reading,
    Severity,
    Trouble,
)
from cellwarden.edge.drivers.seam import Live
from cellwarden.edge.frame_queue import FrameQueue
from cellwarden.edge.inference import ChargeSense, HealthSense, StrangeSense
from cellwarden.edge.pace import Pace
from cellwarden.edge.watchdog import SAFE, Guarded, Watchdog
from cellwarden.errors import EDGE_REACTION, DataError, Error, UnavailableError, look_up

__all__ = ["Control", "ControlLoop", "Decision", "Settings"]

_FINDING_COUNT: Final = 256


@dataclass(frozen=True, slots=True)
class Decision:
    """What the control decides in one cycle; `changed` says that the frame is worth keeping."""

    command: Command
    troubles: tuple[Trouble, ...] = ()
    findings: tuple[Finding, ...] = ()
    changed: bool = False
    state: str = ""


class Control(Protocol):
    """Decides what the pack does next within its limits and orders; it keeps its own state."""

    def __call__(self, reading: Reading, soc: Charge | None, ordered: Ordered) -> Decision:
        """The decision of one cycle."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """Times of the loop."""

    period_second: float = 0.1
    frame_second: float = 1.0
    silent_second: float = 0.5


class ControlLoop:
    """One pack under control; `run` stays until it is told to stop."""

    def __init__(
        self,
        pack: Live,
        control: Control,
        frames: FrameQueue,
        senses: tuple[ChargeSense, HealthSense, StrangeSense],
        *,
        guarded: Guarded | None = None,
        watchdog: Watchdog | None = None,
        ordered: Callable[[], Ordered] = lambda: FREE,
        reopen: Callable[[], None] = lambda: None,
        settings: Settings | None = None,
        steady: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`guarded` is the pack as both the loop and the watchdog write to it.

        `reopen` tells the control that the pack was opened without it.
        """
        self._reopen = reopen
        self._pack, self._control, self._frames = pack, control, frames
        self._charge, self._health, self._strange = senses
        self._guarded = guarded or Guarded(pack)
        self._watchdog, self._ordered = watchdog, ordered
        self._settings = settings or Settings()
        self._steady, self._sleep = steady, sleep
        self.pace = Pace(self._settings.period_second, steady())
        self._findings: deque[Finding] = deque(maxlen=_FINDING_COUNT)
        self._found_count = 0
        self._soc: Charge | None = None
        self._framed = self._heard = steady()
        self._first = True
        self._names: tuple[str, ...] = ()
        self._opened = False
        self.state = ""

    def run(self, goes_on: Callable[[], bool]) -> None:
        """Cycle after cycle; the pack is opened at the end, however that comes.

        Raises:
            SafetyError: the watchdog has opened the pack.
        """
        self.pace = Pace(self._settings.period_second, self._steady())
        try:
            while goes_on():
                began = self._steady()
                self.cycle()
                wait = self.pace.end(began, self._steady())
                if wait > 0.0:
                    self._sleep(wait)
        finally:
            end = self._steady() + self._settings.silent_second
            while not self._guarded.shut_down() and self._steady() < end:
                self._sleep(self._settings.period_second)

    def cycle(self) -> None:
        """One cycle.

        Raises:
            SafetyError: the watchdog has opened the pack.
        """
        try:
            self._turn()
        except (UnavailableError, DataError) as error:
            self._suffer(error)
        if self._watchdog is not None:
            self._watchdog.beat()

    def _turn(self) -> None:
        reading = self._pack.read()
        now = self._steady()
        if self._opened:  # over the head of the control, which has to close in order again
            self._reopen()
        due = self._first or now - self._framed >= self._settings.frame_second - _EARLY_SECOND
        if due:
            self._soc = self._charge.step(reading.frame)
        decision = self._control(reading, self._soc, self._ordered())
        self._guarded.write(decision.command)
        self._heard, self._opened = now, False
        self.state = decision.state
        self._tell(decision.findings)
        if due or decision.changed:
            if due:
                # In step with the first frame; after a long gap, anew.
                late = now - self._framed > 2.0 * self._settings.frame_second
                begin = self._first or late
                self._framed = now if begin else self._framed + self._settings.frame_second
            self._first = False
            names = tuple(trouble.name for trouble in decision.troubles)
            urgent = decision.changed or names != self._names  # one that lasts is told once
            self._names = names
            self._look(reading.frame, urgent=urgent)

    def _look(self, frame: Frame, *, urgent: bool) -> None:
        soc = self._soc
        self._frames.put(frame, soc, urgent=urgent)
        self._tell(self._charge.take_findings())
        self._tell(self._health.step(frame))
        if soc is not None:
            self._tell(self._strange.step(frame, soc))

    def _suffer(self, error: Error) -> None:
        """Nothing to go by in this cycle; too many of them open the pack."""
        now = self._steady()
        if now - self._heard < self._settings.silent_second:
            return
        with contextlib.suppress(UnavailableError):  # its own electronics open it
            self._guarded.write(SAFE)
        if self._opened:
            return
        self._opened = True
        reaction = look_up(EDGE_REACTION, error)
        self._tell(
            [
                Finding(
                    kind="control",
                    severity=Severity.ALARM,
                    signal="contactors",
                    unix_time_second=time.time(),
                    message=f"the pack was opened after {now - self._heard:.1f} s without a"
                    f" reading ({reaction}): {error}",
                    evidence={"silent_second": now - self._heard},
                )
            ]
        )

    def _tell(self, findings: "tuple[Finding, ...] | list[Finding]") -> None:
        self._found_count += len(findings)
        self._findings.extend(findings)

    def take_findings(self) -> list[Finding]:
        """What was found since this was asked last, overruns among them."""
        found: list[Finding] = []
        while self._findings:
            found.append(self._findings.popleft())
        told = self._found_count
        self._found_count -= told
        now = time.time()
        if told > len(found):
            found.append(_count("control", "findings", f"{told - len(found)} more findings", now))
        pace = self.pace.take()
        if pace.overrun_count:
            message = (
                f"{pace.overrun_count} of {pace.cycle_count} cycles took longer than"
                f" {pace.period_second:g} s, {pace.missed_count} were left out;"
                f" the longest {pace.longest_second:.3f} s"
            )
            evidence = {
                "overrun_count": float(pace.overrun_count),
                "missed_count": float(pace.missed_count),
                "cycle_count": float(pace.cycle_count),
                "longest_second": pace.longest_second,
            }
            found.append(
                Finding("overrun", Severity.WARNING, "cycle", now, message, evidence=evidence)
            )
        return found


_EARLY_SECOND: Final = 1e-6


def _count(kind: str, signal: str, message: str, now: float) -> Finding:
    return Finding(kind, Severity.WARNING, signal, now, message)
