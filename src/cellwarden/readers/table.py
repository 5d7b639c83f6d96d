"""Tables scanned by DuckDB: rows of a text or Parquet file in, float64 columns out.

Rules
- Only columns that are asked for are read, and never more than `MAX_ROWS` rows.
- A cell that is there but holds no number becomes infinite, so that it can be told from an
  empty cell, which becomes NaN.
"""

import codecs
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from jaxtyping import Float64

from cellwarden.errors import DataError, DecodeError, UnavailableError
from cellwarden.readers.layout import Layout

__all__ = [
    "IN_PIECES",
    "MAX_ROWS",
    "NUMERIC",
    "ParquetColumn",
    "Table",
    "connected",
    "in_utf8",
    "open_parquet",
    "open_text",
    "quoted",
]

MAX_ROWS: Final = 10_000_000  # ten columns of these are 0.8 GB
# How DuckDB's names of number types begin.
NUMERIC: Final = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "FLOAT",
    "DOUBLE",
    "U",
    "DECIMAL",
)
_CONFIG: Final[dict[str, Any]] = {
    # A reader is handed foreign bytes: it loads nothing and keeps to its share of memory.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "memory_limit": "1GB",
}
# What to do with more rows than fit in memory.
IN_PIECES: Final = "Read it in pieces with scan, or write it as BDF with cellwarden read --out."
_PIECE: Final = 1 << 20
_MESSAGE_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class ParquetColumn:
    """A column of a Parquet file and its DuckDB type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Table:
    """An open file; `relation` is the SQL it stands for, `parameters` its bound values."""

    path: Path
    connection: duckdb.DuckDBPyConnection
    relation: str
    parameters: tuple[str, ...]
    columns: tuple[ParquetColumn, ...] = ()

    def fetch(
        self, expressions: Mapping[str, str], *, where: str = "true", limit: int = MAX_ROWS
    ) -> dict[str, Float64[np.ndarray, " row"]]:
        """The columns that SQL expressions give, in the order of the file.

        Raises:
            DecodeError: the bytes are not what the head of the file promised.
            DataError: there are more rows than `MAX_ROWS`.
        """
        chosen = ", ".join(
            f"coalesce(({sql})::DOUBLE, 'nan') AS f{index}"
            for index, sql in enumerate(expressions.values())
        )
        query = f"SELECT {chosen} FROM {self.relation} WHERE {where} LIMIT {limit + 1}"
        with _decoding(self.path):
            found = self.connection.execute(query, list(self.parameters)).fetchnumpy()
        # Numbered: to DuckDB names that differ in case alone are one.
        columns = dict(zip(expressions, found.values(), strict=True))
        rows = len(next(iter(columns.values())))
        if rows > MAX_ROWS:
            raise DataError(f"{self.path}: more than {MAX_ROWS:,} rows", hint=IN_PIECES)
        return {name: np.asarray(c, dtype=np.float64)[:limit] for name, c in columns.items()}

    def count(self) -> int:
        """How many rows there are. [1]"""
        query = f"SELECT count(*) FROM {self.relation}"
        with _decoding(self.path):
            row = self.connection.execute(query, list(self.parameters)).fetchone()
        return int(row[0]) if row else 0

    def fetch_texts(
        self, expressions: Mapping[str, str], *, where: str = "true"
    ) -> dict[str, np.ndarray]:
        """The columns of text that SQL expressions give, in the order of the file.

        Raises:
            DecodeError: the bytes are not what the head of the file promised.
        """
        if not expressions:
            return {}
        chosen = ", ".join(
            f"({sql})::VARCHAR AS f{index}" for index, sql in enumerate(expressions.values())
        )
        query = f"SELECT {chosen} FROM {self.relation} WHERE {where}"
        with _decoding(self.path):
            found = self.connection.execute(query, list(self.parameters)).fetchnumpy()
        columns = zip(expressions, found.values(), strict=True)
        return {name: np.asarray(column, dtype=object) for name, column in columns}

    def fetch_lists(self, sql: str, most_cells: int) -> Float64[np.ndarray, "row point"]:
        """A column of lists as a grid, shorter lists filled with NaN.

        Raises:
            DecodeError: the bytes are not what the head of the file promised.
            DataError: it would have more cells than `most_cells`.
        """
        with _decoding(self.path):
            row = self.connection.execute(
                f"SELECT count(*), coalesce(max(len({sql})), 0) FROM {self.relation}",
                list(self.parameters),
            ).fetchone()
        rows, width = row or (0, 0)
        if rows * width > most_cells:
            raise DataError(
                f"{self.path}: {rows:,} lists of up to {width:,} numbers, more than"
                f" {most_cells:,} cells",
                hint="Take the rows you need first.",
            )
        if not rows * width:
            return np.empty((rows, 0))
        query = (
            f"SELECT coalesce(unnest(list_resize(coalesce({sql}, [])::DOUBLE[], {width})), 'nan')"
            f" AS cell FROM {self.relation}"
        )
        with _decoding(self.path):
            cells = self.connection.execute(query, list(self.parameters)).fetchnumpy()["cell"]
        return np.asarray(cells, dtype=np.float64).reshape(rows, width)

    def texts(self, sql: str, *, limit: int) -> list[str]:
        """The first cells of a column, as text."""
        query = f"SELECT ({sql})::VARCHAR FROM {self.relation} LIMIT {limit}"
        with _decoding(self.path):
            rows = self.connection.execute(query, list(self.parameters)).fetchall()
        return ["" if row[0] is None else str(row[0]) for row in rows]


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, UnicodeDecodeError, MemoryError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DecodeError(
            f"{path}: {first[:_MESSAGE_LENGTH]}",
            hint="The file is damaged or was cut short: fetch it again from where it came.",
        ) from error


@contextmanager
def connected(config: Mapping[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own, which draws no bars on the terminal of whoever calls."""
    with duckdb.connect(config=dict(config)) as connection:
        connection.execute("SET enable_progress_bar = false")
        yield connection


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def _exact(path: Path) -> str:
    """The path as DuckDB takes it, with no character read as a wildcard."""
    return re.sub(r"([*?\[])", r"[\1]", str(path.absolute()))


