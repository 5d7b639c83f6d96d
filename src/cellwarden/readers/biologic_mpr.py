"""BioLogic's own record: the .mpr file of EC-Lab and BT-Lab (layout in mpr.py).

Rules
- Positive current oxidises the working electrode: it charges a cell whose positive electrode that
  is. Stored are V, mA, mAh, Wh, Ω, Hz and °C. Time counts from the beginning of the acquisition.
- A record with frequencies is a table of kind "spectra"; the file gives -Im(Z), the table Im(Z).
  Points without a frequency are no part of a spectrum and are left out.
- EC-Lab stores no current where it can be computed: it is zero in a rest (mode 3), elsewhere the
  slope of the charge, as EC-Lab's own <I> is. A remark says so.
- The voltage is Ewe, the cell's where two electrodes are used; where Ece is stored too, it is that
  of the working electrode against the reference, and a remark says so.
- Q charge/discharge is one counter, negative in a discharge; it becomes two.
- The clock is the start of the acquisition, local time taken as UTC, plus the time.
- The settings hold a capacity, but not at one place in all versions: it is left out.

Checked against what the files hold twice (|Z|² = Re² + Im², phase, |Z| = |E| / |I|) and against
the signs and units of EC-Lab's text exports.
"""

from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64

from cellwarden.domain import Remark, Table
from cellwarden.readers.columns import ZONE_NOTE
from cellwarden.readers.draft import Draft, Identity, settle
from cellwarden.readers.mapping import ColumnGuess, ColumnMapping, Guess
from cellwarden.readers.mpr import Points, read_points
from cellwarden.readers.sign import judge

__all__ = ["draft"]

_STATED: Final = "as BioLogic testers write it"
_TIME, _COUNTER_ELECTRODE, _FREQUENCY, _HALF_CHARGE = 4, 9, 32, 467
_REST: Final = 3
_MODE: Final = 0b11
_DAY_SECOND: Final = 86_400.0
_EPOCH_DAYS: Final = 25_569.0  # from 1899-12-30 to 1970-01-01
_LONGEST_DAYS: Final = 100_000.0  # the year 2173
_MILLI: Final = 1e-3
# Number of the column, label of EC-Lab, field of a series, unit, factor; the surest first.
_SIGNALS: Final = (
    (_TIME, "time/s", "test_time_second", "s", 1.0),
    (6, "Ewe/V", "voltage_volt", "V", 1.0),
    (77, "<Ewe>/V", "voltage_volt", "V", 1.0),
    (174, "<Ewe>/V", "voltage_volt", "V", 1.0),
    (8, "I/mA", "current_ampere", "mA", _MILLI),
    (11, "<I>/mA", "current_ampere", "mA", _MILLI),
    (76, "<I>/mA", "current_ampere", "mA", _MILLI),
    (24, "cycle number", "cycle_count", "1", 1.0),
    (131, "Ns", "step_index", "1", 1.0),
    (123, "Energy charge/W.h", "charging_energy_wh", "W.h", 1.0),
    (124, "Energy discharge/W.h", "discharging_energy_wh", "W.h", 1.0),
    (462, "Temperature/°C", "surface_temperature_celsius", "°C", 1.0),
)
# Charge from which a current can be told: label, and whether it is given row by row.
_CHARGES: Final = (
    (13, "(Q-Qo)/mA.h", False),
    (7, "dq/mA.h", True),
    (23, "dQ/mA.h", True),
)
_SPECTRUM: Final = (
    (_FREQUENCY, "freq/Hz", "frequency_hertz", 1.0),
    (37, "Re(Z)/Ohm", "impedance_real_ohm", 1.0),
    (38, "-Im(Z)/Ohm", "impedance_imaginary_ohm", -1.0),
    (36, "|Z|/Ohm", "impedance_magnitude_ohm", 1.0),
    (35, "Phase(Z)/deg", "phase_degree", 1.0),
)
_OTHERS: Final = {
    5: "control/V/mA", 9: "Ece/V", 19: "control/V", 20: "control/mA", 33: "|Ewe|/V", 34: "|I|/A",
    39: "I Range", 70: "P/W", 74: "Energy/W.h", 125: "Capacitance charge/µF",
    126: "Capacitance discharge/µF", 169: "Cs/µF", 172: "Cp/µF", 468: "half cycle",
}  # fmt: skip

_Column = Float64[np.ndarray, " time"]


