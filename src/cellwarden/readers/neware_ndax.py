"""Neware's own record: the .ndax file of BTS 8, a zip archive of .ndc files (layout in ndc.py).

Rules
- Positive current charges. Test time is the step's own time behind the longest time of each step
  before, as BTSDA counts it. Counters of charge and energy begin anew at each step.
- Time, charge and energy are stored at marks only, one in some sixty rows. Between two marks time
  goes on by the mark's period, and the counters by the current over it, which is what BTSDA shows;
  a remark says so. The clock never runs past the next mark: wall clocks are set, steps are not.
- The clock is UTC. A channel of temperature (kind 103 in its file's name, less 100) is the cell's;
  other auxiliary channels are left out, with a remark.
- Nominal is the capacity that the C-rates of the schedule refer to (MultCap in Step.xml, mA·s).

Checked: counters against the integral of the current, the first reading's clock against the start
that TestInfo.xml gives in local time.
"""

import re
import zipfile
import zlib
from pathlib import Path
from typing import Final
from xml.parsers import expat

import numpy as np
from jaxtyping import Float64, Int64

from cellwarden.domain import Remark
from cellwarden.errors import DataError, DecodeError
from cellwarden.readers.draft import Draft, Identity, settle
from cellwarden.readers.mapping import ColumnGuess, ColumnMapping, Guess
from cellwarden.readers.ndc import AUXILIARY, MARKS, READINGS, STEPS, Version, rows_of
from cellwarden.readers.table import MAX_ROWS

__all__ = ["RECORD", "draft"]

RECORD: Final = "data.ndc"
_MARKS_FILE, _STEPS_FILE, _SCHEDULE = "data_runInfo.ndc", "data_step.ndc", "Step.xml"
_STATED: Final = "as Neware testers write it"
_HINT: Final = "The file is damaged or was cut short: fetch it again from where it came."
_MOST_BYTES: Final = 1 << 29  # of one .ndc file in the archive
_MOST_XML_BYTES: Final = 1 << 24
_AUXILIARY: Final = re.compile(r"data_AUX_(\d+)_(\d+)_(\d+)\.ndc")
_TEMPERATURE: Final = 103 - 100
_MILLI: Final = 1e-3
_MILLI_AMPERE_SECOND: Final = 3.6e6  # to an Ah
_HOUR_SECOND: Final = 3600.0
# What the file holds -> field of a series, unit.
_FIELDS: Final = {
    "step time": ("test_time_second", "ms"),
    "unix time": ("unix_time_second", "s"),
    "voltage": ("voltage_volt", "V"),
    "current": ("current_ampere", "A"),
    "cycle": ("cycle_count", "1"),
    "step": ("step_index", "1"),
    "step count": ("step_count", "1"),
    "charge": ("charging_capacity_ah", "Ah"),
    "discharge": ("discharging_capacity_ah", "Ah"),
    "energy in": ("charging_energy_wh", "Wh"),
    "energy out": ("discharging_energy_wh", "Wh"),
    "temperature": ("surface_temperature_celsius", "°C"),
}

_Column = Float64[np.ndarray, " time"]


