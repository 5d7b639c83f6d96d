"""What the control of a pack carries over a power cut: latched faults, a charge, balancing debts.

Rules
- The control loop hands over its newest state and waits for nothing; a thread that may wait for a
  disk keeps it. What is latched is written as soon as it changes, the rest as the logbook's pace
  allows.
- Switching off and on is no reset: what was latched when the power went is latched after it.
- A memory in which something is missing is not intact until a person has asked for a reset at the
  pack and what there is has been written anew. What was missing then is not held against it again.
- What is kept and cannot be read is begun anew, and the memory is not intact.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from cellwarden.control import balance_memory, charge_settings
from cellwarden.control.balance import Balanced
from cellwarden.control.charge_settings import Charged
from cellwarden.edge.logbook import Logbook
from cellwarden.errors import DecodeError, Error
from cellwarden.trust.envelope import from_cbor, to_cbor

__all__ = ["Carried", "Carryover"]

T = TypeVar("T")
_LATCHED: Final = "latched"
_CHARGED: Final = "charge"
_BALANCED: Final = "balancing"
_FORGIVEN: Final = "forgiven"
_TICK_SECOND: Final = 1.0
_RETRY_SECOND: Final = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """What the next start must know; without `balanced` nothing is owed."""

    latched: tuple[str, ...] = ()
    charged: Charged = field(default_factory=Charged)
    balanced: Balanced | None = None


class Carryover:
    """Takes up what one run left in the logbook, and keeps what this one leaves."""

    def __init__(
        self, book: Logbook, cell_count: int, steady: Callable[[], float] = time.monotonic
    ) -> None:
        """Read what was kept for a pack of so many cells in series.

        Raises:
            UsageError: the logbook's segments are too small for so many cells.
        """
        self._book, self._steady = book, steady
        self._wake = threading.Event()
        self._forgiving = False
        self._lock, self._closed = threading.Lock(), False
        self._intact = True
        if book.found.last_missing_sequence > self._read(_FORGIVEN, _number, 0):
            self._intact = False
        nothing: tuple[str, ...] = ()
        latched = self._read(_LATCHED, _names, nothing)
        charged = self._read(_CHARGED, charge_settings.unpack_state, Charged())
        balanced = self._read(
            _BALANCED, lambda body: balance_memory.unpack_state(body, cell_count), None
        )
        self.found = Carried(latched, charged, balanced)
        self._newest = self.found
        if _BALANCED not in book.state:
            # The largest that there will be: too large is said now, not when it is needed.
            book.keep(_BALANCED, balance_memory.pack_state(Balanced.begin(cell_count)))

    @property
    def intact(self) -> bool:
        """Whether nothing of what was kept has been lost, as far as nobody has looked at it."""
        return self._intact

    def offer(self, carried: Carried) -> None:
        """The state after a cycle; the newest one counts."""
        before, self._newest = self._newest, carried
        if before.latched != carried.latched:
            self._wake.set()

    def forgive(self) -> None:
        """A person has asked for a reset at the pack."""
        if not self._intact:
            self._forgiving = True
            self._wake.set()

    def settle(self) -> None:
        """Write what is due.

        Raises:
            UnavailableError: the disk does not serve; what was kept before still is.
        """
        with self._lock:
            if not self._closed:
                self._settle()

    def _settle(self) -> None:
        newest, now, forgiving = self._newest, self._steady(), self._forgiving
        self._book.keep(_LATCHED, to_cbor(list(newest.latched)))
        self._book.keep(_CHARGED, charge_settings.pack_state(newest.charged), now)
        if newest.balanced is not None:
            self._book.keep(_BALANCED, balance_memory.pack_state(newest.balanced), now)
        if forgiving:
            self._book.flush()
            self._book.keep(_FORGIVEN, to_cbor(self._book.found.last_missing_sequence))
            self._forgiving, self._intact = False, True

    def keep_on(self, stopped: Callable[[], bool], report: Callable[[Error], None]) -> None:
        """Write what is due until told to stop; a disk that does not serve is reported."""
        while not stopped():
            self._wake.wait(_TICK_SECOND)
            self._wake.clear()
            if stopped():
                return
            try:
                self.settle()
            except Error as error:
                report(error)
                time.sleep(_RETRY_SECOND)
                self._wake.set()

    def close(self) -> None:
        """Write all that there is, and let go."""
        with self._lock:
            self._closed = True
            try:
                self._settle()
            finally:
                self._book.close()

    def _read(self, name: str, read: Callable[[bytes], T], otherwise: T) -> T:
        body = self._book.state.get(name)
        if body is None:
            return otherwise
        try:
            return read(body)
        except DecodeError:
            self._intact = False
            return otherwise


def _names(body: bytes) -> tuple[str, ...]:
    match from_cbor(body, "the latched faults"):
        case [*names] if all(isinstance(name, str) for name in names):
            return tuple(str(name) for name in names)
        case _:
            raise DecodeError("no list of latched faults", hint="Reset the pack.")


def _number(body: bytes) -> int:
    match from_cbor(body, "what was forgiven"):
        case int(number):
            return number
        case _:
            raise DecodeError("no place in the logbook", hint="Reset the pack.")
