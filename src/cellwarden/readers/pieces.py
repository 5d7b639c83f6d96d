"""A text file cut into files of so many lines, one at a time: what is read fits in memory.

Rules
- Lines end where the scanner ends them; a cut never falls inside a quoted cell.
- The piece is a passing file that is overwritten by the next one.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from cellwarden.errors import DataError, UnavailableError

__all__ = ["cut"]

_BLOCK: Final = 1 << 22
_MOST_BYTES: Final = 1 << 29  # of one piece: a file of one endless line is no table


def cut(path: Path, *, skip: int, rows: int, quote: str) -> Iterator[tuple[Path, float]]:
    """Pieces of at most `rows` lines after the first `skip`, and which part of the file is done.

    Raises:
        DataError: its lines are too long to be rows.
        UnavailableError: there is no room for a piece.
    """
    size = max(path.stat().st_size, 1)
    with path.open("rb") as source, tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / path.name
        lines = _Lines(source, path, quote)
        lines.pass_by(skip)
        while not lines.ended:
            try:
                with place.open("wb") as target:
                    lines.copy(rows, target)
            except OSError as error:
                raise UnavailableError(
                    f"{path}: {error.strerror}", hint="Make room in the folder for passing files."
                ) from error
            if place.stat().st_size:
                yield place, min(lines.done / size, 1.0)


class _Lines:
    """A file read block by block, of which whole lines are taken."""

    def __init__(self, source: BinaryIO, path: Path, quote: str) -> None:
        self._source = source
        self._path = path
        self._quote = quote.encode()
        self._rest = source.read(_BLOCK)
        self._mark = b"\n" if b"\n" in self._rest else b"\r"
        self.done = 0

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return not self._rest

    def pass_by(self, count: int) -> None:
        """Leave lines out."""
        quote, self._quote = self._quote, b""
        if count:
            self._move(count, None)
        self._quote = quote

    def copy(self, count: int, target: BinaryIO) -> None:
        """Write the next lines, or as many as there are."""
        self._move(count, target)

    def _move(self, count: int, target: BinaryIO | None) -> None:
        open_quote, moved = False, 0
        while self._rest:
            stop, count, open_quote = self._stop(count, open_quote)
            piece = self._rest[:stop]
            moved += len(piece)
            if moved > _MOST_BYTES:
                raise DataError(
                    f"{self._path}: {count:,} more lines of a piece after {moved:,} bytes",
                    hint="Ask for fewer rows a piece; if that does not help, it is no table.",
                )
            if target is not None:
                target.write(piece)
            self.done += len(piece)
            self._rest = self._rest[stop:] or self._source.read(_BLOCK)
            if count <= 0:
                return

    def _stop(self, count: int, open_quote: bool) -> tuple[int, int, bool]:  # noqa: FBT001  a state
        """Where the lines end in this block, how many are then left, whether a quote is open."""
        held = self._rest.count(self._mark)
        quotes = self._rest.count(self._quote) if self._quote else 0
        if held < count:
            return len(self._rest), count - held, open_quote ^ bool(quotes % 2)
        whole = np.frombuffer(self._rest, dtype=np.uint8)
        ends = np.flatnonzero(whole == self._mark[0])
        if not quotes:
            if open_quote:
                return len(self._rest), max(count - held, 1), True
            return int(ends[count - 1]) + 1, 0, False
        inside = np.cumsum(whole == self._quote[0]) % 2 == (0 if open_quote else 1)
        for end in ends[count - 1 :]:
            if not inside[end]:
                return int(end) + 1, 0, False
        return len(self._rest), 1, bool(inside[-1])
