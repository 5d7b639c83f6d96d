"""A Merkle tree of everything accepted, as Certificate Transparency logs keep it.

Rules
- Hashes are those of RFC 6962: a leaf is SHA-256(0x00 || entry), a node SHA-256(0x01 || l || r).
- Nodes are kept as C2SP tlog-tiles: tile (L, n) holds the 256 hashes of tree level 8 L from 256 n.
- A head is a C2SP checkpoint: origin, size and root in a note signed with Ed25519.
- Growing is pure: `Tree.grow` gives a new tree and the tiles that have become full.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from cellwarden.errors import DecodeError, LedgerError

__all__ = [
    "EMPTY_ROOT",
    "TILE_WIDTH",
    "Checkpoint",
    "NoteKey",
    "Tile",
    "TileReader",
    "Tree",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "root_of",
    "sign_checkpoint",
    "verify_consistency",
    "verify_inclusion",
]

TILE_WIDTH: Final = 256
_TILE_HEIGHT: Final = 8
_HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

TileReader = Callable[[int, int], bytes]
"""Hashes of tile (level, index), joined; a tile that is not full yet may be cut short."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash of an entry of the ledger."""
    return hashlib.sha256(b"\x00" + entry).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Tile:
    """A full tile, never to change again."""

    level: int
    index: int
    hashes: bytes


