"""From the control loop to the batches: frames in a bounded queue, and on disk within seconds.

The loop puts frames in and never waits; the agent reads them as from any driver. What the agent
does not fetch in time (a disk that hangs) is dropped from the old end, counted, and told.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cellwarden.domain import Charge, Command, Finding, Frame, Frames, Severity
from cellwarden.edge.journal import Journal
from cellwarden.edge.quota import Thinning
from cellwarden.health import charge as charges

__all__ = ["FrameQueue"]

_NUMBER_BYTES: Final = 8
_HIGHEST_COUNT: Final = 3600


@dataclass(frozen=True, slots=True)
class _Fresh:
    index: int
    frame: Frame
    soc: Charge | None


@dataclass(frozen=True, slots=True)
class _Piece:
    number: int
    frames: Frames


class FrameQueue:
    """A driver for the agent that a control loop feeds."""

    def __init__(
        self,
        journal: Journal,
        position: bytes = b"",
        *,
        flush_second: float = 5.0,
        batch_second: float = 600.0,
        highest_count: int = _HIGHEST_COUNT,
        used_fraction: Callable[[], float] = lambda: 0.0,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take up what an earlier run has kept and not sent.

        `flush_second` is the most that a power cut costs, `batch_second` how long a batch may wait
        to be full, `used_fraction` how full the room for what waits to be sent is.
        """
        self._journal, self._steady = journal, steady
        self._flush_second, self._batch_second = flush_second, batch_second
        self._used_fraction = used_fraction
        self._last = int.from_bytes(position, "big")
        journal.forget(self._last)
        self._pieces = [_Piece(*one) for one in journal.after(self._last)]
        self._fresh: deque[_Fresh] = deque(maxlen=highest_count)
        self._put_count = 0
        self._lock = threading.Condition()
        self._closed = False
        self._dropped_count = 0
        self._spoilt_count = journal.lost_count
        self.thinning = Thinning()
        self.thinning.fill(used_fraction())

    def put(self, frame: Frame, soc: Charge | None = None, *, urgent: bool = False) -> None:
        """One frame from the loop; never waits for a disk."""
        with self._lock:
            if not self.thinning.keeps(frame.unix_time_second, urgent=urgent):
                return
            if len(self._fresh) == self._fresh.maxlen:
                self._dropped_count += 1
            self._put_count += 1
            self._fresh.append(_Fresh(self._put_count, frame, soc))
            self._lock.notify()

    @property
    def closed(self) -> bool:
        """Whether there will be no more."""
        return self._closed

    def close(self) -> None:
        """There will be no more; what is here is still given out."""
        with self._lock:
            self._closed = True
            self._lock.notify()

    def read(self, count: int) -> Frames | None:
        """The next batch: `count` frames, or fewer when a batch has waited long enough.

        Raises:
            UnavailableError: the disk does not take the journal.
        """
        until = self._steady() + self._batch_second
        while True:
            self.thinning.fill(self._used_fraction())
            closed = self._flush()
            ready = sum(len(piece.frames) for piece in self._pieces)
            split = self._split()
            if ready and (ready >= count or closed or self._steady() >= until or split):
                return self._take(count)
            if closed:
                return None

    def position(self) -> bytes:
        """The number of the last piece that was given out."""
        return self._last.to_bytes(_NUMBER_BYTES, "big")

    def write(self, command: Command) -> None:
        """Commands go the loop's way."""

    def findings(self, unix_time_second: float) -> list[Finding]:
        """What was left out or dropped since this was asked last."""
        with self._lock:
            (left_out, since), dropped = self.thinning.take(), self._dropped_count
            spoilt, self._dropped_count, self._spoilt_count = self._spoilt_count, 0, 0
        found = []
        if left_out:
            apart = self.thinning.spacing_second
            rule = "none is kept" if apart == float("inf") else f"one in {apart:g} s is kept"
            message = f"the room for what waits to be sent is getting full: {left_out} frames were"
            found.append(
                _told("thinned", f"{message} left out, {rule}", unix_time_second, left_out, since)
            )
        if dropped:
            message = f"the disk was too slow: {dropped} frames were dropped"
            found.append(_told("dropped", message, unix_time_second, dropped, unix_time_second))
        if spoilt:
            message = f"the journal was spoilt: {spoilt} pieces of it did not open"
            found.append(_told("dropped", message, unix_time_second, spoilt, unix_time_second))
        return found

    def _flush(self) -> bool:
        """Wait for a piece's worth of frames and put it on disk; whether there will be no more."""
        until = self._steady() + self._flush_second
        with self._lock:
            while not self._closed and (left := until - self._steady()) > 0.0:
                self._lock.wait(min(left, 1.0))
            taken, closed = list(self._fresh), self._closed
        for run in _runs(taken):
            number = self._journal.put(frames := _columns(run), self._last)
            self._pieces.append(_Piece(number, frames))
            with self._lock:  # only now: what a disk refuses stays here
                while self._fresh and self._fresh[0].index <= run[-1].index:
                    self._fresh.popleft()
        return closed

    def _split(self) -> bool:
        """Whether the first pieces cannot be in one batch with the next."""
        return _fitting(self._pieces) < len(self._pieces)

    def _take(self, count: int) -> Frames:
        taken, size = 0, 0
        for piece in self._pieces[: _fitting(self._pieces)]:
            taken, size = taken + 1, size + len(piece.frames)
            if size >= count:
                break
        given, self._pieces = self._pieces[:taken], self._pieces[taken:]
        # The batch before this one is in the outbox now, with its number.
        self._journal.forget(self._last)
        self._last = given[-1].number
        return _joined([piece.frames for piece in given])