@contextmanager
def open_parquet(path: Path, *, most_rows: int = MAX_ROWS) -> Iterator[Table]:
    """A Parquet file as a table, its columns and row count checked.

    Raises:
        DecodeError: its footer cannot be read.
        DataError: it has too many rows.
    """
    with connected(_CONFIG) as connection:
        parameters = (_exact(path),)
        with _decoding(path):
            described = connection.execute(
                "DESCRIBE SELECT * FROM read_parquet(?)", list(parameters)
            ).fetchall()
            counted = connection.execute(
                "SELECT sum(num_rows) FROM parquet_file_metadata(?)", list(parameters)
            ).fetchone()
        if counted is None or counted[0] is None or counted[0] > most_rows:
            raise DataError(f"{path}: more than {most_rows:,} rows", hint=IN_PIECES)
        columns = tuple(ParquetColumn(str(row[0]), str(row[1])) for row in described)
        yield Table(path, connection, "read_parquet($1)", parameters, columns)


@contextmanager
def open_text(path: Path, layout: Layout, numbers: frozenset[int] = frozenset()) -> Iterator[Table]:
    """A delimited text file as a table of texts `c0`, `c1`, …, short rows filled with NULL.

    Columns in `numbers` are read as numbers, twice as fast; any other cell there is an error.

    Raises:
        UnavailableError: a file in an old encoding needs space for a copy that is not there.
    """
    names = ", ".join(
        f"'c{index}': '{'DOUBLE' if index in numbers else 'VARCHAR'}'"
        for index in range(len(layout.labels))
    )
    relation = (
        f"read_csv($1, columns = {{{names}}}, skip = {layout.skip}, delim = $2, quote = $3,"
        " escape = $3, auto_detect = false, header = false, null_padding = true,"
        " strict_mode = false"
        # DuckDB cannot look for rows from the middle of a file whose cells may hold line ends.
        f"{', parallel = false' if layout.quote else ''})"
    )
    with in_utf8(path, layout.encoding) as place, connected(_CONFIG) as connection:
        parameters = (_exact(place), layout.delimiter, layout.quote)
        yield Table(path, connection, relation, parameters)


@contextmanager
def in_utf8(path: Path, encoding: str) -> Iterator[Path]:
    """The file, or a passing copy of it in UTF-8; DuckDB refuses bytes that old encodings allow."""
    if encoding == "utf-8":
        yield path
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.txt"
        try:
            with path.open("rb") as source, copy.open("wb") as target:
                while piece := source.read(_PIECE):
                    target.write(decoder.decode(piece).encode())
                target.write(decoder.decode(b"", final=True).encode())
        except OSError as error:
            raise UnavailableError(
                f"{path}: {error.strerror}", hint="Make room in the folder for passing files."
            ) from error
        yield copy
