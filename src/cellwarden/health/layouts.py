"""Cells found in files and folders: the layouts of the catalogue's sets, tables, testers' records.

Rules
- Content decides: a table's columns say which layout it is, whatever the file is called; the name
  of a file tells the laboratory or the split alone.
- A layout is known by the columns that its set has, so a folder with other cells of the same set is
  read like the set itself.
- Files that hold nothing of use are named, not silently skipped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from cellwarden.domain import Series, Table
from cellwarden.errors import DataError, Error, UsageError
from cellwarden.health import pulse
from cellwarden.health.causal import AGE, choices, past_columns
from cellwarden.health.fade_life import find_fade
from cellwarden.health.found import Found, Kind, marks_of
from cellwarden.health.own_table import Wish, find_in_table, first_of_each
from cellwarden.health.task import Task
from cellwarden.health.tasks import (
    NOMINAL_AH,
    NOT_FEATURES,
    PULSE_VOLTAGES,
    early_life,
    early_row,
)

__all__ = ["files_in", "find", "records_in"]

_FIT_ROWS: Final = 480
_LCO_NOMINAL_MAH: Final = 45.0
_CURVES: Final = "qd_uAh"
_CHARGE_ENDS: Final = frozenset({"batch", "cell", "row", "cc_q", "cv_q", "capacity"})
_CHARGE: Final = "soc_pct"
_PULSES: Final = frozenset({"group", "battery", "soh", _CHARGE, *PULSE_VOLTAGES})
_SPECTRA: Final = frozenset({"cell", "cycle", "capacity_mAh", "relative_capacity"})
_FADE: Final = frozenset({"cell", "temperature_C", "cycle", "capacity_Ah"})
_SIDE: Final = (".md", ".txt", ".toml", ".json", ".sha256", ".pdf", ".png", ".svg", ".html")


def find(paths: Sequence[Path], kind: Kind, wish: Wish | None = None) -> tuple[Found, ...]:
    """Every group of cells in some files or folders, of which a health or a life is known.

    Raises:
        UsageError: a file is not there, or what a table holds cannot be guessed.
        DataError: no file holds such cells.
    """
    asked = wish or Wish()
    content = list(_contents(files_in(paths), single=len(paths) == 1 and paths[0].is_file()))
    tables = {path: one for path, one in content if isinstance(one, Table)}
    known = list(_known(tables, kind)) if not (asked.cell or asked.target or asked.features) else []
    records = [one for _, one in content if isinstance(one, Series)]
    if not known and records:
        known = [_records(records, kind, asked)]
    if not known:
        known = [_own(tables, kind, asked)]
    if asked.group:
        whole = [one for one in known if one.group.lower() == asked.group.lower()]
        known = (
            whole
            or [one for one in known if _within(one.group, asked.group)]
            or _none(known, asked.group)
        )
    return tuple(known)


def records_in(paths: Sequence[Path], nominal_ah: float | None = None) -> list[Series]:
    """The testers' records among some files or folders.

    Raises:
        UsageError: a path is not there.
        DataError: none of the files is a record.
    """
    content = _contents(files_in(paths), single=len(paths) == 1 and paths[0].is_file())
    records = [one for _, one in content if isinstance(one, Series)]
    if not records:
        raise DataError("no file is a record of a cell", hint="Name testers' files, one a cell.")
    return _rated(records, nominal_ah)


def _rated(records: Sequence[Series], nominal_ah: float | None) -> list[Series]:
    if nominal_ah is None:
        return list(records)
    return [replace(one, nominal_capacity_ah=nominal_ah) for one in records]


def _within(group: str, asked: str) -> bool:
    return group.lower().startswith(asked.lower())


def _none(known: Sequence[Found], asked: str) -> list[Found]:
    raise UsageError(
        f"there is no group {asked}", hint=f"There are {', '.join(one.group for one in known)}."
    )


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The files meant by some paths; of a folder those that may hold data, by name.

    Raises:
        UsageError: a path is not there, or a folder holds nothing.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} is not there", hint="Check the name.")
        inside = [path]
        if path.is_dir():
            inside = [
                one
                for one in sorted(path.iterdir())
                if one.is_file() and not one.name.startswith(".") and one.suffix not in _SIDE
            ]
            if not inside:
                raise UsageError(f"{path}: no file that may hold cells", hint="Name the folder.")
        files += inside
    return files


def _contents(files: Sequence[Path], *, single: bool) -> Iterator[tuple[Path, Series | Table]]:
    from cellwarden.readers import load  # noqa: PLC0415  DuckDB only when data is read

    for path in files:
        try:
            yield path, load(path)
        except Error:
            # A folder may hold other things as well; a file that was named must be readable.
            if single:
                raise


def _known(tables: dict[Path, Table], kind: Kind) -> Iterator[Found]:
    for path, table in tables.items():
        names = set(table)
        if kind == "soh" and names >= _CHARGE_ENDS:
            yield from _charge_ends(path, table)
        elif kind == "soh" and names >= _PULSES:
            yield from _pulses(path, table)
        elif kind == "soh" and names >= _SPECTRA and any("Hz" in name for name in names):
            yield _spectra(path, table)
        elif kind == "life" and names == _FADE:
            yield find_fade(path, table)
    curves = {path: one for path, one in tables.items() if _CURVES in one}
    if kind == "life" and curves:
        yield _early(curves, tables)


def _charge_ends(path: Path, table: Table) -> Iterator[Found]:
    """Groups of a table of charge ends, as the catalogue names them."""
    lab = path.stem.upper()
    batches = [str(one).removesuffix("_battery") for one in table["batch"].tolist()]
    labels = np.array([lab if lab in NOMINAL_AH else f"{lab} {one}" for one in batches])
    for label in dict.fromkeys(labels.tolist()):
        own = table.rows(labels == label)
        own = own.rows(np.argsort(own["row"], kind="stable"))
        nominal = NOMINAL_AH.get(label)
        target = own["capacity"].astype(np.float64) / (nominal or 1.0)
        names = [
            f"{batch}/{cell}" if label == lab else str(cell)
            for batch, cell in zip(own["batch"].tolist(), own["cell"].tolist(), strict=True)
        ]
        # Split by lab and batch as well, for groups may be pooled.
        names = [f"{label}/{name}" for name in names]
        chosen = tuple(name for name in own if name not in NOT_FEATURES)
        measured = np.column_stack([own[name].astype(np.float64) for name in chosen])
        order = own["row"].astype(np.float64)
        found = _assembled(
            f"soh.{label.lower().replace(' ', '.')}", label, path, names, target, chosen, measured,
            order, "1" if nominal else "Ah",
        )  # fmt: skip
        taken = {
            "cell": "batch and cell", "target": "capacity", "order": "row",
            "features": ", ".join(chosen), "unit": found.task.unit,
            "nominal capacity": f"{nominal:g} Ah" if nominal else "not known",
        }  # fmt: skip
        stated = own["published_split"].tolist() if "published_split" in own else []
        yield replace(
            found,
            taken=taken,
            nominal_ah=nominal,
            split={
                n: str(s) for n, s in zip(names, stated, strict=False) if s in ("train", "test")
            },
            task=_with_past(found.task, chosen),
            past=chosen,
        )


def _with_past(task: Task, chosen: tuple[str, ...]) -> Task:
    """The task with what each charge gets from those before it; rows stand in their order."""
    names, told = past_columns(chosen, task.features[:, : len(chosen)], task.cell)
    return replace(
        task,
        columns=(*task.columns, *names),
        features=np.column_stack([task.features, told]),
        choices=choices(chosen),
        fit_row_count=_FIT_ROWS,
    )


def _pulses(path: Path, table: Table) -> Iterator[Found]:
    for group in dict.fromkeys(table["group"].tolist()):
        own = table.rows(table["group"] == group)
        voltage = np.column_stack([own[name].astype(np.float64) for name in PULSE_VOLTAGES])
        charge = own[_CHARGE].astype(np.float64)
        measured = np.column_stack([charge, pulse.pulse_columns(voltage)])
        names = [str(one) for one in own["battery"].tolist()]
        target = own["soh"].astype(np.float64)
        found = _assembled(
            f"pulsebat.{str(group).lower()}",
            str(group),
            path,
            names,
            target,
            (_CHARGE, *pulse.COLUMNS),
            measured,
        )
        taken = {
            "cell": "battery",
            "target": "soh",
            "features": f"{_CHARGE}, U1 to U21 and their steps",
        }
        # The pulses are one look at a retired cell: it has no past to carry forward.
        # Every row is learnt from: with some left out, levels of charge would never be seen.
        task = replace(
            found.task,
            carried={},
            choices=pulse.choices(_CHARGE),
            fit_row_count=max(len(target), found.task.fit_row_count),
        )
        yield replace(found, taken=taken, nominal_ah=float(own["nominal_Ah"][0]), task=task)


def _spectra(path: Path, table: Table) -> Found:
    chosen = tuple(name for name in table if "Hz" in name)
    measured = np.column_stack([table[name].astype(np.float64) for name in chosen])
    names = [f"{one:g}" for one in table["cell"].tolist()]
    target = table["capacity_mAh"].astype(np.float64) / _LCO_NOMINAL_MAH
    found = _assembled(
        "soh.spectra", "spectra", path, names, target, chosen, measured,
        table["cycle"].astype(np.float64),
    )  # fmt: skip
    taken = {
        "cell": "cell", "target": "capacity_mAh over 45", "order": "cycle",
        "features": f"{len(chosen)} parts of the impedance",
    }  # fmt: skip
    return replace(found, taken=taken, task=replace(found.task, choices={"spectrum": chosen}))


def _assembled(  # noqa: PLR0917  the columns of one table
    name: str,
    group: str,
    path: Path,
    names: list[str],
    target: np.ndarray,
    columns: tuple[str, ...],
    measured: np.ndarray,
    order: np.ndarray | None = None,
    unit: str = "1",
) -> Found:
    """Rows of a health; those without a number to tell are left out."""
    good = np.isfinite(target)
    every, place = np.unique(np.array(names)[good], return_inverse=True)
    place = place.astype(np.int64)
    target, measured = target[good], measured[good]
    more = () if order is None else (AGE,)
    values = measured if order is None else np.column_stack([measured, order[good]])
    carried = first_of_each(target, place, None if order is None else order[good])
    task = Task(
        name=name,
        unit=unit,
        target_name="capacity over nominal" if unit == "1" else "capacity",
        protocol="",
        columns=(*columns, *more),
        features=values,
        target=target,
        cell=place,
        cells=tuple(str(one) for one in every),
        folds=(),
        carried={"first capacity": carried},
    )
    marks = marks_of(np.column_stack([measured, target]), place, len(every))
    left = {} if good.all() else {f"{int((~good).sum()):,} rows": "no capacity"}
    return Found(task, "soh", group, str(path), {}, marks, left)


def _early(curves: dict[Path, Table], tables: dict[Path, Table]) -> Found:
    """Lives and the Q(V) of their first hundred cycles, a pair of tables a split."""
    cells: list[str] = []
    rows: list[list[float]] = []
    lives: list[float] = []
    own_curves: list[np.ndarray] = []
    place: list[int] = []
    split: dict[str, str] = {}
    for path, table in curves.items():
        stem = path.stem.removesuffix("_discharge_q")
        labels = _labels(tables, stem)
        charge = np.asarray(table[_CURVES], dtype=np.float64)
        for one, cycles in zip(labels["cell"].tolist(), labels["cycle_life"].tolist(), strict=True):
            own = table["cell"] == one
            if not own.any() or not cycles > 0:
                continue
            name = f"{stem}-{int(one)}"
            own_curves.append(charge[own][:, ::10])
            place += [len(cells)] * int(own.sum())
            split[name] = "train" if stem == "train" else "test"
            cells.append(name)
            rows.append(early_row(table["cycle"][own], charge[own]))
            lives.append(float(cycles))
    if not cells:
        raise DataError("no cell has both curves and a life", hint="Check the two tables.")
    task = early_life("life.early", cells, rows, lives)
    taken = {
        "cell": "cell", "target": "cycle_life",
        "features": "health.early_life, of the curves of cycles 2 to 100",
    }  # fmt: skip
    marks = marks_of(np.concatenate(own_curves), np.array(place), len(cells))
    source = ", ".join(str(path) for path in curves)
    return Found(task, "life", "early life", source, taken, marks, split=split)


def _labels(tables: dict[Path, Table], stem: str) -> Table:
    for path, table in tables.items():
        if path.stem == f"{stem}_cycle_life" and {"cell", "cycle_life"} <= set(table):
            return table
    raise UsageError(
        f"there is no table of the lives of {stem}", hint=f"Put {stem}_cycle_life.csv beside it."
    )


def _records(records: Sequence[Series], kind: Kind, wish: Wish) -> Found:
    """Charges of testers' records and the capacity that the next discharge measured."""
    if kind == "life":
        raise UsageError(
            "a life is not told from records yet",
            hint="Make a table with a row a cell: its features, its cycle_life.",
        )
    from cellwarden.health.soh import SCALES  # noqa: PLC0415  only where records are read
    from cellwarden.health.training import observe  # noqa: PLC0415  likewise

    records = _rated(records, wish.nominal_ah)
    if len({one.name for one in records}) < len(records):
        raise UsageError("two records have one name", hint="Give each cell a file of its own name.")
    rows = observe(records)
    columns = tuple(SCALES)
    measured = np.column_stack([rows.columns[name] for name in columns])
    names = [rows.cells[k] for k in rows.cell.tolist()]
    found = _assembled(
        "soh.records", "records", Path(records[0].source).parent, names, rows.soh_fraction,
        columns, measured, rows.cycle_count.astype(np.float64),
    )  # fmt: skip
    taken = {
        "cell": f"a record each: {', '.join(rows.cells)}",
        "target": "capacity of the next full discharge, over nominal",
        "features": ", ".join(columns),
    }
    absent = [one.name for one in records if one.name not in rows.cells]
    left = dict.fromkeys(absent, "too few full discharges near room temperature")
    return replace(
        found,
        taken=taken,
        left_out={**found.left_out, **left},
        task=replace(found.task, choices={"charge": columns}),
    )


def _own(tables: dict[Path, Table], kind: Kind, wish: Wish) -> Found:
    """The one table in which cells and a target can be found."""
    if len(tables) == 1:
        return find_in_table(next(iter(tables.values())), kind, wish)
    found: dict[Path, Found] = {}
    for path, table in tables.items():
        try:
            found[path] = find_in_table(table, kind, wish)
        except Error:
            continue
    if len(found) == 1:
        return next(iter(found.values()))
    names = ", ".join(path.name for path in found or tables)
    if found:
        raise UsageError(f"{names} could each be meant", hint="Name one file.")
    raise DataError(
        "no file holds cells with "
        + ("a capacity or a health" if kind == "soh" else "a life")
        + (f": {names}" if names else ""),
        hint="Name one table, with --cell and --target, or the records of several cells.",
    )
