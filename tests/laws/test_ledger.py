"""The Merkle tree: published roots, proofs against the definition, history that never shrinks."""

import hashlib
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import DataError, LedgerError, TrustError
from cellwarden.hub.ledger import Entry, Ledger
from cellwarden.trust.ledger import (
    EMPTY_ROOT,
    TILE_WIDTH,
    Checkpoint,
    TileReader,
    Tree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from trust.making import NOW, ORIGIN, fleet

REFUSED = (DataError, TrustError)


def leaf(number: int) -> bytes:
    return leaf_hash(number.to_bytes(8, "big"))


def grown(leaves: Sequence[bytes], steps: Sequence[int] = ()) -> tuple[Tree, TileReader]:
    """A tree that grew in these steps, and its tiles."""
    tree, full = Tree(), {}
    borders = [0, *sorted(step for step in steps if step < len(leaves)), len(leaves)]
    for start, stop in pairwise(borders):
        tree, tiles = tree.grow(leaves[start:stop])
        full.update({(tile.level, tile.index): tile.hashes for tile in tiles})
    return tree, tree.reader(lambda level, index: full[level, index])


def defined_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(
        b"\x01" + defined_root(leaves[:split]) + defined_root(leaves[split:])
    ).digest()


def defined_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*defined_path(index, leaves[:split]), defined_root(leaves[split:])]
    return [*defined_path(index - split, leaves[split:]), defined_root(leaves[:split])]


