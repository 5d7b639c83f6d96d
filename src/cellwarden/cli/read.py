"""Read a battery file and say what it holds, or what each of its columns would be taken for.

Imported when the command runs: readers bring DuckDB with them.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table as Grid

from cellwarden.domain import TABLE_KINDS, Remark, Series, Severity, Table, quantity
from cellwarden.readers import (
    ColumnMapping,
    Guess,
    by_severity,
    guess,
    load,
    load_mapping,
    scan,
    severity,
    write_bdf,
)

__all__ = ["read_command"]

_DAY_SECOND: Final = 86_400.0
_HOUR_SECOND: Final = 3_600.0
_MARKS: Final = {
    Severity.ALARM: "[bold red]![/bold red]",
    Severity.WARNING: "[yellow]![/yellow]",
    Severity.INFO: "[dim]·[/dim]",
}
_SIGNS: Final = {1: "positive charges", -1: "positive discharges: it is turned"}


def read_command(
    file: Path,
    dry_run: bool,  # noqa: FBT001  a switch of the command line
    mapping: Path | None,
    out: Path | None,
    as_json: bool,  # noqa: FBT001  likewise
    *,
    current_sign: int | None = None,
    record: str | None = None,
) -> None:
    """Print what a file holds, or with `dry_run` how it would be read; write a record as BDF.

    `current_sign` goes before what the mapping says of it; `record` names one of several.

    Raises:
        UsageError: there is no such file, or the mapping or `out` cannot be used.
        DataError: it holds neither a record of a cell nor a table.
    """
    words = load_mapping(mapping)
    if current_sign is not None:
        words = replace(words, current_sign=current_sign)
    if dry_run:
        found = guess(file, mapping=words if record is None else replace(words, record=record))
        _show(_guess_values(found), lambda: _print_guess(found), as_json=as_json)
        return
    if out is not None and record is None:
        _write_pieces(file, words, out, as_json=as_json)
        return
    content = load(file, mapping=words, record=record)
    if isinstance(content, Table):
        _show(_table_values(content), lambda: _print_table(content), as_json=as_json)
        return
    summary = _Summary()
    summary.add(content)
    _show(summary.values(), summary.print, as_json=as_json)
    if out is not None:
        write_bdf(content, out)
        _tell_written(out)


def _write_pieces(file: Path, words: ColumnMapping, out: Path, *, as_json: bool) -> None:
    """Write a record of any length; memory holds a piece of it."""
    summary = _Summary()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"Reading {file.name}", total=1.0)
        pieces = scan(file, mapping=words, progress=lambda done: bar.update(task, completed=done))
        write_bdf(map(summary.add, pieces), out)
    _show(summary.values(), summary.print, as_json=as_json)
    _tell_written(out)


def _tell_written(out: Path) -> None:
    print(f"Written to {out}", file=sys.stderr)  # noqa: T201  a command talks to its terminal


def _show(values: dict[str, object], pretty: Callable[[], None], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(values, ensure_ascii=False))  # noqa: T201  likewise
    else:
        pretty()


class _Summary:
    """What is said of a record, gathered from its pieces."""

    def __init__(self) -> None:
        self._rows = 0
        self._ranges: dict[str, tuple[float, float]] = {}
        self._last: Series | None = None

    def add(self, piece: Series) -> Series:
        """Note a piece and hand it on."""
        self._rows += len(piece)
        for name, low, high in piece.ranges():
            known = self._ranges.get(name, (low, high))
            self._ranges[name] = (min(known[0], low), max(known[1], high))
        nothing: dict[str, Any] = dict.fromkeys(piece.columns(), np.zeros(0))
        self._last = replace(piece, **nothing)
        return piece

    def values(self) -> dict[str, object]:
        """The summary for programs."""
        series = self._series()
        return {
            "name": series.name,
            "source": series.source,
            "row_count": self._rows,
            "nominal_capacity_ah": series.nominal_capacity_ah,
            "chemistry": series.chemistry,
            "columns": {n: {"low": low, "high": high} for n, (low, high) in self._ranges.items()},
            "remarks": _remark_values(series.remarks),
        }

    def print(self) -> None:
        """The summary on a screen."""
        console, series = Console(), self._series()
        low, high = self._ranges["test_time_second"]
        console.print(
            f"[bold]{escape(series.name)}[/bold]  {self._rows:,} rows, {_span(high - low)}"
        )
        known = [
            f"{series.nominal_capacity_ah:g} Ah nominal" if series.nominal_capacity_ah else "",
            series.chemistry or "",
            _clock(self._ranges.get("unix_time_second")),
        ]
        console.print(escape("  ".join(part for part in known if part)), style="dim")
        console.print(_range_table(self._ranges))
        _print_remarks(console, series.remarks)

    def _series(self) -> Series:
        assert self._last is not None  # noqa: S101  a record has at least one piece
        return self._last


def _table_values(table: Table) -> dict[str, object]:
    return {
        "name": table.name,
        "source": table.source,
        "kind": table.kind,
        "row_count": len(table),
        "columns": {name: _column_value(table[name]) for name in table},
        "remarks": _remark_values(table.remarks),
    }


def _column_value(column: np.ndarray) -> dict[str, object]:
    """Lowest and highest of numbers, how many different of texts."""
    if column.dtype.kind != "f":
        return {"values": len(set(column.tolist()))}
    known = column[np.isfinite(column)]
    return {"low": float(known.min()), "high": float(known.max())} if known.size else {}


def _remark_values(remarks: tuple[Remark, ...]) -> list[dict[str, object]]:
    return [
        {"severity": severity(remark).name.lower(), **asdict(remark)}
        for remark in by_severity(remarks)
    ]


def _guess_values(found: Guess) -> dict[str, object]:

    return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(found).items()}


def _print_table(content: Table) -> None:
    console = Console()
    console.print(
        f"[bold]{escape(content.name)}[/bold]  {content.kind}: {TABLE_KINDS[content.kind]},"
        f" {len(content):,} rows"
    )
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("column", "lowest", "highest", "holds"):
        grid.add_column(title, justify="right" if title.endswith("est") else "left")
    for name in content:
        column, found = content[name], _column_value(content[name])
        holds = f"{found['values']} texts" if "values" in found else ""
        if column.ndim > 1:
            holds = f"curves of {column.shape[1]:,} points"
        limits = (f"{found[key]:,.6g}" if key in found else "" for key in ("low", "high"))
        grid.add_row(escape(name), *limits, holds)
    console.print(grid)
    _print_remarks(console, content.remarks)


def _print_remarks(console: Console, remarks: tuple[Remark, ...]) -> None:
    """The weightiest first, each with the name that programs know it by."""
    if not remarks:
        console.print("Nothing odd was noticed.", style="green")
    for remark in by_severity(remarks):
        console.print(
            f"{_MARKS[severity(remark)]} {escape(str(remark))} [dim]({remark.kind})[/dim]"
        )


def _range_table(ranges: dict[str, tuple[float, float]]) -> Grid:

    table = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("column")
    table.add_column("lowest", justify="right")
    table.add_column("highest", justify="right")
    table.add_column("unit")
    for name, (low, high) in ranges.items():
        row = quantity(name)
        table.add_row(name, f"{low:,.10g}", f"{high:,.10g}", row.unit if row.unit != "1" else "")
    return table


def _print_guess(found: Guess) -> None:

    console = Console()
    console.print(f"[bold]{escape(found.format)}[/bold]  {escape(found.layout)}")
    table = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("in the file", "becomes", "unit", "factor", "why"):
        table.add_column(title, overflow="fold")
    for column in found.used():
        factor = f"× {column.factor:g}" if column.factor != 1 else ""
        if column.offset:
            factor += f" {column.offset:+g}"
        cells = (column.label, column.field or "", column.unit, factor, column.evidence)
        table.add_row(*map(escape, cells))
    console.print(table)
    sign = _SIGNS.get(found.current_sign, "not told by the numbers")
    console.print(
        f"current: {sign}" + escape(f" ({found.sign_evidence})" * bool(found.sign_evidence))
    )
    if found.unused():
        console.print(f"unused: {escape(', '.join(found.unused()))}", style="dim")
    for doubt in found.doubts:
        console.print(f"[yellow]?[/yellow] {escape(doubt)}")


def _span(second: float) -> str:
    if second >= 2 * _DAY_SECOND:
        return f"{second / _DAY_SECOND:,.1f} days"
    if second >= _HOUR_SECOND:
        return f"{second / _HOUR_SECOND:,.1f} hours"
    return f"{second:,.4g} seconds"


def _clock(limits: tuple[float, float] | None) -> str:
    if limits is None:
        return ""
    try:
        days = [datetime.fromtimestamp(second, UTC).date().isoformat() for second in limits]
    except (ValueError, OverflowError, OSError):
        return ""  # a clock beyond the calendar is in the table as a number
    return f"{days[0]} to {days[1]}"
