"""`choose`: which algorithm does best on somebody's own cells, told before, during and after."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from cellwarden.errors import UsageError
from cellwarden.health.comparison import (
    CHOICE,
    Conclusion,
    algorithms_for,
    baseline_answers,
    cannot_tell,
    choice_of,
    conclude,
    rows_of,
    together,
    told_by_fold,
)
from cellwarden.health.found import Found, pooled, split
from cellwarden.health.layouts import find
from cellwarden.health.learner import Algorithm
from cellwarden.health.own_table import Wish
from cellwarden.health.scoring import Answer, Row
from cellwarden.health.task import Fold, Task
from cellwarden.health.tuning import Tuned, tune

__all__ = ["choose_command", "figures_of", "kind_of", "listed", "plain"]


@dataclass(frozen=True, slots=True)
class _Compared:
    """The answers of all, how long each took, what all cells together preferred."""

    answers: dict[str, Answer]
    seconds: dict[str, float]
    final: Tuned


def choose_command(
    paths: Sequence[Path],
    kind: str,
    wish: Wish,
    algorithms: Sequence[str] = (),
    *,
    out: Path | None = None,
    save: Path | None = None,
    as_json: bool = False,
) -> None:
    """Compare algorithms on the cells of some files, and say which to take, if any.

    Raises:
        UsageError: the files, the columns or the algorithms are not clear.
        DataError: they hold too few cells.
    """
    console = Console(stderr=as_json)
    found = _one_group(find(paths, kind_of(kind), wish), wish)
    task, how = split(found)
    chosen = algorithms_for(found.kind, task, algorithms)
    _show_taken(console, found, task, how, chosen)
    limits = cannot_tell(task)
    for words in limits:
        console.print(f"[yellow]![/yellow] {escape(words)}")
    compared = _compare(task, chosen)
    baselines = baseline_answers(task, compared.answers)
    learners = {one.name for one in chosen if not one.baseline}
    every = compared.answers | baselines
    end = conclude(task, every, baselines, compared.final.chosen.algorithm.name)
    rows = rows_of(task, every)
    if out is not None:
        _draw(out, found, task, every, frozenset(baselines))
    if save is not None:
        _save(save, found, task, compared.final, rows)
    if as_json:
        seconds = compared.seconds
        print(json.dumps(_values(found, task, rows, seconds=seconds, end=end, limits=limits)))  # noqa: T201  an object for a program
        return
    console.print(_table(task, rows, compared.seconds, learners))
    console.print(escape(end.words), style="green" if end.sure else "yellow")
    if out is not None:
        console.print(f"Drawn in {out}")
    if save is not None:
        console.print(f"Saved in {save}; score it with `cellwarden score --model {save}`")


def listed(words: str) -> tuple[str, ...]:
    """The names between commas; one that holds a comma itself is kept whole."""
    joined = words.replace("gaussian process, ARD", "gaussian process\0 ARD")
    parts = (one.strip().replace("\0", ",") for one in joined.split(","))
    return tuple(one for one in parts if one)


def kind_of(word: str) -> Any:
    """A kind of task by its name.

    Raises:
        UsageError: there is none of this name.
    """
    if word not in ("soh", "life"):
        raise UsageError(f"there is no task {word!r}", hint="Name soh or life with --task.")
    return word


def _one_group(groups: Sequence[Found], wish: Wish) -> Found:
    if len(groups) == 1:
        return groups[0]
    names = ", ".join(one.group for one in groups)
    if not wish.group:
        raise UsageError(
            f"there are {len(groups)} groups of cells: {names}",
            hint="Name one with --group; a beginning that several share takes them together.",
        )
    return pooled(groups, wish.group)


def _show_taken(
    console: Console, found: Found, task: Task, how: str, chosen: Sequence[Algorithm]
) -> None:
    grid = Table(box=None, show_header=False, pad_edge=False)
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    grid.add_row("from", escape(found.source))
    for name, words in found.taken.items():
        grid.add_row(name, escape(words))
    for name, why in found.left_out.items():
        grid.add_row("left out", escape(f"{name}: {why}"), style="dim")
    grid.add_row("cells, rows", f"{len(task.cells):,}, {len(task.target):,}")
    grid.add_row("tested", escape(how))
    grid.add_row("algorithms", ", ".join(one.name for one in chosen))
    console.print(grid)


def _compare(task: Task, algorithms: Sequence[Algorithm]) -> _Compared:
    answers: dict[str, Answer] = {}
    parts: dict[str, list[Answer]] = {}
    seconds: dict[str, float] = {}
    console = Console(stderr=True)
    total = len(algorithms) * len(task.folds) + 1
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        job = bar.add_task("", total=total)
        for one in algorithms:
            bar.update(job, description=one.name)
            start = time.perf_counter()
            own = parts.setdefault(one.name, [])
            for answer in told_by_fold(task, one):
                own.append(answer)
                bar.advance(job)
            seconds[one.name] = time.perf_counter() - start
            answers[one.name] = together(own)
        learners = [one for one in algorithms if not one.baseline]
        bar.update(job, description="all cells")
        answers[CHOICE] = choice_of({one.name: parts[one.name] for one in learners})
        everything = task.training(Fold("all", tuple(range(len(task.cells))), ()))
        final = tune(learners, everything, task.choices, 0)
    return _Compared(answers, seconds, final)


def _table(task: Task, rows: Sequence[Row], seconds: dict[str, float], learners: set[str]) -> Table:
    """The table for people; baselines are dim."""
    percent = task.unit == "1"
    unit = "%" if percent else task.unit
    table = Table(
        title=f"{task.target_name}: {task.protocol}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("algorithm", min_width=14)
    for name in (f"RMSE, {unit}", "MAPE, %", "inside 90 %", f"width, {unit}", "seconds"):
        table.add_column(name, justify="right")
    scale, digits = (100.0, 2) if percent else (1.0, 3)
    for row in rows:
        inside = (
            ""
            if math.isnan(row.coverage)
            else f"{row.coverage:.2f} ({row.coverage_low:.2f} to {row.coverage_high:.2f})"
        )
        cells = [_number(scale * row.rmse, digits), f"{100 * row.mape:.2f}", inside]
        cells.append(_number(scale * row.width, digits))
        spent = f"{seconds[row.who]:.1f}" if row.who in seconds else ""
        style = "bold" if row.who == CHOICE else "" if row.who in learners else "dim"
        table.add_row(row.who, *cells, spent, style=style)
    return table


def _number(value: float, digits: int) -> str:
    if math.isnan(value):
        return ""
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.{digits}f}"  # noqa: PLR2004  three digits are enough


def _draw(
    out: Path,
    found: Found,
    task: Task,
    answers: dict[str, Answer],
    baselines: frozenset[str],
) -> None:
    from cellwarden.plots import comparison, write  # noqa: PLC0415  pictures are an extra

    own = answers[CHOICE]
    figure = comparison(
        f"{found.group}: {task.target_name}",
        {row.who: row.rmse for row in rows_of(task, answers)},
        baselines,
        measured=task.target[own.row],
        told=own.mean,
        low=own.low,
        high=own.high,
        unit=task.unit,
    )
    write(figure, out)


def _save(save: Path, found: Found, task: Task, final: Tuned, rows: Sequence[Row]) -> None:
    from cellwarden.registry.making import Origin, saved  # noqa: PLC0415  only where one is kept
    from cellwarden.registry.portable_file import encode_portable  # noqa: PLC0415  likewise
    from cellwarden.trust.keys import write_durably  # noqa: PLC0415  likewise

    (own,) = (row for row in rows if row.who == CHOICE)
    scores = tuple(
        (f"{task.protocol}; {what}", float(f"{value:.6g}"))
        for what, value in (("RMSE", own.rmse), ("MAPE", own.mape), ("coverage", own.coverage))
        if math.isfinite(value)
    )
    origin = Origin(found.group, "the owner's", "")
    model, label = saved(save.stem, replace(found, task=task), final, origin, flat=False)
    write_durably(save, encode_portable(model, replace(label, scores=scores)))


def figures_of(stem: str, rows: Sequence[Row], unit: str, data: str) -> list[dict[str, Any]]:
    """Errors and coverage of some rows as every command prints figures."""
    figures: list[dict[str, Any]] = []
    for row in rows:
        name = f"{stem}.{row.who.lower().replace(',', '').replace(' ', '_')}"
        numbers = (
            ("rmse", row.rmse, unit), ("mae", row.mae, unit), ("mape", row.mape, "1"),
            ("coverage90", row.coverage, "1"),
        )  # fmt: skip
        figures += [
            {"name": f"{name}.{what}", "value": float(f"{value:.6g}"), "unit": own, "data": data}
            for what, value, own in numbers
            if not math.isnan(value)
        ]
    return figures


def plain(value: object) -> object:
    """A value that JSON has: nothing for what is no number."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def _values(
    found: Found,
    task: Task,
    rows: Sequence[Row],
    *,
    seconds: dict[str, float],
    end: Conclusion,
    limits: Sequence[str],
) -> dict[str, Any]:
    data = f"{found.group}, {task.protocol}; seed 0"
    told = [
        {name: plain(value) for name, value in asdict(row).items()}
        | {"unit": task.unit, "wall_s": plain(seconds.get(row.who, math.nan))}
        for row in rows
    ]
    return {
        "figures": figures_of(f"choose.{task.name}", rows, task.unit, data),
        "rows": told,
        "taken": {**found.taken, "left out": dict(found.left_out)},
        "conclusion": asdict(end),
        "notes": [*limits, end.words],
    }
