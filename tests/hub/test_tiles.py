"""The ledger as files: what the format asks for, in the right order, rebuilt at any time."""

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from cellwarden.errors import LedgerError, RangeError
from cellwarden.hub.audit import StoreView
from cellwarden.hub.ledger import Entry, Ledger
from cellwarden.hub.store import Store
from cellwarden.hub.tiles import _number, write_tiles
from cellwarden.trust.ledger import (
    Checkpoint,
    NoteKey,
    Tree,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_inclusion,
)
from trust.making import NOW, ORIGIN, fleet


def entry(number: int) -> bytes:
    return b"entry %d" % number


def grow(ledger: Ledger, size: int) -> None:
    """Append entries until there are so many."""
    told = [Entry("batch", "d", entry(n)) for n in range(ledger.tree.size, size)]
    with ledger.appending(told, NOW):
        pass


def open_ledger(store: Store) -> Ledger:
    return Ledger(store, fleet().ledger_secret, ORIGIN)


def project(store: Store, folder: Path, key: NoteKey | None = None) -> int:
    return write_tiles(StoreView(store), key or fleet().note_key, folder)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def path_of(level: int | str, index: int) -> str:
    """As the specification writes it, in another way than the code does."""
    digits = f"{index:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[n : n + 3] for n in range(0, len(digits), 3)]
    return f"tile/{level}/" + "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def read_entries(folder: Path, size: int) -> list[bytes]:
    """All entries, as a reader of the format finds them."""
    found: list[bytes] = []
    for index in range(-(-size // 256)):
        width = min(256, size - 256 * index)
        path = folder / path_of("entries", index)
        content = (
            path if width == 256 else path.with_name(f"{path.name}.p") / str(width)
        ).read_bytes()
        count = 0
        while content:
            length = int.from_bytes(content[:2], "big")
            found.append(content[2 : 2 + length])
            content, count = content[2 + length :], count + 1
        assert count == width
    return found


def check(folder: Path, size: int) -> None:
    """Head, entries and a proof out of the files alone."""
    head = Checkpoint.open((folder / "checkpoint").read_text(), fleet().note_key)
    assert head.size == size
    told = read_entries(folder, size)
    assert told == [entry(n) for n in range(size)]
    assert root_of([leaf_hash(one) for one in told]) == head.root

    def tiles(level: int, index: int) -> bytes:
        path = folder / path_of(level, index)
        if path.exists():
            return path.read_bytes()
        width = (size >> 8 * level) % 256
        return (path.with_name(f"{path.name}.p") / str(width)).read_bytes()

    for index in {0, size // 2, size - 1}:
        proof = inclusion_proof(index, size, tiles)
        verify_inclusion(leaf_hash(entry(index)), index, size, proof, head.root)


def _files_of(size: int) -> set[str]:
    """Which files there must be for a tree of this size, and no others."""
    found, level, count = {"checkpoint"}, 0, size
    while count:
        for kind in [level, "entries"] if level == 0 else [level]:
            found |= {path_of(kind, index) for index in range(count // 256)}
            if count % 256:
                found.add(f"{path_of(kind, count // 256)}.p/{count % 256}")
        level, count = level + 1, count // 256
    return found


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513])
def test_a_ledger_of_any_size_is_read_from_its_files(tmp_path: Path, size: int) -> None:
    folder = tmp_path / "tiles"
    with fleet().store(tmp_path) as store:
        ledger = open_ledger(store)
        grow(ledger, size)
        assert project(store, folder) == len(_files_of(size))
    assert set(files(folder)) == _files_of(size)
    check(folder, size)


def test_the_third_level_of_tiles_begins_in_its_time(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    with fleet().store(tmp_path) as store:
        ledger = open_ledger(store)
        for size in (65_535, 65_536, 65_537):
            grow(ledger, size)
            project(store, folder)
            assert set(files(folder)) == _files_of(size)
    check(folder, 65_537)


def test_a_folder_is_brought_up_to_date_without_touching_what_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    with fleet().store(tmp_path) as store:
        ledger = open_ledger(store)
        before: dict[str, int] = {}
        for size, written in ((300, 6), (300, 4), (301, 4), (520, 6), (768, 4)):
            if size > ledger.tree.size:
                grow(ledger, size)
            assert project(store, folder) == written, size
            check(folder, size)
            now = {name: (folder / name).stat().st_ino for name in files(folder)}
            for name, inode in before.items():
                if name[-3:].isdecimal() and ".p/" not in name and not name.startswith("tile/1"):
                    assert now[name] == inode
            before = now
    told = set(files(folder))
    assert told >= _files_of(768)
    assert {name for name in told if name.startswith(("tile/0/", "tile/entries/"))} == {
        name for name in _files_of(768) if not name.startswith(("tile/1/", "checkpoint"))
    }


def test_a_reader_of_an_older_head_still_finds_its_partial_tile(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    with fleet().store(tmp_path) as store:
        ledger = open_ledger(store)
        for size in (10, 20):
            grow(ledger, size)
            project(store, folder)
    told = files(folder)
    assert told["tile/0/000.p/20"].startswith(told["tile/0/000.p/10"])
    assert told["tile/entries/000.p/20"].startswith(told["tile/entries/000.p/10"])


def test_a_folder_that_was_deleted_comes_back_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    with fleet().store(tmp_path) as store:
        ledger = open_ledger(store)
        grow(ledger, 600)
        project(store, folder)
        told = files(folder)
        shutil.rmtree(folder)
        project(store, folder)
    assert files(folder) == told


def another_ledger(folder: Path, target: Path, size: int) -> None:
    """Tiles of a ledger under the same key with other entries: as before a backup came back."""
    folder.mkdir()
    with fleet().store(folder) as store:
        ledger = open_ledger(store)
        with ledger.appending([Entry("batch", "d", b"other %d" % n) for n in range(size)], NOW):
            pass
        project(store, target)


@pytest.mark.parametrize("size", [100, 256, 400, 512, 600, 700])
def test_a_folder_that_proves_another_history_is_left_as_it_is(tmp_path: Path, size: int) -> None:
    folder = tmp_path / "tiles"
    another_ledger(tmp_path / "other", folder, size)
    told = files(folder)
    with fleet().store(tmp_path) as store:
        grow(open_ledger(store), 600)
        with pytest.raises(LedgerError, match=f"{size} entries .* not part of this ledger"):
            project(store, folder)
        assert files(folder) == told
        (folder / "tile/0").rename(folder / "mislaid")  # nothing to take up from
        with pytest.raises(LedgerError):
            project(store, folder)
    assert files(folder)["checkpoint"] == told["checkpoint"]


@pytest.mark.parametrize("text", [b"", b"nonsense", b"\xff\xfe", None])
def test_a_folder_whose_head_is_spoilt_is_written_anew(tmp_path: Path, text: bytes | None) -> None:
    folder = tmp_path / "tiles"
    another_ledger(tmp_path / "other", folder, 400)
    if text is None:
        (folder / "checkpoint").unlink()
    else:
        (folder / "checkpoint").write_bytes(text)
    with fleet().store(tmp_path) as store:
        ledger = open_ledger(store)
        grow(ledger, 600)
        project(store, folder)
    check(folder, 600)


def test_a_tile_that_was_spoilt_is_not_built_upon(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    with fleet().store(tmp_path) as store:
        ledger = open_ledger(store)
        grow(ledger, 300)
        project(store, folder)
        (folder / "tile/0/000").write_bytes(bytes(8192))
        grow(ledger, 301)
        project(store, folder)
    check(folder, 301)


def test_a_full_tile_written_before_a_power_loss_serves_the_older_head(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    with fleet().store(tmp_path) as store:
        ledger = open_ledger(store)
        grow(ledger, 250)
        project(store, folder)
        old = (folder / "checkpoint").read_bytes()
        grow(ledger, 300)
        project(store, folder)
        (folder / "checkpoint").write_bytes(old)
        project(store, folder)
    check(folder, 300)


def test_a_head_or_a_folder_under_another_key_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    other = NoteKey.of(ORIGIN, ed25519.Ed25519PrivateKey.generate())
    with fleet().store(tmp_path) as store:
        grow(open_ledger(store), 3)
        with pytest.raises(LedgerError):
            project(store, folder, other)
        assert not folder.exists()
        project(store, folder)
        note = (folder / "checkpoint").read_text()
        (folder / "checkpoint").write_text(note[:-5] + "AAA=\n")
        with pytest.raises(LedgerError, match="holds another ledger"):
            project(store, folder)


FAULTS = {
    "a leaf is missing": "DELETE FROM leaf WHERE leaf_index = 300",
    "a leaf was changed": "UPDATE leaf SET entry = 'x'::BLOB WHERE leaf_index = 300",
    "a leaf that the folder has was changed": (
        "UPDATE leaf SET entry = 'x'::BLOB WHERE leaf_index = 199"
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_written_leaves_the_old_head_standing(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "tiles"
    with fleet().store(tmp_path) as store:
        ledger = open_ledger(store)
        grow(ledger, 200)
        project(store, folder)
        grow(ledger, 600)
        with store.transaction():
            store.execute(FAULTS[name])
        with pytest.raises(LedgerError):
            project(store, folder)
    head = Checkpoint.open((folder / "checkpoint").read_text(), fleet().note_key)
    assert head.size == 200


def test_an_entry_that_the_format_cannot_say_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"
    with fleet().store(tmp_path) as store:
        ledger = open_ledger(store)
        for length in (65_535, 65_536):
            with ledger.appending([Entry("verdict", "d", bytes(length))], NOW):
                pass
            if length == 65_535:
                project(store, folder)
        with pytest.raises(RangeError, match="entry 1 has 65536 bytes"):
            project(store, folder)
    assert Checkpoint.open((folder / "checkpoint").read_text(), fleet().note_key).size == 1


def test_an_empty_ledger_is_a_head_alone(tmp_path: Path) -> None:
    folder = tmp_path / "tiles"

    class Empty:
        def head(self) -> str:
            return note

        def entries(self, start: int, stop: int) -> list[bytes]:
            raise AssertionError((start, stop))

    with fleet().store(tmp_path) as store:
        tree, note = open_ledger(store).head()
        assert tree == Tree()
    assert write_tiles(Empty(), fleet().note_key, folder) == 1
    assert set(files(folder)) == {"checkpoint"}


def test_numbers_become_paths_of_three_digits() -> None:
    for number, path in ((0, "000"), (67, "067"), (1000, "x001/000"), (1234067, "x001/x234/067")):
        assert path_of(0, number) == f"tile/0/{path}"
        assert _number(number) == path