@dataclass(frozen=True, slots=True)
class Tree:
    """Size of the tree and, per tile level, the hashes of the tile that is not full yet."""

    size: int = 0
    edges: tuple[tuple[bytes, ...], ...] = ()

    def grow(self, leaves: Sequence[bytes]) -> tuple["Tree", list[Tile]]:
        """The tree with these leaf hashes behind its own, and the tiles that became full."""
        edges = [list(edge) for edge in self.edges]
        full: list[Tile] = []
        pending, level, size = list(leaves), 0, self.size
        first = size
        while pending:
            if level == len(edges):
                edges.append([])
            edge = edges[level]
            upward: list[bytes] = []
            index = (first - len(edge)) // TILE_WIDTH
            edge.extend(pending)
            while len(edge) >= TILE_WIDTH:
                hashes = edge[:TILE_WIDTH]
                del edge[:TILE_WIDTH]
                full.append(Tile(level, index, b"".join(hashes)))
                upward.append(_fold(hashes))
                index += 1
            pending, first, level = upward, first // TILE_WIDTH, level + 1
        return Tree(size + len(leaves), tuple(tuple(edge) for edge in edges)), full

    def root(self) -> bytes:
        """Root hash of the tree."""
        if self.size == 0:
            return EMPTY_ROOT
        root: bytes | None = None
        for edge in self.edges:
            # Right to left: what is below joins on the right of this level's own hashes.
            parts = list(edge) if root is None else [*edge, root]
            root = _ragged(parts) if parts else None
        if root is None:
            raise LedgerError("the tree has no right edge", hint="Rebuild it from the leaves.")
        return root

    def reader(self, full: TileReader) -> TileReader:
        """Reads full tiles through `full` and the tiles that are not full from this tree."""

        def read(level: int, index: int) -> bytes:
            done = (self.size >> (_TILE_HEIGHT * level)) // TILE_WIDTH
            if index < done:
                return full(level, index)
            return b"".join(self.edges[level]) if level < len(self.edges) else b""

        return read


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root hash over leaf hashes; the short definition that `Tree` is tested against."""
    return _ragged(list(leaves)) if leaves else EMPTY_ROOT


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Root over a power of two of hashes."""
    row = list(hashes)
    while len(row) > 1:
        row = [_node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def _ragged(hashes: Sequence[bytes]) -> bytes:
    """Root over any number of hashes; an odd one out rises as it is, as RFC 6962 has it."""
    row = list(hashes)
    while len(row) > 1:
        raised = [_node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        if len(row) % 2:
            raised.append(row[-1])
        row = raised
    return row[0]


def _node(level: int, index: int, tiles: TileReader) -> bytes:
    """The complete node at a level of the binary tree, out of its tile."""
    tile_level, inside = divmod(level, _TILE_HEIGHT)
    first = index << inside
    tile = tiles(tile_level, first // TILE_WIDTH)
    start = (first % TILE_WIDTH) * _HASH_BYTES
    stop = start + (1 << inside) * _HASH_BYTES
    if len(tile) < stop:
        raise LedgerError(
            f"tile {tile_level}/{first // TILE_WIDTH} is cut short",
            hint="Rebuild the tiles from the leaves.",
        )
    return _fold([tile[i : i + _HASH_BYTES] for i in range(start, stop, _HASH_BYTES)])


def _range_hash(low: int, high: int, tiles: TileReader) -> bytes:
    """Hash over leaves low..high-1, low a multiple of the next power of two."""
    width = high - low
    if width & (width - 1) == 0 and low % width == 0:
        return _node(width.bit_length() - 1, low // width, tiles)
    split = low + _split(width)
    return _node_hash(_range_hash(low, split, tiles), _range_hash(split, high, tiles))


def _split(width: int) -> int:
    """The largest power of two smaller than the width."""
    return 1 << ((width - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, tiles: TileReader) -> list[bytes]:
    """Audit path of a leaf (RFC 6962, section 2.1.1), from the leaf up."""
    if not 0 <= index < size:
        raise LedgerError(f"leaf {index} is not in a tree of {size}", hint="Ask for less.")
    proof: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        split = low + _split(high - low)
        if index < split:
            proof.append(_range_hash(split, high, tiles))
            high = split
        else:
            proof.append(_range_hash(low, split, tiles))
            low = split
    return proof[::-1]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check an audit path (RFC 9162, section 2.1.3.2).

    Raises:
        LedgerError: the leaf is not where the proof says.
    """
    bad = LedgerError(
        f"leaf {index} is not proved to be in the tree of {size}", hint="Do not believe it."
    )
    if not 0 <= index < size:
        raise bad
    position, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise bad
        if position & 1 or position == last:
            current = _node_hash(sibling, current)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            current = _node_hash(current, sibling)
        position >>= 1
        last >>= 1
    if last != 0 or current != root:
        raise bad


def consistency_proof(old: int, new: int, tiles: TileReader) -> list[bytes]:
    """Proof that the tree of `old` leaves is the beginning of that of `new` (RFC 6962, 2.1.2)."""
    if not 0 <= old <= new:
        raise LedgerError(f"{old} leaves cannot begin {new}", hint="The newer tree is larger.")
    if old in (0, new):
        return []
    return _subproof(old, 0, new, tiles, whole=True)


def _subproof(old: int, low: int, high: int, tiles: TileReader, *, whole: bool) -> list[bytes]:
    if old == high - low:
        return [] if whole else [_range_hash(low, high, tiles)]
    split = _split(high - low)
    if old <= split:
        inner = _subproof(old, low, low + split, tiles, whole=whole)
        return [*inner, _range_hash(low + split, high, tiles)]
    inner = _subproof(old - split, low + split, high, tiles, whole=False)
    return [*inner, _range_hash(low, low + split, tiles)]


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that nothing of the old tree was changed or dropped (RFC 9162, section 2.1.4.2).

    Raises:
        LedgerError: history was rewritten, or cannot be shown not to have been.
    """
    bad = LedgerError(
        f"the ledger of {new} entries does not contain the one of {old} that was seen before",
        hint="History was rewritten; keep both heads as evidence.",
    )
    if old in (0, new):
        if proof or old_root != (new_root if old == new else EMPTY_ROOT):
            raise bad
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if old > new or not path:
        raise bad
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise bad
        if position & 1 or position == last:
            first, second = _node_hash(sibling, first), _node_hash(sibling, second)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            second = _node_hash(second, sibling)
        position >>= 1
        last >>= 1
    if last != 0 or first != old_root or second != new_root:
        raise bad


# --- heads: C2SP signed notes ------------------------------------------------------------------

_ED25519_NOTE: Final = 0x01
_NAME: Final = re.compile(r"[^\s+]{1,200}")


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A verifier key in the text form of signed notes: `name+id+base64(type || key)`."""

    name: str
    public: bytes

    def identifier(self) -> bytes:
        """The four bytes that lead a signature."""
        stem = self.name.encode() + b"\n" + bytes([_ED25519_NOTE]) + self.public
        return hashlib.sha256(stem).digest()[:4]

    def text(self) -> str:
        """The key as a line of text."""
        encoded = base64.b64encode(bytes([_ED25519_NOTE]) + self.public).decode()
        return f"{self.name}+{self.identifier().hex()}+{encoded}"

    @staticmethod
    def of(name: str, key: ed25519.Ed25519PrivateKey) -> "NoteKey":
        """The public half of a signing key."""
        return NoteKey(name, key.public_key().public_bytes_raw())

    @staticmethod
    def parse(text: str) -> "NoteKey":
        """From its line of text.

        Raises:
            DecodeError: not such a line, or its parts contradict each other.
        """
        bad = DecodeError("not a ledger key", hint="It looks like name+8 hex digits+base64.")
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not _NAME.fullmatch(parts[0]):  # noqa: PLR2004  name, id, key
            raise bad
        try:
            decoded = base64.b64decode(parts[2], validate=True)
            key = NoteKey(parts[0], decoded[1:])
            identifier = key.identifier().hex()
        except ValueError as error:
            raise bad from error
        if len(decoded) != _HASH_BYTES + 1 or decoded[0] != _ED25519_NOTE:
            raise bad
        if identifier != parts[1]:
            raise bad
        return key


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a ledger: who keeps it, how many entries, root over them."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @staticmethod
    def open(note: str, key: NoteKey) -> "Checkpoint":
        """A head, if the note carries this key's signature.

        Raises:
            DecodeError: not a checkpoint.
            LedgerError: not signed by this key, or the head of another ledger.
        """
        body, separator, tail = note.partition("\n\n")
        lines = body.split("\n")
        if not separator or len(lines) < 3:  # noqa: PLR2004  origin, size, root
            raise _no_checkpoint()
        try:
            size, root = int(lines[1]), base64.b64decode(lines[2], validate=True)
            signed = (body + "\n").encode()
        except ValueError as error:
            raise _no_checkpoint() from error
        if str(size) != lines[1] or size < 0 or len(root) != _HASH_BYTES:
            raise _no_checkpoint()
        _check_note(signed, tail, key)
        if lines[0] != key.name:
            raise LedgerError(
                f"the head is that of {lines[0]}, not of {key.name}",
                hint="Take the head of the right ledger.",
            )
        return Checkpoint(lines[0], size, root)


def sign_checkpoint(head: Checkpoint, key: ed25519.Ed25519PrivateKey) -> str:
    """The head as a signed note."""
    body = head.body()
    signature = NoteKey.of(head.origin, key).identifier() + key.sign(body.encode())
    return f"{body}\n\u2014 {head.origin} {base64.b64encode(signature).decode()}\n"


def _check_note(body: bytes, tail: str, key: NoteKey) -> None:
    for name, signature in _signatures(tail):
        if name == key.name and signature[:4] == key.identifier():
            try:
                public = ed25519.Ed25519PublicKey.from_public_bytes(key.public)
                public.verify(signature[4:], body)
            except InvalidSignature:
                continue
            return
    raise LedgerError(
        f"the head is not signed by {key.name}", hint="Do not believe this ledger; ask its owner."
    )


def _signatures(tail: str) -> list[tuple[str, bytes]]:
    """Name and signature of each line below a note; nothing else may stand there."""
    *lines, end = tail.split("\n")
    found = []
    for line in lines:
        match line.split(" "):
            case ["\u2014", name, encoded]:
                try:
                    signature = base64.b64decode(encoded, validate=True)
                except ValueError as error:
                    raise _no_checkpoint() from error
                if base64.b64encode(signature).decode() != encoded:
                    raise _no_checkpoint()
                found.append((name, signature))
            case _:
                raise _no_checkpoint()
    if end:
        raise _no_checkpoint()
    return found


def _no_checkpoint() -> DecodeError:
    return DecodeError("not a checkpoint", hint="Take it from the hub again.")