def defined_subproof(old: int, leaves: Sequence[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2, word for word."""
    if old == len(leaves):
        return [] if whole else [defined_root(leaves)]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= split:
        inner = defined_subproof(old, leaves[:split], whole=whole)
        return [*inner, defined_root(leaves[split:])]
    inner = defined_subproof(old - split, leaves[split:], whole=False)
    return [*inner, defined_root(leaves[:split])]


# The eight entries and roots that every implementation of RFC 6962 is tested with; they stand in
# certificate-transparency-go and transparency-dev/merkle (testonly/reference_tree).
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots(size: int) -> None:
    leaves = [leaf_hash(entry) for entry in ENTRIES[:size]]
    assert grown(leaves)[0].root().hex() == ROOTS[size]
    assert root_of(leaves).hex() == ROOTS[size]


# Audit paths and consistency proofs over the same entries, as published with the roots.
PATHS = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_the_published_audit_paths(index: int, size: int) -> None:
    leaves = [leaf_hash(entry) for entry in ENTRIES]
    path = [bytes.fromhex(text) for text in PATHS[index, size]]
    assert inclusion_proof(index, size, grown(leaves)[1]) == path
    verify_inclusion(leaves[index], index, size, path, bytes.fromhex(ROOTS[size]))


CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_the_published_consistency_proofs(old: int, new: int) -> None:
    leaves = [leaf_hash(entry) for entry in ENTRIES]
    proof = [bytes.fromhex(text) for text in CONSISTENCY[old, new]]
    assert consistency_proof(old, new, grown(leaves)[1]) == proof
    verify_consistency(old, new, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]), proof)


def test_every_proof_of_every_small_tree_is_that_of_the_definition() -> None:
    leaves = [leaf(number) for number in range(70)]
    for size in range(71):
        part = leaves[:size]
        tree, tiles = grown(part)
        root = defined_root(part)
        assert tree.root() == root == root_of(part)
        for index in range(size):
            path = inclusion_proof(index, size, tiles)
            assert path == defined_path(index, part)
            verify_inclusion(part[index], index, size, path, root)
        for old in range(1, size + 1):
            proof = consistency_proof(old, size, tiles)
            assert proof == defined_subproof(old, part, whole=True)
            verify_consistency(old, size, defined_root(part[:old]), root, proof)


@cache
def many() -> tuple[list[bytes], Tree, TileReader]:
    leaves = [leaf(number) for number in range(70_000)]
    return leaves, *grown(leaves, range(0, 70_000, 777))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_proofs_hold_in_large_trees_through_all_levels_of_tiles(data: st.DataObject) -> None:
    leaves, _, tiles = many()
    near = st.sampled_from([1, 255, 256, 257, 65_535, 65_536, 65_537, 65_792, 70_000])
    new = data.draw(near | st.integers(1, 70_000))
    old = data.draw(st.integers(1, new) | near.filter(lambda size: size <= new))
    index = data.draw(st.integers(0, new - 1))
    root, old_root = root_of(leaves[:new]), root_of(leaves[:old])
    smaller, tiles = grown_to(new)
    assert smaller.root() == root
    verify_inclusion(leaves[index], index, new, inclusion_proof(index, new, tiles), root)
    verify_consistency(old, new, old_root, root, consistency_proof(old, new, tiles))


def grown_to(size: int) -> tuple[Tree, TileReader]:
    leaves, _, _ = many()
    return grown(leaves[:size], [size // 3])


def mutations(proof: list[bytes]) -> list[list[bytes]]:
    changed = [[*proof, bytes(32)], [bytes(32), *proof], [*proof, b""], [*proof, *proof[-1:]]]
    for place, part in enumerate(proof):
        rest = proof[:place], proof[place + 1 :]
        changed.append([*rest[0], *rest[1]])
        changed.append([*rest[0], part, part, *rest[1]])
        changed.append([*rest[0], part[:-1], *rest[1]])
        changed.append([*rest[0], part + b"\x00", *rest[1]])
        changed.append([*rest[0], b"", *rest[1]])
        changed += [
            [*rest[0], part[:byte] + bytes([part[byte] ^ 1]) + part[byte + 1 :], *rest[1]]
            for byte in (0, 17, 31)
        ]
    changed.append(proof[::-1])
    return [other for other in changed if other != proof]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_every_mutated_inclusion_proof_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    index = data.draw(st.integers(0, size - 1))
    leaves = [leaf(number) for number in range(size)]
    tree, tiles = grown(leaves)
    path, root, mine = inclusion_proof(index, size, tiles), tree.root(), leaves[index]
    attempts: list[tuple[bytes, int, int, list[bytes], bytes]] = [
        (mine, index, size, other, root) for other in mutations(path)
    ]
    attempts += [
        (leaf(size), index, size, path, root),
        (mine, index, size, path, leaf(size)),
        (mine, -1, size, path, root),
        (mine, size, size, path, root),
        (mine, index, 0, path, root),
        (mine, index - size, size, path, root),
    ]
    attempts += [(mine, other, size, path, root) for other in range(size) if other != index]
    for attempt in attempts:
        with pytest.raises(LedgerError):
            verify_inclusion(*attempt)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_every_mutated_consistency_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 300))
    old = data.draw(st.integers(1, new - 1))
    leaves = [leaf(number) for number in range(new)]
    tree, tiles = grown(leaves)
    proof, root, old_root = consistency_proof(old, new, tiles), tree.root(), root_of(leaves[:old])
    attempts: list[tuple[int, int, bytes, bytes, list[bytes]]] = [
        (old, new, old_root, root, other) for other in mutations(proof)
    ]
    attempts += [
        (old, new, leaf(999), root, proof),
        (old, new, old_root, leaf(999), proof),
        (old, new, root, old_root, proof),
        (new, old, root, old_root, proof),
        (-old, new, old_root, root, proof),
        (old, -new, old_root, root, proof),
        (old, old, old_root, root, proof),
        (old, old, old_root, root, []),
        (new, new, old_root, root, []),
        (0, new, old_root, root, []),
        (0, new, EMPTY_ROOT, root, [root]),
        (old, new, old_root, root, []),
    ]
    attempts += [(other, new, old_root, root, proof) for other in range(1, new) if other != old]
    for attempt in attempts:
        with pytest.raises(LedgerError):
            verify_consistency(*attempt)


def test_nothing_is_contained_in_everything() -> None:
    verify_consistency(0, 5, EMPTY_ROOT, leaf(1), [])
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    with pytest.raises(LedgerError):
        verify_consistency(0, 0, EMPTY_ROOT, leaf(1), [])


@pytest.mark.parametrize(("old", "new"), [(5, 4), (-1, 4), (1, 0)])
def test_a_proof_that_cannot_be_is_not_made(old: int, new: int) -> None:
    with pytest.raises(LedgerError):
        consistency_proof(old, new, grown([leaf(0)] * 8)[1])


@pytest.mark.parametrize("index", [-1, 8, 9])
def test_a_leaf_outside_the_tree_has_no_proof(index: int) -> None:
    with pytest.raises(LedgerError):
        inclusion_proof(index, 8, grown([leaf(0)] * 8)[1])


def test_a_tree_without_its_right_edge_has_no_root() -> None:
    with pytest.raises(LedgerError, match="no right edge"):
        Tree(5).root()


def test_a_tile_that_is_cut_short_gives_no_proof() -> None:
    _, tiles = grown([leaf(number) for number in range(300)])
    with pytest.raises(LedgerError, match="cut short"):
        inclusion_proof(3, 300, lambda level, index: tiles(level, index)[:-32])


@given(st.lists(st.integers(1, 400), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_a_tree_is_the_same_however_it_grew(steps: list[int]) -> None:
    leaves = [leaf(number) for number in range(sum(steps))]
    at_once, full = Tree().grow(leaves)
    tree, tiles = Tree(), []
    for step in steps:
        before = (tree.size, tree.edges)
        after, more = tree.grow(leaves[tree.size : tree.size + step])
        assert (tree.size, tree.edges) == before
        tree, tiles = after, tiles + more
    assert tree == at_once
    assert sorted(tiles, key=lambda tile: (tile.level, tile.index)) == sorted(
        full, key=lambda tile: (tile.level, tile.index)
    )
    assert all(len(tile.hashes) == 32 * TILE_WIDTH for tile in full)


# --- the ledger as a hub keeps it -----------------------------------------------------------------


def entries(first: int, count: int) -> list[Entry]:
    return [Entry("batch", "d", f"entry {first + n}".encode()) for n in range(count)]


def test_history_never_shrinks_and_every_head_contains_the_one_before() -> None:
    with TemporaryDirectory() as folder, fleet().store(Path(folder)) as store:
        heads: list[tuple[int, bytes]] = []
        ledgers = [Ledger(store, fleet().ledger_secret, ORIGIN)]

        @given(st.integers(1, 300), st.sampled_from(["keep", "fail", "open anew"]))
        @settings(max_examples=40, deadline=None)
        def law(count: int, end: str) -> None:
            ledger = ledgers[-1]
            before = ledger.head()
            try:
                with ledger.appending(entries(before[0].size, count), NOW):
                    if end == "fail":
                        raise InterruptedError  # noqa: TRY301  the caller's own rows failed
            except InterruptedError:
                assert ledger.head() == before
                assert store.rows("SELECT count(*) FROM leaf") == [(before[0].size,)]
            if end == "open anew":
                ledgers.append(Ledger(store, fleet().ledger_secret, ORIGIN))
            now, signed = ledgers[-1].head()
            root = Checkpoint.open(signed, fleet().note_key).root
            assert (now.size, now.root()) == (ledger.head()[0].size, root)
            assert now.size >= before[0].size
            for size, old in heads[-5:]:
                proof = ledgers[-1].consistency(size, now)
                verify_consistency(size, now.size, old, root, proof)
            heads.append((now.size, root))

        law()
        size, root = heads[-1]
        found = store.rows("SELECT entry FROM leaf ORDER BY leaf_index")
        assert len(found) == size
        assert root_of([leaf_hash(bytes(row[0])) for row in found]) == root
        tree = ledgers[-1].head()[0]
        for index in np.random.default_rng(0).integers(0, size, 50):
            path = ledgers[-1].inclusion(int(index), tree)
            verify_inclusion(leaf_hash(bytes(found[index][0])), int(index), size, path, root)


TAMPER = {
    "a leaf's hash": "UPDATE leaf SET hash = (SELECT hash FROM leaf WHERE leaf_index = 0)"
    " WHERE leaf_index = 301",
    "a tile": "UPDATE tile SET hashes = hashes[:-33] || hashes[-64:-32] WHERE level = 0",
    "the newest leaf gone": "DELETE FROM leaf WHERE leaf_index = 304",
    "a tile gone": "DELETE FROM tile",
    "the root": "UPDATE checkpoint SET root = (SELECT hash FROM leaf LIMIT 1)",
    "the note": "UPDATE checkpoint SET note = replace(note, chr(10) || '305' || chr(10),"
    " chr(10) || '306' || chr(10))",
    "the size": "UPDATE checkpoint SET size = 304 WHERE size = 305",
    "an older note under the newest head": "UPDATE checkpoint SET note ="
    " (SELECT note FROM checkpoint ORDER BY size LIMIT 1)",
}


@pytest.mark.parametrize("name", TAMPER)
def test_a_ledger_whose_rows_were_changed_is_not_taken_up(tmp_path: Path, name: str) -> None:
    with fleet().store(tmp_path) as store:
        ledger = Ledger(store, fleet().ledger_secret, ORIGIN)
        for first, count in ((0, 300), (300, 5)):
            with ledger.appending(entries(first, count), NOW):
                pass
        Ledger(store, fleet().ledger_secret, ORIGIN)
        with store.transaction():
            store.execute(TAMPER[name])
        with pytest.raises(REFUSED):
            Ledger(store, fleet().ledger_secret, ORIGIN)


def test_a_rewritten_history_is_not_signed_for_whoever_lacks_the_ledgers_key(
    tmp_path: Path,
) -> None:
    # Whoever has the store's key alone can make rows, hashes and a root that agree with each
    # other; the hub must not take them up and sign them with its next head.
    with fleet().store(tmp_path) as store:
        ledger = Ledger(store, fleet().ledger_secret, ORIGIN)
        with ledger.appending(entries(0, 5), NOW):
            pass
        lie = b"entry that never was"
        found = [bytes(row[0]) for row in store.rows("SELECT hash FROM leaf ORDER BY leaf_index")]
        found[2] = leaf_hash(lie)
        with store.transaction():
            store.execute(
                "UPDATE leaf SET entry = ?, hash = ? WHERE leaf_index = 2", [lie, found[2]]
            )
            store.execute("UPDATE checkpoint SET root = ?", [root_of(found)])
        with pytest.raises(LedgerError):
            Ledger(store, fleet().ledger_secret, ORIGIN)


def test_a_ledger_is_not_taken_up_under_another_key(tmp_path: Path) -> None:
    with fleet().store(tmp_path) as store:
        ledger = Ledger(store, fleet().ledger_secret, ORIGIN)
        with ledger.appending(entries(0, 1), NOW):
            pass
        with pytest.raises(LedgerError):
            Ledger(store, ed25519.Ed25519PrivateKey.generate(), ORIGIN)
        with pytest.raises(LedgerError):
            Ledger(store, fleet().ledger_secret, "another.example")


def test_a_proof_over_a_tile_that_is_gone_is_not_made(tmp_path: Path) -> None:
    with fleet().store(tmp_path) as store:
        ledger = Ledger(store, fleet().ledger_secret, ORIGIN)
        with ledger.appending(entries(0, 300), NOW):
            pass
        with store.transaction():
            store.execute("DELETE FROM tile")
        with pytest.raises(LedgerError, match="is missing"):
            ledger.inclusion(3, ledger.head()[0])
