"""The Battery Data Format (LF Energy, Battery Data Alliance) as CSV and Parquet, both ways.

Rules
- Read: preferred labels ("Voltage / V") and machine names (voltage_volt) of any version, older
  units too (milliseconds, hours). BDF states that positive current charges; a file that shows
  the contrary is refused.
- Written: preferred labels of version 1.2.0. The number of a step in the tester's programme is
  "Step ID" there. A charge counter that is reset on the way is no "Charging Capacity" of 1.2.0,
  which never falls; it is written under the name that 1.3.0 adds for it.

Source: Battery Data Format Ontology 1.2.0 (2026-06-11),
https://w3id.org/battery-data-alliance/ontology/battery-data-format
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from cellwarden.domain import Series
from cellwarden.errors import UnavailableError, UsageError
from cellwarden.readers.columns import Taken
from cellwarden.readers.draft import Draft, Identity, settle
from cellwarden.readers.layout import Layout
from cellwarden.readers.mapped_csv import Record, scan_parquet, scan_text
from cellwarden.readers.mapping import ColumnMapping
from cellwarden.readers.table import Table, connected, quoted

__all__ = [
    "BDF_VERSION",
    "STATED",
    "TITLE",
    "draft_parquet",
    "draft_text",
    "identity",
    "is_bdf",
    "write_bdf",
]

BDF_VERSION: Final = "1.2.0"
TITLE: Final = "Battery Data Format"
STATED: Final = "as BDF states it"
# What BDF requires, label or name up to the unit, which older files and careless ones vary.
_REQUIRED: Final = (
    ("voltage / ", "voltage_volt", "voltage_millivolt"),
    ("current / ", "current_ampere", "current_milliampere"),
    ("test time / ", "test_time_second", "test_time_millisecond", "unix time / ", "unix_time_"),
)
_LABELS: Final = {
    "test_time_second": "Test Time / s",
    "voltage_volt": "Voltage / V",
    "current_ampere": "Current / A",
    "unix_time_second": "Unix Time / s",
    "cycle_count": "Cycle Count / 1",
    "step_count": "Step Count / 1",
    "step_index": "Step ID",
    "ambient_temperature_celsius": "Ambient Temperature / degC",
    "surface_temperature_celsius": "Surface Temperature / degC",
    "charging_capacity_ah": "Charging Capacity / Ah",
    "discharging_capacity_ah": "Discharging Capacity / Ah",
    "charging_energy_wh": "Charging Energy / Wh",
    "discharging_energy_wh": "Discharging Energy / Wh",
    "internal_resistance_ohm": "Internal Resistance / ohm",
}
_RESET_LABELS: Final = {
    "charging_capacity_ah": "Schedule Charging Capacity / Ah",
    "discharging_capacity_ah": "Schedule Discharging Capacity / Ah",
    "charging_energy_wh": "Schedule Charging Energy / Wh",
    "discharging_energy_wh": "Schedule Discharging Energy / Wh",
}
_KEYS: Final = ("bdf_version", "name", "chemistry", "nominal_capacity_ah")


def is_bdf(labels: Sequence[str]) -> bool:
    """Whether labels hold what BDF requires: a voltage, a current and a time, by its names."""
    names = [label.strip().lower() for label in labels]
    return all(any(name.startswith(stems) for name in names) for stems in _REQUIRED)


def draft_text(path: Path, layout: Layout, mapping: ColumnMapping, name: str, limit: int) -> Draft:
    """A draft of a BDF text file.

    Raises:
        DataError: its rows cannot be read.
    """
    return _settle(path, scan_text(path, layout, mapping, limit), mapping, Identity(name))


def draft_parquet(table: Table, mapping: ColumnMapping, name: str | None, limit: int) -> Draft:
    """A draft of a BDF Parquet file; what `write_bdf` noted of the cell comes back with it."""
    return _settle(table.path, scan_parquet(table, mapping, limit), mapping, identity(table, name))


def identity(table: Table, name: str | None) -> Identity:
    """What `write_bdf` noted of the cell in a Parquet file."""
    keys = _notes(table)
    nominal = keys.get("nominal_capacity_ah", "")
    return Identity(
        name or keys.get("name") or table.path.stem.removesuffix(".bdf"),
        float(nominal) if nominal.replace(".", "", 1).isdecimal() else None,
        keys.get("chemistry") or None,
    )


def _settle(path: Path, record: Record, mapping: ColumnMapping, identity: Identity) -> Draft:
    taken: Taken = record.taken
    guess = record.guess(path, TITLE)
    return settle(
        taken.columns,
        guess,
        identity,
        mapping,
        stated=STATED,
        direction=taken.direction,
        notes=taken.notes,
        record_taken=True,
    )


def _notes(table: Table) -> dict[str, str]:
    rows = table.connection.execute(
        "SELECT key, value FROM parquet_kv_metadata(?)", list(table.parameters)
    ).fetchall()
    found = {bytes(key).decode(errors="replace"): bytes(value) for key, value in rows}
    return {name: found[name].decode(errors="replace") for name in _KEYS if name in found}


def write_bdf(series: Series | Iterable[Series], path: Path | str) -> None:
    """Write a record, whole or in pieces, as BDF, CSV or Parquet by suffix, entire or not at all.

    Raises:
        UsageError: the suffix is neither `.csv`, `.bdf` nor `.parquet`, or there is no piece.
        UnavailableError: the disk does not take it.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in (".csv", ".bdf", ".parquet"):
        raise UsageError(
            f"{target}: BDF is written as CSV or Parquet", hint="End the name in .csv or .parquet."
        )
    write = _write_parquet if suffix == ".parquet" else _write_csv
    pieces = iter([series] if isinstance(series, Series) else series)
    part = target.with_name(f".{target.name}.part")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
            write(pieces, part, Path(folder))
        part.replace(target)
    except (duckdb.Error, OSError) as error:
        raise UnavailableError(
            f"{target}: {str(error).splitlines()[0]}",
            hint="Check the folder, its rights and space.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


class _Header:
    """The labels of a record that is written in pieces, known when the last one is."""

    def __init__(self) -> None:
        self._ends: dict[str, np.ndarray] = {}
        self._reset: set[str] = set()
        self.first: Series | None = None

    def add(self, piece: Series) -> dict[str, np.ndarray]:
        """Note a piece; its columns, in the order in which they are written."""
        self.first = self.first or piece
        found = piece.columns()
        columns = {name: found[name] for name in _LABELS if name in found}
        for name in _RESET_LABELS:
            if name in columns:
                joined = np.concatenate((self._ends.get(name, columns[name][:0]), columns[name]))
                if np.any(np.diff(joined) < 0):
                    self._reset.add(name)
                self._ends[name] = joined[-1:]
        return columns

    def labels(self, names: Iterable[str]) -> dict[str, str]:
        """The label of each column."""
        return {n: (_RESET_LABELS if n in self._reset else _LABELS)[n] for n in names}


def _write_csv(pieces: Iterator[Series], part: Path, folder: Path) -> None:
    header, names = _Header(), list[str]()
    body, piece = folder / "body", folder / "piece"
    with body.open("wb") as target:
        for series in pieces:
            columns = header.add(series)
            names = names or list(columns)
            _copy(columns, names, piece, "FORMAT csv, HEADER false")
            with piece.open("rb") as source:
                shutil.copyfileobj(source, target)
    _refuse_nothing(header, part)
    with part.open("wb") as target, body.open("rb") as source:
        target.write((",".join(header.labels(names).values()) + "\n").encode())
        shutil.copyfileobj(source, target)


def _write_parquet(pieces: Iterator[Series], part: Path, folder: Path) -> None:
    header, names = _Header(), list[str]()
    written: list[Path] = []
    for series in pieces:
        columns = header.add(series)
        names = names or list(columns)
        written.append(folder / f"{len(written):06}.parquet")
        _copy(columns, names, written[-1], "FORMAT parquet, COMPRESSION zstd")
    first = _refuse_nothing(header, part)
    labels = header.labels(names)
    chosen = ", ".join(f"{quoted(name)} AS {quoted(label)}" for name, label in labels.items())
    listed = ", ".join(_literal(place) for place in written)
    with connected({"memory_limit": "512MB", "temp_directory": str(folder)}) as target:
        target.execute(
            f"COPY (SELECT {chosen} FROM read_parquet([{listed}])) TO {_literal(part)}"
            f" ({_parquet_options(first)})"
        )


def _refuse_nothing(header: _Header, part: Path) -> Series:
    if header.first is None:
        raise UsageError(f"{part.name}: there is no piece to write", hint="Give at least one.")
    return header.first


def _literal(place: Path) -> str:
    return "'" + str(place.absolute()).replace("'", "''") + "'"


def _copy(columns: dict[str, np.ndarray], names: list[str], target: Path, options: str) -> None:
    """Write columns by name; one that a later piece lacks is empty in it."""
    chosen = ", ".join(
        "NULL"
        if (column := columns.get(name)) is None
        else f"CASE WHEN isnan({q}) THEN NULL ELSE {q} END AS {q}"
        if column.dtype.kind == "f"
        else q
        for name in names
        for q in [quoted(name)]
    )
    with connected({}) as connection:
        connection.register("record", columns)
        connection.execute(f"COPY (SELECT {chosen} FROM record) TO {_literal(target)} ({options})")


def _parquet_options(series: Series) -> str:
    values = (BDF_VERSION, series.name, series.chemistry, series.nominal_capacity_ah)
    noted = ", ".join(
        f"{key}: '{str(value).replace(chr(39), chr(39) * 2)}'"
        for key, value in zip(_KEYS, values, strict=True)
        if value is not None
    )
    return f"FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{noted}}}"
