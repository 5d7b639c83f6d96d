"""The descriptions that come with the package, and the folder in which the data lies.

Rules
- Data lies in `CELLWARDEN_DATA`, a folder a set, or in `shared/data` beside the checkout.
- A folder of descriptions in TOML can stand in for the shipped ones.
"""

import os
from collections.abc import Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from cellwarden.datasets.description import DataSet, parse
from cellwarden.errors import DataError, UsageError

if TYPE_CHECKING:
    from cellwarden.domain import Series
    from cellwarden.domain.table import Table

__all__ = ["catalogue", "data_folder", "describe", "load", "locate", "rows", "splits"]

_VARIABLE: Final = "CELLWARDEN_DATA"


@cache
def catalogue(folder: Path | None = None) -> Mapping[str, DataSet]:
    """Every data set that is described, by name.

    Raises:
        UsageError: there is no folder of descriptions.
        DataError: a description contradicts itself or another.
    """
    place: Traversable = folder or resources.files("cellwarden.datasets") / "sets"
    if not place.is_dir():
        raise UsageError(f"{folder}: no folder", hint="Name a folder that holds TOML files.")
    found: dict[str, DataSet] = {}
    for file in sorted(place.iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            one = parse(file.read_bytes(), file.name)
            if one.name != file.name.removesuffix(".toml"):
                raise DataError(f"{file.name} describes {one.name}", hint="Name the file after it.")
            found[one.name] = one
    return MappingProxyType(found)


def describe(name: str, folder: Path | None = None) -> DataSet:
    """What is known of a data set.

    Raises:
        UsageError: no data set has this name.
    """
    known = catalogue(folder)
    if name not in known:
        raise UsageError(f"no data set {name!r}", hint=f"There are {', '.join(known)}.")
    return known[name]


def data_folder(given: Path | None = None) -> Path:
    """Where the data sets lie: the folder given, `CELLWARDEN_DATA`, or beside the checkout."""
    # src/cellwarden/datasets in a checkout: three folders up is the checkout, four is beside it.
    beside = Path(__file__).parents[4] / "shared" / "data"
    return given or Path(os.environ.get(_VARIABLE) or beside)


def locate(name: str, part: str = "", data: Path | None = None, folder: Path | None = None) -> Path:
    """The file of a part; `data` is where the sets lie, `folder` holds descriptions.

    Raises:
        UsageError: there is no such set or part, or the file is not in the folder.
    """
    known = describe(name, folder)
    path = data_folder(data) / known.name / known.part(part).path
    if not path.is_file():
        raise UsageError(
            f"{path} is not there",
            hint=f"Set {_VARIABLE} to the folder of data sets, or get it from {known.page}.",
        )
    return path


def load(
    name: str,
    part: str = "",
    data: Path | None = None,
    folder: Path | None = None,
    *,
    record: str | None = None,
) -> "Series | Table":
    """A part of a data set as the readers take it: a record, or a table of its kind.

    `record` names one of several records in a part.

    Raises:
        UsageError: there is no such set or part, or the file is not in the folder.
        DataError: it is not what it should be.
    """
    path = locate(name, part, data, folder)
    from cellwarden import readers  # noqa: PLC0415  DuckDB only when data is read

    return readers.load(path, record=record)


def splits(
    name: str, protocol: str = "", folder: Path | None = None
) -> Mapping[str, tuple[str, ...]]:
    """The members of each split of a protocol, by default of the first; no member is in two.

    A held-back split of which only the number is known is empty.

    Raises:
        UsageError: there is no such set or protocol.
    """
    chosen = describe(name, folder).protocol(protocol)
    return MappingProxyType({split.name: split.members for split in chosen.splits})


def rows(
    name: str,
    split: str,
    protocol: str = "",
    data: Path | None = None,
    folder: Path | None = None,
) -> "Table":
    """The rows of one split, from the table in which the protocol finds its members.

    Raises:
        UsageError: there is no such split, it is held back, or its file is not in the folder.
        DataError: the file is not what it should be.
    """
    chosen = describe(name, folder).protocol(protocol)
    found = {one.name: one for one in chosen.splits}
    if split not in found or found[split].held_back:
        here = ", ".join(one.name for one in chosen.splits if not one.held_back)
        raise UsageError(
            f"{name}, {chosen.name}: no rows of {split}", hint=f"Here are the rows of {here}."
        )
    path = locate(name, found[split].part or chosen.part, data, folder)
    from cellwarden.readers import read_table  # noqa: PLC0415  DuckDB only when data is read

    table = read_table(path)
    members, prefix = frozenset(found[split].members), found[split].prefix
    cells = list(zip(*(table[column].tolist() for column in chosen.columns), strict=True))
    inside = {each: prefix + "/".join(map(_text, each)) in members for each in set(cells)}
    return table.rows(np.array([inside[each] for each in cells], dtype=bool))


def _text(cell: object) -> str:
    """A cell as members are written: a whole number without a point."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
