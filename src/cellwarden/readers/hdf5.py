"""Indigo's record: an HDF5 file with one pandas frame ("fixed" layout of PyTables).

Layout
- The group time_series_data has the attribute pandas_type "frame" and nblocks; its columns stand
  in blocks of one type: blockN_items are their names, blockN_values the numbers, a row a reading.
- cell_coulomb_count_c and cell_energy_j begin anew at each half cycle and fall below zero in a
  discharge; system_time_us is Unix time in microseconds. Positive current charges.

Rules
- Half cycles are the steps; each counter becomes two, in Ah and Wh.
- Nothing outside the file is read, whatever links or outside storage it names, and nothing is
  taken in before its size is known.
- h5py brings the HDF5 library, which is why it is an extra: without it the error says which.

Made from one file, of the layout that pandas calls 0.15.2. In it the counters are the integrals of
current and power, and the voltage rises where the current is positive.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Remark
from cellwarden.errors import DataError, DecodeError, UsageError
from cellwarden.readers.draft import Draft, Identity, settle
from cellwarden.readers.mapping import ColumnGuess, ColumnMapping, Guess
from cellwarden.readers.sign import judge
from cellwarden.readers.table import MAX_ROWS

__all__ = ["HDF5", "draft"]

HDF5: Final = b"\x89HDF\r\n\x1a\n"
_HINT: Final = "The file is damaged or was cut short: fetch it again from where it came."
_OTHER_HINT: Final = "Only Indigo's layout is read: export the record as CSV or Parquet."
_STATED: Final = "as Indigo writes it"
_GROUP: Final = "time_series_data"
_CELL: Final = "cell_id"
_MOST_BLOCKS: Final = 64
_MOST_COLUMNS: Final = 1024
_MOST_CELLS: Final = 200_000_000  # 1.6 GB as float64
_HOUR_SECOND: Final = 3600.0
# Column of the file -> field of a series, unit, factor.
_FIELDS: Final = {
    "time_s": ("test_time_second", "s", 1.0),
    "system_time_us": ("unix_time_second", "µs", 1e-6),
    "cell_voltage_v": ("voltage_volt", "V", 1.0),
    "cell_current_a": ("current_ampere", "A", 1.0),
    "cell_temperature_c": ("surface_temperature_celsius", "°C", 1.0),
    "cycle_count": ("cycle_count", "1", 1.0),
    "half_cycle_count": ("step_count", "1", 1.0),
}
# Counters that fall below zero -> field of the part above, of the part below.
_COUNTERS: Final = {
    "cell_coulomb_count_c": ("charging_capacity_ah", "discharging_capacity_ah"),
    "cell_energy_j": ("charging_energy_wh", "discharging_energy_wh"),
}
_NEEDED: Final = frozenset({"time_s", "cell_voltage_v", "cell_current_a"})
# What the library may raise over damaged bytes.
_DAMAGE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)

_Column = Float64[np.ndarray, " time"]


def draft(path: Path, mapping: ColumnMapping, name: str | None, limit: int) -> Draft:
    """A draft of an Indigo HDF5 file.

    Raises:
        DataError: it has another layout, or is damaged.
        UsageError: h5py is not installed.
    """
    with _opened(path) as file:
        found = _frame(path, _inner(path, file, _GROUP), min(limit, MAX_ROWS))
    missing = sorted(_NEEDED - set(found))
    if missing:
        raise DecodeError(f"{path}: an HDF5 file without {', '.join(missing)}", hint=_OTHER_HINT)
    columns = {
        field: found[label] * factor
        for label, (field, _, factor) in _FIELDS.items()
        if label in found
    }
    notes = []
    split = {field for pair in _COUNTERS.values() for field in pair}
    for label, (above, below) in _COUNTERS.items():
        if label in found:
            text = f"{above} and {below} are the two sides of one counter, {label}"
            notes.append(Remark("note", text, above))
            columns[above] = np.maximum(found[label], 0.0) / _HOUR_SECOND
            columns[below] = np.maximum(-found[label], 0.0) / _HOUR_SECOND
    guesses = tuple(_column_guess(label) for label in found)
    guess = Guess(str(path), "Indigo HDF5", guesses, layout=f"pandas frame {_GROUP}")
    identity = Identity(name or _cell_name(path, found))
    # The counters are cut from one by its sign, so they bear out any sign of the current: the
    # voltage must be heard without them.
    bare = {field: column for field, column in columns.items() if field not in split}
    stated = _STATED if judge(bare).sign >= 0 else ""
    return settle(columns, guess, identity, mapping, stated=stated, notes=tuple(notes))


def _column_guess(label: str) -> ColumnGuess:
    if label in _FIELDS:
        field, unit, factor = _FIELDS[label]
        return ColumnGuess(label, field, unit, factor, evidence="the format's own column")
    if label in _COUNTERS:
        unit = "A s" if label.endswith("_c") else "J"
        evidence = "what it falls below zero is discharge"
        return ColumnGuess(label, _COUNTERS[label][0], unit, 1 / _HOUR_SECOND, evidence=evidence)
    return ColumnGuess(label, None, evidence="no field of a series")


def _cell_name(path: Path, found: dict[str, _Column]) -> str:
    cells = np.unique(found.get(_CELL, np.zeros(0)))
    return f"cell_{cells[0]:.0f}" if cells.size == 1 and np.isfinite(cells[0]) else path.stem


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import h5py  # noqa: PLC0415  an extra, and slow to import
    except ImportError as error:
        raise UsageError(
            f"{path}: an HDF5 file, for which h5py is missing",
            hint="Install it with pip install 'cellwarden[cyclers]'.",
        ) from error
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except _DAMAGE as error:
        raise DecodeError(f"{path}: no sound HDF5 file: {error}", hint=_HINT) from error


def _inner(path: Path, group: Any, name: str) -> Any:
    """What a group holds under a name, if it stands in the file itself."""
    link = group.get(name, getlink=True) if name in group else None
    if type(link).__name__ != "HardLink":
        there = ", ".join(sorted(map(str, group))[:20])[:300]
        raise DecodeError(
            f"{path}: an HDF5 file without {name}; it has {there or 'nothing'}", hint=_OTHER_HINT
        )
    return group[name]


def _frame(path: Path, group: Any, limit: int) -> dict[str, _Column]:
    """The columns of a pandas frame."""
    blocks = int(group.attrs.get("nblocks", 0)) if hasattr(group, "attrs") else 0
    if not 0 < blocks <= _MOST_BLOCKS:
        raise DecodeError(f"{path}: {group.name} is no pandas frame", hint=_OTHER_HINT)
    columns: dict[str, _Column] = {}
    for number in range(blocks):
        items = _numbers(path, _inner(path, group, f"block{number}_items"), "S", _MOST_COLUMNS)
        values = _inner(path, group, f"block{number}_values")
        if len(getattr(values, "shape", ())) != 2 or values.shape[1] != len(items):  # noqa: PLR2004  a matrix
            raise DecodeError(f"{path}: block {number} has no column a name", hint=_HINT)
        with np.errstate(invalid="ignore", over="ignore"):
            table = _numbers(path, values, "iuf", limit).astype(np.float64)
        for place, item in enumerate(items):
            columns[bytes(item).decode(errors="replace")] = table[:, place]
    if len({len(column) for column in columns.values()}) > 1:
        raise DecodeError(f"{path}: blocks differ in length", hint=_HINT)
    return columns


def _numbers(path: Path, dataset: Any, kinds: str, limit: int) -> np.ndarray:
    """The first rows of a dataset that is small enough, and whose bytes are in the file."""
    shape = getattr(dataset, "shape", None)
    if not shape or dataset.dtype.kind not in kinds:
        raise DecodeError(f"{path}: {dataset.name} holds no plain values", hint=_HINT)
    if dataset.external or dataset.is_virtual:
        raise DecodeError(f"{path}: {dataset.name} points to another file", hint=_OTHER_HINT)
    if shape[0] > MAX_ROWS or int(np.prod(shape, dtype=np.float64)) > _MOST_CELLS:
        raise DataError(f"{path}: more than {MAX_ROWS:,} rows", hint="Export it in parts.")
    found: np.ndarray = dataset[:limit]
    return found
