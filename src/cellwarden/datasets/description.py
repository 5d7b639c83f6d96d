"""What is known of a public data set: where it is from, what it holds, how it is to be split.

Rules
- A digest is SHA-256 of the file as the figures in this repository were made with it. A file that
  is public under the same bytes has an `address`; where none is known there is none.
- No member is in two splits of one protocol; a protocol says whether its members are whole cells.
- A member may be written as a range: `CS2_{35..37}` stands for three of them.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final, Literal

import msgspec

from cellwarden.errors import DataError, UsageError

__all__ = ["Column", "DataSet", "Fault", "Part", "Protocol", "Split", "parse"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_RANGE: Final = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column as the file names it; `unit` is empty where it has none."""

    what: str
    unit: str = ""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file: `table` with columns of its own, or `native`, as a tester or its authors wrote it.

    `path` is below the set's folder, `cell` the one whose whole record it is. `address` is where
    these very bytes are public.
    """

    path: str
    what: str
    byte_count: int
    sha256: str
    form: Literal["table", "native"] = "table"
    row_count: int | None = None
    cell: str = ""
    address: str = ""

    def __post_init__(self) -> None:
        place = PurePosixPath(self.path)
        if place.is_absolute() or ".." in place.parts or not place.name or "\\" in self.path:
            raise ValueError(f"part {self.path!r} is not a path below the set's folder")
        if not _DIGEST.fullmatch(self.sha256):
            raise ValueError(f"part {self.path}: no SHA-256 in 64 small hexadecimal digits")
        if self.byte_count < 0:
            raise ValueError(f"part {self.path}: {self.byte_count} bytes")
        if self.address and not self.address.startswith("https://"):
            raise ValueError(f"part {self.path}: an address begins with https://")


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something wrong in the data, left as it is, and how it is known."""

    what: str
    known_by: str


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Members that belong together, `held_back` where they are not in the folder.

    Of held-back members often their number alone is known, or not even that. A member is `prefix`
    and what the protocol's columns hold in `part`, or without one in the protocol's part.
    """

    name: str
    count: int | None = None
    members: tuple[str, ...] = ()
    held_back: bool = False
    part: str = ""
    prefix: str = ""

    def __post_init__(self) -> None:
        members = tuple(one for text in self.members for one in _expanded(text))
        msgspec.structs.force_setattr(self, "members", members)
        if len(set(members)) != len(members):
            raise ValueError(f"split {self.name} names a member twice")
        if (members or not self.held_back) and len(members) != self.count:
            raise ValueError(f"split {self.name} has {len(members)} members, not {self.count}")


class Protocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way to train and test that can be compared, and who states it.

    `by` says what a member is; `by_cell` is false where one cell is in several splits, so that a
    score says nothing of unseen cells. With `leave_one_out` each split is left out in turn.
    `exhaustive` says that every member found in the files is in a split.
    """

    name: str
    by: str
    how: str
    source: str
    splits: tuple[Split, ...]
    columns: tuple[str, ...] = ()
    part: str = ""
    by_cell: bool = True
    leave_one_out: bool = False
    exhaustive: bool = True

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for split in self.splits:
            for member in split.members:
                if member in seen:
                    raise ValueError(
                        f"protocol {self.name}: {member} is in {seen[member]} and in {split.name}"
                    )
                seen[member] = split.name
        if len({split.name for split in self.splits}) != len(self.splits):
            raise ValueError(f"protocol {self.name}: two splits have one name")

    def folds(self) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        """Each test split with the members to train on and those to test on.

        Without `leave_one_out` the first split is trained on and each other one tested.
        """
        for split in self.splits if self.leave_one_out else self.splits[1:]:
            others = [one for one in self.splits if one is not split]
            train = others if self.leave_one_out else self.splits[:1]
            yield split.name, tuple(m for one in train for m in one.members), split.members


class DataSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public data set: facts, files, columns, protocols and known faults.

    `cell_count` counts the cells here, 0 where the data is not of cells. `page` is where the set
    is published, `copied_from` where these files came from. Names in `columns` may be patterns.
    """

    name: str
    short: str
    title: str
    what: str
    licence: str
    citation: str
    page: str
    copied_from: str
    parts: tuple[Part, ...]
    chemistries: tuple[str, ...] = ()
    cell_count: int = 0
    held_back: str = ""
    dois: tuple[str, ...] = ()
    columns: dict[str, Column] = {}
    protocols: tuple[Protocol, ...] = ()
    faults: tuple[Fault, ...] = ()
    keep_apart: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of a set: small letters, digits, _")
        if not self.page.startswith("https://"):
            raise ValueError("the page begins with https://")
        paths = [part.path for part in self.parts]
        if len(set(paths)) != len(paths):
            raise ValueError("two parts have one path")
        for protocol in self.protocols:
            named = {protocol.part, *(split.part for split in protocol.splits)} - {""}
            if not named <= set(paths):
                raise ValueError(f"protocol {protocol.name} names a part that is not there")

    def part(self, name: str = "") -> Part:
        """A part by its path, with or without suffix; the only one where there is but one.

        Raises:
            UsageError: there is no such part, or the name fits several.
        """
        parts = self.parts
        found = [part for part in parts if name in ("", part.path)] or [
            part for part in parts if name in _short_names(part.path)
        ]
        if len(found) != 1:
            raise UsageError(
                f"{self.name} has {'several parts' if found else 'no part'} {name}".rstrip(),
                hint=f"Name one of {', '.join(part.path for part in self.parts)}.",
            )
        return found[0]

    def protocol(self, name: str = "") -> Protocol:
        """A protocol by its name, the first one without.

        Raises:
            UsageError: the set has no such protocol, or none at all.
        """
        for protocol in self.protocols:
            if name in ("", protocol.name):
                return protocol
        raise UsageError(
            f"{self.name} has no protocol {name}".rstrip(),
            hint=f"It has {', '.join(one.name for one in self.protocols) or 'none'}.",
        )

    def column(self, label: str) -> Column | None:
        """What a column of a file is, by its own name or the first pattern that fits."""
        if label in self.columns:
            return self.columns[label]
        fits = (known for name, known in self.columns.items() if fnmatchcase(label, name))
        return next(fits, None)


def parse(text: bytes, source: str) -> DataSet:
    """A description from its TOML.

    Raises:
        DataError: it is no description, or contradicts itself.
    """
    try:
        return msgspec.toml.decode(text, type=DataSet)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{source}: {error}", hint="See the descriptions that come with the package."
        ) from error


def _expanded(text: str) -> list[str]:
    found = _RANGE.search(text)
    if not found:
        return [text]
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + 10_000:
        raise ValueError(f"{text!r} is no range")
    return [f"{text[: found.start()]}{n}{text[found.end() :]}" for n in range(first, last + 1)]


def _short_names(path: str) -> tuple[str, str, str]:
    place = PurePosixPath(path)
    return str(place.with_suffix("")), place.name, place.stem
