"""The ledger as files that any verifier of C2SP tlog-tiles reads, from any file server.

    checkpoint                    the signed head; written last, so all that it proves is there
    tile/<L>/<N>[.p/<W>]          256 hashes of level 8 L, or the W there are so far
    tile/entries/<N>[.p/<W>]      256 entries, each behind its length in two bytes

Rules
- Tiles are made from the entries, not taken from whoever keeps them: what does not give the signed
  head gets no checkpoint.
- A full tile never changes; a folder is brought up to a newer head without asking for what it has.
- A folder whose head the ledger does not contain is left alone: it proves a second history.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from cellwarden.errors import DecodeError, LedgerError, RangeError, UnavailableError
from cellwarden.trust.keys import write_durably
from cellwarden.trust.ledger import TILE_WIDTH, Checkpoint, NoteKey, Tree, leaf_hash

__all__ = ["Source", "write_tiles"]

_ENTRIES: Final = "entries"
_LONGEST_ENTRY_BYTES: Final = 0xFFFF
_HASH_BYTES: Final = 32


class Source(Protocol):
    """Where the ledger is read from: a running hub or its files."""

    def head(self) -> str:
        """The newest signed head."""
        ...

    def entries(self, start: int, stop: int) -> Sequence[bytes]:
        """Entries in their order."""
        ...


def write_tiles(source: Source, key: NoteKey, folder: Path) -> int:
    """Bring the folder up to the newest head of the ledger; gives how many files were written. [1]

    Raises:
        LedgerError: the entries do not give the head, the head is not signed by this key, or the
            folder holds a head that the ledger does not contain.
        RangeError: an entry is longer than the format can say.
        UnavailableError: the disk does not take it; the old checkpoint stands.
    """
    note = source.head()
    head = Checkpoint.open(note, key)
    before = _head_there(folder, key)
    if before.size > head.size:
        raise _second_history(folder, before)
    tree = _tree_there(folder, before)
    written = 0
    for start in range(tree.size, head.size, TILE_WIDTH):
        entries = _bundle(source, start, min(start + TILE_WIDTH, head.size))
        hashes = [leaf_hash(entry) for entry in entries]
        reach = before.size - start
        if 0 < reach <= len(hashes) and tree.grow(hashes[:reach])[0].root() != before.root:
            raise _second_history(folder, before)
        tree, full = tree.grow(hashes)
        for tile in full:
            _write_full(folder / f"tile/{tile.level}" / _number(tile.index), tile.hashes)
        written += len(full) + _write_entries(folder / "tile" / _ENTRIES, start, entries)
    if tree.root() != head.root:
        raise LedgerError(
            f"{head.size} entries do not give the signed head",
            hint="Run `cellwarden verify`: it names the first bad record.",
        )
    written += _write_partials(folder, tree)
    write_durably(folder / "checkpoint", note.encode())
    return written + 1


def _head_there(folder: Path, key: NoteKey) -> Checkpoint:
    """The head that the folder has; that of an empty ledger where there is none to be read."""
    nothing = Checkpoint(key.name, 0, Tree().root())
    try:
        return Checkpoint.open((folder / "checkpoint").read_text(), key)
    except (FileNotFoundError, UnicodeDecodeError, DecodeError):
        return nothing
    except OSError as error:
        raise UnavailableError(
            f"cannot read {folder}: {error.strerror}", hint="Name a folder that is yours."
        ) from error
    except LedgerError as error:
        raise LedgerError(
            f"{folder} holds another ledger: {error}", hint="Name a new folder for this one."
        ) from error


def _tree_there(folder: Path, head: Checkpoint) -> Tree:
    """The tree before the folder's last bundle, which is to be asked for again and compared.

    Empty where the folder's tiles do not give its head.
    """
    tree = before = Tree()
    try:
        for index in range(-(-head.size // TILE_WIDTH)):
            width = min(TILE_WIDTH, head.size - index * TILE_WIDTH)
            tile = _read_tile(folder / "tile/0" / _number(index), width)
            hashes = [tile[i : i + _HASH_BYTES] for i in range(0, len(tile), _HASH_BYTES)]
            before, (tree, _) = tree, tree.grow(hashes)
    except OSError:
        return Tree()
    return before if tree.size == head.size and tree.root() == head.root else Tree()


def _read_tile(full: Path, width: int) -> bytes:
    partial = _partials(full) / str(width)
    path = partial if width < TILE_WIDTH and partial.exists() else full
    return path.read_bytes()[: width * _HASH_BYTES]


def _bundle(source: Source, start: int, stop: int) -> Sequence[bytes]:
    entries = source.entries(start, stop)
    if len(entries) != stop - start:
        raise LedgerError(
            f"entries {start} to {stop - 1} are not all there",
            hint="Restore the store from a backup.",
        )
    for index, entry in enumerate(entries, start):
        if len(entry) > _LONGEST_ENTRY_BYTES:
            raise RangeError(
                f"entry {index} has {len(entry)} bytes, a bundle takes {_LONGEST_ENTRY_BYTES}",
                hint="Audit this ledger with `cellwarden verify`, which has no such bound.",
            )
    return entries


def _second_history(folder: Path, before: Checkpoint) -> LedgerError:
    return LedgerError(
        f"the head of {before.size} entries in {folder} is signed, but not part of this ledger",
        hint="Keep that folder as evidence and name a new one; ask whether a backup was restored.",
    )


def _write_entries(folder: Path, start: int, entries: Sequence[bytes]) -> int:
    content = b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)
    path = folder / _number(start // TILE_WIDTH)
    if len(entries) == TILE_WIDTH:
        _write_full(path, content)
    else:
        write_durably(_partials(path) / str(len(entries)), content)
    return 1


def _write_full(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        write_durably(path, content)
    shutil.rmtree(_partials(path), ignore_errors=True)  # readers take the full one from now on


def _write_partials(folder: Path, tree: Tree) -> int:
    """The tile of each level that is not full yet."""
    count = 0
    for level, (size, edge) in enumerate(zip(_counts(tree.size), tree.edges, strict=True)):
        if edge:
            path = folder / f"tile/{level}" / _number(size // TILE_WIDTH)
            write_durably(_partials(path) / str(len(edge)), b"".join(edge))
            count += 1
    return count


def _counts(size: int) -> Iterator[int]:
    """How many hashes each level of tiles has."""
    while size:
        yield size
        size //= TILE_WIDTH


def _number(index: int) -> str:
    """1234067 as x001/x234/067."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups))


def _partials(full: Path) -> Path:
    return full.with_name(f"{full.name}.p")
