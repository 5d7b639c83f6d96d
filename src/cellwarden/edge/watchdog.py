"""A thread that opens the pack when its control no longer answers, and the service manager's.

Rules
- The control loop says that it lives once a cycle. When it has not for `limit_second`, the pack is
  told to open from here, again and again, and the loop may never write to it again.
- The service manager hears `WATCHDOG=1` only while the loop lives: what also holds this thread up
  (a machine out of memory, a library that does not let go) ends with the process being replaced.
- A killed process writes nothing at all. Then the pack's own electronics open: they do when no
  command has come for their own time.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from cellwarden.domain import OPEN, Command
from cellwarden.edge.drivers.seam import Live
from cellwarden.errors import SafetyError

__all__ = ["SAFE", "Guarded", "Watchdog", "notify"]

SAFE: Final = Command(OPEN, 0.0, 0.0)


def notify(message: str, address: str | None = None) -> bool:
    """Tell the service manager something; False where there is none.

    Source: systemd, sd_notify(3): a datagram to the socket that `NOTIFY_SOCKET` names.
    """
    place = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
    if not place:
        return False
    if place.startswith("@"):
        place = "\0" + place[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0.1)
        sender.connect(place)
        sender.send(message.encode())
        return True
    return False


class Guarded:
    """A pack that two threads write to, one of which has the last word."""

    def __init__(self, pack: Live) -> None:
        self._pack = pack
        self._lock = threading.Lock()
        self._shut = threading.Event()

    @property
    def shut(self) -> bool:
        """Whether it was opened for good."""
        return self._shut.is_set()

    def write(self, command: Command) -> None:
        """Carry out a command of the control loop.

        Raises:
            SafetyError: the pack was opened over its head.
        """
        with self._lock:
            if self._shut.is_set():
                raise SafetyError(
                    "the pack was opened because its control did not answer",
                    hint="Look for what held the control up, then start it again.",
                )
            self._pack.write(command)
            if self._shut.is_set():  # opened meanwhile, and this command may have come after that
                self._pack.write(SAFE)

    def shut_down(self) -> bool:
        """Open the pack, whoever is writing; False where the pack did not take it."""
        self._shut.set()
        held = self._lock.acquire(timeout=0.05)  # a writer may hang in there
        try:
            self._pack.write(SAFE)
        except Exception:  # noqa: BLE001  whatever a driver raises, it is tried again
            return False
        finally:
            if held:
                self._lock.release()
        return True


class Watchdog:
    """Watches one control loop."""

    def __init__(
        self,
        pack: Guarded,
        *,
        limit_second: float = 0.5,
        tell_second: float = 0.0,
        on_trip: Callable[[float], None] = lambda _silent: None,
        tell: Callable[[str], bool] = notify,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tell_second` is how often the service manager wants to hear; 0 asks its environment.

        `on_trip` hears for how long the loop has been silent, once the pack was told to open.
        """
        told = int(os.environ.get("WATCHDOG_USEC", "0") or 0) / 1e6
        self._tell_second = tell_second or (told / 3.0 if told else limit_second)
        self._pack, self._limit, self._tell = pack, limit_second, tell
        self._on_trip, self._steady = on_trip, steady
        self._beaten = steady()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self.tripped = False

    def start(self) -> None:
        """Begin to watch."""
        self._beaten = self._steady()
        self._thread.start()

    def beat(self) -> None:
        """The loop lives."""
        self._beaten = self._steady()

    def stop(self) -> None:
        """The loop ends as it should."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        told = float("-inf")
        while not self._stopping.wait(self._limit / 4.0):
            now = self._steady()
            silent = now - self._beaten
            if self.tripped or silent > self._limit:
                opened = self._pack.shut_down()
                if opened and not self.tripped:
                    self.tripped = True
                    self._tell("STATUS=the control does not answer; the pack was opened")
                    self._on_trip(silent)
            elif now - told >= self._tell_second:
                told = now
                self._tell("WATCHDOG=1")
