"""A daisy chain of cell monitors, read from one end or, where the link is broken, from both.

Rules
- A frame counts if its checksum and echo hold and its counter is where the chip must be; anything
  else is refused and counted, and its values are no reading in this cycle.
- A chip whose counter is off has missed a command: what it holds is old. Its counter is taken for
  good when it follows a challenge, a pattern of commands unlike the last 255; so answers that are
  held up, even by a whole cycle, are not believed however steadily they count.
- Where the chips from one on are silent, the link before that chip is broken, and it is named; with
  a second port the rest is asked from the other end, a cycle later.
- A sense wire is open if pulling it up and down moves its cells by more than 400 mV (LTC6811 data
  sheet, "Open wire check"); the cells at that wire have no reading until a test finds it whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cellwarden.edge.drivers import adc, register
from cellwarden.edge.drivers.register import Answers
from cellwarden.errors import UnavailableError, UsageError

__all__ = ["Bus", "Chain", "Measured"]

_OPEN_VOLT: Final = 0.4
_CHALLENGE_BITS: Final = 8


class Bus(Protocol):
    """Carries bytes to a chain and back."""

    def exchange(self, request: bytes, reply_byte_count: int, port: int = 0) -> bytes:
        """Send, and read while clocking; what nobody drives reads 0xFF, or is missing.

        Raises:
            UnavailableError: the bus does not serve; the chain takes it for silence.
        """
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """What a chain gave in one cycle, from the bottom of the string up; NaN has been refused."""

    cell_voltage_volt: Float64[np.ndarray, " cell"]
    sensor_ratio: Float64[np.ndarray, " sensor"]
    reference_volt: Float64[np.ndarray, " monitor"]
    frame_error_count: Int64[np.ndarray, " monitor"]
    whole: Bool[np.ndarray, " monitor"]
    open_wire: Bool[np.ndarray, " cell"]
    broken_link: int | None


class Chain:
    """The controller's end of a chain; it remembers counters and wires, never readings."""

    def __init__(
        self,
        bus: Bus,
        cell_counts: Sequence[int],
        sensor_counts: Sequence[int],
        port_count: int = 1,
    ) -> None:
        most = (len(register.CELL_GROUPS), len(register.SENSOR_GROUPS))
        groups = [-(-max(counts, default=0) // 3) for counts in (cell_counts, sensor_counts)]
        if not cell_counts or groups[0] > most[0] or groups[1] > most[1]:
            raise UsageError(
                "a monitor chip watches 1 to 18 cells and up to 9 sensors",
                hint="Divide the string among more chips.",
            )
        self._bus = bus
        self._count = len(cell_counts)
        self._cells = _slots(cell_counts, groups[0])
        self._sensors = _slots(sensor_counts, groups[1])
        self._top = np.array(cell_counts, dtype=np.int64)
        self._cell_codes = register.CELL_GROUPS[: groups[0]]
        self._codes = (*self._cell_codes, *register.SENSOR_GROUPS[: groups[1]], register.STATUS)
        self._ports = port_count
        self._counter = np.zeros((2, self._count), dtype=np.int64)
        self._port = np.zeros(self._count, dtype=np.int64)
        self._challenges = 0
        self._far_told = False
        self._broken: int | None = None
        self._open = np.zeros((self._count, groups[0] * register.VALUES_PER_GROUP), dtype=bool)
        self._say(register.RESET_COUNTER)

    @property
    def chip_count(self) -> int:
        """Chips in the chain. [1]"""
        return self._count

    def measure(self) -> Measured:
        """Convert and read everything once."""
        for code in (register.ADCV, register.ADAX, register.ADSTAT):
            self._say(code)
        answers, good = self._ask(self._codes)
        off = np.asarray(answers.whole.any(axis=0) & ~good.any(axis=0))
        if off.any():
            self._challenge(off)
        error = np.count_nonzero(~good, axis=0).astype(np.int64)
        cells, sensors = len(self._cell_codes), len(self._codes) - 1
        volts = self._spread(adc.CELL.value(answers.values), good, slice(0, cells))
        ratio = self._spread(adc.RATIO.value(answers.values), good, slice(cells, sensors))
        reference = adc.REFERENCE.value(answers.values[-1, :, 0])
        return Measured(
            np.where(self._open, np.nan, volts)[self._cells],
            ratio[self._sensors],
            np.where(good[-1], reference, np.nan),
            error,
            np.asarray(good.all(axis=0)),
            self._open[self._cells],
            self._broken,
        )

    def test_wires(self) -> None:
        """Look for open sense wires; chips that do not answer keep what was found before."""
        self._say(register.ADOW_UP)
        up, up_good = self._ask(self._cell_codes)
        self._say(register.ADOW_DOWN)
        down, down_good = self._ask(self._cell_codes)
        every = slice(0, len(self._cell_codes))
        high = self._spread(adc.CELL.unit_per_code * up.values, up_good, every)
        low = self._spread(adc.CELL.unit_per_code * down.values, down_good, every)
        moved = high - low
        wires = np.zeros((self._count, high.shape[1] + 1), dtype=bool)
        wires[:, :-1] = moved < -_OPEN_VOLT  # the wire below a cell: pulled up, the cell shrinks
        rows = np.arange(self._count)
        wires[rows, self._top] = moved[rows, self._top - 1] > _OPEN_VOLT  # above the last cell
        known = (up_good & down_good).all(axis=0)
        self._open[known] = (wires[:, :-1] | wires[:, 1:])[known]

    def test_converters(self) -> Bool[np.ndarray, " monitor"]:
        """Whether each chip's converter gives the pattern it must; a silent one does not."""
        self._say(register.CVST)
        answers, good = self._ask(self._cell_codes)
        right: np.ndarray = (answers.values == register.SELF_TEST_CODE).all(axis=2) & good
        return np.asarray(right.all(axis=0))

    def balance(self, bleeding: Bool[np.ndarray, " cell"]) -> None:
        """Switch the bleeders, chip by chip."""
        grid = np.zeros((self._count, register.GROUP_BYTES * 8), dtype=bool)
        grid[:, : self._open.shape[1]][self._cells] = bleeding
        data = np.packbits(grid, axis=1, bitorder="little")
        self._say(register.CONFIGURE, [row.tobytes() for row in data])

    def _say(self, code: int, data: Sequence[bytes] = ()) -> None:
        """A command that no answer follows; over both ports where a part hears only the other."""
        both = self._ports > 1 and (self._broken is not None or code == register.RESET_COUNTER)
        self._far_told = both
        for port in (0, 1) if both else (0,):
            self._exchange(register.command(code, data if port == 0 else data[::-1]), 0, port)
            if code in register.COUNTED:
                self._counter[port] = register.after_counts(self._counter[port], 1)
            elif code == register.RESET_COUNTER:
                self._counter[port] = 0

    @property
    def _due(self) -> Int64[np.ndarray, " monitor"]:
        """Where the counter of each chip must be, at the port that it is heard at."""
        counted: np.ndarray = self._counter[self._port, np.arange(self._count)]
        return counted

    def _ask(self, codes: Sequence[int]) -> tuple[Answers, Bool[np.ndarray, "group monitor"]]:
        """The answers to several reads, and which of them count."""
        answers = self._gather(codes)
        told = (self._port == 0) | self._far_told  # else its far port has converted nothing
        return answers, answers.whole & (answers.counter == self._due) & told

    def _gather(self, codes: Sequence[int]) -> Answers:
        """The answers to several reads, from wherever each chip is heard."""
        answers = self._read(codes, 0)
        lit = np.flatnonzero(~answers.silent.all(axis=0))
        first_dark = int(lit[-1]) + 1 if len(lit) else 0
        self._broken = first_dark if first_dark < self._count else None
        self._port[:] = 0
        if self._broken is not None and self._ports > 1:
            answers = _join(answers, self._read(codes, 1), first_dark)
            self._port[first_dark:] = 1
        return answers

    def _challenge(self, off: Bool[np.ndarray, " monitor"]) -> None:
        """See whether chips that are off count what is sent now; take their counters if so."""
        self._challenges = (self._challenges + 1) % (1 << _CHALLENGE_BITS)
        answers = self._gather((register.STATUS,))
        follows, last, port = off & answers.whole[0], answers.counter[0], self._port.copy()
        for bit in range(_CHALLENGE_BITS):
            count = 1 + (self._challenges >> bit & 1)
            for _ in range(count):
                self._say(register.ADSTAT)
            answers = self._gather((register.STATUS,))
            right = answers.counter[0] == register.after_counts(last, count)
            follows, last = follows & answers.whole[0] & right, answers.counter[0]
            follows &= port == self._port
        chips = np.flatnonzero(follows)
        self._counter[self._port[chips], chips] = last[chips]

    def _read(self, codes: Sequence[int], port: int) -> Answers:
        size = self._count * register.FRAME_BYTES
        replies = [self._exchange(register.command(code), size, port) for code in codes]
        answers = register.check(codes, replies, self._count, port)
        if port == 0:
            return answers
        return Answers(
            *(
                part[:, ::-1]
                for part in (answers.values, answers.counter, answers.whole, answers.silent)
            )
        )

    def _exchange(self, request: bytes, reply_byte_count: int, port: int) -> bytes:
        try:
            return self._bus.exchange(request, reply_byte_count, port)
        except UnavailableError:
            return b""

    def _spread(
        self, values: np.ndarray, good: np.ndarray, groups: slice
    ) -> Float64[np.ndarray, "monitor slot"]:
        """Groups side by side, each chip a row; NaN where the frame was refused."""
        kept = np.where(good[groups, :, None], values[groups], np.nan)
        return np.ascontiguousarray(kept.transpose(1, 0, 2)).reshape(self._count, -1)


def _slots(counts: Sequence[int], groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Chip and place within it of each input, from the bottom of the string."""
    width = groups * register.VALUES_PER_GROUP
    used = np.arange(width)[None, :] < np.array(counts)[:, None]
    chip, slot = np.nonzero(used)
    return chip, slot


def _join(near: Answers, far: Answers, first: int) -> Answers:
    """Chips from `first` on as the far port has them."""
    parts = (
        np.concatenate([getattr(near, name)[:, :first], getattr(far, name)[:, first:]], axis=1)
        for name in ("values", "counter", "whole", "silent")
    )
    return Answers(*parts)