def _told(kind: str, message: str, at: float, count: int, since: float) -> Finding:
    evidence = {"left_out_count": float(count), "since_unix_time_second": since}
    return Finding(kind, Severity.WARNING, "unix_time_second", at, message, evidence=evidence)


def _runs(taken: list[_Fresh]) -> list[list[_Fresh]]:
    """Where time runs back or a cell is added, a new piece begins."""
    runs: list[list[_Fresh]] = []
    for one in taken:
        if runs and _joins(runs[-1][-1].frame, one.frame):
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _joins(before: Frame, frame: Frame) -> bool:
    return (
        before.unix_time_second <= frame.unix_time_second
        and len(before.cell_voltage_volt) == len(frame.cell_voltage_volt)
        and len(before.cell_temperature_celsius) == len(frame.cell_temperature_celsius)
    )


def _columns(run: list[_Fresh]) -> Frames:
    frames = Frames.stack([one.frame for one in run])
    if all(one.soc is None for one in run):
        return frames
    usable = [np.nan if one.soc is None else _usable(one.soc) for one in run]
    doubt = [np.nan if one.soc is None else float(one.soc.soc_std_fraction.max()) for one in run]
    return replace(
        frames,
        soc_fraction=np.array(usable, dtype=np.float32),
        soc_std_fraction=np.array(doubt, dtype=np.float32),
    )


def _usable(soc: Charge) -> float:
    return float(charges.usable_fraction(soc.soc_fraction))


def _fitting(pieces: list[_Piece]) -> int:
    """How many of the first pieces go into one batch: time rises, columns are the same."""
    for count in range(1, len(pieces)):
        before, after = pieces[count - 1].frames, pieces[count].frames
        same = before.columns().keys() == after.columns().keys() and all(
            one.shape[1:] == other.shape[1:]
            for one, other in zip(before.columns().values(), after.columns().values(), strict=True)
        )
        if not same or before.unix_time_second[-1] > after.unix_time_second[0]:
            return count
    return len(pieces)


def _joined(parts: list[Frames]) -> Frames:
    if len(parts) == 1:
        return parts[0]
    names = parts[0].columns()
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return replace(parts[0], **columns)
