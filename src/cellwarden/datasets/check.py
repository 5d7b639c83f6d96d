"""Whether the files of a data set are those that the figures were made with, and split as stated.

Rules
- A digest that holds settles the bytes; rows, columns and members are looked at nevertheless, so
  that a description is proved by its data.
- A file that the catalogue does not name is told of; its digest can be noted beside it.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cellwarden.datasets.description import DataSet, Part, Protocol, Split
from cellwarden.datasets.digest import NOTED, read_noted, sha256_of, write_noted
from cellwarden.errors import DataError, UsageError
from cellwarden.readers.table import open_parquet, quoted

__all__ = ["Line", "check", "note_digests"]

_README: Final = "README"
State = Literal["sound", "wrong", "absent", "noted", "unknown"]


@dataclass(frozen=True, slots=True)
class Line:
    """What was found of a file or a protocol; `wrong` and `absent` are failures."""

    what: str
    state: State
    said: str

    @property
    def is_failure(self) -> bool:
        """Whether the set is not as described."""
        return self.state in ("wrong", "absent")


def check(known: DataSet, data: Path) -> tuple[Line, ...]:
    """Every part, every protocol and every file beside them, held against the description.

    Raises:
        UsageError: there is no folder of this set.
    """
    folder = data / known.name
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not there",
            hint=f"Set CELLWARDEN_DATA to the folder of data sets, or get it from {known.page}.",
        )
    parts = tuple(_part(known, part, folder) for part in known.parts)
    protocols = (_protocol(known, one, folder) for one in known.protocols)
    return (*parts, *protocols, *_others(known, folder))


def note_digests(known: DataSet, data: Path) -> Path:
    """Note the digests of files that the catalogue does not name, in `SHA256SUMS` beside them.

    Raises:
        UsageError: there is no folder of this set, or nothing in it to note.
        UnavailableError: it cannot be written.
    """
    folder = data / known.name
    files = list(_unnamed(known, folder)) if folder.is_dir() else []
    if not files:
        raise UsageError(
            f"{folder}: no file that the catalogue does not name",
            hint=f"Put what you fetched from {known.page} there.",
        )
    return write_noted(folder, {str(path.relative_to(folder)): sha256_of(path) for path in files})


def _part(known: DataSet, part: Part, folder: Path) -> Line:
    path = folder / part.path
    if not path.is_file():
        return Line(part.path, "absent", f"not there; see {known.page}")
    count = path.stat().st_size
    digest = sha256_of(path)
    wrong = []
    if count != part.byte_count:
        wrong.append(f"{count:,} bytes, not {part.byte_count:,}")
    if digest != part.sha256:
        wrong.append(f"SHA-256 {digest[:16]}…, not {part.sha256[:16]}…")
    if part.form == "table":
        wrong += _table_faults(known, part, path)
    if wrong:
        return Line(part.path, "wrong", "; ".join(wrong))
    rows = "" if part.row_count is None else f", {part.row_count:,} rows"
    return Line(part.path, "sound", f"{count:,} bytes, SHA-256 as recorded{rows}")


def _table_faults(known: DataSet, part: Part, path: Path) -> Iterator[str]:
    try:
        labels, count = _shape(path)
    except DataError as error:
        yield str(error)
        return
    if count != part.row_count:
        yield f"{count:,} rows, not {part.row_count:,}"
    foreign = [label for label in labels if known.column(label) is None]
    if foreign:
        yield f"columns not described: {', '.join(foreign)}"


def _shape(path: Path) -> tuple[tuple[str, ...], int]:
    """The labels of a table and how many rows it has.

    Raises:
        DataError: it cannot be read.
    """
    if path.suffix == ".parquet":
        with open_parquet(path) as table:
            count = int(table.fetch({"count": "count(*)"})["count"][0])
            return tuple(column.name for column in table.columns), count
    rows = _csv_rows(path)
    return tuple(next(rows, [])), sum(1 for _ in rows)


def _csv_rows(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.reader(file)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {error}", hint="Fetch it again.") from error


def _protocol(known: DataSet, protocol: Protocol, folder: Path) -> Line:
    what = f"protocol {protocol.name}"
    counts = ", ".join(
        f"{split.name} {split.count or '?'}{' (held back)' if split.held_back else ''}"
        for split in protocol.splits
    )
    said = f"disjoint by {protocol.by}: {counts}"
    if not protocol.columns:
        return Line(what, "sound", said)
    try:
        wrong = list(_protocol_faults(known, protocol, folder))
    except (DataError, UsageError) as error:
        wrong = [str(error)]
    return Line(what, "wrong", "; ".join(wrong)) if wrong else Line(what, "sound", said)


def _protocol_faults(known: DataSet, protocol: Protocol, folder: Path) -> Iterator[str]:
    named = {
        member
        for other in known.protocols
        if (other.part, other.columns) == (protocol.part, protocol.columns)
        for split in other.splits
        for member in split.members
    }
    for split in protocol.splits:
        part = split.part or protocol.part
        if not part:
            continue  # held back, with its file
        if not (folder / part).is_file():
            yield f"{part} is not there"
            continue
        found = _members(folder / part, protocol, split)
        missing = sorted(set(split.members) - found)
        if split.held_back and len(missing) < len(split.members):
            yield f"{split.name} is held back and yet in {part}"
        elif not split.held_back and missing:
            yield f"{split.name}: not in {part}: {', '.join(missing[:5])}"
        unnamed = sorted(found - named)
        if protocol.exhaustive and unnamed and not split.held_back:
            yield f"in {part} and in no split: {', '.join(unnamed[:5])}"


def _members(path: Path, protocol: Protocol, split: Split) -> set[str]:
    """Every member that a table holds."""
    return {f"{split.prefix}{'/'.join(row)}" for row in _distinct(path, protocol.columns)}


def _distinct(path: Path, columns: tuple[str, ...]) -> set[tuple[str, ...]]:
    if path.suffix == ".parquet":
        with open_parquet(path) as table:
            absent = set(columns) - {column.name for column in table.columns}
            if absent:
                raise DataError(f"{path.name}: no column {', '.join(absent)}", hint="Fetch it.")
            chosen = ", ".join(f"{quoted(name)}::VARCHAR" for name in columns)
            query = f"SELECT DISTINCT {chosen} FROM {table.relation}"
            rows = table.connection.execute(query, list(table.parameters)).fetchall()
            return {tuple(str(cell) for cell in row) for row in rows}
    lines = _csv_rows(path)
    labels = next(lines, [])
    if not set(columns) <= set(labels):
        raise DataError(f"{path.name}: no columns {', '.join(columns)}", hint="Fetch it again.")
    places = [labels.index(name) for name in columns]
    return {tuple(line[place] for place in places) for line in lines}


def _others(known: DataSet, folder: Path) -> Iterator[Line]:
    """Files beside the parts, against what was noted of them."""
    noted = read_noted(folder)
    for path in _unnamed(known, folder):
        name = str(path.relative_to(folder))
        if name not in noted:
            yield Line(name, "unknown", "not in the catalogue; --record notes its digest")
        elif noted.pop(name) == sha256_of(path):
            yield Line(name, "noted", "SHA-256 as it was noted here")
        else:
            yield Line(name, "wrong", "SHA-256 is not the one noted here")
    named = {part.path for part in known.parts}
    for name in sorted(set(noted) - named):
        yield Line(name, "absent", "noted here and gone")


def _unnamed(known: DataSet, folder: Path) -> Iterator[Path]:
    named = {folder / part.path for part in known.parts} | {folder / NOTED}
    for path in sorted(folder.rglob("*")):
        own = path.name.startswith((".", _README))
        if path.is_file() and not own and path not in named:
            yield path
