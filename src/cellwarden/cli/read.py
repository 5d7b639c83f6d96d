"""Read a battery file and say what it holds, or what each of its columns would be taken for.

Imported when the command runs: readers bring DuckDB with them.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cellwarden.domain import Remark, Series, Severity, quantity
from cellwarden.readers import Guess, by_severity, guess, read, severity, write_bdf

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
) -> None:
    """Print the record of a file, or with `dry_run` how it would be read; write it as BDF.

    Raises:
        UsageError: there is no such file, or the mapping or `out` cannot be used.
        DataError: it holds no record of a cell.
    """
    if dry_run:
        found = guess(file, mapping=mapping)
        _show(_guess_values(found), lambda: _print_guess(found), as_json=as_json)
        return
    series = read(file, mapping=mapping)
    _show(_series_values(series), lambda: _print_series(series), as_json=as_json)
    if out is not None:
        write_bdf(series, out)
        print(f"Written to {out}", file=sys.stderr)  # noqa: T201  a command talks to its terminal


def _show(values: dict[str, object], pretty: Callable[[], None], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(values, ensure_ascii=False))  # noqa: T201  likewise
    else:
        pretty()


def _series_values(series: Series) -> dict[str, object]:
    return {
        "name": series.name,
        "source": series.source,
        "row_count": len(series),
        "nominal_capacity_ah": series.nominal_capacity_ah,
        "chemistry": series.chemistry,
        "columns": {name: {"low": low, "high": high} for name, low, high in series.ranges()},
        "remarks": _remark_values(series.remarks),
    }


def _remark_values(remarks: tuple[Remark, ...]) -> list[dict[str, object]]:
    return [
        {"severity": severity(remark).name.lower(), **asdict(remark)}
        for remark in by_severity(remarks)
    ]


def _guess_values(found: Guess) -> dict[str, object]:

    return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(found).items()}


def _print_series(series: Series) -> None:

    console = Console()
    ranges = {name: (low, high) for name, low, high in series.ranges()}
    low, high = ranges["test_time_second"]
    console.print(f"[bold]{escape(series.name)}[/bold]  {len(series):,} rows, {_span(high - low)}")
    known = [
        f"{series.nominal_capacity_ah:g} Ah nominal" if series.nominal_capacity_ah else "",
        series.chemistry or "",
        _clock(ranges.get("unix_time_second")),
    ]
    console.print(escape("  ".join(part for part in known if part)), style="dim")
    console.print(_range_table(ranges))
    _print_remarks(console, series.remarks)


def _print_remarks(console: Console, remarks: tuple[Remark, ...]) -> None:
    """The weightiest first, each with the name that programs know it by."""
    if not remarks:
        console.print("Nothing odd was noticed.", style="green")
    for remark in by_severity(remarks):
        console.print(
            f"{_MARKS[severity(remark)]} {escape(str(remark))} [dim]({remark.kind})[/dim]"
        )


def _range_table(ranges: dict[str, tuple[float, float]]) -> Table:

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
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
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
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
