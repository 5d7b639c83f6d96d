"""NASA PCoE cells as the repository publishes them: a MATLAB 5 file a cell (layout in mat5.py).

Layout
- One variable, named like the cell, with the field `cycle`: a row of operations, each with `type`
  (charge, discharge, impedance), `ambient_temperature` in °C, `time` (its start: year, month, day,
  hour, minute, second) and `data`: Time in s, Voltage_measured, Current_measured and
  Temperature_measured.

Rules
- The same as for the table made from these files (nasa.py): positive charges, `step_index` is the
  operation's number from 0, `cycle_count` is 1 + the discharges before, cells are of 2 Ah.
- Impedance operations are sweeps, not a record in time: left out, with a remark.

Source: B. Saha, K. Goebel, "Battery Data Set", NASA Prognostics Data Repository (2007).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Remark
from cellwarden.errors import DataError, DecodeError
from cellwarden.readers.columns import ZONE_NOTE
from cellwarden.readers.draft import Draft, Identity, settle
from cellwarden.readers.mapping import ColumnGuess, ColumnMapping, Guess
from cellwarden.readers.mat5 import Value, variables
from cellwarden.readers.table import MAX_ROWS

__all__ = ["draft"]

_HINT: Final = "The file is damaged or was cut short: fetch it again from where it came."
_OTHER_HINT: Final = "Only NASA's battery files are read: export the record as CSV or Parquet."
_STATED: Final = "as the data's description states it"
_NOMINAL_AH: Final = 2.0
_FIELDS: Final = {
    "Time": ("test_time_second", "s"),
    "Voltage_measured": ("voltage_volt", "V"),
    "Current_measured": ("current_ampere", "A"),
    "Temperature_measured": ("surface_temperature_celsius", "°C"),
}
_WAYS: Final = {"charge": 1.0, "discharge": -1.0}
_DATE: Final = ("year", "month", "day", "hour", "minute", "second")
_Column = Float64[np.ndarray, " time"]


@dataclass(frozen=True, slots=True)
class _Operation:
    number: int
    way: float
    begun: float
    ambient: float
    signals: dict[str, _Column]


def draft(path: Path, mapping: ColumnMapping, name: str | None, limit: int) -> Draft:
    """A draft of one of NASA's MATLAB files.

    Raises:
        DataError: it is another MATLAB file, or damaged.
    """
    cell, rows = _cycles(path)
    operations = list(_operations(path, rows))
    if not operations:
        raise DecodeError(f"{path}: no charge and no discharge in it", hint=_OTHER_HINT)
    columns, direction = _laid_out(operations)
    if len(direction) > MAX_ROWS:
        raise DataError(f"{path}: more than {MAX_ROWS:,} rows", hint="Export it in parts.")
    notes: list[Remark] = [ZONE_NOTE]
    out = len(rows) - len(operations)
    if out:
        notes.append(Remark("note", f"{out} operations of other kinds are left out", "", out))
    guesses = tuple(
        ColumnGuess(label, field, unit, evidence="the format's own column")
        for label, (field, unit) in _FIELDS.items()
    )
    guess = Guess(str(path), "NASA PCoE MATLAB file", guesses, layout=f"variable {cell}")
    return settle(
        {field: column[:limit] for field, column in columns.items()},
        guess,
        Identity(name or cell, _NOMINAL_AH),
        mapping,
        stated=_STATED,
        direction=direction[:limit],
        notes=tuple(notes),
    )


def _cycles(path: Path) -> tuple[str, list[dict[str, Value]]]:
    """The name of the cell and its operations."""
    names = []
    for name, value in variables(path):
        names.append(name)
        cell = value[0] if isinstance(value, list) and len(value) == 1 else None
        rows = cell.get("cycle") if isinstance(cell, dict) else None
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return name, [row for row in rows if isinstance(row, dict)]
    raise DecodeError(
        f"{path}: a MATLAB file without operations of a cell; it has {', '.join(names)[:300]}",
        hint=_OTHER_HINT,
    )


def _operations(path: Path, rows: list[dict[str, Value]]) -> Iterator[_Operation]:
    for number, row in enumerate(rows):
        way = _WAYS.get(str(row.get("type")).strip())
        if way is None:
            continue
        data = row.get("data")
        fields = data[0] if isinstance(data, list) and len(data) == 1 else None
        signals = {
            field: column
            for label, (field, _) in _FIELDS.items()
            if isinstance(fields, dict) and isinstance(column := fields.get(label), np.ndarray)
        }
        begun = _start(row.get("time"))
        lengths = {len(column) for column in signals.values()}
        if len(signals) < len(_FIELDS) or len(lengths) != 1 or begun is None:
            raise DecodeError(
                f"{path}: operation {number} has no start, or not the columns"
                f" {', '.join(_FIELDS)} of one length",
                hint=_HINT,
            )
        told = row.get("ambient_temperature")
        ambient = float(told[0]) if isinstance(told, np.ndarray) and len(told) else np.nan
        yield _Operation(number, way, begun, ambient, signals)


def _start(time: Value) -> float | None:
    """Unix time of year, month, day, hour, minute and second, if they are a date. [s]"""
    if not isinstance(time, np.ndarray) or len(time) != len(_DATE) or not np.isfinite(time).all():
        return None
    try:
        year, month, day, hour, minute = (int(part) for part in time[:5])
        date = datetime(year, month, day, hour, minute, tzinfo=UTC)
        return (date + timedelta(seconds=float(time[5]))).timestamp()
    except (ValueError, OverflowError):
        return None


def _laid_out(operations: list[_Operation]) -> tuple[dict[str, _Column], _Column]:
    """Operations on one time axis, and +1 or -1 for charge or discharge."""
    lengths = [len(operation.signals["voltage_volt"]) for operation in operations]
    columns = {
        field: np.concatenate([operation.signals[field] for operation in operations])
        for field, _ in _FIELDS.values()
    }

    def spread(values: list[float]) -> _Column:
        return np.repeat(np.array(values, dtype=np.float64), lengths)

    ways = np.array([operation.way for operation in operations])
    begun = [operation.begun for operation in operations]
    within = columns["test_time_second"]
    columns["unix_time_second"] = within + spread(begun)
    columns["test_time_second"] = within + spread([start - begun[0] for start in begun])
    columns["ambient_temperature_celsius"] = spread([o.ambient for o in operations])
    columns["step_index"] = spread([float(o.number) for o in operations])
    before: np.ndarray = np.cumsum(ways < 0) - (ways < 0)
    columns["cycle_count"] = spread(list(before + 1.0))
    return columns, spread(list(ways))
