"""Keys on disk: wrapped, owned by one, whole or not there; real faults of real file systems."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwarden.errors import SealError, UnavailableError, UsageError
from cellwarden.trust.keys import FileKeyStore, KeyStore, MemoryKeyStore, write_durably

SECRET = bytes(range(32))


def in_folder(folder: Path) -> FileKeyStore:
    return FileKeyStore.create(folder / "keys")


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    return in_folder(tmp_path) if request.param == "file" else MemoryKeyStore()


def test_a_secret_comes_back_and_is_never_overwritten(store: KeyStore) -> None:
    assert not store.has("seal")
    store.put("seal", SECRET)
    assert store.has("seal")
    assert store.get("seal") == SECRET
    with pytest.raises(UsageError):
        store.put("seal", bytes(32))
    assert store.get("seal") == SECRET
    with pytest.raises(UsageError):
        store.get("ledger")


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=50, deadline=None)
def test_any_secret_comes_back(tmp_path_factory: pytest.TempPathFactory, secret: bytes) -> None:
    store = in_folder(tmp_path_factory.mktemp("any"))
    store.put("any", secret)
    assert store.get("any") == secret


def test_secrets_lie_wrapped_in_files_that_only_their_owner_reads(tmp_path: Path) -> None:
    os.umask(0o022)
    in_folder(tmp_path).put("seal", SECRET)
    folder = tmp_path / "keys"
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("master.key", "seal.wrapped"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
        assert SECRET not in (folder / name).read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["master.key", "seal.wrapped"]


def test_a_copy_without_its_master_key_opens_nothing(tmp_path: Path) -> None:
    store = FileKeyStore.create(tmp_path / "keys", tmp_path / "elsewhere" / "master.key")
    store.put("seal", SECRET)
    shutil.copytree(tmp_path / "keys", tmp_path / "copy")
    with pytest.raises(UsageError, match="missing"):
        FileKeyStore(tmp_path / "copy").get("seal")
    thief = FileKeyStore.create(tmp_path / "thief")
    shutil.copy(tmp_path / "keys" / "seal.wrapped", tmp_path / "thief")
    with pytest.raises(SealError):
        thief.get("seal")
    assert FileKeyStore(tmp_path / "copy", tmp_path / "elsewhere" / "master.key").get("seal")


def test_a_master_key_is_never_made_anew_over_another(tmp_path: Path) -> None:
    in_folder(tmp_path)
    with pytest.raises(UsageError):
        in_folder(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_master_key_that_others_may_touch_is_not_used(tmp_path: Path, mode: int) -> None:
    store = in_folder(tmp_path)
    store.put("seal", SECRET)
    (tmp_path / "keys" / "master.key").chmod(mode)
    for use in (lambda: store.get("seal"), lambda: store.put("other", SECRET)):
        with pytest.raises(UsageError, match="others can read"):
            use()
    assert not store.has("other")


@pytest.mark.parametrize("name", ["../seal", "a/b", "", "Seal", ".seal", "seal.wrapped", "-seal"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    store = in_folder(tmp_path)
    for use in (store.get, store.has, lambda name: store.put(name, SECRET)):
        with pytest.raises(UsageError):
            use(name)


@pytest.mark.parametrize("file", ["master.key", "seal.wrapped"])
@given(place=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, file: str, place: int
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    store = in_folder(folder)
    store.put("seal", SECRET)
    path = folder / "keys" / file
    data = bytearray(path.read_bytes())
    data[place // 8 % len(data)] ^= 1 << place % 8
    path.write_bytes(data)
    with pytest.raises(SealError):
        store.get("seal")


@pytest.mark.parametrize("kept", [0, 1, 8, 16, 24, 31])
def test_half_a_master_key_is_noticed_in_reading_and_writing(tmp_path: Path, kept: int) -> None:
    # 16 and 24 bytes are AES keys too, of weaker kinds: they must not pass for one of ours.
    store = in_folder(tmp_path)
    store.put("seal", SECRET)
    path = tmp_path / "keys" / "master.key"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SealError):
        store.get("seal")
    with pytest.raises(SealError):
        store.put("other", SECRET)
    assert not store.has("other")


@pytest.mark.parametrize("kept", [0, 1, 8, 15, 16, 32, 39])
def test_half_a_key_is_noticed(tmp_path: Path, kept: int) -> None:
    store = in_folder(tmp_path)
    store.put("seal", SECRET)
    path = tmp_path / "keys" / "seal.wrapped"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SealError):
        store.get("seal")


def test_a_folder_where_a_key_should_be_is_no_key(tmp_path: Path) -> None:
    store = in_folder(tmp_path)
    (tmp_path / "keys" / "seal.wrapped").mkdir()
    with pytest.raises(UnavailableError):
        store.get("seal")


def test_two_processes_that_make_the_same_key_do_not_overwrite_each_other(tmp_path: Path) -> None:
    # Both looked, found nothing and write: only one of them may win.
    path = tmp_path / "once"
    write_durably(path, b"first", exclusive=True)
    with pytest.raises(UsageError):
        write_durably(path, b"second", exclusive=True)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    for content in (b"first", b"second"):
        write_durably(path, content)
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


# --- file systems that fail -----------------------------------------------------------------------

_INSIDE = """
import sys
from pathlib import Path
from cellwarden.errors import Error
from cellwarden.trust.keys import FileKeyStore, write_durably