def draft(path: Path, mapping: ColumnMapping, name: str | None, limit: int) -> Draft:
    """A draft of a record, or of the spectra that a file holds.

    Raises:
        DataError: the file is damaged, or of a version or with a column that is not known.
    """
    points = read_points(path)
    columns, guesses = _signals(points)
    guess = Guess(str(path), "BioLogic .mpr", guesses, layout="VMP data")
    if _FREQUENCY in points.columns:
        return Draft(guess, _spectra(path, points, columns, name or path.stem))
    notes: list[Remark | str] = [ZONE_NOTE] if "unix_time_second" in columns else []
    if "current_ampere" not in columns:
        columns, told = _with_current(columns, points)
        notes += told
    if _COUNTER_ELECTRODE in points.columns:
        text = "the voltage is that of the working electrode alone; the other's is in the file too"
        notes.append(Remark("note", text, "voltage_volt"))
    if _HALF_CHARGE in points.columns:
        charge = points.columns[_HALF_CHARGE] * _MILLI
        columns["charging_capacity_ah"] = np.maximum(charge, 0.0)
        columns["discharging_capacity_ah"] = np.maximum(-charge, 0.0)
        text = "charge in and out are the two sides of one counter, Q charge/discharge"
        notes.append(Remark("note", text, "charging_capacity_ah"))
    if "discharging_energy_wh" in columns:
        columns["discharging_energy_wh"] = np.abs(columns["discharging_energy_wh"])
    columns = {field: column[:limit] for field, column in columns.items()}
    identity = Identity(name or path.stem)
    stated = _STATED
    if _HALF_CHARGE in points.columns and {"voltage_volt", "current_ampere"} <= set(columns):
        # Counters cut from one by its sign bear out any sign of the current: the voltage must be
        # heard without them.
        bare = {field: columns[field] for field in ("voltage_volt", "current_ampere")}
        stated = _STATED if judge(bare).sign >= 0 else ""
    return settle(columns, guess, identity, mapping, stated=stated, notes=tuple(notes))


def _signals(points: Points) -> tuple[dict[str, _Column], tuple[ColumnGuess, ...]]:
    columns: dict[str, _Column] = {}
    guesses = []
    for number, label, field, unit, factor in _SIGNALS:
        if number in points.columns and field not in columns:
            columns[field] = points.columns[number] * factor
            guesses.append(ColumnGuess(label, field, unit, factor, evidence="by its number"))
    known = {number for number, *_ in _SIGNALS} | {_HALF_CHARGE}
    if _HALF_CHARGE in points.columns:
        evidence = "what it falls below zero is discharge"
        guesses.append(
            ColumnGuess(
                "Q charge/discharge/mA.h", "charging_capacity_ah", "mA.h", _MILLI, 0.0, evidence
            )
        )
    named = _OTHERS | {number: label for number, label, *_ in (*_SPECTRUM, *_CHARGES)}
    guesses += [
        ColumnGuess(named.get(number, f"column {number}"), None, evidence="no field of a series")
        for number in points.columns
        if number not in known
    ]
    start = points.start_day
    if start is not None and _EPOCH_DAYS < start < _LONGEST_DAYS and _TIME in points.columns:
        begun = round((start - _EPOCH_DAYS) * _DAY_SECOND, 3)
        columns["unix_time_second"] = begun + points.columns[_TIME]
    return columns, tuple(guesses)


def _with_current(
    columns: dict[str, _Column], points: Points
) -> tuple[dict[str, _Column], list[Remark]]:
    """The columns with a current that the file does not store, and how it came about. [A]"""
    time = points.columns.get(_TIME)
    if time is None:
        return columns, []
    resting = np.zeros(len(time), dtype=bool)
    if points.flags is not None:
        resting = points.flags & _MODE == _REST
    for number, label, stepwise in _CHARGES:
        if number in points.columns:
            charge = points.columns[number]
            moved = charge if stepwise else np.diff(charge, prepend=np.nan)
            with np.errstate(divide="ignore", invalid="ignore"):
                current = moved * _MILLI * 3600 / np.diff(time, prepend=np.nan)
            current = np.where(resting, 0.0, np.where(np.isfinite(current), current, np.nan))
            text = f"no current is stored: it is the slope of {label}, and zero at rest"
            break
    else:
        if not resting.any():
            return columns, []
        current = np.where(resting, 0.0, np.nan)
        text = "no current is stored: it is zero at rest, and unknown elsewhere"
    remark = Remark("note", text, "current_ampere")
    return {**columns, "current_ampere": current}, [remark]


def _spectra(path: Path, points: Points, signals: dict[str, _Column], name: str) -> Table:
    frequency = points.columns[_FREQUENCY]
    kept = frequency > 0
    columns = {
        field: points.columns[number][kept] * factor
        for number, _, field, factor in _SPECTRUM
        if number in points.columns
    }
    columns |= {field: column[kept] for field, column in signals.items()}
    remarks = [ZONE_NOTE] if "unix_time_second" in signals else []
    out = int(np.count_nonzero(~kept))
    if out:
        row = int(np.argmin(kept)) + 1
        text = f"{out} points have no frequency and are left out, first in row {row}"
        remarks.append(Remark("note", text, "frequency_hertz", out, row))
    return Table(name, "spectra", columns, str(path), tuple(remarks))
