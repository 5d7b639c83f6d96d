"""The ledger as the hub keeps it: leaves, tiles and heads are rows beside the data they prove."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ed25519

from cellwarden.errors import LedgerError
from cellwarden.hub.store import Store
from cellwarden.trust.ledger import (
    TILE_WIDTH,
    Checkpoint,
    NoteKey,
    TileReader,
    Tree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    sign_checkpoint,
)

__all__ = ["Entry", "Grown", "Ledger", "tiles_of"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that is to be provable: a batch, an enrolment, a verdict."""

    kind: str
    device: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Grown:
    """The ledger after an append that may yet be rolled back."""

    first_index: int
    tree: Tree
    note: str
    fresh: dict[tuple[int, int], bytes] = field(default_factory=dict)


class Ledger:
    """Appends in the caller's transaction; one head is signed for each."""

    def __init__(
        self,
        store: Store,
        key: ed25519.Ed25519PrivateKey,
        origin: str,
        *,
        may_write: Callable[[int], None] = lambda _size: None,
    ) -> None:
        """Take up the ledger where it ends.

        `may_write` is asked before each commit, with the size of the tree that is about to grow,
        and raises where somebody else writes the ledger.

        Raises:
            LedgerError: the rows do not give the head that was signed.
        """
        self._store = store
        self._key = key
        self._may_write = may_write
        self.origin = origin
        self.note_key = NoteKey.of(origin, key)
        self._lock = threading.Lock()
        self._full = lru_cache(maxsize=4096)(self._read_tile)
        self.tree, self.note = self._take_up()

    @contextmanager
    def appending(self, entries: Sequence[Entry], now: float) -> Iterator[Grown]:
        """One transaction: leaves, tiles and head, and whatever the caller writes beside them.

        When it is on disk it is the ledger; if anything fails, nothing has happened.
        """
        with self._store.alone():
            with self._store.transaction():
                grown = self._write(entries, now)
                yield grown
                self._may_write(self.tree.size)
            with self._lock:
                self.tree, self.note = grown.tree, grown.note

    def _write(self, entries: Sequence[Entry], now: float) -> Grown:
        hashes = [leaf_hash(entry.content) for entry in entries]
        tree, full = self.tree.grow(hashes)
        first = self.tree.size
        self._store.insert(
            "leaf",
            {
                "leaf_index": list(range(first, tree.size)),
                "kind": [entry.kind for entry in entries],
                "device": [entry.device for entry in entries],
                "hash": hashes,
                "entry": [entry.content for entry in entries],
            },
        )
        if full:
            self._store.insert(
                "tile",
                {
                    "level": [tile.level for tile in full],
                    "index": [tile.index for tile in full],
                    "hashes": [tile.hashes for tile in full],
                },
            )
        note = self._write_head(tree, now)
        return Grown(first, tree, note, {(tile.level, tile.index): tile.hashes for tile in full})

    def head(self) -> tuple[Tree, str]:
        """Tree and signed head that belong together."""
        with self._lock:
            return self.tree, self.note

    def inclusion(self, index: int, tree: Tree) -> list[bytes]:
        """Proof that a leaf is in a tree."""
        return inclusion_proof(index, tree.size, self.tiles(tree))

    def inclusion_in(self, index: int, grown: Grown) -> list[bytes]:
        """Proof that a leaf is in the tree of an append that is not on disk yet."""

        def full(level: int, number: int) -> bytes:
            return grown.fresh.get((level, number)) or self._full(level, number)

        return inclusion_proof(index, grown.tree.size, grown.tree.reader(full))

    def consistency(self, old: int, tree: Tree) -> list[bytes]:
        """Proof that a smaller tree is the beginning of this one."""
        return consistency_proof(old, tree.size, self.tiles(tree))

    def tiles(self, tree: Tree) -> TileReader:
        """Tiles of a tree of this ledger."""
        return tree.reader(self._full)

    def _write_head(self, tree: Tree, now: float) -> str:
        root = tree.root()
        note = sign_checkpoint(Checkpoint(self.origin, tree.size, root), self._key)
        self._store.add("checkpoint", size=tree.size, root=root, note=note, unix_time_second=now)
        return note

    def _read_tile(self, level: int, index: int) -> bytes:
        found = self._store.rows(
            "SELECT hashes FROM tile WHERE level = ? AND index = ?", [level, index]
        )
        if not found:
            raise LedgerError(
                f"tile {level}/{index} is missing", hint="Restore the store from a backup."
            )
        return bytes(found[0][0])

    def _take_up(self) -> tuple[Tree, str]:
        heads = self._store.rows(
            "SELECT size, root, note FROM checkpoint ORDER BY size DESC LIMIT 1"
        )
        if not heads:
            return Tree(), sign_checkpoint(Checkpoint(self.origin, 0, Tree().root()), self._key)
        size, root, note = heads[0]
        head = Checkpoint.open(note, self.note_key)
        tree = tiles_of(self._store, size)
        # The signed note counts; the columns beside it are there for queries.
        if head != Checkpoint(self.origin, size, bytes(root)) or head.root != tree.root():
            raise LedgerError(
                f"the ledger's rows do not give the head that was signed at size {size}",
                hint="Do not go on with this store: keep it as evidence, restore a backup.",
            )
        return tree, str(note)


def tiles_of(store: Store, size: int) -> Tree:
    """The tree's right edge, from full tiles and the newest leaves."""
    edges: list[tuple[bytes, ...]] = []
    level, count = 0, size
    while count:
        start = count - count % TILE_WIDTH
        if level == 0:
            found = store.rows(
                "SELECT hash FROM leaf WHERE leaf_index >= ? AND leaf_index < ?"
                " ORDER BY leaf_index",
                [start, count],
            )
            edges.append(tuple(bytes(row[0]) for row in found))
        else:
            below = store.rows(
                "SELECT hashes FROM tile WHERE level = ? AND index >= ? AND index < ?"
                " ORDER BY index",
                [level - 1, start, count],
            )
            edges.append(tuple(_tile_root(bytes(row[0])) for row in below))
        level, count = level + 1, count // TILE_WIDTH
    return Tree(size, tuple(edges))


def _tile_root(hashes: bytes) -> bytes:
    tree, _ = Tree().grow([hashes[i : i + 32] for i in range(0, len(hashes), 32)])
    return tree.root()
