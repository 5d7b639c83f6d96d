"""`cycles` and `steps`: the tables of a record, on the terminal, as JSON, or as a file.

Imported when the command runs: readers bring DuckDB with them.
"""

import contextlib
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import duckdb
import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from cellwarden.domain import QUANTITIES, Table
from cellwarden.errors import UnavailableError, UsageError
from cellwarden.features import Limits, cycle_table, steps
from cellwarden.readers import load_mapping, read

__all__ = ["tables_command", "write_table"]

# What a terminal shows of each table, with its heading; `--out` and `--json` give all columns.
_SHOWN: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "cycles": {
            "cycle_count": "cycle",
            "cycle_kind": "kind",
            "charging_capacity_ah": "in",
            "discharging_capacity_ah": "out",
            "coulombic_efficiency_fraction": "charge\nout/in",
            "energy_efficiency_fraction": "energy\nout/in",
            "mean_charging_voltage_volt": "in",
            "mean_discharging_voltage_volt": "out",
            "discharging_resistance_ohm": "resist.",
        },
        "steps": {
            "cycle_count": "cycle",
            "step_count": "step",
            "step_kind": "kind",
            "duration_second": "lasts",
            "charging_capacity_ah": "in",
            "discharging_capacity_ah": "out",
            "mean_current_ampere": "mean",
            "start_voltage_volt": "from",
            "end_voltage_volt": "to",
            "resistance_ohm": "resist.",
        },
    }
)
_SHOWN_ROWS: Final = 24
_FORMS: Final = MappingProxyType({".csv": "FORMAT csv", ".parquet": "FORMAT parquet"})


def tables_command(
    kind: str,
    file: Path,
    *,
    mapping: Path | None,
    current_sign: int | None,
    record: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Print the table of steps or cycles of a record; write all of it with `out`.

    Raises:
        UsageError: there is no such file, or the mapping or `out` cannot be used.
        DataError: it holds no record of a cell.
    """
    if out is not None:
        _form(out)
    words = load_mapping(mapping)
    if current_sign is not None:
        words = replace(words, current_sign=current_sign)
    series = read(file, mapping=words, record=record)
    table = (cycle_table if kind == "cycles" else steps)(series, Limits())
    if as_json:
        print(json.dumps(_values(table), ensure_ascii=False))  # noqa: T201  for a program
    else:
        _print(table)
    if out is not None:
        write_table(table, out)
        print(f"Written to {out}", file=sys.stderr)  # noqa: T201  a command talks to its terminal


def _form(target: Path) -> str:
    """How DuckDB is to write a file, by its suffix."""
    try:
        return _FORMS[target.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"{target}: a table is written as CSV or Parquet",
            hint="End the name in .csv or .parquet.",
        ) from None


def write_table(table: Table, target: Path) -> None:
    """Write a table as CSV or Parquet by suffix, whole or not at all; NaN is an empty cell.

    Raises:
        UsageError: the suffix is neither `.csv` nor `.parquet`.
        UnavailableError: the disk does not take it.
    """
    options, part = _form(target), target.with_name(f".{target.name}.part")
    chosen = ", ".join(
        f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END AS {name}"
        if table[name].dtype.kind == "f"
        else name
        for name in table
    )
    place = str(part.absolute()).replace("'", "''")
    try:
        with duckdb.connect() as connection:
            connection.register("made", table)
            connection.execute(f"COPY (SELECT {chosen} FROM made) TO '{place}' ({options})")
        part.replace(target)
    except (duckdb.Error, OSError) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise UnavailableError(
            f"{target}: {str(error).splitlines()[0]}",
            hint="Check the folder, its rights and space.",
        ) from error


def _values(table: Table) -> dict[str, object]:
    return {
        "name": table.name,
        "kind": table.kind,
        "source": table.source,
        "row_count": len(table),
        "columns": {name: [_value(v) for v in table[name].tolist()] for name in table},
        "remarks": [asdict(remark) for remark in table.remarks],
    }


def _value(value: object) -> object:
    """A number as JSON has it: what is no number is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(table: Table) -> None:
    console = Console()
    kind = table.kind.removesuffix("s") if len(table) == 1 else table.kind
    console.print(f"[bold]{escape(table.name)}[/bold]  {len(table):,} {kind}")
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown = {name: title for name, title in _SHOWN[table.kind].items() if name in table}
    for name, title in shown.items():
        unit = QUANTITIES[name].unit if name in QUANTITIES else "1"
        grid.add_column(title if unit == "1" else f"{title}\n{unit}", justify="right", no_wrap=True)
    texts = [_texts(table[name]) for name in shown]
    for row in _chosen(len(table)):
        grid.add_row(*("…" if row < 0 else column[row] for column in texts))
    console.print(grid)
    for remark in table.remarks:
        console.print(f"[dim]·[/dim] {escape(str(remark))}")


def _chosen(count: int) -> list[int]:
    """All rows, or the first and the last with -1 between them. [1]"""
    if count <= _SHOWN_ROWS:
        return list(range(count))
    half = _SHOWN_ROWS // 2
    return [*range(half), -1, *range(count - half, count)]


def _texts(column: np.ndarray) -> list[str]:
    """A column as text: four digits of its largest number, nothing for NaN."""
    if column.dtype.kind != "f":
        return [str(value) for value in column]
    largest = float(np.fmax.reduce(np.abs(column), initial=0.0))
    digits = 3 - math.floor(math.log10(largest)) if 0 < largest < math.inf else 0
    return [
        f"{value + 0.0:.{max(digits, 0)}f}" if math.isfinite(value) else ""
        for value in np.round(column, digits).tolist()
    ]
