"""What goes wrong between a pack and its driver, to be put into an `EmulatedPack`.

On the wire (`pack.wire`): bits flip, frames are lost, come again or come late, a wire goes dead. In
the raw values (`pack.codes`), before any checksum: a code is replaced, moved or held.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

__all__ = ["Add", "Delay", "Drop", "Flip", "Hold", "Moment", "Repeat", "Replace", "When"]

_EVER: Final = float("inf")


class Moment(Protocol):
    """Which bytes, and when: a `Transfer`."""

    @property
    def wire(self) -> str:
        """Where."""
        ...

    @property
    def request(self) -> bytes:
        """What was asked."""
        ...

    @property
    def second(self) -> float:
        """When. [s]"""
        ...


@dataclass(frozen=True, slots=True)
class When:
    """A stretch of the pack's clock, without its last moment."""

    start_second: float = 0.0
    stop_second: float = _EVER

    def holds(self, second: float) -> bool:
        """Whether it is now."""
        return self.start_second <= second < self.stop_second


@dataclass(frozen=True, slots=True)
class Flip:
    """Invert bits, counted from the first byte's highest; `code` names one command of a chain."""

    wire: str
    bits: tuple[int, ...]
    when: When = field(default_factory=When)
    code: int | None = None

    def __call__(self, moment: Moment, content: bytes) -> bytes:
        """The bytes as they arrive."""
        if not _meant(self.wire, self.when, moment, self.code):
            return content
        spoilt = bytearray(content)
        for bit in self.bits:
            if bit < 8 * len(spoilt):
                spoilt[bit // 8] ^= 0x80 >> bit % 8
        return bytes(spoilt)


@dataclass(frozen=True, slots=True)
class Drop:
    """Lose what is sent: all of it, or what answers one command of a chain."""

    wire: str
    when: When = field(default_factory=When)
    code: int | None = None

    def __call__(self, moment: Moment, content: bytes) -> bytes | None:
        """Nothing, where it is lost."""
        return None if _meant(self.wire, self.when, moment, self.code) else content


@dataclass(frozen=True, slots=True)
class Repeat:
    """Give the last good answer to the same request again and again."""

    wire: str
    when: When = field(default_factory=When)
    _last: dict[bytes, bytes] = field(default_factory=dict)

    def __call__(self, moment: Moment, content: bytes) -> bytes:
        """The bytes of the last time before."""
        if moment.wire != self.wire:
            return content
        key = moment.request or content[:1]
        if self.when.holds(moment.second) and key in self._last:
            return self._last[key]
        self._last[key] = content
        return content


@dataclass(frozen=True, slots=True)
class Delay:
    """Give each answer so many answers late; nothing until then."""

    wire: str
    count: int
    when: When = field(default_factory=When)
    _queue: deque[bytes] = field(default_factory=deque)

    def __call__(self, moment: Moment, content: bytes) -> bytes | None:
        """The bytes of that many answers before."""
        if not content or not _meant(self.wire, self.when, moment, None):
            return content
        self._queue.append(content)
        return self._queue.popleft() if len(self._queue) > self.count else None


@dataclass(frozen=True, slots=True)
class Replace:
    """Put a code in the place of a raw value; `item` is (chip, place), or () for the board's."""

    name: str
    code: int
    item: tuple[int, ...] = ()
    when: When = field(default_factory=When)

    def __call__(self, codes: dict[str, np.ndarray], second: float) -> None:
        """Change the raw values."""
        if self.when.holds(second):
            codes[self.name][self.item] = self.code


@dataclass(frozen=True, slots=True)
class Add:
    """Move a raw value by so many codes, at once and by so many more each hour."""

    name: str
    code: float
    item: tuple[int, ...] = ()
    when: When = field(default_factory=When)
    code_per_hour: float = 0.0

    def __call__(self, codes: dict[str, np.ndarray], second: float) -> None:
        """Change the raw values."""
        if self.when.holds(second):
            since = (second - self.when.start_second) / 3600.0
            codes[self.name][self.item] += round(self.code + self.code_per_hour * since)


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep a raw value as it is when this begins: a converter that has stopped."""

    name: str
    item: tuple[int, ...] = ()
    when: When = field(default_factory=When)
    _first: list[np.ndarray] = field(default_factory=list)

    def __call__(self, codes: dict[str, np.ndarray], second: float) -> None:
        """Change the raw values."""
        if not self.when.holds(second):
            return
        if not self._first:
            self._first.append(np.copy(codes[self.name][self.item]))
        codes[self.name][self.item] = self._first[0]


def _meant(wire: str, when: When, moment: Moment, code: int | None) -> bool:
    asked = code is None or moment.request[:2] == code.to_bytes(2, "big")
    return asked and moment.wire == wire and when.holds(moment.second)
