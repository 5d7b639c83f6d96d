"""`score`: a saved model on cells that it has not seen, for whoever holds the cells."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cellwarden.cli.choose import figures_of, kind_of, plain
from cellwarden.datasets import catalogue
from cellwarden.errors import UsageError
from cellwarden.health.layouts import find, records_in
from cellwarden.health.own_table import Wish
from cellwarden.health.portable import Portable
from cellwarden.health.soc_trial import Entered, coverage_span
from cellwarden.registry.circuits import DriveTrial, try_circuit
from cellwarden.registry.portable_file import Label
from cellwarden.registry.served_trial import try_served
from cellwarden.registry.shelf import (
    load,
    load_card,
    open_circuit,
    open_portable,
    read_circuit,
    read_portable,
)
from cellwarden.registry.trial import Trial, kin, training_marks, try_out

__all__ = ["opened", "score_command"]


def score_command(
    model: str,
    data: Path,
    kind: str,
    wish: Wish,
    *,
    as_json: bool = False,
) -> None:
    """Score a model's file, or a shipped model, on the cells of a folder or a file.

    Raises:
        UsageError: model or cells are not there, or do not fit each other.
        DataError: a file cannot be read.
    """
    if kind == "soc":
        _score_drives(model, data, as_json=as_json)
        return
    if model == "soh" and not Path(model).is_file():
        _score_records(data, kind, wish, as_json=as_json)
        return
    saved, label, digest = opened(model)
    if label.kind != kind_of(kind):
        raise UsageError(
            f"{label.name} is a model of {label.kind}, not {kind}", hint=f"--task {label.kind}"
        )
    groups = find(
        _folders(data, label),
        kind_of(kind),
        Wish(wish.cell, wish.target, wish.features, "", wish.nominal_ah),
    )
    trial = try_out(saved, label, groups, wish.group)
    told = _values(trial, label, digest, "90")
    if as_json:
        print(json.dumps(told))  # noqa: T201  one object for a program
        return
    _print(Console(), trial, label, digest)


def _score_records(data: Path, kind: str, wish: Wish, *, as_json: bool) -> None:
    """The served model, whose file is of its own kind, on testers' records."""
    if kind != "soh":
        raise UsageError(f"soh is a model of soh, not {kind}", hint="--task soh")
    model, card = load(), load_card()
    label = Label("soh", "soh", "state of health", "1", sources=card.sources)
    trial = try_served(model, records_in(_folders(data, label), wish.nominal_ah))
    if as_json:
        told = _values(trial, label, card.digest, f"{model.full.coverage:.0%}".rstrip("%"))
        print(json.dumps(told))  # noqa: T201  one object for a program
        return
    _print(Console(), trial, label, card.digest)


def _score_drives(model: str, data: Path, *, as_json: bool) -> None:
    file = Path(model)
    circuit, label, digest = open_circuit(file) if file.suffix else read_circuit(model)
    trial = try_circuit(circuit, label, data)
    told = _drive_values(trial, label, digest)
    if as_json:
        print(json.dumps(told))  # noqa: T201  one object for a program
        return
    console = Console()
    console.print(f"[bold]{escape(label.name)}[/bold]  SHA-256 {digest}", soft_wrap=True)
    for words in told["notes"]:
        console.print(f"[yellow]![/yellow] {escape(words)}")
    table = _grid(label.target, "MAE, %", "RMSE, %", "inside 90 %", "counting, %", "entries")
    for row in told["rows"]:
        table.add_row(
            row["drive"], *(f"{100 * row[name]:.2f}" for name in ("mae", "rmse")),
            f"{row['coverage']:.2f}", f"{100 * row['counted_mae']:.2f}", str(row["entry_count"]),
            style="" if row["of"] != "drive" else "dim",
        )  # fmt: skip
    console.print(table)


def _drive_values(trial: DriveTrial, label: Label, digest: str) -> dict[str, Any]:
    """The trial of a circuit as every command gives figures."""
    every = trial.entries
    names = sorted({one.drive for one in every})
    rows = [_drive_row("all drives", "all", every)]
    for celsius in sorted({one.ambient_celsius for one in every}):
        own = [one for one in every if one.ambient_celsius == celsius]
        rows.append(_drive_row(f"{celsius:g} °C", "temperature", own))
    rows += [_drive_row(name, "drive", [e for e in every if e.drive == name]) for name in names]
    data = f"{len(names)} drives not learnt from, {len(every)} entries, scored from minute 10"
    low, high = coverage_span(every)
    stem = f"score.{label.name}"
    figures: list[dict[str, Any]] = [
        {"name": f"{stem}.{name}", "value": rows[0][key], "unit": "1", "data": data}
        for name, key in (
            ("mae", "mae"), ("rmse", "rmse"), ("coverage90", "coverage"), ("width", "width"),
            ("coulomb_counting.mae", "counted_mae"),
        )
    ]  # fmt: skip
    figures[2]["interval95"] = [plain(low), plain(high)]
    notes = kin(label)
    if trial.known:
        notes.insert(0, f"{len(trial.known)} drives were learnt from and are not scored.")
    return {
        "figures": figures,
        "rows": rows,
        "model": {
            "name": label.name,
            "sha256": digest,
            "training_drives": list(training_marks(label)),
        },
        "not_scored": [{"drive": name, "learnt_from_as": seen} for name, seen in trial.known],
        "notes": notes,
    }


