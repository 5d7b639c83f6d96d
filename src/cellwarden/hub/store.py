"""Rows at rest: one encrypted DuckDB file, or a DuckLake with a PostgreSQL catalog.

Both speak the same SQL (`sql/`), only `ATTACH` differs. One process holds the store; readers in it
take cursors, writers take the one transaction at a time.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import duckdb
import numpy as np

from cellwarden.errors import SealError, UnavailableError, UsageError
from cellwarden.hub.arrow import Column, Stream
from cellwarden.hub.pipe import through_pipe

__all__ = ["FileStore", "LakeStore", "Rows", "Store"]

_ALIAS: Final = "store"
_READERS_SECOND: Final = 5.0
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class FileStore:
    """One file under AES-256-GCM, its write-ahead log too."""

    path: Path
    key: bytes

    def attach(self) -> tuple[list[str], str]:
        """Extensions to load and the statement that opens the file."""
        # Writing encrypted files needs OpenSSL, which the httpfs extension brings.
        return ["httpfs"], (
            f"ATTACH '{_quote(str(self.path))}' AS {_ALIAS}"
            f" (ENCRYPTION_KEY '{self.key.hex()}', ENCRYPTION_CIPHER 'GCM')"
        )


@dataclass(frozen=True, slots=True)
class LakeStore:
    """Encrypted Parquet files with a catalog in PostgreSQL, shared by many hub workers.

    `catalog` is a libpq connection string; put its password into a service or pass file.
    """

    catalog: str
    data_path: str

    def attach(self) -> tuple[list[str], str]:
        """Extensions to load and the statement that opens the lake."""
        return ["httpfs", "postgres_scanner", "ducklake"], (
            f"ATTACH 'ducklake:postgres:{_quote(self.catalog)}' AS {_ALIAS}"
            f" (DATA_PATH '{_quote(self.data_path)}', ENCRYPTED, DATA_INLINING_ROW_LIMIT 0)"
        )


class Store:
    """An open store."""

    def __init__(self, place: FileStore | LakeStore, *, threads: int = 2) -> None:
        """Open or create it, and bring its tables up to date.

        Raises:
            UnavailableError: another process has it open, or the disk does not serve.
            SealError: the key is not the one it was made with, or the file was altered.
        """
        self.place = place
        self._writing = threading.RLock()
        self._threads = threads
        self._transacting = False
        self._given_up = False  # by the engine, which wants the file opened anew
        self._readers = threading.Condition()
        self._reader_count = 0
        self._file: BinaryIO | None = None
        self._pipes = Path(tempfile.mkdtemp(prefix=_mark(place)))
        try:
            self._connection = _connect(place, threads, self._pipes)
        except BaseException:
            shutil.rmtree(self._pipes, ignore_errors=True)
            raise
        self._clear()
        self._migrate()

    def close(self) -> None:
        """Finish writing and let go of the file."""
        with self._writing:
            self._connection.close()
            if self._file is not None:
                self._file.close()
            shutil.rmtree(self._pipes, ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other thread writes while this lasts."""
        with self._writing:
            yield

    @contextmanager
    def transaction(self) -> Iterator["Store"]:
        """All or nothing, on disk when it ends.

        Raises:
            UnavailableError: the disk did not take it; nothing was changed.
        """
        with self._writing:
            self._mend()
            self._run("BEGIN")
            self._transacting = True
            try:
                yield self
                self._run("COMMIT")
            except BaseException:
                self._roll_back()
                raise
            finally:
                self._transacting = False

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement inside a transaction of this thread."""
        with self._writing:
            self._run(sql, parameters)

    def insert(self, table: str, columns: Mapping[str, Column]) -> None:
        """Append rows given as columns, inside a transaction of this thread."""
        names = ", ".join(columns)
        with self._writing:
            self._connection.register("incoming", Stream(columns))
            try:
                self._run(f"INSERT INTO {table} ({names}) SELECT {names} FROM incoming")
            finally:
                self._connection.unregister("incoming")

    def add(self, table: str, **row: Any) -> None:
        """Append one row, inside a transaction of this thread."""
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """What a query gives, row by row; sees what is committed."""
        with self._cursor() as cursor:
            return cursor.execute(sql, parameters).fetchall()

    def columns(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, np.ndarray]:
        """What a query gives, column by column; NULL comes masked."""
        with self._cursor() as cursor:
            found: dict[str, np.ndarray] = cursor.execute(sql, parameters).fetchnumpy()
            return found

    def copy_out(
        self,
        query: str,
        parameters: Sequence[Any],
        form: Literal["csv", "parquet"],
        *,
        ordered: bool = False,
    ) -> Generator[bytes, None, None]:
        """What a query gives, as the bytes of a file; never held whole, never on a disk.

        Keeping the query's order costs memory that grows with the result.
        """
        kind = "FORMAT csv, HEADER" if form == "csv" else "FORMAT parquet, COMPRESSION zstd"
        options = f"{kind}, PRESERVE_ORDER {ordered}"
        with self._cursor() as cursor:

            def write(path: Path) -> None:
                into = f"COPY ({query}) TO '{_quote(str(path))}' ({options})"
                cursor.execute(into, list(parameters))

            yield from through_pipe(self._pipes, write, cursor.interrupt)

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file."""
        with self._writing:
            self._mend()
            self._run(f"CHECKPOINT {_ALIAS}" if isinstance(self.place, FileStore) else "CHECKPOINT")

    @contextmanager
    def standing_still(self) -> Iterator[BinaryIO]:
        """Nobody writes while this lasts; gives the file, which then holds everything.

        Raises:
            UsageError: the store is a lake, which has no such file.
        """
        if not isinstance(self.place, FileStore):
            raise UsageError(
                "a lake is backed up where it lies",
                hint="Back up its PostgreSQL catalog and its object storage together.",
            )
        with self._writing:
            self.checkpoint()
            if self._file is None:
                # Open as long as the store is: closing it would end this process's lock on it.
                self._file = self.place.path.open("rb")
            self._file.seek(0)
            yield self._file

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        self._mend()
        with self._readers:
            self._reader_count += 1
        try:
            with closing(self._connection.cursor()) as cursor:
                cursor.execute(f"USE {_ALIAS}")
                yield cursor
        except duckdb.Error as error:
            raise self._failed(error) from error
        finally:
            with self._readers:
                self._reader_count -= 1
                self._readers.notify_all()

    def _run(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        try:
            self._connection.execute(sql, list(parameters))
        except duckdb.Error as error:
            raise self._failed(error) from error

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.TransactionException:
            return  # a failed COMMIT has rolled back already
        except duckdb.Error as error:
            self._failed(error)

    def _failed(self, error: duckdb.Error) -> Exception:
        """What to raise; notes that the engine refuses to go on, as after a checkpoint failed."""
        if isinstance(error, duckdb.FatalException) or "invalidated" in str(error):
            self._given_up = True
        return _translate(error)

    def _mend(self) -> None:
        """Open the file anew if the engine has given it up; what was committed is in it."""
        if not self._given_up:
            return
        with self._writing:
            if self._transacting or not self._given_up:
                return  # the transaction fails first, then it is mended
            # Two engines on one file would each undo what the other writes.
            with self._readers:
                if not self._readers.wait_for(lambda: self._reader_count == 0, _READERS_SECOND):
                    raise UnavailableError(
                        "the store is opened anew when its readers are done",
                        hint="It is tried again by itself.",
                    )
                self._connection.close()
                self._connection = _connect(self.place, self._threads, self._pipes)
                self._given_up = False

    def _clear(self) -> None:
        """Remove what a killed process has left; the lock on the file says that none is alive."""
        if isinstance(self.place, FileStore):
            for left in self._pipes.parent.glob(f"{_mark(self.place)}*"):
                if left != self._pipes:
                    shutil.rmtree(left, ignore_errors=True)

    def _migrate(self) -> None:
        """Bring the tables up to the newest version, each step in one transaction."""
        with self.transaction():
            self._run("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        done = self.rows("SELECT coalesce(max(version), 0) FROM schema_version")[0][0]
        steps = sorted(
            (int(entry.name[:4]), entry)
            for entry in resources.files("cellwarden.hub").joinpath("sql").iterdir()
            if re.fullmatch(r"\d{4}_\w+\.sql", entry.name)
        )
        if done > steps[-1][0]:
            raise UsageError(
                f"the store has tables of version {done}, this program knows {steps[-1][0]}",
                hint="Use the newer Cellwarden that wrote it.",
            )
        for version, script in steps:
            if version > done:
                with self.transaction():
                    self._run(script.read_text())
                    self.add("schema_version", version=version)


def _mark(place: FileStore | LakeStore) -> str:
    """How the folders of a store's pipes and spills begin."""
    if isinstance(place, LakeStore):
        return "cellwarden-lake-"
    return f"cellwarden-{hashlib.sha256(os.fsencode(place.path.absolute())).hexdigest()[:16]}-"


def _connect(place: FileStore | LakeStore, threads: int, pipes: Path) -> duckdb.DuckDBPyConnection:
    extensions, attach = place.attach()
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "threads": threads,
        # What does not fit into memory may go to disk, but never in the clear.
        "temp_file_encryption": "true",
        "temp_directory": str(pipes / "spill"),
    }
    connection = duckdb.connect(config=settings)
    try:
        for name in extensions:
            connection.execute(f"LOAD '{_quote(_extension(name))}'")
        connection.execute(attach)
        connection.execute(f"USE {_ALIAS}")
        if isinstance(place, FileStore):
            connection.execute("SET wal_autocheckpoint = '256MB'")
            # The one folder that exports go through; it holds named pipes and never a file.
            connection.execute(f"SET allowed_directories = ['{_quote(str(pipes))}']")
            connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        connection.close()
        raise _translate(error) from error
    return connection


def _extension(name: str) -> str:
    """The file of an extension inside its pinned wheel; DuckDB checks its signature."""
    package = f"duckdb_extension_{name}"
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        wheel = package.replace("_", "-")
        raise UsageError(
            f"the DuckDB extension {name} is not installed",
            hint=f"pip install {wheel}=={duckdb.__version__}",
        )
    folder = Path(found.submodule_search_locations[0])
    return str(next(folder.glob(f"extensions/v{duckdb.__version__}/{name}.duckdb_extension")))


def _quote(text: str) -> str:
    return text.replace("'", "''")


def _translate(error: duckdb.Error) -> Exception:
    """A database error as what its receiver does about it; never with the key in its text."""
    text = re.sub(r"ENCRYPTION_KEY '[0-9a-f]+'", "ENCRYPTION_KEY '…'", str(error)).split("\n")[0]
    lowered = text.lower()
    if "lock" in lowered and ("conflict" in lowered or "could not set lock" in lowered):
        return UnavailableError(
            "another process has the store open",
            hint="Ask the running hub, or stop it first.",
        )
    if "encryption key" in lowered or "wrong key" in lowered or "computed checksum" in lowered:
        return SealError(
            f"the store does not open: {text}",
            hint="Use the key it was made with, or restore a backup.",
        )
    # A commit that the disk did not take comes as a fault of the transaction.
    unserved = duckdb.IOException | duckdb.FatalException | duckdb.OutOfMemoryException
    if isinstance(error, unserved) or "failed to commit" in lowered:
        return UnavailableError(
            f"the store cannot be read or written: {text}",
            hint="Check space and rights on its disk.",
        )
    return error