def draft(path: Path, mapping: ColumnMapping, name: str | None, limit: int) -> Draft:
    """A draft of a Neware .ndax file.

    Raises:
        DataError: it is damaged, or of a version that is not known.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = {item.filename: item for item in archive.infolist()}
            with np.errstate(invalid="ignore", over="ignore"):  # of bytes that are no reading
                columns, notes = _record(path, archive, files)
            nominal = _rated(path, archive) if _SCHEDULE in files else None
    except (
        zipfile.BadZipFile,
        zlib.error,
        expat.ExpatError,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,  # what zipfile says of a password
    ) as error:
        raise DecodeError(f"{path}: no sound .ndax archive: {error}", hint=_HINT) from error
    columns = {field: column[:limit] for field, column in columns.items()}
    guesses = tuple(
        ColumnGuess(label, field if field in columns else None, unit, evidence="the format's own")
        for label, (field, unit) in _FIELDS.items()
    )
    guess = Guess(str(path), "Neware .ndax", guesses, layout="zip archive of .ndc files")
    identity = Identity(name or path.stem, nominal)
    return settle(columns, guess, identity, mapping, stated=_STATED, notes=tuple(notes))


def _record(
    path: Path, archive: zipfile.ZipFile, files: dict[str, zipfile.ZipInfo]
) -> tuple[dict[str, _Column], list[Remark]]:
    missing = [wanted for wanted in (RECORD, _MARKS_FILE, _STEPS_FILE) if wanted not in files]
    if missing:
        raise DecodeError(
            f"{path}: {', '.join(missing)} is not in it",
            hint="Export the record as CSV or .xlsx from Neware's BTSDA.",
        )
    version, readings = rows_of(f"{path}: {RECORD}", _content(path, archive, RECORD), READINGS)
    if len(readings) > MAX_ROWS:
        raise DataError(f"{path}: more than {MAX_ROWS:,} rows", hint="Export it in parts.")
    _, marks = rows_of(f"{path}: {_MARKS_FILE}", _content(path, archive, _MARKS_FILE), MARKS)
    _, steps = rows_of(f"{path}: {_STEPS_FILE}", _content(path, archive, _STEPS_FILE), STEPS)
    columns = {
        "voltage_volt": readings["voltage"].astype(np.float64) * version.volt,
        "current_ampere": readings["current"].astype(np.float64) * version.ampere,
    }
    marks = _sound_marks(marks, len(readings))
    if not len(marks):
        raise DecodeError(f"{path}: no time is stored for its readings", hint=_HINT)
    columns |= _laid_out(columns, marks, version)
    columns |= _numbered(columns["step_count"], steps)
    remarks = [
        Remark(
            "note",
            f"{len(readings) - len(marks)} of {len(readings)} rows have no time, charge or energy"
            " of their own: they go on from the mark before, by its period and their current",
            "test_time_second",
            len(readings) - len(marks),
        )
    ]
    surface, told = _auxiliary(path, archive, files, len(readings))
    return columns | surface, remarks + told


def _content(path: Path, archive: zipfile.ZipFile, name: str, most: int = _MOST_BYTES) -> bytes:
    with archive.open(name) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise DataError(
            f"{path}: {name} unpacks to more than {most:,} bytes",
            hint="Export the record in parts.",
        )
    return content


def _sound_marks(marks: np.ndarray, count: int) -> np.ndarray:
    """The marks of rows that are there, in their order, the first where a row has two."""
    inside = marks[(marks["row"] >= 1) & (marks["row"] <= count)]
    _, first = np.unique(inside["row"], return_index=True)
    found: np.ndarray = inside[first]
    return found


def _laid_out(
    columns: dict[str, _Column], marks: np.ndarray, version: Version
) -> dict[str, _Column]:
    """Times and counters of every row, from the marks onwards."""
    count = len(columns["voltage_volt"])
    at = marks["row"].astype(np.int64) - 1
    row = np.arange(count)
    mark = np.searchsorted(at, row, side="right") - 1  # -1 before the first mark
    known = mark >= 0
    mark = np.maximum(mark, 0)
    after = row - at[mark]
    # A period holds from one mark to the next; a negative one is none.
    period = np.maximum(marks["period_milli"].astype(np.float64), 0.0) * _MILLI
    clock = marks["unix"] + marks["unix_milli"] * _MILLI
    room = np.append(np.diff(clock) / np.maximum(np.diff(at), 1), np.inf)
    step_time = marks["step_milli"][mark] * _MILLI + after * period[mark]
    step = np.cumsum(np.diff(marks["step"].astype(np.int64), prepend=-1) != 0)[mark]
    moved = period[mark] * columns["current_ampere"] / _HOUR_SECOND
    found = {
        "unix_time_second": clock[mark] + after * np.minimum(period, np.maximum(room, 0.0))[mark],
        "test_time_second": step_time + _earlier(step, step_time),
        "step_count": step.astype(np.float64),
    }
    for label, change in (
        ("charge", np.maximum(moved, 0.0)),
        ("discharge", np.maximum(-moved, 0.0)),
        ("energy_in", np.maximum(moved, 0.0) * columns["voltage_volt"]),
        ("energy_out", np.maximum(-moved, 0.0) * columns["voltage_volt"]),
    ):
        total = np.cumsum(np.nan_to_num(change))
        begun = np.abs(marks[label].astype(np.float64)) * version.hour
        field, _ = _FIELDS[label.replace("_", " ")]
        found[field] = begun[mark] + total - total[at][mark]
    return {field: np.where(known, column, np.nan) for field, column in found.items()}


def _earlier(step: Int64[np.ndarray, " time"], step_time: _Column) -> _Column:
    """What all steps before took, row by row. [s]"""
    starts = np.flatnonzero(np.diff(step, prepend=-1) != 0)
    if not starts.size:
        return np.zeros(0)
    longest = np.maximum.reduceat(step_time, starts)
    before = np.concatenate(([0.0], np.cumsum(longest)[:-1]))
    return np.repeat(before, np.diff(np.append(starts, len(step))))


def _numbered(step: _Column, steps: np.ndarray) -> dict[str, _Column]:
    """The cycle and the step in the schedule of each row, told by how many steps came before."""
    place = np.nan_to_num(step).astype(np.int64) - 1
    there = (place >= 0) & (place < len(steps))
    if not there.any():
        return {}
    place = np.where(there, place, 0)
    return {
        "cycle_count": np.where(there, steps["cycle"][place] + 1.0, np.nan),
        "step_index": np.where(there, steps["step"][place] + 0.0, np.nan),
    }


def _auxiliary(
    path: Path, archive: zipfile.ZipFile, files: dict[str, zipfile.ZipInfo], count: int
) -> tuple[dict[str, _Column], list[Remark]]:
    """The first temperature that has a reading for each row, and what else there is."""
    columns: dict[str, _Column] = {}
    left_out = []
    for name in sorted(files):
        parts = _AUXILIARY.fullmatch(name)
        if parts is None:
            continue
        if int(parts[2]) == _TEMPERATURE and not columns:
            _, rows = rows_of(f"{path}: {name}", _content(path, archive, name), AUXILIARY)
            tenths = "tenth_celsius" in (rows.dtype.names or ())
            values = rows["tenth_celsius"] * 0.1 if tenths else rows["value"].astype(np.float64)
            if len(values) == count:
                columns["surface_temperature_celsius"] = values
                continue
        left_out.append(f"{parts[1]} of kind {int(parts[2]) + 100}")
    if not left_out:
        return columns, []
    text = f"auxiliary channels are left out: {', '.join(left_out)}"
    return columns, [Remark("note", text, "", len(left_out))]


def _rated(path: Path, archive: zipfile.ZipFile) -> float | None:
    """The capacity that C-rates of the schedule refer to. [Ah]"""
    found: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "MultCap" and not found:
            found.append(attributes.get("Value", ""))

    def refuse(*_: object) -> None:
        raise DecodeError(f"{path}: its XML declares a document type", hint=_HINT)

    text = _content(path, archive, _SCHEDULE, _MOST_XML_BYTES)
    # expat does not know GB 2312, which old versions write; names and numbers are ASCII in it.
    parser = expat.ParserCreate("iso-8859-1")
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(text, True)  # noqa: FBT003  the C function takes no keyword
    if not found or not found[0].isascii() or not found[0].isdigit():
        return None
    return int(found[0][:15]) / _MILLI_AMPERE_SECOND or None
