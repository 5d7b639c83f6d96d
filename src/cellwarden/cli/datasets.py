"""`datasets`: what public data there is, what it holds, whether it is the right one, and get it.

Imported with every command line, so what a command needs is imported when it runs.
"""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from cellwarden.errors import DataError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from cellwarden.datasets import DataSet, Part, Protocol
    from cellwarden.datasets.check import Line

__all__ = ["datasets"]

datasets = typer.Typer(help="Public data sets.", rich_markup_mode=None)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Where the sets lie. [default: CELLWARDEN_DATA]")
]
CatalogueOption = Annotated[
    Path | None,
    typer.Option("--catalogue", help="A folder of descriptions. [default: the package's]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object.")]

_STYLES: Final = {
    "sound": "green",
    "noted": "green",
    "fetched": "green",
    "there already": "green",
    "wrong": "bold red",
    "absent": "red",
    "unknown": "yellow",
    "no address": "yellow",
}
_SHOWN_MEMBERS: Final = 6


@datasets.callback(invoke_without_command=True)
def list_sets(
    context: typer.Context,
    data: DataOption = None,
    catalogue: CatalogueOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the data sets, or show, open, check or fetch one."""
    if context.invoked_subcommand:
        if data or catalogue or as_json:
            raise UsageError(
                "options of the list before a command",
                hint=f"Write them after `{context.invoked_subcommand}`.",
            )
        return
    from cellwarden.datasets import catalogue as read_catalogue
    from cellwarden.datasets import data_folder

    place = data_folder(data)
    rows = [_summary(known, place) for known in read_catalogue(catalogue).values()]
    _put({"sets": rows}, lambda: _list_table(rows), as_json=as_json)


@datasets.command("show")
def show(name: str, catalogue: CatalogueOption = None, *, as_json: JsonOption = False) -> None:
    """Say what is known of a data set: source, licence, columns, splits, faults."""
    import msgspec

    from cellwarden.datasets import describe

    known = describe(name, catalogue)
    if as_json:
        _put(msgspec.to_builtins(known), list, as_json=True)
        return
    typer.echo("\n".join(_told(known)))


@datasets.command("open")
def open_part(
    name: str,
    part: Annotated[str, typer.Argument(help="A file of the set; without one, all.")] = "",
    data: DataOption = None,
    catalogue: CatalogueOption = None,
    *,
    record: Annotated[
        str | None, typer.Option("--record", help="One record of a part that holds several.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a part of a data set holds, or what parts there are."""
    from cellwarden.datasets import data_folder, describe, locate

    known = describe(name, catalogue)
    if part or len(known.parts) == 1:
        from cellwarden.cli.read import read_command

        path = locate(name, part, data, catalogue)
        read_command(path, dry_run=False, mapping=None, out=None, as_json=as_json, record=record)
        return
    folder = data_folder(data) / name
    rows = [_part_values(one, folder) for one in known.parts]
    _put({"name": name, "parts": rows}, lambda: _parts_table(rows), as_json=as_json)


@datasets.command("check")
def check_sets(
    name: Annotated[str, typer.Argument(help="A set; without one, all that are there.")] = "",
    data: DataOption = None,
    catalogue: CatalogueOption = None,
    *,
    record: Annotated[
        bool, typer.Option("--record", help="Note digests of files the catalogue does not name.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Hold the files against what is known: digests, rows, columns, splits."""
    from cellwarden.datasets import catalogue as read_catalogue
    from cellwarden.datasets import data_folder, describe
    from cellwarden.datasets.check import check, note_digests

    place = data_folder(data)
    if record:
        noted = note_digests(describe(name, catalogue), place) if name else None
        if noted is None:
            raise UsageError("--record without a set", hint="Name the set that you fetched.")
        print(f"Noted in {noted}", file=sys.stderr)  # noqa: T201  a command talks to its terminal
    every = [describe(name, catalogue)] if name else list(read_catalogue(catalogue).values())
    here = [known for known in every if name or (place / known.name).is_dir()]
    if not here:
        raise UsageError(f"{place}: no data set", hint="Set CELLWARDEN_DATA to their folder.")
    found = {known.name: check(known, place) for known in here}
    away = [known.name for known in every if known not in here]
    _put(_check_values(found, away), lambda: _check_table(found, away), as_json=as_json)
    bad = [one for one, lines in found.items() if any(line.is_failure for line in lines)]
    if bad:
        raise DataError(
            f"not as described: {', '.join(bad)}", hint="Fetch what is wrong or absent again."
        )


@datasets.command("fetch")
def fetch_set(
    name: str,
    to: Annotated[Path, typer.Option("--to", help="The folder of data sets to fetch into.")],
    catalogue: CatalogueOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Get the public files of a data set; each is kept only when its SHA-256 holds."""
    from cellwarden.datasets import describe
    from cellwarden.datasets.fetch import fetch

    known = describe(name, catalogue)
    rows = []
    for got in fetch(known, to, progress=_progress() if sys.stderr.isatty() else None):
        row = {"path": got.part.path, "state": got.state, "said": got.said or str(got.path)}
        rows.append(row)
        if not as_json:
            typer.echo(f"{got.state}: {row['path']}  {row['said']}")
    if as_json:
        _put({"name": name, "parts": rows}, list, as_json=True)


def _put(values: object, pretty: "Callable[[], Iterable[Table]]", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(values, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console()
    for table in pretty():
        console.print(table)


def _summary(known: "DataSet", place: Path) -> dict[str, Any]:
    here = sum((place / known.name / part.path).is_file() for part in known.parts)
    return {
        "name": known.name,
        "title": known.title,
        "chemistries": list(known.chemistries),
        "cell_count": known.cell_count,
        "byte_count": sum(part.byte_count for part in known.parts),
        "licence": known.licence,
        "part_count": len(known.parts),
        "here_count": here,
        "fetchable_count": sum(bool(part.address) for part in known.parts),
    }


def _list_table(rows: list[dict[str, Any]]) -> "list[Table]":
    table = _table("set", "what", "cells", "MB", "licence", "files here")
    for row in rows:
        table.add_row(
            row["name"],
            row["title"],
            str(row["cell_count"] or ""),
            f"{row['byte_count'] / 1e6:.1f}",
            row["licence"],
            f"{row['here_count']} of {row['part_count']}",
        )
    return [table]


def _told(known: "DataSet") -> Iterable[str]:
    """The description as lines for a terminal."""
    yield f"{known.name}: {known.title}"
    yield known.what
    facts = {
        "chemistry": ", ".join(known.chemistries),
        "cells here": str(known.cell_count or ""),
        "held back": known.held_back,
        "licence": known.licence,
        "cite": known.citation,
        "DOI": ", ".join(known.dois),
        "page": known.page,
        "copied from": known.copied_from,
    }
    yield from (f"  {name}: {said}" for name, said in facts.items() if said)
    yield "files"
    for part in known.parts:
        rows = "" if part.row_count is None else f", {part.row_count:,} rows"
        yield f"  {part.path}: {part.what} ({part.byte_count:,} bytes{rows})"
    if known.columns:
        yield "columns"
    for label, column in known.columns.items():
        yield f"  {label}{f' [{column.unit}]' if column.unit else ''}: {column.what}"
    for protocol in known.protocols:
        yield from _told_protocol(protocol)
    for title, said in (
        ("known faults", [f"{one.what} ({one.known_by})" for one in known.faults]),
        ("keep apart", known.keep_apart),
    ):
        if said:
            yield title
        yield from (f"  {line}" for line in said)


def _told_protocol(protocol: "Protocol") -> Iterable[str]:
    yield f"protocol {protocol.name}, by {protocol.by}" + (
        "" if protocol.by_cell else ": NOT by cell, a score says nothing of unseen cells"
    )
    yield f"  {protocol.how}"
    yield f"  source: {protocol.source}"
    for split in protocol.splits:
        members = ", ".join(split.members[:_SHOWN_MEMBERS])
        more = ", …" if len(split.members) > _SHOWN_MEMBERS else ""
        held = ", held back" if split.held_back else ""
        count = "number not stated" if split.count is None else split.count
        yield f"  {split.name} ({count}{held}): {members or 'not named'}{more}"


def _part_values(part: "Part", folder: Path) -> dict[str, Any]:
    return {
        "path": part.path,
        "what": part.what,
        "form": part.form,
        "byte_count": part.byte_count,
        "row_count": part.row_count,
        "here": (folder / part.path).is_file(),
    }


def _parts_table(rows: list[dict[str, Any]]) -> "list[Table]":
    table = _table("part", "what", "rows", "bytes", "here")
    for row in rows:
        count = "" if row["row_count"] is None else f"{row['row_count']:,}"
        here = "yes" if row["here"] else "no"
        table.add_row(row["path"], row["what"], count, f"{row['byte_count']:,}", here)
    return [table]


def _check_values(found: "dict[str, tuple[Line, ...]]", away: list[str]) -> dict[str, Any]:
    return {
        "sets": [
            {
                "name": name,
                "sound": not any(line.is_failure for line in lines),
                "lines": [
                    {"what": line.what, "state": line.state, "said": line.said} for line in lines
                ],
            }
            for name, lines in found.items()
        ],
        "away": away,
    }


def _check_table(found: "dict[str, tuple[Line, ...]]", away: list[str]) -> "Iterable[Table]":
    from rich.markup import escape

    for name, lines in found.items():
        table = _table("file or protocol", "", "found")
        table.title = name
        for line in lines:
            style = _STYLES[line.state]
            table.add_row(escape(line.what), f"[{style}]{line.state}[/{style}]", escape(line.said))
        yield table
    if away:
        table = _table("not here")
        table.add_row(", ".join(away))
        yield table


def _table(*titles: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left")
    for title in titles:
        right = title in ("cells", "MB", "rows", "bytes")
        justify: Literal["left", "right"] = "right" if right else "left"
        table.add_column(title, justify=justify, overflow="fold", no_wrap=right or title == "set")
    return table


def _progress() -> "Callable[[Part, int], None]":
    """Tell a terminal how far a part has come, on one line."""

    def tell(part: "Part", count: int) -> None:
        share = 100 * count / max(part.byte_count, 1)
        end = "\n" if count == part.byte_count else "\r"
        sys.stderr.write(f"{part.path}: {share:3.0f} %{end}")

    return tell