folder = Path(sys.argv[1])
store = FileKeyStore(folder / "keys", Path(sys.argv[2]))
"""


def in_a_file_system(tmp_path: Path, script: str, *, prepare: str, freeze: str = "true") -> str:
    """Run Python where a small file system is mounted, as an unprivileged user may mount one.

    `prepare` runs as shell in the empty file system, `freeze` after it, e.g. to mount it read-only.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare on this machine; a file system of our own cannot be mounted")
    if subprocess.run([unshare, "-Urm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("user namespaces are not allowed here; no file system of our own")
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    master = tmp_path / "master.key"
    (tmp_path / "script.py").write_text(_INSIDE + script)
    steps = (
        f"mount -t tmpfs -o size=64k none {mounted} && cd {mounted} && {prepare} && cd / &&"
        f" {{ {freeze.format(mounted)}; }} && {sys.executable} {tmp_path}/script.py"
        f" {mounted} {master}"
    )
    done = subprocess.run(
        [unshare, "-Urm", "sh", "-c", steps], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


_TRY = """
try:
    {}
except Error as error:
    print(type(error).__name__, bool(error.hint))
"""
READ_ONLY = "mount -o remount,ro {}"


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    FileKeyStore.create(tmp_path / "own", tmp_path / "master.key")
    script = _TRY.format("store.put('seal', bytes(32))") + (
        "print(sorted(path.name for path in (folder / 'keys').iterdir()))\n"
        "(folder / 'filler').unlink()\n"
        "store.put('seal', bytes(32)); print(store.get('seal') == bytes(32))\n"
    )
    filled = "mkdir -m 700 keys && (dd if=/dev/zero of=filler bs=4k 2>/dev/null || true)"
    told = in_a_file_system(tmp_path, script, prepare=filled).splitlines()
    assert told == ["UnavailableError True", "[]", "True"]


@pytest.mark.parametrize(
    "call",
    [
        "store.put('seal', bytes(32))",
        "FileKeyStore.create(folder / 'more')",
        "FileKeyStore.create(folder / 'keys')",
        "write_durably(folder / 'file', b'x')",
        "write_durably(folder / 'deep' / 'file', b'x')",
    ],
)
def test_a_read_only_disk_is_said(tmp_path: Path, call: str) -> None:
    FileKeyStore.create(tmp_path / "own", tmp_path / "master.key")
    told = in_a_file_system(
        tmp_path, _TRY.format(call), prepare="mkdir -m 700 keys", freeze=READ_ONLY
    )
    assert told.split() == ["UnavailableError", "True"]


def test_keys_are_read_from_a_read_only_disk(tmp_path: Path) -> None:
    store = FileKeyStore.create(tmp_path / "own", tmp_path / "master.key")
    store.put("seal", SECRET)
    copied = f"cp -r {tmp_path}/own keys"
    script = "print(store.get('seal') == bytes(range(32)))\n"
    assert in_a_file_system(tmp_path, script, prepare=copied, freeze=READ_ONLY) == "True\n"


def test_a_disk_that_gives_errors_is_said(tmp_path: Path) -> None:
    # A directory in place of the master key is the one read error that needs no broken disk.
    store = in_folder(tmp_path)
    store.put("seal", SECRET)
    master = tmp_path / "keys" / "master.key"
    master.unlink()
    master.mkdir(mode=0o700)
    calls: tuple[Callable[[], object], ...] = (
        lambda: store.get("seal"),
        lambda: store.put("other", SECRET),
    )
    for call in calls:
        with pytest.raises(UnavailableError):
            call()
