"""`backup` and `restore`: an installation in two files that are useless one without the other.

The archive holds everything but the master keys; what is secret in it is wrapped or encrypted
under them. The key file holds the master keys alone. Keep them in different places.
"""

import os
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

from rich.console import Console

from cellwarden.cli.client import HubClient
from cellwarden.cli.home import Home
from cellwarden.errors import DecodeError, Error, UnavailableError, UsageError
from cellwarden.hub.backup import SNAPSHOT, snapshot
from cellwarden.hub.config import load_config
from cellwarden.hub.store import FileStore, Store
from cellwarden.trust.keys import FileKeyStore

__all__ = ["back_up", "restore"]

_MASTER: Final = "master.key"
_STORE: Final = "hub/store.duckdb"
_LEFT_OUT: Final = (".log", ".pid", ".wal", ".sqlite-shm", ".sqlite-wal")


def back_up(home: Home, target: Path, console: Console) -> None:
    """Write the two files of a backup, from a running hub or from its files.

    Raises:
        UsageError: there is such a backup already, or no installation.
    """
    keys = target.with_name(target.name + ".keys")
    if target.exists() or keys.exists():
        raise UsageError(f"{target} exists", hint="Name a new file.")
    if not home.exists():
        raise UsageError(f"{home.path} is not an installation", hint="Give --home.")
    copy = None if _on_lake(home) else _copy_of_store(home)
    try:
        _write(target, home, copy, masters=False)
        _write(keys, home, copy, masters=True)
    finally:
        if copy is not None:
            copy.unlink(missing_ok=True)
    console.print(f"Backup: {target} ({target.stat().st_size:,} bytes)")
    console.print(f"Keys:   {keys} - keep them somewhere else; each is useless alone.")
    if copy is None:
        console.print("Rows:   not in it; back up the lake's PostgreSQL and its files together.")


def restore(home: Home, archive: Path, keys: Path, console: Console) -> None:
    """Make an installation from a backup; devices then send again what came after it.

    Raises:
        UsageError: there is an installation already.
        DecodeError: not a backup, or not of one piece.
    """
    if home.path.exists() and any(home.path.iterdir()):
        raise UsageError(f"{home.path} is not empty", hint="Restore into an empty folder.")
    try:
        for file in (archive, keys):
            _extract(file, home.path)
        told = _what_is_there(home, archive)
    except Error:
        # Whole or not at all: the folder was empty, and is again for the next attempt.
        shutil.rmtree(home.path, ignore_errors=True)
        raise
    console.print(f"Restored to {home.path}: {told}. Now run `cellwarden verify`.")


def _extract(file: Path, folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        with tarfile.open(file) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise DecodeError(
            f"{file} is not a backup, or is cut short: {error}", hint="Take another copy."
        ) from error
    except FileNotFoundError as error:
        raise UsageError(f"there is no {file}", hint="Name both files of one backup.") from error
    except OSError as error:
        raise UnavailableError(f"cannot restore: {error}", hint="Check the disk.") from error


def _on_lake(home: Home) -> bool:
    return load_config(home.hub).store == "lake"


def _what_is_there(home: Home, archive: Path) -> str:
    """How large the restored ledger is; the store is the last thing in an archive."""
    # Trust roots come last in the archive of a hub on a lake.
    if (home.hub / "config.toml").exists() and _on_lake(home) and home.exists():
        return "rows are in its lake"
    if not (home.path / _STORE).exists():
        raise DecodeError(
            f"{archive} is not a backup, or is cut short: it has no store",
            hint="Take another copy, and name the archive before the keys.",
        )
    store = Store(FileStore(home.path / _STORE, FileKeyStore(home.hub / "keys").get("store")))
    try:
        size = store.rows("SELECT coalesce(max(size), 0) FROM checkpoint")[0][0]
        return f"ledger of {size} entries"
    finally:
        store.close()


def _copy_of_store(home: Home) -> Path:
    with HubClient(home) as client:
        if client.is_up():
            client.post("/v1/snapshot")
            return home.hub / SNAPSHOT
    store = Store(FileStore(home.path / _STORE, FileKeyStore(home.hub / "keys").get("store")))
    try:
        return snapshot(store, home.hub)
    finally:
        store.close()


def _write(target: Path, home: Home, store_copy: Path | None, *, masters: bool) -> None:
    """One of the two files, written beside and moved into place when it is whole."""
    partial = target.with_name(f".{target.name}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                for path in sorted(home.path.rglob("*")):
                    name = path.relative_to(home.path).as_posix()
                    wanted = (path.name == _MASTER) == masters and name != _STORE
                    if path.is_file() and path != store_copy and wanted:
                        _add(tar, path, name)
                if not masters and store_copy is not None:
                    tar.add(store_copy, _STORE)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except (OSError, sqlite3.Error) as error:
        partial.unlink(missing_ok=True)
        raise UnavailableError(
            f"cannot write {target}: {error}", hint="Free the disk or make it writable."
        ) from error


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    if name.endswith(_LEFT_OUT):
        return
    if path.suffix != ".sqlite":
        tar.add(path, name)
        return
    # An outbox may be in use: SQLite's own copy is whole, a copy of the file might not be.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        tar.add(copy, name)
