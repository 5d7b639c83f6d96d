"""How a shipped circuit is made and scored, and how one is tried on drives it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from cellwarden.datasets import describe
from cellwarden.domain import Table
from cellwarden.errors import DataError, UsageError
from cellwarden.health.found import known_again
from cellwarden.health.soc_identify import identify
from cellwarden.health.soc_model import CellModel, Record
from cellwarden.health.soc_trial import (
    Entered,
    coverage_span,
    drives_in,
    marks_of_drives,
    try_filter,
)
from cellwarden.registry.card import Source
from cellwarden.registry.portable_file import Label
from cellwarden.registry.trial import digest_of_marks, training_marks

__all__ = ["CIRCUITS", "Circuit", "DriveTrial", "follow_circuit", "try_circuit"]

_DRAWS: Final = (1, 2, 3)
_FOLDS: Final = 4
_SLOW_WEIGHT: Final = 3.0
_REST_AMPERE: Final = 0.05
_PROTOCOL: Final = (
    "entered at a random second, charge not told; current 1 ± 1 % and ± 50 mA, voltage ± 5 mV;"
    " three draws, scored from minute 10"
)
_FULL_AH: Final = -0.056  # above it the cell is held full


@dataclass(frozen=True, slots=True)
class Circuit:
    """A shipped circuit: drives whose names begin with `learnt`, and slow curves."""

    name: str
    what: str
    data_set: str
    drives: str
    slow: str
    learnt: str
    capacity_ah: float
    limits: str


CIRCUITS: Final = (
    Circuit(
        "soc-lg-hg2",
        "State of charge of LG HG2 cells by a filter on an identified circuit",
        "lg_hg2",
        "drive_1hz.parquet",
        "c20_ocv.parquet",
        "Mixed",
        2.78,
        "One new LG 18650HG2 cell, NMC, driven at -20 to 40 °C. Aged cells and other cells have not"
        " been tried; at constant 1C the interval is too narrow (docs/soc.md).",
    ),
)


@dataclass(frozen=True, slots=True)
class DriveTrial:
    """What a circuit's filter did on drives it had not seen."""

    entries: tuple[Entered, ...]
    known: tuple[tuple[str, str], ...]


def follow_circuit(one: Circuit, data: Path) -> tuple[CellModel, Label]:
    """The circuit from all its drives, with scores of drives left out in four parts.

    Raises:
        UsageError: the data is not there, or the filter is no better than counting.
    """
    folder = data / one.data_set
    table = _table(folder / one.drives)
    drives = [drive for drive in drives_in(table) if one.learnt in drive.test]
    slow = _slow(_table(folder / one.slow), one.capacity_ah)
    entries: list[Entered] = []
    for fold in range(_FOLDS):
        out = [drive for drive in drives if (int(drive.test[-1]) - 1) % _FOLDS == fold]
        kept = [drive.record for drive in drives if drive not in out]
        entries += try_filter(identify([*kept, *slow], one.capacity_ah), out, _DRAWS)
    own, counted = _mean(entries, "mae"), _mean(entries, "counted_mae")
    if not own < counted:
        raise UsageError(
            f"{one.name} errs by {own:.4f}, counting by {counted:.4f}", hint="Do not ship it."
        )
    known = describe(one.data_set)
    cells = tuple((n, digest_of_marks(marks)) for n, marks in marks_of_drives(drives).items())
    where = f"drives left out in {_FOLDS} parts"
    low, high = coverage_span(entries)
    label = Label(
        name=one.name,
        kind="soc",
        target="state of charge",
        unit="1",
        algorithm="circuit in tables (health.soc_identify), unscented filter (health.soc_filter)",
        column_units=("s", "A", "V", "°C"),
        sources=(Source(known.short, known.licence, known.citation, cells),),
        licence=known.licence,
        scores=(
            (f"model; {where}; MAE", own),
            (f"model; {where}; coverage of 90 %", _mean(entries, "inside")),
            (f"model; {where}; width", _mean(entries, "width")),
            (f"coulomb counting; {where}; MAE", counted),
        ),
        facts=(
            ("what", one.what),
            ("protocol", _PROTOCOL),
            ("coverage, 95 % interval by drive", f"{low:.3f} to {high:.3f}"),
            ("capacity", f"{one.capacity_ah:g} Ah at C/20 and 25 °C"),
            ("limits", one.limits),
            ("how to rebuild", f"cellwarden models build {one.name}"),
        ),
    )  # fmt: skip
    return identify([*(drive.record for drive in drives), *slow], one.capacity_ah), label


def try_circuit(
    model: CellModel, label: Label, data: Path, draws: Sequence[int] = _DRAWS
) -> DriveTrial:
    """A circuit on the drives of a file or a folder that it was not made from.

    Raises:
        UsageError: there is no file of drives, or every drive was learnt from.
    """
    file = data
    if data.is_dir():
        found = sorted(data.glob("drive*.parquet")) or sorted(data.glob("*/drive*.parquet"))
        if not found:
            raise UsageError(
                f"{data}: no drive_1hz.parquet", hint="Lay it out like lg_hg2, or name the file."
            )
        file = found[0]
    drives = drives_in(_table(file))
    known = training_marks(label)
    again = {name: known_again(marks, known) for name, marks in marks_of_drives(drives).items()}
    fresh = [drive for drive in drives if again[drive.name] is None]
    if not fresh:
        raise UsageError(
            f"{label.name} was made from every one of these {len(drives)} drives",
            hint="Score drives that it has not seen.",
        )
    pairs = tuple((name, seen) for name, seen in again.items() if seen is not None)
    return DriveTrial(try_filter(model, fresh, draws), pairs)


def _table(file: Path) -> Table:
    from cellwarden.readers import read_table  # noqa: PLC0415  DuckDB only when data is read

    if not file.is_file():
        raise UsageError(f"{file} is not there", hint="Set CELLWARDEN_DATA to the data sets.")
    return read_table(file)


def _slow(table: Table, capacity_ah: float) -> list[Record]:
    """The slow curves; rows on which the cell rests or is held full are left out."""
    curves = []
    ambient = np.asarray(table["ambient_C"], dtype=np.float64)
    current, ah = (np.asarray(table[name], dtype=np.float64) for name in ("current_A", "ah"))
    used = (np.abs(current) > _REST_AMPERE) & ((current < 0) | (ah < _FULL_AH))
    for celsius in np.unique(ambient):
        own = np.flatnonzero(used & (ambient == celsius))
        own = own[np.argsort(table["time_s"][own], kind="stable")]
        names = ("time_s", "voltage_V", "current_A", "temperature_C")
        second, volt, ampere, warm = (
            np.asarray(table[name][own], dtype=np.float64) for name in names
        )
        soc = 1.0 + ah[own] / capacity_ah
        curves.append(Record(second, volt, ampere, warm, soc, weight=_SLOW_WEIGHT))
    if not curves:
        raise DataError("no slow curve", hint="Check the file.")
    return curves


def _mean(entries: Sequence[Entered], name: str) -> float:
    return float(f"{np.mean([getattr(one, name) for one in entries]):.6g}")
