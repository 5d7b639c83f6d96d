"""The ledger as files that any verifier of C2SP tlog-tiles reads, from any file server.

    checkpoint                    the signed head; written last, so all that it proves is there
    tile/<L>/<N>[.p/<W>]          256 hashes of level 8 L, or the W there are so far
    tile/entries/<N>[.p/<W>]      256 entries, each behind its length in two bytes

A full tile never changes. The folder is a projection: delete it and write it again at any time.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cellwarden.errors import DecodeError, LedgerError, RangeError
from cellwarden.hub.ledger import tiles_of
from cellwarden.hub.store import Store
from cellwarden.trust.keys import write_durably
from cellwarden.trust.ledger import TILE_WIDTH, Checkpoint, NoteKey, Tree

__all__ = ["write_tiles"]

_ENTRIES: Final = "entries"
_LONGEST_ENTRY_BYTES: Final = 0xFFFF
_CHUNK: Final = 64  # tiles that are read at once


def write_tiles(store: Store, head: tuple[Tree, str], key: NoteKey, folder: Path) -> int:
    """Bring the folder up to a head of the ledger; gives how many files were written. [1]

    What an earlier head of the same ledger has written stays; of another ledger, nothing is
    believed and everything is written anew.

    Raises:
        LedgerError: a tile or a leaf is missing from the store.
        RangeError: an entry is longer than the format can say.
        UnavailableError: the disk does not take it; the old checkpoint stands.
    """
    tree, note = head
    done = _size_there(store, tree, key, folder)
    written = 0
    for level, count in enumerate(_counts(tree.size)):
        name = f"tile/{level}"
        partial = b"".join(tree.edges[level])
        full = _full_tiles(store, level, (done >> (8 * level)) // TILE_WIDTH, count // TILE_WIDTH)
        written += _write_row(folder / name, full, count, partial)
    if tree.size:
        first, rest = tree.size - tree.size % TILE_WIDTH, tree.size % TILE_WIDTH
        partial = _bundle(store, first, tree.size) if rest else b""
        bundles = (
            (index, _bundle(store, index * TILE_WIDTH, (index + 1) * TILE_WIDTH))
            for index in range(done // TILE_WIDTH, tree.size // TILE_WIDTH)
        )
        written += _write_row(folder / "tile" / _ENTRIES, bundles, tree.size, partial)
    write_durably(folder / "checkpoint", note.encode())
    return written + 1


def _size_there(store: Store, tree: Tree, key: NoteKey, folder: Path) -> int:
    """How many entries the folder has already of this very ledger."""
    try:
        there = Checkpoint.open((folder / "checkpoint").read_text(), key)
        same = there.size <= tree.size and tiles_of(store, there.size).root() == there.root
    except (FileNotFoundError, UnicodeDecodeError, DecodeError, LedgerError):
        return 0
    return there.size if same else 0


def _counts(size: int) -> Iterator[int]:
    """How many hashes each level of tiles has."""
    while size:
        yield size
        size //= TILE_WIDTH


def _write_row(folder: Path, full: Iterator[tuple[int, bytes]], count: int, partial: bytes) -> int:
    """Full tiles, then the one that is not full yet."""
    written = 0
    for index, content in full:
        path = folder / _number(index)
        write_durably(path, content)
        _forget_partials(path)
        written += 1
    width = count % TILE_WIDTH
    if width:
        write_durably(_partials(folder / _number(count // TILE_WIDTH)) / str(width), partial)
        written += 1
    return written


def _number(index: int) -> str:
    """1234067 as x001/x234/067."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups))


def _partials(full: Path) -> Path:
    return full.with_name(f"{full.name}.p")


def _forget_partials(full: Path) -> None:
    shutil.rmtree(_partials(full), ignore_errors=True)  # readers take the full one from now on


def _full_tiles(store: Store, level: int, first: int, stop: int) -> Iterator[tuple[int, bytes]]:
    for start in range(first, stop, _CHUNK):
        end = min(stop, start + _CHUNK)
        found = store.rows(
            "SELECT index, hashes FROM tile WHERE level = ? AND index >= ? AND index < ?"
            " ORDER BY index",
            [level, start, end],
        )
        if [row[0] for row in found] != list(range(start, end)):
            raise LedgerError(
                f"tiles {level}/{start} to {end - 1} are not all there",
                hint="Restore the store from a backup.",
            )
        yield from ((index, bytes(hashes)) for index, hashes in found)


def _bundle(store: Store, start: int, stop: int) -> bytes:
    found = store.rows(
        "SELECT entry FROM leaf WHERE leaf_index >= ? AND leaf_index < ? ORDER BY leaf_index",
        [start, stop],
    )
    if len(found) != stop - start:
        raise LedgerError(
            f"entries {start} to {stop - 1} are not all there",
            hint="Restore the store from a backup.",
        )
    return b"".join(_measured(bytes(entry), index) for index, (entry,) in enumerate(found, start))


def _measured(entry: bytes, index: int) -> bytes:
    if len(entry) > _LONGEST_ENTRY_BYTES:
        raise RangeError(
            f"entry {index} has {len(entry)} bytes, a bundle takes {_LONGEST_ENTRY_BYTES}",
            hint="Audit this ledger with `cellwarden verify`, which has no such bound.",
        )
    return len(entry).to_bytes(2, "big") + entry
