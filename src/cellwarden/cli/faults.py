"""`faults`: every row of the fault table injected, and how often it is raised for nothing."""

import json
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cellwarden.drills import clean, runaway
from cellwarden.drills.faults import drill
from cellwarden.drills.figures import (
    clean_figures,
    fault_figures,
    fault_summaries,
    warning_figures,
)
from cellwarden.drills.scene import CONDITIONS
from cellwarden.errors import UsageError

__all__ = ["faults_command", "run_faults", "show_faults"]

_CLEAN_HOURS = 8.0
_QUICK_HOURS = 1.0
_RUNAWAY_RATES = (5.0, 10.0)
_ROUNDING = 1e-9


def faults_command(only: tuple[str, ...], data: Path | None, *, as_json: bool, quick: bool) -> bool:
    """Run the drill and print it; whether every fault was seen in time and none made up.

    Raises:
        UsageError: no such row.
    """
    told = run_faults(only, data, quick=quick)
    if as_json:
        print(json.dumps(told))  # noqa: T201  one object for a program
    else:
        show_faults(told, Console())
    values = {figure["name"]: figure["value"] for figure in told["figures"]}
    wrong = values["faults.late_count"] + values["faults.raised_within_limit_count"]
    return bool(values["faults.detected_fraction"] == 1.0 and wrong == 0)


def run_faults(only: tuple[str, ...], data: Path | None, *, quick: bool) -> dict[str, Any]:
    """Figures, a summary of each row, and notes; with rows named, these alone."""
    conditions = (CONDITIONS[0], CONDITIONS[-1]) if quick else CONDITIONS
    outcomes = drill(conditions, only)
    if not outcomes:
        raise UsageError(
            f"no such row, or not in these conditions: {', '.join(only)}",
            hint="docs/faults.md lists the rows; leave --quick out for all conditions.",
        )
    figures = fault_figures(outcomes)
    notes = []
    if not only:
        present = data is not None and data.is_dir()
        hours = _QUICK_HOURS if quick else _CLEAN_HOURS
        with ProcessPoolExecutor(2) as pool:
            sound = pool.submit(clean.sound_hours, hours, packs_a_kind=1 if quick else 8)
            driven = pool.submit(clean.trips, data) if present and data and not quick else None
            warned = list(pool.map(runaway.twin_runaway, _RUNAWAY_RATES))
            quiet, car = sound.result(), driven.result() if driven else None
        if present and data is not None:
            warned = [*runaway.abuse_tests(data), *warned]
        else:
            notes.append("The abuse tests and the car's trips are not under CELLWARDEN_DATA.")
        figures += [*clean_figures(quiet, car), *warning_figures(warned)]
        notes.append("The bound is Poisson, 95 %; the long clean run is `make soak`.")
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    for figure in figures:
        figure["machine"] = machine
    return {"figures": figures, "rows": fault_summaries(outcomes), "notes": notes}


def show_faults(told: dict[str, Any], console: Console) -> None:
    """A line a row, then the figures."""
    table = Table(title="Faults injected", title_justify="left")
    table.add_column("row", no_wrap=True)
    for title in ("in", "seen", "late", "slowest", "smallest seen"):
        table.add_column(title, overflow="fold")
    for row in told["rows"]:
        table.add_row(
            row["row"],
            row["place"],
            f"{row['detected']}/{row['beyond']}",
            str(row["late"]),
            f"{row['slowest_second']:.1f}/{row['allowance_second']:.1f} s",
            _smallest(row),
        )
    console.print(table)
    figures = Table(title_justify="left")
    for title in ("figure", "value", "unit", "goal", "data"):
        figures.add_column(title, overflow="fold")
    for one in told["figures"]:
        figures.add_row(
            one["name"], f"{one['value']:,}", one["unit"], one.get("goal", ""), one["data"]
        )
    console.print(figures)
    for note in told["notes"]:
        console.print(note)


def _smallest(row: dict[str, Any]) -> str:
    """The smallest magnitude that was seen, told against the limit where there is one."""
    level, unit = row["smallest_detected"], row["unit"]
    if level is None:
        return "none"
    if row["of_limit"] and level < _ROUNDING:
        return "the limit itself"
    if row["of_limit"]:
        return f"limit {'-' if row['low'] else '+'} {level:.4g} {unit}"
    return "there" if unit == "1" else f"{level:.4g} {unit}"