def _drive_row(name: str, of: str, entries: Sequence[Entered]) -> dict[str, Any]:
    def mean(values: Iterable[float]) -> float:
        return float(f"{np.mean(list(values)):.6g}")

    return {
        "drive": name,
        "of": of,
        "mae": mean(one.mae for one in entries),
        "rmse": float(f"{np.sqrt(np.mean([one.rmse**2 for one in entries])):.6g}"),
        "coverage": mean(one.inside for one in entries),
        "width": mean(one.width for one in entries),
        "counted_mae": mean(one.counted_mae for one in entries),
        "entry_count": len(entries),
    }


def opened(model: str) -> tuple[Portable, Label, str]:
    """A portable model by its file or by the name of a shipped one.

    Raises:
        UsageError: there is neither.
    """
    if Path(model).suffix or Path(model).is_file():
        return open_portable(Path(model))
    return read_portable(model)


def _folders(data: Path, label: Label) -> list[Path]:
    """The files' own folder; in a folder of sets those that the model's cells are of."""
    sets = {source.name for source in label.sources}
    inside = [data / name for name, one in catalogue().items() if one.short in sets]
    return [one for one in inside if one.is_dir()] or [data]


def _values(trial: Trial, label: Label, digest: str, percent: str) -> dict[str, Any]:
    """The trial as every command gives figures."""
    unit, stem = label.unit, f"score.{label.name}"
    first = trial.rows[0]
    data = (
        f"{trial.found.group}: {first.cell_count} cells, {first.row_count:,} rows not learnt from"
    )
    figures = figures_of(stem, [first], unit, data)
    for one in figures:
        one["name"] = one["name"].replace(f"{stem}.{label.name}.", f"{stem}.")
        if one["name"].endswith("coverage90"):
            one["name"] = one["name"].replace("coverage90", f"coverage{percent}")
            one["interval95"] = [plain(first.coverage_low), plain(first.coverage_high)]
    figures += figures_of(stem, trial.rows[1:], unit, data)
    rows: list[dict[str, Any]] = []
    for row in trial.rows:
        told = {name: plain(value) for name, value in asdict(row).items()}
        rows.append({"of": "all cells", **told, "unit": unit})
    for cell in trial.cells:
        told = {name: plain(value) for name, value in asdict(cell).items()}
        rows.append({"of": "cell", "who": label.name, **told, "unit": unit})
    return {
        "figures": figures,
        "rows": rows,
        "model": {
            "name": label.name,
            "sha256": digest,
            "training_cells": list(training_marks(label)),
        },
        "not_scored": [{"cell": name, "learnt_from_as": seen} for name, seen in trial.known],
        "notes": list(trial.warnings),
    }


def _print(console: Console, trial: Trial, label: Label, digest: str) -> None:
    percent = label.unit == "1"
    unit, scale, digits = ("%", 100.0, 2) if percent else (label.unit, 1.0, 1)
    console.print(f"[bold]{escape(label.name)}[/bold]  SHA-256 {digest}", soft_wrap=True)
    names = training_marks(label)
    shown = ", ".join(list(names)[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")  # noqa: PLR2004  enough to see which
    console.print(escape(f"learnt from {len(names)} cells: {shown}"), style="dim")
    for words in trial.warnings:
        console.print(f"[yellow]![/yellow] {escape(words)}")
    heads = (f"RMSE, {unit}", f"MAE, {unit}", "MAPE, %", "inside", "rows")
    table = _grid(f"{label.target}: {trial.found.group}", *heads)
    for row in trial.rows:
        inside = (
            ""
            if math.isnan(row.coverage)
            else (f"{row.coverage:.2f} ({row.coverage_low:.2f} to {row.coverage_high:.2f})")
        )
        table.add_row(
            row.who, f"{scale * row.rmse:.{digits}f}", f"{scale * row.mae:.{digits}f}",
            f"{100 * row.mape:.2f}", inside, f"{row.row_count:,}",
        )  # fmt: skip
    table.add_section()
    for cell in trial.cells:
        inside = "" if math.isnan(cell.coverage) else f"{cell.coverage:.2f}"
        table.add_row(
            escape(cell.cell), f"{scale * cell.rmse:.{digits}f}", f"{scale * cell.mae:.{digits}f}",
            f"{100 * cell.mape:.2f}", inside, f"{cell.row_count:,}", style="dim",
        )  # fmt: skip
    console.print(table)


def _grid(title: str, *heads: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", min_width=20)
    for name in heads:
        table.add_column(name, justify="right", no_wrap=True)
    return table
